//! Where things are, and how a record comes to be.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stepflow_model::{ExecutionId, Spec};
use stepflow_sys::lock::{self, Lock};

use crate::{RecordError, journal, packed};

/// Version of `spec.json` that this build writes.
pub(crate) const SPEC_VERSION: u64 = 1;
/// A spec is read whole: larger ones are refused when they are written.
pub(crate) const SPEC_BYTES_MAX: u64 = 4 << 20;

/// A storage directory.
#[derive(Debug, Clone)]
pub struct Storage {
    root: PathBuf,
}

/// A record that has just been made, with its claim held.
#[derive(Debug)]
pub struct Created {
    /// The execution.
    pub id: ExecutionId,
    /// Proof of life; the recorder inherits it.
    pub claim: Lock,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Versioned {
    pub(crate) v: u64,
    #[serde(flatten)]
    pub(crate) spec: Spec,
}

impl Storage {
    /// Opens `root`, making its directories (0700) where they are missing.
    pub fn open(root: &Path) -> Result<Self, RecordError> {
        let root = std::path::absolute(root).map_err(RecordError::io("find", root))?;
        let storage = Self { root };
        for dir in [
            storage.root.clone(),
            storage.root.join("executions"),
            storage.root.join("artifacts"),
            storage.run_dir(),
            storage.root.join("database"),
            storage.cache_dir(),
        ] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(RecordError::io("create", &dir))?;
        }
        Ok(storage)
    }

    /// The storage at `root`, whatever is there: makes nothing. For looking at it.
    pub fn at(root: &Path) -> Result<Self, RecordError> {
        Ok(Self { root: std::path::absolute(root).map_err(RecordError::io("find", root))? })
    }

    /// The storage directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of one record. Ids are parsed types: no text of a request gets here.
    pub fn record_dir(&self, id: ExecutionId) -> PathBuf {
        self.root.join("executions").join(id.to_string())
    }

    /// The directory of one execution's artifacts.
    pub fn artifact_dir(&self, id: ExecutionId) -> PathBuf {
        self.root.join("artifacts").join(id.to_string())
    }

    /// Sockets and open markers.
    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// What can be made anew from the records, and deleted at any time.
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// What viewers need to know of one execution's log.
    pub fn view_cache(&self, id: ExecutionId) -> PathBuf {
        self.cache_dir().join(format!("{id}.view"))
    }

    /// The name of a recorder's socket in [`Storage::run_dir`].
    pub fn socket_name(id: ExecutionId) -> String {
        format!("{id}.sock")
    }

    /// The marker of an execution that is unfinished or not yet in the catalog.
    pub fn open_marker(&self, id: ExecutionId) -> PathBuf {
        self.run_dir().join(format!("{id}.open"))
    }

    /// The catalog's file.
    pub fn database(&self) -> PathBuf {
        self.root.join("database").join("stepflow.db")
    }

    /// Who holds the lock on it writes catalog and notes.
    pub fn writer_lock(&self) -> PathBuf {
        self.root.join("database").join("writer.lock")
    }

    /// The claim of one record.
    pub fn claim(&self, id: ExecutionId) -> PathBuf {
        self.record_dir(id).join("claim")
    }

