//! Output that is gone by policy: which, and how it goes.
//!
//! The log keeps its offsets: the middle becomes a hole in `output.log`, and the index keeps every
//! entry. `output.gap` says which bytes are gone. It has its name, durably, before the first of them
//! goes: whoever reads bytes and looks at the mark afterwards never takes a hole's zeros for output.
//!
//! In the place of what is gone, raw reads give *filler*: as many line feeds as each entry counts,
//! at its end, and zeros before them. So every line keeps its number whoever counts.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use serde::{Deserialize, Serialize};
use stepflow_model::Dropped;
use stepflow_sys::disk;

use crate::{
    LogReader, RecordError, Writer,
    index::{Entry, Flags},
    journal,
    layout::{sync_dir, write_synced},
    read::ENTRIES_BATCH,
};

/// The mark's name in the record's directory.
pub(crate) const NAME: &str = "output.gap";
/// Its name while it is being made.
pub(crate) const NEW: &str = "output.gap.new";
/// The format that this build writes, and the newest one that it reads.
const VERSION: u64 = 1;
/// Only whole blocks are given back.
const BLOCK_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Mark {
    v: u64,
    #[serde(flatten)]
    dropped: Dropped,
}

/// What is gone of the output of the record in `dir`.
pub(crate) fn load(dir: &Path) -> Result<Option<Dropped>, RecordError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError::io("read", &path)(error)),
    };
    let damaged = |why: &str| RecordError::Damaged { path: path.clone(), why: why.to_owned() };
    let body = bytes
        .strip_suffix(b"\n")
        .and_then(journal::proven)
        .ok_or_else(|| damaged("its checksum is wrong"))?;
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let unread = |_| damaged("it is no mark of dropped output");
    let Version { v } = serde_json::from_slice(body).map_err(unread)?;
    if v > VERSION {
        return Err(RecordError::TooNew { path, found: v, supported: VERSION });
    }
    let Mark { dropped, .. } = serde_json::from_slice(body).map_err(unread)?;
    if dropped.from > dropped.to || dropped.lines_from > dropped.lines_to {
        return Err(damaged("it ends before it begins"));
    }
    Ok(Some(dropped))
}

/// Says durably what is gone; readers hold to it from here on.
pub(crate) fn store(dir: &Path, dropped: Dropped) -> Result<(), RecordError> {
    let (new, path) = (dir.join(NEW), dir.join(NAME));
    write_synced(&new, &journal::seal_line(&Mark { v: VERSION, dropped }, &path)?)?;
    fs::rename(&new, &path).map_err(RecordError::io("rename", &new))?;
    sync_dir(dir)
}

/// Gives the blocks of what is gone back to the disk. `false`: the file system cannot.
fn punch(dir: &Path, dropped: Dropped) -> Result<bool, RecordError> {
    let path = dir.join("output.log");
    let from = dropped.from.next_multiple_of(BLOCK_BYTES);
    let to = dropped.to / BLOCK_BYTES * BLOCK_BYTES;
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|output| disk::punch_hole(&output, from, to.max(from)))
        .map_err(RecordError::io("give back blocks of", &path))
}

impl Writer {
    /// Whether the file system can give back the middle of a file.
    pub fn can_drop(&self) -> Result<bool, RecordError> {
        let path = self.dir().join("output.log");
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|output| disk::can_punch_hole(&output))
            .map_err(RecordError::io("look at", &path))
    }

    /// What of the recorded output must go so that about `keep` bytes of it stay: the first half and
    /// the newest half, each rounded up to whole entries. `None`: nothing more than is gone already.
    pub fn excess(&self, keep: u64) -> Result<Option<Dropped>, RecordError> {
        let (recorded, _) = self.recorded();
        let gone = load(self.dir())?;
        let Some(log) = LogReader::open_plain(self.dir())? else { return Ok(None) };
        let count = log.entries()?;
        let bounds = |at: u64| log.bounds(at);
        let (from, lines_from) = match gone {
            Some(gone) => (gone.from, gone.lines_from),
            // The entry that holds the last byte of the first half stays.
            None => bounds((log.partition(count, |e| e.byte_end < keep / 2)? + 1).min(count))?,
        };
        let newest = recorded.saturating_sub(keep - keep / 2);
        let (to, lines_to) = bounds(log.partition(count, |e| e.byte_end <= newest)?)?;
        let known = gone.map_or(from, |gone| gone.to);
        Ok((to > known).then_some(Dropped { from, to, lines_from, lines_to }))
    }

    /// Drops what [`Writer::excess`] named. The caller has told of it in the journal, and synced
    /// that and the output. `false`: the file system cannot, though it said that it could; what is
    /// marked counts as gone all the same.
    pub fn drop_output(&mut self, dropped: Dropped) -> Result<bool, RecordError> {
        store(self.dir(), dropped)?;
        punch(self.dir(), dropped)
    }
}

impl LogReader {
    /// What of the output is gone by policy. While it is written, more may go at any time: look
    /// after reading bytes, not before.
    pub fn dropped(&self) -> Result<Option<Dropped>, RecordError> {
        let mut known = self.known_gap.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A record that was removed has no mark any more, and its holes are still there.
        if let Some(gone) = load(self.dir())? {
            *known = Some(gone);
        }
        Ok(*known)
    }

    /// The same as of the last look: for who will look again after reading.
    pub(crate) fn known_dropped(&self) -> Option<Dropped> {
        *self.known_gap.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes filler into what of `buffer`, which was read at `offset`, is gone.
    pub(crate) fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<(), RecordError> {
        match self.dropped()? {
            Some(gone) => self.fill_gone(gone, buffer, offset),
            None => Ok(()),
        }
    }

    /// The same, where it is known what is gone.
    pub(crate) fn fill_gone(
        &self,
        gone: Dropped,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), RecordError> {
        let end = offset + buffer.len() as u64;
        if !gone.touches(offset, end) {
            return Ok(());
        }
        let (low, high) = (offset.max(gone.from), end.min(gone.to));
        buffer[(low - offset) as usize..(high - offset) as usize].fill(0);
        let count = self.entries()?;
        let mut at = self.partition(count, |entry| entry.byte_end <= low)?;
        let (mut from, mut lines) = self.bounds(at)?;
        while at < count && from < high {
            for entry in self.batch(at, (count - at).min(ENTRIES_BATCH))? {
                let feeds = line_feeds(&entry, lines).min(entry.byte_end.saturating_sub(from));
                let begin = (entry.byte_end - feeds).max(low);
                let until = entry.byte_end.min(high);
                if begin < until {
                    buffer[(begin - offset) as usize..(until - offset) as usize].fill(b'\n');
                }
                (from, lines) = (entry.byte_end, entry.line_end);
                at += 1;
                if from >= high {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Line feeds in an entry that follows one after which `before` lines had ended.
pub(crate) fn line_feeds(entry: &Entry, before: u64) -> u64 {
    let cut = u64::from(entry.flags.has(Flags::BREAK));
    entry.line_end.saturating_sub(before + cut)
}
