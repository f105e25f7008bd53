//! Executions: listed, started, repeated, looked at, cancelled.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{
    ActiveList, CancelAnswer, Command, CreateAnswer, CreateRequest, DeleteAnswer, Execution,
    ExecutionList, RerunRequest, Statistics, Zone, parse_time, rfc3339,
};
use stepflow_catalog::{LIST_LIMIT_MAX, ListQuery, Order, Without};
use stepflow_engine::{CommandLine, CreateError, Handle, NewExecution, Once, RequestError};
use stepflow_model::{ExecutionId, Source, Status};
use stepflow_sys::clock;

use crate::{
    app::App,
    auth::{Caller, Kind},
    detail,
    extract::{self, Flag, Id, Params},
    problem::Problem,
    topics,
};

/// A request that is sent again with the same one makes no second execution.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is about what an earlier request made.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Rows of a list unless asked otherwise, as in the original.
const LIMIT_DEFAULT: u32 = 50;

/// The query of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ListParams {
    /// How many at most; more than 1,000 count as that.
    #[schemars(extend("default" = LIMIT_DEFAULT))]
    pub(super) limit: Option<u32>,
    /// How many to leave out first; `before` is faster.
    pub(super) offset: Option<u64>,
    /// Only those with this status.
    #[schemars(extend("enum" = ["", "pending", "running", "completed", "failed", "cancelled"]))]
    pub(super) status: Option<String>,
    /// Only those of this user, exactly.
    pub(super) user: Option<String>,
    /// Only those with this name, exactly.
    pub(super) name: Option<String>,
    /// Only those whose name has this in it, without regard to case.
    pub(super) name_contains: Option<String>,
    /// Only those with this tag.
    pub(super) tag: Option<String>,
    /// Only those that took longer than this, in seconds; those that have not ended are left out.
    pub(super) longer_than: Option<f64>,
    /// Only those that took less than this, in seconds; those that have not ended are left out.
    pub(super) shorter_than: Option<f64>,
    /// Only those whose script exited with this code.
    pub(super) exit_code: Option<i32>,
    /// Only those from this way in.
    pub(super) source: Option<String>,
    /// None with this status.
    pub(super) not_status: Option<String>,
    /// None of this user.
    pub(super) not_user: Option<String>,
    /// None whose name has this in it, without regard to case.
    pub(super) not_name_contains: Option<String>,
    /// None with this tag.
    pub(super) not_tag: Option<String>,
    /// Only those that exited, and not with this code.
    pub(super) not_exit_code: Option<i32>,
    /// None from this way in.
    pub(super) not_source: Option<String>,
    /// Only those made at or after this time: RFC 3339, a date, or an age such as `2h`.
    pub(super) since: Option<String>,
    /// Only those made before this time, written like `since`.
    pub(super) until: Option<String>,
    /// Only those that are pinned.
    #[serde(default)]
    pub(super) pinned: Flag,
    /// The order: newest first, or by duration, which leaves out those that have not ended.
    #[schemars(extend("enum" = ["", "newest", "longest", "shortest"]))]
    pub(super) order: Option<String>,
    /// `next_before` of an earlier answer in the same order: the page behind it.
    #[schemars(regex(pattern = r"^(-?\d{1,18}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"))]
    pub(super) before: Option<String>,
}

/// Answers that are kept are no longer than this.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// `GET /api/executions`. What was answered to the same query is answered again as long as nothing was
/// committed, nothing in it runs, and the query does not depend on the time.
pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let asked = parts.uri.query().unwrap_or_default().to_owned();
    let version = app.engine.version(); // Before it is read.
    if let Some(body) = app.lists.get(version, &asked) {
        return Ok(json(body));
    }
    let Params(params) = Params::<ListParams>::from_request_parts(&mut parts, &app).await?;
    // An age such as `2h` is another moment each time.
    let timeless = params.since.is_none() && params.until.is_none();
    let (answer, settled) = page(&app, params).await?;
    let body = serde_json::to_vec(&answer).map_err(|error| Problem::internal(&error))?;
    let body = Bytes::from(body);
    if timeless && settled && body.len() <= KEPT_BYTES_MAX {
        app.lists.keep(version, asked, body.clone());
    }
    Ok(json(body))
}

