//! One matcher: what its file says, and how a line is compared with it.

use std::{fmt, sync::OnceLock};

use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::super::{ENTRIES, Severity};

/// Longest text of a matcher, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest name.
const NAME_BYTES_MAX: usize = 40;
/// Most expressions, for as many lines in a row.
const PATTERNS_MAX: usize = 10;
/// Most literals.
const LITERALS_MAX: usize = 32;
/// Shortest and longest literal, in bytes: a shorter one is everywhere.
const LITERAL_BYTES: std::ops::RangeInclusive<usize> = 3..=64;
/// What one expression may cost, in bytes of its automaton: about 10,000 states.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The groups that an expression may have.
const GROUPS: [&str; 8] =
    ["file", "line", "col", "end_line", "end_col", "severity", "code", "message"];

/// A description of what a tool prints about problems.
pub struct Matcher {
    name: Box<str>,
    /// Where it came from, for who compares.
    text: Box<str>,
    severity: Severity,
    literals: Vec<Box<str>>,
    /// The expression that the literals are of: the first, 0, or the second, 1.
    anchor: usize,
    patterns: Vec<Pattern>,
}

/// One of its expressions, compiled when it is first needed.
pub(super) struct Pattern {
    text: Box<str>,
    repeat: bool,
    regex: OnceLock<Option<Regex>>,
}

/// What the groups have matched so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Found {
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) col: Option<u32>,
    pub(super) end_line: Option<u32>,
    pub(super) end_col: Option<u32>,
    pub(super) severity: Option<Severity>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

/// A matcher's text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Its name, which is its file's.
    #[error("`{name}` cannot be the name of a problem matcher: {why}")]
    Name {
        /// What it is called.
        name: String,
        /// What is wrong with that.
        why: &'static str,
    },
    /// It is no TOML, or has keys that there are not.
    #[error("line {line}: {message}")]
    Toml {
        /// From 1.
        line: usize,
        /// What the reader of TOML says.
        message: String,
    },
    /// A key has a value that it cannot have.
    #[error("line {line}, key `{key}`: {fault}")]
    Key {
        /// From 1.
        line: usize,
        /// As in `pattern[2].regex`, counted from 1.
        key: String,
        /// What is wrong, and what to do.
        fault: Fault,
    },
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The text as a whole is too long.
    TooLong,
    /// Not `error`, `warning` or `notice`.
    Severity,
    /// None, or too many.
    Patterns,
    /// None, too many, or of more than one expression, or of the third or a later one.
    Literals,
    /// Too short, too long, or of several lines.
    Literal,
    /// Not a regular expression.
    Regex(String),
    /// A group that means nothing.
    Group(String),
    /// Nothing says what is wrong.
    NoMessage,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => {
                write!(f, "longer than {TEXT_BYTES_MAX} bytes; make several files of it")
            }
            Self::Severity => f.write_str("is `error`, `warning` or `notice`"),
            Self::Patterns => write!(f, "there must be 1 to {PATTERNS_MAX} tables [[pattern]]"),
            Self::Literals => write!(
                f,
                "1 to {LITERALS_MAX} literals belong to the first [[pattern]], or to the second and then to it \
                 alone: `contains = [\": error: \"]`"
            ),
            Self::Literal => write!(
                f,
                "is a part of one line, {} to {} bytes; take one that ordinary output does not have",
                LITERAL_BYTES.start(),
                LITERAL_BYTES.end()
            ),
            Self::Regex(why) => write!(f, "not a regular expression (without look-around): {why}"),
            Self::Group(name) => {
                write!(f, "there is no group `{name}`; there are {}", GROUPS.join(", "))
            }
            Self::NoMessage => {
                f.write_str("no expression has a group `(?<message>…)` or `(?<code>…)`; add one")
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    severity: Option<Spanned<String>>,
    #[serde(default)]
    pattern: Vec<Spanned<FilePattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePattern {
    regex: Spanned<String>,
    #[serde(default)]
    repeat: bool,
    contains: Option<Spanned<Vec<Spanned<String>>>>,
}

impl Matcher {
    /// Reads a matcher; its expressions are not compiled yet: see [`Matcher::check`].
    ///
    /// # Errors
    /// [`MatcherError`] says where and what to do.
    pub fn parse(name: &str, text: &str) -> Result<Self, MatcherError> {
        check_name(name)?;
        let at = |span: std::ops::Range<usize>| line_of(text, span.start);
        let wrong = |line: usize, key: String, fault: Fault| MatcherError::Key { line, key, fault };
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(1, "*".to_owned(), Fault::TooLong));
        }
        let file: File = toml::from_str(text).map_err(|error| MatcherError::Toml {
            line: error.span().map_or(1, at),
            message: error.message().to_owned(),
        })?;
        let severity = match &file.severity {
            None => Severity::Error,
            Some(word) => severity(word.get_ref())
                .ok_or_else(|| wrong(at(word.span()), "severity".to_owned(), Fault::Severity))?,
        };
        if !(1..=PATTERNS_MAX).contains(&file.pattern.len()) {
            return Err(wrong(1, "pattern".to_owned(), Fault::Patterns));
        }
        let mut anchors = file.pattern.iter().enumerate().filter_map(|(index, pattern)| {
            let contains = pattern.get_ref().contains.as_ref()?;
            Some((index, contains))
        });
        let no_literals = |line, index: usize| {
            wrong(line, format!("pattern[{}].contains", index + 1), Fault::Literals)
        };
        let Some((anchor, contains)) = anchors.next() else {
            return Err(no_literals(at(file.pattern[0].span()), 0));
        };
        if let Some((index, second)) = anchors.next() {
            return Err(no_literals(at(second.span()), index));
        }
        // The line before is looked at once, so the first expression cannot go on for several.
        let looks_back_far = anchor > 1 || (anchor == 1 && file.pattern[0].get_ref().repeat);
        if looks_back_far || !(1..=LITERALS_MAX).contains(&contains.get_ref().len()) {
            return Err(no_literals(at(contains.span()), anchor));
        }
        for literal in contains.get_ref() {
            let is_part = !literal.get_ref().contains(['\n', '\r']);
            if !is_part || !LITERAL_BYTES.contains(&literal.get_ref().len()) {
                let key = format!("pattern[{}].contains", anchor + 1);
                return Err(wrong(at(literal.span()), key, Fault::Literal));
            }
        }
        let literals =
            contains.get_ref().iter().map(|word| word.get_ref().as_str().into()).collect();
        let pattern = |pattern: &Spanned<FilePattern>| Pattern {
            text: pattern.get_ref().regex.get_ref().as_str().into(),
            repeat: pattern.get_ref().repeat,
            regex: OnceLock::new(),
        };
        let patterns = file.pattern.iter().map(pattern).collect();
        Ok(Self { name: name.into(), text: text.into(), severity, literals, anchor, patterns })
    }

    /// Compiles the expressions: whether they are such, and say something.
    ///
    /// # Errors
    /// [`MatcherError`] says where and what to do.
    pub fn check(&self) -> Result<(), MatcherError> {
        let mut says = false;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let wrong = |fault| MatcherError::Key {
                line: self.line_of_pattern(index),
                key: format!("pattern[{}].regex", index + 1),
                fault,
            };
            let regex =
                build(&pattern.text).map_err(|error| wrong(Fault::Regex(first_words(&error))))?;
            for group in regex.capture_names().flatten() {
                if !GROUPS.contains(&group) {
                    return Err(wrong(Fault::Group(group.to_owned())));
                }
                says |= matches!(group, "message" | "code");
            }
        }
        if says {
            return Ok(());
        }
        let (line, key) = (self.line_of_pattern(0), "pattern".to_owned());
        Err(MatcherError::Key { line, key, fault: Fault::NoMessage })
    }

    /// What users call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a `[[pattern]]`'s expression. The text was read before.
    fn line_of_pattern(&self, index: usize) -> usize {
        let file: Option<File> = toml::from_str(&self.text).ok();
        let pattern = file.as_ref().and_then(|file| file.pattern.get(index));
        pattern.map_or(1, |pattern| line_of(&self.text, pattern.get_ref().regex.span().start))
    }

    pub(super) fn severity(&self) -> Severity {
        self.severity
    }

    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.literals.iter().map(AsRef::as_ref)
    }

    /// Whether one of its literals is in a line, as it was printed.
    pub(super) fn is_wanted(&self, raw: &str) -> bool {
        self.literals
            .iter()
            .any(|word| memchr::memmem::find(raw.as_bytes(), word.as_bytes()).is_some())
    }

    /// Whether the line with the literal is compared with the second expression.
    pub(super) fn looks_back(&self) -> bool {
        self.anchor == 1
    }

    pub(super) fn length(&self) -> usize {
        self.patterns.len()
    }

    pub(super) fn pattern(&self, index: usize) -> Option<&Pattern> {
        self.patterns.get(index)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }
}

