//! Search over a whole log, read by read, in bounded memory: what is on the screen plays no part.
//!
//! Lines are searched as a page shows them: without control sequences, overwritten text gone. Lines
//! without any of that are searched where they stand, many at once.

mod pattern; // what is searched for

use stepflow_record::{Block, LogReader, RecordError};

pub use self::pattern::{PATTERN_BYTES_MAX, Pattern, PatternError, Syntax};
use crate::{
    draw::{self, LOOKED_BYTES, Source},
    picture::Picture,
    scan::{BLOCK_BYTES, with_source},
    style::Style,
    token::{Token, Tokens},
    width::symbol,
};

/// Pieces of a line longer than [`LOOKED_BYTES`] share this much with the next one: a match that is
/// longer may be missed there.
const OVERLAP_BYTES: usize = 64 * 1024;
/// Lines that a search backwards takes at once.
const WINDOW_LINES: u64 = 16_384;
/// Most spans that are said of one line.
pub const SPANS_MAX: usize = 256;

/// Where a search goes on: always at the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Output offset.
    pub offset: u64,
    /// Line number, from 1.
    pub line: u64,
}

/// A line with a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Its number.
    pub line: u64,
    /// Output offset of its first byte.
    pub offset: u64,
    /// Output offset behind its last byte, line end not counted.
    pub end: u64,
    /// Matches in it.
    pub matches: u64,
}

/// How far a search may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Not this line, nor any behind it.
    pub until: u64,
    /// A half line at the end counts: nothing will be added to it.
    pub half: bool,
}

/// Searches from `from` on, line by line in order; `sink` gets every hit. `go_on` is asked after
/// every read. Returns where to go on, and whether all that is recorded within `bounds` has been
/// searched.
pub fn search(
    log: &LogReader,
    pattern: &Pattern,
    from: Cursor,
    bounds: Bounds,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(Hit),
) -> Result<(Cursor, bool), RecordError> {
    let mut searcher =
        Searcher { pattern, at: from, until: bounds.until, text: String::new(), gone: None, sink };
    let mut block = Block::default();
    loop {
        if searcher.at.line >= bounds.until {
            return Ok((searcher.at, true));
        }
        log.block(searcher.at.offset, searcher.at.line, BLOCK_BYTES, &mut block)?;
        searcher.gone = log.dropped()?;
        if !searcher.block(&block) && !searcher.long_line(log, &block, bounds.half)? {
            return Ok((searcher.at, true));
        }
        if !go_on() {
            return Ok((searcher.at, false));
        }
    }
}

/// Searches backwards from the line before `before`; at most `limit` hits, the last one first.
/// Returns also the line it has come to: 1, or where to go on.
pub fn search_back(
    log: &LogReader,
    pattern: &Pattern,
    before: u64,
    limit: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(Vec<Hit>, u64), RecordError> {
    let mut hits = Vec::new();
    let mut end = before;
    while end > 1 && hits.len() < limit {
        let begin = end.saturating_sub(WINDOW_LINES).max(1);
        let from = Cursor { offset: log.line_start(begin)?, line: begin };
        let bounds = Bounds { until: end, half: true };
        let mut window = Vec::new();
        search(log, pattern, from, bounds, &mut || true, &mut |hit| window.push(hit))?;
        hits.extend(window.into_iter().rev());
        end = begin;
        if !go_on() {
            break;
        }
    }
    if hits.len() > limit {
        hits.truncate(limit);
        end = hits.last().map_or(end, |hit| hit.line);
    }
    Ok((hits, end))
}

/// Where in the text that a page shows of a hit its matches stand, in UTF-16 units; those in the
/// part that is not shown are left out. At most [`SPANS_MAX`].
pub fn spans(log: &LogReader, pattern: &Pattern, hit: Hit) -> Result<Vec<(u32, u32)>, RecordError> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    // Behind each piece of the text to search in: its end there, and its end on the page.
    let mut plain = String::new();
    let mut map: Vec<(usize, u32)> = vec![(0, 0)];
    let mut shown = 0;
    with_source(log, hit.offset, hit.end, &mut head, &mut tail, |source| {
        draw::draw_with(source, &mut Style::default(), &mut |piece| {
            if piece.plain == piece.shown {
                for char in piece.plain.chars() {
                    plain.push(char);
                    shown += char.len_utf16() as u32;
                    if char.len_utf8() != char.len_utf16() {
                        map.push((plain.len(), shown));
                    }
                }
            } else {
                plain.push_str(piece.plain);
                shown += piece.shown.encode_utf16().count() as u32;
            }
            map.push((plain.len(), shown));
        });
    })?;
    let place = |at: usize| {
        let before = map.partition_point(|entry| entry.0 <= at).saturating_sub(1);
        let (plain_at, shown_at) = map[before];
        // Between two entries every character takes one unit.
        shown_at + (at - plain_at) as u32
    };
    let mut found = Vec::new();
    pattern.matches(plain.as_bytes(), &mut found);
    found.truncate(SPANS_MAX);
    Ok(found.into_iter().map(|(start, end)| (place(start), place(end))).collect())
}

