//! The grammar of a line.

use crate::dialects::{
    TestStatus,
    words::{digits, split_while},
};

/// A summary has at most so many counts.
const COUNTS_MAX: usize = 32;
/// A line of the short summary is split at so many places at most, to find the test's name.
const SPLITS_MAX: usize = 16;

/// `=== TITLE ===`, or with exclamation marks.
pub(super) struct Heading<'a> {
    mark: char,
    title: &'a str,
    /// So many marks are on the side that has fewer.
    pub(super) marks: usize,
    /// Characters of the line.
    pub(super) width: usize,
}

/// What a heading begins.
pub(super) enum Title {
    /// A section that repeats output of others.
    Quoted,
    /// The short summary.
    Summary,
    /// Another known section.
    Section,
    /// It stops before the end.
    Stopped,
    /// Somebody has asked it to stop.
    Interrupted,
    /// The session's last line.
    Totals(Totals),
}

pub(super) struct Totals {
    pub(super) counts: Vec<(String, u64)>,
}

pub(super) fn heading(text: &str) -> Option<Heading<'_>> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '=' | '!'))?;
    let (left, rest) = split_while(text.trim_end(), |c| c == mark)?;
    let rest = rest.strip_prefix(' ')?;
    let title = rest.trim_end_matches(mark);
    let right = rest.len() - title.len();
    let title = title.strip_suffix(' ').filter(|title| !title.is_empty() && right > 0)?;
    let width = left.len() + 2 + title.chars().count() + right;
    Some(Heading { mark, title, marks: left.len().min(right), width })
}

impl Heading<'_> {
    /// Whether it begins a session.
    pub(super) fn is_start(&self) -> bool {
        self.mark == '=' && self.marks >= 3 && self.title == "test session starts"
    }

    pub(super) fn title(&self) -> Option<Title> {
        if self.mark == '!' {
            let by_somebody = ["KeyboardInterrupt", "_pytest.outcomes.Exit"];
            return if by_somebody.iter().any(|why| self.title.starts_with(why)) {
                Some(Title::Interrupted)
            } else {
                Some(Title::Stopped)
            };
        }
        Some(match self.title {
            "FAILURES"
            | "ERRORS"
            | "PASSES"
            | "XFAILURES"
            | "XPASSES"
            | "warnings summary"
            | "warnings summary (final)" => Title::Quoted,
            "short test summary info" => Title::Summary,
            "tests coverage" | "rerun test summary info" => Title::Section,
            title if title.starts_with("slowest ") || title.starts_with("coverage: ") => {
                Title::Section
            }
            title => Title::Totals(totals(title)?),
        })
    }
}

/// `2 failed, 9 passed, 1 warning in 0.08s (0:01:01)`, or that none ran. At least one of the words is
/// pytest's own.
fn totals(title: &str) -> Option<Totals> {
    let title = match title.strip_suffix(')') {
        Some(left) => match left.rsplit_once(" (") {
            Some((left, time)) if time.contains(':') => left,
            _ => title,
        },
        None => title,
    };
    let (words, time) = title.rsplit_once(" in ")?;
    let time = time.strip_suffix(" seconds").or_else(|| time.strip_suffix('s'))?;
    time.parse::<f64>().ok()?;
    let mut counts = Vec::new();
    let mut is_known = false;
    let parts = words.split([',', '(', ')']).map(str::trim).filter(|part| !part.is_empty());
    for part in parts.take(COUNTS_MAX) {
        if matches!(part, "no tests ran" | "no tests collected") {
            is_known = true;
            continue;
        }
        let (count, word) = split_while(part, |c| c.is_ascii_digit())?;
        // `3/14 tests collected`: of so many.
        let word = match word.strip_prefix('/') {
            Some(rest) => split_while(rest, |c| c.is_ascii_digit())?.1,
            None => word,
        };
        let word = word.strip_prefix(' ')?;
        let plain = word.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if word.is_empty() || !plain {
            return None;
        }
        let key = match word {
            "warnings" => "warning",
            "errors" => "error",
            "reruns" => "rerun",
            "test collected" | "tests collected" => "collected",
            word => word,
        };
        // Plugins have words of their own.
        is_known |= KNOWN.contains(&key);
        counts.push((key.to_owned(), digits(count)?));
    }
    is_known.then_some(Totals { counts })
}

