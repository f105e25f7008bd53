//! Records written, read at every place, cut at every byte, damaged, recovered.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fs, path::Path};

use proptest::prelude::*;
use stepflow_model::{
    Event, EventKind, ExecutionId, ExecutionState, Reason, Source, Spec, Status, Stream,
};
use stepflow_record::{
    JournalReader, JournalWriter, Line, LogReader, RecordError, Recovery, Storage, Writer, recover,
};

fn spec() -> Spec {
    Spec {
        name: "test".into(),
        command: vec!["true".into()],
        cwd: "/".into(),
        grace_ms: 1,
        drain_ms: 1,
        ..Spec::new(
            "0198c2aa-0000-7000-8000-000000000001".parse::<ExecutionId>().unwrap(),
            Source::Cli,
            1,
        )
    }
}

/// Writes output in these reads; an entry is closed after each that says so.
fn write(dir: &Path, reads: &[(Stream, Vec<u8>, bool)]) -> Vec<u8> {
    let mut writer = Writer::create(dir).unwrap();
    let mut all = Vec::new();
    for (at, (stream, bytes, close)) in reads.iter().enumerate() {
        let (count, result) = writer.append(*stream, bytes, at as i64 * 1_000, at as u64);
        assert_eq!(count, bytes.len());
        result.unwrap();
        if *close {
            writer.close_entry().unwrap();
        }
        all.extend_from_slice(bytes);
    }
    writer.close_entry().unwrap();
    let (_, lines) = writer.appended();
    assert_eq!(writer.recorded(), (all.len() as u64, lines));
    all
}

/// What lines there are, by the rules, without an index: a line ends at LF, and where the stream
/// changes.
fn model(reads: &[(Stream, Vec<u8>, bool)]) -> Vec<(Stream, Vec<u8>, bool)> {
    let mut lines: Vec<(Stream, Vec<u8>, bool)> = Vec::new();
    let mut open = false;
    for (stream, bytes, _) in reads {
        for byte in bytes {
            if open && lines.last().unwrap().0 != *stream {
                open = false; // Cut.
                lines.last_mut().unwrap().2 = true;
            }
            if !open {
                lines.push((*stream, Vec::new(), false));
                open = true;
            }
            let line = lines.last_mut().unwrap();
            if *byte == b'\n' {
                line.2 = true;
                open = false;
            } else {
                line.1.push(*byte);
            }
        }
    }
    lines
}

fn shape(lines: &[Line]) -> Vec<(Stream, Vec<u8>, bool)> {
    lines.iter().map(|line| (line.stream, line.text.clone(), !line.partial)).collect()
}

fn reads() -> impl Strategy<Value = Vec<(Stream, Vec<u8>, bool)>> {
    let stream = prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    let byte = prop_oneof![1 => Just(b'\n'), 3 => any::<u8>()];
    let bytes = proptest::collection::vec(byte, 1..30);
    proptest::collection::vec((stream, bytes, any::<bool>()), 0..20)
}

