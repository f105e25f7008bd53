//! A compressed log, read: ranges of the output and entries of the index, nothing else inflated.
//!
//! `output.log.zst` is a sequence of zstd frames, so that `zstdcat` gives the output: first the
//! output, each frame [`FRAME_BYTES`] of it, then *skippable* frames with what readers need:
//!
//! ```text
//! frame 0 … frame n-1 │ piece 0 … m-1 │ filters │ frames │ pieces │ summary │ filters │ directory │ footer
//!  output              │ the index      │         │ sections: type, place, checksum                │ 48 bytes
//! ```
//! A reader begins at the footer. Sections of a type that it does not know are left alone.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    RecordError,
    filter::{self, FilterGroup, GroupPlace},
    index::{ENTRY_BYTES, Entry},
    inflated::{Block, Cache, Identity},
};

/// The file's name in the record's directory.
pub(crate) const NAME: &str = "output.log.zst";
/// Its name while it is being made.
pub(crate) const NEW: &str = "output.log.zst.new";
/// Output bytes of every frame but the last: what is inflated to read one line.
pub(crate) const FRAME_BYTES: usize = 256 * 1024;
/// Index entries of every piece but the last.
pub(crate) const PIECE_ENTRIES: usize = 2048;
/// The version that this build writes, and the newest one that it reads.
pub(crate) const VERSION: u32 = 1;

/// The first bytes of our skippable frames: one of the sixteen numbers that the zstd format (RFC
/// 8878, section 3.1.2) leaves to users.
pub(crate) const SKIPPABLE: u32 = 0x184D_2A53;
/// A skippable frame begins with its magic number and the size of what follows.
pub(crate) const SKIPPABLE_HEAD: u64 = 8;
pub(crate) const FOOTER_BYTES: usize = 40;
pub(crate) const MAGIC: [u8; 8] = *b"stepflow";
/// Bytes of a section's line in the directory.
pub(crate) const SECTION_BYTES: usize = 32;
/// What a frame's line in the table of frames takes: compressed size and checksum.
pub(crate) const FRAME_LINE: usize = 8;
/// What a piece's line takes: place, size, checksum, last entry.
pub(crate) const PIECE_LINE: usize = 48;

/// Read at once from the end: the tables of a log of some megabytes.
const TAIL_BYTES: u64 = 2048;

/// Larger frames are damage: they would not be inflated into memory.
const FRAME_BYTES_MAX: u32 = 8 << 20;
const PIECE_ENTRIES_MAX: u32 = 1 << 16;

/// What a section holds. Other numbers are for later versions.
pub(crate) mod section {
    pub(crate) const FRAMES: u32 = 1;
    pub(crate) const PIECES: u32 = 2;
    pub(crate) const SUMMARY: u32 = 3;
    pub(crate) const FILTERS: u32 = 4;
}

/// What the whole log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Output bytes.
    pub(crate) bytes: u64,
    /// Index entries.
    pub(crate) entries: u64,
    /// SHA-256 of the output.
    pub(crate) sha256: [u8; 32],
    /// SHA-256 of the entries: the digest that the recorder ended with.
    pub(crate) index_sha256: [u8; 32],
}

impl Summary {
    pub(crate) const BYTES: usize = 80;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&self.bytes.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.sha256);
        bytes.extend_from_slice(&self.index_sha256);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            bytes: long(bytes, 0)?,
            entries: long(bytes, 8)?,
            sha256: bytes.get(16..48)?.try_into().ok()?,
            index_sha256: bytes.get(48..80)?.try_into().ok()?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// A piece of the index.
#[derive(Debug)]
struct Piece {
    offset: u64,
    length: u32,
    crc: u32,
    last: Entry,
}

