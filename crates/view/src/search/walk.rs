//! A log, line by line in order, as searches look at it: whole reads of lines that are shown as they
//! are, and one by one those that are not.

use stepflow_model::Dropped;
use stepflow_record::{Block, LogReader, RecordError};

use super::{Cursor, OVERLAP_BYTES};
use crate::{
    draw::{self, LOOKED_BYTES, Source},
    picture::Picture,
    scan::{BLOCK_BYTES, with_source},
    style::Style,
    token::{Token, Tokens},
    width::symbol,
};

/// What is done with the lines. What one call is given is what a pattern is held against: no match
/// reaches from one into another.
pub(super) trait Look {
    /// What is gone by policy now, before the lines of a read.
    fn read(&mut self, gone: Option<Dropped>);
    /// Lines that are shown as they are, with line feeds between them; the first is `at`. Returns how
    /// many line feeds there are.
    fn lines(&mut self, bytes: &[u8], at: Cursor) -> u64;
    /// A line, as it is shown; it ends at `end`.
    fn line(&mut self, text: &[u8], at: Cursor, end: u64);
    /// A line that is too long to be taken at once: pieces that share [`OVERLAP_BYTES`], each with its
    /// offset. `line` is the whole one.
    fn piece(&mut self, bytes: &[u8], line: Cursor, offset: u64);
    /// The end of those pieces.
    fn pieces_end(&mut self, at: Cursor, end: u64);
}

/// Where the lines come from.
pub(super) struct Walk<'a> {
    log: &'a LogReader,
    pub(super) at: Cursor,
    /// Lines that begin here or behind it are not wanted.
    end: u64,
    block: Block,
    text: String,
}

impl<'a> Walk<'a> {
    pub(super) fn new(log: &'a LogReader, from: Cursor, end: u64) -> Self {
        Self { log, at: from, end, block: Block::default(), text: String::new() }
    }

    /// Gives the lines of one read to `look`; `half`: a half line at the end is one. Whether there
    /// may be more.
    pub(super) fn step(&mut self, half: bool, look: &mut dyn Look) -> Result<bool, RecordError> {
        let mut block = std::mem::take(&mut self.block);
        // One byte more: a line that the other stream ends there is seen to end.
        let left = self.end.saturating_sub(self.at.offset).saturating_add(1);
        let size = left.min(BLOCK_BYTES as u64) as usize;
        let read = self.log.block(self.at.offset, self.at.line, size, &mut block);
        let done = read.and_then(|()| {
            look.read(block.gone);
            Ok(self.lines_of(&block, look) || self.long_line(&block, half, look)?)
        });
        self.block = block;
        done
    }

    /// The lines that end in the block; whether there was one.
    fn lines_of(&mut self, block: &Block, look: &mut dyn Look) -> bool {
        let bytes = &block.bytes[..];
        let first = self.at.line;
        let mut begin = 0;
        // Each break ends a line: what lies between two breaks holds whole lines.
        for cut in &block.breaks {
            self.run(&bytes[begin..*cut], block.start + begin as u64, look);
            self.at.line += 1;
            begin = *cut;
        }
        if let Some(last) = memchr::memrchr(b'\n', &bytes[begin..]) {
            self.run(&bytes[begin..begin + last], block.start + begin as u64, look);
            self.at.line += 1;
            begin += last + 1;
        }
        self.at.offset = block.start + begin as u64;
        self.at.line > first
    }

