//! Many words looked for at once, with vector instructions where the machine has them.

use aho_corasick::{AhoCorasick, MatchKind, packed};

/// Two sets of words: of each the first find is sure, the other's need a second look.
#[derive(Debug)]
pub(crate) struct Literals {
    search: Search,
    /// So many of the words are sure.
    sure: usize,
}

#[derive(Debug)]
enum Search {
    Nothing,
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

/// A word that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Where it begins.
    pub(crate) at: usize,
    /// It is of the first set. Where a word of each begins, it is that one's.
    pub(crate) is_sure: bool,
}

impl Literals {
    pub(crate) fn new<'a>(
        sure: impl Iterator<Item = &'a [u8]>,
        others: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut words: Vec<&[u8]> = Vec::new();
        let add = |words: &mut Vec<&'a [u8]>, word: &'a [u8]| {
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        };
        sure.for_each(|word| add(&mut words, word));
        let sure = words.len();
        others.for_each(|word| add(&mut words, word));
        if words.is_empty() {
            return Self { search: Search::Nothing, sure };
        }
        if let Some(packed) = packed::Searcher::new(&words) {
            return Self { search: Search::Packed(packed), sure };
        }
        // Too many for that, or another machine.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&words);
        Self { search: automaton.map_or(Search::Nothing, Search::Automaton), sure }
    }

    /// The first word at `from` or later.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> Option<Literal> {
        let rest = bytes.get(from..)?;
        let found = match &self.search {
            Search::Nothing => None,
            Search::Packed(searcher) => searcher.find(rest),
            Search::Automaton(automaton) => automaton.find(rest),
        };
        found.map(|found| Literal {
            at: from + found.start(),
            is_sure: found.pattern().as_usize() < self.sure,
        })
    }

    /// Whether a word of the first set is in `bytes`.
    pub(crate) fn has_sure(&self, bytes: &[u8]) -> bool {
        let mut from = 0;
        while let Some(found) = self.find(bytes, from) {
            if found.is_sure {
                return true;
            }
            from = found.at + 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals<'a>(sure: &[&'a str], others: &[&'a str]) -> Literals {
        let bytes =
            |words: &[&'a str]| words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>();
        Literals::new(bytes(sure).into_iter(), bytes(others).into_iter())
    }

    #[test]
    fn no_word_hides_another_one() {
        let literals = literals(&["error TS", "--> "], &["error", "or T", "section_"]);
        let found = |text: &str| literals.find(text.as_bytes(), 0).map(|it| (it.at, it.is_sure));
        assert_eq!(found("an error TS1"), Some((3, true)), "the longer one is sure");
        assert_eq!(found("an error Tx"), Some((3, false)));
        assert_eq!(found("nothing"), None);
        assert!(!literals.has_sure(b"error or Tsection_"));
        assert!(literals.has_sure(b"error or Tsection_--> "));
    }

    #[test]
    fn more_words_than_vectors_take_are_found_as_well() {
        let words: Vec<String> = (0..200).map(|number| format!("word{number:03}x")).collect();
        let literals = Literals::new(
            words.iter().take(100).map(std::string::String::as_bytes),
            words.iter().skip(100).map(std::string::String::as_bytes),
        );
        for (number, word) in words.iter().enumerate() {
            let text = format!("some {word} more");
            let found = literals.find(text.as_bytes(), 0);
            assert_eq!(found, Some(Literal { at: 5, is_sure: number < 100 }), "{word}");
        }
    }
}
