//! What others than the recorder do to a whole record, so that a crash leaves no half of it.
//!
//! A record is discarded by one rename out of `executions/`: from then on it does not exist, and
//! its directory in `trash/` says what is still to be removed. A record whose notes are ahead of
//! the catalog has a mark in `run/`. The caller holds the writer lock.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use stepflow_model::{ExecutionId, ExecutionState};
use stepflow_sys::lock::Lock;

use crate::{
    RecordError, Storage,
    layout::{ids, sync_dir, write_synced},
};

const CHANGED: &str = ".changed";

impl Storage {
    /// Records that are being removed.
    pub fn trash_dir(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// Files that are being received. On the file system of the artifacts, so that they can be
    /// renamed.
    pub fn upload_dir(&self) -> PathBuf {
        self.root().join("uploads")
    }

    fn changed_mark(&self, id: ExecutionId) -> PathBuf {
        self.run_dir().join(format!("{id}{CHANGED}"))
    }

    /// Notes durably that the catalog has to learn of a change, before the change is made.
    pub fn mark_changed(&self, id: ExecutionId) -> Result<(), RecordError> {
        write_synced(&self.changed_mark(id), b"")?;
        sync_dir(&self.run_dir())
    }

    /// The catalog has committed the change.
    pub fn clear_changed(&self, id: ExecutionId) -> Result<(), RecordError> {
        remove_file(self.changed_mark(id))
    }

    /// Turns marks that a crash left into open markers: who projects those brings the catalog up
    /// to date. Only before anything else is done with the storage.
    pub fn recover_changed(&self) -> Result<(), RecordError> {
        for id in ids(&self.run_dir(), CHANGED)? {
            let mark = self.changed_mark(id);
            fs::rename(&mark, self.open_marker(id)).map_err(RecordError::io("rename", &mark))?;
        }
        Ok(())
    }

    /// Takes a record away from everybody, durably. `false`: recorder or keeper still hold it.
    ///
    /// [`Storage::purge`] removes what is left; [`Storage::trashed`] finds it after a crash.
    pub fn discard(&self, id: ExecutionId) -> Result<bool, RecordError> {
        self.make_trash()?;
        let taken = self.move_away(id)?;
        self.sync_discarded()?;
        Ok(taken.is_some())
    }

    /// [`Storage::discard`] of many, with two syncs for all. Says of each how it went.
    pub fn discard_all(
        &self,
        ids: &[ExecutionId],
    ) -> Result<Vec<Result<bool, RecordError>>, RecordError> {
        self.make_trash()?;
        // Nobody may take a record's claim before its new name is durable.
        let taken: Vec<_> = ids.iter().map(|id| self.move_away(*id)).collect();
        self.sync_discarded()?;
        Ok(taken.into_iter().map(|taken| taken.map(|claim| claim.is_some())).collect())
    }

    fn make_trash(&self) -> Result<(), RecordError> {
        make_dir(&self.trash_dir())?;
        sync_dir(self.root())
    }

    /// Gives a record its name in the trash, and returns its claim; none: somebody holds it.
    fn move_away(&self, id: ExecutionId) -> Result<Option<Lock>, RecordError> {
        let dir = self.record_dir(id);
        if let Err(error) = fs::symlink_metadata(&dir) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => RecordError::Missing { path: dir },
                _ => RecordError::io("look at", &dir)(error),
            });
        }
        let path = self.claim(id);
        let claim = Lock::try_take(&path).map_err(RecordError::io("lock", &path))?;
        if claim.is_some() {
            let target = self.trash_dir().join(id.to_string());
            fs::rename(&dir, &target).map_err(RecordError::io("move away", &dir))?;
        }
        Ok(claim)
    }

    /// The new names first: at no moment is there neither a record nor its tombstone.
    fn sync_discarded(&self) -> Result<(), RecordError> {
        sync_dir(&self.trash_dir())?;
        sync_dir(&self.root().join("executions"))
    }

    /// Bytes that a record, its artifacts and what was made of them take up on the disk.
    pub fn disk_bytes(&self, id: ExecutionId) -> u64 {
        let cache = fs::symlink_metadata(self.view_cache(id)).map_or(0, |meta| blocks(&meta));
        cache + blocks_below(&self.record_dir(id)) + blocks_below(&self.artifact_dir(id))
    }

    /// Discarded records that are not purged yet.
    pub fn trashed(&self) -> Result<Vec<ExecutionId>, RecordError> {
        match ids(&self.trash_dir(), "") {
            Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            found => found,
        }
    }

    /// Removes everything of a discarded record, its tombstone last. The catalog has forgotten it.
    /// Can be repeated.
    pub fn purge(&self, id: ExecutionId) -> Result<(), RecordError> {
        remove_tree(self.artifact_dir(id))?;
        remove_file(self.view_cache(id))?;
        remove_file(self.run_dir().join(Self::socket_name(id)))?;
        remove_file(self.changed_mark(id))?;
        self.close_execution(id)?;
        self.forget_ended(id)?;
        remove_tree(self.trash_dir().join(id.to_string()))
    }

    /// A name for a file to be received, in a directory that exists.
    pub fn new_upload(&self, name: &str) -> Result<PathBuf, RecordError> {
        let dir = self.upload_dir();
        make_dir(&dir)?;
        Ok(dir.join(name))
    }

    /// Removes what was being received when the last server went away.
    pub fn forget_uploads(&self) -> Result<(), RecordError> {
        remove_tree(self.upload_dir())
    }

    /// Gives a received and synced file its place among the artifacts of `id`, durably.
    pub fn store_upload(
        &self,
        id: ExecutionId,
        received: &Path,
        sha256: &str,
    ) -> Result<(), RecordError> {
        let dir = self.artifact_dir(id);
        make_dir(&dir)?;
        sync_dir(&self.root().join("artifacts"))?;
        fs::rename(received, dir.join(sha256)).map_err(RecordError::io("rename", received))?;
        sync_dir(&dir)
    }

    /// Removes the copies of artifacts that were removed, unless another one has the same bytes.
    /// Only after the end: a recorder may be storing the same bytes again right now.
    pub fn remove_copies(&self, state: &ExecutionState) -> Result<(), RecordError> {
        for digest in state.removed.iter().filter_map(|removed| removed.sha256.as_deref()) {
            let shared = state.artifacts.iter().any(|kept| kept.sha256.as_deref() == Some(digest));
            let plain = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
            if !shared && plain {
                remove_file(self.artifact_dir(state.summary.id).join(digest))?;
            }
        }
        Ok(())
    }
}

fn blocks(meta: &fs::Metadata) -> u64 {
    meta.blocks() * 512 // The unit of `st_blocks`, whatever the file system's.
}

/// Of a directory and the files in it; neither has directories of its own.
fn blocks_below(dir: &Path) -> u64 {
    let own = fs::symlink_metadata(dir).map_or(0, |meta| blocks(&meta));
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    own + files.filter_map(|file| file.metadata().ok()).map(|meta| blocks(&meta)).sum::<u64>()
}

fn make_dir(path: &Path) -> Result<(), RecordError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(RecordError::io("create", path))
}

fn remove_file(path: PathBuf) -> Result<(), RecordError> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RecordError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a directory and what is in it. Links in it are removed, not followed.
fn remove_tree(path: PathBuf) -> Result<(), RecordError> {
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RecordError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}
