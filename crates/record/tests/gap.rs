//! Output whose middle is dropped: what is shown is right, what is gone is said, every line keeps its
//! number.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::prelude::*;
use stepflow_model::{Dropped, Stream};
use stepflow_record::{Block, Line, LogReader, Recovery, Writer, recover};

type Reads = Vec<(Stream, Vec<u8>)>;

/// Writes `reads`, each an entry, and drops the middle whenever more than `keep` and `step` bytes
/// are there.
fn write(dir: &Path, reads: &Reads, keep: u64, step: u64) -> Vec<u8> {
    let mut writer = Writer::create(dir).unwrap();
    let (mut all, mut gone) = (Vec::new(), 0);
    for (at, (stream, bytes)) in reads.iter().enumerate() {
        let (count, result) = writer.append(*stream, bytes, at as i64, at as u64);
        assert_eq!(count, bytes.len());
        result.unwrap();
        writer.close_entry().unwrap();
        all.extend_from_slice(bytes);
        if all.len() as u64 - gone > keep + step
            && let Some(dropped) = writer.excess(keep).unwrap()
        {
            assert!(writer.drop_output(dropped).unwrap(), "not on this file system");
            gone = dropped.bytes();
        }
    }
    all
}

/// Every line is a true piece of `all`, or says what is gone; together they are all of it.
fn complete(lines: &[Line], all: &[u8], from: u64) -> Result<u64, String> {
    let mut at = from;
    for line in lines {
        if line.offset != at {
            return Err(format!("from {at} to {} nothing is said", line.offset));
        }
        at = line.end;
        let Some(gone) = line.dropped else {
            let there = &all[line.offset as usize..line.end as usize];
            if !there.starts_with(&line.text) {
                return Err(format!("other bytes at {}: {:?}", line.offset, line.text));
            }
            continue;
        };
        if line.end != gone.to || !gone.holds(line.offset) {
            return Err(format!("{line:?} is not {gone:?}"));
        }
        let text = String::from_utf8_lossy(&line.text);
        if !text.contains(&format!("from byte {} to {}", gone.from, gone.to)) {
            return Err(text.into_owned());
        }
    }
    Ok(at)
}

/// Number and offset of each line of a log of which nothing is gone.
fn numbers(dir: &Path) -> Vec<(u64, u64)> {
    let log = LogReader::open(dir).unwrap().unwrap();
    log.lines(1, usize::MAX).unwrap().iter().map(|line| (line.number, line.offset)).collect()
}

/// Lines that [`Block`]s count up to the end.
fn counted(log: &LogReader, size: usize) -> u64 {
    let (mut offset, mut line, mut block) = (0, 1, Block::default());
    loop {
        log.block(offset, line, size, &mut block).unwrap();
        if block.bytes.is_empty() {
            return line - 1;
        }
        line += memchr_count(&block.bytes) + block.breaks.len() as u64;
        offset = block.end();
    }
}

