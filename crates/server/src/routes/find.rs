//! One text in the logs of many executions, as lines of JSON that come while it is searched.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{ContextLine, Execution, FoundLine, SearchEvent, SearchFound, SearchProgress};
use stepflow_catalog::CatalogError;
use stepflow_engine::{CONTEXT_MAX, Found, Search, SearchCursor, SearchEnd};
use stepflow_sys::clock;
use stepflow_view::{Excerpt, Pattern, Syntax};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

use crate::{
    app::App,
    auth::Caller,
    extract::{Flag, Params},
    problem::{Problem, chain},
    routes::{executions, search::explain},
};

/// One answer searches no longer than this: then others have their turn.
const SEARCH_WITHIN: Duration = Duration::from_secs(5);
/// Searches at once; each has threads of its own.
pub(crate) const SEARCHES_AT_ONCE: usize = 2;
/// Further ones wait so long for a turn and are refused then.
const TURN_WITHIN: Duration = Duration::from_secs(3);
/// A client that takes nothing for so long gets no more.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Hits of an answer unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 5_000;
/// Lines of an answer that are made before they are taken; the search waits for who does not read.
const LINES_AHEAD: usize = 16;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct FindParams {
    /// What is searched for. Required.
    q: String,
    /// It is a regular expression, not text.
    #[serde(default)]
    regex: Flag,
    /// `A` is not `a`.
    #[serde(default)]
    case: Flag,
    /// Only executions with this name, exactly.
    name: Option<String>,
    /// Only executions whose name has this in it, without regard to case.
    name_contains: Option<String>,
    /// Only executions with this tag.
    tag: Option<String>,
    /// Only executions with this status.
    #[schemars(extend("enum" = ["", "pending", "running", "completed", "failed", "cancelled"]))]
    status: Option<String>,
    /// Only executions of this user, exactly.
    user: Option<String>,
    /// Only executions from this way in.
    source: Option<String>,
    /// Only executions whose script exited with this code.
    exit_code: Option<i32>,
    /// Only executions that took longer than this, in seconds; those that have not ended are left
    /// out.
    longer_than: Option<f64>,
    /// Only executions that took less than this, in seconds; those that have not ended are left out.
    shorter_than: Option<f64>,
    /// No executions with this status.
    not_status: Option<String>,
    /// None of this user.
    not_user: Option<String>,
    /// None whose name has this in it, without regard to case.
    not_name_contains: Option<String>,
    /// None with this tag.
    not_tag: Option<String>,
    /// Only executions that exited, and not with this code.
    not_exit_code: Option<i32>,
    /// None from this way in.
    not_source: Option<String>,
    /// Only executions made at or after this time: RFC 3339, a date, or an age such as `2h`.
    since: Option<String>,
    /// Only executions made before this time, written like `since`.
    until: Option<String>,
    /// Only executions that are pinned.
    #[serde(default)]
    pinned: Flag,
    /// Only lines of steps with this name, without regard to case, and of the steps in them.
    step: Option<String>,
    /// Lines before and behind each hit, at most 10.
    context: Option<usize>,
    /// At most so many hits of one execution; the others are left out.
    each: Option<usize>,
    /// At most so many hits, 500 unless asked otherwise, never over 5,000; the others come with
    /// `cursor`.
    limit: Option<usize>,
    /// Where an earlier answer says to go on.
    cursor: Option<String>,
}

