//! Output read in large pieces, for whoever looks at every byte: no line is copied.

use stepflow_model::{Dropped, Stream};

use crate::{
    RecordError,
    index::Flags,
    read::{ENTRIES_BATCH, LogReader, plausible},
};

/// Entries read first: enough for a piece of output that came in large reads.
const FIRST_ENTRIES: u64 = 8;

/// A piece of the output. Its buffers are reused from piece to piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Output offset of its first byte.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where in `bytes` a line ends without a line feed, because the other stream begins there.
    /// Ascending; 0 ends the line that was open before this piece.
    pub breaks: Vec<usize>,
    /// From where in `bytes` on which stream they come. The first stands at 0.
    pub streams: Vec<(usize, Stream)>,
    /// What was gone by policy when the bytes had been read.
    pub gone: Option<Dropped>,
    /// The entry that holds the last byte: who goes on, goes on there.
    last_entry: u64,
}

impl Block {
    /// Output offset just after its last byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl LogReader {
    /// Reads at most `bytes_max` bytes from `offset` on into `block`; none when nothing is recorded
    /// there yet. `line` is the number of the line that begins or goes on at `offset`: it tells a
    /// break at `offset` that has already been counted from one that has not.
    pub fn block(
        &self,
        offset: u64,
        line: u64,
        bytes_max: usize,
        block: &mut Block,
    ) -> Result<(), RecordError> {
        block.start = offset;
        block.breaks.clear();
        block.streams.clear();
        let count = self.entries()?;
        let mut at = self.entry_of(offset, count, block.last_entry)?;
        let (mut from, mut lines) = self.bounds(at)?;
        if at < count && from > offset {
            return Err(self.damaged(at));
        }
        let limit = offset + bytes_max as u64;
        let mut end = offset;
        let mut batch = FIRST_ENTRIES;
        'batches: while at < count && end < limit {
            let entries = self.batch(at, (count - at).min(batch))?;
            batch = (batch * 8).min(ENTRIES_BATCH);
            for entry in entries {
                if !plausible(&entry, from, lines) {
                    return Err(self.damaged(at));
                }
                if from >= limit {
                    break 'batches;
                }
                let begin = from.max(offset);
                let counted = from == offset && line > lines + 1;
                if entry.flags.has(Flags::BREAK) && from >= offset && !counted {
                    block.breaks.push((begin - offset) as usize);
                }
                let stream = entry.flags.stream();
                if block.streams.last().is_none_or(|last| last.1 != stream)
                    && entry.byte_end > begin
                {
                    block.streams.push(((begin - offset) as usize, stream));
                }
                end = entry.byte_end.min(limit);
                from = entry.byte_end;
                lines = entry.line_end;
                block.last_entry = at;
                at += 1;
            }
        }
        // Not cleared: what is read takes the place of what was there.
        block.bytes.resize((end - offset) as usize, 0);
        self.read_stored(&mut block.bytes, offset)?;
        block.gone = self.dropped()?;
        match block.gone {
            Some(gone) => {
                self.fill_gone(gone, &mut block.bytes, offset)?;
                self.fill_begun(gone, offset, line, &mut block.bytes)
            }
            None => Ok(()),
        }
    }

    /// The entry that holds the byte at `offset`, or `count`; it may be number `near`.
    fn entry_of(&self, offset: u64, count: u64, near: u64) -> Result<u64, RecordError> {
        if near < count && self.bounds(near)?.0 <= offset && offset < self.entry(near)?.byte_end {
            return Ok(near);
        }
        self.partition(count, |entry| entry.byte_end <= offset)
    }

    /// Filler has its line feeds at the end of an entry; output had them anywhere. Who stopped inside
    /// an entry before it went gets those that he has not counted.
    fn fill_begun(
        &self,
        gone: Dropped,
        offset: u64,
        line: u64,
        bytes: &mut [u8],
    ) -> Result<(), RecordError> {
        if !gone.holds(offset) {
            return Ok(());
        }
        let at = self.partition(self.entries()?, |entry| entry.byte_end <= offset)?;
        if self.bounds(at)?.0 == offset {
            return Ok(());
        }
        let entry = self.entry(at)?;
        let whole = entry.byte_end - offset;
        let feeds = (entry.line_end + 1).saturating_sub(line).min(whole);
        let here = whole.min(bytes.len() as u64);
        let zeros = (whole - feeds).min(here) as usize;
        bytes[..zeros].fill(0);
        bytes[zeros..here as usize].fill(b'\n');
        Ok(())
    }

    /// Output offset of the first byte of line `number`, from 1 up to one behind the ended lines.
    pub fn line_start(&self, number: u64) -> Result<u64, RecordError> {
        Ok(if number <= 1 { 0 } else { self.line_end(number - 1)?.0 })
    }
}

