//! Which lines of a read are worth a look: the search that goes first.

use aho_corasick::{AhoCorasick, Input, Span, packed};

/// A line without any of these has no level (but for those of [`odd_begin`]). In groups of sixteen:
/// a vectorized search for sixteen costs 0.1 ns a byte here, one for all of them fifteen times that.
const PARTS: [&[&str]; 3] = [
    &[
        "err", "Err", "ERR", "atal", "FATA", "crit", "CRIT", "SEVERE", "emerg", "anic", "PANIC",
        "arn", "WARN", "WRN", "eprec", "DEPREC",
    ],
    &[
        "otice", "NOTICE", "ebug", "DEB", "DBG", "dbg", "race", "TRACE", "TRC", "el\":", "lvl",
        "xception", "n fault", "fail", "Fail", "FAIL",
    ],
    &[
        "Caused by",
        "Uncaught",
        "Unhandled",
        "erminate",
        "TIMEOUT",
        "reference to",
        "definition of",
        "not found",
        "Killed",
        "***",
        "bort",
        ".go:",
        "such file",
        "denied",
        "not ok",
        "Interrupt",
    ],
];

/// So much of a line is looked at by [`odd_begin`]: deeper indented signs are none.
pub(crate) const ODD_BEGIN_BYTES: usize = 64;

/// Whether a line begins as only lines with a level begin: a sign of a failed test, a priority.
#[inline]
pub(crate) fn odd_begin(line: &[u8]) -> bool {
    let line = &line[..line.len().min(ODD_BEGIN_BYTES)];
    let Some(at) = line.iter().position(|byte| !matches!(byte, b' ' | b'\t')) else {
        return false;
    };
    let next = |after: usize| line.get(at + after).copied().unwrap_or_default();
    match line[at] {
        0xe2 | 0xc3 => true,
        b'E' | b'W' | b'F' | b'D' | b'V' | b'e' | b'w' => {
            next(1).is_ascii_digit()
                || next(1) == b'/'
                || (next(1) == b':' && next(2) == b' ')
                || (next(1) == b' ' && next(2) == b' ')
        }
        b'<' => next(1).is_ascii_digit(),
        _ => false,
    }
}

/// Finds candidates in reads of any size.
#[derive(Debug)]
pub(crate) struct Candidates {
    groups: [Group; PARTS.len()],
}

#[derive(Debug)]
struct Group {
    packed: Option<packed::Searcher>,
    /// Where there are no vectors.
    automaton: Option<AhoCorasick>,
}

/// The way through one read.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    candidates: &'a Candidates,
    bytes: &'a [u8],
    /// The next part of each group, behind the bytes if there is none.
    next: [usize; PARTS.len()],
}

impl Candidates {
    pub(crate) fn new() -> Self {
        Self { groups: PARTS.map(Group::new) }
    }

    /// The way through `bytes`.
    pub(crate) fn through<'a>(&'a self, bytes: &'a [u8]) -> Way<'a> {
        let next = self.groups.each_ref().map(|group| group.find(bytes, 0));
        Way { candidates: self, bytes, next }
    }

    /// Whether a line has one of the parts.
    pub(crate) fn has(&self, line: &[u8]) -> bool {
        self.groups.iter().any(|group| group.find(line, 0) < line.len())
    }
}

impl Way<'_> {
    /// Whether a part begins before `end`, in the line from `begin` on. Lines are asked for in
    /// order.
    #[inline]
    pub(crate) fn hits(&mut self, begin: usize, end: usize) -> bool {
        let mut hit = false;
        for (next, group) in self.next.iter_mut().zip(&self.candidates.groups) {
            if *next < begin {
                *next = group.find(self.bytes, begin);
            }
            hit |= *next < end;
        }
        hit
    }
}

impl Group {
    fn new(parts: &[&str]) -> Self {
        let packed = packed::Config::new().builder().extend(parts).build();
        let automaton = if packed.is_none() { AhoCorasick::new(parts).ok() } else { None };
        Self { packed, automaton }
    }

    /// Where the next part stands, from `from` on; the length of `bytes` if there is none.
    fn find(&self, bytes: &[u8], from: usize) -> usize {
        let span = Span { start: from, end: bytes.len() };
        let found = match (&self.packed, &self.automaton) {
            (Some(searcher), _) => searcher.find_in(bytes, span),
            (None, Some(automaton)) => automaton.find(Input::new(bytes).span(span)),
            (None, None) => return from,
        };
        found.map_or(bytes.len(), |found| found.start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_with_and_without_vectors() {
        let candidates = Candidates::new();
        let mut plain = Candidates::new();
        for (group, parts) in plain.groups.iter_mut().zip(PARTS) {
            *group = Group { packed: None, automaton: AhoCorasick::new(parts).ok() };
        }
        let lines = [
            ("compiling foo.c", false),
            ("an error", true),
            ("WARN x", true),
            ("main.go:3:4: x", true),
            ("", false),
            ("nothing here", false),
            ("x failed", true),
        ];
        let text: String = lines.map(|line| format!("{}\n", line.0)).concat();
        for candidates in [&candidates, &plain] {
            let mut way = candidates.through(text.as_bytes());
            let mut begin = 0;
            for (line, expected) in lines {
                assert_eq!(candidates.has(line.as_bytes()), expected, "{line}");
                let end = begin + line.len();
                assert_eq!(way.hits(begin, end), expected, "{line}");
                begin = end + 1;
            }
        }
        assert!(odd_begin(b"  \xe2\x9c\x95 no") && odd_begin(b"E0322 x") && !odd_begin(b"Easy"));
    }
}
