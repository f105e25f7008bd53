//! What a view and a search need of memory does not grow with the log.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;

use stepflow_model::Stream;
use stepflow_record::{LogReader, Writer};
use stepflow_view::{Bounds, Cursor, Filter, Pattern, Syntax, View, search};

const LINES: u64 = 1_000_000;
/// Buffers, the search for levels, and what the allocator keeps.
const GROWTH_MAX_KIB: u64 = 12 * 1024;

fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_million_lines_are_scanned_and_searched_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path()).unwrap();
    let mut text = String::new();
    for number in 1..=LINES {
        let level = if number % 1_000 == 0 { "error: no" } else { "an ordinary one" };
        writeln!(text, "\x1b[2m{number:>9}\x1b[m {level}: a line of a log that has many of them")
            .unwrap();
        if text.len() > 60_000 || number == LINES {
            writer.append(Stream::Stdout, text.as_bytes(), 1, number * 10_000).1.unwrap();
            text.clear();
        }
    }
    writer.close_entry().unwrap();
    drop((writer, text));

    let before = anonymous_kib();
    let mut most = before;
    let mut blocks = 0_u32;
    let mut view = View::open(dir.path(), &dir.path().join("x.view")).unwrap().unwrap();
    let mut look = || {
        blocks += 1;
        if blocks.is_multiple_of(16) {
            most = most.max(anonymous_kib());
        }
        true
    };
    assert!(view.advance(&mut look).unwrap());
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let pattern = Pattern::new(r"has m\w+ of", Syntax { regex: true, case: false }).unwrap();
    let mut found = 0;
    let bounds = Bounds { until: u64::MAX, half: true };
    let begin = Cursor { offset: 0, line: 1 };
    search(&log, &pattern, begin, bounds, &mut look, &mut |_| found += 1).unwrap();
    let rows = view.rows(40).unwrap();
    let filter = Filter { levels: [true; 5], ..Filter::default() };
    let filtered = view.filter(filter, LINES / 2, 0, 512).unwrap();
    most = most.max(anonymous_kib());

    assert_eq!((view.lines(), found), (LINES, LINES));
    assert_eq!(view.totals().counts[4], LINES / 1_000);
    assert_eq!((rows.pages.len() as u64, filtered.lines.len()), (LINES.div_ceil(512), 512));
    assert!(blocks > 500, "{blocks} blocks");
    let growth = most - before;
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more than before");
}