#[cfg(test)]
mod tests {
    use stepflow_model::Stream::{Stderr, Stdout};

    use super::*;
    use crate::Writer;

    /// Lines by blocks of `size` bytes: number, text, stream.
    fn by_blocks(log: &LogReader, size: usize) -> Vec<(u64, Vec<u8>, Stream)> {
        let mut lines: Vec<(u64, Vec<u8>, Stream)> = Vec::new();
        let (mut offset, mut number, mut open) = (0, 1, None::<(Vec<u8>, Stream)>);
        let mut block = Block::default();
        loop {
            log.block(offset, number, size, &mut block).unwrap();
            let mut breaks = block.breaks.iter().peekable();
            for (at, byte) in block.bytes.iter().enumerate() {
                if breaks.next_if(|b| **b == at).is_some() {
                    let (text, stream) = open.take().unwrap_or((Vec::new(), Stdout));
                    lines.push((number, text, stream));
                    number += 1;
                }
                let stream = block.streams.iter().rfind(|s| s.0 <= at).unwrap().1;
                let line = open.get_or_insert_with(|| (Vec::new(), stream));
                if *byte == b'\n' {
                    let (text, stream) = open.take().unwrap();
                    lines.push((number, text, stream));
                    number += 1;
                } else {
                    line.0.push(*byte);
                }
            }
            assert_eq!(breaks.next(), None);
            if block.bytes.is_empty() {
                break;
            }
            offset = block.end();
        }
        lines.extend(open.map(|(text, stream)| (number, text, stream)));
        lines
    }

    #[test]
    fn blocks_of_any_size_have_the_lines_that_the_reader_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        let pieces: [(Stream, &[u8]); 9] = [
            (Stdout, b"one\ntwo ha"),
            (Stderr, b"err half"),
            (Stdout, b"lf\nthree"),
            (Stdout, b" more\n"),
            (Stderr, b"x\n"),
            (Stderr, b"y"),
            (Stdout, b"z"),
            (Stderr, b"\n"),
            (Stdout, b"end"),
        ];
        for (at, (stream, bytes)) in pieces.into_iter().enumerate() {
            let (_, written) = writer.append(stream, bytes, 0, at as u64 * 100);
            written.unwrap();
            writer.close_entry().unwrap();
        }
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let expected: Vec<_> = log
            .lines(1, 100)
            .unwrap()
            .into_iter()
            .map(|line| (line.number, line.text, line.stream))
            .collect();
        assert!(expected.len() >= 8, "{expected:?}");
        for size in 1..60 {
            assert_eq!(by_blocks(&log, size), expected, "blocks of {size}");
        }
        for (line, next) in log.lines(1, 100).unwrap().iter().zip(1..) {
            assert_eq!(log.line_start(next).unwrap(), line.offset);
        }
    }

    #[test]
    fn a_block_that_was_used_elsewhere_reads_what_a_new_one_reads() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        for at in 0..40_u64 {
            let (stream, line) = ([Stdout, Stderr][at as usize % 3 % 2], format!("line {at}\n"));
            writer.append(stream, line.repeat(at as usize % 5 + 1).as_bytes(), 0, at).1.unwrap();
            writer.close_entry().unwrap();
        }
        let log = LogReader::open(dir.path()).unwrap().unwrap();
        let (end, mut used) = (log.position().unwrap().0, Block::default());
        // Forwards, backwards, and everywhere.
        let offsets = (0..end).chain((0..end).rev()).chain((0..end).map(|at| at * 77 % end));
        for (at, offset) in offsets.enumerate() {
            let (line, size) = (log.line_at(offset).unwrap(), at % 50 + 1);
            let mut new = Block::default();
            log.block(offset, line, size, &mut new).unwrap();
            log.block(offset, line, size, &mut used).unwrap();
            assert_eq!(used, new, "{size} bytes from {offset} on");
        }
    }
}
