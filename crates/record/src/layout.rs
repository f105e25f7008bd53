//! Where things are, and how a record comes to be.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use stepflow_model::{ExecutionId, Spec};
use stepflow_sys::lock::{self, Lock};

use crate::{RecordError, journal};

/// Version of `spec.json` that this build writes.
const SPEC_VERSION: u64 = 1;
/// A spec is read whole: larger ones are refused when they are written.
const SPEC_BYTES_MAX: u64 = 4 << 20;

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
struct Versioned {
    v: u64,
    #[serde(flatten)]
    spec: Spec,
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
        ] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(RecordError::io("create", &dir))?;
        }
        Ok(storage)
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
        let path = dir.join("spec.json");
        let line = journal::seal_line(&Versioned { v: SPEC_VERSION, spec: spec.clone() }, &path)?;
        if line.len() as u64 > SPEC_BYTES_MAX {
            return Err(RecordError::Damaged {
                path,
                why: format!("larger than {SPEC_BYTES_MAX} bytes"),
            });
        }
        write_synced(&path, &line)?;
        sync_dir(&dir)?;
        sync_dir(&self.root.join("executions"))?;
        write_synced(&self.open_marker(spec.id), b"")?;
        sync_dir(&self.run_dir())?;
        Ok(Created { id: spec.id, claim })
    }

    /// Reads a spec.
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

    /// Removes the open marker: the catalog has committed the end.
    pub fn close_execution(&self, id: ExecutionId) -> Result<(), RecordError> {
        let path = self.open_marker(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn ids(dir: &Path, suffix: &str) -> Result<Vec<ExecutionId>, RecordError> {
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

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(RecordError::io("create", path))?;
    file.write_all(bytes).map_err(RecordError::io("write", path))?;
    file.sync_all().map_err(RecordError::io("sync", path))
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), RecordError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(RecordError::io("sync", path))
}
