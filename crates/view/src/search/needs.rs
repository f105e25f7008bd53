//! What must stand in a text for a pattern to be found there, as trigrams: a condition that every
//! match fulfils, and most texts without one do not.

use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, Hir, HirKind, Repetition,
};
use stepflow_record::grams;

/// Texts that are kept apart; more make the condition weaker, never wrong.
const TEXTS_MAX: usize = 16;
/// Characters of a class that are taken apart.
const CLASS_MAX: usize = 16;
/// Longest text that repetitions are written out to.
const TEXT_BYTES_MAX: usize = 1024;

/// A condition for a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    /// There is none: any text may match.
    Anything,
    /// All of these trigrams are there.
    Grams(Vec<u32>),
    /// All of these hold.
    All(Vec<Needs>),
    /// One of these holds.
    One(Vec<Needs>),
}

impl Needs {
    /// Of a text, of which the trigrams say nothing of case.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let mut found: Vec<u32> = grams(text).collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { Self::Anything } else { Self::Grams(found) }
    }

    /// Of a regular expression.
    pub(super) fn of(hir: &Hir) -> Self {
        look(hir).into_needs()
    }

    pub(super) fn is_anything(&self) -> bool {
        *self == Self::Anything
    }

    /// Whether a text may match that has the trigrams of which `may_hold` says so.
    pub(super) fn may_hold(&self, may_hold: &dyn Fn(u32) -> bool) -> bool {
        match self {
            Self::Anything => true,
            Self::Grams(grams) => grams.iter().all(|gram| may_hold(*gram)),
            Self::All(parts) => parts.iter().all(|part| part.may_hold(may_hold)),
            Self::One(parts) => parts.iter().any(|part| part.may_hold(may_hold)),
        }
    }

    fn all(parts: Vec<Self>) -> Self {
        let mut parts: Vec<_> = parts.into_iter().filter(|part| !part.is_anything()).collect();
        match parts.len() {
            0 => Self::Anything,
            1 => parts.remove(0),
            _ => Self::All(parts),
        }
    }

    fn one(mut parts: Vec<Self>) -> Self {
        parts.dedup();
        match parts.len() {
            1 => parts.remove(0),
            _ if parts.is_empty() || parts.iter().any(Self::is_anything) => Self::Anything,
            _ => Self::One(parts),
        }
    }
}

/// What is known of a part of an expression.
enum Known {
    /// It matches one of these texts, letters of ASCII as small ones, and nothing else.
    Texts(Vec<Vec<u8>>),
    /// Each of its matches fulfils this.
    Needs(Needs),
}

impl Known {
    fn into_needs(self) -> Needs {
        match self {
            Self::Texts(texts) => {
                Needs::one(texts.iter().map(|text| Needs::of_text(text)).collect())
            }
            Self::Needs(needs) => needs,
        }
    }
}

fn look(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::Texts(vec![Vec::new()]),
        HirKind::Literal(literal) => Known::Texts(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => {
            of_class(class).map_or(Known::Needs(Needs::Anything), Known::Texts)
        }
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Capture(capture) => look(&capture.sub),
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => of_alternation(parts),
    }
}

fn of_class(class: &Class) -> Option<Vec<Vec<u8>>> {
    let mut texts: Vec<Vec<u8>> = match class {
        Class::Unicode(class) => of_unicode(class)?,
        Class::Bytes(class) => of_bytes(class)?,
    };
    texts.sort_unstable();
    texts.dedup();
    Some(texts)
}

fn of_unicode(class: &ClassUnicode) -> Option<Vec<Vec<u8>>> {
    let count: u64 = class.iter().map(|range| range.len() as u64).sum();
    if count > CLASS_MAX as u64 {
        return None;
    }
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    let has = |char: char| class.iter().any(|range| (range.start()..=range.end()).contains(&char));
    // A block with one of these two is never skipped: beside the letter they need no text.
    let chars = chars.filter(|char| match char {
        '\u{17f}' => !has('s'),
        '\u{212a}' => !has('k'),
        _ => true,
    });
    let text = |char: char| char.to_ascii_lowercase().to_string().into_bytes();
    Some(chars.map(text).collect())
}

fn of_bytes(class: &ClassBytes) -> Option<Vec<Vec<u8>>> {
    let count: usize = class.iter().map(ClassBytesRange::len).sum();
    (count <= CLASS_MAX).then(|| {
        let bytes = class.iter().flat_map(|range| range.start()..=range.end());
        bytes.map(|byte| vec![byte.to_ascii_lowercase()]).collect()
    })
}

