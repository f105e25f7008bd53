//! How an execution was asked for, and its way from state to state.

use axum::{Json, extract::State};
use stepflow_api::{ExecutionSpec, Moment, rfc3339};
use stepflow_engine::Handle;
use stepflow_model::{EventKind, ExecutionId, Spec};
use stepflow_record::Storage;

use crate::{app::App, extract::Id, problem::Problem};

/// How far back the chain of repeated runs is followed.
const REPEATS_MAX: usize = 20;

/// `GET /api/executions/{id}/spec`.
pub(crate) async fn spec(
    State(app): State<App>,
    Id(id): Id,
) -> Result<Json<ExecutionSpec>, Problem> {
    let handle = app.engine.execution(id).await?;
    let storage = app.engine.storage().clone();
    let asked = tokio::task::spawn_blocking(move || -> Result<_, Problem> {
        let spec = handle.spec();
        let mut asked = ExecutionSpec::new(&spec);
        asked.repeats = repeats(&storage, &spec);
        asked.moments.extend(moments(&handle)?);
        asked.leftover = handle.read(|state| state.leftover.clone());
        Ok(Json(asked))
    });
    asked.await.unwrap_or_else(|_| Err(Problem::closing()))
}

/// What `spec` repeats, the first of all first; what has been deleted meanwhile ends the chain.
fn repeats(storage: &Storage, spec: &Spec) -> Vec<ExecutionId> {
    let mut chain = Vec::new();
    let mut of = spec.rerun_of;
    while let Some(id) = of
        && chain.len() < REPEATS_MAX
        && !chain.contains(&id)
    {
        let Ok(before) = storage.spec(id) else { break };
        chain.insert(0, id);
        of = before.rerun_of;
    }
    chain
}

/// The states behind the first, by the journal; the last by what is known of the end.
fn moments(handle: &Handle) -> Result<Vec<Moment>, Problem> {
    let events = match handle.journal()? {
        Some(mut journal) => journal.read_new()?,
        None => Vec::new(),
    };
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut moments: Vec<Moment> = events
        .into_iter()
        .filter_map(|event| {
            let (state, note) = match event.kind {
                EventKind::Started { .. } | EventKind::Resumed {} => ("running", None),
                EventKind::CancelRequested { by, .. } => ("cancelling", said(&by)),
                EventKind::Paused { why } => ("paused", said(&why)),
                _ => return None,
            };
            Some(Moment { state: state.to_owned(), time: rfc3339(event.time_us), note })
        })
        .collect();
    let summary = handle.summary();
    if summary.status.is_end()
        && let Some(ended_us) = summary.ended_us
    {
        let note = summary.error_message.as_deref().and_then(said);
        moments.push(Moment { state: summary.status.to_string(), time: rfc3339(ended_us), note });
    }
    Ok(moments)
}