fn json(body: Bytes) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// What the query asks the catalog.
pub(super) fn conditions(params: ListParams) -> Result<ListQuery, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let status = |word: Option<String>| {
        let status = |word: String| {
            Status::from_word(&word)
                .ok_or_else(|| Problem::bad_request(format!("Invalid status: {word}")))
        };
        given(word).map(status).transpose()
    };
    let source = |word: Option<String>| {
        let source = |word: String| {
            Source::from_word(&word)
                .ok_or_else(|| Problem::bad_request(format!("Invalid source: {word}")))
        };
        given(word).map(source).transpose()
    };
    let duration = |seconds: Option<f64>| {
        let micros = |seconds| {
            Duration::try_from_secs_f64(seconds)
                .map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
                .map_err(|_| Problem::bad_request("a duration must be a number of seconds, from 0"))
        };
        seconds.map(micros).transpose()
    };
    let before = given(params.before)
        .map(|text| {
            parse_before(&text).ok_or_else(|| {
                Problem::bad_request("`before` must be a `next_before` of an earlier answer")
            })
        })
        .transpose()?;
    let now = clock::wall_us();
    let time = |text: Option<String>| {
        given(text)
            .map(|text| parse_time(&text, now, Zone::Utc))
            .transpose()
            .map_err(|error| Problem::bad_request(error.to_string()))
    };
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIST_LIMIT_MAX);
    let offset = params.offset.unwrap_or(0);
    let order = match params.order.as_deref() {
        None | Some("" | "newest") => Order::Newest,
        Some("longest") => Order::Longest,
        Some("shortest") => Order::Shortest,
        Some(other) => {
            let message = format!("Invalid order: {other}; newest, longest or shortest");
            return Err(Problem::bad_request(message));
        }
    };
    Ok(ListQuery {
        status: status(params.status)?,
        user: given(params.user),
        name: given(params.name),
        name_contains: given(params.name_contains),
        tag: given(params.tag),
        longer_than_us: duration(params.longer_than)?,
        shorter_than_us: duration(params.shorter_than)?,
        exit_code: params.exit_code,
        source: source(params.source)?,
        without: Without {
            status: status(params.not_status)?,
            user: given(params.not_user),
            name_contains: given(params.not_name_contains),
            tag: given(params.not_tag),
            exit_code: params.not_exit_code,
            source: source(params.not_source)?,
        },
        since_us: time(params.since)?,
        until_us: time(params.until)?,
        pinned: params.pinned.0,
        order,
        before,
        offset,
        limit,
    })
}

/// A page, and whether it says the same until the next commit.
async fn page(app: &App, params: ListParams) -> Result<(ExecutionList, bool), Problem> {
    let query = conditions(params)?;
    let (order, offset, limit) = (query.order, query.offset, query.limit);
    let page = app.engine.list(query).await?;
    let settled = page.settled && page.executions.iter().all(|one| one.status.is_end());
    let last = page.executions.last().map(|last| {
        let value = match order {
            Order::Newest => last.created_us,
            Order::Longest | Order::Shortest => last.duration_us.unwrap_or(0) as i64,
        };
        format!("{value}.{}", last.id)
    });
    let executions: Vec<Execution> =
        page.executions.iter().map(|one| Execution::new(one, clock::wall_us())).collect();
    let answer = ExecutionList {
        limit,
        offset,
        count: executions.len(),
        total_count: page.total,
        has_more: page.has_more,
        next_before: last.filter(|_| page.has_more),
        executions,
        status: 200,
    };
    Ok((answer, settled))
}

fn parse_before(text: &str) -> Option<(i64, ExecutionId)> {
    let (value, id) = text.split_once('.')?;
    Some((value.parse().ok()?, id.parse().ok()?))
}

/// The query of a create.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CreateParams {
    /// Answer when it has ended: `1`, `true`, `yes` or nothing.
    #[schemars(extend("enum" = ["", "1", "true", "yes", "0", "false", "no"]))]
    wait: Option<String>,
}

