//! Search over real records against a search line by line.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use stepflow_model::Stream;
use stepflow_record::{LogReader, Writer};
use stepflow_view::{
    Bounds, Cursor, Hit, Pattern, Source, Style, Syntax, draw, search, search_back, spans,
};

const BEGIN: Cursor = Cursor { offset: 0, line: 1 };
const ALL: Bounds = Bounds { until: u64::MAX, half: true };

fn record(pieces: &[(bool, Vec<u8>)]) -> (tempfile::TempDir, LogReader) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path()).unwrap();
    for (at, (stderr, bytes)) in pieces.iter().enumerate() {
        let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
        writer.append(stream, bytes, 1, at as u64 * 1_000_000).1.unwrap();
        writer.close_entry().unwrap();
    }
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    (dir, log)
}

fn pattern(text: &str, regex: bool, case: bool) -> Pattern {
    Pattern::new(text, Syntax { regex, case }).unwrap()
}

fn hits(log: &LogReader, pattern: &Pattern, bounds: Bounds) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut at = BEGIN;
    loop {
        // Read by read, as an impatient caller would.
        let (next, complete) =
            search(log, pattern, at, bounds, &mut || false, &mut |hit| hits.push(hit)).unwrap();
        at = next;
        if complete {
            return hits;
        }
    }
}

/// By the text that a page shows, line by line.
fn expected(log: &LogReader, regex: &regex::Regex) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    for line in log.lines(1, usize::MAX).unwrap() {
        // Tabs stay tabs for the search.
        let text = String::from_utf8_lossy(&line.text).replace('\t', "\u{1}");
        let text = draw(Source::Whole(text.as_bytes()), &mut Style::default()).text;
        let text = text.replace("^A", "\t");
        let matches = regex.find_iter(&text).count() as u64;
        if matches > 0 {
            found.push((line.number, matches));
        }
    }
    found
}

fn output() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let piece = proptest::sample::select(vec![
        &b"abc def"[..],
        b"ABC",
        b"\n",
        b"\n\n",
        b"ab\x1b[31mc\x1b[0m d\n",
        b"\x1b[1mabc\n",
        b"xyz\rabc\n",
        b"ab\x08bc\n",
        b"abc\r\n",
        "é abc 世\n".as_bytes(),
        b"a\tabc\n",
        b"12 34\n",
    ]);
    let run = (any::<bool>(), proptest::collection::vec(piece.prop_map(<[u8]>::to_vec), 1..30))
        .prop_map(|(stderr, pieces)| (stderr, pieces.concat()));
    proptest::collection::vec(run, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_search_finds_what_a_search_line_by_line_finds(
        output in output(),
        which in 0..12_usize,
    ) {
        let (text, is_regex, case) = [
            ("abc", false, true),
            ("abc", false, false),
            ("c d", false, true),
            ("世", false, true),
            ("a\t", false, true),
            ("b+c", true, true),
            (r"^abc$", true, true),
            (r"\bABC\b", true, false),
            (r"\d+ \d+", true, true),
            (r"[^x]+", true, true),
            (r"\Aabc", true, true),
            (r"a\s+a", true, false),
        ][which];
        let (_dir, log) = record(&output);
        let pattern = pattern(text, is_regex, case);
        let oracle = if is_regex { text.to_owned() } else { regex::escape(text) };
        let oracle = regex::RegexBuilder::new(&oracle).case_insensitive(!case).build().unwrap();
        let expected = expected(&log, &oracle);
        let found = hits(&log, &pattern, ALL);
        let seen: Vec<_> = found.iter().map(|hit| (hit.line, hit.matches)).collect();
        prop_assert_eq!(&seen, &expected);
        for hit in &found {
            let line = log.lines(hit.line, 1).unwrap().remove(0);
            prop_assert_eq!(hit.offset, line.offset);
            let shown = draw(Source::Whole(&line.text), &mut Style::default()).text;
            let units: Vec<u16> = shown.encode_utf16().collect();
            for (from, to) in spans(&log, &pattern, *hit).unwrap() {
                let text = String::from_utf16(&units[from as usize..to as usize]).unwrap();
                if !text.contains(' ') {
                    prop_assert!(oracle.is_match(&text) || text.is_empty(), "{:?}", text);
                }
            }
        }
        let lines = log.position().unwrap().1 + 2;
        for (before, limit) in [(lines, 3), (lines, 1_000), (lines / 2, 2)] {
            let (back, _) =
                search_back(&log, &pattern, before, limit, &mut || true).unwrap();
            let wanted = found.iter().rev().filter(|hit| hit.line < before).take(limit);
            prop_assert!(back.iter().eq(wanted));
        }
    }
}

#[test]
fn a_search_follows_growth_from_its_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path()).unwrap();
    let pattern = pattern("hit", false, true);
    let bounds = Bounds { until: u64::MAX, half: false };
    let mut at = BEGIN;
    let mut seen = Vec::new();
    for number in 0..200_u64 {
        // A half line first, and its rest with the next append.
        let text = if number % 3 == 0 { "hi".to_owned() } else { format!("t {number}\n") };
        writer.append(Stream::Stdout, text.as_bytes(), 1, number * 1_000_000).1.unwrap();
        writer.close_entry().unwrap();
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let (next, complete) =
            search(&log, &pattern, at, bounds, &mut || true, &mut |hit| seen.push(hit.line))
                .unwrap();
        assert!(complete);
        at = next;
    }
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let whole: Vec<u64> = hits(&log, &pattern, bounds).iter().map(|hit| hit.line).collect();
    assert!(whole.len() > 50);
    assert_eq!(seen, whole);
}

#[test]
fn very_long_lines_are_searched_whole() {
    let mut pieces: Vec<(bool, Vec<u8>)> = vec![(false, b"first\n".to_vec())];
    for number in 0..40 {
        pieces.push((false, vec![b'x'; 60_000]));
        pieces.push((false, format!("needle{number}").into_bytes()));
    }
    pieces.push((false, b"\nneedle\n".to_vec()));
    let (_dir, log) = record(&pieces);
    let found = hits(&log, &pattern("needle", false, true), ALL);
    let seen: Vec<_> = found.iter().map(|hit| (hit.line, hit.matches)).collect();
    assert_eq!(seen, [(2, 40), (3, 1)]);
    // What is not shown of the line has no place on the page.
    let spans = spans(&log, &pattern("needle", false, true), found[0]).unwrap();
    assert_eq!(spans, []);
}
