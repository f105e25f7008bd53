//! Output read by offset and by line number, running or finished: the same read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use stepflow_model::{Dropped, Stream};

use crate::{
    RecordError,
    filter::FilterGroup,
    index::{ENTRY_BYTES, Entry, Flags},
    inflated::Cache,
    journal,
    lines::{Line, Long, Origin, Splitter},
    packed::{self, FRAME_BYTES, Packed},
    short::{self, Index},
};

/// Entries read at once.
pub(crate) const ENTRIES_BATCH: u64 = 1024;
/// Entries at the end that one read brings to whoever follows: they cover what is new.
const TAIL_ENTRIES: u64 = 64;
/// Output bytes read at once.
const OUTPUT_BATCH: u64 = 256 * 1024;

/// No entry covers more; a larger one is damage. (Writers close one after 64 KiB plus one read.)
pub(crate) const ENTRY_OUTPUT_LIMIT: u64 = 16 << 20;

/// Reads the output of one record through its index, in whichever form it is: as it is written, or
/// compressed after the end. A reader that is open goes on while the one form takes the other's
/// place.
#[derive(Debug)]
pub struct LogReader {
    form: Form,
    dir: PathBuf,
    /// What was gone at the last look.
    pub(crate) known_gap: Mutex<Option<Dropped>>,
}

/// How many entries there are, and the last of them, read at once.
struct Tail {
    count: u64,
    /// Number of the first one in `entries`.
    first: u64,
    entries: Vec<Entry>,
}

impl Tail {
    /// First entry for which `before` does not hold, where that and the entry before it are known
    /// here.
    fn partition(&self, before: impl Fn(&Entry) -> bool) -> Option<u64> {
        let at = self.entries.partition_point(before) as u64;
        (at > 0 || self.first == 0).then_some(self.first + at)
    }

    /// The entries from number `at` on, if they are here.
    fn from(&self, at: u64) -> Option<&[Entry]> {
        self.entries.get(usize::try_from(at.checked_sub(self.first)?).ok()?..)
    }
}

#[derive(Debug)]
enum Form {
    Plain { output: File, index: Index },
    Packed(Box<Packed>),
}

impl LogReader {
    /// Opens the log; `Ok(None)` if the recorder has not made it yet.
    pub fn open(dir: &Path) -> Result<Option<Self>, RecordError> {
        Self::open_with(dir, Cache::shared)
    }

    /// The same for who must see what the disk has now: nothing is taken from what others read.
    pub(crate) fn open_uncached(dir: &Path) -> Result<Option<Self>, RecordError> {
        Self::open_with(dir, || Cache::new(2 * FRAME_BYTES))
    }

    fn open_with(
        dir: &Path,
        cache: impl FnOnce() -> Arc<Cache>,
    ) -> Result<Option<Self>, RecordError> {
        if let Some(plain) = Self::open_plain(dir)? {
            return Ok(Some(plain));
        }
        // Not the other way round: it has its name before output and index lose theirs.
        if let Some(packed) = Packed::open_as(&dir.join(packed::NAME), cache())? {
            return Self::made(Form::Packed(Box::new(packed)), dir).map(Some);
        }
        Self::open_without_index(dir)
    }

