//! What people change about records that exist: delete one, add a file, remove a file.
//!
//! Each is durable in the record before the catalog learns of it, and can be repeated: a crash in
//! between is mended by the next start (`project::mend`).

use std::{path::PathBuf, sync::Arc, time::Duration};

use stepflow_catalog::Change;
use stepflow_model::{Artifact, ArtifactId, ExecutionId, Note, NoteKind, Summary, UPLOADS_MAX};
use stepflow_record::{Liveness, RecordError, RecordView, append_note};
use stepflow_sys::clock;
use tokio::time::{Instant, sleep};

use crate::{
    ChangeError, Engine, QueryError,
    core::{Core, blocking},
    handle::Handle,
    project,
    request::check_words,
};

/// An execution that has just ended is let go of by its processes and its follower within this.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
/// A catalog that refused is asked again after this time.
const CATALOG_RETRY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A file that has been received, hashed and synced.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Where it is, in [`stepflow_record::Storage::upload_dir`]. It is moved from there.
    pub received: PathBuf,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its file name.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// The step it belongs to.
    pub step: Option<u32>,
}

/// What somebody writes on an execution. What is absent stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its name.
    pub name: Option<String>,
    /// All its tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is pinned.
    pub pinned: Option<bool>,
}

impl Engine {
    /// Deletes an ended execution: record, artifacts, catalog rows. When this returns nothing
    /// brings it back; after an error, or a crash, it is whole or the next try goes on.
    pub async fn delete(&self, id: ExecutionId) -> Result<(), ChangeError> {
        let core = Arc::clone(&self.core);
        self.spawned(async move { delete(&core, id).await }).await
    }

    /// Adds a received file to an execution, running or ended.
    pub async fn add_artifact(
        &self,
        id: ExecutionId,
        upload: Upload,
    ) -> Result<Artifact, ChangeError> {
        let engine = self.clone();
        self.spawned(async move {
            let _turn = engine.core.changing.lock().await;
            engine.add(id, upload).await
        })
        .await
    }

    /// Removes an artifact; its copy too, once the execution has ended and no other has the bytes.
    pub async fn remove_artifact(&self, id: ArtifactId) -> Result<(), ChangeError> {
        let engine = self.clone();
        self.spawned(async move {
            let _turn = engine.core.changing.lock().await;
            engine.remove(id).await
        })
        .await
    }

    /// Gives an execution, running or ended, another name or other tags, or pins it; what is absent
    /// stays as it was. Returns what it is then.
    pub async fn label(&self, id: ExecutionId, labels: Labels) -> Result<Summary, ChangeError> {
        check_words(labels.name.as_deref(), "", labels.tags.as_deref().unwrap_or_default())?;
        let engine = self.clone();
        self.spawned(async move {
            let _turn = engine.core.changing.lock().await;
            let handle = engine.execution(id).await?;
            let Labels { name, tags, pinned } = labels;
            let before = handle.summary();
            let same = name.as_ref().is_none_or(|name| *name == before.name)
                && tags.as_ref().is_none_or(|tags| *tags == before.tags)
                && pinned.is_none_or(|pinned| pinned == before.pinned);
            if same {
                return Ok(before); // Nothing to record.
            }
            engine.note(&handle, NoteKind::Labelled { name, tags, pinned }).await?;
            Ok(handle.summary())
        })
        .await
    }

    /// In a task of its own: a caller that goes away interrupts no change.
    pub(crate) async fn spawned<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
    ) -> Result<T, ChangeError> {
        if self.core.shutdown.is_cancelled() {
            return Err(ChangeError::Closing);
        }
        self.core.tasks.spawn(change).await.unwrap_or(Err(ChangeError::Closing))
    }

    async fn add(&self, id: ExecutionId, upload: Upload) -> Result<Artifact, ChangeError> {
        let handle = self.execution(id).await?;
        let index = handle.read(|state| {
            let uploaded = |file: &&Artifact| file.index >= stepflow_model::UPLOADED_FIRST;
            if state.artifacts.iter().filter(uploaded).count() >= UPLOADS_MAX {
                return Err(ChangeError::TooMany { max: UPLOADS_MAX });
            }
            match upload.step {
                Some(step) if step as usize >= state.steps.len() => {
                    Err(ChangeError::StepUnknown(step))
                }
                _ => Ok(state.next_upload()),
            }
        })?;
        let storage = self.core.storage.clone();
        let (received, sha256) = (upload.received, upload.sha256.clone());
        let stored = blocking(move || storage.store_upload(id, &received, &sha256));
        stored.await.ok_or(ChangeError::Closing)??;
        let kind = NoteKind::ArtifactAdded {
            artifact: index,
            step: upload.step,
            name: upload.name,
            description: upload.description,
            sha256: upload.sha256,
            size: upload.size,
        };
        self.note(&handle, kind).await?;
        let added = handle.read(|state| state.artifact(index).cloned());
        added.ok_or(ChangeError::ArtifactUnknown)
    }

    async fn remove(&self, id: ArtifactId) -> Result<(), ChangeError> {
        let handle = self.execution(id.execution).await.map_err(|error| match error {
            QueryError::Unknown(_) => ChangeError::ArtifactUnknown,
            error => error.into(),
        })?;
        match handle.read(|state| state.artifact(id.index).map(|file| file.settled)) {
            None => return Err(ChangeError::ArtifactUnknown),
            Some(false) => return Err(ChangeError::Copying),
            Some(true) => {}
        }
        self.note(&handle, NoteKind::ArtifactRemoved { artifact: id.index }).await
    }

    /// Writes a note, then brings everybody up to date. A mark stands until the catalog has it.
    pub(crate) async fn note(
        &self,
        handle: &Arc<Handle>,
        kind: NoteKind,
    ) -> Result<(), ChangeError> {
        let id = handle.id();
        let (storage, target) = (self.core.storage.clone(), Arc::clone(handle));
        let noted = blocking(move || {
            storage.mark_changed(id)?;
            append_note(&storage.record_dir(id), &Note { time_us: clock::wall_us(), kind })?;
            target.refresh()
        });
        noted.await.ok_or(ChangeError::Closing)??;
        handle.publish();
        let core = Arc::clone(&self.core);
        // Nobody follows an ended one: what it is now goes with the word.
        let ended = Some(handle.summary()).filter(|summary| summary.status.is_end());
        core.feed.changed(id, ended.map(Arc::new));
        if let Err(error) = settle(&core, handle).await {
            // It is recorded: said to have failed, it would be asked for twice.
            tracing::warn!(execution = %id, %error, "the catalog learns of a change later");
            let handle = Arc::clone(handle);
            self.core.tasks.spawn(async move {
                loop {
                    tokio::select! {
                        () = core.shutdown.cancelled() => return, // The mark stands.
                        () = sleep(CATALOG_RETRY) => {}
                    }
                    let _turn = core.changing.lock().await;
                    if settle(&core, &handle).await.is_ok() {
                        return;
                    }
                }
            });
        }
        Ok(())
    }
}

