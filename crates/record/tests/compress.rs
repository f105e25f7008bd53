//! Logs compressed after the end: the same to every reader, byte for byte, whatever happens to the
//! file or to whom compresses it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use proptest::prelude::*;
use stepflow_model::{EventKind, ExecutionId, Note, NoteKind, Source, Spec, Status, Stream};
use stepflow_record::{
    Block, Compression, Line, LogReader, RecordError, Storage, WholeBuffers, WholeRecord, Writer,
};

fn spec(number: u64) -> Spec {
    Spec {
        name: "test".into(),
        command: vec!["true".into()],
        cwd: "/".into(),
        grace_ms: 1,
        drain_ms: 1,
        ..Spec::new(
            format!("0198c2aa-0000-7000-8000-{number:012}").parse::<ExecutionId>().unwrap(),
            Source::Cli,
            1,
        )
    }
}

/// A storage with one ended record.
struct Ended {
    root: tempfile::TempDir,
    storage: Storage,
    id: ExecutionId,
}

impl Ended {
    fn dir(&self) -> PathBuf {
        self.storage.record_dir(self.id)
    }

    fn log(&self) -> LogReader {
        LogReader::open(&self.dir()).unwrap().unwrap()
    }

    fn compress(&self) -> Compression {
        self.storage.compress(self.id, None, &mut || true).unwrap()
    }

    /// A copy of it as it is now.
    fn copy(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(root.path()).unwrap();
        let nothing = Storage::at(&root.path().join("nothing")).unwrap();
        self.storage.copy_record(self.id, &nothing, &storage).unwrap();
        Self { root, storage, id: self.id }
    }
}

/// Lines, each an entry of its own when `apart`.
fn ended(lines: impl Iterator<Item = Vec<u8>>, apart: bool) -> Ended {
    let root = tempfile::tempdir().unwrap();
    let storage = Storage::open(root.path()).unwrap();
    let spec = spec(1);
    let mut buffers = WholeBuffers::default();
    let mut record = WholeRecord::begin(&storage, &spec, 0, &mut buffers).unwrap();
    for (line, at) in lines.zip(1_i64..) {
        record.line(&line, if apart { at * 1_000_003 } else { 1 }).unwrap();
    }
    end(record);
    Ended { root, storage, id: spec.id }
}

fn end(mut record: WholeRecord<'_>) {
    let digest = record.digest().unwrap();
    let exited = EventKind::Exited {
        status: Status::Completed,
        reason: None,
        exit_code: Some(0),
        signal: None,
        core: false,
        message: None,
        leftover: Vec::new(),
        digest,
        index: None,
    };
    record.event(exited, 5).unwrap();
    record.finish().unwrap();
}

