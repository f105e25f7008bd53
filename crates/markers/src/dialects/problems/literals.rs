//! Many words looked for at once, with vector instructions where the machine has them.

use aho_corasick::{AhoCorasick, MatchKind, packed};

/// A set of words.
#[derive(Debug)]
pub(crate) struct Literals(Search);

#[derive(Debug)]
enum Search {
    Nothing,
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Literals {
    pub(crate) fn new<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            return Self(Search::Nothing);
        }
        if let Some(packed) = packed::Searcher::new(&words) {
            return Self(Search::Packed(packed));
        }
        // Too many for that, or another machine.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&words);
        Self(automaton.map_or(Search::Nothing, Search::Automaton))
    }

    /// Where the first of them begins at `from` or later.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        let found = match &self.0 {
            Search::Nothing => None,
            Search::Packed(searcher) => searcher.find(rest).map(|found| found.start()),
            Search::Automaton(automaton) => automaton.find(rest).map(|found| found.start()),
        };
        found.map(|at| from + at)
    }
}
