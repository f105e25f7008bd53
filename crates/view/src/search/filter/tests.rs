use std::{fs, os::unix::fs::FileExt, path::Path};

use proptest::prelude::*;
use stepflow_model::{ExecutionId, Note, NoteKind, Reason, Spec, Stream};
use stepflow_record::{
    Compression, Filtering, Storage, WholeBuffers, WholeRecord, Writer, append_note,
};

use super::*;
use crate::Syntax;

const BEGIN: Cursor = Cursor { offset: 0, line: 1 };
const ALL: Bounds = Bounds { until: u64::MAX, half: true };

struct Record {
    _root: tempfile::TempDir,
    storage: Storage,
    id: ExecutionId,
}

impl Record {
    /// An ended one. `keep`: more output than that loses its middle.
    fn new(reads: &[(Stream, Vec<u8>)], keep: Option<u64>) -> Self {
        let text = r#"{"id":"0198c2aa-0000-7000-8000-000000000001","name":"test","command":["true"],
            "cwd":"/","env":{},"env_inherited":[],"mask_env":[],"tags":[],"metadata":{},"user":"",
            "created_us":1,"source":"cli","bound":false,"timeout_ms":null,"grace_ms":1,"drain_ms":1,
            "stop_on_error":false,"split_stderr":false,"shell":false,"rerun_of":null}"#;
        let spec: Spec = serde_json::from_str(text).unwrap();
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(root.path()).unwrap();
        let mut buffers = WholeBuffers::default();
        WholeRecord::begin(&storage, &spec, 0, &mut buffers).unwrap().finish().unwrap();
        let dir = storage.record_dir(spec.id);
        for name in ["output.log", "output.idx"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        let mut writer = Writer::create(&dir).unwrap();
        for (at, (stream, bytes)) in reads.iter().enumerate() {
            writer.append(*stream, bytes, 1, at as u64 * 1_000_000).1.unwrap();
            writer.close_entry().unwrap();
            if let Some(keep) = keep
                && let Some(dropped) = writer.excess(keep).unwrap()
            {
                assert!(writer.drop_output(dropped).unwrap(), "not on this file system");
            }
        }
        let lost = NoteKind::Lost { reason: Reason::RecorderLost };
        append_note(&dir, &Note { time_us: 9, kind: lost }).unwrap();
        Self { _root: root, storage, id: spec.id }
    }

    fn compress(&self, filtering: Filtering) {
        let done = self.storage.compress(self.id, Some(filtering), &mut || true).unwrap();
        assert!(matches!(done, Compression::Done { .. }), "{done:?}");
    }

    fn log(&self) -> LogReader {
        LogReader::open(&self.storage.record_dir(self.id)).unwrap().unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.storage.record_dir(self.id).join("output.log.zst")
    }
}

fn plainly(log: &LogReader, pattern: &Pattern, from: Cursor) -> Vec<Hit> {
    let mut hits = Vec::new();
    search(log, pattern, from, ALL, &mut || true, &mut |hit| hits.push(hit)).unwrap();
    hits
}

/// With filters; `patient`: all at once, else going on after every read.
fn skipping(log: &LogReader, pattern: &Pattern, from: Cursor, patient: bool) -> (Vec<Hit>, Tally) {
    let (mut hits, mut tally, mut at) = (Vec::new(), Tally::default(), from);
    loop {
        let sink = &mut |hit| hits.push(hit);
        let (next, complete) =
            search_skipping(log, pattern, at, ALL, &mut tally, &mut || patient, sink).unwrap();
        if complete {
            return (hits, tally);
        }
        assert!(!patient && next.line > at.line, "it goes on");
        at = next;
    }
}

