//! From records to the catalog.

use std::fs::File;

use stepflow_catalog::{Catalog, CatalogError, Change, TestRun, Writer};
use stepflow_model::{ExecutionId, ExecutionState, NoteKind, Reason, Source};
use stepflow_record::{Liveness, RecordError, RecordView, Storage, read_results};

use crate::handle::Changed;

/// Changes that are written in one transaction while everything is rebuilt.
const REBUILD_BATCH: usize = 512;
/// Why an execution that nobody holds has ended before its start.
pub(crate) const NOT_STARTED: &str = "everything went away before the script was started";

/// Records could not be brought into the catalog.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage could not be listed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Projected {
    /// Executions that were brought into the catalog.
    pub executions: u64,
    /// Of these, the ones over which a verdict was written: lost, or not started.
    pub settled: u64,
    /// Records that cannot be read, and why.
    pub unreadable: Vec<(ExecutionId, RecordError)>,
}

/// The rows of a whole state.
pub(crate) fn rows(state: &ExecutionState) -> Vec<Change> {
    let id = state.summary.id;
    let mut rows = Vec::with_capacity(1 + state.steps.len() + state.artifacts.len());
    rows.push(Change::Execution(Box::new(state.summary.clone())));
    rows.extend(state.steps.iter().map(|step| Change::Step(id, Box::new(step.clone()))));
    rows.extend(state.artifacts.iter().map(|file| Change::Artifact(id, Box::new(file.clone()))));
    rows.extend(state.removed.iter().map(|file| Change::ArtifactRemoved(id, file.index)));
    rows
}

/// How the tests of an execution that has ended ended; `None`: it had none.
pub(crate) fn tests(
    storage: &Storage,
    state: &ExecutionState,
) -> Result<Option<Change>, RecordError> {
    if state.tests.is_empty() || !state.summary.status.is_end() {
        return Ok(None);
    }
    let (id, created_us) = (state.summary.id, state.summary.created_us);
    let marks = read_results(storage, id)?.marks();
    let run = || Change::Tests(Box::new(TestRun::new(id, created_us, &marks)));
    Ok((!marks.is_empty()).then(run))
}

/// The rows of what changed.
pub(crate) fn changed_rows(changed: Changed) -> Vec<Change> {
    let id = changed.summary.id;
    let mut rows = vec![Change::Execution(Box::new(changed.summary))];
    rows.extend(changed.steps.into_iter().map(|step| Change::Step(id, Box::new(step))));
    rows.extend(changed.artifacts.into_iter().map(|file| Change::Artifact(id, Box::new(file))));
    rows.extend(changed.removed.into_iter().map(|index| Change::ArtifactRemoved(id, index)));
    rows
}

/// Brings every open record into the catalog, as far as it is now: for a command that has found
/// the writer lock free and holds it. Starts nothing: what a server accepted and nobody started
/// stays pending.
pub fn project_open(storage: &Storage, catalog: &Catalog) -> Result<Projected, ProjectError> {
    let mut projected = Projected::default();
    let writer = catalog.writer();
    mend(storage, &writer)?;
    for id in storage.open_executions()? {
        let state = match look(storage, id, &mut projected) {
            Ok(Some(view)) => view.state,
            Ok(None) => continue,
            Err(error) => {
                projected.unreadable.push((id, error));
                continue;
            }
        };
        let mut all = rows(&state);
        match tests(storage, &state) {
            Ok(tests) => all.extend(tests),
            Err(error) => projected.unreadable.push((id, error)),
        }
        writer.apply(all)?;
        projected.executions += 1;
        if state.summary.status.is_end() {
            storage.remove_copies(&state)?;
        }
        if state.summary.status.is_end() {
            storage.close_execution(id)?;
        }
    }
    Ok(projected)
}

/// Ends what a crash interrupted: executions that were being deleted are deleted, and changed ones
/// get their open marker back. The caller holds the writer lock and has begun nothing else.
pub(crate) fn mend(storage: &Storage, writer: &Writer) -> Result<(), ProjectError> {
    storage.recover_changed()?;
    storage.forget_uploads()?;
    for id in storage.trashed()? {
        writer.apply(vec![Change::Delete(id)])?;
        storage.purge(id)?;
    }
    Ok(())
}

/// Opens a record and writes the verdict over it if nobody holds it any more.
fn look(
    storage: &Storage,
    id: ExecutionId,
    projected: &mut Projected,
) -> Result<Option<RecordView>, RecordError> {
    let mut view = match RecordView::open(storage, id) {
        Ok(view) => view,
        Err(RecordError::Missing { .. }) => {
            storage.close_execution(id)?; // The record has been removed.
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let settle = match view.liveness()? {
        Liveness::Ended | Liveness::Alive => false,
        Liveness::Lost => true,
        Liveness::Unstarted => matches!(view.spec.source, Source::Cli | Source::Pipe),
    };
    if settle && view.settle(not_started)? {
        projected.settled += 1;
    }
    Ok(Some(view))
}

pub(crate) fn not_started() -> NoteKind {
    NoteKind::NotStarted { reason: Reason::NotStarted, message: NOT_STARTED.to_owned() }
}

/// Empties the catalog and rebuilds it from all records. Tokens and sessions stay.
pub fn reindex(storage: &Storage, catalog: &Catalog) -> Result<Projected, ProjectError> {
    let mut projected = Projected::default();
    catalog.reset_projection()?;
    let writer = catalog.writer();
    mend(storage, &writer)?;
    let mut batch = Vec::new();
    for id in storage.executions()? {
        let state = match look(storage, id, &mut projected) {
            Ok(Some(view)) => view.state,
            Ok(None) => continue,
            Err(error) => {
                projected.unreadable.push((id, error));
                continue;
            }
        };
        if !state.summary.status.is_end() {
            // Unfinished: whoever starts next must find it, whatever happened to its marker.
            let marker = storage.open_marker(id);
            if let Err(source) = File::create(&marker) {
                let error = RecordError::Io { what: "create", path: marker, source };
                projected.unreadable.push((id, error));
            }
        }
        batch.extend(rows(&state));
        match tests(storage, &state) {
            Ok(tests) => batch.extend(tests),
            Err(error) => projected.unreadable.push((id, error)),
        }
        projected.executions += 1;
        if batch.len() >= REBUILD_BATCH {
            writer.apply(std::mem::take(&mut batch))?;
        }
    }
    if !batch.is_empty() {
        writer.apply(batch)?;
    }
    Ok(projected)
}