impl Eq for Matcher {}

impl Pattern {
    pub(super) fn repeats(&self) -> bool {
        self.repeat
    }

    /// Whether a line matches; what it says is added to what is known.
    pub(super) fn find(&self, text: &str, found: &mut Found) -> bool {
        let regex = self.regex.get_or_init(|| build(&self.text).ok());
        let Some(groups) = regex.as_ref().and_then(|regex| regex.captures(text)) else {
            return false;
        };
        found.add(&groups);
        true
    }
}

impl Found {
    fn add(&mut self, groups: &Captures<'_>) {
        let text = |group: &str| {
            let text = groups.name(group)?.as_str().trim();
            (!text.is_empty()).then_some(text)
        };
        let number = |group: &str| text(group).and_then(|text| text.parse().ok());
        let put = |kept: &mut Option<String>, group: &str| {
            if let Some(text) = text(group) {
                *kept = Some(text.to_owned());
            }
        };
        put(&mut self.file, "file");
        put(&mut self.code, "code");
        put(&mut self.message, "message");
        self.line = number("line").or(self.line);
        self.col = number("col").or(self.col);
        self.end_line = number("end_line").or(self.end_line);
        self.end_col = number("end_col").or(self.end_col);
        self.severity = text("severity").and_then(severity).or(self.severity);
    }
}

/// What tools call it.
fn severity(word: &str) -> Option<Severity> {
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&["error", "fatal", "fatal error", "err", "e", "f"]) {
        Some(Severity::Error)
    } else if is(&["warning", "warn", "w"]) {
        Some(Severity::Warning)
    } else if is(&["notice", "note", "info", "information", "hint", "style", "n", "i"]) {
        Some(Severity::Notice)
    } else {
        None
    }
}

fn check_name(name: &str) -> Result<(), MatcherError> {
    let wrong = |why| Err(MatcherError::Name { name: name.to_owned(), why });
    let is_word = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !is_word || !begins || name.len() > NAME_BYTES_MAX {
        return wrong("take lower-case letters, digits and hyphens, 40 at most");
    }
    if matches!(name, "auto" | "none" | "native") || ENTRIES.iter().any(|entry| entry.name == name)
    {
        return wrong("a dialect has that name; rename the file");
    }
    Ok(())
}

fn build(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build()
}

/// The last line of an expression's error: those before it draw a picture.
fn first_words(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// The number of the line in which a byte is.
fn line_of(text: &str, at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..at.min(text.len())]).count()
}