/// Brings the catalog and the copies to where the record is, then takes the mark away.
async fn settle(core: &Arc<Core>, handle: &Arc<Handle>) -> Result<(), ChangeError> {
    let id = handle.id();
    core.write(handle.read(project::rows)).await?;
    let (core, target) = (Arc::clone(core), Arc::clone(handle));
    let settled = blocking(move || {
        if core.registry().live(id).is_none() {
            // Else its follower does it, after the end.
            target.read(|state| core.storage.remove_copies(state))?;
        }
        core.storage.clear_changed(id)
    });
    Ok(settled.await.ok_or(ChangeError::Closing)??)
}

async fn delete(core: &Arc<Core>, id: ExecutionId) -> Result<(), ChangeError> {
    let deadline = Instant::now() + LET_GO_WITHIN;
    // Its follower first commits the end; then nobody may begin to follow it again.
    while !core.registry().reserve_to_remove(id) {
        let live = core.registry().live(id);
        if live.is_some_and(|handle| !handle.read(|state| state.summary.status.is_end())) {
            return Err(ChangeError::NotEnded(id));
        }
        if Instant::now() >= deadline {
            return Err(ChangeError::Busy(id));
        }
        sleep(LOOK_EVERY).await;
    }
    let _turn = core.changing.lock().await;
    let deleted = delete_reserved(core, id, deadline).await;
    match &deleted {
        Ok(()) => core.registry().removed(id),
        Err(_) => core.registry().release(id),
    }
    deleted
}

async fn delete_reserved(
    core: &Arc<Core>,
    id: ExecutionId,
    deadline: Instant,
) -> Result<(), ChangeError> {
    loop {
        let storage = core.storage.clone();
        let discarded = blocking(move || {
            match RecordView::open(&storage, id).and_then(|mut view| view.liveness()) {
                // One that nobody can read may go as well, unless somebody holds it.
                Ok(Liveness::Ended) | Err(RecordError::Damaged { .. }) => {}
                Ok(_) => return Err(ChangeError::NotEnded(id)),
                Err(error) => return Err(error.into()),
            }
            Ok(storage.discard(id)?)
        });
        match discarded.await.ok_or(ChangeError::Closing)? {
            Ok(true) => break,
            // The recorder has written the end and is just going away.
            Ok(false) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
            Ok(false) => return Err(ChangeError::Busy(id)),
            Err(ChangeError::Record(RecordError::Missing { .. })) => {
                if !is_left_over(core, id).await? {
                    return Err(ChangeError::Unknown(id));
                }
                break;
            }
            Err(error) => return Err(error),
        }
    }
    core.write(vec![Change::Delete(id)]).await?;
    let storage = core.storage.clone();
    Ok(blocking(move || storage.purge(id)).await.ok_or(ChangeError::Closing)??)
}

/// Whether an earlier try got as far as discarding the record, or the catalog alone knows it.
async fn is_left_over(core: &Arc<Core>, id: ExecutionId) -> Result<bool, ChangeError> {
    let (storage, reader) = (core.storage.clone(), core.reader.clone());
    let look = blocking(move || {
        Ok::<_, ChangeError>(storage.trashed()?.contains(&id) || reader.execution(id)?.is_some())
    });
    look.await.ok_or(ChangeError::Closing)?
}

impl From<QueryError> for ChangeError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unknown(id) => Self::Unknown(id),
            QueryError::Record(error) => error.into(),
            QueryError::Catalog(error) => error.into(),
            QueryError::Closing => Self::Closing,
        }
    }
}
