//! Any bytes, cut into reads at any places, in one stream or two: no panic, the same events as in
//! one piece, and steps that start inside open ones and all end.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use stepflow_markers::dialects::{
    Dialects, Ending, Event, EventKind, Selection, Stream, names, shipped_names,
};

// The first byte picks a dialect or a problem matcher that is known to be in use beside all others;
// from 128 on all of them are, so that a seed means the same whatever dialects are added. The second
// byte says how many of the next ones are the sizes of the reads.
fuzz_target!(|data: &[u8]| {
    let [dialect, count, rest @ ..] = data else { return };
    let names: Vec<_> = names().chain(shipped_names()).collect();
    let list = match dialect {
        0..128 => names[usize::from(*dialect) % names.len()].to_owned(),
        128.. => names.join(","),
    };
    let selection = Selection::parse(&format!("auto,{list}")).expect("the names are ours");
    let (sizes, output) = rest.split_at(rest.len().min(usize::from(*count % 32)));
    let whole = run(&selection, output, &[]);
    assert_eq!(run(&selection, output, sizes), whole);
    let mut open = BTreeSet::new();
    for event in whole {
        match event.kind {
            EventKind::StepStart { step, parent, .. } => {
                assert!(parent.is_none_or(|parent| open.contains(&parent)));
                assert!(open.insert(step));
            }
            EventKind::StepEnd { step, .. } => {
                open.remove(&step);
            }
            _ => {}
        }
    }
    assert!(open.is_empty());
});

fn run(selection: &Selection, output: &[u8], sizes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut dialects = Dialects::new(selection);
    let mut at = 0;
    for size in sizes.iter().map(|size| usize::from(*size)).chain([output.len()]) {
        let end = (at + size).min(output.len());
        let piece = &output[at..end];
        dialects.push(Stream::Merged, piece, at as u64, &mut |event| events.push(event));
        at = end;
    }
    dialects.end_stream(Stream::Merged, &mut |event| events.push(event));
    dialects.end(Ending::Exit(1), &mut |event| events.push(event));
    events
}