const KNOWN: [&str; 9] = [
    "passed",
    "failed",
    "error",
    "skipped",
    "deselected",
    "xfailed",
    "xpassed",
    "warning",
    "collected",
];

/// How a test ended.
pub(super) struct Outcome<'a> {
    pub(super) node: String,
    path: &'a str,
    /// `None`: nothing that counts.
    pub(super) status: Option<TestStatus>,
    /// A worker ran it: files interleave.
    pub(super) by_worker: bool,
}

impl Outcome<'_> {
    pub(super) fn path(&self) -> &str {
        self.path
    }
}

const WORDS: [(&str, Option<TestStatus>); 7] = [
    ("PASSED", Some(TestStatus::Passed)),
    ("FAILED", Some(TestStatus::Failed)),
    ("ERROR", Some(TestStatus::Error)),
    ("SKIPPED", Some(TestStatus::Skipped)),
    ("XFAIL", Some(TestStatus::Xfailed)),
    ("XPASS", Some(TestStatus::Xpassed)),
    ("RERUN", None),
];
/// Subtests; only those that failed count as tests.
const SUBTEST_WORDS: [(&str, Option<TestStatus>); 4] = [
    ("SUBPASSED", None),
    ("SUBFAILED", Some(TestStatus::Failed)),
    ("SUBSKIPPED", None),
    ("SUBXFAIL", None),
];

/// `NODE STATUS [(REASON)] [ NN%]`, or `[gwN] [ NN%] STATUS NODE`.
pub(super) fn outcome(text: &str) -> Option<Outcome<'_>> {
    if let Some(rest) = text.strip_prefix("[gw") {
        return by_worker(rest);
    }
    let (rest, counted) = without_progress(text);
    let (path, after) = rest.split_once("::")?;
    if !is_path(path, counted) {
        return None;
    }
    let of = |node: &str, status| Outcome { node: node.to_owned(), path, status, by_worker: false };
    for (word, status) in WORDS {
        if let Some(node) = rest.strip_suffix(word).and_then(|left| left.strip_suffix(' ')) {
            return (node.len() > path.len() + 2).then(|| of(node, status));
        }
    }
    let from = rest.len() - after.len();
    for (word, status) in SUBTEST_WORDS {
        if let Some((at, behind)) = find_word(rest, from, word) {
            let node = &rest[..at];
            let node = if status.is_some() {
                format!("{node} {}", behind.trim())
            } else {
                node.to_owned()
            };
            return Some(Outcome { node, path, status, by_worker: false });
        }
    }
    rest.ends_with(')').then_some(())?;
    WORDS.into_iter().find_map(|(word, status)| {
        let (at, behind) = find_word(rest, from, word)?;
        behind.starts_with(" (").then(|| of(&rest[..at], status))
    })
}

/// Where a blank and `word` stand at `from` or behind it, and what follows.
fn find_word<'a>(text: &'a str, from: usize, word: &str) -> Option<(usize, &'a str)> {
    let tail = text.get(from..)?;
    let at = tail.match_indices(word).map(|(at, _)| at).find(|at| tail[..*at].ends_with(' '))?;
    Some((from + at - 1, &tail[at + word.len()..]))
}

fn by_worker(rest: &str) -> Option<Outcome<'_>> {
    let (_, rest) = split_while(rest, |c| c.is_ascii_digit())?;
    let rest = rest.strip_prefix("] ")?;
    let rest = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?.1,
        None => rest,
    };
    let (word, node) = rest.split_once(' ')?;
    let (_, status) = WORDS.into_iter().find(|(known, _)| *known == word)?;
    let node = node.trim();
    let (path, _) = node.split_once("::")?;
    Some(Outcome { node: node.to_owned(), path, status, by_worker: true })
}

/// A line's results as letters.
pub(super) struct Letters<'a> {
    /// `None`: the line goes on with what the one before began.
    pub(super) path: Option<&'a str>,
    pub(super) failed: bool,
}

