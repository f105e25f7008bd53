//! The grammar of a line.

use crate::dialects::{
    Severity, TestStatus,
    words::{digits, split_while},
};

/// Verbs end at this column.
const COLUMN: usize = 12;

/// A line that begins with an aligned verb.
pub(super) enum Verb<'a> {
    /// The build goes on; whether people want to know.
    Works { text: &'a str, tells: bool },
    /// The build has ended.
    Finished,
    /// A test binary, or the tests in a crate's documentation, run.
    Tests(String),
}

pub(super) fn verb(text: &str) -> Option<Verb<'_>> {
    let line = text.trim_start_matches(' ');
    let (word, rest) = line.split_once(' ')?;
    if text.len() - line.len() + word.len() != COLUMN {
        return None;
    }
    let tells = matches!(word, "Compiling" | "Checking" | "Documenting" | "Downloading");
    let works = match word {
        "Compiling" | "Checking" | "Documenting" | "Fresh" | "Dirty" | "Adding" => is_package(rest),
        "Downloaded" => is_package(rest) || is_count_of(rest, "crate"),
        "Downloading" => rest.starts_with("crates ...") || is_count_of(rest, "crate"),
        "Building" => rest.starts_with("[="),
        "Updating" => {
            rest == "crates.io index"
                || ["git repository `", "registry `", "`"]
                    .iter()
                    .any(|what| rest.strip_prefix(what).is_some_and(|rest| rest.contains('`')))
        }
        "Locking" => is_count_of(rest, "package"),
        "Blocking" => rest.starts_with("waiting for file lock on "),
        "Finished" => return rest.contains(" target(s) in ").then_some(Verb::Finished),
        "Running" => return test_binary(rest).map(Verb::Tests),
        "Doc-tests" => {
            let crate_name = rest.trim_end();
            return is_name(crate_name).then(|| Verb::Tests(format!("doc-tests {crate_name}")));
        }
        _ => false,
    };
    works.then(|| Verb::Works { text: line.trim_end(), tells })
}

/// `NAME vVERSION`, whatever follows.
fn is_package(text: &str) -> bool {
    let Some((name, rest)) = text.split_once(' ') else { return false };
    let version = rest.strip_prefix('v').is_some_and(|rest| rest.starts_with(is_digit));
    is_name(name) && version
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_name(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(is)
}

/// `N WORD`, or more of them.
fn is_count_of(text: &str, word: &str) -> bool {
    split_while(text, is_digit)
        .and_then(|(_, rest)| rest.strip_prefix(' '))
        .is_some_and(|rest| rest.starts_with(word))
}

/// The name of a test binary's step, from `unittests PATH (EXE)` or `PATH.rs (EXE)`.
fn test_binary(text: &str) -> Option<String> {
    let (path, exe) = text.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    let of_source = path.strip_suffix(".rs").is_some_and(|path| !path.starts_with('`'));
    if !(of_source || path == "unittests" || path.starts_with("unittests ")) {
        return None;
    }
    let exe = exe.rsplit(['/', '\\']).next().unwrap_or(exe);
    let exe = exe.strip_suffix(".exe").unwrap_or(exe);
    let exe = match exe.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        _ => exe,
    };
    (!exe.is_empty()).then(|| format!("{path} ({exe})"))
}

/// N of `running N tests`.
pub(super) fn running(text: &str) -> Option<u64> {
    let (count, rest) = split_while(text.strip_prefix("running ")?, is_digit)?;
    matches!(rest, " test" | " tests").then(|| digits(count)).flatten()
}

/// Whether a line names a test, whatever became of it.
pub(super) fn is_test_line(text: &str) -> bool {
    text.strip_prefix("test ").is_some_and(|rest| rest.contains(" ... "))
}

/// Whether these are results of at most so many tests as letters.
pub(super) fn is_letters(text: &str, tests: u64) -> bool {
    let (letters, count) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
    let counted = count.is_empty()
        || count.split_once('/').is_some_and(|(done, all)| {
            digits::<u64>(done).is_some() && digits::<u64>(all) == Some(tests)
        });
    let fits = !letters.is_empty() && letters.len() as u64 <= tests;
    counted && fits && letters.bytes().all(|byte| b".Fia".contains(&byte))
}

/// A line of the test harness.
pub(super) enum HarnessLine<'a> {
    Test {
        name: &'a str,
        status: TestStatus,
        message: Option<&'a str>,
        duration_ms: Option<u64>,
    },
    /// What a test printed follows.
    Output,
    Totals(Totals),
}

