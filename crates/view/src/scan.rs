//! Reads a log once, line by line, in bounded memory.

use std::sync::Arc;

use stepflow_model::Stream;
use stepflow_record::{Block, LogReader, RecordError};

use crate::{
    draw::{self, Extent, LOOKED_BYTES, SHOWN_BYTES, SHOWN_COLUMNS, Source},
    level::{Candidates, LEVEL_BYTES, ODD_BEGIN_BYTES, Verdict, odd_begin, verdict},
    page::LineInfo,
    style::Style,
};

/// Bytes read at once.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// Where a scan stands: always at the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Output offset of the line.
    pub(crate) offset: u64,
    /// Its number, from 1.
    pub(crate) line: u64,
    /// The style it begins in.
    pub(crate) style: Style,
}

impl Place {
    pub(crate) const BEGIN: Self = Self { offset: 0, line: 1, style: Style::PLAIN };
}

/// The reading, with its buffers.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) place: Place,
    candidates: Arc<Candidates>,
    block: Block,
    text: String,
    long: Long,
}

/// The buffers for lines that do not fit into a block.
#[derive(Debug, Default)]
struct Long {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// How far a line without end has been looked through for one.
    seen: u64,
}

/// What [`Scan::step`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Went on.
    On,
    /// There is no further ended line.
    End,
}

impl Scan {
    pub(crate) fn new(place: Place, candidates: &Arc<Candidates>) -> Self {
        Self {
            place,
            candidates: Arc::clone(candidates),
            block: Block::default(),
            text: String::new(),
            long: Long::default(),
        }
    }

    /// Looks at the ended lines of one block, before line `until`; `sink` gets each with its end.
    pub(crate) fn step(
        &mut self,
        log: &LogReader,
        until: u64,
        sink: &mut dyn FnMut(LineInfo, Place),
    ) -> Result<Step, RecordError> {
        if self.place.line >= until {
            return Ok(Step::End);
        }
        let mut block = std::mem::take(&mut self.block);
        let read = log.block(self.place.offset, self.place.line, BLOCK_BYTES, &mut block);
        let done = read.and_then(|()| {
            let took = self.lines(&block, until, sink);
            if took {
                Ok(Step::On)
            } else if block.bytes.len() < BLOCK_BYTES {
                Ok(Step::End)
            } else {
                self.long_line(log, &block, sink)
            }
        });
        self.block = block;
        done
    }

    /// The lines of a block that end in it; whether there was one.
    fn lines(&mut self, block: &Block, until: u64, sink: &mut dyn FnMut(LineInfo, Place)) -> bool {
        let bytes = &block.bytes[..];
        let first = self.place.line;
        let mut begin = 0;
        let candidates = Arc::clone(&self.candidates);
        let mut way = candidates.through(bytes);
        let mut feeds = memchr::memchr_iter(b'\n', bytes);
        let mut feed = feeds.next();
        let mut breaks = block.breaks.iter().copied().peekable();
        let mut streams = block.streams.iter().copied().peekable();
        let mut stream = Stream::Stdout;
        while self.place.line < until {
            // The nearer of a line feed and a break.
            let (end, next) = match (feed, breaks.peek().copied()) {
                (Some(at), Some(cut)) if cut <= at => (cut, cut),
                (None, Some(cut)) => (cut, cut),
                (Some(at), _) => (at, at + 1),
                (None, None) => break,
            };
            if next == end {
                breaks.next();
            } else {
                feed = feeds.next();
            }
            while let Some((_, now)) = streams.next_if(|run| run.0 <= begin) {
                stream = now;
            }
            let line = &bytes[begin..end];
            let hit = way.hits(begin, end);
            let info = self.look(Source::Whole(line), hit, stream);
            begin = next;
            self.place.offset = block.start + next as u64;
            self.place.line += 1;
            sink(info, self.place);
        }
        self.place.line > first
    }

