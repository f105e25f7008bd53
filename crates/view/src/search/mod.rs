//! Search over a whole log, read by read, in bounded memory: what is on the screen plays no part.
//!
//! Lines are searched as a page shows them: without control sequences, overwritten text gone. Lines
//! without any of that are searched where they stand, many at once.

mod excerpt; // a line with a match in few words
mod filter; // what lets a search skip most of a compressed log
mod needs; // what a pattern needs to be there
mod pattern; // what is searched for
mod walk; // the lines, as they are searched
mod wide; // several threads at once

use stepflow_model::Dropped;
use stepflow_record::{LogReader, RecordError};

use self::{
    walk::{Look, Walk},
    wide::{Width, search_wide},
};

pub use self::{
    excerpt::{Excerpt, beginning, excerpt},
    filter::{Tally as Looked, filter, search_skipping},
    pattern::{PATTERN_BYTES_MAX, Pattern, PatternError, Syntax},
};
use crate::{draw, scan::with_source, style::Style};

/// Pieces of a line longer than [`crate::LOOKED_BYTES`] share this much with the next one: a match that is
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

/// Searches from `from` on; `sink` gets every hit, in the order of the lines. A large log is searched
/// by several threads. `go_on` is asked after some megabytes at most. Returns where to go on, and whether all that is recorded within `bounds` has been
/// searched.
pub fn search(
    log: &LogReader,
    pattern: &Pattern,
    from: Cursor,
    bounds: Bounds,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(Hit),
) -> Result<(Cursor, bool), RecordError> {
    let width = Width::of_machine();
    let (from, in_time) = search_wide(log, pattern, from, bounds, width, go_on, sink)?;
    if !in_time {
        return Ok((from, false));
    }
    search_to(log, pattern, (from, u64::MAX), bounds, go_on, sink)
}

/// The same, within the lines that end at an output offset: `(from, end)`.
fn search_to(
    log: &LogReader,
    pattern: &Pattern,
    (from, end): (Cursor, u64),
    bounds: Bounds,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(Hit),
) -> Result<(Cursor, bool), RecordError> {
    let mut walk = Walk::new(log, from, end);
    let until = bounds.until;
    let mut finder =
        Finder { gone: None, pattern, until, sink, found: Vec::new(), counted: 0, matches: 0 };
    loop {
        let is_over = |at: Cursor| at.line >= bounds.until || at.offset >= end;
        if is_over(walk.at) || !walk.step(bounds.half, &mut finder)? || is_over(walk.at) {
            return Ok((walk.at, true));
        }
        if !go_on() {
            return Ok((walk.at, false));
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
        let rest = (from, u64::MAX); // A window is small: one thread looks through it.
        search_to(log, pattern, rest, bounds, &mut || true, &mut |hit| window.push(hit))?;
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

/// Holds lines against a pattern.
struct Finder<'a> {
    /// Output that is gone by policy.
    gone: Option<Dropped>,
    pattern: &'a Pattern,
    until: u64,
    sink: &'a mut dyn FnMut(Hit),
    found: Vec<(usize, usize)>,
    /// Up to here matches of a line in pieces have been counted, and how many.
    counted: u64,
    matches: u64,
}

impl Finder<'_> {
    fn hit(&mut self, at: Cursor, end: u64, matches: u64) {
        // In what stands for output that is gone by policy nothing is found.
        let is_gone = self.gone.is_some_and(|gone| gone.holds(at.offset) && end <= gone.to);
        if matches > 0 && !is_gone && at.line < self.until {
            (self.sink)(Hit { line: at.line, offset: at.offset, end, matches });
        }
    }
}

impl Look for Finder<'_> {
    fn read(&mut self, gone: Option<Dropped>) {
        self.gone = gone;
    }

    fn lines(&mut self, bytes: &[u8], first: Cursor) -> u64 {
        // Where the line that is counted begins, and how many stand before it.
        let (mut counted, mut before) = (0, 0);
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
            before += memchr::memchr_iter(b'\n', &bytes[counted..start]).count() as u64;
            counted = start;
            let line = &bytes[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let matches = self.pattern.count(line);
            let place = Cursor { offset: first.offset + start as u64, line: first.line + before };
            self.hit(place, place.offset + line.len() as u64, matches);
            at = end + 1;
        }
        before + memchr::memchr_iter(b'\n', &bytes[counted..]).count() as u64
    }

    fn line(&mut self, text: &[u8], at: Cursor, end: u64) {
        let matches = self.pattern.count(text);
        self.hit(at, end, matches);
    }

    fn piece(&mut self, bytes: &[u8], _: Cursor, offset: u64) {
        self.pattern.matches(bytes, &mut self.found);
        for (from, to) in &self.found {
            if offset + *from as u64 >= self.counted {
                self.matches += 1;
                self.counted = offset + *to as u64;
            }
        }
    }

    fn pieces_end(&mut self, at: Cursor, end: u64) {
        let matches = std::mem::take(&mut self.matches);
        self.hit(at, end, matches);
    }
}
