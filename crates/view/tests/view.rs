//! Views of real records against a reading line by line.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use stepflow_model::Stream;
use stepflow_record::{LogReader, Writer};
use stepflow_view::{
    Counts, Filter, Level, Source, Style, View, bucket_starts, draw, rows, verdict,
};

struct Bench {
    dir: tempfile::TempDir,
    writer: Writer,
    time: u64,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { writer: Writer::create(dir.path()).unwrap(), dir, time: 0 }
    }

    fn print(&mut self, stream: Stream, bytes: &[u8]) {
        self.time += 1_000_000;
        self.writer.append(stream, bytes, 1, self.time).1.unwrap();
        self.writer.close_entry().unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("x.view")
    }

    fn log(&self) -> LogReader {
        LogReader::open(self.dir.path()).unwrap().unwrap()
    }

    fn view(&self) -> View {
        let mut view = open(self.dir.path(), &self.cache());
        assert!(view.advance(&mut || true).unwrap());
        view
    }
}

fn open(dir: &Path, cache: &Path) -> View {
    View::open(dir, cache).unwrap().unwrap()
}

/// What a reading line by line says.
#[derive(Debug, Default)]
struct Oracle {
    /// Style at the beginning, width, level, stderr.
    lines: Vec<(Style, u32, Level, bool)>,
}

impl Oracle {
    fn of(log: &LogReader) -> Self {
        let mut style = Style::default();
        let mut oracle = Self::default();
        for line in log.lines(1, usize::MAX).unwrap() {
            assert_eq!(line.rest, 0, "lines of these tests are short");
            let begin = style;
            let drawn = draw(Source::Whole(&line.text), &mut style);
            let level = verdict(&drawn.text).level;
            oracle.lines.push((begin, drawn.width, level, line.stream == Stream::Stderr));
        }
        oracle
    }

    fn counts(&self, from: usize, to: usize) -> Counts {
        let mut counts = Counts::default();
        for line in &self.lines[from..to] {
            counts[line.2.index()] += 1;
        }
        counts
    }
}

fn agree(view: &View, log: &LogReader) {
    let oracle = Oracle::of(log);
    let count = oracle.lines.len();
    assert_eq!(view.lines(), count as u64);
    let totals = view.totals();
    assert_eq!(totals.lines, count as u64);
    assert_eq!(totals.counts, oracle.counts(0, count));
    assert_eq!(totals.stderr, oracle.lines.iter().filter(|line| line.3).count() as u64);
    let first = oracle.lines.iter().position(|line| line.2 == Level::Error);
    assert_eq!(totals.first_error.map(|error| error.0), first.map(|at| at as u64 + 1));
    for columns in [1, 7, 40, 80, 200, 100_000] {
        let expected: Vec<u32> = oracle
            .lines
            .chunks(512)
            .map(|page| page.iter().map(|line| rows(line.1, columns) as u32).sum())
            .collect();
        let found = view.rows(columns).unwrap();
        assert_eq!(found.total, expected.iter().map(|count| u64::from(*count)).sum::<u64>());
        assert_eq!(found.pages, expected, "{columns} columns");
    }
    for buckets in [1, 3, 100] {
        let starts = bucket_starts(count as u64, buckets);
        let found = view.density(buckets).unwrap();
        for (at, counts) in found.iter().enumerate() {
            let to = starts.get(at + 1).map_or(count, |next| *next as usize - 1);
            assert_eq!(*counts, oracle.counts(starts[at] as usize - 1, to), "bucket {at}");
        }
    }
    // Lines by jump look as by scrolling.
    for at in [0, 1, 510, 511, 512, 513, count / 2, count.saturating_sub(1)] {
        let lines = log.lines(at as u64 + 1, 3).unwrap();
        for (offset, dressed) in view.dress(&lines).unwrap().iter().enumerate() {
            let expected = oracle.lines[at + offset];
            let found = (dressed.style.unwrap(), dressed.drawn.width, dressed.verdict.level);
            assert_eq!(found, (expected.0, expected.1, expected.2), "line {}", at + offset + 1);
        }
    }
    for (levels, stderr_only, context) in [
        ([false, false, false, true, true], false, 0),
        ([false, false, false, false, true], false, 2),
        ([true; 5], true, 1),
        ([true; 5], false, 0),
    ] {
        let filter = Filter { levels, stderr_only, context };
        let hit: Vec<bool> = oracle
            .lines
            .iter()
            .map(|line| levels[line.2.index()] && (!stderr_only || line.3))
            .collect();
        let expected: Vec<(u64, bool)> = (0..count)
            .filter(|at| {
                let from = at.saturating_sub(context as usize);
                let to = (at + context as usize).min(count - 1);
                hit[from..=to].contains(&true)
            })
            .map(|at| (at as u64 + 1, hit[at]))
            .collect();
        let found = view.filter(filter, 1, 0, usize::MAX).unwrap();
        assert_eq!(found.lines, expected);
        assert_eq!(found.total, expected.len() as u64);
        assert_eq!(found.matches, hit.iter().filter(|hit| **hit).count() as u64);
        let part = view.filter(filter, count as u64 / 3, 2, 5).unwrap();
        let rest = expected.iter().filter(|line| line.0 >= count as u64 / 3).skip(2).take(5);
        assert_eq!(part.lines, rest.copied().collect::<Vec<_>>());
        assert_eq!(part.total, found.total);
    }
}

