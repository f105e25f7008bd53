//! Output read in large pieces, for whoever looks at every byte: no line is copied.

use stepflow_model::Stream;

use crate::{
    RecordError,
    index::{Entry, Flags},
    read::{ENTRIES_BATCH, LogReader, plausible},
};

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
    /// The index entry that its last byte is in: the next piece begins near it.
    near: u64,
}

/// Index entries that are read at first: most pieces end within them.
const NEAR_ENTRIES: u64 = 32;

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
        let (mut at, mut batch) = self.first_entries(offset, count, block.near)?;
        let (mut from, mut lines) = self.bounds(at)?;
        if at < count && from > offset {
            return Err(self.damaged(at));
        }
        let limit = offset + bytes_max as u64;
        let (mut end, mut size) = (offset, NEAR_ENTRIES);
        'batches: while at < count && end < limit {
            if batch.is_empty() {
                batch = self.batch(at, (count - at).min(size))?;
                size = ENTRIES_BATCH;
            }
            for entry in batch.drain(..) {
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
                block.near = at;
                at += 1;
            }
        }
        block.bytes.resize((end - offset) as usize, 0);
        self.read_at(&mut block.bytes, offset)?;
        self.fill_begun(offset, line, &mut block.bytes)
    }

    /// The first entry that ends behind `offset`, and some entries from it on; `near`: where it may be.
    fn first_entries(
        &self,
        offset: u64,
        count: u64,
        near: u64,
    ) -> Result<(u64, Vec<Entry>), RecordError> {
        if self.packed().is_some() {
            // Its entries are packed by the thousand: each look elsewhere would unpack some.
            return Ok((self.partition(count, |entry| entry.byte_end <= offset)?, Vec::new()));
        }
        // A line that began a few entries before may be read anew.
        let first = near.saturating_sub(NEAR_ENTRIES / 4).min(count);
        let mut entries = self.batch(first, (count - first).min(NEAR_ENTRIES))?;
        let before = entries.partition_point(|entry| entry.byte_end <= offset);
        if before < entries.len() && (before > 0 || first == 0) {
            entries.drain(..before);
            return Ok((first + before as u64, entries));
        }
        Ok((self.partition(count, |entry| entry.byte_end <= offset)?, Vec::new()))
    }

    /// Filler has its line feeds at the end of an entry; output had them anywhere. Who stopped inside
    /// an entry before it went gets those that he has not counted.
    fn fill_begun(&self, offset: u64, line: u64, bytes: &mut [u8]) -> Result<(), RecordError> {
        // Reading them has looked at what is gone.
        if !self.known_dropped().is_some_and(|gone| gone.holds(offset)) {
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
}
