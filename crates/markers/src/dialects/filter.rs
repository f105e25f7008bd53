//! Passes over the lines that nobody wants to see: one look at how each begins, and one search of a
//! block of bytes for anything that could be a marker elsewhere in a line.

use super::watch::Table;
use crate::boundary::{ends_word, word_before};

/// How much is searched at once; small, because a hit costs a second look at the lines it touches.
const BLOCK_BYTES: usize = 128;

/// No beginning that somebody wants is longer.
pub(super) const BEGINNING_BYTES_MAX: usize = 24;

/// Looks for lines in one piece of whole lines.
pub(crate) struct Filter<'a> {
    bytes: &'a [u8],
    /// All blocks before here were searched.
    searched_until: usize,
    /// The end of the last block that may hold something of interest.
    dirty_until: usize,
    /// Where the next word of a problem matcher begins, as far as was looked; past the end: nowhere.
    literal: Option<usize>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, searched_until: 0, dirty_until: 0, literal: None }
    }

    /// The beginning of the next line at `from` or later that somebody may want to see; `from` is
    /// the beginning of a line. `own`: own markers count.
    pub(crate) fn next(&mut self, from: usize, table: &Table, own: bool) -> Option<usize> {
        let mut at = from;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let end = at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &self.bytes[at..end];
            let begins = line.first().is_some_and(|first| table.may_begin(*first))
                && table.by_beginning(line) != 0;
            let dashes = table.wants_dashes() && memchr::memmem::find(line, b"--- ").is_some();
            if begins
                || dashes
                || line.ends_with(b".. ")
                || self.has_literal(at, end, table)
                || (self.is_dirty(at, end) && is_wanted(line, table, own))
            {
                return Some(at);
            }
            at = end + 1;
        }
        None
    }

    /// Whether a problem matcher's word begins between `from` and `to`. Bytes are looked at once.
    fn has_literal(&mut self, from: usize, to: usize, table: &Table) -> bool {
        let Some(literals) = table.literals() else { return false };
        let next = match self.literal {
            Some(next) if next >= from => next,
            _ => *self.literal.insert(literals.find(self.bytes, from).unwrap_or(usize::MAX)),
        };
        next < to
    }

    /// Whether there may be something of interest between `from` and `to`.
    fn is_dirty(&mut self, from: usize, to: usize) -> bool {
        let mut dirty = from < self.dirty_until;
        self.searched_until = self.searched_until.max(from);
        while self.searched_until < to {
            let start = self.searched_until;
            let end = self.bytes.len().min(start + BLOCK_BYTES);
            if block_is_dirty(self.bytes, start, end) {
                self.dirty_until = end;
                dirty = true;
            }
            self.searched_until = end;
        }
        dirty
    }
}

/// Whether somebody may want to see a line that does not begin as somebody wants.
fn is_wanted(line: &[u8], table: &Table, own: bool) -> bool {
    let is_own = || memchr::memchr_iter(b':', line).any(|colon| word_before(line, colon).is_some());
    (own && is_own()) || is_shown_otherwise(line, table) || table.by_needle(line) != 0
}

/// Whether a line's visible text may begin as somebody wants where its bytes do not.
fn is_shown_otherwise(line: &[u8], table: &Table) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\r', line).is_some() {
        return true;
    }
    // Colours in front are passed over; anything else that is not shown needs a second look.
    let mut rest = line;
    while let Some(sequence) = rest.strip_prefix(b"\x1b[") {
        let length = sequence.iter().take_while(|byte| matches!(byte, b'0'..=b'?')).count();
        match sequence.get(length) {
            Some(b'@'..=b'~') => rest = &sequence[length + 1..],
            _ => return true,
        }
    }
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let beginning = &rest[..rest.len().min(blanks + BEGINNING_BYTES_MAX)];
    let Some(first) = rest.first() else { return false };
    if !table.may_begin(*first) {
        return *first == 0x1b;
    }
    memchr::memchr(0x1b, beginning).is_some()
        || (rest.len() < line.len() && table.by_beginning(rest) != 0)
}

/// Whether something in a block may be of interest.
fn block_is_dirty(bytes: &[u8], start: usize, end: usize) -> bool {
    if let Some(before) = start.checked_sub(3) {
        return window_is_dirty(&bytes[before..end]);
    }
    let mut window = [b'\n'; BLOCK_BYTES + 3];
    let length = end - start;
    window[3 - start..3].copy_from_slice(&bytes[..start]);
    window[3..3 + length].copy_from_slice(&bytes[start..end]);
    window_is_dirty(&window[..3 + length])
}

