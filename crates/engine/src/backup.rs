//! A whole storage copied while it is used, and brought back.
//!
//! A backup is a directory laid out as a storage is, with a `backup.json` beside it. What is new or
//! changed is first copied to `.staging/` in it and synced; only then is each file renamed into its
//! place. Until then the backup is what it was, after a crash in the middle each record is either
//! the old or the new one, and the next backup goes on.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use stepflow_catalog::{Catalog, CatalogError, Role};
use stepflow_model::ExecutionId;
use stepflow_record::{Flaw, RecordError, RecordView, Storage};
use stepflow_sys::{clock, disk::sync_filesystem, lock::Lock};

use crate::{ProjectError, WriterLock, once, project::reindex};

/// Says what a directory is, and when it was last complete.
const MANIFEST: &str = "backup.json";
const STAGING: &str = ".staging";
const LOCK: &str = "backup.lock";
/// Where a restore gathers everything.
const RESTORING: &str = ".restoring";
/// In there: all is there and synced.
const GATHERED: &str = "gathered";
const VERSION: u64 = 1;

/// What stands in `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: String,
    v: u64,
    /// Everything that had ended by then is in it, microseconds UTC.
    began_us: i64,
    ended_us: i64,
    executions: u64,
}

/// What a backup did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Executions that are in the backup now.
    pub executions: u64,
    /// Of these, new or changed since the last time.
    pub copied: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Executions that were in the backup and are no longer in the storage.
    pub removed: u64,
    /// Executions that still ran: what they had recorded is in it.
    pub unfinished: u64,
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Executions that are in the storage now.
    pub executions: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// What is not what was recorded. It is there all the same.
    pub flaws: Vec<(ExecutionId, Flaw)>,
    /// When the backup was begun, microseconds UTC.
    pub of_us: i64,
}

/// A backup or restore was not done. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something else is in the directory.
    #[error("`{0}` is not empty and no backup")]
    Foreign(PathBuf),
    /// There is no complete backup.
    #[error("`{0}` holds no complete backup")]
    NotThere(PathBuf),
    /// One of the two lies in the other.
    #[error("`{0}` lies in the storage, or the storage in it")]
    Inside(PathBuf),
    /// Another backup goes to the same place.
    #[error("another backup to `{0}` is under way")]
    UnderWay(PathBuf),
    /// The storage has nothing, the backup has something.
    #[error("the storage is empty, and the backup in `{path}` has {executions} executions")]
    Emptied {
        /// The backup.
        path: PathBuf,
        /// How many it has.
        executions: usize,
    },
    /// There is something in the storage already.
    #[error("there is something in `{0}` already")]
    Occupied(PathBuf),
    /// Somebody writes the storage that is to be restored.
    #[error("storage `{0}` is in use")]
    InUse(PathBuf),
    /// A newer version made the backup.
    #[error("the backup has format {found}; this build reads up to {VERSION}")]
    TooNew {
        /// Its version.
        found: u64,
    },
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// A verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record refused.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<ProjectError> for BackupError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Catalog(error) => Self::Catalog(error),
            ProjectError::Record(error) => Self::Record(error),
        }
    }
}

