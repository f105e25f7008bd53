//! An ended log brought into its compressed form, so that a crash at any moment leaves a whole
//! record.
//!
//! 1. Written under another name, while every entry is held against its bytes, and synced.
//! 2. Read again from the disk, inflated, and held against every entry and both digests.
//! 3. Renamed; the directory synced. From here on it is the log.
//! 4. What it was made of is removed.
//!
//! A crash before 3 leaves a file that nobody looks at and the next attempt writes over; after 3,
//! both forms of the same log, of which the next attempt makes one.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use stepflow_model::{ExecutionId, Source};
use stepflow_sys::{disk, lock::Lock};

use crate::{
    Filtering, Flaw, Liveness, LogReader, Proof, RecordError, RecordView, Storage,
    inflated::Cache,
    layout::sync_dir,
    pack::Packer,
    packed::{FRAME_BYTES, NAME, NEW, Packed, Summary},
    read::{ENTRIES_BATCH, plausible},
    verify::{journal_of, notes_of},
    write::hex,
};

/// Room that stays free on the disk beside a second copy of the log.
const SPARE_BYTES: u64 = 16 << 20;
/// What a proof keeps inflated: it reads in order.
const PROOF_CACHE_BYTES: usize = 2 * FRAME_BYTES;

/// What became of a log that was to be compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compression {
    /// It is compressed now.
    Done {
        /// Output bytes.
        output_bytes: u64,
        /// What output and index took up on the disk.
        before: u64,
        /// What they take up now.
        after: u64,
    },
    /// It was compressed already.
    Already,
    /// It has no log: it never started.
    NoLog,
    /// It has not ended, or its processes are just going away: later.
    Busy,
    /// It does not prove itself: it stays as it is.
    Flawed(Flaw),
    /// There is no room for a second copy: later.
    NoRoom {
        /// Bytes that must be free.
        needed: u64,
        /// Bytes that are.
        free: u64,
    },
    /// The caller had enough of it; nothing has changed.
    Stopped,
}

/// Why an attempt ended early.
enum Halt {
    Flawed(PathBuf, String),
    Stopped,
    Error(RecordError),
}

impl From<RecordError> for Halt {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Damaged { path, why } => Self::Flawed(path, why),
            error => Self::Error(error),
        }
    }
}

