//! A stream to the lines that may hold a marker.

use crate::{
    Found, LINE_BYTES_MAX,
    boundary::{ends_word, word_before},
    parse::{self, parse},
};

/// How much is searched for candidates at once; small, because a hit costs a second look at it.
const BLOCK_BYTES: usize = 128;

/// Finds markers in one stream, whatever its split into reads.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The line that has begun and not ended.
    open: Vec<u8>,
    /// Offset of its first byte.
    open_start: u64,
    /// Offset just after its last byte so far.
    open_end: u64,
    /// A line is open; its bytes are not kept once it is too long to be a marker.
    state: Open,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    No,
    Yes,
    TooLong,
    /// The same, and it began like a marker.
    Refused,
}

impl Scanner {
    /// A scanner at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the stream's next bytes, which stand at `offset` in the output.
    pub fn push(&mut self, bytes: &[u8], offset: u64, found: &mut dyn FnMut(Found)) {
        let mut from = 0;
        if self.state != Open::No {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return self.keep(bytes, offset);
            };
            self.keep(&bytes[..end], offset);
            self.open_end = offset + end as u64 + 1;
            self.close(found);
            from = end + 1;
        }
        let whole = memchr::memrchr(b'\n', &bytes[from..]).map_or(from, |at| from + at + 1);
        Self::lines(&bytes[from..whole], offset + from as u64, found);
        self.keep(&bytes[whole..], offset + whole as u64);
    }

    /// The stream has ended: its last half line counts as whole.
    pub fn finish(&mut self, found: &mut dyn FnMut(Found)) {
        if self.state != Open::No {
            self.close(found);
        }
    }

    /// Whole lines at once: one search for candidates over all of them.
    fn lines(bytes: &[u8], offset: u64, found: &mut dyn FnMut(Found)) {
        let mut done = 0; // All before it is dealt with: a line is parsed once.
        while let Some(colon) = next_word(bytes, done) {
            let start =
                memchr::memrchr(b'\n', &bytes[done..colon]).map_or(done, |lf| done + lf + 1);
            let lf = memchr::memchr(b'\n', &bytes[colon..]).map_or(bytes.len(), |lf| colon + lf);
            Self::line(&bytes[start..lf], offset + start as u64, offset + lf as u64 + 1, found);
            done = lf + 1;
        }
    }

    fn line(line: &[u8], start: u64, end: u64, found: &mut dyn FnMut(Found)) {
        if let Some(outcome) = parse(line).transpose() {
            found(Found { outcome, start, end });
        }
    }

    fn keep(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.state == Open::No {
            self.state = Open::Yes;
            self.open_start = offset;
        }
        self.open_end = offset + bytes.len() as u64;
        if self.state == Open::Yes {
            if self.open.len() + bytes.len() > LINE_BYTES_MAX {
                let more = parse::HEAD_BYTES.saturating_sub(self.open.len()).min(bytes.len());
                self.open.extend_from_slice(&bytes[..more]);
                self.open.truncate(parse::HEAD_BYTES);
                let refused = parse::too_long(&self.open).is_some();
                self.state = if refused { Open::Refused } else { Open::TooLong };
                if !refused {
                    self.open.clear();
                }
                self.open.shrink_to_fit(); // No more of it is kept than says so.
            } else {
                self.open.extend_from_slice(bytes);
            }
        }
    }

    fn close(&mut self, found: &mut dyn FnMut(Found)) {
        match self.state {
            Open::Yes => Self::line(&self.open, self.open_start, self.open_end, found),
            Open::Refused => {
                if let Some(error) = parse::too_long(&self.open) {
                    let (start, end) = (self.open_start, self.open_end);
                    found(Found { outcome: Err(error), start, end });
                }
            }
            Open::No | Open::TooLong => {}
        }
        self.open.clear();
        self.state = Open::No;
    }
}

/// The first colon at `from` or later that stands behind a marker word.
pub(crate) fn next_word(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.max(2);
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(b':', rest)) {
        at += next;
        let end = bytes.len().min(at + BLOCK_BYTES);
        let (before, last) = (&bytes[at - 2..end - 2], &bytes[at - 1..end - 1]);
        if may_hold_candidate(before, last, &bytes[at..end]) {
            let mut colons = memchr::memchr_iter(b':', &bytes[at..end]).map(|colon| at + colon);
            let word = colons.find(|colon| word_before(bytes, *colon).is_some());
            if word.is_some() {
                return word;
            }
        }
        at = end;
    }
    None
}

/// Whether one of `bytes` is a colon behind the last two letters of a marker word; `last` and
/// `before` are the same text, one and two bytes earlier.
///
/// Without a branch, so that the compiler makes vector instructions of it.
fn may_hold_candidate(before: &[u8], last: &[u8], bytes: &[u8]) -> bool {
    let mut any = 0;
    for ((&before, &last), &byte) in before.iter().zip(last).zip(bytes) {
        any |= u8::from(ends_word(before, last)) & u8::from(byte == b':');
    }
    any != 0
}
