//! Passes over the lines that nobody wants to see. One look at how each begins; everything else is
//! looked for in a whole piece of output at once, by vectorized searches that remember where the
//! next find is.

use super::{
    literals::{Literal, Literals},
    watch::Table,
};
use crate::scan::next_word;

/// No beginning that somebody wants is longer.
pub(super) const BEGINNING_BYTES_MAX: usize = 24;

/// There is no further one.
const NOWHERE: usize = usize::MAX;

/// Looks for lines in one piece of whole lines.
pub(crate) struct Filter<'a> {
    bytes: &'a [u8],
    feeds: memchr::Memchr<'a>,
    /// Where the next own marker's word ends, once it was looked for.
    own_word: Option<usize>,
    /// Escapes, carriage returns and bars: the next one, and those behind it.
    signs: (usize, memchr::Memchr3<'a>),
    /// The next word of a dialect or of a problem matcher, once it was looked for.
    literal: Option<Literal>,
    dashes: Option<usize>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut signs = memchr::memchr3_iter(0x1b, b'\r', b'|', bytes);
        Self {
            bytes,
            feeds: memchr::memchr_iter(b'\n', bytes),
            own_word: None,
            signs: (signs.next().unwrap_or(NOWHERE), signs),
            literal: None,
            dashes: None,
        }
    }

    /// The beginning of the next line at `from` or later that somebody may want to see; `from` is
    /// the beginning of a line, and never before an earlier one. `own`: own markers count.
    pub(crate) fn next(&mut self, from: usize, table: &Table, own: bool) -> Option<usize> {
        let mut at = from;
        while at < self.bytes.len() {
            let end = self.end_of_line(at);
            let line = &self.bytes[at..end];
            if table.by_beginning(line) != 0
                || line.ends_with(b".. ")
                || (own && self.has_own_word(at, end))
                || self.has_literal(at, end, table)
                || self.has_sign(at, end, table)
                || (table.wants_dashes() && self.has_dashes(at, end))
            {
                return Some(at);
            }
            at = end + 1;
        }
        None
    }

    #[inline]
    fn end_of_line(&mut self, at: usize) -> usize {
        // Lines that were wanted are behind us, their ends are not.
        self.feeds.by_ref().find(|feed| *feed >= at).unwrap_or(self.bytes.len())
    }

    /// Whether an own marker's word ends between `at` and `end`.
    #[inline]
    fn has_own_word(&mut self, at: usize, end: usize) -> bool {
        let next = match self.own_word {
            Some(next) if next >= at => next,
            _ => *self.own_word.insert(next_word(self.bytes, at).unwrap_or(NOWHERE)),
        };
        next < end
    }

    /// Whether a word that somebody looks for is between `at` and `end`.
    #[inline]
    fn has_literal(&mut self, at: usize, end: usize, table: &Table) -> bool {
        let Some(literals) = table.literals() else { return false };
        match self.literal {
            Some(next) if next.at >= end => false,
            _ => self.look_for_literal(at, end, literals, table),
        }
    }

    fn look_for_literal(
        &mut self,
        at: usize,
        end: usize,
        literals: &Literals,
        table: &Table,
    ) -> bool {
        let known = self.literal.filter(|next| next.at >= at);
        let next = known.unwrap_or_else(|| {
            let nowhere = Literal { at: NOWHERE, is_sure: false };
            literals.find(self.bytes, at).unwrap_or(nowhere)
        });
        self.literal = Some(next);
        next.at < end && (next.is_sure || table.by_word(&self.bytes[at..end]) != 0)
    }

    /// Whether a line looks other than its bytes, and as somebody wants; or a progress bar is in it.
    #[inline]
    fn has_sign(&mut self, at: usize, end: usize, table: &Table) -> bool {
        if table.literals().is_none() {
            return false; // There are no dialects.
        }
        let mut looked = false;
        while self.signs.0 < end {
            let sign = std::mem::replace(&mut self.signs.0, self.signs.1.next().unwrap_or(NOWHERE));
            let is_it = match self.bytes[sign] {
                _ if sign < at => false, // Of a line that was wanted anyway.
                b'|' => sign > at && self.bytes[sign - 1] == b'%' && table.wants_bars(),
                b'\r' if sign + 1 == end => false,
                // One look is enough for all of them.
                _ => {
                    !std::mem::replace(&mut looked, true)
                        && is_shown_otherwise(&self.bytes[at..end], table)
                }
            };
            if is_it {
                return true;
            }
        }
        false
    }

    fn has_dashes(&mut self, at: usize, end: usize) -> bool {
        let next = match self.dashes {
            Some(next) if next >= at => next,
            _ => {
                let found = memchr::memmem::find(&self.bytes[at..], b"--- ");
                *self.dashes.insert(found.map_or(NOWHERE, |found| at + found))
            }
        };
        next < end
    }
}

