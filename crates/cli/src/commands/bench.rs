//! `stepflow bench`: can this machine carry the load?

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use stepflow_bench::{Bar, Figure, Options, Part, Report, Unit, What};

use crate::{
    args, config,
    failure::{self, Failure},
    format,
    run::summary::colour,
    text::{self, measured as say},
};

/// A machine that is busier than this for each core is said to be.
const LOAD_OF_IDLE: f64 = 0.3;

/// Measures, prints. What is not as it should be is said, and no failure.
pub fn bench(storage: Option<&Path>, args: &args::Bench) -> Result<ExitCode, Failure> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => beside(config::storage_as_it_is(storage)?.root()),
    };
    let options = Options {
        parts: args.parts(),
        sizes: args.sizes(),
        runs: args.runs as usize,
        dir,
        version: stepflow_server::VERSION,
    };
    let mut progress = |part: Part| {
        // At once: a part takes a while.
        let _ = writeln!(std::io::stderr(), "{}", say::measuring(say::part(part)));
    };
    let report = stepflow_bench::bench(&options, &mut progress).map_err(|error| {
        let failure = Failure::new(format!(
            "{}{}{}",
            say::not_measured(),
            text::text().colon,
            failure::chain(&error)
        ));
        match error.hint() {
            Some(hint) => failure.hint(text::hinted(hint)),
            None => failure,
        }
    })?;
    let mut out = std::io::stdout().lock();
    if args.json.json {
        let json = serde_json::to_string(&report)
            .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{}", table(&report, colour(std::io::stdout().is_terminal())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The nearest directory above the storage that is there: on the same disk, and not of it.
fn beside(storage: &Path) -> PathBuf {
    let above = storage.ancestors().skip(1);
    let above = above.map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    above.into_iter().find(|dir| dir.is_dir()).map_or_else(std::env::temp_dir, Path::to_owned)
}

fn table(report: &Report, colours: bool) -> String {
    let machine = &report.machine;
    let mut said = say::machine(
        report.version,
        machine.cores,
        &machine.processor,
        format::count(machine.memory_mb / 1_000),
        &machine.kernel,
        &machine.file_system,
    );
    said.push('\n');
    if machine.load > LOAD_OF_IDLE * machine.cores as f64 {
        said.push_str(&format!("{}\n", say::busy(number(machine.load))));
    }
    if ["tmpfs", "ramfs"].contains(&machine.file_system.as_str()) {
        said.push_str(&format!("{}\n", say::in_memory()));
    }
    let mut part = None;
    for figure in &report.figures {
        if part.replace(figure.what.part()) != Some(figure.what.part()) {
            let heads = [say::measured(), say::spread(), say::limit(), say::ratio(), say::bar()];
            said.push_str(&format!("\n{}\n", row(&say::part(figure.what.part()), &heads, "")));
        }
        said.push_str(&format!("{}\n", line(figure, colours)));
    }
    said.push_str(&format!("\n{}\n", verdict(report).join("\n")));
    said
}

/// Columns that stand under each other, however wide their characters are.
fn row(first: &str, rest: &[String; 5], last: &str) -> String {
    let mut said = format::pad(first, 50);
    for (text, width) in rest.iter().zip([12, 20, 12, 7, 9]) {
        said.push(' ');
        said.push_str(&format::pad_left(text, width));
    }
    format!("{said}  {last}").trim_end().to_owned()
}

fn line(figure: &Figure, colours: bool) -> String {
    let unit = figure.what.unit();
    let what = match figure.of {
        Some(count) => format!("{} {}", say::what(figure.what), format::count(count)),
        None => say::what(figure.what),
    };
    let (low, high) = figure.spread();
    let of_limit = |ratio: f64| format!("{} x", number(ratio));
    let columns = [
        say::unit(unit, &number(figure.median())),
        if figure.runs.len() > 1 {
            format!("{} – {}", number(low), number(high))
        } else {
            String::new()
        },
        figure.limit().map(|limit| say::unit(unit, &number(limit))).unwrap_or_default(),
        figure.ratio().map(of_limit).unwrap_or_default(),
        match figure.what.bar() {
            Some(Bar::AtLeast(bar)) => format!(">= {}", number(bar)),
            Some(Bar::AtMost(bar)) => format!("<= {}", number(bar)),
            Some(Bar::RatioAtLeast(bar)) => format!(">= {}", of_limit(bar)),
            Some(Bar::RatioAtMost(bar)) => format!("<= {}", of_limit(bar)),
            None => String::new(),
        },
    ];
    let last = match (figure.is_met(), colours) {
        (None, _) if !figure.has_its_size() => say::bar_from(format::count(figure.what.bar_from())),
        (None, _) => String::new(),
        (Some(true), false) => say::good(),
        (Some(true), true) => format!("\x1b[32m{}\x1b[0m", say::good()),
        (Some(false), false) => say::bad(),
        (Some(false), true) => format!("\x1b[33m{}\x1b[0m", say::bad()),
    };
    row(&format!("  {what}"), &columns, &last)
}

/// What it means for whoever asks whether the machine is large enough.
fn verdict(report: &Report) -> Vec<String> {
    let find = |what: What| report.figures.iter().find(|figure| figure.what == what);
    let mut said = Vec::new();
    if let (Some(lost), Some(slow)) = (find(What::StreamsLost), find(What::StreamsSlow)) {
        let streams = format::count(lost.of.unwrap_or(0));
        said.push(if lost.is_met() == Some(true) {
            say::carries(streams, say::unit(Unit::Ms, &number(slow.median())))
        } else {
            say::carries_not(streams, number(lost.median()))
        });
    }
    if let Some(start) = find(What::Start) {
        said.push(say::starts(number(start.median())));
    }
    if let Some(speed) = find(What::CaptureSpeed) {
        said.push(say::takes(say::unit(Unit::MbPerSecond, &number(speed.median()))));
    }
    let lists = report.figures.iter().filter(|figure| figure.what == What::List);
    if let Some(list) = lists.max_by(|a, b| a.median().total_cmp(&b.median())) {
        let executions = format::count(report.sizes.executions);
        said.push(say::answers(number(list.median()), executions));
    }
    if let Some(mixed) = find(What::Mixed) {
        said.push(say::keeps(number(mixed.median())));
    }
    let mut short: Vec<String> = Vec::new();
    for figure in report.short() {
        // What it is of stands behind a semicolon; several sizes of one thing are said once.
        let what = say::what(figure.what);
        let what = what.split([';', '；']).next().unwrap_or_default().to_owned();
        if !short.contains(&what) {
            short.push(what);
        }
    }
    if short.is_empty() {
        said.push(say::all_well());
    } else {
        let separator =
            if text::locale().language == text::Language::Chinese { "、" } else { " / " };
        said.push(say::short(short.len(), short.join(separator)));
    }
    let unjudged = |figure: &&Figure| figure.what.bar().is_some() && figure.is_met().is_none();
    match report.figures.iter().filter(unjudged).count() {
        0 => {}
        count => said.push(say::not_judged(count)),
    }
    said.push(say::took(format::duration((report.seconds * 1e6) as u64)));
    said
}

/// Three digits that say something, as the locale writes them.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let places = match value.abs() {
        large if large >= 100.0 => return format::count(value.round() as u64),
        0.0 => return "0".to_owned(),
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}").replace('.', &text::locale().decimal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (value, said) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (9.0, "9.00"),
            (12.34, "12.3"),
            (12_345.6, "12,346"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(number(value), said);
        }
    }

    #[test]
    fn it_measures_beside_the_storage_and_not_in_it() {
        let here = std::env::temp_dir();
        assert_eq!(beside(&here.join("none-of-these/at-all/storage")), here);
        assert_eq!(beside(Path::new("storage")), Path::new("."));
        assert_ne!(beside(&here), here);
    }

    #[test]
    fn a_figure_that_falls_short_is_named() {
        let mut report = Report {
            version: "1.0.0",
            time_us: 0,
            machine: stepflow_bench::Machine::here(Path::new("/")),
            sizes: stepflow_bench::Sizes::QUICK,
            seconds: 61.0,
            figures: vec![Figure::new(What::Start, Some(100), vec![200.0, 150.0, 10.0])],
        };
        let said = table(&report, false);
        assert!(
            said.contains("It starts 150 scripts a second.\nEverything is as it should be.\n"),
            "{said}"
        );
        let lines = said.lines().find(|line| line.contains("in all 100")).unwrap();
        assert!(
            lines.contains("150/s")
                && lines.contains("10.0 – 200")
                && lines.ends_with(">= 150  ok"),
            "{lines}"
        );
        report.figures.push(Figure::new(What::StreamsLost, Some(7), vec![3.0]));
        report.figures.push(Figure::new(What::StreamsSlow, Some(7), vec![300.0]));
        let said = table(&report, false);
        assert!(
            said.contains("It does NOT carry 7 scripts")
                && said.contains("Not as it should be: 2 ("),
            "{said}"
        );
    }
}