/// A record with both streams and half lines, as a recorder writes it.
fn mixed(reads: &[(Stream, Vec<u8>, bool)]) -> Ended {
    let made = ended(std::iter::empty(), false);
    let dir = made.dir();
    for name in ["output.log", "output.idx"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    let mut writer = Writer::create(&dir).unwrap();
    for (at, (stream, bytes, close)) in reads.iter().enumerate() {
        writer.append(*stream, bytes, at as i64 * 1_000, at as u64).1.unwrap();
        if *close {
            writer.close_entry().unwrap();
        }
    }
    writer.close_entry().unwrap();
    // The end that the record has tells of an empty log.
    let journal = dir.join("journal.ndjson");
    let text = fs::read_to_string(&journal).unwrap();
    let (head, _) = text.split_once('\n').unwrap();
    fs::write(&journal, format!("{head}\n")).unwrap();
    let lost = stepflow_model::Note {
        time_us: 9,
        kind: stepflow_model::NoteKind::Lost { reason: stepflow_model::Reason::RecorderLost },
    };
    stepflow_record::append_note(&dir, &lost).unwrap();
    made
}

/// All that readers may ask of a log, at these places.
fn answers(log: &LogReader, places: &[u64]) -> Vec<String> {
    let mut all = vec![format!("{:?} {:?}", log.position(), log.last_time_ns().unwrap())];
    let (bytes, lines) = log.position().unwrap();
    let mut output = Vec::new();
    log.range(0, bytes).read_to_end(&mut output).unwrap();
    all.push(format!("{output:?}"));
    for place in places {
        let (offset, line) = (place % (bytes + 1), 1 + place % (lines + 2));
        let show = |lines: Vec<Line>| format!("{lines:?}");
        all.push(show(log.lines(line, 7).unwrap()));
        all.push(show(log.lines_from_offset(offset, 300).unwrap()));
        all.push(format!("{:?}", log.runs(offset, 5).unwrap()));
        all.push(format!("{}", log.line_at(offset).unwrap()));
        all.push(format!("{}", log.line_start(line.min(lines + 1)).unwrap()));
        let mut block = Block::default();
        log.block(offset, log.line_at(offset).unwrap(), 500, &mut block).unwrap();
        all.push(format!("{block:?}"));
        let mut range = vec![0; (bytes - offset).min(1_000) as usize];
        log.read_at(&mut range, offset).unwrap();
        all.push(format!("{range:?}"));
    }
    all
}

fn reads() -> impl Strategy<Value = Vec<(Stream, Vec<u8>, bool)>> {
    let stream = prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    let byte = prop_oneof![1 => Just(b'\n'), 3 => any::<u8>()];
    let bytes = proptest::collection::vec(byte, 1..30);
    proptest::collection::vec((stream, bytes, any::<bool>()), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_compressed_log_answers_every_question_as_before(
        reads in reads(),
        places in proptest::collection::vec(0_u64..2_000, 6),
    ) {
        let made = mixed(&reads);
        let before = answers(&made.log(), &places);
        let done = made.compress();
        let is_done = matches!(done, Compression::Done { .. });
        prop_assert!(is_done, "{:?}", done);
        prop_assert!(made.log().output().is_none());
        prop_assert_eq!(answers(&made.log(), &places), before);
        let proof = made.storage.verify(made.id).unwrap();
        prop_assert!(proof.flaws.is_empty() && proof.compressed, "{:?}", proof);
    }
}

/// Larger than frames and pieces are: 5,000 entries, 1.2 MB.
fn large() -> Ended {
    let line =
        |n: u64| format!("{n} {:x} {}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15), "x".repeat(200));
    ended((0..5_000).map(|n| line(n).into_bytes()), true)
}

#[test]
fn every_frame_and_every_piece_is_found_from_anywhere() {
    let made = large();
    let places: Vec<u64> = (0..60).map(|n| n * 20_983 + 262_140 * (n % 5)).collect();
    let before = answers(&made.log(), &places);
    let output = fs::read(made.dir().join("output.log")).unwrap();
    let open = made.log();
    let sizes = match made.compress() {
        Compression::Done { output_bytes, before, after } => (output_bytes, before, after),
        other => panic!("{other:?}"),
    };
    assert_eq!(sizes.0, output.len() as u64);
    assert!(sizes.2 * 4 < sizes.1, "{sizes:?}");
    assert_eq!(made.storage.stored_log(made.id), (sizes.2, true));
    assert_eq!(answers(&made.log(), &places), before);
    // Who had it open before goes on, undisturbed.
    assert!(!made.dir().join("output.log").exists() && !made.dir().join("output.idx").exists());
    assert_eq!(answers(&open, &places), before);
    assert!(made.storage.verify(made.id).unwrap().sealed);
    // A second time there is nothing to do.
    assert_eq!(made.compress(), Compression::Already);
    // And whoever has the usual program needs nothing of ours.
    match Command::new("zstdcat").arg(made.dir().join("output.log.zst")).output() {
        Ok(shown) => {
            assert!(shown.stdout == output, "{:?}", String::from_utf8_lossy(&shown.stderr));
        }
        Err(error) => println!("zstdcat was not tried: {error}"),
    }
    let bytes = fs::read(made.dir().join("output.log.zst")).unwrap();
    assert!(zstd::stream::decode_all(&bytes[..]).unwrap() == output);
}

#[test]
fn a_small_record_costs_four_blocks() {
    let made = ended((0..12).map(|n| format!("line {n}").into_bytes()), true);
    assert!(matches!(made.compress(), Compression::Done { .. }));
    let blocks = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    let files: u64 = fs::read_dir(made.dir()).unwrap().map(|e| blocks(&e.unwrap().path())).sum();
    assert!(files + blocks(&made.dir()) <= 16 * 1024, "{files}");
    assert!(fs::metadata(made.dir().join("output.log.zst")).unwrap().len() < 1_500);
}

#[test]
fn an_empty_log_is_compressed_too() {
    let made = ended(std::iter::empty(), false);
    assert!(matches!(made.compress(), Compression::Done { output_bytes: 0, .. }));
    assert_eq!(made.log().position().unwrap(), (0, 0));
    assert_eq!(made.log().lines(1, 5).unwrap(), []);
    assert!(made.storage.verify(made.id).unwrap().flaws.is_empty());
}

/// Any changed byte, any cut: no reader is ever shown a byte that was not recorded, and `verify`
/// says that it is damaged.
#[test]
fn no_changed_byte_of_it_is_ever_taken_for_output() {
    let made = ended((0..40).map(|n| format!("line {n} {}", n * n).into_bytes()), true);
    let output = fs::read(made.dir().join("output.log")).unwrap();
    let lines: Vec<Line> = made.log().lines(1, 100).unwrap();
    made.compress();
    let path = made.dir().join("output.log.zst");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    let mut look = |bytes: &[u8], place: &str| {
        fs::remove_file(&path).unwrap(); // Another file: what was kept of the old one is not its.
        fs::write(&path, bytes).unwrap();
        match LogReader::open(&made.dir()) {
            Ok(Some(log)) => {
                let mut read = vec![0; output.len()];
                match log.read_at(&mut read, 0) {
                    Ok(()) => assert!(read == output, "{place}"),
                    Err(RecordError::Damaged { .. }) => refused += 1,
                    Err(error) => panic!("{place}: {error}"),
                }
                if let Ok(found) = log.lines(1, 100) {
                    assert_eq!(found, lines, "{place}");
                }
            }
            Ok(None) => panic!("{place}: no log"),
            Err(RecordError::Damaged { .. } | RecordError::TooNew { .. }) => refused += 1,
            Err(error) => panic!("{place}: {error}"),
        }
        made.storage.verify(made.id)
    };
    // Bytes that say nothing: heads of frames that are skipped, reserved ones, other sections'.
    let mut unseen = 0;
    for at in 0..whole.len() {
        for bit in [0, 5] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            match look(&bytes, &format!("byte {at} bit {bit}")) {
                Ok(proof) => unseen += u32::from(proof.flaws.is_empty()),
                Err(RecordError::TooNew { .. }) => {}
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
        let proof = look(&whole[..at], &format!("cut at {at}")).unwrap();
        assert!(!proof.flaws.is_empty(), "cut at {at}");
    }
    // Six frames to skip have 8 bytes each of a head that only other programs read.
    assert!(unseen <= 2 * 6 * 8, "{unseen}");
    assert!(refused > whole.len(), "{refused}");
}

#[test]
fn what_is_not_clean_or_not_over_stays_as_it_is() {
    let made = ended((0..50).map(|n| format!("line {n}").into_bytes()), true);
    let plain = |made: &Ended| {
        let names = ["output.log", "output.idx", "output.log.zst", "output.log.zst.new"];
        names.map(|name| made.dir().join(name).exists()) == [true, true, false, false]
    };
    // Who still holds the claim may write.
    let claim = stepflow_sys::lock::Lock::try_take(&made.storage.claim(made.id)).unwrap().unwrap();
    assert_eq!(made.compress(), Compression::Busy);
    drop(claim);
    // Somebody else is at it: whose file stays.
    let new = made.dir().join("output.log.zst.new");
    let turn = stepflow_sys::lock::Lock::try_take(&new).unwrap().unwrap();
    assert_eq!(made.compress(), Compression::Busy);
    assert!(new.exists());
    drop(turn);
    fs::remove_file(&new).unwrap();
    // The caller has enough.
    let stopped = ended((0..30_000).map(|n| format!("{n:0>60}").into_bytes()), false);
    for asked in 0..3 {
        let mut left = asked;
        let mut go_on = || {
            left -= 1;
            left >= 0
        };
        let outcome = stopped.storage.compress(stopped.id, None, &mut go_on).unwrap();
        assert_eq!(outcome, Compression::Stopped);
        assert!(plain(&stopped));
    }
    // Damage of every file that vouches for the log.
    for (name, at) in [("output.log", 30), ("output.idx", 70), ("journal.ndjson", 80)] {
        let damaged = made.copy();
        let path = damaged.dir().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        match damaged.storage.compress(damaged.id, None, &mut || true) {
            Ok(Compression::Flawed(_) | Compression::Busy) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert!(plain(&damaged), "{name}");
    }
    // Bytes that nobody recorded.
    let longer = made.copy();
    fs::OpenOptions::new()
        .append(true)
        .open(longer.dir().join("output.log"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"more"))
        .unwrap();
    assert!(matches!(longer.compress(), Compression::Flawed(_)));
    assert!(plain(&longer));
    assert!(matches!(made.compress(), Compression::Done { .. }));
}

#[test]
fn every_state_that_a_crash_leaves_is_read_and_brought_to_an_end() {
    let made = large();
    let places: Vec<u64> = (0..20).map(|n| n * 60_001).collect();
    let before = answers(&made.log(), &places);
    let done = made.copy();
    done.compress();
    let zst = fs::read(done.dir().join("output.log.zst")).unwrap();
    // What is there, and what a reader takes.
    let states: [(&str, &[&str], &[u8]); 5] = [
        ("half written", &[], &zst[..zst.len() / 2]),
        ("written, not renamed", &[], &zst),
        ("renamed", &["new"], &zst),
        ("index removed", &["new", "output.idx"], &zst),
        ("output removed", &["new", "output.log"], &zst),
    ];
    for (state, gone, bytes) in states {
        let crashed = made.copy();
        let renamed = gone.contains(&"new");
        let name = if renamed { "output.log.zst" } else { "output.log.zst.new" };
        fs::write(crashed.dir().join(name), bytes).unwrap();
        for name in gone.iter().filter(|name| **name != "new") {
            fs::remove_file(crashed.dir().join(name)).unwrap();
        }
        assert_eq!(answers(&crashed.log(), &places), before, "{state}");
        assert!(crashed.storage.verify(made.id).unwrap().flaws.is_empty(), "{state}");
        // A backup of that state is whole, too.
        let copy = crashed.copy();
        assert_eq!(answers(&copy.log(), &places), before, "{state}, copied");
        assert!(!copy.dir().join("output.log.zst.new").exists());
        let outcome = crashed.compress();
        assert!(matches!(outcome, Compression::Done { .. } | Compression::Already), "{state}");
        let mut names: Vec<_> = fs::read_dir(crashed.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("output"))
            .collect();
        names.sort();
        assert_eq!(names, ["output.log.zst"], "{state}");
        assert_eq!(answers(&crashed.log(), &places), before, "{state}, after");
        drop(crashed.root);
    }
}

/// A log that is compressed between the two halves of a backup is not taken out of it: what was
/// copied has nothing else of it.
#[test]
fn what_is_compressed_while_it_is_backed_up_stays_in_the_backup() {
    let one = ended((0..2_000).map(|n| format!("line {n}\n").into_bytes()), false);
    let backup = one.copy();
    let staging = |name: &str| Storage::open(&backup.root.path().join(name)).unwrap();
    let label = |name: &str| {
        let kind = NoteKind::Labelled { name: Some(name.into()), tags: None, pinned: None };
        stepflow_record::append_note(&one.dir(), &Note { time_us: 1, kind }).unwrap();
    };
    let bytes = |of: &Ended| {
        let log = of.log();
        let mut all = vec![0; log.position().unwrap().0 as usize];
        log.read_at(&mut all, 0).unwrap();
        all
    };
    let whole = bytes(&one);
    label("first");
    let first = staging("first");
    let copied = one.storage.copy_record(one.id, &backup.storage, &first).unwrap();
    assert_eq!(copied.stale, Vec::<PathBuf>::new());
    assert!(matches!(one.compress(), Compression::Done { .. }));
    first.place_copy(one.id, &backup.storage, &copied.stale).unwrap();
    assert_eq!(backup.storage.verify(one.id).unwrap().flaws, []);
    assert!(bytes(&backup) == whole);

    // The next one takes the compressed log over, and only then lets go of the plain one.
    let second = staging("second");
    let copied = one.storage.copy_record(one.id, &backup.storage, &second).unwrap();
    assert!(!copied.stale.is_empty() && backup.dir().join("output.log").exists());
    second.place_copy(one.id, &backup.storage, &copied.stale).unwrap();
    assert!(!backup.dir().join("output.log").exists());
    assert_eq!(backup.storage.verify(one.id).unwrap().flaws, []);
    assert!(bytes(&backup) == whole);
}