/// Pieces of output that lines are made of.
fn output() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let piece = proptest::sample::select(vec![
        &b"compiling foo.c"[..],
        b"\n",
        b"\n\n\n",
        b"error: no\n",
        b"\x1b[31mERROR\x1b[0m no\n",
        b"warning: slow\n",
        b"\x1b[1;32m",
        b"\x1b[0m",
        b"\r\n",
        b"10 %\r20 %\r",
        "世界 é\n".as_bytes(),
        b"\t at x\n",
        b"\xff\xfe",
        b"STEP_ERROR:no\n",
        b"level=debug x\n",
        b"NOTICE: x\n",
        b"a line of ordinary length, as most lines are, about eighty characters long\n",
    ]);
    let piece = piece.prop_map(<[u8]>::to_vec);
    let run = (any::<bool>(), proptest::collection::vec(piece, 1..40), 1..30_usize)
        .prop_map(|(stderr, pieces, times)| (stderr, pieces.concat().repeat(times)));
    proptest::collection::vec(run, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_view_says_what_a_reading_line_by_line_says(
        output in output(),
        pause in 0..8_usize,
        reopen: bool,
    ) {
        let mut bench = Bench::new();
        bench.print(Stream::Stdout, b"first\n");
        let mut view = bench.view();
        for (at, (stderr, bytes)) in output.iter().enumerate() {
            let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
            bench.print(stream, bytes);
            if at % 3 == pause % 3 {
                // Asked in the middle, block by block; half lines come and go.
                while !view.advance(&mut || false).unwrap() {}
                agree(&view, &bench.log());
                if reopen {
                    view = open(bench.dir.path(), &bench.cache());
                }
            }
        }
        view.advance(&mut || true).unwrap();
        agree(&view, &bench.log());
        agree(&bench.view(), &bench.log());
    }
}

fn ten_pages() -> Bench {
    let mut bench = Bench::new();
    for number in 0..5_200 {
        let line = match number % 100 {
            7 => format!("\x1b[31merror: {number}\n"),
            8 => "\x1b[m\n".to_owned(),
            _ => format!("line {number}\n"),
        };
        bench.print(Stream::Stdout, line.as_bytes());
    }
    bench
}

#[test]
fn a_file_that_is_damaged_cut_or_of_another_log_is_built_anew() {
    let bench = ten_pages();
    agree(&bench.view(), &bench.log());
    let good = std::fs::read(bench.cache()).unwrap();
    assert_eq!(good.len(), 64 + 10 * 1344);
    let mut damaged: Vec<Vec<u8>> =
        vec![Vec::new(), b"something else".to_vec(), vec![0; 64 + 1344]];
    for at in (0..good.len()).step_by(641) {
        damaged.push(good[..at].to_vec());
        let mut flipped = good.clone();
        flipped[at] ^= 4;
        damaged.push(flipped);
        let mut garbage = good.clone();
        garbage.extend_from_slice(&good[64..64 + at % 1344]);
        damaged.push(garbage);
    }
    // Pages in another order, and twice.
    damaged.push([&good[..64], &good[64 + 1344..], &good[64..64 + 1344]].concat());
    damaged.push([&good[..], &good[64..]].concat());
    for bytes in damaged {
        std::fs::write(bench.cache(), &bytes).unwrap();
        agree(&bench.view(), &bench.log());
        assert!(std::fs::read(bench.cache()).unwrap() == good, "not the same file");
    }
    // Of another log, with checksums that hold.
    let mut other = Bench::new();
    for number in 0..6_000 {
        other.print(Stream::Stdout, format!("other {number}\n").as_bytes());
    }
    std::fs::write(other.cache(), &good).unwrap();
    agree(&other.view(), &other.log());
}

#[test]
fn a_view_without_a_file_serves_as_well() {
    let bench = ten_pages();
    let nowhere = bench.dir.path().join("missing/x.view");
    let mut view = open(bench.dir.path(), &nowhere);
    view.advance(&mut || true).unwrap();
    agree(&view, &bench.log());
    // One that is deleted while it is open.
    let mut view = bench.view();
    std::fs::remove_file(bench.cache()).unwrap();
    view.advance(&mut || true).unwrap();
    agree(&view, &bench.log());
}

#[test]
fn lines_longer_than_a_block_are_looked_at_by_their_ends() {
    let mut bench = Bench::new();
    bench.print(Stream::Stdout, b"\x1b[32mone\n");
    for _ in 0..10 {
        bench.print(Stream::Stdout, &vec![b'x'; 70_000]);
    }
    bench.print(Stream::Stdout, b"\x1b[m\nerror: short\n");
    for step in 0..30 {
        bench.print(Stream::Stderr, format!("{step} %\r").repeat(20_000).as_bytes());
    }
    bench.print(Stream::Stderr, b"done\nlast");
    let view = bench.view();
    let lines = bench.log().lines(1, 10).unwrap();
    let dressed = view.dress(&lines).unwrap();
    let seen: Vec<_> = dressed
        .iter()
        .map(|line| (line.style.unwrap().params(), line.drawn.width, line.drawn.rest))
        .collect();
    assert_eq!(
        seen,
        [
            (String::new(), 3, 0),
            ("32".to_owned(), 16_384, 700_003 - 16_384),
            (String::new(), 12, 0),
            (String::new(), 4, 0), // "29 %" under "done".
            (String::new(), 4, 0),
        ]
    );
    assert_eq!(dressed[3].drawn.text, "done");
    assert_eq!(view.totals().counts, [4, 0, 0, 0, 1]);
    assert_eq!(view.rows(100).unwrap().pages, [1 + 164 + 1 + 1 + 1]);
}