proptest! {
    #[test]
    fn lines_are_the_same_from_every_place(reads in reads(), from in 1_u64..40, limit in 1_usize..9) {
        let dir = tempfile::tempdir().unwrap();
        let all = write(dir.path(), &reads);
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let expected = model(&reads);
        prop_assert_eq!(shape(&log.lines(1, 10_000).unwrap()), expected.clone());
        let some = log.lines(from, limit).unwrap();
        let first = (from - 1) as usize;
        let slice = expected.get(first..).unwrap_or_default();
        prop_assert_eq!(shape(&some), slice[..slice.len().min(limit)].to_vec());
        for (at, line) in some.iter().enumerate() {
            prop_assert_eq!(line.number, from + at as u64);
            prop_assert!(all[line.offset as usize..].starts_with(&line.text));
        }
    }

    #[test]
    fn each_stream_reads_back_in_the_order_in_which_it_was_written(reads in reads()) {
        let dir = quick_dir();
        let all = write(dir.path(), &reads);
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        for wanted in [Stream::Stdout, Stream::Stderr] {
            let written: Vec<u8> = reads
                .iter()
                .filter(|(stream, ..)| *stream == wanted)
                .flat_map(|(_, bytes, _)| bytes.clone())
                .collect();
            let read: Vec<u8> = log
                .lines_from_offset(0, u64::MAX)
                .unwrap()
                .iter()
                .filter(|line| line.stream == wanted)
                .flat_map(|line| all[line.offset as usize..line.end as usize].to_vec())
                .collect();
            prop_assert_eq!(read, written);
        }
        // Between them, the order of arrival.
        let arrived: Vec<u8> = reads.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(all, arrived);
    }

    #[test]
    fn any_pattern_of_cuts_brings_every_byte_once(
        reads in reads(),
        // What a client does next: gets so many bytes and is cut off, or waits for another read; and
        // how it comes back: by offset, or by the number of the line that it is in.
        steps in proptest::collection::vec((1_u64..40, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let dir = quick_dir();
        let mut writer = Writer::create(dir.path()).unwrap();
        let mut waiting = reads.iter().enumerate();
        let mut recorded: Vec<u8> = Vec::new();
        let mut client: Vec<u8> = Vec::new();
        let mut steps = steps.iter().cycle();
        loop {
            let (size, more, by_line) = *steps.next().unwrap();
            let mut last = false;
            if more || client.len() == recorded.len() {
                match waiting.next() {
                    Some((at, (stream, bytes, _))) => {
                        writer.append(*stream, bytes, at as i64, at as u64).1.unwrap();
                        writer.close_entry().unwrap();
                        recorded.extend_from_slice(bytes);
                    }
                    None => last = client.len() == recorded.len(),
                }
            }
            if last {
                break;
            }
            // A connection of its own: it knows nothing but where it was.
            let log = LogReader::open(dir.path()).unwrap().unwrap();
            prop_assert_eq!(log.position().unwrap().0, recorded.len() as u64);
            let have = client.len() as u64;
            if by_line && have > 0 {
                // The number of the line that its last byte is in leads to the same bytes.
                let known = log.lines_from_offset(have - 1, 1).unwrap();
                let line = log.lines(known[0].number, 1).unwrap();
                prop_assert!((line[0].offset..line[0].end).contains(&(have - 1)));
            }
            let from = have;
            let until = (from + size).min(recorded.len() as u64);
            let mut piece = vec![0; (until - from) as usize];
            log.read_at(&mut piece, from).unwrap();
            client.extend_from_slice(&piece);
            prop_assert_eq!(&client[..], &recorded[..client.len()]);
        }
        let all: Vec<u8> = reads.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(client, all);
    }

    #[test]
    fn reading_on_from_any_offset_brings_the_same_bytes_and_numbers(
        reads in reads(),
        cut in any::<prop::sample::Index>(),
        step in 1_u64..50,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let all = write(dir.path(), &reads);
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let numbers: Vec<u64> = {
            // The line number of each byte, from the whole.
            let lines = log.lines(1, 10_000).unwrap();
            lines.iter().flat_map(|l| (l.offset..l.end).map(|_| l.number)).collect()
        };
        prop_assert_eq!(numbers.len(), all.len());
        let mut at = if all.is_empty() { 0 } else { cut.index(all.len()) as u64 };
        let mut joined = all[..at as usize].to_vec();
        loop {
            let pieces = log.lines_from_offset(at, step).unwrap();
            if pieces.is_empty() {
                break;
            }
            for piece in pieces {
                prop_assert_eq!(piece.offset, at, "no gap, no repeat");
                if piece.offset < piece.end {
                    prop_assert_eq!(piece.number, numbers[at as usize]);
                }
                joined.extend_from_slice(&all[piece.offset as usize..piece.end as usize]);
                at = piece.end;
            }
        }
        prop_assert_eq!(joined, all);
    }

    #[test]
    fn damage_is_never_taken_for_proven(
        reads in reads(),
        file in 0_usize..3,
        place in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &reads);
        journal(dir.path());
        let path = dir.path().join(["output.log", "output.idx", "journal.ndjson"][file]);
        let mut bytes = fs::read(&path).unwrap();
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] ^= flip;
            fs::write(&path, &bytes).unwrap();
            let output = fs::read(dir.path().join("output.log")).unwrap();
            let recovery = recover(dir.path()).unwrap();
            let kept = fs::read(dir.path().join("output.log")).unwrap();
            prop_assert_eq!(&kept, &output, "recovery changes no output byte");
            prop_assert_ne!(recovery, Recovery::default(), "and says what it found");
            let log = LogReader::open(dir.path()).unwrap().unwrap();
            prop_assert_eq!(log.position().unwrap().0, output.len() as u64);
            let damaged = |line: &Line| {
                file == 0 && (line.offset..line.end).contains(&(at as u64))
            };
            for line in log.lines(1, 10_000).unwrap() {
                prop_assert!(!damaged(&line) || line.unverified || line.text.is_empty()
                    || log.lines(line.number, 1).unwrap()[0].unverified
                    || line_spans_entries(&log, &line));
            }
        }
    }
}