/// Whether the visible text of a line with escape sequences or carriage returns in it may begin as
/// somebody wants where its bytes do not.
fn is_shown_otherwise(line: &[u8], table: &Table) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\r', line).is_some() {
        return true;
    }
    // Colours are passed over; anything else that is not shown needs a second look. No beginning has
    // more blanks in front than it is long.
    let mut shown = [0; 2 * BEGINNING_BYTES_MAX];
    let (mut length, mut blanks, mut rest) = (0, 0, line);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            0x1b => match behind_colour(behind) {
                Some(behind) => rest = behind,
                None => return true,
            },
            b' ' | b'\t' if length == blanks && blanks == BEGINNING_BYTES_MAX => {}
            _ => {
                blanks += usize::from(length == blanks && matches!(first, b' ' | b'\t'));
                shown[length] = *first;
                length += 1;
                if length == blanks + BEGINNING_BYTES_MAX {
                    break;
                }
            }
        }
    }
    table.by_beginning(&shown[..length]) != 0
}

/// What stands behind `[`, parameters and a letter: the rest of a colour.
fn behind_colour(sequence: &[u8]) -> Option<&[u8]> {
    let sequence = sequence.strip_prefix(b"[")?;
    let length = sequence.iter().take_while(|byte| matches!(byte, b'0'..=b'?')).count();
    let (last, behind) = sequence.get(length..)?.split_first()?;
    matches!(last, b'@'..=b'~').then_some(behind)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::dialects::{Line, Place, Selection, Watch, problems::Problems, watch};

    /// The table of all dialects and matchers in their first states, and of one that waits for dashes.
    fn table() -> Table {
        let selection = Selection::default();
        let mut watches: Vec<Watch> =
            selection.entries().map(|(entry, hinted)| (entry.new)(hinted).watch()).collect();
        watches.push(Watch::none().needle(watch::Needle::Dashes));
        let problems = Problems::new(selection.matchers());
        let literals = Arc::new(watch::literals(problems.literals()));
        Table::new(&watches, Some(literals), 1 << watches.len())
    }

    fn passed(bytes: &[u8], table: &Table) -> Vec<usize> {
        let (mut filter, mut at) = (Filter::new(bytes), 0);
        let mut passed = Vec::new();
        while let Some(start) = filter.next(at, table, true) {
            passed.push(start);
            at = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |end| start + end + 1);
        }
        passed
    }

    /// What is in lines that somebody wants, and what is nearly that.
    fn piece() -> impl Strategy<Value = String> {
        let words = [
            "STEP_START:",
            "step_error:",
            "artifact:",
            "::group::",
            "##vso[",
            "##[",
            "##teamcity[",
            "section_start:",
            "travis_fold:",
            "\x1b]133",
            "ing...",
            ": Creating...",
            ".. ",
            "skipped: ",
            "error: ",
            "warning: ",
            "error TS",
            ".py:",
            "--> ",
            "--- ",
            "%|",
            "|",
            ":",
            "1:2: ",
            "\x1b[32m",
            "\x1b[1;3",
            "\x1b[0m",
            "\x1b",
            "\r",
            " ",
            "    ",
            "\t",
            "ok 1",
            "not ok 1",
            "1..2",
            "PLAY [",
            "TASK [",
            "running 3 tests",
            "make: ",
            "[1/2] ",
            "=== RUN",
            "#1 [",
            "   Compiling ",
            "> Task ",
            "[INFO] ",
            "Traceback (most recent call last):",
            "date",
            "the quick brown fox",
            "é",
            "\u{fffd}",
            "\n",
            "\n",
            "\n",
        ];
        prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
            1 => "[ -~]{0,30}", 1 => "[a-z ]{60,200}"]
    }

    proptest! {
        /// No line is passed over that somebody wants who sees all of them.
        #[test]
        fn what_somebody_wants_is_passed_over_never(pieces in prop::collection::vec(piece(), 0..60)) {
            let (table, text) = (table(), pieces.concat() + "\n");
            let passed = passed(text.as_bytes(), &table);
            let mut start = 0;
            for line in text.split_inclusive('\n') {
                let bytes = line.strip_suffix('\n').unwrap_or(line).as_bytes();
                let visible = Line::new(bytes, Place::default());
                let own = crate::parse(bytes) != Ok(None);
                // Dots in the middle of a line concern nobody unless what they say stands behind.
                let dots = bytes.ends_with(b".. ") || line.contains("skipped: ");
                let who = table.who(visible.visible().as_bytes(), bytes) != 0;
                if own || (who && (dots || !line.contains(".. "))) {
                    prop_assert!(passed.contains(&start), "{line:?} of {text:?}");
                }
                start += line.len();
            }
        }
    }

    #[test]
    fn ordinary_lines_are_passed_over() {
        let lines = "the quick brown fox\n12:00:01 INFO app: the quick: jumps\n\n\r\nan error here\r\n\
                     \x1b[32mgreen\x1b[0m text\n|a|b|\n        deep: [in]\nUpper Case: Words\n";
        assert_eq!(passed(lines.as_bytes(), &table()), [0; 0]);
    }

    #[test]
    fn colours_in_front_hide_nothing() {
        let lines = "plain\n\x1b[32mo\x1b[0mk 1 - x\n\x1b[1m\x1b[2m    \x1b[33mnothing\n\
                     \x1b[0K\x1b[36;1m##[section]x\n";
        let starts: Vec<_> = passed(lines.as_bytes(), &table());
        assert_eq!(starts, [6, lines.find("\x1b[0K").unwrap()]);
    }
}
