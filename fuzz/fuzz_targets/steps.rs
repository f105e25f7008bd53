//! Any output as markers, folded into steps: no panic; every step has an end, lies within its parent,
//! and the steps are the same whatever the reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::spec;
use stepflow_markers::dialects::{self, Dialects, Selection, Stream};
use stepflow_model::{Event, ExecutionState, steps};

fuzz_target!(|data: &[u8]| {
    let Some((size, output)) = data.split_first() else { return };
    let whole = fold(output, output.len().max(1));
    assert_eq!(fold(output, usize::from(*size).max(1)).steps, whole.steps);
    assert!(whole.open.is_empty());
    for step in &whole.steps {
        let end = step.end_offset.expect("an end");
        assert!(step.start_offset <= end && end <= output.len() as u64);
        if let Some(parent) = step.parent {
            let parent = &whole.steps[parent as usize];
            assert!(parent.start_offset <= step.start_offset);
            assert!(step.end_offset <= parent.end_offset);
        }
    }
});

fn fold(output: &[u8], size: usize) -> ExecutionState {
    let mut dialects = Dialects::new(&Selection::auto());
    let mut said: Vec<dialects::Event> = Vec::new();
    let mut at = 0;
    for read in output.chunks(size) {
        dialects.push(Stream::Merged, read, at as u64, &mut |one| said.push(one));
        at += read.len();
    }
    dialects.end_stream(Stream::Merged, &mut |one| said.push(one));
    let outcome = steps::Outcome { exit_code: Some(0), ..steps::Outcome::default() };
    let verdict = steps::verdict(&outcome);
    let ending = steps::ending(&verdict, Some(0));
    let open = dialects.settle(ending, &mut |one| said.push(one));
    let mut state = ExecutionState::new(&spec());
    let mut seq = 0;
    let mut apply = |state: &mut ExecutionState, offset: u64, kind| {
        seq += 1;
        // As a journal does: offsets never go back.
        let offset = offset.max(state.summary.position.bytes);
        state.apply(&Event { seq, time_us: 1, at_us: seq, offset, lines: 0, kind });
    };
    for (one, opens) in steps::with_openings(said) {
        for (place, kind) in steps::decide(&state, &one, opens, false).events {
            let at_start = place == steps::At::LineStart;
            apply(&mut state, if at_start { one.place.start } else { one.place.end }, kind);
        }
    }
    for kind in steps::finish(&state, &verdict, Some(0), &steps::verdicts(&open)) {
        apply(&mut state, output.len() as u64, kind);
    }
    state
}
