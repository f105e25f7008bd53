//! The log: any range of it, its bytes, and what is still to come.

use std::{io, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{Cursor, FilteredLines, LogRange};
use stepflow_engine::Handle;
use stepflow_model::{Dropped, Loss};
use stepflow_record::{Line, LogReader, RecordError};
use stepflow_view::{Filter, View};

use crate::{
    app::App,
    auth::Caller,
    extract::{Flag, Id, Params},
    lines,
    problem::Problem,
    range as http_range,
    routes::view,
    sse, views,
};

/// Lines of an answer unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 512;
const LIMIT_MAX: usize = 5_000;
/// Places where output is missing that a head names one by one.
const LOSSES_SAID: usize = 20;
/// Most lines around one that a filter lets through.
const CONTEXT_MAX: u64 = 1_000;

/// The query of a range.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct RangeParams {
    /// The number of the first line; not together with `tail`.
    #[schemars(range(min = 1), extend("default" = 1))]
    from_line: Option<u64>,
    /// The last lines, this many; a half line at the end is one of them.
    tail: Option<u64>,
    /// How many lines at most; more than 5,000 count as that.
    #[schemars(extend("default" = LIMIT_DEFAULT))]
    limit: Option<usize>,
    /// With what a page needs to show the lines.
    #[serde(default)]
    view: Flag,
    /// Only lines of these levels, ...
    level: Option<String>,
    /// ... from this stream, ...
    stream: Option<String>,
    /// ... and so many around each; ...
    context: Option<u64>,
    /// ... but for the first so many.
    skip: Option<u64>,
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
    let filter = filter(&params)?;
    let handle = app.engine.execution(id).await?;
    if let Some(filter) = filter {
        let asked = Arc::clone(&handle);
        let read = views::ask(&app, &handle, move |view, complete| {
            read_filtered(&asked, view, complete, &params, filter)
        });
        return read.await.map(Json);
    }
    if params.view.0 {
        let asked = Arc::clone(&handle);
        let read = views::ask(&app, &handle, move |view, _| read(&asked, view, &params));
        return read.await.map(Json);
    }
    let read = tokio::task::spawn_blocking(move || read(&handle, None, &params));
    read.await.unwrap_or_else(|_| Err(Problem::closing())).map(Json)
}

/// The filter that is asked for, if one is.
fn filter(params: &RangeParams) -> Result<Option<Filter>, Problem> {
    if params.level.is_none() && params.stream.is_none() && params.skip.is_some() {
        return Err(Problem::bad_request("`context` and `skip` go with `level` or `stream`"));
    }
    let filter = lines_filter(params.level.as_deref(), params.stream.as_deref(), params.context)?;
    if filter.is_some() && params.tail.is_some() {
        return Err(Problem::bad_request("`tail` does not go with a filter"));
    }
    Ok(filter)
}

/// The filter that a query asks for, if it does.
pub(crate) fn lines_filter(
    level: Option<&str>,
    stream: Option<&str>,
    context: Option<u64>,
) -> Result<Option<Filter>, Problem> {
    let stderr_only = match stream {
        None => false,
        Some("stderr") => true,
        Some(_) => return Err(Problem::bad_request("`stream` can only be stderr")),
    };
    let levels = match level {
        Some(words) => view::levels(words)?,
        None if stderr_only => [true; 5],
        None if context.is_some() => {
            return Err(Problem::bad_request("`context` and `skip` go with `level` or `stream`"));
        }
        None => return Ok(None),
    };
    let context = context.unwrap_or(0).min(CONTEXT_MAX);
    Ok(Some(Filter { levels, stderr_only, context }))
}

/// Lines that a filter lets through; their numbers have holes.
fn read_filtered(
    handle: &Handle,
    view: Option<&View>,
    complete: bool,
    params: &RangeParams,
    filter: Filter,
) -> Result<LogRange, Problem> {
    let (ended, seq) =
        handle.read(|state| (state.summary.status.is_end(), state.summary.position.seq));
    let from_line = params.from_line.unwrap_or(1);
    let mut range = LogRange {
        from_line,
        lines: Vec::new(),
        total_lines: 0,
        total_bytes: 0,
        cursor: Cursor { offset: 0, seq },
        ended,
        filtered: Some(FilteredLines { total: 0, matches: 0, complete }),
    };
    let Some(view) = view else { return Ok(range) };
    (range.total_bytes, range.total_lines) = view.log().position()?;
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let found = view.filter(filter, from_line, params.skip.unwrap_or(0), limit)?;
    range.filtered = Some(FilteredLines { total: found.total, matches: found.matches, complete });
    let mut text = 0;
    // Neighbours are read together.
    for run in found.lines.chunk_by(|a, b| a.0 + 1 == b.0) {
        if text > lines::TEXT_BYTES_MAX {
            break;
        }
        let (first, last) = (run[0].0, run[run.len() - 1].0);
        let mut read = lines::by_number(view.log(), first, run.len())?;
        // What stands for output that is gone is one line with many numbers.
        read.retain(|line| line.number <= last || line.dropped.is_some());
        text += read.iter().map(|line| line.text.len() as u64).sum::<u64>();
        if params.view.0 {
            let hit = |line: &Line| run.get((line.number - first) as usize).is_some_and(|at| at.1);
            let hits: Vec<bool> = read.iter().map(hit).collect();
            range.lines.extend(lines::to_api_viewed(read, handle, view, Some(&hits))?);
        } else {
            range.lines.extend(lines::to_api(read, handle));
        }
    }
    range.cursor = lines::cursor_after(&range.lines, range.total_bytes, seq);
    Ok(range)
}

