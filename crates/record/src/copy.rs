//! A record copied as it is at one moment, while it may be written.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use stepflow_model::ExecutionId;

use crate::{RecordError, Storage, gap, index::ENTRY_BYTES, journal, packed};

/// Later ones are written before earlier ones, so that what an earlier one tells of is in a copy
/// that is made in this order.
/// What says which output is gone comes last: what is copied of a hole has its mark.
const ORDER: [&str; 5] = ["notes.ndjson", journal::NAME, "output.idx", "output.log", gap::NAME];

/// A hole is looked for in pieces of this size.
const SPARSE_BYTES: u64 = 64 * 1024;

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that are new or changed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the earlier copy that are not part of this one. What goes from the record later, such
    /// as a log that is compressed, is: this copy has nothing else of it.
    pub stale: Vec<PathBuf>,
}

impl Storage {
    /// Copies what of a record and its artifacts is not yet in `known`, an earlier copy, to `into`.
    /// A file that has the same size and time there is the same. Nothing is synced.
    ///
    /// What is copied of a record that is being written is the record at one moment: no event
    /// without the output it tells of, no entry without its bytes.
    ///
    /// # Errors
    /// [`RecordError::Missing`] if the record has gone meanwhile: drop what is in `into`.
    pub fn copy_record(
        &self,
        id: ExecutionId,
        known: &Self,
        into: &Self,
    ) -> Result<Copied, RecordError> {
        let mut copied = Copied::default();
        let dir = self.record_dir(id);
        let there = || RecordError::Missing { path: dir.clone() };
        let mut names = files_in(&dir)?.ok_or_else(there)?;
        names.retain(|name| name != packed::NEW && name != gap::NEW);
        let artifacts = self.artifact_dir(id);
        let at_first = files_in(&artifacts)?.unwrap_or_default();
        let rank = |name: &OsString| ORDER.iter().position(|known| *name == **known);
        names.sort_by_key(|name| rank(name).map_or(0, |rank| rank + 1));
        let places = |name: &OsString| {
            [&dir, &known.record_dir(id), &into.record_dir(id)].map(|d| d.join(name))
        };
        for name in &names {
            let [from, before, to] = &places(name);
            copied.add(copy_file(from, before, to, kind(name))?);
        }
        // Ended meanwhile, and so short that its end has the index.
        let name = OsString::from("output.idx");
        if names.contains(&name) && !dir.join(&name).exists() {
            let [from, before, to] = &places(&OsString::from(journal::NAME));
            copied.add(copy_file(from, before, to, Kind::Lines)?);
        }
        // Marked meanwhile.
        let name = OsString::from(gap::NAME);
        if !names.contains(&name) {
            let [from, before, to] = &places(&name);
            copied.add(copy_file(from, before, to, Kind::Whole)?);
        }
        // Compressed meanwhile: what is copied of output and index may be half of them.
        let name = OsString::from(packed::NAME);
        if !names.contains(&name) {
            let [from, before, to] = &places(&name);
            copied.add(copy_file(from, before, to, Kind::Whole)?);
        }
        copied.stale(&known.record_dir(id), |known| names.contains(known), &into.record_dir(id))?;
        let files = files_in(&artifacts)?.unwrap_or_default();
        let into_files = into.artifact_dir(id);
        copied.stale(&known.artifact_dir(id), |known| files.contains(known), &into_files)?;
        let mut removed = at_first.iter().any(|name| !files.contains(name));
        for name in files {
            let is_copy =
                name.len() == 64 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
            let places = [&artifacts, &known.artifact_dir(id), &into.artifact_dir(id)]
                .map(|d| d.join(&name));
            let [from, before, to] = &places;
            if is_copy {
                copied.add(copy_file(from, before, to, Kind::Whole)?);
                removed |= !from.exists();
            }
        }
        // The notes say so before a file goes: those that were copied above may not say it yet.
        if removed {
            let [from, before, to] = &places(&OsString::from(ORDER[0]));
            copied.add(copy_file(from, before, to, Kind::Whole)?);
        }
        if fs::symlink_metadata(dir.join("spec.json")).is_err() {
            return Err(there());
        }
        Ok(copied)
    }