    /// Lines with line feeds between them. The line count is moved on to the last one.
    fn run(&mut self, bytes: &[u8], offset: u64, look: &mut dyn Look) {
        let mut begin = 0;
        let mut from = 0;
        while let Some(at) = memchr::memchr3(0x1b, b'\r', 0x08, &bytes[from..]) {
            let at = from + at;
            from = at + 1;
            let ends = bytes.get(from).is_none_or(|next| *next == b'\n');
            if bytes[at] == b'\r' && ends {
                continue; // A line end of Windows.
            }
            let start =
                memchr::memrchr(b'\n', &bytes[begin..at]).map_or(begin, |lf| begin + lf + 1);
            let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |lf| at + lf);
            if begin < start {
                self.clean(&bytes[begin..start - 1], offset + begin as u64, look);
                self.at.line += 1;
            }
            visible(&bytes[start..end], &mut self.text);
            let place = Cursor { offset: offset + start as u64, line: self.at.line };
            look.line(self.text.as_bytes(), place, offset + end as u64);
            if end == bytes.len() {
                return;
            }
            self.at.line += 1;
            begin = end + 1;
            from = begin;
        }
        self.clean(&bytes[begin..], offset + begin as u64, look);
    }

    /// Lines that are shown as they are. The line count is moved on to the last one.
    fn clean(&mut self, bytes: &[u8], offset: u64, look: &mut dyn Look) {
        self.at.line += look.lines(bytes, Cursor { offset, line: self.at.line });
    }

    /// A line that does not end in `block`, which begins with it; whether it has ended.
    fn long_line(
        &mut self,
        block: &Block,
        half: bool,
        look: &mut dyn Look,
    ) -> Result<bool, RecordError> {
        if block.bytes.is_empty() {
            return Ok(false);
        }
        let start = self.at.offset;
        let mut piece = Block::default();
        let mut at = block.end();
        let (end, next) = loop {
            self.log.block(at, self.at.line, BLOCK_BYTES, &mut piece)?;
            let feed = memchr::memchr(b'\n', &piece.bytes);
            match (feed, piece.breaks.first()) {
                (_, Some(cut)) if feed.is_none_or(|feed| *cut <= feed) => {
                    break (at + *cut as u64, Some(at + *cut as u64));
                }
                (Some(feed), _) => break (at + feed as u64, Some(at + feed as u64 + 1)),
                (None, _) if piece.bytes.is_empty() => break (at, None),
                (None, _) => at = piece.end(),
            }
        };
        if next.is_none() && !half {
            return Ok(false);
        }
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        let text = &mut self.text;
        let is_whole =
            with_source(self.log, start, end, &mut head, &mut tail, |source| match source {
                Source::Whole(line) => {
                    visible(line, text);
                    true
                }
                Source::Ends { tail, .. } => {
                    let overwrites = draw::overwrites(tail);
                    if overwrites {
                        visible(tail, text);
                    }
                    overwrites
                }
            })?;
        if is_whole {
            look.line(self.text.as_bytes(), self.at, end);
        } else {
            self.pieces(start, end, look)?;
            look.pieces_end(self.at, end);
        }
        if let Some(next) = next {
            self.at = Cursor { offset: next, line: self.at.line + 1 };
        }
        Ok(next.is_some())
    }

    /// A line that is too long to be taken at once.
    fn pieces(&self, start: u64, end: u64, look: &mut dyn Look) -> Result<(), RecordError> {
        let mut bytes = Vec::new();
        let mut at = start;
        while at < end {
            bytes.resize((end - at).min(LOOKED_BYTES as u64) as usize, 0);
            self.log.read_at(&mut bytes, at)?;
            look.piece(&bytes, self.at, at);
            if at + bytes.len() as u64 == end {
                break;
            }
            at += (bytes.len() - OVERLAP_BYTES) as u64;
        }
        Ok(())
    }
}

/// The text of a line as it is searched: all of it, in the order of the page.
fn visible(line: &[u8], text: &mut String) {
    text.clear();
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    let line = &line[..end];
    if draw::overwrites(line) {
        Picture::draw(line, &mut Style::default(), &mut |piece| text.push_str(piece.plain));
        return;
    }
    let mut tokens = Tokens::new(line);
    while let Some((token, ..)) = tokens.next_token() {
        match token {
            Token::Ascii(run) => text.push_str(run),
            Token::Tab => text.push('\t'),
            Token::Char(char) => match symbol(char) {
                Some(symbol) => text.push_str(&symbol),
                None => text.push(char),
            },
            Token::Bad => text.push('\u{fffd}'),
            _ => {}
        }
    }
}