const PATTERNS: [(&str, bool, bool); 17] = [
    (r"\x01ctl", true, true),
    ("^Actl", false, true),
    ("ctl\u{fffd}", false, true),
    ("needle", false, true),
    ("NEEDLE", false, false),
    ("kiss", false, false),
    ("abc def", false, true),
    ("世界", false, false),
    ("éa", false, false),
    ("ee", false, true),
    ("never there", false, true),
    (r"need(le|ed)\s", true, false),
    (r"^abc$", true, true),
    (r"\bdef\b.*abc", true, true),
    (r"\Aabc", true, true),
    (r"[0-9]{3}", true, true),
    (r"a(bc|cb)+ d", true, true),
];

fn reads() -> impl Strategy<Value = Vec<(Stream, Vec<u8>)>> {
    let piece = proptest::sample::select(vec![
        &b"abc def"[..],
        b"\n",
        b"\n",
        b"ab\x1b[31mc\x1b[0m def\n",
        b"need\x1b[1mle \n",
        b"xeedle\rn\n",
        b"nee\x08\x08\x08needed\n",
        b"abc\r\n",
        "éA 世界\n".as_bytes(),
        "\u{212a}i\u{17f}\u{17f}\n".as_bytes(),
        b"KISS 123\n",
        b"need",
        b"le",
        b"\xff\xfe\x00\n",
        b"\x01ctl\xff",
        b"padding padding padding padding padding padding padding padding\n",
        b"padding padding padding padding padding padding padding padding\n",
    ]);
    let run = (any::<bool>(), proptest::collection::vec(piece.prop_map(<[u8]>::to_vec), 1..60));
    let run = run.prop_map(|(stderr, pieces)| {
        (if stderr { Stream::Stderr } else { Stream::Stdout }, pieces.concat())
    });
    proptest::collection::vec(run, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn with_filters_a_search_finds_what_it_finds_without(
        reads in reads(),
        size in 0..3_usize,
        start: u64,
        gone: bool,
    ) {
        let record = Record::new(&reads, gone.then_some(12 << 10));
        let plain = record.log();
        let (_, lines) = plain.position().unwrap();
        record.compress([filter_by::<97>, filter_by::<700>, filter_by::<5_000>][size]);
        let compressed = record.log();
        let line = 1 + start % (lines + 1);
        let middle = Cursor { offset: plain.line_start(line).unwrap(), line };
        for (text, regex, case) in PATTERNS {
            let pattern = Pattern::new(text, Syntax { regex, case }).unwrap();
            for from in [BEGIN, middle] {
                // What was dropped while it ran is filler in both forms.
                let expected = plainly(&plain, &pattern, from);
                for patient in [true, false] {
                    let (found, _) = skipping(&compressed, &pattern, from, patient);
                    prop_assert_eq!(&found, &expected, "{} from {:?}", text, from);
                }
            }
        }
    }
}

/// Blocks of ordinary lines, one of which holds the word.
fn ordinary() -> Record {
    let mut text = Vec::new();
    for number in 0..40_000_u32 {
        let word = if number == 23_456 { "nEEdle" } else { "thing" };
        text.extend_from_slice(format!("[{number}] compiled a {word} in 3 ms\n").as_bytes());
    }
    Record::new(
        &text.chunks(60_000).map(|read| (Stream::Stdout, read.to_vec())).collect::<Vec<_>>(),
        None,
    )
}

#[test]
fn what_cannot_hold_a_match_is_skipped_and_damage_makes_no_difference_but_of_time() {
    let record = ordinary();
    let pattern = Pattern::new("needle", Syntax::default()).unwrap();
    let expected = plainly(&record.log(), &pattern, BEGIN);
    assert_eq!(expected.iter().map(|hit| hit.line).collect::<Vec<_>>(), [23_457]);
    let plain_bytes = record.log().position().unwrap().0;
    record.compress(filter);
    let (found, tally) = skipping(&record.log(), &pattern, BEGIN, true);
    assert_eq!(found, expected);
    assert_eq!(tally.scanned + tally.skipped, plain_bytes);
    assert!(tally.scanned <= 300 << 10, "{tally:?}");
    assert_eq!(record.storage.verify(record.id).unwrap().flaws, []);

    let whole = fs::read(record.file()).unwrap();
    let log = record.log();
    let group = log.filters(0).unwrap().unwrap();
    let takes = group.bytes();
    assert!(takes as u64 * 20 < plain_bytes, "{takes} of {plain_bytes} bytes");
    // Where the filters stand: behind eight zero-padded bytes that say how many blocks there are.
    let head = [(group.len() as u32).to_le_bytes(), [0; 4]].concat();
    let at = memchr::memmem::rfind(&whole, &head).unwrap();
    let damage = |place: usize| {
        let file = fs::OpenOptions::new().write(true).open(record.file()).unwrap();
        file.write_all_at(&[whole[place] ^ 0x10], place as u64).unwrap();
        let log = record.log();
        let (found, tally) = skipping(&log, &pattern, BEGIN, true);
        assert_eq!(found, expected, "damage at {place}");
        assert_eq!(tally, Tally { scanned: plain_bytes, skipped: 0 }, "damage at {place}");
        let flaws = record.storage.verify(record.id).unwrap().flaws;
        assert!(flaws[0].what.contains("filters"), "{flaws:?}");
        fs::write(record.file(), &whole).unwrap();
    };
    for place in [at, at + 8, at + 30, at + takes - 1] {
        damage(place);
    }
    // The section with the place of that group: version 1, zero, place.
    let head = [&1_u32.to_le_bytes()[..], &[0; 4], &(at as u64).to_le_bytes()].concat();
    let section = memchr::memmem::rfind(&whole, &head).unwrap();
    for place in [section, section + 9, section + 16, section + 20] {
        damage(place);
    }
}

#[test]
fn a_log_without_filters_is_searched_whole() {
    let record = ordinary();
    let pattern = Pattern::new("needle", Syntax::default()).unwrap();
    let (running, tally) = skipping(&record.log(), &pattern, BEGIN, true);
    let bytes = record.log().position().unwrap().0;
    assert_eq!((running.len(), tally), (1, Tally { scanned: bytes, skipped: 0 }));
    let done = record.storage.compress(record.id, None, &mut || true).unwrap();
    assert!(matches!(done, Compression::Done { .. }));
    assert_eq!(record.log().filter_groups(), []);
    assert_eq!(skipping(&record.log(), &pattern, BEGIN, true), (running, tally));
}

#[test]
fn lines_of_any_length_are_found() {
    let mut reads = Vec::new();
    for number in 0..60 {
        reads.push((Stream::Stdout, vec![b'x'; 60_000]));
        if number % 20 == 7 {
            reads.push((Stream::Stdout, b"nee".to_vec()));
            reads.push((Stream::Stdout, b"dle\nshort\n".to_vec()));
        }
    }
    let record = Record::new(&reads, None);
    let pattern = Pattern::new("needle", Syntax { regex: false, case: true }).unwrap();
    let expected = plainly(&record.log(), &pattern, BEGIN);
    assert_eq!(expected.iter().map(|hit| hit.line).collect::<Vec<_>>(), [1, 3, 5]);
    record.compress(filter);
    assert_eq!(skipping(&record.log(), &pattern, BEGIN, true).0, expected);
    let other = Pattern::new("needles", Syntax { regex: false, case: true }).unwrap();
    assert_eq!(skipping(&record.log(), &other, BEGIN, true).0, []);
    assert!(skipping(&record.log(), &other, BEGIN, true).1.skipped > 0);
}

#[test]
fn who_stops_the_making_of_filters_stops_the_compression() {
    let record = ordinary();
    let mut asked = 0;
    let stopped = record.storage.compress(record.id, Some(filter), &mut || {
        asked += 1;
        asked < 9
    });
    assert_eq!(stopped.unwrap(), Compression::Stopped);
    assert!(!Path::exists(&record.file()));
}