/// The same of a block with the three bytes before it.
fn window_is_dirty(window: &[u8]) -> bool {
    let Some((before, block)) = window.split_at_checked(3) else { return false };
    let mut present = Present::of(block);
    // What stands behind a colon may be in the next block.
    present.colon |= before.contains(&b':');
    let any = present.colon | present.bracket | present.bar | present.control;
    any && present.is_dirty(window)
}

/// Which of the bytes are in a window that may be part of something of interest.
struct Present {
    /// `:`
    colon: bool,
    /// `[` to `_`
    bracket: bool,
    /// `|`
    bar: bool,
    /// A control character, line feed and tab aside.
    control: bool,
}

impl Present {
    /// Without a branch, so that the compiler makes vector instructions of it.
    fn of(block: &[u8]) -> Self {
        let (mut colon, mut bracket, mut bar, mut control) = (0, 0, 0, 0);
        for &byte in block {
            colon |= u8::from(byte == b':');
            bracket |= u8::from(byte.wrapping_sub(b'[') <= b'_' - b'[');
            bar |= u8::from(byte == b'|');
            control |= u8::from(byte.wrapping_sub(b'\r') <= 0x1b - b'\r');
        }
        Self { colon: colon != 0, bracket: bracket != 0, bar: bar != 0, control: control != 0 }
    }

    /// Whether a byte of `window` behind its first three is the end of something of interest.
    #[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
    fn is_dirty(&self, window: &[u8]) -> bool {
        let Some(length) = window.len().checked_sub(3) else { return false };
        let end = Ends {
            third: &window[..length],
            second: &window[1..=length],
            first: &window[2..length + 2],
            last: &window[3..],
        };
        (self.colon && is_dirty_by_colon(&end))
            // `##vso[`, `##teamcity[`, `section_`, `travis_`.
            || (self.bracket && end.any(|third, second, first, last| {
                let bracket = ((second == b's') & (first == b'o'))
                    | ((second == b't') & (first == b'y'));
                let line = ((third == b'i') & (second == b'o') & (first == b'n'))
                    | ((third == b'v') & (second == b'i') & (first == b's'));
                ((last == b'[') & bracket) | ((last == b'_') & line)
            }))
            || (self.bar && end.any(|_, _, first, last| (last == b'|') & (first == b'%')))
            || (self.control && end.any(|_, _, first, last| {
                (last == 0x1b) | ((first == b'\r') & (last != b'\n'))
            }))
    }
}

/// Whether a colon is part of something of interest.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
fn is_dirty_by_colon(ends: &Ends<'_>) -> bool {
    const WORD: u8 = 1;
    const MAY_DO: u8 = 2;
    let flags = ends.flags(|third, second, first, last| {
        // A marker's word before it, `error:` among them; `skipped:`, `warning:`.
        let other = ((second == b'e') & (first == b'd')) | ((second == b'n') & (first == b'g'));
        let word = ends_word(second, first) | other;
        // A word behind it: `: Creating...` and the like have capitals from C to R.
        let capital = first.wrapping_sub(b'C') <= b'R' - b'C';
        let may_do = (third == b':') & (second == b' ') & capital;
        (u8::from((last == b':') & word) * WORD) | (u8::from(may_do) * MAY_DO)
    });
    let is_doing = || {
        ends.any(|third, second, first, last| {
            // Creating, Destroying, Modifying, Opening, Reading.
            let doing = ((last == b'e') & ((first == b'D') | (first == b'R')))
                | ((first == b'C') & (last == b'r'))
                | ((first == b'M') & (last == b'o'))
                | ((first == b'O') & (last == b'p'));
            (third == b':') & (second == b' ') & doing
        })
    };
    flags & WORD != 0 || (flags & MAY_DO != 0 && is_doing())
}

/// The bytes of a block, each with the three before it.
struct Ends<'a> {
    third: &'a [u8],
    second: &'a [u8],
    first: &'a [u8],
    last: &'a [u8],
}

impl Ends<'_> {
    /// Whether this holds of any. Without a branch, as above.
    #[inline]
    fn any(&self, is: impl Fn(u8, u8, u8, u8) -> bool) -> bool {
        self.flags(|third, second, first, last| u8::from(is(third, second, first, last))) != 0
    }

    /// The flags of all together.
    #[inline]
    fn flags(&self, of: impl Fn(u8, u8, u8, u8) -> u8) -> u8 {
        let before = self.third.iter().zip(self.second).zip(self.first);
        let all = before.zip(self.last);
        all.fold(0, |flags, (((third, second), first), last)| {
            flags | of(*third, *second, *first, *last)
        })
    }
}
