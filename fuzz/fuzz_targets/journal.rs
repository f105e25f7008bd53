//! Any bytes as a journal that grows: no panic; the events are the same however it comes, in order and
//! without holes, and fold to a state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::{quick_dir, spec};
use stepflow_model::ExecutionState;
use stepflow_record::JournalReader;

fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    let dir = quick_dir();
    let path = dir.path().join("journal.ndjson");
    std::fs::write(&path, bytes).expect("a file");
    let read = || {
        let mut reader = JournalReader::open(dir.path()).ok()??;
        reader.read_new().ok()
    };
    let Some(whole) = read() else { return };
    let cut = bytes.len() * usize::from(*cut) / 255;
    std::fs::write(&path, &bytes[..cut]).expect("a file");
    let mut reader = JournalReader::open(dir.path()).expect("a journal").expect("a journal");
    let Ok(mut events) = reader.read_new() else { return };
    std::fs::write(&path, bytes).expect("a file");
    events.extend(reader.read_new().unwrap_or_default());
    assert_eq!(events, whole, "cut at {cut}");
    let mut state = ExecutionState::new(&spec());
    for (at, event) in whole.iter().enumerate() {
        assert_eq!(event.seq, at as u64 + 1);
        state.apply(event);
    }
});
