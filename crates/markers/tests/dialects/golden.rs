//! A log of each dialect, as its tool prints it, and what is understood of it.

use std::{fmt::Write, fs, path::Path};

use stepflow_markers::dialects::{
    Dialects, Ending, Event, Selection, Stream, names, shipped_names,
};

use crate::json;

fn understood(name: &str, log: &[u8], ending: Ending) -> String {
    let opt_in = Selection::parse(&format!("auto,+{name}")) != Ok(Selection::auto());
    let list = if opt_in { format!("auto,{name}") } else { "auto".to_owned() };
    let mut dialects = Dialects::new(&Selection::parse(&list).unwrap()).with_text();
    let mut text = String::new();
    let line_of = |offset: u64| 1 + memchr::memchr_iter(b'\n', &log[..offset as usize]).count();
    let mut say = |event: Event| {
        let line = line_of(event.place.start);
        match json::event(&event) {
            Some(json) => writeln!(text, "{line}: {json}").unwrap(),
            None => writeln!(text, "{line}: {} {:?}", event.dialect, event.kind).unwrap(),
        }
    };
    dialects.push(Stream::Merged, log, 0, &mut say);
    dialects.end_stream(Stream::Merged, &mut say);
    dialects.end(ending, &mut say);
    text
}

/// How the command ended whose output a log is: `NAME.from` beside it has the tool's version, the
/// command and its exit code.
fn ending(log: &Path) -> Ending {
    let from = fs::read_to_string(log.with_extension("from")).unwrap_or_default();
    let code = from.lines().find_map(|line| line.strip_prefix("exit: "));
    Ending::Exit(code.map_or(0, |code| code.parse().unwrap()))
}

/// `STEPFLOW_BLESS=1` writes what is understood now; the difference is to be read.
#[test]
fn every_dialect_understands_a_log_of_its_tool() {
    let bless = std::env::var_os("STEPFLOW_BLESS").is_some();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/golden");
    for name in names().chain(shipped_names()) {
        let mut logs = 0;
        for entry in fs::read_dir(golden.join(name)).expect(name).map(Result::unwrap) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            logs += 1;
            let found = understood(name, &fs::read(&path).unwrap(), ending(&path));
            let expected = path.with_extension("expected");
            if bless {
                fs::write(&expected, &found).unwrap();
            }
            let known = fs::read_to_string(&expected).expect("no .expected beside the log");
            for (number, (known, found)) in known.lines().zip(found.lines()).enumerate() {
                assert_eq!(found, known, "{}, line {}", expected.display(), number + 1);
            }
            assert_eq!(known, found, "{}", expected.display());
            let word = format!("{name} Detected");
            assert!(found.contains(&word), "{}: never detected", path.display());
        }
        assert!(logs > 0, "no log of {name}");
    }
}