    /// Makes a record: claim, spec, open marker, all synced with their directories. When this
    /// returns, the execution is accepted: it will reach exactly one end.
    pub fn create(&self, spec: &Spec) -> Result<Created, RecordError> {
        let dir = self.record_dir(spec.id);
        DirBuilder::new().mode(0o700).create(&dir).map_err(RecordError::io("create", &dir))?;
        let path = dir.join("claim");
        // The claim is held before the marker shows the record: nobody can take it for dead.
        let claim = Lock::try_take(&path)
            .and_then(|lock| lock.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
            .map_err(RecordError::io("lock", &path))?;
        // All is there before any of it is synced: what a file system does for the first is most of
        // what it has to do for the others.
        let (path, marker) = (dir.join("spec.json"), self.open_marker(spec.id));
        let line = spec_line(spec, &path)?;
        let synced = || -> Result<(), RecordError> {
            let spec = write(&path, &line).map_err(RecordError::io("write", &path))?;
            let open = write(&marker, b"").map_err(RecordError::io("write", &marker))?;
            spec.sync_all().map_err(RecordError::io("sync", &path))?;
            sync_dir(&dir)?;
            sync_dir(&self.root.join("executions"))?;
            open.sync_all().map_err(RecordError::io("sync", &marker))?;
            sync_dir(&self.run_dir())
        };
        synced().inspect_err(|_| {
            let _ = fs::remove_file(&marker); // Not accepted: nothing to be found.
        })?;
        Ok(Created { id: spec.id, claim })
    }

    /// Ends what a [`Storage::create`] began whose process was killed after it had written the spec:
    /// everything is synced, and the marker is there. When this returns, the execution is accepted.
    /// One that was accepted already gets its marker once more, which costs a look.
    pub fn create_again(&self, id: ExecutionId) -> Result<(), RecordError> {
        let dir = self.record_dir(id);
        let path = dir.join("spec.json");
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(RecordError::io("sync", &path))?;
        sync_dir(&dir)?;
        sync_dir(&self.root.join("executions"))?;
        write_synced(&self.open_marker(id), b"")?;
        sync_dir(&self.run_dir())
    }

    /// Makes a record that the holder of the writer lock writes itself: it has no claim of its own.
    ///
    /// Nothing is synced: the caller does that, together with many others, before it tells anybody
    /// that the execution is accepted. The marker comes first, so that no record is without one.
    ///
    /// What a writer left that was killed in here makes place: its id was chosen by a source that
    /// comes back with it.
    pub fn create_held(&self, spec: &Spec) -> Result<(), RecordError> {
        let dir = self.record_dir(spec.id);
        let path = self.open_marker(spec.id);
        write(&path, b"").map_err(RecordError::io("create", &path))?;
        let make_dir = || DirBuilder::new().mode(0o700).create(&dir);
        let made_dir = match make_dir() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .remove_husk(spec.id)
                .and_then(|()| make_dir().map_err(RecordError::io("create", &dir))),
            made => made.map_err(RecordError::io("create", &dir)),
        };
        let made = made_dir.and_then(|()| {
            let path = dir.join("spec.json");
            let line = spec_line(spec, &path)?;
            // Renamed: whoever is killed leaves a whole spec or none.
            let new = dir.join("spec.new");
            write(&new, &line)
                .and_then(|_| fs::rename(&new, &path))
                .map_err(RecordError::io("write", &path))
        });
        if made.is_err() {
            let _ = fs::remove_file(self.open_marker(spec.id)); // Not accepted: nothing to be found.
        }
        made
    }