#[derive(Clone, Copy)]
pub(super) struct Totals {
    pub(super) ok: bool,
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) measured: u64,
}

impl Totals {
    /// How many results they are.
    pub(super) fn sum(self) -> u64 {
        [self.passed, self.failed, self.ignored, self.measured]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

pub(super) fn harness(text: &str) -> Option<HarnessLine<'_>> {
    if let Some(rest) = text.strip_prefix("---- ") {
        let ends = rest.ends_with(" stdout ----") || rest.ends_with(" stderr ----");
        return ends.then_some(HarnessLine::Output);
    }
    let rest = text.strip_prefix("test ")?;
    if let Some(rest) = rest.strip_prefix("result: ") {
        return totals(rest).map(HarnessLine::Totals);
    }
    let (name, result) = rest.rsplit_once(" ... ")?;
    let kinds = [" - should panic", " - compile fail", " - compile"];
    let name = kinds.iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name);
    // `--report-time`: ` <0.001s>`.
    let timed = result.strip_suffix("s>").and_then(|left| left.rsplit_once(" <"));
    let (result, duration_ms) = match timed.map(|(left, time)| (left, time.parse::<f64>())) {
        Some((left, Ok(seconds))) if seconds >= 0.0 => {
            (left, Some((seconds * 1000.0).round() as u64))
        }
        _ => (result, None),
    };
    let (status, message) = match result {
        "ok" => (TestStatus::Passed, None),
        "FAILED" | "FAILED (time limit exceeded)" => (TestStatus::Failed, None),
        "ignored" => (TestStatus::Skipped, None),
        _ if result.starts_with("bench: ") => (TestStatus::Passed, None),
        _ => (TestStatus::Skipped, Some(result.strip_prefix("ignored, ")?)),
    };
    (!name.is_empty()).then_some(HarnessLine::Test { name, status, message, duration_ms })
}

/// `ok. P passed; F failed; I ignored; M measured; …`.
fn totals(text: &str) -> Option<Totals> {
    let (ok, rest) = match text.strip_prefix("ok. ") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("FAILED. ")?),
    };
    let mut parts = rest.split("; ");
    let mut count = |word: &str| {
        let (count, rest) = split_while(parts.next()?, is_digit)?;
        (rest.strip_prefix(' ')? == word).then(|| digits(count)).flatten()
    };
    Some(Totals {
        ok,
        passed: count("passed")?,
        failed: count("failed")?,
        ignored: count("ignored")?,
        measured: count("measured")?,
    })
}

/// The first line of a diagnostic.
pub(super) struct Diagnostic {
    pub(super) severity: Severity,
    pub(super) code: Option<String>,
    pub(super) message: String,
    /// Of a package as a whole, `NAME@VERSION: text`: no place follows.
    pub(super) of_package: bool,
}

pub(super) fn diagnostic(text: &str) -> Option<Diagnostic> {
    let (severity, rest) = match text.strip_prefix("warning") {
        Some(rest) => (Severity::Warning, rest),
        None => (Severity::Error, text.strip_prefix("error")?),
    };
    let (code, message) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (code, message) = rest.split_once("]: ")?;
            let word = !code.is_empty() && code.bytes().all(|b| b.is_ascii_graphic());
            (Some(code).filter(|_| word), message)
        }
        None => (None, rest.strip_prefix(": ")?),
    };
    let message = message.trim();
    let of_package = code.is_none() && is_of_package(message);
    (!message.is_empty()).then(|| Diagnostic {
        severity,
        code: code.map(str::to_owned),
        message: message.to_owned(),
        of_package,
    })
}

/// Whether a message begins with `NAME@1.2.3`.
fn is_of_package(message: &str) -> bool {
    let Some((package, rest)) = message.split_once(": ") else { return false };
    let Some((name, version)) = package.split_once('@') else { return false };
    let mut numbers = version.splitn(3, '.');
    let mut number = || numbers.next().is_some_and(|number| number.starts_with(is_digit));
    is_name(name) && !rest.is_empty() && number() && number() && number() && !version.contains(' ')
}

/// File, line and column in ` --> FILE:LINE:COL`.
pub(super) fn place(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let rest = text.trim_start_matches(' ').strip_prefix("--> ")?;
    if !text.starts_with(' ') {
        return None;
    }
    let (rest, last) = rest.trim_end().rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    let number = |text: &str| digits::<u32>(text).filter(|_| !text.is_empty());
    let (line, col) = (number(line)?, number(last)?);
    (!file.is_empty()).then_some((file, line, Some(col)))
}