    /// Puts a copy that [`Storage::copy_record`] made in its place in `into`, over an earlier one,
    /// and removes what of the earlier one was `stale` then. A crash in the middle leaves a record
    /// that can be read, and whose missing part comes with the next copy.
    pub fn place_copy(
        &self,
        id: ExecutionId,
        into: &Self,
        stale: &[PathBuf],
    ) -> Result<(), RecordError> {
        // What is told of comes before what tells of it, and goes after it.
        let pairs = [
            (self.artifact_dir(id), into.artifact_dir(id)),
            (self.record_dir(id), into.record_dir(id)),
        ];
        for (from, to) in &pairs {
            let Some(mut staged) = files_in(from)? else { continue };
            if fs::rename(from, to).is_ok() {
                continue; // There was none.
            }
            let rank = |name: &OsString| ORDER.iter().position(|known| *name == **known);
            staged.sort_by_key(|name| std::cmp::Reverse(rank(name)));
            for name in &staged {
                let target = to.join(name);
                fs::rename(from.join(name), &target)
                    .map_err(RecordError::io("replace", &target))?;
            }
        }
        for path in stale {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(RecordError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a record and its artifacts at once: from a copy, where nobody looks at them.
    pub fn remove_copy(&self, id: ExecutionId) -> Result<(), RecordError> {
        for dir in [self.record_dir(id), self.artifact_dir(id)] {
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(RecordError::io("remove", &dir)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Copied {
    /// Notes what of an earlier copy in `known` is neither in the record, as `there` knows it, nor in
    /// what was copied to `into`.
    fn stale(
        &mut self,
        known: &Path,
        there: impl Fn(&OsString) -> bool,
        into: &Path,
    ) -> Result<(), RecordError> {
        let mut names = files_in(known)?.unwrap_or_default();
        names.retain(|name| !there(name) && !into.join(name).exists());
        self.stale.extend(names.iter().map(|name| known.join(name)));
        Ok(())
    }

    fn add(&mut self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.files += 1;
            self.bytes += bytes;
        }
    }
}

/// What of a file that grows belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    /// Whole lines.
    Lines,
    /// Whole entries.
    Entries,
}

fn kind(name: &OsString) -> Kind {
    match name.to_str() {
        Some(journal::NAME) => Kind::Lines,
        Some("output.idx") => Kind::Entries,
        _ => Kind::Whole,
    }
}

/// The names of the regular files in a directory; `None`: it is not there.
fn files_in(dir: &Path) -> Result<Option<Vec<OsString>>, RecordError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RecordError::io("list", dir))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            names.push(entry.file_name());
        }
    }
    Ok(Some(names))
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.len(), a.mtime(), a.mtime_nsec()) == (b.len(), b.mtime(), b.mtime_nsec())
}

/// Copies one file unless `before` is the same. Returns its bytes; `None`: nothing to do.
fn copy_file(
    from: &Path,
    before: &Path,
    to: &Path,
    kind: Kind,
) -> Result<Option<u64>, RecordError> {
    let file = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None), // Just removed.
        Err(error) => return Err(RecordError::io("open", from)(error)),
    };
    let meta = file.metadata().map_err(RecordError::io("look at", from))?;
    if fs::symlink_metadata(before).is_ok_and(|known| is_same(&known, &meta)) {
        return Ok(None);
    }
    let dir = to.parent().map(Path::to_owned).unwrap_or_default();
    make_dirs(&dir)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)
        .map_err(RecordError::io("create", to))?;
    let bytes = copy_bytes(&file, &mut copy, &meta, kind).map_err(RecordError::io("copy", from))?;
    if bytes == meta.len()
        && let Ok(time) = meta.modified()
    {
        copy.set_times(FileTimes::new().set_modified(time))
            .map_err(RecordError::io("set the time of", to))?;
    }
    Ok(Some(bytes))
}

fn copy_bytes(from: &File, to: &mut File, meta: &Metadata, kind: Kind) -> io::Result<u64> {
    match kind {
        // In the kernel, and on some file systems without a byte moved.
        Kind::Whole if has_holes(meta) => copy_sparse(from, to, meta.len()),
        Kind::Whole => io::copy(&mut from.take(meta.len()), to),
        Kind::Entries => io::copy(&mut from.take(meta.len() - meta.len() % ENTRY_BYTES), to),
        Kind::Lines => {
            let mut bytes = Vec::new();
            from.take(meta.len()).read_to_end(&mut bytes)?;
            let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            to.write_all(&bytes[..end])?;
            Ok(end as u64)
        }
    }
}

/// Whether the file takes up less than its size: parts of it were given back.
fn has_holes(meta: &Metadata) -> bool {
    meta.blocks() * 512 + SPARSE_BYTES < meta.len()
}

/// Copies without writing what is zero in whole pieces: a hole stays one.
fn copy_sparse(from: &File, to: &mut File, size: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut piece = vec![0; SPARSE_BYTES as usize];
    let mut at = 0;
    while at < size {
        let piece = &mut piece[..SPARSE_BYTES.min(size - at) as usize];
        from.read_exact_at(piece, at)?;
        if piece.iter().any(|byte| *byte != 0) {
            to.write_all_at(piece, at)?;
        }
        at += piece.len() as u64;
    }
    to.set_len(size)?;
    Ok(size)
}

fn make_dirs(path: &PathBuf) -> Result<(), RecordError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(RecordError::io("create", path))
}