/// A line that began in a proven entry and went on in a damaged one.
fn line_spans_entries(log: &LogReader, line: &Line) -> bool {
    log.lines_from_offset(line.offset, 1).unwrap()[0].end < line.end
}

fn journal(dir: &Path) -> Vec<Event> {
    journal_whose_end_has(dir, None)
}

fn journal_whose_end_has(dir: &Path, index: Option<String>) -> Vec<Event> {
    let mut journal = JournalWriter::create(dir).unwrap();
    let started = EventKind::Started {
        pid: 1,
        start_ticks: 1,
        boot_id: "b".into(),
        recorder_pid: 2,
        keeper_pid: 3,
        containment: "keeper".into(),
        cgroup: None,
        host: "h".into(),
    };
    let step = EventKind::StepStarted {
        step: 0,
        name: "Größe 文".into(),
        parent: None,
        key: None,
        params: serde_json::Map::new(),
        dialect: None,
        loose: false,
    };
    let exited = EventKind::Exited {
        status: Status::Failed,
        reason: Some(Reason::ExitCode),
        exit_code: Some(3),
        signal: None,
        core: false,
        message: None,
        digest: String::new(),
        index,
        leftover: vec![],
    };
    let kinds = [started, step, EventKind::Resumed {}, exited];
    let events: Vec<Event> = kinds
        .into_iter()
        .enumerate()
        .map(|(at, kind)| Event {
            seq: at as u64 + 1,
            time_us: 5,
            at_us: 6,
            offset: 0,
            lines: 0,
            kind,
        })
        .collect();
    for event in &events {
        journal.append(event).unwrap();
    }
    events
}

/// Thousands of recoveries sync tens of thousands of files: in memory, where there is one.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What is left of output and index in the end of a journal, as recorders leave short logs.
fn index_into_journal(dir: &Path) -> Vec<Event> {
    let mut writer = Writer::resume(dir).unwrap();
    let index = writer.short_index(0).expect("short enough");
    let events = journal_whose_end_has(dir, Some(index));
    writer.remove_index();
    assert!(!dir.join("output.idx").exists());
    events
}

#[test]
fn a_record_cut_at_every_byte_recovers_what_is_proven() {
    let files = ["output.log", "output.idx", "journal.ndjson"];
    assert!(cut_everywhere(&files, journal) > 1_500);
}

#[test]
fn so_does_one_whose_end_has_the_index() {
    assert!(cut_everywhere(&["output.log", "journal.ndjson"], index_into_journal) > 1_500);
}