/// What a query parameter that switches something says: `?wait` is on; absent, nothing.
fn switch(name: &str, value: Option<&str>) -> Result<Option<bool>, Problem> {
    match value {
        None => Ok(None),
        Some("" | "1" | "true" | "yes") => Ok(Some(true)),
        Some("0" | "false" | "no") => Ok(Some(false)),
        Some(_) => Err(Problem::bad_request(format!("`{name}` must be 1 or 0"))),
    }
}

/// `POST /api/executions`: answered once the execution is accepted, or, with `wait`, has ended.
pub(crate) async fn create(
    State(app): State<App>,
    Params(params): Params<CreateParams>,
    headers: HeaderMap,
    extract::Json(request): extract::Json<CreateRequest>,
) -> Result<Response, Problem> {
    let wait = switch("wait", params.wait.as_deref())?.or(request.wait).unwrap_or(false);
    let once = once(&headers, || {
        // What is kept out of everything that is recorded is not kept as a digest either.
        let mut shown = CreateRequest { wait: None, ..request.clone() };
        let masked = shown.mask_env.clone().unwrap_or_default();
        if let Some(environment) = &mut shown.environment {
            environment.retain(|name, _| !masked.contains(name));
        }
        serde_json::to_vec(&shown)
    })?;
    let (handle, repeated) = app.engine.create_once(new_execution(request)?, once).await?;
    Ok(accepted(&app, &handle, repeated, wait).await)
}

/// The key of a request, if it has one; `request`: what it asks for.
fn once(
    headers: &HeaderMap,
    request: impl FnOnce() -> serde_json::Result<Vec<u8>>,
) -> Result<Option<Once>, Problem> {
    let Some(key) = headers.get(KEY) else { return Ok(None) };
    let key = key.to_str().map_err(|_| CreateError::KeyInvalid)?;
    let request = request().map_err(|error| Problem::internal(&error))?;
    Ok(Some(Once::new(key, &request)?))
}

/// The answer about a new execution: at once or, with `wait`, at its end.
async fn accepted(app: &App, handle: &Handle, repeated: bool, wait: bool) -> Response {
    if wait {
        let mut ticks = handle.subscribe();
        tokio::select! {
            // A caller that goes away stops waiting; the execution goes on.
            ended = ticks.wait_for(|tick| tick.ended) => drop(ended),
            () = app.closing.cancelled() => {}
        }
    }
    let summary = handle.summary();
    let answer = CreateAnswer {
        id: summary.id,
        execution_id: summary.id,
        status: summary.status.to_string(),
        message: "Execution started successfully".to_owned(),
        name: summary.name,
        created_at: rfc3339(summary.created_us),
    };
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    if repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// `POST /api/executions/{id}/rerun`: the same again, as a new execution.
pub(crate) async fn rerun(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<CreateParams>,
    headers: HeaderMap,
    extract::JsonOrNone(request): extract::JsonOrNone<RerunRequest>,
) -> Result<Response, Problem> {
    let wait = switch("wait", params.wait.as_deref())?.or(request.wait).unwrap_or(false);
    // By names alone: a rerun gets its secrets here.
    let names = request.environment.as_ref().map(|environment| environment.keys());
    let names: Vec<&String> = names.into_iter().flatten().collect();
    let once = once(&headers, || serde_json::to_vec(&(id, &names)))?;
    let (handle, repeated) =
        app.engine.rerun(id, request.environment.unwrap_or_default(), once).await?;
    Ok(accepted(&app, &handle, repeated, wait).await)
}

fn new_execution(request: CreateRequest) -> Result<NewExecution, RequestError> {
    let timeout = match request.timeout {
        None => None,
        Some(seconds) => {
            // Refuses what is negative, infinite, or not a number.
            Some(Duration::try_from_secs_f64(seconds).map_err(|_| RequestError::Timeout)?)
        }
    };
    let drain_timeout = request.drain_timeout.map(Duration::try_from_secs_f64).transpose();
    let drain_timeout = drain_timeout.map_err(|_| RequestError::DrainTimeout)?;
    let command = match request.command.ok_or(RequestError::NoCommand)? {
        Command::Text(text) => CommandLine::Text(text),
        Command::Args(args) => CommandLine::Args(args),
    };
    Ok(NewExecution {
        name: request.name,
        working_directory: request.working_directory,
        environment: request.environment.unwrap_or_default(),
        mask_env: request.mask_env.unwrap_or_default(),
        tags: request.tags.unwrap_or_default(),
        metadata: request.metadata.unwrap_or_default(),
        timeout,
        user: request.user.unwrap_or_default(),
        stop_on_error: request.stop_on_error.unwrap_or(false),
        split_stderr: request.split_stderr.unwrap_or(false),
        shell: request.shell.unwrap_or(false),
        pty: request.pty.unwrap_or(false),
        log_sync: request.log_sync.map(Into::into),
        containment: request.containment.map(Into::into),
        leftover: request.leftover.map(Into::into),
        on_disk_full: request.on_disk_full.map(Into::into),
        drain_timeout,
        log_max_bytes: request.log_max_bytes,
        log_full: request.log_full.map(Into::into),
        dialect: request.dialect,
        emulate: request.emulate.into_iter().flatten().map(Into::into).collect(),
        junit: request.junit.map(stepflow_model::JunitFiles::wanted),
        ..NewExecution::new(command)
    })
}

/// `GET /api/executions/active`.
pub(crate) async fn active(State(app): State<App>) -> Json<ActiveList> {
    let now = clock::wall_us();
    let mut active: Vec<Execution> =
        app.engine.active().iter().map(|summary| Execution::new(summary, now)).collect();
    active.reverse(); // Newest first, like every list.
    Json(active.into())
}

/// `GET /api/executions/statistics`.
pub(crate) async fn statistics(State(app): State<App>) -> Result<Json<Statistics>, Problem> {
    Ok(Json(topics::statistics(&app.engine).await?))
}

/// The query of a detail.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DetailParams {
    /// `0`, `false` or `no` leaves the lines of the steps out.
    #[schemars(extend("enum" = ["", "1", "true", "yes", "0", "false", "no"]))]
    logs: Option<String>,
    /// How many lines of the log to leave out first.
    log_offset: Option<u64>,
    /// How many lines of the log at most.
    log_limit: Option<u64>,
}

