//! How long a view and a search take on a log of a million lines (or `LINES`): the figures of
//! `docs/performance.md`. `cargo run --profile ci -p stepflow-view --example view_speed [LINES]`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark, not a part of the product"
)]

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use stepflow_model::Stream;
use stepflow_record::{LogReader, Writer};
use stepflow_view::{Bounds, Cursor, Filter, Hit, Pattern, Syntax, View, search};

fn main() {
    let lines: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1 << 20);
    for (name, line) in
        [("ordinary", ordinary as fn(u64, &mut String)), ("coloured", coloured), ("mixed", mixed)]
    {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), lines, line);
        measure(name, dir.path());
    }
}

/// About 100 bytes, as a compiler prints them.
fn ordinary(number: u64, text: &mut String) {
    writeln!(
        text,
        "[{:5}/100000] Building CXX object src/module_{:03}/CMakeFiles/part.dir/source_{:06}.cpp.o done",
        number % 100_000,
        number % 777,
        number
    )
    .unwrap();
}

fn coloured(number: u64, text: &mut String) {
    writeln!(
        text,
        "\x1b[2m2026-11-22T20:00:00.{:06}Z\x1b[0m \x1b[32m INFO\x1b[0m app::worker: handled request {number} in 3 ms",
        number % 1_000_000
    )
    .unwrap();
}

/// One line in ten is an error, a warning, overwritten, wide or tabbed.
fn mixed(number: u64, text: &mut String) {
    match number % 50 {
        1 => writeln!(text, "src/main_{number}.c:3:4: error: expected ';' before '}}' token"),
        2 => writeln!(text, "\x1b[33mwarning\x1b[0m: unused variable: `x{number}`"),
        3 => writeln!(text, "10 %\r50 %\r100 % of {number}"),
        4 => writeln!(text, "构建完成: 模块 {number} 没有错误"),
        5 => writeln!(text, "\tat com.example.Main.run(Main.java:{number})"),
        _ => {
            ordinary(number, text);
            Ok(())
        }
    }
    .unwrap();
}

fn write(dir: &std::path::Path, lines: u64, line: fn(u64, &mut String)) {
    let mut writer = Writer::create(dir).unwrap();
    let mut text = String::new();
    for number in 1..=lines {
        line(number, &mut text);
        if text.len() > 60_000 || number == lines {
            writer.append(Stream::Stdout, text.as_bytes(), 1, number * 10_000).1.unwrap();
            text.clear();
        }
    }
    writer.close_entry().unwrap();
}

fn measure(name: &str, dir: &std::path::Path) {
    let cache = dir.join("x.view");
    let log = LogReader::open(dir).unwrap().unwrap();
    let (bytes, lines) = log.position().unwrap();
    let _ = log.read_at(&mut vec![0; bytes as usize], 0); // Into the page cache.
    println!("{name}: {lines} lines, {:.0} MB", bytes as f64 / 1e6);

    let (start, cpu_start) = (Instant::now(), cpu());
    let mut view = View::open(dir, &cache).unwrap().unwrap();
    view.advance(&mut || true).unwrap();
    // On a machine that others use as well, the time of the processor says more.
    let (wall, took) = (start.elapsed(), cpu().saturating_sub(cpu_start));
    println!(
        "  build {} ms; of the processor {} ms: {:.0} MB/s, {:.0} ns a line, file {:.1} MB",
        ms(wall),
        ms(took),
        bytes as f64 / 1e6 / took.as_secs_f64(),
        took.as_nanos() as f64 / lines as f64,
        std::fs::metadata(&cache).unwrap().len() as f64 / 1e6
    );
    timed("open again", || {
        let mut view = View::open(dir, &cache).unwrap().unwrap();
        view.advance(&mut || true).unwrap();
    });
    timed("rows at 80 columns", || view.rows(80).unwrap());
    timed("density in 1000 parts", || view.density(1000).unwrap());
    let filter =
        Filter { levels: [false, false, false, true, true], context: 3, ..Filter::default() };
    timed("filter, 512 lines", || view.filter(filter, lines / 2, 0, 512).unwrap());
    timed("512 lines in the middle, as shown", || {
        let lines = log.lines(lines / 2, 512).unwrap();
        view.dress(&lines).unwrap()
    });
    println!("  levels {:?}", view.totals().counts);
    for (text, regex, case) in [
        ("nowhere to be found", false, true),
        ("nowhere to be found", false, false),
        ("source_99", false, true),
        ("e", false, true),
        (r"\d{3}9+\b", true, true),
        ("(?:error|warning|request 9):? ", true, false),
        (r"^.*7$", true, true),
    ] {
        let pattern = Pattern::new(text, Syntax { regex, case }).unwrap();
        let (start, cpu_start) = (Instant::now(), cpu());
        let mut first = None;
        let (mut found, mut matches) = (0_u64, 0);
        let mut sink = |hit: Hit| {
            first.get_or_insert_with(|| start.elapsed());
            found += 1;
            matches += hit.matches;
        };
        let bounds = Bounds { until: u64::MAX, half: true };
        search(&log, &pattern, Cursor { offset: 0, line: 1 }, bounds, &mut || true, &mut sink)
            .unwrap();
        println!(
            "  search {text:?}{}{}: first after {} ms, all {found} lines, {matches} matches after {} ms, of the processor {} ms",
            if regex { " regex" } else { "" },
            if case { "" } else { ", any case" },
            first.map_or_else(|| "-".to_owned(), ms),
            ms(start.elapsed()),
            ms(cpu().saturating_sub(cpu_start))
        );
    }
}

/// Time of the processor that this process has used.
fn cpu() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000)
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) {
    let start = Instant::now();
    let done = work();
    let took = start.elapsed();
    drop(done);
    println!("  {what} {} ms", ms(took));
}

fn ms(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1e3)
}
