//! Any bytes as output, index and journal of a record: no panic; a recovery is final, changes no output
//! byte, and what a reader shows afterwards is the output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::{files, quick_dir};
use stepflow_record::{JournalReader, LogReader, recover};

fuzz_target!(|data: &[u8]| {
    let dir = quick_dir();
    let parts = files(dir.path(), &["output.idx", "journal.ndjson", "output.log"], data);
    if let Ok(Some(log)) = LogReader::open(dir.path()) {
        let _ = log.lines(1, 50);
    }
    if recover(dir.path()).is_err() {
        return;
    }
    let again = recover(dir.path()).expect("what was recovered once");
    assert_eq!(again.set_aside_bytes, 0, "a recovery is final");
    assert_eq!(std::fs::read(dir.path().join("output.log")).expect("the output"), parts[2]);
    let log = LogReader::open(dir.path()).expect("a log").expect("a log");
    let (bytes, _) = log.position().expect("a position");
    assert_eq!(bytes, parts[2].len() as u64);
    let mut joined = Vec::new();
    for line in log.lines_from_offset(0, u64::MAX).expect("lines") {
        joined.extend_from_slice(&parts[2][line.offset as usize..line.end as usize]);
    }
    assert_eq!(joined, parts[2]);
    if let Ok(Some(mut journal)) = JournalReader::open(dir.path()) {
        let events = journal.read_new().expect("a recovered journal");
        assert!(events.iter().enumerate().all(|(at, event)| event.seq == at as u64 + 1));
    }
});