fn read(handle: &Handle, view: Option<&View>, params: &RangeParams) -> Result<LogRange, Problem> {
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
            filtered: None,
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
    let lines = match view {
        Some(view) => lines::to_api_viewed(lines, handle, view, None)?,
        None => lines::to_api(lines, handle),
    };
    Ok(LogRange {
        from_line,
        total_lines,
        total_bytes,
        cursor: lines::cursor_after(&lines, total_bytes, seq),
        lines,
        ended,
        filtered: None,
    })
}

/// `GET /api/executions/{id}/log/raw`: what is recorded now, byte for byte.
pub(crate) async fn raw(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let handle = app.engine.execution(id).await?;
    raw_bytes(handle, &headers).await
}

/// All that is recorded now, or the range of it that the headers ask for.
pub(crate) async fn raw_bytes(
    handle: Arc<Handle>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    const TYPE: &str = "text/plain; charset=utf-8";
    let losses = handle.read(|state| state.losses.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let Some(log) = handle.log()? else { return Ok(None) };
        let (bytes, _) = log.position()?;
        let said = log.dropped()?;
        Ok::<_, Problem>(Some((Bytes { log, said }, bytes)))
    });
    let opened = opened.await.unwrap_or_else(|_| Err(Problem::closing()))?;
    Ok(match opened {
        Some((log, bytes)) => {
            let said = log.said;
            let mut response = http_range::answer(headers, log, bytes, TYPE);
            say_gap(&mut response, said);
            say_losses(&mut response, &losses);
            response
        }
        None => ([(axum::http::header::CONTENT_TYPE, TYPE)], "").into_response(),
    })
}

/// The recorded bytes, of which some may be gone by policy.
struct Bytes {
    log: LogReader,
    /// What the answer's head says of that.
    said: Option<Dropped>,
}

impl http_range::Bytewise for Bytes {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.log.read_at(buffer, offset).map_err(io::Error::other)?;
        unsaid(&self.log, self.said, offset, offset + buffer.len() as u64).map_err(io::Error::other)
    }
}

/// Bytes inside of an answer cannot say that they stand for others: what goes after its head was sent
/// ends the answer early, and whoever asks again hears of it.
pub(crate) fn unsaid(
    log: &LogReader,
    said: Option<Dropped>,
    from: u64,
    to: u64,
) -> Result<(), RecordError> {
    let from = said.filter(|said| said.touches(from, to)).map_or(from, |said| said.to.min(to));
    if log.dropped()?.is_some_and(|gone| gone.touches(from, to)) {
        let why = format!("bytes {from} to {to} were dropped while they were sent: ask again");
        return Err(RecordError::Damaged { path: "output.log".into(), why });
    }
    Ok(())
}

/// Says in the head of an answer with raw bytes which of them stand for output that is gone by
/// policy: `Stepflow-Gap: FIRST-LAST; reason=log_max_bytes`.
pub(crate) fn say_gap(response: &mut Response, gone: Option<Dropped>) {
    if let Some(gone) = gone {
        let value = format!("{}-{}; reason=log_max_bytes", gone.from, gone.to - 1);
        http_range::set(response, HeaderName::from_static("stepflow-gap"), &value);
    }
}

/// The same of output that the disk did not take: `Stepflow-Gap: OFFSET+BYTES; reason=output_lost`,
/// for each place; the bytes before and behind the offset stand side by side.
pub(crate) fn say_losses(response: &mut Response, losses: &[Loss]) {
    let more = losses.get(LOSSES_SAID..).filter(|more| !more.is_empty());
    let more = more.map(|more| {
        let bytes: u64 = more.iter().map(|loss| loss.bytes).sum();
        format!("*+{bytes}; reason=output_lost; places={}", more.len())
    });
    let said = losses.iter().take(LOSSES_SAID);
    let said = said.map(|loss| format!("{}+{}; reason=output_lost", loss.offset, loss.bytes));
    for value in said.chain(more) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append("stepflow-gap", value);
        }
    }
}

/// The query of an event stream.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct EventParams {
    /// Where to begin, `OFFSET.SEQ`; the beginning if absent.
    #[schemars(regex(pattern = r"^(\d{1,18}\.\d{1,18})?$"))]
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
    // Both are checked, whichever wins: a client that sends nonsense should hear of it.
    let parsed = |text: Option<String>| {
        let text = text.filter(|text| !text.is_empty());
        text.map(|text| text.parse::<Cursor>().map_err(Problem::bad_request)).transpose()
    };
    let (last, asked) = (parsed(last)?, parsed(params.cursor)?);
    let cursor = last.or(asked).unwrap_or_default();
    let handle = app.engine.execution(id).await?;
    sse::answer(app, caller, handle, cursor)
}