    /// One line.
    fn look(&mut self, source: Source<'_>, hit: bool, stream: Stream) -> LineInfo {
        let stderr = stream == Stream::Stderr;
        if let Source::Whole(line) = source {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if draw::is_simple(line) {
                let verdict = if hit || odd_begin(line) {
                    verdict(std::str::from_utf8(line).unwrap_or_default())
                } else {
                    Verdict::OTHER
                };
                let width = line.len().min(SHOWN_COLUMNS) as u32;
                return LineInfo { width, verdict, stderr };
            }
        }
        let mut text = std::mem::take(&mut self.text);
        let mut style = self.place.style;
        // The beginning tells whether the rest is worth collecting.
        let most = if hit { LEVEL_BYTES } else { ODD_BEGIN_BYTES };
        let extent = collect(source, &mut style, most, &mut text);
        let odd = odd_begin(text.as_bytes());
        if odd && !hit {
            collect(source, &mut self.place.style.clone(), LEVEL_BYTES, &mut text);
        }
        self.place.style = style;
        let verdict = if hit || odd { verdict(&text) } else { Verdict::OTHER };
        self.text = text;
        LineInfo { width: extent.width, verdict, stderr }
    }

    /// A line that is longer than a block, of which `block` is the beginning.
    fn long_line(
        &mut self,
        log: &LogReader,
        block: &Block,
        sink: &mut dyn FnMut(LineInfo, Place),
    ) -> Result<Step, RecordError> {
        let start = self.place.offset;
        let mut at = self.long.seen.max(block.end());
        let mut piece = Block::default();
        let (end, next) = loop {
            log.block(at, self.place.line, BLOCK_BYTES, &mut piece)?;
            let feed = memchr::memchr(b'\n', &piece.bytes);
            match (feed, piece.breaks.first()) {
                (_, Some(cut)) if feed.is_none_or(|feed| *cut <= feed) => {
                    break (at + *cut as u64, at + *cut as u64);
                }
                (Some(feed), _) => break (at + feed as u64, at + feed as u64 + 1),
                (None, _) if piece.bytes.is_empty() => {
                    self.long.seen = at;
                    return Ok(Step::End);
                }
                (None, _) => at = piece.end(),
            }
        };
        self.long.seen = 0;
        let stream = block.streams.first().map_or(Stream::Stdout, |run| run.1);
        let info = self.look_long(log, start, end, stream)?;
        self.place.offset = next;
        self.place.line += 1;
        sink(info, self.place);
        Ok(Step::On)
    }

    fn look_long(
        &mut self,
        log: &LogReader,
        start: u64,
        end: u64,
        stream: Stream,
    ) -> Result<LineInfo, RecordError> {
        let mut long = std::mem::take(&mut self.long);
        let info = with_source(log, start, end, &mut long.head, &mut long.tail, |source| {
            self.look(source, true, stream)
        });
        self.long = long;
        // Between lines nothing of a size that a script decides is kept.
        self.long.tail.shrink_to(BLOCK_BYTES);
        info
    }

    /// The half line behind the ended ones, if there is one; no line ends before `recorded`. The
    /// scan stays where it is.
    pub(crate) fn half(
        &mut self,
        log: &LogReader,
        recorded: u64,
    ) -> Result<Option<LineInfo>, RecordError> {
        if recorded <= self.place.offset {
            return Ok(None);
        }
        let mut block = std::mem::take(&mut self.block);
        let read = log.block(self.place.offset, self.place.line, 1, &mut block);
        let stream = block.streams.first().map_or(Stream::Stdout, |run| run.1);
        self.block = block;
        read?;
        let place = self.place;
        let info = self.look_long(log, place.offset, recorded, stream);
        self.place = place;
        info.map(Some)
    }
}

/// Draws a line and collects at least `most` bytes of its text, or all.
fn collect(source: Source<'_>, style: &mut Style, most: usize, text: &mut String) -> Extent {
    text.clear();
    draw::draw_with(source, style, &mut |piece| {
        if text.len() < most {
            // Not more than that of a long piece, where a character ends there.
            text.push_str(piece.shown.get(..most).unwrap_or(piece.shown));
        }
    })
}

/// Reads the line from `start` to `end`, or what is looked at of it.
pub(crate) fn with_source<T>(
    log: &LogReader,
    start: u64,
    end: u64,
    head: &mut Vec<u8>,
    tail: &mut Vec<u8>,
    look: impl FnOnce(Source<'_>) -> T,
) -> Result<T, RecordError> {
    let length = end - start;
    if length <= LOOKED_BYTES as u64 {
        tail.resize(length as usize, 0);
        log.read_at(tail, start)?;
        return Ok(look(Source::Whole(tail)));
    }
    // A character may be cut at the end of the head.
    head.resize(SHOWN_BYTES + 4, 0);
    log.read_at(head, start)?;
    tail.resize(LOOKED_BYTES, 0);
    log.read_at(tail, end - LOOKED_BYTES as u64)?;
    Ok(look(Source::Ends { head, tail, length }))
}
