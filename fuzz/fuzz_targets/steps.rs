//! Any output as markers, folded into steps: no panic; every step has an end, lies within its parent,
//! and the steps are the same whatever the reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepflow_fuzz::spec;
use stepflow_markers::{Found, Scanner};
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
    let mut found: Vec<Found> = Vec::new();
    let mut scanner = Scanner::new();
    let mut at = 0;
    for read in output.chunks(size) {
        scanner.push(read, at as u64, &mut |one| found.push(one));
        at += read.len();
    }
    scanner.finish(&mut |one| found.push(one));
    let mut state = ExecutionState::new(&spec());
    let mut seq = 0;
    let mut apply = |state: &mut ExecutionState, offset, kind| {
        seq += 1;
        state.apply(&Event { seq, time_us: 1, at_us: seq, offset, lines: 0, kind });
    };
    for one in &found {
        let Ok(marker) = &one.outcome else { continue };
        for (place, kind) in steps::decide(&state, marker, false).events {
            let offset = if place == steps::At::LineStart { one.start } else { one.end };
            apply(&mut state, offset, kind);
        }
    }
    let outcome = steps::Outcome { exit_code: Some(0), ..steps::Outcome::default() };
    let verdict = steps::verdict(&outcome);
    for kind in steps::finish(&state, &verdict, Some(0)) {
        apply(&mut state, output.len() as u64, kind);
    }
    state
}