struct Searcher<'a> {
    /// Output that is gone by policy.
    gone: Option<stepflow_model::Dropped>,
    pattern: &'a Pattern,
    at: Cursor,
    until: u64,
    text: String,
    sink: &'a mut dyn FnMut(Hit),
}

impl Searcher<'_> {
    /// Searches the lines that end in the block; whether there was one.
    fn block(&mut self, block: &Block) -> bool {
        let bytes = &block.bytes[..];
        let first = self.at.line;
        let mut begin = 0;
        // Each break ends a line: what lies between two breaks holds whole lines.
        for cut in &block.breaks {
            self.run(&bytes[begin..*cut], block.start + begin as u64);
            self.at.line += 1;
            begin = *cut;
        }
        if let Some(last) = memchr::memrchr(b'\n', &bytes[begin..]) {
            self.run(&bytes[begin..begin + last], block.start + begin as u64);
            self.at.line += 1;
            begin += last + 1;
        }
        self.at.offset = block.start + begin as u64;
        self.at.line > first
    }

    /// Lines with line feeds between them. The line count is moved on to the last one.
    fn run(&mut self, bytes: &[u8], offset: u64) {
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
                self.clean(&bytes[begin..start - 1], offset + begin as u64);
                self.at.line += 1;
            }
            self.special(&bytes[start..end], offset + start as u64);
            if end == bytes.len() {
                return;
            }
            self.at.line += 1;
            begin = end + 1;
            from = begin;
        }
        self.clean(&bytes[begin..], offset + begin as u64);
    }

    /// Lines that are shown as they are. The line count is moved on to the last one.
    fn clean(&mut self, bytes: &[u8], offset: u64) {
        // Where the line that is counted begins.
        let mut counted = 0;
        let mut at = 0;
        while at <= bytes.len() {
            let found = if self.pattern.by_line {
                at
            } else {
                match self.pattern.find_at(bytes, at) {
                    Some((start, _)) => start,
                    None => break,
                }
            };
            let start = memchr::memrchr(b'\n', &bytes[at..found]).map_or(at, |lf| at + lf + 1);
            let end = memchr::memchr(b'\n', &bytes[found..]).map_or(bytes.len(), |lf| found + lf);
            self.at.line += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u64;
            counted = start;
            let line = &bytes[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let matches = self.pattern.count(line);
            self.hit(offset + start as u64, line.len(), matches);
            at = end + 1;
        }
        self.at.line += memchr::memchr_iter(b'\n', &bytes[counted..]).count() as u64;
    }

    /// One line with sequences or overwritten text.
    fn special(&mut self, line: &[u8], offset: u64) {
        let mut text = std::mem::take(&mut self.text);
        visible(line, &mut text);
        let matches = self.pattern.count(text.as_bytes());
        self.text = text;
        self.hit(offset, line.len(), matches);
    }

    fn hit(&mut self, offset: u64, length: usize, matches: u64) {
        let end = offset + length as u64;
        // In what stands for output that is gone by policy nothing is found.
        let is_gone = self.gone.is_some_and(|gone| gone.holds(offset) && end <= gone.to);
        if matches > 0 && !is_gone && self.at.line < self.until {
            (self.sink)(Hit { line: self.at.line, offset, end, matches });
        }
    }

    /// A line that does not end in `block`, which begins with it; whether it has ended.
    fn long_line(
        &mut self,
        log: &LogReader,
        block: &Block,
        half: bool,
    ) -> Result<bool, RecordError> {
        if block.bytes.is_empty() {
            return Ok(false);
        }
        let start = self.at.offset;
        let mut piece = Block::default();
        let mut at = block.end();
        let (end, next) = loop {
            log.block(at, self.at.line, BLOCK_BYTES, &mut piece)?;
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
        let matches = with_source(log, start, end, &mut head, &mut tail, |source| match source {
            Source::Whole(line) => {
                visible(line, &mut self.text);
                Some(self.pattern.count(self.text.as_bytes()))
            }
            Source::Ends { tail, .. } => draw::overwrites(tail).then(|| {
                visible(tail, &mut self.text);
                self.pattern.count(self.text.as_bytes())
            }),
        })?;
        let matches = match matches {
            Some(matches) => matches,
            None => self.pieces(log, start, end)?,
        };
        self.hit(start, (end - start) as usize, matches);
        if let Some(next) = next {
            self.at = Cursor { offset: next, line: self.at.line + 1 };
        }
        Ok(next.is_some())
    }

    /// Matches in a line that is too long to be taken at once.
    fn pieces(&self, log: &LogReader, start: u64, end: u64) -> Result<u64, RecordError> {
        let mut bytes = Vec::new();
        let mut found = Vec::new();
        // Up to here matches have been counted.
        let (mut at, mut counted, mut matches) = (start, start, 0);
        while at < end {
            bytes.resize((end - at).min(LOOKED_BYTES as u64) as usize, 0);
            log.read_at(&mut bytes, at)?;
            self.pattern.matches(&bytes, &mut found);
            for (from, to) in &found {
                if at + *from as u64 >= counted {
                    matches += 1;
                    counted = at + *to as u64;
                }
            }
            if at + bytes.len() as u64 == end {
                break;
            }
            at += (bytes.len() - OVERLAP_BYTES) as u64;
        }
        Ok(matches)
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