    /// Removes the directory of a record that was never accepted: no spec, no log, no recorder.
    fn remove_husk(&self, id: ExecutionId) -> Result<(), RecordError> {
        let dir = self.record_dir(id);
        let is_husk = matches!(self.spec(id), Err(RecordError::Missing { .. }))
            && fs::metadata(dir.join("output.log")).map_or(true, |log| log.len() == 0)
            && !dir.join(packed::NAME).exists()
            && !self.is_alive(id)?;
        if !is_husk {
            return Ok(()); // Making the directory says what stands there.
        }
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::io("remove", &dir)(error))
            }
            _ => Ok(()),
        }
    }

    /// Reads a spec. One without a byte is missing: a machine that lost power before the record
    /// was accepted leaves names without contents.
    pub fn spec(&self, id: ExecutionId) -> Result<Spec, RecordError> {
        let path = self.record_dir(id).join("spec.json");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RecordError::Missing { path: self.record_dir(id) });
            }
            Err(error) => return Err(RecordError::io("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(SPEC_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(RecordError::io("read", &path))?;
        if bytes.is_empty() {
            return Err(RecordError::Missing { path: self.record_dir(id) });
        }
        let damaged = |why: String| RecordError::Damaged { path: path.clone(), why };
        let line = bytes.strip_suffix(b"\n").ok_or_else(|| damaged("it is cut".to_owned()))?;
        let body =
            journal::proven(line).ok_or_else(|| damaged("its checksum is wrong".to_owned()))?;
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let version: Version = serde_json::from_slice(body).map_err(|e| damaged(e.to_string()))?;
        if version.v > SPEC_VERSION {
            return Err(RecordError::TooNew { path, found: version.v, supported: SPEC_VERSION });
        }
        let versioned: Versioned =
            serde_json::from_slice(body).map_err(|e| damaged(e.to_string()))?;
        Ok(versioned.spec)
    }

    /// Whether anybody holds the writer lock: a server, which records ingested streams itself, or a
    /// command for a moment.
    pub fn is_written(&self) -> Result<bool, RecordError> {
        let path = self.writer_lock();
        lock::is_held(&path).map_err(RecordError::io("look at", &path))
    }

    /// Whether recorder or keeper of this execution live.
    pub fn is_alive(&self, id: ExecutionId) -> Result<bool, RecordError> {
        let path = self.claim(id);
        lock::is_held(&path).map_err(RecordError::io("look at", &path))
    }

    /// The executions that are unfinished or not yet in the catalog, oldest first.
    pub fn open_executions(&self) -> Result<Vec<ExecutionId>, RecordError> {
        let mut found = ids(&self.run_dir(), ".open")?;
        found.sort_unstable();
        Ok(found)
    }

    /// All records, oldest first.
    pub fn executions(&self) -> Result<Vec<ExecutionId>, RecordError> {
        let mut found = ids(&self.root.join("executions"), "")?;
        found.sort_unstable();
        Ok(found)
    }

    /// Removes the open marker: the catalog has committed the end. It becomes the mark of an ended
    /// execution, whose log is to be compressed: see [`Storage::ended`].
    pub fn close_execution(&self, id: ExecutionId) -> Result<(), RecordError> {
        let path = self.open_marker(id);
        let rename = || fs::rename(&path, self.ended_mark(id));
        let closed = if self.record_dir(id).exists() {
            match rename() {
                Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(self.ended_dir())
                        .and_then(|()| rename())
                }
                renamed => renamed,
            }
        } else {
            fs::remove_file(&path)
        };
        match closed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn ended_dir(&self) -> PathBuf {
        self.run_dir().join("ended")
    }

    /// The mark of an execution that has ended and whose log nobody has compressed yet.
    pub fn ended_mark(&self, id: ExecutionId) -> PathBuf {
        self.ended_dir().join(id.to_string())
    }

    /// Marks an execution that ended elsewhere and came as it is, unless its log is compressed.
    pub fn mark_ended(&self, id: ExecutionId) -> Result<(), RecordError> {
        if !self.record_dir(id).join("output.log").exists() {
            return Ok(());
        }
        let dir = self.ended_dir();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(RecordError::io("create", &dir))?;
        let mark = self.ended_mark(id);
        let mut options = OpenOptions::new();
        let made = options.write(true).create(true).truncate(true).mode(0o600).open(&mark);
        made.map(drop).map_err(RecordError::io("create", &mark))
    }

    /// The executions that ended at least `ago` and whose logs are to be compressed, oldest first:
    /// those that were closed here or restored, not those of an earlier version. A mark that a power
    /// cut takes costs a log that stays as it is. There are never more of them than records: whatever
    /// deletes or compresses one removes its mark.
    pub fn ended(&self, ago: Duration) -> Result<Vec<ExecutionId>, RecordError> {
        let dir = self.ended_dir();
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let now = stepflow_sys::clock::wall_us();
        let mut found = ids(&dir, "")?;
        // A renamed file keeps its time of writing; the time of its last change is the rename's.
        found.retain(|id| {
            fs::symlink_metadata(self.ended_mark(*id)).is_ok_and(|meta| {
                let closed = meta.ctime() * 1_000_000 + meta.ctime_nsec() / 1_000;
                now.saturating_sub(closed) >= i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)
            })
        });
        found.sort_unstable();
        Ok(found)
    }

    /// Nothing is left to be done with an ended execution.
    pub fn forget_ended(&self, id: ExecutionId) -> Result<(), RecordError> {
        let path = self.ended_mark(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn ids(dir: &Path, suffix: &str) -> Result<Vec<ExecutionId>, RecordError> {
    let entries = fs::read_dir(dir).map_err(RecordError::io("list", dir))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RecordError::io("list", dir))?;
        let id: Option<ExecutionId> =
            entry.file_name().to_str().and_then(|name| name.strip_suffix(suffix)?.parse().ok());
        found.extend(id);
    }
    Ok(found)
}

fn spec_line(spec: &Spec, path: &Path) -> Result<Vec<u8>, RecordError> {
    let line = journal::seal_line(&Versioned { v: SPEC_VERSION, spec: spec.clone() }, path)?;
    if line.len() as u64 > SPEC_BYTES_MAX {
        let why = format!("larger than {SPEC_BYTES_MAX} bytes");
        return Err(RecordError::Damaged { path: path.to_owned(), why });
    }
    Ok(line)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let file = write(path, bytes).map_err(RecordError::io("write", path))?;
    file.sync_all().map_err(RecordError::io("sync", path))
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), RecordError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(RecordError::io("sync", path))
}
