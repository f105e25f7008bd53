//! The catalog's file while it is used: one that turns out to be damaged, or is taken away, is replaced,
//! and filled again from the records. Logs flow meanwhile; they come from the records.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use stepflow_catalog::{CatalogError, Fault, Inspection, Replaced};
use stepflow_model::ExecutionId;
use stepflow_record::{RecordError, RecordView};
use stepflow_sys::clock;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    core::{Core, blocking},
    project,
};

/// How often the file's name is looked at, and what was noticed of what is in it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file that somebody called damaged and that is not is not looked through again sooner.
const WHOLE_AFTER_ALL: Duration = Duration::from_secs(60);
/// A replacement that failed (no space, no permission) is tried again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Records that are brought in together.
const BATCH: usize = 128;

/// What became of a catalog that was damaged or gone; the last one since the engine was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// When it was noticed, microseconds UTC.
    pub noticed_us: i64,
    /// What was wrong.
    pub fault: Fault,
    /// Under which name stands what stood there before; `None`: nothing did.
    pub aside: Option<PathBuf>,
    /// Executions that have been brought in again.
    pub executions: u64,
    /// Records that cannot be read.
    pub unreadable: u64,
    /// All is there again.
    pub done: bool,
    /// Tokens, sessions and saved searches were lost with it.
    pub credentials_lost: bool,
    /// Why it could not be replaced yet.
    pub problem: Option<String>,
}

/// Looks at the catalog until shutdown, and mends it.
pub(crate) async fn watch(core: Arc<Core>) {
    let mut patient_until = Instant::now();
    loop {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = core.shutdown.cancelled() => return,
        }
        if Instant::now() < patient_until {
            continue;
        }
        let reader = core.reader.clone();
        let Some(Some(fault)) = blocking(move || reader.fault()).await else { continue };
        if fault == Fault::Damaged && !is_damaged(&core).await {
            tracing::warn!("the catalog was called damaged and is not: nothing is replaced");
            core.reader.forget_fault();
            patient_until = Instant::now() + WHOLE_AFTER_ALL;
            continue;
        }
        let mended = tokio::select! {
            mended = mend(&core, fault) => mended,
            () = core.shutdown.cancelled() => return,
        };
        if let Err(error) = mended {
            tracing::error!(%error, "the catalog cannot be replaced");
            core.note_mended(|mended| mended.problem = Some(error.to_string()));
            patient_until = Instant::now() + AGAIN_AFTER;
        }
    }
}

/// Looks through the whole file, indexes included.
async fn is_damaged(core: &Core) -> bool {
    let path = core.storage.database();
    let found = blocking(move || Inspection::open(&path)?.damage(true)).await;
    // One that cannot even be looked at is worth no more than one that is damaged.
    found.is_none_or(|found| found.map_or(true, |found| !found.is_empty()))
}

async fn mend(core: &Arc<Core>, fault: Fault) -> Result<(), CatalogError> {
    let noticed_us = clock::wall_us();
    tracing::error!(?fault, path = %core.storage.database().display(), "the catalog is replaced");
    core.set_mended(Mended {
        noticed_us,
        fault,
        aside: None,
        executions: 0,
        unreadable: 0,
        done: false,
        credentials_lost: false,
        problem: None,
    });
    let (sender, replaced) = oneshot::channel();
    let (writer, label) = (core.writer.clone(), noticed_us.to_string());
    // On a blocking thread: the queue may be full for a moment.
    blocking(move || writer.replace(fault, label, Box::new(|done| drop(sender.send(done))))).await;
    let Replaced { aside, empty } = replaced.await.map_err(|_| CatalogError::Closed)??;
    if let Some(aside) = &aside {
        tracing::warn!(aside = %aside.display(), "what stood there was set aside");
    }
    core.note_mended(|mended| (mended.aside, mended.credentials_lost) = (aside, empty));
    if empty {
        fill(core).await?;
        tracing::warn!("the catalog was rebuilt from the records; tokens must be made anew");
    } else {
        tracing::warn!("the catalog was written again, with all that was in it");
    }
    core.note_mended(|mended| mended.done = true);
    Ok(())
}

/// Brings all records in. Followers write beside it: what comes late and knows less changes nothing.
async fn fill(core: &Arc<Core>) -> Result<(), CatalogError> {
    let storage = core.storage.clone();
    let ids = blocking(move || storage.executions()).await.ok_or(CatalogError::Closed)?;
    let ids = match ids {
        Ok(ids) => ids,
        Err(error) => {
            core.note_mended(|mended| mended.problem = Some(error.to_string()));
            return Ok(());
        }
    };
    for some in ids.chunks(BATCH) {
        // Nothing is deleted between the look at a record and the commit of its rows.
        let _turn = core.changing.lock().await;
        let (reading, some) = (Arc::clone(core), some.to_vec());
        let read = blocking(move || {
            let rows = |id| reading.rows_of(id);
            some.into_iter().map(|id| (id, rows(id))).collect::<Vec<_>>()
        });
        let mut batch = Vec::new();
        let (mut executions, mut unreadable) = (0, 0);
        for (id, rows) in read.await.ok_or(CatalogError::Closed)? {
            match rows {
                Ok(rows) => {
                    executions += 1;
                    batch.extend(rows);
                }
                Err(RecordError::Missing { .. }) => {}
                Err(error) => {
                    unreadable += 1;
                    tracing::warn!(execution = %id, %error, "a record cannot be read");
                }
            }
        }
        core.write(batch).await?;
        core.note_mended(|mended| {
            mended.executions += executions;
            mended.unreadable += unreadable;
        });
    }
    Ok(())
}

impl Core {
    fn rows_of(&self, id: ExecutionId) -> Result<Vec<stepflow_catalog::Change>, RecordError> {
        let live = self.registry().live(id);
        match live {
            Some(live) => Ok(live.read(project::rows)),
            None => Ok(project::rows(&RecordView::open(&self.storage, id)?.state)),
        }
    }

    fn set_mended(&self, mended: Mended) {
        *self.mended.lock().unwrap_or_else(PoisonError::into_inner) = Some(mended);
    }

    fn note_mended(&self, note: impl FnOnce(&mut Mended)) {
        if let Some(mended) = &mut *self.mended.lock().unwrap_or_else(PoisonError::into_inner) {
            note(mended);
        }
    }

    pub(crate) fn mended(&self) -> Option<Mended> {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