impl BackupError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Foreign(_) => {
                "give a directory that is not there yet, or one of an earlier backup"
            }
            Self::NotThere(_) => "give the directory that `stepflow backup` was given",
            Self::Inside(_) => "give a directory elsewhere, best on another disk",
            Self::UnderWay(_) => "wait for it",
            Self::Emptied { .. } => {
                "is it the right storage? If so, back it up to another directory: this one keeps \
                 what it has"
            }
            Self::Occupied(_) => {
                "restore into a directory that is not there yet: pass another --storage"
            }
            Self::InUse(_) => "stop the server there, or pass another --storage",
            Self::TooNew { .. } => "use the version that made it, or a newer one",
            Self::Catalog(error) => return error.hint(),
            Self::Io { .. } | Self::Record(_) => return None,
        })
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Told how many executions of how many are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies everything in `storage` to `target`: all of it the first time, later what is new or
/// changed. Whoever uses the storage goes on; what had ended when this began is in it complete.
pub fn backup(
    storage: &Storage,
    target: &Path,
    progress: Progress<'_>,
) -> Result<BackedUp, BackupError> {
    let began_us = clock::wall_us();
    make_dir(target)?;
    let root = fs::canonicalize(target).map_err(BackupError::io("find", target))?;
    let source =
        fs::canonicalize(storage.root()).map_err(BackupError::io("find", storage.root()))?;
    if root.starts_with(&source) || source.starts_with(&root) {
        let _ = fs::remove_dir(target); // If it was ours.
        return Err(BackupError::Inside(target.to_owned()));
    }
    let staging = root.join(STAGING);
    // A first backup that was cut off has left its staging and nothing else.
    if !root.join(MANIFEST).exists() && !staging.exists() && !is_empty(&root)? {
        return Err(BackupError::Foreign(root));
    }
    let lock_path = root.join(LOCK);
    make_dir(&staging)?;
    let lock = Lock::try_take(&lock_path).map_err(BackupError::io("lock", &lock_path))?;
    let Some(_lock) = lock else { return Err(BackupError::UnderWay(root)) };
    remove_dir(&staging)?;
    for dir in [root.clone(), staging.clone()] {
        for part in ["executions", "artifacts", "database"] {
            make_dir(&dir.join(part))?;
        }
    }
    let (known, staged) = (Storage::at(&root)?, Storage::at(&staging)?);

    // Before the records: what a key names is then among them, unless it has been deleted.
    once::copy_keys(storage.root(), &staging)?;
    let ids = storage.executions()?;
    let before = known.executions()?;
    if ids.is_empty() && !before.is_empty() {
        return Err(BackupError::Emptied { path: root, executions: before.len() });
    }
    let mut done = BackedUp::default();
    for id in storage.open_executions().unwrap_or_default() {
        let unfinished =
            RecordView::open(storage, id).is_ok_and(|view| !view.state.summary.status.is_end());
        done.unfinished += u64::from(unfinished);
    }
    let mut gone: HashSet<ExecutionId> = before.into_iter().collect();
    let mut changed = Vec::new();
    for (id, at) in ids.iter().zip(1..) {
        match storage.copy_record(*id, &known, &staged) {
            Ok(copied) => {
                gone.remove(id);
                done.executions += 1;
                done.bytes += copied.bytes;
                if copied.files > 0 || !copied.stale.is_empty() {
                    changed.push((*id, copied.stale));
                }
            }
            // Deleted meanwhile, or never accepted.
            Err(RecordError::Missing { .. }) => staged.remove_copy(*id)?,
            Err(error) => return Err(error.into()),
        }
        progress(at, ids.len() as u64);
    }
    // After the records: what lives only in it, such as revoked tokens, is as new as can be. What
    // it tells of executions is made anew by a restore.
    if storage.database().exists() {
        stepflow_catalog::copy(&storage.database(), &staged.database())?;
    }
    sync(&root)?;

    for (id, stale) in &changed {
        staged.place_copy(*id, &known, stale)?;
    }
    for id in &gone {
        known.remove_copy(*id)?;
    }
    place_keys(&staging, &root)?;
    if staged.database().exists() {
        rename(&staged.database(), &known.database())?;
    }
    (done.copied, done.removed) = (changed.len() as u64, gone.len() as u64);
    let manifest = Manifest {
        format: "stepflow-backup".to_owned(),
        v: VERSION,
        began_us,
        ended_us: clock::wall_us(),
        executions: done.executions,
    };
    write_manifest(&root, &staging, &manifest)?;
    remove_dir(&staging)?;
    Ok(done)
}

/// Puts the keys that were copied in the place of those of an earlier backup.
fn place_keys(staging: &Path, root: &Path) -> Result<(), BackupError> {
    let (from, to) = (staging.join(once::DIRECTORY), root.join(once::DIRECTORY));
    let staged = list(&from)?;
    if !staged.is_empty() {
        make_dir(&to)?;
    }
    for name in &staged {
        rename(&from.join(name), &to.join(name))?;
    }
    let staged: HashSet<_> = staged.into_iter().collect();
    for name in list(&to)?.into_iter().filter(|name| !staged.contains(name)) {
        let path = to.join(name);
        fs::remove_file(&path).map_err(BackupError::io("remove", &path))?;
    }
    Ok(())
}

/// Everything is durable before the manifest says so.
fn write_manifest(root: &Path, staging: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    sync(root)?;
    let new = staging.join(MANIFEST);
    let text = serde_json::to_string(manifest).unwrap_or_default();
    fs::write(&new, text + "\n").map_err(BackupError::io("write", &new))?;
    fs::File::open(&new).and_then(|file| file.sync_all()).map_err(BackupError::io("sync", &new))?;
    rename(&new, &root.join(MANIFEST))?;
    sync(root)
}

