//! A record read again from the disk: what its checksums prove, and what they do not.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use stepflow_model::{Artifact, EventKind, ExecutionId, ExecutionState};

use crate::{
    Liveness, LogReader, RecordError, RecordView, Storage, gap,
    index::{ENTRY_BYTES, Flags, HEADER},
    journal,
    packed::{self, Packed},
    read::{ENTRIES_BATCH, plausible},
    write::hex,
};

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// More findings of one record say nothing more.
const FLAWS_MAX: usize = 20;

/// What the checksums of one record prove. It is whole if there are no flaws.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// It has ended: nothing will be added to its log.
    pub ended: bool,
    /// Somebody still writes to it.
    pub alive: bool,
    /// The recorder vouched for the whole log when it ended: nothing is missing at its end.
    pub sealed: bool,
    /// The log is in its compressed form, and that form is what was made after the end.
    pub compressed: bool,
    /// Output bytes that are what was recorded.
    pub bytes: u64,
    /// Of these, bytes that were found after a crash: nobody vouched for them when they were
    /// written.
    pub unverified_bytes: u64,
    /// Output bytes that are gone by policy.
    pub dropped_bytes: u64,
    /// Bytes behind the last entry of a log that is still written.
    pub open_bytes: u64,
    /// Events that prove themselves.
    pub events: u64,
    /// Artifacts whose copies are what was copied.
    pub artifacts: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// What is not what was recorded; at most 20.
    pub flaws: Vec<Flaw>,
}

/// A place where a record is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub path: PathBuf,
    /// What does not hold there.
    pub what: String,
}

impl Proof {
    fn flaw(&mut self, path: &Path, what: impl Into<String>) {
        if self.flaws.len() < FLAWS_MAX {
            self.flaws.push(Flaw { path: path.to_owned(), what: what.into() });
        }
    }

    /// Damage is a finding; that a file cannot be read is an error.
    fn unless_damaged<T>(
        &mut self,
        result: Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(RecordError::Damaged { path, why }) => {
                self.flaw(&path, why);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Storage {
    /// Reads a record and its artifacts again, byte by byte, and holds them against their
    /// checksums. It may be written meanwhile.
    ///
    /// # Errors
    /// Only when something cannot be read, or a newer version wrote it; damage is a finding.
    pub fn verify(&self, id: ExecutionId) -> Result<Proof, RecordError> {
        let mut proof = Proof::default();
        let dir = self.record_dir(id);
        let mut view = proof.unless_damaged(RecordView::open(self, id))?;
        // What had ended before its files are looked at does not grow while they are.
        let liveness = view.as_mut().map(RecordView::liveness).transpose()?;
        (proof.ended, proof.alive) =
            (liveness == Some(Liveness::Ended), liveness == Some(Liveness::Alive));
        let state = view.as_ref().map(|view| &view.state);
        let digest = journal_of(&dir, &mut proof)?;
        notes_of(&dir, &mut proof)?;
        log_of(&dir, digest.as_deref(), &mut proof)?;
        // A mark that nobody told of would hide damage.
        let marked = proof.unless_damaged(gap::load(&dir))?.flatten();
        let told = state.and_then(|state| state.dropped);
        if let Some(marked) = marked
            && told.is_none_or(|told| told.from != marked.from || told.to < marked.to)
        {
            proof.flaw(&dir.join(gap::NAME), "the journal does not say that this output is gone");
        }
        if let Some(state) = state {
            artifacts_of(&self.artifact_dir(id), state, &mut proof)?;
        }
        Ok(proof)
    }
}

/// Every line must prove itself, and none may be missing. Returns the digest that the end carries.
pub(crate) fn journal_of(dir: &Path, proof: &mut Proof) -> Result<Option<String>, RecordError> {
    let path = dir.join(journal::NAME);
    let Some(lines) = lines_of(&path)? else { return Ok(None) };
    // A recorder that died as it made it has nothing to tell: its start is synced before any output.
    let has_output = || {
        let packed = || dir.join(packed::NAME).exists();
        dir.join("output.log").metadata().is_ok_and(|meta| meta.len() > 0) || packed()
    };
    if lines.whole.is_empty() && proof.ended && has_output() {
        proof.flaw(&path, "it is empty");
    }
    if !lines.rest.is_empty() && proof.ended {
        proof.flaw(&path, format!("{} bytes behind the last line", lines.rest.len()));
    }
    let mut digest = None;
    let mut seq = 0;
    for (line, number) in lines.whole.iter().zip(1_u64..) {
        let Some(body) = journal::proven(line) else {
            proof.flaw(&path, format!("line {number} is not what was recorded"));
            seq += u64::from(number > 1); // Its place is known; the next line tells.
            continue;
        };
        if number == 1 {
            continue; // Format and version.
        }
        #[derive(Deserialize)]
        struct Numbered {
            seq: u64,
        }
        let Ok(Numbered { seq: found }) = serde_json::from_slice(body) else {
            proof.flaw(&path, format!("line {number} is no event"));
            continue;
        };
        if found != seq + 1 {
            proof.flaw(&path, format!("line {number} is event {found}, not {}", seq + 1));
        }
        seq = found;
        proof.events += 1;
        if let Ok(event) = serde_json::from_slice::<stepflow_model::Event>(body)
            && let EventKind::Exited { digest: end, .. } = event.kind
        {
            digest = Some(end);
        }
    }
    Ok(digest)
}

/// A note that was never completed is no flaw: nobody was told that it was written.
pub(crate) fn notes_of(dir: &Path, proof: &mut Proof) -> Result<(), RecordError> {
    let path = dir.join("notes.ndjson");
    let Some(lines) = lines_of(&path)? else { return Ok(()) };
    for (line, number) in lines.whole.iter().chain([&lines.rest]).zip(1_u64..) {
        // Either sign of a checksum outlasts any changed byte.
        let is_complete =
            line.ends_with(b"\"}") || memchr::memmem::find(line, b",\"crc\":\"").is_some();
        if is_complete && journal::proven(line).is_none() {
            proof.flaw(&path, format!("line {number} is not what was recorded"));
        }
    }
    Ok(())
}

struct Lines {
    whole: Vec<Vec<u8>>,
    /// Bytes behind the last line feed.
    rest: Vec<u8>,
}

fn lines_of(path: &Path) -> Result<Option<Lines>, RecordError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError::io("read", path)(error)),
    };
    let mut whole: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let rest = whole.pop().unwrap_or_default();
    Ok(Some(Lines { whole, rest }))
}

