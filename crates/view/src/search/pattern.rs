//! What is searched for.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::{
    ParserBuilder,
    hir::{
        Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
    },
};

use super::needs::Needs;

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Memory of a compiled pattern.
const PROGRAM_BYTES_MAX: usize = 4 << 20;

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Syntax {
    /// A regular expression, not text.
    pub regex: bool,
    /// `A` is not `a`.
    pub case: bool,
}

/// Why a pattern cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is none.
    #[error("there is nothing to search for")]
    Empty,
    /// It is too long, or its program would be.
    #[error("the pattern is too long, or its repetitions are too large")]
    TooLarge,
    /// It asks for a line break.
    #[error("a line never holds a line break: search for the parts of one line")]
    LineBreak,
    /// It is no regular expression.
    #[error("{message}")]
    Syntax {
        /// What is wrong, in words.
        message: String,
        /// Where it begins and ends, in characters of the pattern.
        at: (usize, usize),
    },
}

/// A compiled pattern: linear time on any text.
#[derive(Debug, Clone)]
pub struct Pattern {
    kind: Kind,
    /// It looks for the beginning or end of the text: lines are searched one by one.
    pub(super) by_line: bool,
    /// What must be there for a match.
    pub(super) needs: Needs,
}

#[derive(Debug, Clone)]
enum Kind {
    Text(Box<memmem::Finder<'static>>),
    Regex(Regex),
}

impl Pattern {
    /// Compiles `text`.
    pub fn new(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLarge);
        }
        if !syntax.regex {
            if text.contains(['\n', '\r']) {
                return Err(PatternError::LineBreak);
            }
            if syntax.case {
                let finder = memmem::Finder::new(text).into_owned();
                let needs = Needs::of_text(text.as_bytes());
                return Ok(Self { kind: Kind::Text(Box::new(finder)), by_line: false, needs });
            }
        }
        let escaped;
        let text = if syntax.regex {
            text
        } else {
            escaped = regex_syntax::escape(text);
            &escaped
        };
        let hir = ParserBuilder::new()
            .case_insensitive(!syntax.case)
            .multi_line(true)
            .crlf(true)
            .utf8(false)
            .build()
            .parse(text)
            .map_err(|error| explain(&error))?;
        // Whole reads are searched at once: no match may reach into the next line.
        let hir = without_line_feeds(&hir).ok_or(PatternError::LineBreak)?;
        let looks = hir.properties().look_set();
        let by_line = looks.contains(Look::Start) || looks.contains(Look::End);
        let regex = RegexBuilder::new(&hir.to_string())
            .unicode(true)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX)
            .build()
            .map_err(|_| PatternError::TooLarge)?;
        Ok(Self { kind: Kind::Regex(regex), by_line, needs: Needs::of(&hir) })
    }

    /// Whether it is found in one line, as it is shown and without styles.
    pub fn is_in(&self, line: &str) -> bool {
        self.find_at(line.as_bytes(), 0).is_some()
    }

    /// Where in one line, as it is shown and without styles, it is found: bytes.
    pub fn places(&self, line: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        self.matches(line.as_bytes(), &mut found);
        found
    }

    /// The first match in `bytes` from `from` on.
    pub(super) fn find_at(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        match &self.kind {
            Kind::Text(finder) => {
                let at = from + finder.find(&bytes[from..])?;
                Some((at, at + finder.needle().len()))
            }
            Kind::Regex(regex) => {
                regex.find_at(bytes, from).map(|found| (found.start(), found.end()))
            }
        }
    }

    /// All matches in one line that are not empty; one empty one if there are none else.
    pub(super) fn matches(&self, line: &[u8], found: &mut Vec<(usize, usize)>) {
        found.clear();
        let mut at = 0;
        let mut empty = None;
        while at <= line.len() {
            let Some((start, end)) = self.find_at(line, at) else { break };
            if start < end {
                found.push((start, end));
                at = end;
            } else {
                empty.get_or_insert((start, end));
                at = end + 1;
            }
        }
        if found.is_empty() {
            found.extend(empty);
        }
    }

    /// How many matches a line has, as [`Pattern::matches`] counts.
    pub(super) fn count(&self, line: &[u8]) -> u64 {
        let mut at = 0;
        let (mut count, mut empty) = (0, 0);
        while at <= line.len() {
            let Some((start, end)) = self.find_at(line, at) else { break };
            if start < end {
                count += 1;
                at = end;
            } else {
                empty = 1;
                at = end + 1;
            }
        }
        count.max(empty)
    }
}

/// In words, with the place.
fn explain(error: &regex_syntax::Error) -> PatternError {
    let (message, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), *error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), *error.span()),
        _ => return PatternError::TooLarge,
    };
    let pattern = match error {
        regex_syntax::Error::Parse(error) => error.pattern(),
        regex_syntax::Error::Translate(error) => error.pattern(),
        _ => "",
    };
    let chars = |bytes: usize| pattern.get(..bytes).map_or(0, |text| text.chars().count());
    PatternError::Syntax { message, at: (chars(span.start.offset), chars(span.end.offset)) }
}

/// The same without line feeds; `None`: it needs one.
fn without_line_feeds(hir: &Hir) -> Option<Hir> {
    Some(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => return None,
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Repetition(repetition) => {
            Hir::repetition(repetition.with(without_line_feeds(&repetition.sub)?))
        }
        HirKind::Capture(capture) => without_line_feeds(&capture.sub)?,
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(without_line_feeds).collect::<Option<_>>()?)
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(without_line_feeds).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(text: &str) -> Result<Pattern, PatternError> {
        Pattern::new(text, Syntax { regex: true, case: true })
    }

    #[test]
    fn a_wrong_pattern_is_explained_with_its_place() {
        let Err(PatternError::Syntax { message, at }) = regex("aé(b") else { panic!() };
        assert_eq!((message.as_str(), at), ("unclosed group", (2, 3)));
        assert!(matches!(regex("*"), Err(PatternError::Syntax { .. })));
        assert!(matches!(regex("(?<x"), Err(PatternError::Syntax { .. })));
        assert_eq!(regex("a\\nb").unwrap_err(), PatternError::LineBreak);
        assert_eq!(regex("").unwrap_err(), PatternError::Empty);
        assert_eq!(regex("(?:a{900}){900}").unwrap_err(), PatternError::TooLarge);
        assert_eq!(Pattern::new("a\nb", Syntax::default()).unwrap_err(), PatternError::LineBreak);
    }

    #[test]
    fn no_match_reaches_into_the_next_line() {
        for (pattern, text, expected) in [
            (r"a\s+b", "a\nb a b", Some((4, 7))),
            (r"[^x]+", "ab\ncd", Some((0, 2))),
            (r"(?s).*", "ab\ncd", Some((0, 2))),
            (r"b$", "ab\r\ncd", Some((1, 2))),
            (r"^c", "ab\ncd", Some((3, 4))),
        ] {
            assert_eq!(regex(pattern).unwrap().find_at(text.as_bytes(), 0), expected, "{pattern}");
        }
        assert!(regex(r"\Aa").unwrap().by_line && !regex("^a$").unwrap().by_line);
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(text in "\\PC{0,20}", regex: bool, case: bool) {
            if let Ok(pattern) = Pattern::new(&text, Syntax { regex, case }) {
                let mut found = Vec::new();
                pattern.matches(text.as_bytes(), &mut found);
                prop_assert_eq!(found.len() as u64, pattern.count(text.as_bytes()));
                prop_assert!(regex || !found.is_empty());
            }
        }
    }
}