/// `GET /api/executions/{id}`.
pub(crate) async fn detail(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<DetailParams>,
) -> Result<Response, Problem> {
    let logs = switch("logs", params.logs.as_deref())?.unwrap_or(true);
    let handle = app.engine.execution(id).await?;
    if !logs {
        let made = tokio::task::spawn_blocking(move || detail::whole(&handle)).await;
        return made.map(|detail| Json(detail).into_response()).map_err(|_| Problem::closing());
    }
    let slice = detail::Slice {
        offset: params.log_offset.unwrap_or(detail::Slice::ALL.offset),
        limit: params.log_limit.unwrap_or(detail::Slice::ALL.limit),
    };
    let streamed = tokio::task::spawn_blocking(move || {
        let Some(log) = handle.log()? else {
            return Ok(Json(detail::whole(&handle)).into_response());
        };
        detail::streamed(&handle, log, slice)
    });
    streamed.await.unwrap_or_else(|_| Err(Problem::closing()))
}

/// `POST /api/executions/{id}/cancel`. Answers 202: stopping takes up to the grace period.
pub(crate) async fn cancel(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
) -> Result<(StatusCode, Json<CancelAnswer>), Problem> {
    let by = match caller.kind {
        Kind::Cookie(_) => "the web page",
        Kind::Token(_) | Kind::Off => "the API",
        Kind::Socket => "the command line",
    };
    let handle = app.engine.cancel(id, by).await?;
    let summary = handle.summary();
    let message = if summary.status.is_end() {
        "Execution cancelled before its start"
    } else {
        "Execution is being cancelled"
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(CancelAnswer { id, status: summary.status.to_string(), message: message.to_owned() }),
    ))
}

/// `DELETE /api/executions/{id}`: record, artifacts and rows. What runs is cancelled first.
pub(crate) async fn delete(
    State(app): State<App>,
    Id(id): Id,
) -> Result<Json<DeleteAnswer>, Problem> {
    app.engine.delete(id).await?;
    let message = "Execution deleted".to_owned();
    Ok(Json(DeleteAnswer { id: id.to_string(), deleted: true, message }))
}