fn log_of(dir: &Path, digest: Option<&str>, proof: &mut Proof) -> Result<(), RecordError> {
    let (log_path, index_path) = (dir.join("output.log"), dir.join("output.idx"));
    let Some(log) = proof.unless_damaged(LogReader::open_uncached(dir))? else { return Ok(()) };
    let Some(log) = log else {
        let there = [&log_path, &index_path].into_iter().find(|path| path.exists());
        match there {
            Some(path) if proof.ended => proof.flaw(path, "its other half is missing"),
            None if digest.is_some() => proof.flaw(&log_path, "it is missing"),
            _ => {}
        }
        return Ok(());
    };
    if let Some(packed) = log.packed() {
        let _ = stepflow_sys::disk::forget_cached(packed.file());
        return packed_log_of(&log, packed, digest, proof);
    }
    if log.lacks_index() {
        if proof.ended {
            proof.flaw(&log_path, "its other half is missing");
        }
        return Ok(());
    }
    // The index first: what it has, the log has.
    let Some((index_path, index_bytes)) = log.index()? else { return Ok(()) };
    let mut header = [0; HEADER.len()];
    match log.index_header(&mut header) {
        Ok(()) if header == HEADER => {}
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
            return Err(RecordError::io("read", &index_path)(error));
        }
        _ if index_bytes == 0 && proof.alive => return Ok(()), // Just being made.
        _ => {
            proof.flaw(&index_path, "its first 32 bytes are not an index's");
            return Ok(());
        }
    }
    let rest = index_bytes % ENTRY_BYTES;
    if rest > 0 && proof.ended {
        proof.flaw(&index_path, format!("{rest} bytes behind the last entry"));
    }
    let count = index_bytes / ENTRY_BYTES - 1;
    let paths = (log_path.as_path(), index_path.as_path());
    let (from, seal) = entries_of(&log, paths, count, proof, &mut |_| {})?;
    let meta = fs::metadata(&log_path).map_err(RecordError::io("look at", &log_path))?;
    let size = meta.len();
    if proof.ended && from.is_some_and(|from| from < size) {
        let from = from.unwrap_or_default();
        proof.flaw(&log_path, format!("{} bytes behind the last recorded one", size - from));
    } else if let Some(from) = from {
        proof.open_bytes = size.saturating_sub(from);
    }
    if let Some(digest) = digest {
        proof.sealed = digest == seal;
        if !proof.sealed {
            proof.flaw(&index_path, "it is not the index that the recorder ended with");
        }
    }
    Ok(())
}

