//! What lets a search skip most of a compressed log: which trigrams the text of a block of lines has,
//! gathered from what a pattern is held against, so that no line is skipped that has a match.

use stepflow_model::Dropped;
use stepflow_record::{FILTER_BLOCK_BYTES, FilteredBlock, Grams, LogReader, RecordError};

use super::{
    Bounds, Cursor, Hit, Pattern, search, search_to,
    walk::{Look, Walk},
};

/// Parts that follow each other are searched together, up to this size.
const PART_BYTES: u64 = 8 << 20;

/// Makes the filters of an ended log: see [`stepflow_record::Filtering`].
pub fn filter(
    log: &LogReader,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(FilteredBlock) -> Result<(), RecordError>,
) -> Result<bool, RecordError> {
    filter_by::<FILTER_BLOCK_BYTES>(log, go_on, sink)
}

/// The same, with blocks of another size.
fn filter_by<const BLOCK_BYTES: u64>(
    log: &LogReader,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(FilteredBlock) -> Result<(), RecordError>,
) -> Result<bool, RecordError> {
    let mut walk = Walk::new(log, Cursor { offset: 0, line: 1 }, u64::MAX);
    let mut gatherer = Gatherer {
        block_bytes: BLOCK_BYTES,
        grams: Grams::default(),
        block: None,
        end: 0,
        made: Vec::new(),
    };
    loop {
        let more = walk.step(true, &mut gatherer)?;
        if !more {
            gatherer.finish();
        }
        for block in gatherer.made.drain(..) {
            sink(block)?;
        }
        if !more {
            return Ok(true);
        }
        if !go_on() {
            return Ok(false);
        }
    }
}

/// Gathers the trigrams of block after block.
struct Gatherer {
    block_bytes: u64,
    grams: Grams,
    /// The first line of the block that is being gathered.
    block: Option<Cursor>,
    /// Output offset behind the last byte that was looked at.
    end: u64,
    made: Vec<FilteredBlock>,
}

impl Gatherer {
    /// A line begins at `at`: perhaps the first one of a block.
    fn begin(&mut self, at: Cursor) {
        let number = |at: Cursor| at.offset / self.block_bytes;
        if self.block.is_none_or(|block| number(block) < number(at)) {
            self.finish();
            self.block = Some(at);
        }
    }

    fn finish(&mut self) {
        let Some(Cursor { offset, line }) = self.block.take() else { return };
        let filter = self.grams.take(self.end.saturating_sub(offset));
        self.made.push(FilteredBlock { offset, line, filter });
    }
}

impl Look for Gatherer {
    // What stands for output that is gone by policy is gathered like output: too much does no harm.
    fn read(&mut self, _: Option<Dropped>) {}

    fn lines(&mut self, bytes: &[u8], first: Cursor) -> u64 {
        let (mut at, mut feeds) = (0, 0);
        loop {
            self.begin(Cursor { offset: first.offset + at as u64, line: first.line + feeds });
            // Up to the first line that begins in another block.
            let next = ((first.offset + at as u64) / self.block_bytes + 1) * self.block_bytes;
            let border = (next - first.offset).min(bytes.len() as u64 + 1) as usize;
            // The line feed before the border may be the last byte of this block.
            let end = memchr::memchr(b'\n', &bytes[(border - 1).min(bytes.len())..])
                .map_or(bytes.len(), |feed| border - 1 + feed);
            self.grams.add(&bytes[at..end]);
            self.end = first.offset + end as u64;
            feeds += memchr::memchr_iter(b'\n', &bytes[at..end]).count() as u64;
            if end == bytes.len() {
                return feeds;
            }
            feeds += 1;
            at = end + 1;
        }
    }

    fn line(&mut self, text: &[u8], at: Cursor, end: u64) {
        self.begin(at);
        self.grams.add(text);
        self.end = end;
    }

    fn piece(&mut self, bytes: &[u8], at: Cursor, offset: u64) {
        self.begin(at);
        self.grams.add(bytes);
        self.end = offset + bytes.len() as u64;
    }

    fn pieces_end(&mut self, _: Cursor, _: u64) {}
}