impl Storage {
    /// Compresses the log of an ended execution. Whoever else is at the same log makes it
    /// [`Compression::Busy`]. Memory does not depend on the log's size, but for about 12 bytes for each
    /// 256 KiB. `go_on` is asked every 256 KiB. `filtering` makes what lets searches skip most of the
    /// log; without it they read all of it.
    ///
    /// # Errors
    /// What cannot be read or written, and [`RecordError::Missing`]: the record has gone, also
    /// meanwhile.
    pub fn compress(
        &self,
        id: ExecutionId,
        filtering: Option<Filtering>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Compression, RecordError> {
        let mut view = RecordView::open(self, id)?;
        if view.liveness()? != Liveness::Ended {
            return Ok(Compression::Busy);
        }
        // Who holds the claim may have the log open for writing.
        if view.spec.source != Source::Ingest && self.is_alive(id)? {
            return Ok(Compression::Busy);
        }
        drop(view);
        let dir = self.record_dir(id);
        match compress_dir(&dir, filtering, go_on) {
            // Deleted while we were at it.
            Err(RecordError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && !dir.exists() =>
            {
                Err(RecordError::Missing { path: dir })
            }
            made => made,
        }
    }

    /// Bytes that output and index of a record take up on the disk, and whether they are
    /// compressed.
    pub fn stored_log(&self, id: ExecutionId) -> (u64, bool) {
        let dir = self.record_dir(id);
        let bytes = [NAME, "output.log", "output.idx"].map(|name| disk::blocks_of(&dir.join(name)));
        (bytes.iter().sum(), bytes[0] > 0 && bytes[1] == 0)
    }
}

fn compress_dir(
    dir: &Path,
    filtering: Option<Filtering>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Compression, RecordError> {
    let parts = [dir.join("output.log"), dir.join("output.idx")];
    if !parts.iter().all(|path| path.exists()) && Packed::open(dir)?.is_some() {
        remove(&parts)?; // What a crash left.
        return Ok(Compression::Already);
    }
    let Some(log) = LogReader::open_plain(dir)? else { return Ok(Compression::NoLog) };
    let mut proof = Proof { ended: true, ..Proof::default() };
    let digest = journal_of(dir, &mut proof)?;
    notes_of(dir, &mut proof)?;
    if let Some(flaw) = proof.flaws.into_iter().next() {
        return Ok(Compression::Flawed(flaw));
    }
    let before = parts.iter().map(|path| disk::blocks_of(path)).sum::<u64>();
    let free = disk::free_bytes(dir).map_err(RecordError::io("look at", dir))?;
    let needed = before + SPARE_BYTES;
    if free < needed {
        return Ok(Compression::NoRoom { needed, free });
    }
    let new = dir.join(NEW);
    let Some(_turn) = take_turn(&new)? else { return Ok(Compression::Busy) };
    let made = pack(&log, dir, (digest.as_deref(), filtering), &new, go_on)
        .and_then(|summary| prove(&new, &summary, go_on).map(|()| summary));
    let halt = match made {
        Ok(summary) => return put(dir, &new, &parts, before, &summary),
        Err(halt) => halt,
    };
    let _ = fs::remove_file(&new);
    match halt {
        Halt::Stopped => Ok(Compression::Stopped),
        Halt::Flawed(path, what) => Ok(Compression::Flawed(Flaw { path, what })),
        Halt::Error(error) => Err(error),
    }
}

/// The right to make the file `new`; `None`: somebody else is at it. A server that is going away
/// and its successor, or a command beside a server, would write into each other's file.
fn take_turn(new: &Path) -> Result<Option<Lock>, RecordError> {
    let lock = Lock::try_take(new).map_err(RecordError::io("lock", new))?;
    let Some(lock) = lock else { return Ok(None) };
    let held = lock.file().metadata().map_err(RecordError::io("look at", new))?;
    // Whoever had it before may just have renamed or removed it.
    let is_there = fs::symlink_metadata(new)
        .is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
    Ok(is_there.then_some(lock))
}

/// Puts a proven log in the place of what it was made of.
fn put(
    dir: &Path,
    new: &Path,
    parts: &[PathBuf],
    before: u64,
    summary: &Summary,
) -> Result<Compression, RecordError> {
    let path = dir.join(NAME);
    fs::rename(new, &path).map_err(RecordError::io("rename", new))?;
    sync_dir(dir)?;
    remove(parts)?;
    let after = disk::blocks_of(&path);
    Ok(Compression::Done { output_bytes: summary.bytes, before, after })
}

fn remove(paths: &[PathBuf]) -> Result<(), RecordError> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RecordError::io("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the compressed form, holding every entry against its bytes on the way.
fn pack(
    log: &LogReader,
    dir: &Path,
    (digest, filtering): (Option<&str>, Option<Filtering>),
    new: &Path,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Summary, Halt> {
    let mut packer = Packer::create(new)?;
    let flawed = |name: &str, what: String| Halt::Flawed(dir.join(name), what);
    let index_bytes = log.index()?.map(|(_, bytes)| bytes);
    let count = log.entries()?;
    if index_bytes != Some((count + 1) * crate::ENTRY_BYTES) {
        return Err(flawed("output.idx", "it is not the log's, entry by entry".to_owned()));
    }
    let mut walk = Walk::new(count);
    while let Some(batch) = walk.batch(log)? {
        for entry in &batch {
            let proven = walk.step(log, entry, go_on, |bytes| packer.output(bytes))?;
            if !proven {
                let what = format!("bytes up to {} are not what was recorded", entry.byte_end);
                return Err(flawed("output.log", what));
            }
            packer.entry(entry)?;
        }
    }
    let size = disk::size_of(&dir.join("output.log"))
        .map_err(RecordError::io("look at", &dir.join("output.log")))?;
    if size != walk.from {
        let what = format!("{} bytes behind the last recorded one", size.saturating_sub(walk.from));
        return Err(flawed("output.log", what));
    }
    // Once more over what proved itself, most of which is still in memory.
    if let Some(filtering) = filtering
        && !filtering(log, go_on, &mut |block| packer.filter(block))?
    {
        return Err(Halt::Stopped);
    }
    let summary = packer.finish()?;
    if digest.is_some_and(|digest| digest != hex(&summary.index_sha256)) {
        let what = "it is not the index that the recorder ended with".to_owned();
        return Err(flawed("output.idx", what));
    }
    Ok(summary)
}

/// Reads a compressed log again, from the disk, and holds it against what it was made of.
fn prove(path: &Path, summary: &Summary, go_on: &mut dyn FnMut() -> bool) -> Result<(), Halt> {
    let wrong = || {
        let why = "what was read back is not what was written".to_owned();
        let error = io::Error::new(io::ErrorKind::InvalidData, why);
        Halt::Error(RecordError::io("prove", path)(error))
    };
    // Damage here is the disk's, not the record's: an error, and no flaw.
    let ours = |halt: Halt| if matches!(halt, Halt::Flawed(..)) { wrong() } else { halt };
    let opened = Packed::open_as(path, Cache::new(PROOF_CACHE_BYTES));
    let packed = opened.map_err(|error| ours(error.into()))?.ok_or_else(wrong)?;
    // Else what is read is what is in memory. Not all file systems can; then that must do.
    let _ = disk::forget_cached(packed.file());
    if packed.summary != *summary {
        return Err(wrong());
    }
    for group in 0..packed.filter_groups().len() {
        if packed.filters(group).map_err(|error| ours(error.into()))?.is_none() {
            return Err(wrong());
        }
    }
    if packed.filters_damaged {
        return Err(wrong());
    }
    let log = LogReader::of_packed(packed).map_err(|error| ours(error.into()))?;
    let (mut output, mut index) = (Sha256::new(), Sha256::new());
    let mut walk = Walk::new(summary.entries);
    while let Some(batch) = walk.batch(&log).map_err(ours)? {
        for entry in &batch {
            index.update(entry.encode());
            let take = |bytes: &[u8]| {
                output.update(bytes);
                Ok(())
            };
            if !walk.step(&log, entry, go_on, take).map_err(ours)? {
                return Err(wrong());
            }
        }
    }
    let digests = (<[u8; 32]>::from(output.finalize()), <[u8; 32]>::from(index.finalize()));
    if digests != (summary.sha256, summary.index_sha256) || walk.from != summary.bytes {
        return Err(wrong());
    }
    Ok(())
}

/// A log read entry by entry.
struct Walk {
    count: u64,
    at: u64,
    from: u64,
    lines: u64,
    buffer: Vec<u8>,
    /// Bytes since `go_on` was asked.
    unasked: usize,
}

impl Walk {
    fn new(count: u64) -> Self {
        Self { count, at: 0, from: 0, lines: 0, buffer: Vec::new(), unasked: 0 }
    }

    fn batch(&mut self, log: &LogReader) -> Result<Option<Vec<crate::Entry>>, Halt> {
        if self.at == self.count {
            return Ok(None);
        }
        let batch = log.batch(self.at, (self.count - self.at).min(ENTRIES_BATCH))?;
        self.at += batch.len() as u64;
        Ok(Some(batch))
    }

    /// Gives the bytes of an entry to `take`. Returns whether the entry proves them.
    fn step(
        &mut self,
        log: &LogReader,
        entry: &crate::Entry,
        go_on: &mut dyn FnMut() -> bool,
        mut take: impl FnMut(&[u8]) -> Result<(), RecordError>,
    ) -> Result<bool, Halt> {
        if !plausible(entry, self.from, self.lines) {
            return Ok(false);
        }
        let begin = self.from;
        let mut crc = entry.crc_of_head();
        while self.from < entry.byte_end {
            let size = (entry.byte_end - self.from).min(FRAME_BYTES as u64) as usize;
            self.unasked += size;
            if self.unasked >= FRAME_BYTES {
                self.unasked = 0;
                if !go_on() {
                    return Err(Halt::Stopped);
                }
            }
            self.buffer.resize(size, 0);
            log.read_at(&mut self.buffer, self.from)?;
            crc = crc32c::crc32c_append(crc, &self.buffer);
            take(&self.buffer)?;
            self.from += size as u64;
        }
        self.lines = entry.line_end;
        Ok(crc == entry.crc || log.dropped()?.is_some_and(|gone| gone.holds(begin)))
    }
}
