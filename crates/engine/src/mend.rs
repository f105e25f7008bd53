//! The catalog's file while it is opened and used: one that turns out to be damaged, or is taken away, is
//! replaced, and filled again from the records. Logs flow meanwhile; they come from the records.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use stepflow_catalog::{
    Catalog, CatalogError, Fault, Header, Inspection, Options, Renewed, Replaced,
};
use stepflow_model::ExecutionId;
use stepflow_record::{RecordError, RecordView, Storage};
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
/// A start looks a catalog through that is no larger: a few tenths of a second. A larger one is looked
/// through once it is used.
const LOOKED_THROUGH_MAX: u64 = 32 << 20;

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

/// Sets a damaged catalog aside, for a caller that holds the writer lock and has not opened it; see
/// [`stepflow_catalog::renew`]. The records must be brought into the one that takes its place.
///
/// # Errors
/// What is not a catalog of this build is left alone.
pub fn renew(storage: &Storage) -> Result<Option<Renewed>, CatalogError> {
    let path = storage.database();
    // What is no database any more may have been the original's. It was ours if there are records.
    let is_unknown = path.exists() && Header::read(&path)?.is_none();
    let ids = if is_unknown { storage.executions().unwrap_or_default() } else { Vec::new() };
    if is_unknown && !ids.into_iter().any(|id| storage.spec(id).is_ok()) {
        return Ok(None);
    }
    stepflow_catalog::renew(&path, &clock::wall_us().to_string())
}

/// Opens the catalog for long. One that is damaged is replaced by an empty one, which [`watch`] fills.
pub(crate) fn open(
    storage: &Storage,
    options: Options,
) -> Result<(Catalog, Option<Mended>), CatalogError> {
    let noticed_us = clock::wall_us();
    let path = storage.database();
    let is_small = path.metadata().map_or(0, |meta| meta.len()) <= LOOKED_THROUGH_MAX;
    let mut renewed = if is_small { renew(storage)? } else { None };
    let catalog = match Catalog::open_with(&path, options.clone()) {
        // Too damaged to be opened, however large it is.
        Err(CatalogError::Corrupt { .. }) if renewed.is_none() => {
            renewed = renew(storage)?;
            Catalog::open_with(&path, options)?
        }
        opened => opened?,
    };
    if !is_small && renewed.is_none() {
        catalog.reader().suspect();
    }
    let mended = renewed.map(|Renewed { aside, kept, what }| {
        tracing::error!(what, aside = %aside.display(), "the catalog is damaged and was set aside");
        Mended {
            noticed_us,
            fault: Fault::Damaged,
            aside: Some(aside),
            executions: 0,
            unreadable: 0,
            done: false,
            credentials_lost: !kept,
            problem: None,
        }
    });
    Ok((catalog, mended))
}

/// Looks at the catalog until shutdown, and mends it; first fills one that was replaced at the start.
pub(crate) async fn watch(core: Arc<Core>) {
    let mut patient_until = Instant::now();
    if core.mended().is_some() {
        tokio::select! {
            filled = fill(&core) => core.note_filled(filled),
            () = core.shutdown.cancelled() => return,
        }
    }
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
        if mended.is_err() {
            patient_until = Instant::now() + AGAIN_AFTER;
        }
        core.note_filled(mended);
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
        tracing::warn!("tokens must be made anew");
    } else {
        tracing::warn!("the catalog was written again, with all that was in it");
    }
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

    fn note_filled(&self, filled: Result<(), CatalogError>) {
        match filled {
            Ok(()) => {
                tracing::warn!("the catalog holds all that the records know");
                self.note_mended(|mended| mended.done = true);
            }
            Err(error) => {
                tracing::error!(%error, "the catalog cannot be replaced");
                self.note_mended(|mended| mended.problem = Some(error.to_string()));
            }
        }
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