/// Brings a backup back into `root`, where nothing may be yet, and holds every byte against its
/// checksum. Cut off, it is begun again, or goes on where everything had been gathered.
pub fn restore(
    backup: &Path,
    root: &Path,
    progress: Progress<'_>,
) -> Result<Restored, BackupError> {
    let manifest = read_manifest(backup)?;
    let from = Storage::at(backup)?;
    let to = Storage::open(root)?;
    let lock = WriterLock::try_take(&to).map_err(BackupError::io("lock", &to.writer_lock()))?;
    let Some(_lock) = lock else { return Err(BackupError::InUse(to.root().to_owned())) };
    let staging = to.root().join(RESTORING);
    let mut done = Restored { of_us: manifest.began_us, ..Restored::default() };
    if !staging.join(GATHERED).exists() {
        if !to.executions()?.is_empty() || to.database().exists() {
            return Err(BackupError::Occupied(to.root().to_owned()));
        }
        remove_dir(&staging)?;
        let staged = Storage::open(&staging)?;
        gather(&from, &staged, &mut done, progress)?;
        sync(&staging)?;
        let gathered = staging.join(GATHERED);
        fs::write(&gathered, "").map_err(BackupError::io("write", &gathered))?;
        sync(&staging)?;
    }
    for part in ["artifacts", "executions", once::DIRECTORY, "run", "database"] {
        let part_dir = staging.join(part);
        let entries = list(&part_dir)?;
        if !entries.is_empty() {
            make_dir(&to.root().join(part))?;
        }
        for entry in entries {
            // Our own lock stays.
            if entry != *"writer.lock" {
                rename(&part_dir.join(&entry), &to.root().join(part).join(&entry))?;
            }
        }
    }
    sync(to.root())?;
    remove_dir(&staging)?;
    done.executions = to.executions()?.len() as u64;
    Ok(done)
}

fn gather(
    from: &Storage,
    staged: &Storage,
    done: &mut Restored,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    let nothing = Storage::at(&staged.root().join("nothing"))?;
    let ids = from.executions()?;
    for (id, at) in ids.iter().zip(1..) {
        done.bytes += from.copy_record(*id, &nothing, staged)?.bytes;
        let proof = staged.verify(*id)?;
        done.flaws.extend(proof.flaws.into_iter().map(|flaw| (*id, flaw)));
        progress(at, ids.len() as u64);
    }
    if from.database().exists() {
        fs::copy(from.database(), staged.database())
            .map_err(BackupError::io("copy", &from.database()))?;
    }
    // The records say what is so; and of those that were unfinished, that they are lost.
    crate::renew(staged)?; // A damaged one is kept beside.
    let catalog = Catalog::open(&staged.database(), Role::Command)?;
    reindex(staged, &catalog)?;
    catalog.close()?;
    for id in ids {
        // As if it had ended here: a server, or `stepflow compress`, makes its log small.
        if !staged.open_marker(id).exists() {
            staged.mark_ended(id)?;
        }
    }
    once::copy_keys(from.root(), staged.root())?;
    Ok(())
}

fn read_manifest(backup: &Path) -> Result<Manifest, BackupError> {
    let path = backup.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(BackupError::NotThere(backup.to_owned()));
        }
        Err(error) => return Err(BackupError::io("read", &path)(error)),
    };
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let unreadable = |_| BackupError::NotThere(backup.to_owned());
    let Version { v } = serde_json::from_slice(&text).map_err(unreadable)?;
    if v > VERSION {
        return Err(BackupError::TooNew { found: v });
    }
    serde_json::from_slice(&text).map_err(unreadable)
}

fn is_empty(dir: &Path) -> Result<bool, BackupError> {
    // A disk of its own has this from the start.
    Ok(list(dir)?.iter().all(|name| *name == *"lost+found"))
}

fn list(dir: &Path) -> Result<Vec<std::ffi::OsString>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::io("list", dir)(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.file_name()).map_err(BackupError::io("list", dir)))
        .collect()
}

fn make_dir(dir: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(BackupError::io("create", dir))
}

fn remove_dir(dir: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(BackupError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::rename(from, to).map_err(BackupError::io("move into place", to))
}

fn sync(dir: &Path) -> Result<(), BackupError> {
    sync_filesystem(dir).map_err(BackupError::io("sync", dir))
}
