//! The words for levels.

use super::Level;

/// What a label says. Unlike [`Level`] it knows a line that says of itself that all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Of a level.
    Level(Level),
    /// Informational.
    Info,
}

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Mixed,
}

const ERROR: &[&str] = &["error", "err", "erro", "fatal", "fata", "panic"];
/// Words that are levels only as they stand here.
const EXACT_ERROR: &[&str] = &["critical", "CRITICAL", "crit", "CRIT", "SEVERE", "emerg"];
const EXACT_DEBUG: &[&str] = &["dbg", "DBG", "TRC"];
const WARNING: &[&str] = &["warning", "warn", "deprecation", "deprecated"];
const DEBUG: &[&str] = &["debug", "debu", "trace"];
const INFO: &[&str] = &["info", "inf", "information", "note", "hint", "help", "config", "success"];

/// The word, and how it is written.
pub(super) fn word(text: &str) -> Option<(Word, Case)> {
    if !(2..=11).contains(&text.len()) {
        return None;
    }
    let (first, rest) = text.split_at_checked(1)?;
    let upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
    let lower = rest.bytes().all(|byte| byte.is_ascii_lowercase());
    let capital = lower && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !upper && !capital {
        return None; // eRRor is a name.
    }
    let is = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(text));
    let word = if is(ERROR) || EXACT_ERROR.contains(&text) {
        Word::Level(Level::Error)
    } else if is(WARNING) || text == "WRN" {
        Word::Level(Level::Warning)
    } else if text.eq_ignore_ascii_case("notice") {
        Word::Level(Level::Notice)
    } else if is(DEBUG) || EXACT_DEBUG.contains(&text) {
        Word::Level(Level::Debug)
    } else if is(INFO) {
        Word::Info
    } else {
        return None;
    };
    Some((word, if upper { Case::Upper } else { Case::Mixed }))
}

/// The level that a field's value names, whatever its case.
pub(super) fn value(text: &str) -> Option<Word> {
    match text {
        // log15's words of four letters, behind `lvl=`.
        "eror" => Some(Word::Level(Level::Error)),
        "dbug" => Some(Word::Level(Level::Debug)),
        _ => word(text).map(|(word, _)| word).filter(|_| !text.eq_ignore_ascii_case("config")),
    }
}

/// The level of a workflow command.
pub(super) fn command(word: &str) -> Option<Level> {
    match word {
        "error" => Some(Level::Error),
        "warning" => Some(Level::Warning),
        "notice" => Some(Level::Notice),
        "debug" => Some(Level::Debug),
        "group" | "endgroup" | "section" | "command" | "add-mask" | "set-output"
        | "stop-commands" | "save-state" => Some(Level::Other),
        _ => None,
    }
}

/// Whether a name of a class says that something went wrong: `java.io.IOException`, `KeyError`.
pub(super) fn exception(name: &str) -> Option<Level> {
    let last = name.rsplit(['.', '$', ':', '\\']).next()?;
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| last.ends_with(suffix));
    let named = name.len() <= 160
        && last.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$:\\".contains(&b));
    if !named {
        return None;
    }
    if ends(&["Error", "Exception", "KeyboardInterrupt", "Failure"]) {
        Some(Level::Error)
    } else {
        (last.len() > "Warning".len() && ends(&["Warning"])).then_some(Level::Warning)
    }
}
