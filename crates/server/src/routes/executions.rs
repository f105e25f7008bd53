//! Executions: listed, started, looked at, cancelled.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use stepflow_api::{
    ActiveList, CancelAnswer, Command, CreateAnswer, CreateRequest, Execution, ExecutionList,
    Statistics, rfc3339,
};
use stepflow_catalog::{LIST_LIMIT_MAX, ListQuery};
use stepflow_engine::{CommandLine, NewExecution, RequestError};
use stepflow_model::{ExecutionId, Status};
use stepflow_sys::clock;

use crate::{
    app::App,
    auth::{Caller, Kind},
    detail,
    extract::{self, Id, Params},
    problem::Problem,
    topics,
};

/// Rows of a list unless asked otherwise, as in the original.
const LIMIT_DEFAULT: u32 = 50;

/// The query of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct ListParams {
    limit: Option<u32>,
    offset: Option<u64>,
    status: Option<String>,
    user: Option<String>,
    name: Option<String>,
    tag: Option<String>,
    before: Option<String>,
}

/// `GET /api/executions`.
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<ExecutionList>, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let status = given(params.status)
        .map(|word| {
            Status::from_word(&word)
                .ok_or_else(|| Problem::bad_request(format!("Invalid status: {word}")))
        })
        .transpose()?;
    let before = given(params.before)
        .map(|text| {
            parse_before(&text).ok_or_else(|| {
                Problem::bad_request("`before` must be a `next_before` of an earlier answer")
            })
        })
        .transpose()?;
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT).min(LIST_LIMIT_MAX);
    let offset = params.offset.unwrap_or(0);
    let query = ListQuery {
        status,
        user: given(params.user),
        name: given(params.name),
        tag: given(params.tag),
        before,
        offset,
        limit,
    };
    let page = app.engine.list(query).await?;
    let now = clock::wall_us();
    let last = page.executions.last().map(|last| format!("{}.{}", last.created_us, last.id));
    let executions: Vec<Execution> =
        page.executions.iter().map(|summary| Execution::new(summary, now)).collect();
    Ok(Json(ExecutionList {
        limit,
        offset,
        count: executions.len(),
        total_count: page.total,
        has_more: page.has_more,
        next_before: last.filter(|_| page.has_more),
        executions,
        status: 200,
    }))
}

fn parse_before(text: &str) -> Option<(i64, ExecutionId)> {
    let (created_us, id) = text.split_once('.')?;
    Some((created_us.parse().ok()?, id.parse().ok()?))
}

#[derive(Debug, Deserialize)]
pub(crate) struct CreateParams {
    wait: Option<String>,
}

/// Whether a query parameter switches something on.
fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| matches!(value, "" | "1" | "true" | "yes"))
}

/// `POST /api/executions`: answered once the execution is accepted, or, with `wait`, has ended.
pub(crate) async fn create(
    State(app): State<App>,
    Params(params): Params<CreateParams>,
    extract::Json(request): extract::Json<CreateRequest>,
) -> Result<(StatusCode, Json<CreateAnswer>), Problem> {
    let wait = is_on(params.wait.as_deref()) || request.wait == Some(true);
    let handle = app.engine.create(new_execution(request)?).await?;
    if wait {
        let mut ticks = handle.subscribe();
        tokio::select! {
            // A caller that goes away stops waiting; the execution goes on.
            ended = ticks.wait_for(|tick| tick.ended) => drop(ended),
            () = app.closing.cancelled() => {}
        }
    }
    let summary = handle.summary();
    Ok((
        StatusCode::CREATED,
        Json(CreateAnswer {
            id: summary.id,
            execution_id: summary.id,
            status: summary.status.to_string(),
            message: "Execution started successfully".to_owned(),
            name: summary.name,
            created_at: rfc3339(summary.created_us),
        }),
    ))
}

fn new_execution(request: CreateRequest) -> Result<NewExecution, RequestError> {
    let timeout = match request.timeout {
        None => None,
        Some(seconds) => {
            // Refuses what is negative, infinite, or not a number.
            Some(Duration::try_from_secs_f64(seconds).map_err(|_| RequestError::Timeout)?)
        }
    };
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

#[derive(Debug, Deserialize)]
pub(crate) struct DetailParams {
    logs: Option<String>,
}

/// `GET /api/executions/{id}`.
pub(crate) async fn detail(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<DetailParams>,
) -> Result<Response, Problem> {
    let handle = app.engine.execution(id).await?;
    if matches!(params.logs.as_deref(), Some("0" | "false" | "no")) {
        return Ok(Json(detail::whole(&handle)).into_response());
    }
    let streamed = tokio::task::spawn_blocking(move || {
        let Some(log) = handle.log()? else {
            return Ok(Json(detail::whole(&handle)).into_response());
        };
        detail::streamed(handle, log)
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