fn of_repetition(repetition: &Repetition) -> Known {
    let (min, max) = (repetition.min, repetition.max);
    let sub = look(&repetition.sub);
    match sub {
        Known::Texts(mut texts) if (min, max) == (0, Some(1)) && texts.len() < TEXTS_MAX => {
            texts.push(Vec::new());
            Known::Texts(texts)
        }
        _ if min == 0 => Known::Needs(Needs::Anything),
        Known::Texts(texts) if texts.len() == 1 => {
            let times = (TEXT_BYTES_MAX / texts[0].len().max(1)).min(min as usize).max(1);
            let written = texts[0].repeat(times);
            let is_all = times == min as usize && max == Some(min);
            let known = Known::Texts(vec![written]);
            if is_all { known } else { Known::Needs(known.into_needs()) }
        }
        Known::Texts(texts) if (min, max) == (1, Some(1)) => Known::Texts(texts),
        sub => Known::Needs(sub.into_needs()),
    }
}

fn of_concat(parts: &[Hir]) -> Known {
    let mut needs = Vec::new();
    let mut texts = vec![Vec::new()];
    for part in parts {
        match look(part) {
            Known::Texts(next) if fits(&texts, &next) => {
                let with = |text: &Vec<u8>| {
                    let with = |next: &Vec<u8>| [text.as_slice(), next].concat();
                    next.iter().map(with).collect::<Vec<_>>()
                };
                texts = texts.iter().flat_map(with).collect();
            }
            Known::Texts(next) => {
                needs.push(Known::Texts(std::mem::replace(&mut texts, next)).into_needs());
            }
            Known::Needs(part) => {
                let before = std::mem::replace(&mut texts, vec![Vec::new()]);
                needs.push(Known::Texts(before).into_needs());
                needs.push(part);
            }
        }
    }
    // Nothing but texts.
    if needs.is_empty() {
        return Known::Texts(texts);
    }
    needs.push(Known::Texts(texts).into_needs());
    Known::Needs(Needs::all(needs))
}

fn fits(texts: &[Vec<u8>], next: &[Vec<u8>]) -> bool {
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or(0);
    texts.len() * next.len() <= TEXTS_MAX && longest(texts) + longest(next) <= TEXT_BYTES_MAX
}

fn of_alternation(parts: &[Hir]) -> Known {
    let mut all = Vec::new();
    let mut texts = Some(Vec::new());
    for part in parts {
        let known = look(part);
        match (&known, &mut texts) {
            (Known::Texts(some), Some(texts)) if texts.len() + some.len() <= TEXTS_MAX => {
                texts.extend(some.iter().cloned());
            }
            _ => texts = None,
        }
        all.push(known);
    }
    match texts {
        Some(texts) => Known::Texts(texts),
        None => Known::Needs(Needs::one(all.into_iter().map(Known::into_needs).collect())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Pattern, Syntax};

    fn needs(text: &str, regex: bool, case: bool) -> Needs {
        Pattern::new(text, Syntax { regex, case }).unwrap().needs
    }

    fn holds(needs: &Needs, text: &str) -> bool {
        let there: Vec<u32> = grams(text.as_bytes()).collect();
        needs.may_hold(&|gram| there.contains(&gram))
    }

    #[test]
    fn what_a_pattern_needs_is_in_what_it_matches_and_not_in_most_else() {
        for (pattern, regex, matches, others) in [
            (
                "Disk full",
                false,
                vec!["disk FULL", "a Disk full b"],
                vec!["disk", "full", "dis full"],
            ),
            ("error: (disk|net)work", true, vec!["error: network"], vec!["error: work", "network"]),
            (r"id=\d+ failed", true, vec!["id=12 failed"], vec!["id=", "failed"]),
            (r"(abc)+def", true, vec!["abcabcdef"], vec!["abc", "xdef"]),
            (r"(ab){3}", true, vec!["ababab"], vec!["ab-ab"]),
            (r"colou?r.*blue", true, vec!["color is blue", "colour blue"], vec!["color", "blue"]),
            (r"[ab]cd[ef]", true, vec!["bcde"], vec!["bcd", "cde"]),
            (r"^warning\b", true, vec!["warning"], vec!["warn"]),
            ("世界", false, vec!["世界"], vec!["世 界"]),
        ] {
            let needs = needs(pattern, regex, false);
            for text in matches {
                assert!(holds(&needs, text), "{pattern} in {text}");
            }
            for text in others {
                assert!(!holds(&needs, text), "{pattern} cannot be in {text}");
            }
        }
        for (pattern, regex) in [("ab", false), (".*", true), ("a|bcd", true), (r"\w+", true)] {
            assert!(needs(pattern, regex, false).is_anything(), "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_match_is_without_what_its_pattern_needs(
            pattern in "[abAé.|()*+?{2}\\[\\]k]{1,14}",
            text in "[abABéÉkKc]{0,24}",
            regex: bool,
            case: bool,
        ) {
            if let Ok(pattern) = Pattern::new(&pattern, Syntax { regex, case })
                && pattern.is_in(&text)
            {
                prop_assert!(holds(&pattern.needs, &text), "{:?}", pattern.needs);
            }
        }
    }
}