/// Damages each of the `files` of a record at every byte, and recovers it. Returns how often.
fn cut_everywhere(files: &[&str], make_journal: fn(&Path) -> Vec<Event>) -> u64 {
    let whole = tempfile::tempdir().unwrap();
    let reads: Vec<(Stream, Vec<u8>, bool)> = vec![
        (Stream::Stdout, b"first line\nsecond ".to_vec(), true),
        (Stream::Stderr, b"warning\n".to_vec(), false),
        (Stream::Stdout, b"goes on\n\n\xff\xfe\n".to_vec(), true),
        (Stream::Stdout, b"no end".to_vec(), true),
    ];
    let all = write(whole.path(), &reads);
    let events = make_journal(whole.path());
    let mut cuts = 0;
    for &name in files {
        let bytes = fs::read(whole.path().join(name)).unwrap();
        // A tail that is cut, zero-filled, or garbage of the same length.
        for (cut, fill) in
            (0..=bytes.len()).flat_map(|c| [(c, None), (c, Some(0)), (c, Some(0xa5))])
        {
            let dir = quick_dir();
            for other in files {
                fs::copy(whole.path().join(other), dir.path().join(other)).unwrap();
            }
            let mut damaged = bytes[..cut].to_vec();
            if let Some(fill) = fill {
                damaged.resize(bytes.len(), fill);
            }
            fs::write(dir.path().join(name), &damaged).unwrap();
            // A reader that comes before the recovery neither panics nor shows what is not there.
            let log = LogReader::open(dir.path()).unwrap();
            // Whatever became of the journal, the output is there to be read.
            assert!(name != "journal.ndjson" || log.is_some(), "{name} at {cut}");
            if let Some(log) = log {
                let lines = log.lines(1, 100);
                let _ = log.lines_from_offset(0, 100);
                if name == "journal.ndjson" {
                    let read: Vec<u64> = lines.unwrap().iter().map(|line| line.end).collect();
                    assert_eq!(read.last(), Some(&(all.len() as u64)), "{name} at {cut}");
                }
            }
            recover(dir.path()).unwrap();
            let again = recover(dir.path()).unwrap();
            assert_eq!(again.set_aside_bytes, 0, "{name} at {cut}: recovery is final");

            let output = fs::read(dir.path().join("output.log")).unwrap();
            let log = LogReader::open(dir.path()).unwrap().unwrap();
            assert_eq!(log.position().unwrap().0, output.len() as u64, "{name} at {cut}");
            if name == "output.log" {
                assert_eq!(output, damaged);
            } else {
                assert_eq!(output, all);
            }
            let joined: Vec<u8> = log
                .lines_from_offset(0, u64::MAX)
                .unwrap()
                .iter()
                .flat_map(|l| output[l.offset as usize..l.end as usize].to_vec())
                .collect();
            assert_eq!(joined, output);
            let mut reader = JournalReader::open(dir.path()).unwrap().unwrap();
            let read = reader.read_new().unwrap();
            assert!(events.starts_with(&read), "{name} at {cut}: a prefix, unchanged");
            if name != "journal.ndjson" {
                assert_eq!(read, events);
            }
            let mut state = ExecutionState::new(&spec());
            for event in &read {
                state.apply(event);
            }
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn a_log_reads_the_same_wherever_its_index_is() {
    let dir = tempfile::tempdir().unwrap();
    let reads: Vec<(Stream, Vec<u8>, bool)> = vec![
        (Stream::Stdout, b"first line\nsecond ".to_vec(), true),
        (Stream::Stderr, b"warning\n".to_vec(), true),
        (Stream::Stdout, b"goes on\n".to_vec(), true),
    ];
    write(dir.path(), &reads);
    let look = || {
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let text = |lines: Vec<Line>| format!("{lines:?}");
        (
            log.position().unwrap(),
            log.last_time_ns().unwrap(),
            text(log.lines(1, 100).unwrap()),
            text(log.lines(3, 1).unwrap()),
            text(log.lines_from_offset(13, 100).unwrap()),
            log.runs(0, 10).unwrap(),
        )
    };
    let before = look();
    let open = LogReader::open(dir.path()).unwrap().unwrap();
    index_into_journal(dir.path());
    assert_eq!(look(), before);
    assert_eq!(open.position().unwrap(), before.0, "one that was open goes on");
    recover(dir.path()).unwrap();
    assert!(dir.path().join("output.idx").exists(), "whoever writes on has a file again");
    assert_eq!(look(), before);
    // Too long for a journal's block.
    let long = tempfile::tempdir().unwrap();
    let many: Vec<_> = (0..30).map(|_| (Stream::Stdout, b"line\n".to_vec(), true)).collect();
    write(long.path(), &many);
    assert_eq!(Writer::resume(long.path()).unwrap().short_index(0), None);
}

#[test]
fn a_journal_is_followed_while_it_grows_and_unknown_kinds_keep_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let events = journal(dir.path());
    let path = dir.path().join("journal.ndjson");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, b"").unwrap();
    let mut reader = JournalReader::open(dir.path()).unwrap().unwrap();
    let mut read = Vec::new();
    for end in 1..=bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        read.extend(reader.read_new().unwrap());
    }
    assert_eq!(read, events);

    let body = r#"{"seq":5,"time_us":9,"at_us":9,"offset":0,"lines":0,"kind":"from_the_future","data":{"x":1}"#;
    let line = format!("{body},\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(body.as_bytes()));
    fs::write(&path, [bytes, line.into_bytes()].concat()).unwrap();
    let future = reader.read_new().unwrap();
    assert_eq!((future.len(), &future[0].kind), (1, &EventKind::Unknown));
}

#[test]
fn what_a_killed_writer_left_makes_place_and_a_record_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path()).unwrap();
    let spec = spec();
    let record = storage.record_dir(spec.id);
    std::fs::create_dir(&record).unwrap();
    storage.create_held(&spec).unwrap();
    assert_eq!(storage.spec(spec.id).unwrap(), spec);
    // Names without contents, as a machine leaves them that lost power.
    for name in ["spec.json", "spec.new", "output.log", "journal.ndjson"] {
        std::fs::write(record.join(name), "").unwrap();
    }
    assert!(matches!(storage.spec(spec.id), Err(RecordError::Missing { .. })));
    storage.create_held(&spec).unwrap();
    assert_eq!(storage.spec(spec.id).unwrap(), spec);
    assert!(!record.join("output.log").exists());
    // A record stays, and so does what has a line but no spec.
    assert!(storage.create_held(&spec).is_err());
    std::fs::remove_file(record.join("spec.json")).unwrap();
    std::fs::write(record.join("output.log"), "a line\n").unwrap();
    assert!(storage.create_held(&spec).is_err());
    assert_eq!(std::fs::read(record.join("output.log")).unwrap(), b"a line\n");
}

