//! The original's `/logs`: entries with the step they belong to.

use std::{io, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use stepflow_api::Step;
use stepflow_engine::Handle;
use stepflow_model::ExecutionId;
use stepflow_record::LogReader;

use crate::{
    app::App,
    detail,
    entries::{self, Entries, Part},
    extract::{Id, Params},
    problem::Problem,
};

/// Most entries of a page.
const LIMIT_MAX: u64 = 10_000;

/// The query of a log as entries.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LogsParams {
    /// A step's `id`, or `none` for lines outside all steps.
    step_id: Option<String>,
    /// How many at most; more than 10,000 count as that. Without it: all of them.
    limit: Option<u64>,
    /// How many to leave out first; `cursor` is faster.
    offset: Option<u64>,
    /// `next_cursor` of an earlier answer: what is behind it.
    #[schemars(regex(pattern = r"^\d{0,18}$"))]
    cursor: Option<String>,
}

/// Whose lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Everybodys,
    /// One step's; `None`: those outside all steps.
    Only(Option<u32>),
}

/// `GET /api/executions/{id}/logs`: without `limit` all of them, streamed from the record.
pub(crate) async fn logs(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<LogsParams>,
) -> Result<Response, Problem> {
    let handle = app.engine.execution(id).await?;
    let whose = whose(&handle, params.step_id.as_deref())?;
    let from = match params.cursor.as_deref().filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            Problem::bad_request("`cursor` must be a `next_cursor` of an earlier answer")
        })?,
    };
    let limit = params.limit.map_or(u64::MAX, |limit| limit.min(LIMIT_MAX));
    let skip = params.offset.unwrap_or(0);
    let made = tokio::task::spawn_blocking(move || match handle.log()? {
        Some(log) => answer(&handle, log, whose, from, skip, limit),
        None => Ok(Json(json!({
            "execution_id": id, "logs": [], "count": 0, "has_more": false,
            "next_cursor": "0", "status": 200,
        }))
        .into_response()),
    });
    made.await.unwrap_or_else(|_| Err(Problem::closing()))
}

fn whose(handle: &Handle, step_id: Option<&str>) -> Result<Whose, Problem> {
    match step_id {
        None | Some("") => Ok(Whose::Everybodys),
        Some("none") => Ok(Whose::Only(None)),
        Some(text) => handle
            .read(|state| {
                let is_it = |step: &&stepflow_model::Step| Step::id_of(handle.id(), step) == text;
                state.steps.iter().find(is_it).map(|step| Whose::Only(Some(step.index)))
            })
            .ok_or_else(|| {
                Problem::new(StatusCode::NOT_FOUND, "step-unknown", "Step not found")
                    .hint("`step_id` is a step's `id`, or `none` for lines outside all steps")
            }),
    }
}

struct Answer {
    id: ExecutionId,
    entries: Entries,
    /// What is still to be read, last first.
    parts: Vec<Part>,
    /// Ids and names by step.
    steps: Vec<(String, String)>,
    /// Half a line may still become a whole one.
    ended: bool,
    skip: u64,
    limit: u64,
    sent: u64,
    /// Behind the last entry that was sent or left out.
    cursor: u64,
    end: u64,
    begun: bool,
    done: bool,
}

fn answer(
    handle: &Arc<Handle>,
    log: LogReader,
    whose: Whose,
    from: u64,
    skip: u64,
    limit: u64,
) -> Result<Response, Problem> {
    // Before the log's end: what had ended then is whole now.
    let ended = handle.read(|state| state.summary.status.is_end());
    let (end, _) = log.position()?;
    let mut parts = entries::parts(handle, end);
    parts.retain(|part| match whose {
        Whose::Everybodys => true,
        Whose::Only(step) => part.step == step,
    });
    parts.retain_mut(|part| {
        part.from = part.from.max(from);
        part.from < part.until
    });
    parts.reverse();
    let answer = Answer {
        id: handle.id(),
        entries: Entries::new(handle, log)?,
        parts,
        steps: handle.read(|state| {
            let named = |step| (Step::id_of(handle.id(), step), step.name.clone());
            state.steps.iter().map(named).collect()
        }),
        ended,
        skip,
        limit,
        sent: 0,
        cursor: from.min(end),
        end,
        begun: false,
        done: false,
    };
    Ok(detail::respond(answer, Answer::next))
}

impl Answer {
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut chunk = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            chunk = format!("{{\"execution_id\":\"{}\",\"logs\":[", self.id);
        }
        while chunk.len() < detail::SEND_BYTES && !self.done {
            if let Some(part) = self.parts.pop() {
                self.part(part, &mut chunk)?;
            } else {
                self.cursor = self.end; // Nothing that was asked for is left before it.
                self.finish(false, &mut chunk);
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn part(&mut self, part: Part, chunk: &mut String) -> io::Result<()> {
        let (entries, next) = self.entries.chunk(part).map_err(io::Error::other)?;
        for entry in entries {
            let half = entry.partial && !self.ended && entry.end == self.end;
            if half || self.sent >= self.limit {
                self.finish(!half, chunk);
                return Ok(());
            }
            self.cursor = entry.end;
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if self.sent > 0 {
                chunk.push(',');
            }
            self.sent += 1;
            entry.open_json(chunk)?;
            let step = part.step.and_then(|index| self.steps.get(index as usize));
            let (id, name) = step.map(|(id, name)| (id, name)).unzip();
            chunk.push_str(&format!(
                ",\"message\":{},\"step_id\":{},\"step_name\":{},\"line\":{},\"stream\":\"{}\"}}",
                serde_json::to_string(&entry.text)?,
                serde_json::to_string(&id)?,
                serde_json::to_string(&name)?,
                entry.number,
                entry.stream,
            ));
        }
        self.parts.extend(next.map(|from| Part { from, ..part }));
        Ok(())
    }

    fn finish(&mut self, has_more: bool, chunk: &mut String) {
        self.done = true;
        chunk.push_str(&format!(
            "],\"count\":{},\"has_more\":{has_more},\"next_cursor\":\"{}\",\"status\":200}}",
            self.sent, self.cursor
        ));
    }
}