/// How much a search has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Output bytes that were read and searched.
    pub scanned: u64,
    /// Output bytes that filters say hold no match.
    pub skipped: u64,
}

/// As [`search`], with the same hits; parts of a compressed log of which filters say that they hold
/// no match are left out. `tally` hears of every part that is over.
///
/// A filter that does not prove itself is as if there was none: what it stands for is searched.
pub fn search_skipping(
    log: &LogReader,
    pattern: &Pattern,
    from: Cursor,
    bounds: Bounds,
    tally: &mut Tally,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(Hit),
) -> Result<(Cursor, bool), RecordError> {
    let groups = if pattern.needs.is_anything() { Vec::new() } else { log.filter_groups() };
    if groups.is_empty() {
        let (at, complete) = search(log, pattern, from, bounds, go_on, sink)?;
        tally.scanned += at.offset.saturating_sub(from.offset);
        return Ok((at, complete));
    }
    let (bytes, lines) = log.position()?;
    // Behind the last line, were there one.
    let last = Cursor { offset: bytes, line: lines.saturating_add(2) };
    let mut scan = Skipping { log, pattern, bounds, tally, go_on, sink, open: None };
    for (number, (offset, line)) in groups.iter().enumerate() {
        let begin = Cursor { offset: *offset, line: *line };
        let end = groups
            .get(number + 1)
            .map_or(last, |(offset, line)| Cursor { offset: *offset, line: *line });
        if end.line <= from.line {
            continue;
        }
        let Some(filters) = log.filters(number)? else {
            if let Some(halted) = scan.part(later(begin, from), end, true)? {
                return Ok((halted, false));
            }
            continue;
        };
        for block in 0..filters.len() {
            let start = |block| {
                let (offset, line) = filters.start(block);
                Cursor { offset, line }
            };
            let end = if block + 1 < filters.len() { start(block + 1) } else { end };
            if end.line <= from.line {
                continue;
            }
            let may = pattern.needs.may_hold(&|gram| filters.may_hold(block, gram));
            if let Some(halted) = scan.part(later(start(block), from), end, may)? {
                return Ok((halted, false));
            }
        }
    }
    match scan.close()? {
        Some(halted) => Ok((halted, false)),
        None => Ok((last, true)),
    }
}

fn later(a: Cursor, b: Cursor) -> Cursor {
    if a.line < b.line { b } else { a }
}

struct Skipping<'a> {
    log: &'a LogReader,
    pattern: &'a Pattern,
    bounds: Bounds,
    tally: &'a mut Tally,
    go_on: &'a mut dyn FnMut() -> bool,
    sink: &'a mut dyn FnMut(Hit),
    /// Parts that follow each other and are to be searched: begin and end.
    open: Option<(Cursor, Cursor)>,
}

impl Skipping<'_> {
    /// The next part: searched, with those before it, once one comes that is not. Where it stopped, if
    /// it was asked to.
    fn part(
        &mut self,
        begin: Cursor,
        end: Cursor,
        may: bool,
    ) -> Result<Option<Cursor>, RecordError> {
        if may {
            self.open = Some((self.open.map_or(begin, |open| open.0), end));
            // Not more than a few at once: hits come as they are found.
            let gathered = self.open.map_or(0, |(begin, end)| end.offset - begin.offset);
            return if gathered < PART_BYTES { Ok(None) } else { self.close() };
        }
        let halted = self.close()?;
        if halted.is_none() {
            self.tally.skipped += end.offset.saturating_sub(begin.offset);
        }
        Ok(halted)
    }

    fn close(&mut self) -> Result<Option<Cursor>, RecordError> {
        let Some((begin, end)) = self.open.take() else { return Ok(None) };
        let bounds = Bounds { until: self.bounds.until.min(end.line), half: self.bounds.half };
        let within = (begin, end.offset);
        let (at, complete) =
            search_to(self.log, self.pattern, within, bounds, self.go_on, self.sink)?;
        self.tally.scanned += at.offset.min(end.offset).saturating_sub(begin.offset);
        Ok((!complete).then_some(at))
    }
}

#[cfg(test)]
mod tests;