fn memchr_count(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn reads() -> impl Strategy<Value = Reads> {
    let stream = prop_oneof![4 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    let byte = prop_oneof![1 => Just(b'\n'), 5 => b'a'..=b'z'];
    let bytes = proptest::collection::vec(byte, 1..2_000);
    proptest::collection::vec((stream, bytes), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_right_and_what_is_gone_is_said(
        reads in reads(),
        keep in 2_u64..24,
        step in 1_u64..8,
        places in proptest::collection::vec(any::<u64>(), 6),
    ) {
        let (keep, step) = (keep * 1024, step * 1024);
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(whole.path(), &reads, u64::MAX / 2, 0);
        let all = write(cut.path(), &reads, keep, step);
        let log = LogReader::open(cut.path()).unwrap().unwrap();
        let (bytes, lines) = log.position().unwrap();
        prop_assert_eq!(bytes, all.len() as u64, "offsets stay");
        let gone = log.dropped().unwrap();
        let stays = bytes - gone.map_or(0, |gone| gone.bytes());
        // Both halves are there, and no more than the limit, the step and two entries at each side.
        prop_assert!(stays >= bytes.min(keep), "{} of {}", stays, bytes);
        prop_assert!(stays <= keep + step + 3 * 2_000, "{} for {}", stays, keep);
        if let Some(gone) = gone {
            prop_assert!(gone.from >= keep / 2 && bytes - gone.to >= keep / 2);
        }
        let read = log.lines_from_offset(0, u64::MAX).unwrap();
        prop_assert_eq!(complete(&read, &all, 0), Ok(bytes));
        let said = |lines: &[Line]| lines.iter().filter(|line| line.dropped.is_some()).count();
        prop_assert_eq!(said(&read), usize::from(gone.is_some()));
        // Every line that is there has the number that it has where nothing is gone.
        let known = numbers(whole.path());
        let by_number = log.lines(1, usize::MAX).unwrap();
        for line in by_number.iter().filter(|line| line.dropped.is_none()) {
            let begun = known[..].partition_point(|(_, offset)| *offset <= line.offset);
            prop_assert_eq!(known[begun - 1].0, line.number, "at {}", line.offset);
        }
        for place in places {
            let offset = place % (bytes + 1);
            let some = log.some_from_offset(offset, 700, 9).unwrap();
            prop_assert!(complete(&some, &all, offset).is_ok(), "from {}: {:?}", offset, some);
            prop_assert!(offset == bytes || !some.is_empty());
            let number = place % (lines + 1) + 1;
            let some = log.lines(number, 5).unwrap();
            let last = some.last().map_or(number, |line| line.number);
            prop_assert!(some.is_empty() || last >= number, "whoever goes on by number comes on");
            prop_assert_eq!(counted(&log, place as usize % 5_000 + 1), lines);
            let mut raw = vec![1; (bytes - offset).min(3_000) as usize];
            log.read_at(&mut raw, offset).unwrap();
            for (at, byte) in (offset..).zip(&raw) {
                if gone.is_some_and(|gone| gone.holds(at)) {
                    prop_assert!([0, b'\n'].contains(byte));
                } else {
                    prop_assert_eq!(*byte, all[at as usize]);
                }
            }
        }
        // A recovery finds nothing to mend.
        prop_assert_eq!(recover(cut.path()).unwrap(), Recovery::default());
    }
}

#[test]
fn readers_that_follow_never_take_a_hole_for_output() {
    let dir = tempfile::tempdir().unwrap();
    let line = |n: u64| format!("line {n:07} {}\n", "x".repeat((n % 90) as usize)).into_bytes();
    let all: Vec<u8> = (0..60_000).flat_map(line).collect();
    let reads: Reads = all.chunks(1_500).map(|piece| (Stream::Stdout, piece.to_vec())).collect();
    Writer::create(dir.path()).map(drop).unwrap();
    fs::remove_file(dir.path().join("output.log")).unwrap();
    fs::remove_file(dir.path().join("output.idx")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let follow = |pause: bool| {
            let (dir, all, done) = (dir.path(), &all, &done);
            move || {
                let log = loop {
                    if let Some(log) = LogReader::open(dir).unwrap() {
                        break log;
                    }
                    thread::yield_now();
                };
                let (mut at, mut gaps) = (0, 0);
                loop {
                    let over = done.load(Ordering::Acquire);
                    let some = log.some_from_offset(at, 9_000, 200).unwrap();
                    at = complete(&some, all, at).unwrap();
                    gaps += some.iter().filter(|line| line.dropped.is_some()).count();
                    if over && some.is_empty() {
                        assert_eq!(at, all.len() as u64);
                        return gaps;
                    }
                    if pause {
                        // One that is slower than the writer, on any machine.
                        let _ = log.lines(1, 3_000).unwrap();
                    }
                }
            }
        };
        let readers = [scope.spawn(follow(false)), scope.spawn(follow(true))];
        write(dir.path(), &reads, 96 * 1024, 16 * 1024);
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let Dropped { from, to, .. } = log.dropped().unwrap().unwrap();
    assert!(to - from > 3_000_000, "{from} to {to}");
    let taken = fs::metadata(dir.path().join("output.log")).unwrap().blocks() * 512;
    assert!(taken < 200 * 1024, "{taken} bytes on the disk");
}

#[test]
fn a_damaged_mark_is_an_error_and_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let reads: Reads = (0..40).map(|n| (Stream::Stdout, vec![b'a' + n % 20; 1_000])).collect();
    write(dir.path(), &reads, 8_192, 1_024);
    let mark = dir.path().join("output.gap");
    let text = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, text.replacen("\"to\":", "\"to\":1", 1)).unwrap();
    let error = LogReader::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("output.gap") && error.contains("checksum"), "{error}");
}
