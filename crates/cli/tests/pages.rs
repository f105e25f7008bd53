//! What the guide shows of each dialect is what `stepflow parse` prints of it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{fs, path::Path};

use stepflow_testkit::Scratch;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// What stands between a line that opens a block of this kind and the line that closes it.
fn block<'a>(page: &'a str, kind: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("```{kind}\n"))?;
    rest.split_once("\n```").map(|(block, _)| block)
}

/// `STEPFLOW_BLESS=1` writes what is printed now.
#[test]
fn every_page_of_a_dialect_shows_what_its_log_is_read_as() {
    let scratch = Scratch::new(STEPFLOW);
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/dialects");
    let mut paths: Vec<_> = fs::read_dir(pages).unwrap().map(|page| page.unwrap().path()).collect();
    paths.sort();
    let mut run = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let page = fs::read_to_string(path).unwrap();
        // The index shows none, and what is no log has a page that is checked by reading it.
        let (Some(log), Some(console)) = (block(&page, "text"), block(&page, "console")) else {
            continue;
        };
        let Some((command, shown)) = console.split_once('\n') else { continue };
        let Some(rest) = command.strip_prefix("$ stepflow parse ") else { continue };
        let (flags, found) = match rest.strip_suffix(" | grep found") {
            Some(flags) => (flags, true),
            None => (rest, false),
        };
        run += 1;
        let (flags, file) = flags.rsplit_once(' ').expect("a file");
        let log = log.replace("\\e", "\x1b").replace("\\r", "\r");
        fs::write(scratch.work().join(file), log + "\n").unwrap();
        let args: Vec<&str> = ["parse"].into_iter().chain(flags.split(' ')).chain([file]).collect();
        let output =
            scratch.command(&args).env("XDG_CONFIG_HOME", scratch.work()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> =
            printed.lines().filter(|line| !found || line.contains("found in")).collect();
        let printed = lines.join("\n");
        if std::env::var_os("STEPFLOW_BLESS").is_some() {
            fs::write(
                path,
                page.replacen(&format!("{command}\n{shown}"), &format!("{command}\n{printed}"), 1),
            )
            .unwrap();
            continue;
        }
        assert_eq!(printed, shown, "{}", path.display());
    }
    assert!(run >= 20, "{run} pages with a log");
}