    /// Opens a log whose index went with a damaged end: its output is there, and shown as unverified.
    /// No log that is being made is like that: it has its index before its first byte.
    fn open_without_index(dir: &Path) -> Result<Option<Self>, RecordError> {
        let path = dir.join("output.log");
        let output = match File::open(&path) {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::io("open", &path)(error)),
        };
        let index = short::made_up(&output).map_err(RecordError::io("read", &path))?;
        // It may have been made, or compressed, since the first look.
        if dir.join("output.idx").exists() || dir.join(packed::NAME).exists() {
            return Self::open_plain(dir);
        }
        let form = index.map(|index| Form::Plain { output, index: Index::Lost(index) });
        form.map(|form| Self::made(form, dir)).transpose()
    }

    /// Opens the log as it is written.
    pub(crate) fn open_plain(dir: &Path) -> Result<Option<Self>, RecordError> {
        let open = |name: &str| match File::open(dir.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RecordError::io("open", &dir.join(name))(error)),
        };
        let Some(output) = open("output.log")? else { return Ok(None) };
        if let Some(index) = open("output.idx")? {
            return Self::made(Form::Plain { output, index: Index::File(index) }, dir).map(Some);
        }
        // Too short for a file of its own; or not made yet.
        let index = short::load(dir)?.map(Index::Kept);
        let form = index.map(|index| Form::Plain { output, index });
        form.map(|form| Self::made(form, dir)).transpose()
    }

    pub(crate) fn of_packed(packed: Packed) -> Result<Self, RecordError> {
        let dir = packed.path().parent().map(Path::to_owned).unwrap_or_default();
        Self::made(Form::Packed(Box::new(packed)), &dir)
    }

    /// The mark is looked at at once: a record that goes away takes it along.
    fn made(form: Form, dir: &Path) -> Result<Self, RecordError> {
        let log = Self { form, dir: dir.to_owned(), known_gap: Mutex::new(None) };
        log.dropped()?;
        Ok(log)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the index is, and its bytes, header included; `None`: it is compressed.
    pub(crate) fn index(&self) -> Result<Option<(PathBuf, u64)>, RecordError> {
        let Form::Plain { index, .. } = &self.form else { return Ok(None) };
        let path = self.index_path();
        let size = index.size().map_err(RecordError::io("look at", &path))?;
        Ok(Some((path, size)))
    }

    fn index_path(&self) -> PathBuf {
        match &self.form {
            Form::Plain { index: Index::File(_), .. } => self.dir.join("output.idx"),
            Form::Plain { index: Index::Kept(_) | Index::Lost(_), .. } => {
                self.dir.join(journal::NAME)
            }
            Form::Packed(packed) => packed.path().to_owned(),
        }
    }

    /// The log in its compressed form, if it has that.
    pub(crate) fn packed(&self) -> Option<&Packed> {
        match &self.form {
            Form::Plain { .. } => None,
            Form::Packed(packed) => Some(packed),
        }
    }

    /// The file with the output's bytes and what reads it, unless it is compressed.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.form {
            Form::Plain { .. } => self.dir.join("output.log"),
            Form::Packed(packed) => packed.path().to_owned(),
        }
    }

    /// Groups of blocks of lines that have filters, each with output offset and number of its first
    /// line; together they hold all lines. None: nothing is known of what the log holds, because it
    /// is not compressed, or an earlier release did it, or what says where they are is damaged.
    pub fn filter_groups(&self) -> Vec<(u64, u64)> {
        let groups = self.packed().map(Packed::filter_groups).unwrap_or_default();
        groups.iter().map(|group| (group.offset, group.line)).collect()
    }

    /// The filters of a group; `None`: they do not prove themselves, and anything may be there.
    pub fn filters(&self, group: usize) -> Result<Option<FilterGroup>, RecordError> {
        self.packed().map_or(Ok(None), |packed| packed.filters(group))
    }

    /// Recorded bytes and ended lines.
    pub fn position(&self) -> Result<(u64, u64), RecordError> {
        Ok(match self.entries()?.checked_sub(1) {
            Some(last) => {
                let entry = self.entry(last)?;
                (entry.byte_end, entry.line_end)
            }
            None => (0, 0),
        })
    }

    /// When the last bytes came, ns since 1970 UTC.
    pub fn last_time_ns(&self) -> Result<Option<i64>, RecordError> {
        match self.entries()?.checked_sub(1) {
            Some(last) => Ok(Some(self.entry(last)?.time_ns)),
            None => Ok(None),
        }
    }

    /// The output's file, for range reads; look at no byte beyond [`LogReader::position`]. `None`:
    /// it is compressed, read it by [`LogReader::range`].
    pub fn output(&self) -> Option<&File> {
        match &self.form {
            Form::Plain { output, .. } => Some(output),
            Form::Packed(_) => None,
        }
    }

    /// Fills `buffer` with the bytes at `offset`; the caller stays within the recorded ones. What is
    /// gone by policy reads as filler: the line feeds that were there, behind zeros. Whoever shows or
    /// sends bytes asks [`LogReader::dropped`] afterwards.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), RecordError> {
        self.read_stored(buffer, offset)?;
        self.fill(buffer, offset)
    }

    pub(crate) fn read_stored(&self, buffer: &mut [u8], offset: u64) -> Result<(), RecordError> {
        match &self.form {
            Form::Plain { output, .. } => output
                .read_exact_at(buffer, offset)
                .map_err(RecordError::io("read", &self.dir.join("output.log"))),
            Form::Packed(packed) => packed.read_at(buffer, offset),
        }
    }

    /// Lines from number `from` (at least 1) on, at most `limit`, a half line at the end included.
    /// A long line is cut: see [`Line::rest`].
    pub fn lines(&self, from: u64, limit: usize) -> Result<Vec<Line>, RecordError> {
        let from = from.max(1);
        let (_, lines) = self.position()?;
        if limit == 0 || from > lines + 1 {
            return Ok(Vec::new());
        }
        let (start, entry) = if from == 1 { (0, 0) } else { self.line_end(from - 1)? };
        let tail = self.tail()?;
        self.scan(start, entry, Splitter::new(from, Long::Cut), limit, u64::MAX, &tail)
    }

    /// Lines and pieces of lines from output offset `from` on, about `bytes_max` bytes of them.
    /// A piece that begins inside a line has that line's number.
    pub fn lines_from_offset(&self, from: u64, bytes_max: u64) -> Result<Vec<Line>, RecordError> {
        self.some_from_offset(from, bytes_max, usize::MAX)
    }

    /// The same, and at most `limit` of them: a megabyte may hold a million lines.
    pub fn some_from_offset(
        &self,
        from: u64,
        bytes_max: u64,
        limit: usize,
    ) -> Result<Vec<Line>, RecordError> {
        let tail = self.tail()?;
        let at = match tail.partition(|entry| entry.byte_end <= from) {
            Some(at) => at,
            None => self.partition(tail.first, |entry| entry.byte_end <= from)?,
        };
        if at == tail.count {
            return Ok(Vec::new());
        }
        let (entry, start, before) = self.placed(at, &tail)?;
        let mut number = before + 1;
        if from < start {
            return Err(self.damaged(at));
        }
        if from > start {
            number += u64::from(entry.flags.has(Flags::BREAK));
            let mut head = vec![0; (from - start) as usize];
            self.read_at(&mut head, start)?;
            number += memchr::memchr_iter(b'\n', &head).count() as u64;
        }
        let splitter = Splitter::new(number, Long::Pieces);
        self.scan(from, at, splitter, limit, bytes_max, &tail)
    }

    /// The output from offset `from` on, cut where the stream changes: stream, begin, end. At most
    /// `limit` runs.
    pub fn runs(&self, from: u64, limit: usize) -> Result<Vec<(Stream, u64, u64)>, RecordError> {
        let count = self.entries()?;
        let mut at = self.partition(count, |entry| entry.byte_end <= from)?;
        let mut runs: Vec<(Stream, u64, u64)> = Vec::new();
        let mut begin = from;
        while at < count && runs.len() <= limit {
            for entry in self.batch(at, (count - at).min(ENTRIES_BATCH))? {
                let stream = entry.flags.stream();
                match runs.last_mut() {
                    Some(last) if last.0 == stream => last.2 = entry.byte_end,
                    _ => runs.push((stream, begin, entry.byte_end)),
                }
                begin = entry.byte_end;
                at += 1;
            }
        }
        runs.truncate(limit);
        Ok(runs)
    }

    /// Number of the line that holds the byte at `offset`.
    pub fn line_at(&self, offset: u64) -> Result<u64, RecordError> {
        let lines = self.lines_from_offset(offset, 1)?;
        Ok(match lines.first() {
            Some(line) => line.number,
            None => self.position()?.1 + 1,
        })
    }

    /// Whether the index is one that was made up.
    pub(crate) fn lacks_index(&self) -> bool {
        matches!(&self.form, Form::Plain { index: Index::Lost(_), .. })
    }

    /// The first bytes of the index, which say what it is.
    pub(crate) fn index_header(&self, header: &mut [u8]) -> io::Result<()> {
        match &self.form {
            Form::Plain { index, .. } => index.read_exact_at(header, 0),
            Form::Packed(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Number of complete index entries whose bytes are there.
    pub(crate) fn entries(&self) -> Result<u64, RecordError> {
        let (output, index) = match &self.form {
            Form::Plain { output, index } => (output, index),
            Form::Packed(packed) => return Ok(packed.entries()),
        };
        let look_at = |name: &str| RecordError::io("look at", &self.dir.join(name));
        let index = index.size().map_err(look_at("output.idx"))?;
        let mut count = (index / ENTRY_BYTES).saturating_sub(1);
        // After a crash the index may be ahead of the output.
        let output = output.metadata().map_err(look_at("output.log"))?.len();
        while count > 0 && self.entry(count - 1)?.byte_end > output {
            count = self.partition(count, |entry| entry.byte_end <= output)?.min(count - 1);
        }
        Ok(count)
    }

    /// The entries at the end. What follows the output reads its index once.
    fn tail(&self) -> Result<Tail, RecordError> {
        let (output, index) = match &self.form {
            Form::Plain { output, index } => (output, index),
            Form::Packed(packed) => {
                let count = packed.entries();
                return Ok(Tail { count, first: count, entries: Vec::new() });
            }
        };
        let look_at = |name: &str| RecordError::io("look at", &self.dir.join(name));
        let index = index.size().map_err(look_at("output.idx"))?;
        let count = (index / ENTRY_BYTES).saturating_sub(1);
        let first = count.saturating_sub(TAIL_ENTRIES);
        let entries = self.batch(first, count - first)?;
        let output = output.metadata().map_err(look_at("output.log"))?.len();
        if entries.last().is_some_and(|last| last.byte_end > output) {
            // After a crash the index may be ahead of the output.
            let count = self.entries()?;
            return Ok(Tail { count, first: count, entries: Vec::new() });
        }
        Ok(Tail { count, first, entries })
    }

    pub(crate) fn entry(&self, at: u64) -> Result<Entry, RecordError> {
        let index = match &self.form {
            Form::Plain { index, .. } => index,
            Form::Packed(packed) => return packed.entry(at),
        };
        let mut bytes = [0; ENTRY_BYTES as usize];
        index
            .read_exact_at(&mut bytes, (at + 1) * ENTRY_BYTES)
            .map_err(RecordError::io("read", &self.dir.join("output.idx")))?;
        Ok(Entry::decode(bytes))
    }

    /// Output offset and ended lines before the entry.
    pub(crate) fn bounds(&self, at: u64) -> Result<(u64, u64), RecordError> {
        Ok(match at.checked_sub(1) {
            Some(before) => {
                let entry = self.entry(before)?;
                (entry.byte_end, entry.line_end)
            }
            None => (0, 0),
        })
    }

    /// The entry and what stands before it; an index that a crash left in pieces is an error, until
    /// it is recovered.
    fn placed(&self, at: u64, tail: &Tail) -> Result<(Entry, u64, u64), RecordError> {
        let (start, before) = self.bounds_with(at, tail)?;
        let entry = match tail.from(at).and_then(<[Entry]>::first) {
            Some(entry) => *entry,
            None => self.entry(at)?,
        };
        if plausible(&entry, start, before) {
            Ok((entry, start, before))
        } else {
            Err(self.damaged(at))
        }
    }

    fn bounds_with(&self, at: u64, tail: &Tail) -> Result<(u64, u64), RecordError> {
        let known = at.checked_sub(1).and_then(|before| tail.from(before)?.first());
        known.map_or_else(|| self.bounds(at), |entry| Ok((entry.byte_end, entry.line_end)))
    }

    pub(crate) fn damaged(&self, at: u64) -> RecordError {
        let why = format!("entry {at} does not follow from the one before it");
        RecordError::Damaged { path: self.index_path(), why }
    }

    /// First entry of `count` for which `before` does not hold.
    pub(crate) fn partition(
        &self,
        count: u64,
        before: impl Fn(&Entry) -> bool,
    ) -> Result<u64, RecordError> {
        if let Form::Packed(packed) = &self.form {
            return packed.partition(count, before);
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where line `number` ends: the offset just after it, and the entry that byte is in.
    pub(crate) fn line_end(&self, number: u64) -> Result<(u64, u64), RecordError> {
        let tail = self.tail()?;
        let at = match tail.partition(|entry| entry.line_end < number) {
            Some(at) => at,
            None => self.partition(tail.first, |entry| entry.line_end < number)?,
        };
        if at == tail.count {
            return Ok((self.bounds_with(at, &tail)?.0, at));
        }
        let (entry, start, mut ended) = self.placed(at, &tail)?;
        if entry.flags.has(Flags::BREAK) {
            ended += 1;
            if ended == number {
                return Ok((start, at));
            }
        }
        let mut bytes = vec![0; (entry.byte_end - start) as usize];
        self.read_at(&mut bytes, start)?;
        let wanted = number.saturating_sub(ended + 1) as usize;
        match memchr::memchr_iter(b'\n', &bytes).nth(wanted) {
            Some(end) => Ok((start + end as u64 + 1, at)),
            None => Err(self.damaged(at)),
        }
    }

    /// Splits from `start`, which lies in (or at the end of) entry `first`.
    fn scan(
        &self,
        start: u64,
        first: u64,
        splitter: Splitter,
        limit: usize,
        bytes_max: u64,
        tail: &Tail,
    ) -> Result<Vec<Line>, RecordError> {
        let count = tail.count;
        let mut at = first;
        let (mut from, mut lines) = self.bounds_with(first.min(count), tail)?;
        if start < from {
            return Err(self.damaged(first));
        }
        let mut splitter = splitter.within(limit, bytes_max);
        let mut buffer = Vec::new();
        let mut seen = 0;
        'batches: while at < count && !splitter.is_full() && seen < bytes_max {
            let batch = match tail.from(at) {
                Some(entries) => entries.to_vec(),
                None => self.batch(at, (count - at).min(ENTRIES_BATCH))?,
            };
            let mut before = (from, lines);
            for (number, entry) in batch.iter().enumerate() {
                if !plausible(entry, before.0, before.1) {
                    return Err(self.damaged(at + number as u64));
                }
                before = (entry.byte_end, entry.line_end);
            }
            at += batch.len() as u64;
            let mut next = 0;
            while next < batch.len() && !splitter.is_full() && seen < bytes_max {
                // One read for as many entries as fit.
                let base = from.max(start);
                // What has gone since is noticed when it has been read.
                let gone = self.known_dropped();
                if let Some(gone) = gone.filter(|gone| gone.holds(base)) {
                    splitter.dropped(gone, base, &batch[next]);
                    at = self.partition(count, |entry| entry.byte_end <= gone.to)?;
                    (from, lines) = self.bounds(at)?;
                    continue 'batches;
                }
                // Gaps are made of whole entries: no read reaches into one.
                let stop = gone.filter(|gone| gone.from > base).map_or(u64::MAX, |gone| gone.from);
                let mut until = next;
                while until < batch.len()
                    && (until == next
                        || (batch[until].byte_end <= stop
                            && batch[until].byte_end - base <= OUTPUT_BATCH.min(bytes_max)))
                {
                    until += 1;
                }
                let quiet = batch[next].line_end == lines && !batch[next].flags.has(Flags::BREAK);
                if splitter.saturated() && quiet {
                    if self.dropped()?.is_some_and(|gone| gone.touches(base, batch[next].byte_end))
                    {
                        continue;
                    }
                    splitter.skip(batch[next].byte_end - base);
                    from = batch[next].byte_end;
                    next += 1;
                    continue;
                }
                let size = batch[until - 1].byte_end.saturating_sub(base) as usize;
                buffer.resize(size, 0);
                self.read_stored(&mut buffer, base)?;
                if self.dropped()?.is_some_and(|gone| gone.touches(base, base + size as u64)) {
                    continue; // It went while it was read.
                }
                for entry in &batch[next..until] {
                    if splitter.is_full() || seen >= bytes_max {
                        break;
                    }
                    if entry.flags.has(Flags::BREAK) && from >= start {
                        // Unless the scan begins just behind this break.
                        if !(from == start && lines + 1 < splitter.number) {
                            splitter.cut();
                        }
                    }
                    let begin = from.max(start);
                    let bytes = &buffer[(begin - base) as usize..(entry.byte_end - base) as usize];
                    let origin = Origin {
                        time_ns: entry.time_ns,
                        stream: entry.flags.stream(),
                        continued: entry.flags.has(Flags::CONTINUED) && from >= start,
                        unverified: entry.flags.has(Flags::UNVERIFIED),
                    };
                    splitter.push(bytes, begin, origin);
                    seen += bytes.len() as u64;
                    from = entry.byte_end;
                    lines = entry.line_end;
                    next += 1;
                }
            }
        }
        let mut found = splitter.finish();
        found.truncate(limit);
        Ok(found)
    }

    pub(crate) fn batch(&self, at: u64, count: u64) -> Result<Vec<Entry>, RecordError> {
        let index = match &self.form {
            Form::Plain { index, .. } => index,
            Form::Packed(packed) => return packed.batch(at, count),
        };
        let mut bytes = vec![0; (count * ENTRY_BYTES) as usize];
        index
            .read_exact_at(&mut bytes, (at + 1) * ENTRY_BYTES)
            .map_err(RecordError::io("read", &self.dir.join("output.idx")))?;
        Ok(bytes
            .chunks_exact(ENTRY_BYTES as usize)
            .map(|chunk| {
                let mut entry = [0; ENTRY_BYTES as usize];
                entry.copy_from_slice(chunk);
                Entry::decode(entry)
            })
            .collect())
    }
}

/// Whether an entry can follow one that ends at `start` with `before` lines.
pub(crate) fn plausible(entry: &Entry, start: u64, before: u64) -> bool {
    entry.byte_end >= start
        && entry.byte_end - start <= ENTRY_OUTPUT_LIMIT
        && entry.line_end >= before
        && entry.line_end - before <= entry.byte_end - start + 1
}