/// A compressed log. Cheap to read from many threads; holds its tables, about 8 bytes for each
/// 256 KiB of output and 64 for each 2,048 entries.
#[derive(Debug)]
pub(crate) struct Packed {
    file: File,
    path: PathBuf,
    identity: Identity,
    cache: Arc<Cache>,
    frame_bytes: u64,
    /// Where each frame begins; one more: where the last ends.
    starts: Vec<u64>,
    frame_crcs: Vec<u32>,
    piece_entries: u64,
    pieces: Vec<Piece>,
    filters: Vec<GroupPlace>,
    /// The section that says where filters are does not prove itself: nothing can be skipped.
    pub(crate) filters_damaged: bool,
    pub(crate) summary: Summary,
}

impl Packed {
    /// Opens the log of a record; `Ok(None)`: there is none.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, RecordError> {
        Self::open_as(&dir.join(NAME), Cache::shared())
    }

    /// The same, under another name, and with what was inflated kept in `cache`.
    pub(crate) fn open_as(path: &Path, cache: Arc<Cache>) -> Result<Option<Self>, RecordError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::io("open", path)(error)),
        };
        let meta = file.metadata().map_err(RecordError::io("look at", path))?;
        let tables = Tables::of(&file, path, meta.len())?;
        let footer = tables.footer()?;
        let directory = tables.checked(footer.directory, footer.directory_bytes, footer.crc)?;
        let line_of = |kind: u32| {
            directory.chunks_exact(SECTION_BYTES).find(|line| word(line, 0) == Some(kind))
        };
        let find = |kind: u32| -> Result<Vec<u8>, RecordError> {
            let line =
                line_of(kind).ok_or_else(|| tables.damaged(format!("it has no section {kind}")))?;
            let read = || Some((long(line, 8)?, long(line, 16)?, word(line, 4)?));
            let (offset, length, crc) = read().ok_or_else(|| tables.damaged("cut".to_owned()))?;
            tables.checked(offset, length, crc)
        };
        let (frames, pieces) = (find(section::FRAMES)?, find(section::PIECES)?);
        let parsed = Summary::decode(&find(section::SUMMARY)?)
            .and_then(|summary| Some((summary, frames_of(&frames)?, pieces_of(&pieces)?)));
        let Some((summary, (frame_bytes, starts, frame_crcs), (piece_entries, pieces))) = parsed
        else {
            return Err(tables.damaged("its tables cannot be those of a log".to_owned()));
        };
        let consistent = frame_crcs.len() as u64 == summary.bytes.div_ceil(frame_bytes)
            && pieces.len() as u64 == summary.entries.div_ceil(piece_entries)
            && starts.last().is_some_and(|end| *end <= meta.len())
            && pieces.last().map_or(0, |piece| piece.last.byte_end) == summary.bytes;
        if !consistent {
            return Err(tables.damaged("its tables contradict each other".to_owned()));
        }
        // Without filters a search reads everything: no reason to refuse the log.
        let found = line_of(section::FILTERS).map(|_| find(section::FILTERS));
        let filters = match found {
            None => Some(Vec::new()),
            Some(Ok(bytes)) => filter::decode_places(&bytes),
            Some(Err(RecordError::Damaged { .. })) => None,
            Some(Err(error)) => return Err(error),
        };
        let identity = (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
        let path = path.to_owned();
        Ok(Some(Self {
            file,
            path,
            identity,
            cache,
            frame_bytes,
            starts,
            frame_crcs,
            piece_entries,
            pieces,
            filters_damaged: filters.is_none(),
            filters: filters.unwrap_or_default(),
            summary,
        }))
    }

    /// The path it was opened at.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Fills `buffer` with the output at `offset`.
    pub(crate) fn read_at(
        &self,
        mut buffer: &mut [u8],
        mut offset: u64,
    ) -> Result<(), RecordError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.summary.bytes) {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(RecordError::io("read", &self.path)(error));
        }
        while !buffer.is_empty() {
            let number = offset / self.frame_bytes;
            let from = (offset - number * self.frame_bytes) as usize;
            let size = self.frame_size(number);
            let take = buffer.len().min(size - from);
            let (now, rest) = buffer.split_at_mut(take);
            if take == size {
                self.inflate_frame(number, now)?; // Read through: not worth keeping.
            } else {
                let inflated = self.cache.get(self.identity, Block::Frame(number), || {
                    let mut bytes = vec![0; size];
                    self.inflate_frame(number, &mut bytes)?;
                    Ok(bytes)
                })?;
                now.copy_from_slice(&inflated[from..from + take]);
            }
            (buffer, offset) = (rest, offset + take as u64);
        }
        Ok(())
    }

    fn frame_size(&self, number: u64) -> usize {
        (self.summary.bytes - number * self.frame_bytes).min(self.frame_bytes) as usize
    }

    fn inflate_frame(&self, number: u64, into: &mut [u8]) -> Result<(), RecordError> {
        let at = number as usize;
        let (start, end) = (self.starts[at], self.starts[at + 1]);
        self.inflate((start, end - start), self.frame_crcs[at], into).map_err(|error| match error {
            RecordError::Damaged { path, .. } => {
                let why = format!("frame {number} is not what was compressed");
                RecordError::Damaged { path, why }
            }
            error => error,
        })
    }

    /// Reads compressed bytes at a place, holds them against their checksum and inflates them.
    fn inflate(
        &self,
        (offset, length): (u64, u64),
        crc: u32,
        into: &mut [u8],
    ) -> Result<(), RecordError> {
        let why = || RecordError::Damaged {
            path: self.path.clone(),
            why: "it is not what was compressed".to_owned(),
        };
        // No frame grows by more than this: a larger one is damage, and not read into memory.
        if length > zstd::zstd_safe::compress_bound(into.len()) as u64 {
            return Err(why());
        }
        let mut compressed = vec![0; length as usize];
        match self.file.read_exact_at(&mut compressed, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(why()),
            Err(error) => return Err(RecordError::io("read", &self.path)(error)),
        }
        if crc32c::crc32c(&compressed) != crc {
            return Err(why());
        }
        let inflated = zstd::bulk::decompress_to_buffer(&compressed, into);
        if inflated.ok() == Some(into.len()) { Ok(()) } else { Err(why()) }
    }

    /// Where the groups of filters are.
    pub(crate) fn filter_groups(&self) -> &[GroupPlace] {
        &self.filters
    }

    /// The filters of a group; `None`: they do not prove themselves.
    pub(crate) fn filters(&self, number: usize) -> Result<Option<FilterGroup>, RecordError> {
        let group = self.filters[number];
        let mut bytes = vec![0; group.size as usize];
        match self.file.read_exact_at(&mut bytes, group.place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(RecordError::io("read", &self.path)(error)),
        }
        if crc32c::crc32c(&bytes) != group.crc {
            return Ok(None);
        }
        let decoded = FilterGroup::decode(bytes);
        let next = self.filters.get(number + 1).map(|next| (next.offset, next.line));
        let end = next.unwrap_or((self.summary.bytes, u64::MAX));
        Ok(decoded.filter(|decoded| {
            let last = decoded.start(decoded.len() - 1);
            decoded.start(0) == (group.offset, group.line) && last.0 < end.0 && last.1 < end.1
        }))
    }

    /// Number of index entries.
    pub(crate) fn entries(&self) -> u64 {
        self.summary.entries
    }

    pub(crate) fn entry(&self, at: u64) -> Result<Entry, RecordError> {
        let number = at / self.piece_entries;
        let within = at - number * self.piece_entries;
        match self.pieces.get(number as usize) {
            // What searches look at first, and what says where the log ends.
            Some(piece) if within + 1 == self.piece_size(number) => Ok(piece.last),
            Some(_) => Ok(entry_in(&self.piece(number)?, within)),
            None => Err(RecordError::io("read", &self.path)(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    pub(crate) fn batch(&self, at: u64, count: u64) -> Result<Vec<Entry>, RecordError> {
        let mut entries = Vec::with_capacity(count as usize);
        let mut next = at;
        while next < at + count {
            let number = next / self.piece_entries;
            let first = number * self.piece_entries;
            let end = (first + self.piece_size(number)).min(at + count);
            let piece = self.piece(number)?;
            entries.extend((next..end).map(|entry| entry_in(&piece, entry - first)));
            next = end;
        }
        Ok(entries)
    }

    /// First entry of `count` for which `before` does not hold: the table says in which piece it
    /// is, so that one piece is inflated.
    pub(crate) fn partition(
        &self,
        count: u64,
        before: impl Fn(&Entry) -> bool,
    ) -> Result<u64, RecordError> {
        let number = self.pieces.partition_point(|piece| before(&piece.last)) as u64;
        if number == self.pieces.len() as u64 {
            return Ok(count);
        }
        let piece = self.piece(number)?;
        let (mut low, mut high) = (0, self.piece_size(number) - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&entry_in(&piece, middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((number * self.piece_entries + low).min(count))
    }

    fn piece_size(&self, number: u64) -> u64 {
        self.summary.entries.saturating_sub(number * self.piece_entries).min(self.piece_entries)
    }

    fn piece(&self, number: u64) -> Result<Arc<[u8]>, RecordError> {
        let Some(piece) = self.pieces.get(number as usize) else {
            return Err(RecordError::io("read", &self.path)(io::ErrorKind::UnexpectedEof.into()));
        };
        self.cache.get(self.identity, Block::Piece(number), || {
            let mut planes = vec![0; (self.piece_size(number) * ENTRY_BYTES) as usize];
            self.inflate((piece.offset, u64::from(piece.length)), piece.crc, &mut planes).map_err(
                |error| match error {
                    RecordError::Damaged { path, .. } => {
                        let why = format!("piece {number} of its index is not what was compressed");
                        RecordError::Damaged { path, why }
                    }
                    error => error,
                },
            )?;
            Ok(from_planes(&planes))
        })
    }
}

fn entry_in(piece: &[u8], at: u64) -> Entry {
    let at = (at * ENTRY_BYTES) as usize;
    let mut bytes = [0; ENTRY_BYTES as usize];
    bytes.copy_from_slice(&piece[at..at + ENTRY_BYTES as usize]);
    Entry::decode(bytes)
}

/// Entries as they are compressed: the difference to the entry before, then all first bytes, all
/// second bytes, and so on: most of these rows are the same byte again and again. Checksums (the
/// last four) are as they are.
pub(crate) fn to_planes(entries: &[u8]) -> Vec<u8> {
    let count = entries.len() / ENTRY_BYTES as usize;
    let mut planes = vec![0; entries.len()];
    let mut before = [0_u64; 3];
    for (at, entry) in entries.chunks_exact(ENTRY_BYTES as usize).enumerate() {
        let mut row = [0; ENTRY_BYTES as usize];
        row.copy_from_slice(entry);
        for (field, before) in before.iter_mut().enumerate() {
            let value = long(entry, field * 8).unwrap_or_default();
            row[field * 8..field * 8 + 8]
                .copy_from_slice(&value.wrapping_sub(*before).to_le_bytes());
            *before = value;
        }
        for (plane, byte) in row.into_iter().enumerate() {
            planes[plane * count + at] = byte;
        }
    }
    planes
}

fn from_planes(planes: &[u8]) -> Vec<u8> {
    let count = planes.len() / ENTRY_BYTES as usize;
    let mut entries = vec![0; planes.len()];
    let mut before = [0_u64; 3];
    for (at, entry) in entries.chunks_exact_mut(ENTRY_BYTES as usize).enumerate() {
        for (plane, byte) in entry.iter_mut().enumerate() {
            *byte = planes[plane * count + at];
        }
        for (field, before) in before.iter_mut().enumerate() {
            let difference = long(entry, field * 8).unwrap_or_default();
            *before = before.wrapping_add(difference);
            entry[field * 8..field * 8 + 8].copy_from_slice(&before.to_le_bytes());
        }
    }
    entries
}

/// Frame size, where frames begin, their checksums.
fn frames_of(table: &[u8]) -> Option<(u64, Vec<u64>, Vec<u32>)> {
    let frame_bytes = word(table, 0).filter(|bytes| (1..=FRAME_BYTES_MAX).contains(bytes))?;
    let lines = table.get(8..)?.chunks_exact(FRAME_LINE);
    let mut starts = vec![0];
    let mut crcs = Vec::with_capacity(lines.len());
    let mut at = 0_u64;
    for line in lines {
        at += u64::from(word(line, 0)?);
        starts.push(at);
        crcs.push(word(line, 4)?);
    }
    Some((u64::from(frame_bytes), starts, crcs))
}

fn pieces_of(table: &[u8]) -> Option<(u64, Vec<Piece>)> {
    let entries = word(table, 0).filter(|entries| (1..=PIECE_ENTRIES_MAX).contains(entries))?;
    let lines = table.get(8..)?.chunks_exact(PIECE_LINE);
    let pieces = lines.map(|line| {
        let last = Entry::decode(line.get(16..48)?.try_into().ok()?);
        Some(Piece { offset: long(line, 0)?, length: word(line, 8)?, crc: word(line, 12)?, last })
    });
    Some((u64::from(entries), pieces.collect::<Option<_>>()?))
}

struct Footer {
    directory: u64,
    directory_bytes: u64,
    crc: u32,
}

/// The file while its tables are read.
struct Tables<'a> {
    file: &'a File,
    path: &'a Path,
    size: u64,
    /// The last bytes of the file, from this offset on: of most logs, all tables are there.
    tail: (u64, Vec<u8>),
}

impl<'a> Tables<'a> {
    fn of(file: &'a File, path: &'a Path, size: u64) -> Result<Self, RecordError> {
        let mut tables = Self { file, path, size, tail: (size, Vec::new()) };
        let from = size.saturating_sub(TAIL_BYTES);
        tables.tail = (from, tables.read(from, size - from)?);
        Ok(tables)
    }

    fn damaged(&self, why: String) -> RecordError {
        RecordError::Damaged { path: self.path.to_owned(), why }
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, RecordError> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(self.damaged("it is cut, or its end is not what was written".to_owned()));
        }
        if let Some(at) = offset.checked_sub(self.tail.0) {
            return Ok(self.tail.1[at as usize..(at + length) as usize].to_vec());
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(RecordError::io("read", self.path))?;
        Ok(bytes)
    }

    fn checked(&self, offset: u64, length: u64, crc: u32) -> Result<Vec<u8>, RecordError> {
        let bytes = self.read(offset, length)?;
        if crc32c::crc32c(&bytes) == crc {
            return Ok(bytes);
        }
        Err(self.damaged("its tables are not what was written".to_owned()))
    }

    fn footer(&self) -> Result<Footer, RecordError> {
        let begin = self.size.checked_sub(FOOTER_BYTES as u64);
        let bytes = self.read(begin.unwrap_or(u64::MAX), FOOTER_BYTES as u64)?;
        let wrong = || self.damaged("its last 40 bytes are not a compressed log's".to_owned());
        if bytes[32..] != MAGIC || word(&bytes, 28) != Some(crc32c::crc32c(&bytes[..28])) {
            return Err(wrong());
        }
        let version = word(&bytes, 24).ok_or_else(wrong)?;
        if version > VERSION {
            let (found, supported) = (u64::from(version), u64::from(VERSION));
            return Err(RecordError::TooNew { path: self.path.to_owned(), found, supported });
        }
        let read = || {
            Some(Footer {
                directory: long(&bytes, 0)?,
                directory_bytes: long(&bytes, 8)?,
                crc: word(&bytes, 16)?,
            })
        };
        read().ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_of_any_content_come_back(words in proptest::collection::vec(any::<u64>(), 0..400)) {
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.truncate(bytes.len() / 32 * 32);
            prop_assert_eq!(from_planes(&to_planes(&bytes)), bytes);
        }
    }
}
