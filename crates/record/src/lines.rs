//! Output read as lines.

use stepflow_model::{Dropped, Stream};

use crate::index::Entry;

/// Most bytes of one line (or of one piece of it) that are delivered at once.
pub const LINE_TEXT_MAX: usize = 64 * 1024;

/// A line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Output offset of the piece's first byte.
    pub offset: u64,
    /// Output offset just after the piece, line end included.
    pub end: u64,
    /// When its first byte was read, ns since 1970 UTC.
    pub time_ns: i64,
    /// The stream it came from.
    pub stream: Stream,
    /// Its bytes without the line end, at most [`LINE_TEXT_MAX`].
    pub text: Vec<u8>,
    /// Bytes of the line that are not in `text` (line end not counted).
    pub rest: u64,
    /// No line end follows (yet).
    pub partial: bool,
    /// It goes on a piece of the same stream that the other stream cut.
    pub continued: bool,
    /// Completed after a crash; no checksum vouches for it.
    pub unverified: bool,
    /// No line, but what stands in the place of output that is gone by policy: `text` says so, for
    /// people. `number` is that of the last line that is gone, so that whoever goes on by number or
    /// by `end` comes behind it.
    pub dropped: Option<Dropped>,
}

/// How long lines are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Long {
    /// The first [`LINE_TEXT_MAX`] bytes and the count of the rest.
    Cut,
    /// In pieces, each flagged partial but the last.
    Pieces,
}

/// Cuts output into lines, entry by entry.
#[derive(Debug)]
pub(crate) struct Splitter {
    pub(crate) number: u64,
    long: Long,
    current: Option<Line>,
    pub(crate) done: Vec<Line>,
    /// Most lines or pieces, and bytes after which no further one is begun.
    limit: usize,
    bytes_max: u64,
    /// Bytes that were pushed.
    seen: u64,
}

/// What the splitter must know of the bytes it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) time_ns: i64,
    pub(crate) stream: Stream,
    pub(crate) continued: bool,
    pub(crate) unverified: bool,
}

impl Splitter {
    pub(crate) fn new(number: u64, long: Long) -> Self {
        let (limit, bytes_max) = (usize::MAX, u64::MAX);
        Self { number, long, current: None, done: Vec::new(), limit, bytes_max, seen: 0 }
    }

    /// The same, of so many lines and (about) bytes at most.
    pub(crate) fn within(self, limit: usize, bytes_max: u64) -> Self {
        Self { limit, bytes_max, ..self }
    }

    /// There is enough: what is pushed now is left out. An entry may hold a hundred thousand lines,
    /// of which somebody wants five hundred.
    pub(crate) fn is_full(&self) -> bool {
        let whole = self.current.as_ref().is_none_or(|line| line.text.len() == LINE_TEXT_MAX);
        self.done.len() >= self.limit || (self.seen >= self.bytes_max && whole)
    }

    /// The line that is open has all the text it may hold: further bytes need only be counted.
    pub(crate) fn saturated(&self) -> bool {
        self.long == Long::Cut
            && self.current.as_ref().is_some_and(|line| line.text.len() == LINE_TEXT_MAX)
    }

    /// Counts bytes of the open line without looking at them.
    pub(crate) fn skip(&mut self, count: u64) {
        if let Some(line) = &mut self.current {
            line.rest += count;
            line.end += count;
        }
    }

    /// The other stream begins: a half line counts as ended.
    pub(crate) fn cut(&mut self) {
        if let Some(mut line) = self.current.take() {
            line.partial = false;
            self.done.push(line);
        }
        self.number += 1;
    }

    /// What comes at `offset`, in `entry`, is gone: a line that is open ends here, and what follows
    /// begins one.
    pub(crate) fn dropped(&mut self, gone: Dropped, offset: u64, entry: &Entry) {
        if let Some(mut line) = self.current.take() {
            line.partial = false;
            self.done.push(line);
        }
        self.done.push(Line {
            number: self.number.max(gone.lines_to),
            offset,
            end: gone.to,
            time_ns: entry.time_ns,
            stream: entry.flags.stream(),
            text: gone.to_string().into_bytes(),
            rest: 0,
            partial: false,
            continued: false,
            unverified: false,
            dropped: Some(gone),
        });
        self.number = gone.lines_to + 1;
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8], mut offset: u64, mut origin: Origin) {
        while !bytes.is_empty() && !self.is_full() {
            // A cut line is counted to its end; a piece is looked at before the next one begins.
            let have = self.current.as_ref().map_or(0, |line| line.text.len());
            let room = match self.long {
                Long::Pieces if have < LINE_TEXT_MAX => LINE_TEXT_MAX - have,
                Long::Pieces => LINE_TEXT_MAX,
                Long::Cut => bytes.len(),
            };
            let near = &bytes[..bytes.len().min(room + 1)];
            let (text, ended) = match memchr::memchr(b'\n', near) {
                Some(at) => (&bytes[..at], true),
                None => (&bytes[..bytes.len().min(room)], false),
            };
            let taken = text.len() + usize::from(ended);
            self.seen += taken as u64;
            self.piece(text, offset, ended, origin);
            origin.continued = false;
            offset += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    fn piece(&mut self, mut text: &[u8], mut offset: u64, ended: bool, origin: Origin) {
        loop {
            let number = self.number;
            let line = self.current.get_or_insert_with(|| Line {
                number,
                offset,
                end: offset,
                time_ns: origin.time_ns,
                stream: origin.stream,
                text: Vec::new(),
                rest: 0,
                partial: true,
                continued: origin.continued,
                unverified: origin.unverified,
                dropped: None,
            });
            let room = LINE_TEXT_MAX - line.text.len();
            let fits = text.len().min(room);
            line.text.extend_from_slice(&text[..fits]);
            line.end += fits as u64;
            offset += fits as u64;
            text = &text[fits..];
            if text.is_empty() {
                break;
            }
            match self.long {
                Long::Cut => {
                    line.rest += text.len() as u64;
                    line.end += text.len() as u64;
                    break;
                }
                Long::Pieces => self.done.extend(self.current.take()),
            }
        }
        if ended && let Some(mut line) = self.current.take() {
            line.partial = false;
            line.end += 1;
            self.done.push(line);
            self.number += 1;
        }
    }

    /// The lines, with the open half line last.
    pub(crate) fn finish(mut self) -> Vec<Line> {
        self.done.extend(self.current.take());
        self.done
    }
}
