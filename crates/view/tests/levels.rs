//! Levels of the lines of real logs. `tests/logs/NAME.log` was printed by the tool of that name (by
//! hand: `handmade-*`), `NAME.levels` says which lines have a level: `number level`. After a change
//! of the rules, `STEPFLOW_BLESS=1` writes them anew; a person reads the difference.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fmt::Write, fs, path::Path};

use stepflow_view::{Finder, Level, Source, Style, Verdict, draw, verdict};

fn verdicts(log: &[u8]) -> Vec<(String, Verdict)> {
    let mut style = Style::default();
    log.split(|byte| *byte == b'\n')
        .map(|line| draw(Source::Whole(line), &mut style).text)
        .map(|text| (text.clone(), verdict(&text)))
        .collect()
}

#[test]
fn lines_of_real_logs_have_the_levels_that_a_reader_gives_them() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let bless = std::env::var_os("STEPFLOW_BLESS").is_some();
    let mut wrong = String::new();
    let mut seen = 0;
    for entry in fs::read_dir(&logs).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        seen += 1;
        let found: String = verdicts(&fs::read(&path).unwrap())
            .iter()
            .zip(1..)
            .filter(|((_, verdict), _)| verdict.level != Level::Other)
            .fold(String::new(), |mut found, ((_, verdict), number)| {
                let marker = if verdict.finder == Finder::Marker { " marker" } else { "" };
                writeln!(found, "{number} {}{marker}", verdict.level.as_str()).unwrap();
                found
            });
        let expected = path.with_extension("levels");
        if bless {
            fs::write(&expected, found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            writeln!(wrong, "{}:\n{found}", path.display()).unwrap();
        }
    }
    assert!(seen > 25, "the logs are gone");
    assert!(wrong.is_empty(), "not as expected:\n{wrong}");
}

#[test]
fn innocent_lines_have_no_level() {
    let log = include_bytes!("logs/handmade-innocent.log");
    for (text, verdict) in verdicts(log) {
        assert_eq!(verdict.level, Level::Other, "{text}");
    }
}