#[test]
fn what_is_near_the_end_reads_as_what_is_far_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let stream = |at: usize| if at.is_multiple_of(7) { Stream::Stderr } else { Stream::Stdout };
    let reads: Vec<_> = (0..200)
        .map(|at| (stream(at), format!("{at}{}", ["", "\n", "\n\nhalf"][at % 3]).into(), true))
        .collect();
    let all = write(dir.path(), &reads);
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let lines = log.lines(1, usize::MAX).unwrap();
    assert_eq!(shape(&lines), model(&reads));
    for (before, line) in lines.iter().enumerate() {
        assert_eq!(
            log.lines(line.number, 3).unwrap()[..],
            lines[before..lines.len().min(before + 3)]
        );
    }
    for from in 0..all.len() as u64 {
        let found = log.some_from_offset(from, u64::MAX, 2).unwrap();
        let line = lines.iter().find(|line| line.end > from).unwrap();
        assert_eq!((found[0].number, found[0].end), (line.number, line.end), "at {from}");
    }
    assert_eq!(log.some_from_offset(all.len() as u64, u64::MAX, 2).unwrap(), []);
}

#[test]
fn long_lines_come_in_marked_pieces_that_are_what_was_written() {
    const PIECE: usize = 64 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let lengths = [0, PIECE - 1, PIECE, PIECE + 1, 0, 1 << 20, 1, (1 << 20) + 7];
    let mut written = Vec::new();
    for (number, length) in lengths.iter().enumerate() {
        written.extend((0..*length).map(|at| b'a' + ((at / 3 + number) % 26) as u8));
        written.push(b'\n');
    }
    // Cut by reads as a pipe would: nowhere near the ends of lines.
    let reads: Vec<_> =
        written.chunks(50_021).map(|read| (Stream::Stdout, read.to_vec(), true)).collect();
    assert_eq!(write(dir.path(), &reads), written);
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let (mut from, mut pieces) = (0, Vec::new());
    loop {
        let some = log.some_from_offset(from, 100_000, 3).unwrap();
        let Some(last) = some.last() else { break };
        from = last.end;
        pieces.extend(some);
    }
    assert_eq!(from, written.len() as u64);
    let (mut joined, mut number) = (Vec::new(), 1);
    for (at, piece) in pieces.iter().enumerate() {
        assert!(piece.text.len() <= PIECE);
        assert_eq!((piece.number, piece.offset), (number, joined.len() as u64), "piece {at}");
        joined.extend_from_slice(&piece.text);
        if !piece.partial {
            joined.push(b'\n');
            number += 1;
        }
    }
    assert!(joined == written, "joined pieces are not what was written");
    let whole = log.lines(1, 100).unwrap();
    let shown: Vec<_> = whole.iter().map(|line| line.text.len() + line.rest as usize).collect();
    assert_eq!(shown, lengths, "a line that is cut says how much is left out");
}