/// A compressed log: its own checksums, the entries', both digests.
fn packed_log_of(
    log: &LogReader,
    packed: &Packed,
    digest: Option<&str>,
    proof: &mut Proof,
) -> Result<(), RecordError> {
    let path = log.path();
    let (before, mut output) = (proof.flaws.len(), Sha256::new());
    let take = &mut |bytes: &[u8]| output.update(bytes);
    let (_, seal) = entries_of(log, (&path, &path), packed.entries(), proof, take)?;
    if proof.flaws.len() == before && output.finalize()[..] != packed.summary.sha256 {
        proof.flaw(&path, "the output is not the one that was compressed (SHA-256)");
    }
    if proof.flaws.len() == before && seal != hex(&packed.summary.index_sha256) {
        proof.flaw(&path, "its index is not the one that was compressed (SHA-256)");
    }
    if let Some(digest) = digest {
        proof.sealed = digest == seal;
        if !proof.sealed && proof.flaws.len() == before {
            proof.flaw(&path, "its index is not the one that the recorder ended with");
        }
    }
    // The output is whole without them; but somebody changed the file, and searches read all of it.
    let mut filters_damaged = packed.filters_damaged;
    for group in 0..packed.filter_groups().len() {
        filters_damaged |= packed.filters(group)?.is_none();
    }
    if filters_damaged {
        proof.flaw(&path, "its filters for searches are not what was written; the output is");
    }
    proof.compressed = proof.flaws.len() == before;
    Ok(())
}

/// Holds the output against `count` entries. Returns where they end, none if they cannot be
/// followed, and their digest.
fn entries_of(
    log: &LogReader,
    (log_path, index_path): (&Path, &Path),
    count: u64,
    proof: &mut Proof,
    take: &mut dyn FnMut(&[u8]),
) -> Result<(Option<u64>, String), RecordError> {
    let mut digest = Sha256::new();
    let (mut from, mut lines, mut at) = (0, 0, 0);
    let mut broken: Option<(u64, u64)> = None;
    let mut buffer = Vec::new();
    let mut gone = log.dropped()?;
    while at < count {
        let batch = log.batch(at, (count - at).min(ENTRIES_BATCH));
        let Some(batch) = proof.unless_damaged(batch)? else { return Ok((None, String::new())) };
        for entry in batch {
            digest.update(entry.encode());
            if !plausible(&entry, from, lines) {
                proof.flaw(index_path, format!("entry {at} cannot be one"));
                return Ok((None, String::new()));
            }
            buffer.resize((entry.byte_end - from) as usize, 0);
            let is_read = match log.read_at(&mut buffer, from) {
                Ok(()) => true,
                Err(RecordError::Damaged { .. }) => false, // A frame that does not prove itself.
                Err(RecordError::Io { source, .. })
                    if source.kind() == ErrorKind::UnexpectedEof =>
                {
                    proof.flaw(log_path, format!("it ends before byte {}", entry.byte_end));
                    return Ok((None, String::new()));
                }
                Err(error) => return Err(error),
            };
            take(&buffer);
            if gone.is_none_or(|gone| !gone.holds(from)) && !(is_read && entry.proves(&buffer)) {
                gone = log.dropped()?; // It may have gone while it was read.
            }
            if entry.byte_end > from && gone.is_some_and(|gone| gone.holds(from)) {
                proof.dropped_bytes += entry.byte_end - from;
            } else if is_read && entry.proves(&buffer) {
                if let Some((begin, end)) = broken.take() {
                    proof.flaw(log_path, changed(begin, end));
                }
                let len = entry.byte_end - from;
                proof.bytes += len;
                if entry.flags.has(Flags::UNVERIFIED) {
                    proof.unverified_bytes += len;
                }
            } else {
                broken = Some((broken.map_or(from, |(begin, _)| begin), entry.byte_end));
            }
            (from, lines) = (entry.byte_end, entry.line_end);
            at += 1;
        }
    }
    if let Some((begin, end)) = broken {
        proof.flaw(log_path, changed(begin, end));
    }
    Ok((Some(from), hex(&digest.finalize())))
}

fn changed(begin: u64, end: u64) -> String {
    format!("bytes {begin} to {end} or their entries are not what was recorded")
}

fn artifacts_of(dir: &Path, state: &ExecutionState, proof: &mut Proof) -> Result<(), RecordError> {
    for artifact in &state.artifacts {
        let Artifact { sha256: Some(sha256), size, .. } = artifact else { continue };
        let path = dir.join(sha256);
        match digest_of(&path) {
            Ok((found, bytes)) if found == *sha256 && bytes == *size => {
                proof.artifacts += 1;
                proof.artifact_bytes += bytes;
            }
            Ok(_) => proof.flaw(&path, format!("it is not what was copied from {}", artifact.path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                proof.flaw(&path, format!("it is missing: the copy of {}", artifact.path));
            }
            Err(error) => return Err(RecordError::io("read", &path)(error)),
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hex(&digest.finalize()), bytes)),
            Ok(got) => {
                digest.update(&buffer[..got]);
                bytes += got as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
