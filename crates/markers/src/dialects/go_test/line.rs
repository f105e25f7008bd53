//! The grammar of lines of text.

use crate::dialects::TestStatus;

/// A line holds at most so many dashes that may begin a result glued to other output.
const DASHES_MAX: usize = 4;

/// The name in `=== RUN   NAME`.
pub(super) fn announced(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("=== RUN")?;
    let name = rest.trim_start_matches(' ');
    let whole = name.len() < rest.len() && !name.is_empty();
    (whole && !name.contains(char::is_whitespace)).then_some(name)
}

/// The name in `=== PAUSE NAME`, `=== CONT  NAME`, `=== NAME  NAME`.
pub(super) fn with_word(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("=== ")?;
    let word = ["PAUSE ", "CONT  ", "NAME  "];
    word.iter().find_map(|word| rest.strip_prefix(word)).filter(|name| !name.contains(' '))
}

/// Name, status and milliseconds in `--- PASS: NAME (S.SSs)` at any indentation, or behind output
/// that a test left unfinished.
pub(super) fn result(text: &str) -> Option<(&str, TestStatus, Option<u64>)> {
    let mut places = text.rmatch_indices("--- ").take(DASHES_MAX);
    places.find_map(|(at, dashes)| {
        let (word, rest) = text[at + dashes.len()..].split_once(": ")?;
        let status = match word {
            "PASS" => TestStatus::Passed,
            "FAIL" => TestStatus::Failed,
            "SKIP" => TestStatus::Skipped,
            _ => return None,
        };
        let (name, time) = rest.trim_end().split_once(" (")?;
        let seconds = time.strip_suffix("s)")?;
        Some((name, status, Some(milliseconds(seconds.parse().ok()?)?)))
    })
}

/// Seconds as milliseconds; `None` if they are none.
pub(super) fn milliseconds(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).round() as u64)
}

/// The end of a package.
pub(super) enum PackageLine<'a> {
    Ok(&'a str),
    Failed(&'a str),
    /// Its name, and what the line says.
    NotBuilt(&'a str, &'a str),
    NoTests,
}

/// `ok  \tPACKAGE\tTIME`, `FAIL\tPACKAGE\tTIME`, `?   \tPACKAGE\t[no test files]`,
/// `FAIL\tPACKAGE [build failed]`.
pub(super) fn package_line(text: &str) -> Option<PackageLine<'_>> {
    let (word, rest) = text.split_once('\t')?;
    if let Some(message) =
        rest.strip_suffix(" [build failed]").or(rest.strip_suffix(" [setup failed]"))
    {
        let whole = word == "FAIL" && is_package(message);
        return whole.then_some(PackageLine::NotBuilt(message, rest));
    }
    let (package, third) = rest.split_once('\t')?;
    let first = third.split('\t').next().unwrap_or(third);
    let is_time = first == "(cached)"
        || first.starts_with('[')
        || first.split(' ').next().is_some_and(|time| {
            time.strip_suffix('s').is_some_and(|time| time.parse::<f64>().is_ok())
        });
    if !is_package(package) || !is_time {
        return None;
    }
    match word {
        "ok  " => Some(PackageLine::Ok(package)),
        "FAIL" => Some(PackageLine::Failed(package)),
        "?   " => Some(PackageLine::NoTests),
        _ => None,
    }
}

fn is_package(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}
