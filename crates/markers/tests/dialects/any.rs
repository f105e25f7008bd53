//! What holds for every input: pieces of all grammars, in any order, cut anywhere.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use proptest::prelude::*;
use serde_json::Value;
use stepflow_markers::dialects::{
    Dialects, Ending, Event, EventKind, OWN, Selection, Stream, names,
};

/// All lines of the table of cases, what each case is made of as a whole, and runs of lines of the
/// logs: where two lines belong together, chance alone would hardly bring them together.
static FRAGMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let all: Vec<Value> = serde_json::from_str(include_str!("../dialect-cases.json")).unwrap();
    let inputs = all.iter().map(|case| case["input"].as_array().unwrap());
    let inputs = inputs.map(|lines| lines.iter().map(|line| line.as_str().unwrap().to_owned()));
    let mut fragments: Vec<String> = inputs.clone().flatten().collect();
    fragments.extend(inputs.map(|lines| lines.collect::<Vec<_>>().join("\n")));
    for (_, log) in logs() {
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<_> = log.lines().filter(|line| line.len() < 300).collect();
        fragments.extend(lines.chunks(5).map(|lines| lines.join("\n")));
    }
    fragments
});

/// The logs of tools, by dialect, in order of their names.
fn logs() -> Vec<(String, Vec<u8>)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/golden");
    let folders = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|dir| fs::read_dir(dir).unwrap());
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let name = |path: &Path| path.parent()?.file_name()?.to_str().map(str::to_owned);
    files.iter().map(|path| (name(path).unwrap(), fs::read(path).unwrap())).collect()
}

/// A log of one tool that loses, repeats, swaps and breaks some of its lines.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let logs: Vec<_> = logs().into_iter().map(|(_, log)| log).collect();
    let change = (0_usize..400, 0_u8..6, any::<u8>());
    (proptest::sample::select(logs), proptest::collection::vec(change, 0..12)).prop_map(
        |(log, changes)| {
            let mut lines: Vec<Vec<u8>> =
                log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            for (at, how, byte) in changes {
                let count = lines.len();
                if count == 0 {
                    break;
                }
                let at = at % count;
                match how {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(at, lines[at].clone()),
                    2 => lines.swap(at, usize::from(byte) % count),
                    3 => {
                        let length = lines[at].len();
                        lines[at].truncate(usize::from(byte) % (length + 1));
                    }
                    4 => lines[at].insert(0, b' '),
                    _ => lines[at].push(byte),
                }
            }
            lines.concat()
        },
    )
}

/// Every dialect known to be in use.
fn all() -> Selection {
    let list: Vec<_> = names().collect();
    Selection::parse(&format!("auto,{}", list.join(","))).unwrap()
}

/// Some of these, some of them cut short, run together or doubled.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let line = (proptest::sample::select(&FRAGMENTS[..]), 0_usize..200, 0_u8..12, any::<u8>());
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

#[test]
fn no_split_changes_what_is_understood_of_a_log() {
    for (name, log) in logs() {
        for selection in [Selection::auto(), all()] {
            let whole = run(&selection, &split(&log, &[]));
            for cuts in [&[1][..], &[2, 3, 5], &[7, 64, 1], &[100, 4_096]] {
                assert_eq!(whole, run(&selection, &split(&log, cuts)), "{name} {cuts:?}");
            }
        }
    }
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
        output in output(),
        cuts in proptest::collection::vec(1_usize..90, 1..9),
    ) {
        for selection in [Selection::auto(), all()] {
            let whole = run(&selection, &split(&output, &[]));
            prop_assert_eq!(&whole, &run(&selection, &split(&output, &cuts)));
            prop_assert_eq!(&whole, &run(&selection, &split(&output, &[])), "twice the same");
        }
    }

    #[test]
    fn no_split_of_a_damaged_log_changes_what_is_understood(
        output in damaged(),
        cuts in proptest::collection::vec(1_usize..300, 1..9),
    ) {
        let selection = Selection::auto();
        let whole = run(&selection, &split(&output, &[]));
        prop_assert_eq!(&whole, &run(&selection, &split(&output, &cuts)));
        let mut open = BTreeSet::new();
        for event in whole {
            match event.kind {
                EventKind::StepStart { step, parent, .. } => {
                    prop_assert!(parent.is_none_or(|parent| open.contains(&parent)));
                    open.insert(step);
                }
                EventKind::StepEnd { step, .. } => {
                    open.remove(&step);
                }
                _ => {}
            }
        }
        prop_assert!(open.is_empty(), "left open: {open:?}");
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

#[test]
fn a_dialect_says_the_same_of_its_log_with_and_without_the_others() {
    for (name, log) in logs() {
        let alone = ["ctest", "go-test", "pytest", "tqdm"];
        if !alone.contains(&name.as_str()) {
            continue;
        }
        let told = |list: &str| {
            let selection = Selection::parse(list).unwrap();
            let mut events = run(&selection, &split(&log, &[]));
            // What compilers and an interpreter print beside it is theirs.
            events.retain(|event| [name.as_str(), OWN].contains(&&*event.dialect));
            events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
        };
        assert_eq!(told(&format!("{name},-native")), told("auto"), "{name}");
    }
}
