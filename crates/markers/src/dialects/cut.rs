//! A stream to its lines, whatever its split into reads.

use crate::{LINE_BYTES_MAX, parse::HEAD_BYTES};

/// A line without its line feed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is too long to be looked at; this is how it begins.
    Head(&'a [u8]),
}

impl Cut<'_> {
    /// Whether it is a line of blanks.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Whole(bytes) => {
                bytes.len() <= LINE_BYTES_MAX && bytes.iter().copied().all(is_blank)
            }
            Self::Head(_) => false,
        }
    }
}

/// Whether the last of these whole lines is one of blanks. `false` without one.
pub(crate) fn ends_with_blank_line(lines: &[u8]) -> bool {
    let Some(lines) = lines.strip_suffix(b"\n") else { return false };
    let blanks = lines.iter().rev().take(LINE_BYTES_MAX + 1).take_while(|b| is_blank(**b)).count();
    let before = lines.len() - blanks;
    blanks <= LINE_BYTES_MAX && before.checked_sub(1).is_none_or(|last| lines[last] == b'\n')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Takes a line, and where it begins and ends.
pub(crate) type OnLine<'a> = &'a mut dyn FnMut(Cut<'_>, u64, u64);

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// The line that has begun and not ended; only how it begins once it is too long.
    open: Vec<u8>,
    start: u64,
    end: u64,
    state: Open,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    No,
    Yes,
    TooLong,
}

impl Cutter {
    /// Completes the line that is open, if it is, with the stream's next bytes; gives where what is
    /// left of them begins.
    pub(crate) fn complete(&mut self, bytes: &[u8], offset: u64, on_line: OnLine<'_>) -> usize {
        if self.state == Open::No {
            return 0;
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes, offset);
            return bytes.len();
        };
        self.keep(&bytes[..end], offset);
        self.end = offset + end as u64 + 1;
        self.finish(on_line);
        end + 1
    }

    /// The stream has ended: its last half line counts as whole.
    pub(crate) fn finish(&mut self, on_line: OnLine<'_>) {
        match std::mem::take(&mut self.state) {
            Open::No => return,
            Open::Yes => on_line(Cut::Whole(&self.open), self.start, self.end),
            Open::TooLong => on_line(Cut::Head(&self.open), self.start, self.end),
        }
        self.open.clear();
    }

    /// Keeps the beginning of a line.
    pub(crate) fn keep(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        if self.state == Open::No {
            self.state = Open::Yes;
            self.start = offset;
        }
        self.end = offset + bytes.len() as u64;
        if self.state == Open::Yes {
            if self.open.len() + bytes.len() > LINE_BYTES_MAX {
                self.state = Open::TooLong;
                let more = HEAD_BYTES.saturating_sub(self.open.len()).min(bytes.len());
                self.open.extend_from_slice(&bytes[..more]);
                self.open.truncate(HEAD_BYTES);
                self.open.shrink_to_fit();
            } else {
                self.open.extend_from_slice(bytes);
            }
        }
    }
}
