//! How grave a line is. Pure: text in, verdict out.
//!
//! A word alone says nothing: `0 errors`, `error_handler.c` and `test parse_error ... ok` are no
//! errors. A line counts when a level stands where programs put one (a label behind a time, a place
//! or brackets; a field of a structured line), when it begins like a known report (a traceback, a
//! panic, a failed test), or when it counts failures. What is found this way is *detected*; a
//! marker of the script says it itself.
//!
//! [`Candidates`] goes first, over whole reads: ordinary lines cost one vectorized search.

mod candidates; // which lines are worth a look
mod field; // level=error, "severity":"ERROR"
mod known; // reports that have a form of their own
mod label; // [12:00:00] ERROR: ...
mod summary; // 2 failed, 3 passed
mod words; // the words for levels

use stepflow_markers::Marker;

pub(crate) use self::candidates::{Candidates, ODD_BEGIN_BYTES, odd_begin};

/// Of a longer line only this much, without control sequences, is looked at.
pub const LEVEL_BYTES: usize = 2048;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is known; most lines.
    #[default]
    Other,
    /// For developers of the program.
    Debug,
    /// Worth reading.
    Notice,
    /// May be wrong.
    Warning,
    /// Is wrong.
    Error,
}

impl Level {
    /// All, in the order of [`Level::index`].
    pub const ALL: [Self; 5] = [Self::Other, Self::Debug, Self::Notice, Self::Warning, Self::Error];

    /// From 0 to 4, growing with gravity.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Debug => "debug",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Finder {
    /// A rule of this crate: it may be wrong.
    #[default]
    Detected,
    /// The script, with a marker.
    Marker,
}

/// A line's level, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Verdict {
    /// How grave it is.
    pub level: Level,
    /// Who says so.
    pub finder: Finder,
}

impl Verdict {
    /// Nothing is known.
    pub const OTHER: Self = Self { level: Level::Other, finder: Finder::Detected };

    pub(crate) const fn detected(level: Level) -> Self {
        Self { level, finder: Finder::Detected }
    }

    pub(crate) const fn marker(level: Level) -> Self {
        match level {
            Level::Other => Self::OTHER,
            level => Self { level, finder: Finder::Marker },
        }
    }

    /// Four bits: 0 for other, else the level, 8 added for markers.
    pub(crate) fn encode(self) -> u8 {
        match (self.level, self.finder) {
            (Level::Other, _) => 0,
            (level, Finder::Detected) => level.index() as u8,
            (level, Finder::Marker) => 8 + level.index() as u8,
        }
    }

    /// What [`Verdict::encode`] wrote; `None`: it did not.
    pub(crate) fn decode(bits: u8) -> Option<Self> {
        let level = *Level::ALL.get(usize::from(bits & 7))?;
        let finder = if bits & 8 == 0 { Finder::Detected } else { Finder::Marker };
        let known = bits < 16 && !(level == Level::Other && finder == Finder::Marker);
        known.then_some(Self { level, finder })
    }
}

/// The level of one line of output, given without control sequences and line end.
///
/// ```
/// use stepflow_view::{Level, verdict};
/// assert_eq!(verdict("src/main.rs:3:5: error: expected `;`").level, Level::Error);
/// assert_eq!(verdict("error_handler.c compiled, 0 errors").level, Level::Other);
/// ```
pub fn verdict(text: &str) -> Verdict {
    let text = head(text);
    let trimmed = text.trim();
    if trimmed.is_empty() || is_excerpt(trimmed) {
        return Verdict::OTHER;
    }
    if let Some(verdict) = marked(text, trimmed) {
        return verdict;
    }
    let level = field::level(trimmed)
        .or_else(|| known::level(text, trimmed))
        .or_else(|| label::level(text))
        .or_else(|| summary::level(trimmed))
        .unwrap_or(Level::Other);
    Verdict::detected(level)
}

/// The part of a line that is looked at.
fn head(text: &str) -> &str {
    let mut end = text.len().min(LEVEL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A line of source code that a compiler shows: `12 | let error = 1;`, `   | ^^^^^`.
fn is_excerpt(trimmed: &str) -> bool {
    let rest = trimmed.strip_prefix('>').map_or(trimmed, str::trim_start);
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.trim_start_matches(' ').starts_with('|')
}

/// What the script itself says.
fn marked(text: &str, trimmed: &str) -> Option<Verdict> {
    let step = ["STEP_", "ARTIFACT:", "META:"].iter().any(|word| trimmed.contains(word));
    if step && let Ok(Some(marker)) = stepflow_markers::parse(text.as_bytes()) {
        return Some(match marker {
            Marker::StepError { .. } => Verdict::marker(Level::Error),
            _ => Verdict::OTHER,
        });
    }
    // Workflow commands of GitHub Actions and Azure Pipelines.
    if let Some(rest) = trimmed.strip_prefix("::") {
        let word = rest.split([' ', ':', ',']).next()?;
        return rest.contains("::").then(|| words::command(word)).flatten().map(Verdict::marker);
    }
    if let Some(rest) = trimmed.strip_prefix("##[") {
        return words::command(rest.split(']').next()?).map(Verdict::marker);
    }
    let rest = trimmed.strip_prefix("##vso[task.logissue")?;
    let kind = &rest[rest.find("type=")? + 5..];
    words::command(kind.split([';', ']']).next()?).map(Verdict::marker)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_verdict_is_four_bits() {
        let mut known = 0;
        for bits in 0..=255 {
            if let Some(verdict) = Verdict::decode(bits) {
                assert_eq!(verdict.encode(), bits);
                known += 1;
            }
        }
        assert_eq!(known, 9);
    }

    #[test]
    fn markers_speak_for_themselves() {
        let marker = |level| Verdict::marker(level);
        for (line, expected) in [
            ("STEP_ERROR:it broke", marker(Level::Error)),
            ("[10:00:00] STEP_ERROR: it broke", marker(Level::Error)),
            ("STEP_START:error: handling", Verdict::OTHER),
            ("META:error:3 errors", Verdict::OTHER),
            ("::error file=a.c,line=3::no", marker(Level::Error)),
            ("::warning::old", marker(Level::Warning)),
            ("::notice title=x::hello", marker(Level::Notice)),
            ("::group::error: x", Verdict::OTHER),
            ("##[error]no", marker(Level::Error)),
            ("##[section]error: x", Verdict::OTHER),
            ("##vso[task.logissue type=warning;sourcepath=a]old", marker(Level::Warning)),
        ] {
            assert_eq!(verdict(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            verdict(&text);
        }

        #[test]
        fn no_mixture_of_its_words_makes_it_panic(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "error", "ERROR", ": ", ":", "::", "[", "]", "level", "=", "\"", "{", "1 failed", " ",
                "世", "|", "FAILED", "✖", "E0322", "Caused by:", "<3>", "##[", "not ok", "\t",
                "12:00:00", "npm ", "...", "%", "Exception", "(", ")", "STEP_ERROR", "é",
            ]), 0..12),
        ) {
            let text = parts.concat();
            if verdict(&text).level != Level::Other {
                // What has a level is found by the search that goes first.
                let candidate = odd_begin(text.as_bytes()) || Candidates::new().has(text.as_bytes());
                prop_assert!(candidate, "{:?}", text);
            }
        }
    }
}
