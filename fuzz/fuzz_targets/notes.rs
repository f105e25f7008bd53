//! Any bytes as notes: no panic, and they fold to a state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::{quick_dir, spec};
use stepflow_model::ExecutionState;
use stepflow_record::read_notes;

fuzz_target!(|data: &[u8]| {
    let dir = quick_dir();
    std::fs::write(dir.path().join("notes.ndjson"), data).expect("a file");
    let Ok(notes) = read_notes(dir.path()) else { return };
    assert_eq!(read_notes(dir.path()).expect("the same"), notes);
    let mut state = ExecutionState::new(&spec());
    for note in &notes {
        state.apply_note(note);
    }
});
