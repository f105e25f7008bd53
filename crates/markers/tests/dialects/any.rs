//! What holds for every input: pieces of all grammars, in any order, cut anywhere.

use std::{collections::BTreeSet, fs, path::Path};

use proptest::prelude::*;
use serde_json::Value;
use stepflow_markers::dialects::{
    Dialects, Ending, Event, EventKind, Selection, Stream, names, shipped_names,
};

/// All lines of the table of cases, and of the logs of tools.
fn lines() -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../dialect-cases.json")).unwrap();
    let inputs = all.iter().flat_map(|case| case["input"].as_array().unwrap());
    let mut lines: Vec<String> = inputs.map(|line| line.as_str().unwrap().to_owned()).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/golden");
    for name in TOOLS.iter().copied().chain(shipped_names()) {
        let mut logs: Vec<_> =
            fs::read_dir(golden.join(name)).unwrap().map(|log| log.unwrap().path()).collect();
        logs.sort();
        for log in logs.iter().filter(|path| path.extension().is_some_and(|e| e == "log")) {
            let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
            lines.extend(text.split('\n').take(40).map(str::to_owned));
        }
    }
    lines
}

/// Tools whose lines mean something beside others of the same log.
const TOOLS: [&str; 5] = ["make", "ninja", "cmake-make", "gcc-diag", "xtrace"];

/// A log of a tool as a whole, or of two, the one behind the other.
fn logs() -> impl Strategy<Value = Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/golden");
    let mut logs = Vec::new();
    for name in names().chain(shipped_names()) {
        for log in fs::read_dir(golden.join(name)).unwrap().map(|log| log.unwrap().path()) {
            if log.extension().is_some_and(|extension| extension == "log") {
                logs.push(fs::read(log).unwrap());
            }
        }
    }
    logs.sort();
    let one = proptest::sample::select(logs);
    (one.clone(), one).prop_map(|(first, second)| [first, second].concat())
}

/// Every dialect known to be in use.
fn all() -> Selection {
    let list: Vec<_> = names().collect();
    Selection::parse(&format!("auto,{}", list.join(","))).unwrap()
}

/// Some lines of the table, some of them cut short, run together or doubled.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let lines = lines();
    let line = (proptest::sample::select(lines), 0_usize..200, 0_u8..12, any::<u8>());
    proptest::collection::vec(line, 0..60).prop_map(|lines| {
        let mut bytes = Vec::new();
        for (line, cut, how, byte) in lines {
            let line = line.into_bytes();
            match how {
                0 => bytes.extend_from_slice(&line[..cut.min(line.len())]),
                1 => bytes.extend_from_slice(&line),
                2 => {
                    bytes.extend_from_slice(&line[cut.min(line.len())..]);
                    bytes.push(b'\n');
                }
                3 => bytes.extend([byte, byte, b' ']),
                _ => {
                    bytes.extend_from_slice(&line);
                    bytes.push(b'\n');
                }
            }
        }
        bytes
    })
}

fn run(selection: &Selection, pieces: &[(Stream, &[u8])]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut dialects = Dialects::new(selection);
    let mut offset = 0;
    for (stream, piece) in pieces {
        dialects.push(*stream, piece, offset, &mut |event| events.push(event));
        offset += piece.len() as u64;
    }
    for stream in [Stream::Stdout, Stream::Stderr] {
        dialects.end_stream(stream, &mut |event| events.push(event));
    }
    dialects.end(Ending::Exit(1), &mut |event| events.push(event));
    events
}

fn split<'a>(output: &'a [u8], cuts: &[usize]) -> Vec<(Stream, &'a [u8])> {
    let mut rest = output;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle().take(if cuts.is_empty() { 0 } else { output.len() }) {
        let (piece, after) = rest.split_at(*cut.min(&rest.len()));
        pieces.push((Stream::Merged, piece));
        rest = after;
    }
    pieces.push((Stream::Merged, rest));
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_split_changes_what_is_understood(
        output in prop_oneof![3 => output(), 1 => logs()],
        cuts in proptest::collection::vec(1_usize..90, 1..9),
    ) {
        for selection in [Selection::auto(), all()] {
            let whole = run(&selection, &split(&output, &[]));
            prop_assert_eq!(&whole, &run(&selection, &split(&output, &cuts)));
            prop_assert_eq!(&whole, &run(&selection, &split(&output, &[])), "twice the same");
        }
    }

    #[test]
    fn text_that_is_asked_for_changes_nothing_else(output in output()) {
        let mut events = Vec::new();
        let mut dialects = Dialects::new(&Selection::auto()).with_text();
        let mut say = |event: Event| match event.kind {
            EventKind::Log { .. } => {}
            _ => events.push(event),
        };
        dialects.push(Stream::Merged, &output, 0, &mut say);
        dialects.end_stream(Stream::Stdout, &mut say);
        dialects.end(Ending::Exit(1), &mut say);
        let mut quick = run(&Selection::auto(), &split(&output, &[]));
        quick.retain(|event| !matches!(event.kind, EventKind::Log { .. }));
        prop_assert_eq!(quick, events);
    }

    #[test]
    fn steps_start_inside_open_ones_and_all_end(
        output in output(),
        other in output(),
    ) {
        let pieces = [(Stream::Stdout, output.as_slice()), (Stream::Stderr, other.as_slice())];
        let mut open = BTreeSet::new();
        let mut started = 0;
        for event in run(&all(), &pieces) {
            match event.kind {
                EventKind::StepStart { step, parent, name, .. } => {
                    prop_assert_eq!(step.0, started, "numbers have no holes");
                    prop_assert!(parent.is_none_or(|parent| open.contains(&parent)));
                    prop_assert!(!name.is_empty() && !name.contains('\n'));
                    open.insert(step);
                    started += 1;
                }
                EventKind::StepEnd { step, .. } => {
                    prop_assert!(step.0 < started);
                    open.remove(&step);
                }
                EventKind::Annotation(annotation) => {
                    prop_assert!(annotation.step.is_none_or(|step| open.contains(&step)));
                }
                _ => {}
            }
        }
        prop_assert!(open.is_empty(), "left open: {open:?}");
    }

    #[test]
    fn own_markers_alone_are_what_they_were(output in output()) {
        let mut found = Vec::new();
        let mut scanner = stepflow_markers::Scanner::new();
        scanner.push(&output, 0, &mut |f| found.push((f.start, f.end)));
        scanner.finish(&mut |f| found.push((f.start, f.end)));
        let mut lines: Vec<_> = run(&Selection::native(), &split(&output, &[]))
            .iter()
            .filter(|event| event.place.start < event.place.end)
            .map(|event| (event.place.start, event.place.end))
            .collect();
        lines.dedup();
        prop_assert_eq!(found, lines);
    }
}