/// `GET /api/search`.
pub(crate) async fn find(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<FindParams>,
) -> Result<Response, Problem> {
    let search = asked(params)?;
    let place = app.gate.stream(&caller)?;
    let busy = || {
        let why = format!("{SEARCHES_AT_ONCE} searches are running");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-searches", why)
            .hint("try again in a moment")
    };
    let turn = timeout(TURN_WITHIN, Arc::clone(&app.searches).acquire_owned());
    let turn = turn.await.map_err(|_| busy())?.map_err(|_| Problem::closing())?;
    // Asked at once, so that a catalog that does not answer is a problem and no broken stream.
    let reader = app.engine.query(|reader| Ok(reader.clone())).await?;
    let (lines, mut made) = mpsc::channel::<Bytes>(LINES_AHEAD);
    let searching = app.clone();
    app.tasks.spawn_blocking(move || {
        let _held = (turn, place);
        run(&searching, &reader, search, &lines);
    });
    let body = stream::poll_fn(move |context| {
        made.poll_recv(context).map(|line| line.map(Ok::<_, io::Error>))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn asked(params: FindParams) -> Result<Search, Problem> {
    let syntax = Syntax { regex: params.regex.0, case: params.case.0 };
    let pattern = Pattern::new(&params.q, syntax).map_err(explain)?;
    let context = params.context.unwrap_or(0);
    if context > CONTEXT_MAX {
        return Err(Problem::bad_request(format!("`context` is at most {CONTEXT_MAX}")));
    }
    let cursor = params.cursor.filter(|text| !text.is_empty());
    let after: Option<SearchCursor> = cursor
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Problem::bad_request("`cursor` must be one of an earlier answer"))?;
    let list = executions::conditions(executions::ListParams {
        status: params.status,
        user: params.user,
        name: params.name,
        name_contains: params.name_contains,
        tag: params.tag,
        exit_code: params.exit_code,
        source: params.source,
        longer_than: params.longer_than,
        shorter_than: params.shorter_than,
        not_status: params.not_status,
        not_user: params.not_user,
        not_name_contains: params.not_name_contains,
        not_tag: params.not_tag,
        not_exit_code: params.not_exit_code,
        not_source: params.not_source,
        since: params.since,
        until: params.until,
        pinned: params.pinned,
        ..executions::ListParams::default()
    })?;
    Ok(Search {
        pattern,
        list,
        step: params.step.filter(|step| !step.is_empty()),
        context,
        each: params.each.map(|each| each.max(1)),
        limit: params.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX),
        after,
        until: Instant::now() + SEARCH_WITHIN,
    })
}

/// Searches, and sends what is found as it is found.
fn run(app: &App, reader: &stepflow_catalog::Reader, search: Search, lines: &mpsc::Sender<Bytes>) {
    let runtime = Handle::current();
    let given_up = AtomicBool::new(false);
    let send = |event: &SearchEvent| {
        if given_up.load(Relaxed) {
            return;
        }
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        let sent = runtime.block_on(timeout(TAKEN_WITHIN, lines.send(line.into())));
        // Who takes nothing holds a turn that others wait for.
        given_up.store(!matches!(sent, Ok(Ok(()))), Relaxed);
    };
    // A wait for a turn is not part of the search's time.
    let search = Search { until: Instant::now() + SEARCH_WITHIN, ..search };
    let go_on = || !given_up.load(Relaxed) && !lines.is_closed() && !app.is_closing();
    let mut sink = |found| send(&event(found));
    let ended: Result<SearchEnd, CatalogError> =
        stepflow_engine::search(app.engine.storage(), reader, &search, &go_on, &mut sink);
    match ended {
        Ok(SearchEnd { progress, next }) => send(&SearchEvent::End {
            progress: of_progress(progress),
            cursor: next.map(|next| next.to_string()),
        }),
        // The stream ends without its last line: who reads it knows that there was more.
        Err(error) => tracing::warn!(error = chain(&error), "a search broke off"),
    }
}

/// What a search has to say, in the words of the API.
pub fn event(found: Found) -> SearchEvent {
    match found {
        Found::Lines { summary, lines, more } => SearchEvent::Found(SearchFound {
            execution: Execution::new(&summary, clock::wall_us()),
            lines: lines.into_iter().map(of_line).collect(),
            more,
        }),
        Found::Unreadable { id, why } => SearchEvent::Unreadable { execution_id: id, why },
        Found::Progress(progress) => SearchEvent::Progress(of_progress(progress)),
        Found::Ended(progress) => {
            SearchEvent::End { progress: of_progress(progress), cursor: None }
        }
    }
}

/// How far a search is, in the words of the API.
fn of_progress(progress: stepflow_engine::SearchProgress) -> SearchProgress {
    SearchProgress {
        total: progress.total,
        done: progress.done,
        scanned_bytes: progress.scanned,
        skipped_bytes: progress.skipped,
        hits: progress.hits,
    }
}

/// A hit, in the words of the API.
fn of_line(found: stepflow_engine::FoundLine) -> FoundLine {
    let context = |(line, Excerpt { text, cut, .. })| ContextLine { line, text, cut: cut.1 };
    let (step, step_name) = found.step.map(|step| (step.index, step.name)).unzip();
    FoundLine {
        line: found.line,
        offset: found.offset,
        step,
        step_name,
        matches: found.matches,
        text: found.excerpt.text,
        spans: found.excerpt.spans,
        cut_before: found.excerpt.cut.0,
        cut_after: found.excerpt.cut.1,
        before: found.before.into_iter().map(context).collect(),
        after: found.after.into_iter().map(context).collect(),
    }
}
