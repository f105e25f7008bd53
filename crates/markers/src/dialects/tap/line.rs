//! The grammar of a line, without its indentation.

use crate::dialects::{
    TestStatus,
    words::{digits, split_while, strip_prefix_any_case},
};

/// A line that says something.
#[derive(Debug, PartialEq)]
pub(super) enum TapLine {
    Version,
    /// How many points there will be, and why none.
    Plan(u64, Option<String>),
    Point(Point),
    /// The name of the subtest that follows.
    Subtest(Option<String>),
    BailOut,
    Pragma,
}

/// The result of one test.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    pub(super) ok: bool,
    pub(super) number: Option<u64>,
    /// May be empty.
    pub(super) description: String,
    /// Skipped or to do, and why.
    pub(super) directive: Option<(TestStatus, Option<String>)>,
}

impl Point {
    pub(super) fn status(&self) -> TestStatus {
        match &self.directive {
            Some((status, _)) => *status,
            None if self.ok => TestStatus::Passed,
            None => TestStatus::Failed,
        }
    }
}

pub(super) fn parse(text: &str) -> Option<TapLine> {
    if let Some(rest) = text.strip_prefix("1..") {
        return plan(rest);
    }
    if matches!(text.trim_end(), "TAP version 13" | "TAP version 14") {
        return Some(TapLine::Version);
    }
    if let Some(rest) = text.strip_prefix("# Subtest") {
        let name = rest.strip_prefix(':').map(str::trim).filter(|name| !name.is_empty());
        let whole = rest.trim().is_empty() || rest.starts_with(':');
        return whole.then(|| TapLine::Subtest(name.map(str::to_owned)));
    }
    if let Some(rest) = strip_prefix_any_case(text, "Bail out!") {
        return (rest.is_empty() || rest.starts_with(' ')).then_some(TapLine::BailOut);
    }
    if let Some(rest) = text.strip_prefix("pragma ") {
        return rest.starts_with(['+', '-']).then_some(TapLine::Pragma);
    }
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| TapLine::Point(point(ok, rest)))
}

fn plan(text: &str) -> Option<TapLine> {
    let (count, rest) = split_while(text, |c| c.is_ascii_digit())?;
    let rest = rest.trim();
    let reason = match rest.strip_prefix('#') {
        Some(reason) => Some(reason.trim()).filter(|reason| !reason.is_empty()),
        None if rest.is_empty() => None,
        None => return None,
    };
    // `# SKIP why`: the word is not part of the reason.
    let reason = reason.map(|reason| match directive_word(reason) {
        Some((TestStatus::Skipped, why)) => why.to_owned(),
        _ => reason.to_owned(),
    });
    Some(TapLine::Plan(digits(count)?, reason))
}

fn point(ok: bool, text: &str) -> Point {
    let text = text.trim();
    let blank_follows = |rest: &&str| rest.is_empty() || rest.starts_with([' ', '\t']);
    let numbered =
        split_while(text, |c| c.is_ascii_digit()).filter(|(_, rest)| blank_follows(rest));
    let number = numbered.and_then(|(number, _)| digits(number));
    let text = match (number, numbered) {
        (Some(_), Some((_, rest))) => rest.trim_start(),
        _ => text,
    };
    let text = match text.strip_prefix('-').filter(blank_follows) {
        Some(rest) => rest.trim_start(),
        None => text,
    };
    let (description, directive) = directive(text);
    Point { ok, number, description: unescape(description.trim_end()), directive }
}

/// Description and directive, split at the first unescaped `#` behind a blank that begins one.
fn directive(text: &str) -> (&str, Option<(TestStatus, Option<String>)>) {
    for (at, _) in text.match_indices('#') {
        let before = &text[..at];
        if !before.is_empty() && !before.ends_with([' ', '\t']) {
            continue;
        }
        let after = &text[at + 1..];
        if !after.starts_with([' ', '\t']) {
            continue;
        }
        if let Some((status, why)) = directive_word(after.trim()) {
            let why = Some(unescape(why)).filter(|why| !why.is_empty());
            return (before, Some((status, why)));
        }
    }
    (text, None)
}

/// `SKIP` or `TODO` at the front, whatever stands glued to it, and the text behind.
fn directive_word(text: &str) -> Option<(TestStatus, &str)> {
    let words = [("SKIP", TestStatus::Skipped), ("TODO", TestStatus::Todo)];
    words.into_iter().find_map(|(word, status)| {
        let rest = strip_prefix_any_case(text, word)?;
        let glued = rest.find([' ', '\t']).unwrap_or(rest.len());
        Some((status, rest[glued..].trim()))
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('#' | '\\'))) => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// Whether a line may stand between two that belong together: blank, or a comment.
pub(super) fn is_between(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

/// The file in `FILE .... `, as a harness prints it before its tests.
pub(super) fn test_file(text: &str) -> Option<&str> {
    let (file, dots) = text.split_once(' ')?;
    let dots = dots.strip_suffix(' ')?;
    let named = !file.is_empty() && dots.len() >= 2 && dots.bytes().all(|byte| byte == b'.');
    named.then_some(file)
}

/// File and reason in `FILE .. skipped: REASON`.
pub(super) fn skipped_file(text: &str) -> Option<(&str, &str)> {
    let (head, reason) = text.split_once(" skipped: ")?;
    let file = test_file(text.get(..head.len() + 1)?)?;
    Some((file, reason.trim()))
}
