//! Passes over the lines that nobody wants to see. What they hold is looked for in a whole piece of
//! output at once, by vectorized searches that remember where the next find is; so is the beginning
//! of a line that may begin as somebody wants.

use std::sync::Arc;

use super::{
    literals::Literal,
    starts::{Starts, Walker},
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
    walker: Walker,
    /// Where the walker stands, at the beginning of a line, by which starts.
    line: (usize, Arc<Starts>),
    /// Where the next own marker's word ends, once it was looked for.
    own_word: Option<usize>,
    /// The next escape, carriage return or bar that may count, and the search for those behind it.
    sign: (Option<usize>, memchr::Memchr3<'a>),
    /// Of the line that ends here escapes and carriage returns do not count.
    shown_until: usize,
    /// The next word of a dialect or of a problem matcher, once it was looked for.
    literal: Option<Literal>,
    dashes: Option<usize>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(bytes: &'a [u8], table: &Table) -> Self {
        Self {
            bytes,
            walker: Walker::default(),
            line: (0, Arc::clone(table.starts())),
            own_word: None,
            sign: (None, memchr::memchr3_iter(0x1b, b'\r', b'|', bytes)),
            shown_until: 0,
            literal: None,
            dashes: None,
        }
    }

    /// The beginning of the next line at `from` or later that somebody may want to see; `from` is
    /// the beginning of a line, and never before an earlier one. `own`: own markers count.
    pub(crate) fn next(&mut self, from: usize, table: &Table, own: bool) -> Option<usize> {
        loop {
            let word = if own { self.own_word(from) } else { NOWHERE };
            let literal = self.literal(from, table);
            let sign = self.sign(from, table);
            let dashes = if table.wants_dashes() { self.dashes(from) } else { NOWHERE };
            let find = word.min(literal.at).min(sign).min(dashes);
            if let Some(start) = self.beginning(from, find, table) {
                return Some(start);
            }
            if find == NOWHERE {
                return None;
            }
            if find == sign && self.bytes[find] == b'|' && !table.wants_bars() {
                self.sign.0 = None;
                continue;
            }
            let (start, end) = self.line_of(from, find);
            if find == word || find == dashes || self.bytes[find] == b'|' {
                return Some(start);
            }
            // All that a second look at the line can find.
            let line = &self.bytes[start..end];
            if find == literal.at {
                if literal.is_sure || table.by_word(line) != 0 {
                    return Some(start);
                }
                self.literal = Some(self.find_literal(end, table));
            } else {
                if is_shown_otherwise(line, table) {
                    return Some(start);
                }
                self.shown_until = end;
            }
        }
    }

    /// The line that `find` is in; `from` is the beginning of one, at or before it.
    fn line_of(&self, from: usize, find: usize) -> (usize, usize) {
        let start =
            memchr::memrchr(b'\n', &self.bytes[from..find]).map_or(from, |at| from + at + 1);
        let end =
            memchr::memchr(b'\n', &self.bytes[find..]).map_or(self.bytes.len(), |at| find + at);
        (start, end)
    }

    /// The next line at `from` or later, and not behind `until`, that begins as somebody wants.
    fn beginning(&mut self, from: usize, until: usize, table: &Table) -> Option<usize> {
        if !Arc::ptr_eq(&self.line.1, table.starts()) {
            self.line = (from, Arc::clone(table.starts()));
        }
        let (line, starts) = &mut self.line;
        *line = from.max(*line);
        while *line <= until && *line < self.bytes.len() {
            if table.by_beginning(&self.bytes[*line..]) != 0 {
                return Some(*line);
            }
            *line = self.walker.next(self.bytes, *line, starts);
        }
        None
    }

    /// Where the next own marker's word ends.
    fn own_word(&mut self, from: usize) -> usize {
        match self.own_word {
            Some(next) if next >= from => next,
            _ => *self.own_word.insert(next_word(self.bytes, from).unwrap_or(NOWHERE)),
        }
    }

    /// The next word that somebody looks for.
    fn literal(&mut self, from: usize, table: &Table) -> Literal {
        match self.literal {
            Some(next) if next.at >= from => next,
            _ => *self.literal.insert(self.find_literal(from, table)),
        }
    }

    fn find_literal(&self, from: usize, table: &Table) -> Literal {
        let found = table.literals().and_then(|literals| literals.find(self.bytes, from));
        found.unwrap_or(Literal { at: NOWHERE, is_sure: false })
    }

    /// The next sign that a line may look other than its bytes, or that a progress bar is in it.
    fn sign(&mut self, from: usize, table: &Table) -> usize {
        if table.literals().is_none() {
            return NOWHERE; // There are no dialects.
        }
        let (next, further) = &mut self.sign;
        let counts = |at: usize| {
            at >= from
                && match self.bytes[at] {
                    b'|' => at > from && self.bytes[at - 1] == b'%',
                    b'\r' => {
                        at >= self.shown_until
                            && self.bytes.get(at + 1).is_some_and(|byte| *byte != b'\n')
                    }
                    _ => at >= self.shown_until,
                }
        };
        match *next {
            Some(next) if next == NOWHERE || counts(next) => next,
            _ => *next.insert(further.find(|at| counts(*at)).unwrap_or(NOWHERE)),
        }
    }

    fn dashes(&mut self, from: usize) -> usize {
        match self.dashes {
            Some(next) if next >= from => next,
            _ => {
                let found = memchr::memmem::find(&self.bytes[from..], b"--- ");
                *self.dashes.insert(found.map_or(NOWHERE, |found| from + found))
            }
        }
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
                // What follows is shown behind these, if it is shown.
                if length == blanks + 2 && !table.may_begin(&shown[..length]) {
                    return false;
                }
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
        let literals = watch::literals(problems.literals());
        Table::new(&watches, Some(Arc::new(literals)), 1 << watches.len())
    }

    fn passed(bytes: &[u8], table: &Table) -> Vec<usize> {
        let (mut filter, mut at) = (Filter::new(bytes, table), 0);
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