/// `PATH LETTERS [ NN%]`, or letters alone.
pub(super) fn terse(text: &str) -> Option<Letters<'_>> {
    let (rest, counted) = without_progress(text);
    let (path, letters) = match rest.split_once(' ') {
        Some((path, letters)) => (Some(path), letters.trim()),
        None if counted => (None, rest),
        None => return None,
    };
    let all = letters.bytes().all(|byte| b".FEsxXRuy,-".contains(&byte)) && !letters.is_empty();
    let fits = path.is_none_or(|path| is_path(path, counted) && !path.contains("::"));
    let failed = letters.bytes().any(|byte| b"FEu".contains(&byte));
    (all && fits).then_some(Letters { path, failed })
}

/// Whether this may be a file with tests. `counted`: the line says how far the session is.
fn is_path(path: &str, counted: bool) -> bool {
    if path.starts_with(' ') || path.chars().any(char::is_control) {
        return false;
    }
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        let word =
            !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        !stem.is_empty() && if counted { word } else { extension == "py" }
    })
}

/// A line without how far the session is, `[ NN%]` or `[ N/M]`, and whether it says so.
fn without_progress(text: &str) -> (&str, bool) {
    let text = text.trim_end();
    let found = text.strip_suffix(']').and_then(|left| left.rsplit_once(" ["));
    if let Some((left, progress)) = found {
        let is_number = |text: &str| {
            let text = text.trim();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_progress = match (progress.strip_suffix('%'), progress.split_once('/')) {
            (Some(percent), _) => is_number(percent),
            (None, Some((done, total))) => is_number(done) && is_number(total),
            (None, None) => false,
        };
        if is_progress {
            return (left.trim_end(), true);
        }
    }
    (text, false)
}

/// A failure that the short summary tells of.
pub(super) struct Problem<'a> {
    pub(super) node: String,
    pub(super) path: &'a str,
    pub(super) status: TestStatus,
    pub(super) message: Option<&'a str>,
}

/// `FAILED|ERROR NODE [- MESSAGE]`; `known` tells names of tests that failed.
pub(super) fn problem(text: &str, known: impl Fn(&str, TestStatus) -> bool) -> Option<Problem<'_>> {
    let text = text.trim_end();
    let (word, rest) = text.split_once(' ')?;
    let (status, sub) = match word {
        "FAILED" => (TestStatus::Failed, None),
        "ERROR" => (TestStatus::Error, None),
        _ => {
            // `SUBFAILED[NAME] (PARAMS) NODE - MESSAGE`: the node is a word with `::`.
            let sub = text.strip_prefix("SUBFAILED")?;
            let colons = sub.find("::")?;
            let at = sub[..colons].rfind(' ')?;
            (TestStatus::Failed, Some((sub[..at].trim(), &sub[at + 1..])))
        }
    };
    let rest = sub.map_or(rest, |(_, rest)| rest);
    let (node, message) = split_message(rest, |node| known(node, status));
    let path = node.split("::").next().unwrap_or(node);
    if node.is_empty() || !(node.contains("::") || is_path(path, true)) {
        return None;
    }
    let node = match sub {
        Some((name, _)) => format!("{node} {name}"),
        None => node.to_owned(),
    };
    Some(Problem { node, path, status, message })
}

/// A test's name may hold what stands before the message, too: the split behind a known name counts,
/// else the first that is not inside its parameters.
fn split_message(text: &str, known: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
    const DASH: &str = " - ";
    let splits = || text.match_indices(DASH).map(|(at, _)| at).take(SPLITS_MAX);
    let outside = |at: &usize| {
        let left = &text[..*at];
        !left.contains('[') || left.ends_with(']')
    };
    let at = splits()
        .find(|at| known(&text[..*at]))
        .or_else(|| (!known(text)).then(|| splits().find(outside)).flatten());
    match at {
        Some(at) => (&text[..at], Some(text[at + DASH.len()..].trim()).filter(|m| !m.is_empty())),
        None => (text, None),
    }
}
