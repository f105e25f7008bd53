//! The log: any range of it, its bytes, and what is still to come.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use stepflow_api::{Cursor, LogRange};
use stepflow_engine::Handle;

use crate::{
    app::App,
    auth::Caller,
    extract::{Id, Params},
    lines,
    problem::Problem,
    range as http_range, sse,
};

/// Lines of an answer unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 512;
const LIMIT_MAX: usize = 5_000;

#[derive(Debug, Deserialize)]
pub(crate) struct RangeParams {
    from_line: Option<u64>,
    tail: Option<u64>,
    limit: Option<usize>,
}

/// `GET /api/executions/{id}/log`.
pub(crate) async fn range(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<RangeParams>,
) -> Result<Json<LogRange>, Problem> {
    if params.from_line == Some(0) {
        return Err(Problem::bad_request("`from_line` counts from 1"));
    }
    if params.from_line.is_some() && params.tail.is_some() {
        return Err(Problem::bad_request("either `from_line` or `tail`, not both"));
    }
    let handle = app.engine.execution(id).await?;
    let read = tokio::task::spawn_blocking(move || read(&handle, &params));
    read.await.unwrap_or_else(|_| Err(Problem::closing())).map(Json)
}

fn read(handle: &Handle, params: &RangeParams) -> Result<LogRange, Problem> {
    // Before the log: what had ended then is whole now.
    let (ended, seq) =
        handle.read(|state| (state.summary.status.is_end(), state.summary.position.seq));
    let Some(log) = handle.log()? else {
        return Ok(LogRange {
            from_line: params.from_line.unwrap_or(1),
            lines: Vec::new(),
            total_lines: 0,
            total_bytes: 0,
            cursor: Cursor { offset: 0, seq },
            ended,
        });
    };
    let (total_bytes, total_lines) = log.position()?;
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let (from_line, lines) = match params.tail {
        None => {
            let from = params.from_line.unwrap_or(1);
            (from, lines::by_number(&log, from, limit)?)
        }
        Some(tail) => {
            let tail = (tail as usize).min(LIMIT_MAX);
            // A half line may stand behind the ended ones: it is one of the last.
            let from = (total_lines + 1).saturating_sub(tail as u64).max(1);
            let mut lines = lines::by_number(&log, from, tail + 1)?;
            lines.drain(..lines.len().saturating_sub(tail));
            (lines.first().map_or(from, |line| line.number), lines)
        }
    };
    let lines = lines::to_api(lines, handle);
    Ok(LogRange {
        from_line,
        total_lines,
        total_bytes,
        cursor: lines::cursor_after(&lines, total_bytes, seq),
        lines,
        ended,
    })
}

/// `GET /api/executions/{id}/log/raw`: what is recorded now, byte for byte.
pub(crate) async fn raw(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    const TYPE: &str = "text/plain; charset=utf-8";
    let handle = app.engine.execution(id).await?;
    let opened = tokio::task::spawn_blocking(move || {
        let Some(log) = handle.log()? else { return Ok(None) };
        let (bytes, _) = log.position()?;
        let file = log.output().try_clone().map_err(|error| Problem::internal(&error))?;
        Ok::<_, Problem>(Some((file, bytes)))
    });
    let opened = opened.await.unwrap_or_else(|_| Err(Problem::closing()))?;
    Ok(match opened {
        Some((file, bytes)) => http_range::answer(&headers, file, bytes, TYPE),
        None => ([(axum::http::header::CONTENT_TYPE, TYPE)], "").into_response(),
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct EventParams {
    cursor: Option<String>,
}

/// `GET /api/executions/{id}/events`: from `Last-Event-ID`, or `?cursor=`, or the beginning.
pub(crate) async fn events(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A browser that reconnects says where it was; the URL says where it began.
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").to_owned());
    let cursor: Cursor = match last.or(params.cursor).filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(Problem::bad_request)?,
        None => Cursor::default(),
    };
    let handle = app.engine.execution(id).await?;
    Ok(sse::answer(app, caller, handle, cursor))
}
