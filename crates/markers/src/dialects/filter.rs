//! Passes over the lines that nobody wants to see: one look at how each begins, and one search of a
//! block of bytes for anything that could be a marker elsewhere in a line.

use super::watch::Table;
use crate::boundary::{ends_word, word_before};

/// How much is searched at once; small, because a hit costs a second look at the lines it touches.
const BLOCK_BYTES: usize = 128;

/// Looks for lines in one piece of whole lines.
pub(crate) struct Filter<'a> {
    bytes: &'a [u8],
    /// Bytes from `clean_from` to here hold nothing of interest.
    clean_until: usize,
    /// The last block that does not.
    dirty: (usize, usize),
}

impl<'a> Filter<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, clean_until: 0, dirty: (0, 0) }
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
            if begins || (self.is_dirty(at, end) && is_wanted(line, table, own)) {
                return Some(at);
            }
            at = end + 1;
        }
        None
    }

    /// Whether there may be something of interest between `from` and `to`.
    fn is_dirty(&mut self, from: usize, to: usize) -> bool {
        let mut dirty = from < self.dirty.1 && self.dirty.0 < to;
        self.clean_until = self.clean_until.max(from);
        while self.clean_until < to {
            let start = self.clean_until;
            let end = self.bytes.len().min(start + BLOCK_BYTES);
            if block_is_dirty(self.bytes, start, end) {
                self.dirty = (start, end);
                dirty = true;
            }
            self.clean_until = end;
        }
        dirty
    }
}

/// Whether somebody may want to see a line that does not begin as somebody wants.
fn is_wanted(line: &[u8], table: &Table, own: bool) -> bool {
    let shown_otherwise = || {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        memchr::memchr2(0x1b, b'\r', line).is_some()
    };
    let is_own = || memchr::memchr_iter(b':', line).any(|colon| word_before(line, colon).is_some());
    (own && is_own()) || shown_otherwise() || table.by_needle(line) != 0
}

fn block_is_dirty(bytes: &[u8], start: usize, end: usize) -> bool {
    match start.checked_sub(3) {
        Some(before) => window_is_dirty(&bytes[before..end]),
        None => {
            let mut window = [b'\n'; BLOCK_BYTES + 3];
            let length = end - start;
            window[3 - start..3].copy_from_slice(&bytes[..start]);
            window[3..3 + length].copy_from_slice(&bytes[start..end]);
            window_is_dirty(&window[..3 + length])
        }
    }
}

/// Whether a byte of `window` behind its first three is the end of something that may be a marker:
/// an escape, a carriage return that no line feed follows, a colon behind a marker's word, or a few
/// letters of a needle.
///
/// Without a branch, so that the compiler makes vector instructions of it.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
fn window_is_dirty(window: &[u8]) -> bool {
    let Some(length) = window.len().checked_sub(3) else { return false };
    let (third, second, first) = (&window[..length], &window[1..=length], &window[2..length + 2]);
    let mut any = 0;
    for (((&third, &second), &first), &byte) in
        third.iter().zip(second).zip(first).zip(&window[3..])
    {
        let own = ends_word(second, first) & (byte == b':');
        let bracket = (byte == b'[')
            & (((second == b's') & (first == b'o')) | ((second == b't') & (first == b'y')));
        let line = (byte == b'_')
            & (((third == b'i') & (second == b'o') & (first == b'n'))
                | ((third == b'v') & (second == b'i') & (first == b's')));
        let dots = (byte == b' ')
            & (((second == b'.') & (first == b'.'))
                | ((third == b'-') & (second == b'-') & (first == b'-')));
        let bar = (byte == b'|') & (first == b'%');
        let moved = (byte == 0x1b) | ((first == b'\r') & (byte != b'\n'));
        any |= u8::from(own | bracket | line | dots | bar | moved);
    }
    any != 0
}
