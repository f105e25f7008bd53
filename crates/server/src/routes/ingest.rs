//! Output of programs that StepFlow did not start. The protocol: `docs/reference/ingest.md`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use http_body_util::BodyStream;
use schemars::JsonSchema;
use stepflow_api::IngestAnswer;
use stepflow_engine::{Attachment, Handle, IngestError, IngestState, NewIngest};
use stepflow_model::ExecutionId;
use tokio::time::{Instant, sleep};

use crate::{
    app::App,
    extract::{Id, Params},
    problem::Problem,
};

/// Says how many bytes need not be sent again.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Values that never reach the record; may be repeated.
const MASK: HeaderName = HeaderName::from_static("x-stepflow-mask");
const MASKS_MAX: usize = 64;
const MASK_BYTES_MIN: usize = 6;
/// A trailer: the exit code of what made the stream.
const EXIT_CODE: HeaderName = HeaderName::from_static("stepflow-exit-code");
/// A stream that is just ending has ended by then.
const ENDING_WITHIN: Duration = Duration::from_secs(5);

/// The query, as pairs: a tag may come several times.
type Query = Params<Vec<(String, String)>>;

/// The query of a body, for the document: a tag may come several times, which no such type reads.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct SendParams {
    /// Shown to people.
    name: Option<String>,
    /// A word to find it by; may be repeated.
    tag: Option<String>,
    /// Who sends.
    user: Option<String>,
    /// Every failed step makes the execution failed.
    stop_on_error: Option<bool>,
    /// Whose markers it may hold, a list with commas: `auto`, `none`, `native`, `github`, ….
    dialect: Option<String>,
    /// The body begins at this byte of the stream.
    offset: Option<u64>,
    /// The end of the body is not the end of the stream.
    more: Option<bool>,
    /// What made the stream ended with this code, 0 to 255.
    exit_code: Option<u8>,
}

/// The query of an end, for the document.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct EndParams {
    /// What made the stream ended with this code, 0 to 255.
    exit_code: Option<u8>,
}

/// What the query says.
#[derive(Debug, Default)]
struct Ask {
    new: NewIngest,
    offset: Option<u64>,
    more: bool,
    exit_code: Option<i32>,
}

impl Ask {
    fn parse(query: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut ask = Self::default();
        for (key, value) in query {
            let bad = |what: &str| Problem::bad_request(format!("`{key}` must be {what}"));
            match key.as_str() {
                "name" => ask.new.name = Some(value),
                "tag" => ask.new.tags.push(value),
                "user" => ask.new.user = value,
                "stop_on_error" => {
                    ask.new.stop_on_error = switch(&value).ok_or_else(|| bad("1 or 0"))?;
                }
                "dialect" => ask.new.dialect = Some(value),
                "offset" => {
                    ask.offset =
                        Some(value.parse().map_err(|_| bad("the number of bytes sent before"))?);
                }
                "more" => ask.more = switch(&value).ok_or_else(|| bad("1 or 0"))?,
                "exit_code" => ask.exit_code = Some(code(&value).ok_or_else(|| bad("0 to 255"))?),
                _ => {
                    let key: String = key.chars().take(80).collect();
                    return Err(Problem::bad_request(format!("`{key}` is no parameter of this"))
                        .hint("name, tag, user, stop_on_error, dialect, offset, more, exit_code"));
                }
            }
        }
        for value in headers.get_all(MASK) {
            if value.len() < MASK_BYTES_MIN {
                return Err(Problem::bad_request(format!(
                    "a mask must have at least {MASK_BYTES_MIN} bytes: shorter ones would hide ordinary output"
                )));
            }
            ask.new.secrets.push(value.as_bytes().to_vec());
        }
        if ask.new.secrets.len() > MASKS_MAX {
            return Err(Problem::bad_request(format!("at most {MASKS_MAX} masks")));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let encoded = text(header::CONTENT_ENCODING).is_some_and(|name| name != "identity");
        let form = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("multipart/"));
        if encoded || form {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "plain-required",
                "the body is recorded as it comes: it must be neither compressed nor a form",
            )
            .hint("PROGRAM 2>&1 | curl -T - URL"));
        }
        Ok(ask)
    }
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "" | "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn code(value: &str) -> Option<i32> {
    value.parse::<u8>().ok().map(i32::from)
}

/// `PUT` or `POST /api/ingest`: the body becomes an execution while it comes.
pub(crate) async fn begin(
    State(app): State<App>,
    Params(query): Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let ask = Ask::parse(query, &headers).map_err(Problem::into_response)?;
    drop(headers); // They keep the buffer that they were read into, for as long as the stream goes.
    if ask.offset.is_some_and(|offset| offset > 0) {
        let problem = Problem::bad_request("`offset` needs the id of the stream in the path");
        return Err(problem.into_response());
    }
    receive(&app, ask, body).await
}

/// `PUT` or `POST /api/ingest/{id}`: begins this stream, or goes on with it.
pub(crate) async fn go_on(
    State(app): State<App>,
    Id(id): Id,
    Params(query): Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let mut ask = Ask::parse(query, &headers).map_err(Problem::into_response)?;
    drop(headers); // They keep the buffer that they were read into, for as long as the stream goes.
    ask.new.id = Some(id);
    if ask.offset.is_some_and(|offset| offset > 0)
        && let Err(IngestError::Unknown(_)) = Box::pin(app.engine.ingest_state(id)).await
    {
        return Err(refusal(IngestError::Ahead { have: 0 }));
    }
    receive(&app, ask, body).await
}

/// A stream that has been begun or gone on with.
enum Begun {
    /// This execution, by this source: new, or known already.
    Sends(StatusCode, Arc<Handle>, Attachment),
    /// There was nothing to send any more.
    Answered(Response),
}

/// Begins a stream, or goes on with it.
async fn attach(
    app: &App,
    new: NewIngest,
    offset: u64,
    body: &mut BodyStream<Body>,
) -> Result<Begun, Response> {
    let secrets = new.secrets.clone();
    let (handle, created) = app.engine.ingest(new).await.map_err(refusal)?;
    let id = handle.id();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let deadline = Instant::now() + ENDING_WITHIN;
    loop {
        match app.engine.ingest_attach(id, offset, secrets.clone()).await {
            Ok(source) => return Ok(Begun::Sends(status, handle, source)),
            Err(IngestError::Gone(_)) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            Err(IngestError::Ended { offset: have }) => {
                return repeated(app, id, offset, have, body).await.map(Begun::Answered);
            }
            Err(error) => return Err(refusal(error)),
        }
    }
}

async fn receive(app: &App, ask: Ask, body: Body) -> Result<Response, Response> {
    let Ask { new, offset, more, mut exit_code } = ask;
    let mut body = BodyStream::new(body);
    // Boxed: what this takes is given back while the stream goes.
    let begun = Box::pin(attach(app, new, offset.unwrap_or(0), &mut body)).await?;
    let (status, handle, mut source) = match begun {
        Begun::Sends(status, handle, source) => (status, handle, source),
        Begun::Answered(response) => return Ok(response),
    };
    let id = handle.id();
    loop {
        let frame = tokio::select! {
            frame = body.next() => frame,
            // The source is told to come back; until then the stream waits.
            () = app.closing.cancelled() => return Err(refusal(IngestError::Closing)),
        };
        match frame {
            None => break,
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    let taken = source.append(bytes).await;
                    taken.map_err(|error| refusal(ended(error, &handle)))?;
                } else if let Some(trailers) = frame.trailers_ref()
                    && let Some(value) = trailers.get(EXIT_CODE)
                {
                    exit_code = value.to_str().ok().and_then(code).or(exit_code);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(execution = %id, %error, "a source went away");
                drop(source); // Not an end: it may come back.
                let problem = Problem::bad_request("the body was cut off");
                return Err(problem.into_response());
            }
        }
    }
    let state = if more { source.rest().await } else { source.end(exit_code).await };
    let state = state.map_err(|error| refusal(ended(error, &handle)))?;
    Ok(answer(app, status, &handle, state))
}

/// A stream that is gone while its source sends has been ended by somebody else.
fn ended(error: IngestError, handle: &Handle) -> IngestError {
    match error {
        IngestError::Gone(_) => IngestError::Ended { offset: handle.summary().position.bytes },
        error => error,
    }
}

/// The stream has ended. Somebody who did not hear of it may say the same again.
async fn repeated(
    app: &App,
    id: ExecutionId,
    offset: u64,
    have: u64,
    body: &mut BodyStream<Body>,
) -> Result<Response, Response> {
    let mut at = offset;
    while let Some(Ok(frame)) = body.next().await {
        at += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        if have < at {
            return Err(refusal(IngestError::Ended { offset: have }));
        }
    }
    look(app, id).await
}

/// `GET /api/ingest/{id}`: how far it is.
pub(crate) async fn state(State(app): State<App>, Id(id): Id) -> Result<Response, Response> {
    look(&app, id).await
}

async fn look(app: &App, id: ExecutionId) -> Result<Response, Response> {
    let state = app.engine.ingest_state(id).await.map_err(refusal)?;
    let handle = app.engine.execution(id).await.map_err(|e| Problem::from(e).into_response())?;
    Ok(answer(app, StatusCode::OK, &handle, state))
}

/// `POST /api/ingest/{id}/end`: there will be no more.
pub(crate) async fn end(
    State(app): State<App>,
    Id(id): Id,
    Params(query): Query,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let ask = Ask::parse(query, &headers).map_err(Problem::into_response)?;
    match app.engine.ingest_end(id, ask.exit_code).await {
        // Said again by somebody who did not hear the answer.
        Ok(_) | Err(IngestError::Ended { .. } | IngestError::Gone(_)) => look(&app, id).await,
        Err(error) => Err(refusal(error)),
    }
}

fn answer(app: &App, status: StatusCode, handle: &Handle, state: IngestState) -> Response {
    let summary = handle.summary();
    let url = format!("{}/executions/{}", app.base_url, summary.id);
    let IngestState { offset, safe, attached } = state;
    let location = HeaderValue::from_str(&format!("/api/ingest/{}", summary.id));
    let body = IngestAnswer::new(summary, offset, safe, attached, url);
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    if let (StatusCode::CREATED, Ok(location)) = (status, location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn refusal(error: IngestError) -> Response {
    let conflict = |kind| Problem::new(StatusCode::CONFLICT, kind, &error);
    let (problem, offset) = match &error {
        IngestError::Ahead { have } => {
            (conflict("offset").hint("go on at the byte that `Upload-Offset` names"), Some(*have))
        }
        IngestError::Ended { offset } => (conflict("execution-finished"), Some(*offset)),
        IngestError::Differs { at } => (conflict("bytes-differ"), Some(*at)),
        IngestError::Superseded => (conflict("superseded"), None),
        IngestError::NotIngested(_) => (conflict("not-ingested"), None),
        IngestError::Unknown(id) => (Problem::execution_unknown(&id.to_string()), None),
        IngestError::MasksMissing => (
            Problem::new(StatusCode::BAD_REQUEST, "masks-missing", &error)
                .hint("send the same X-StepFlow-Mask headers with every part"),
            None,
        ),
        IngestError::TooMany => (
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", &error)
                .hint("try again when some have ended"),
            None,
        ),
        IngestError::NoRoom(short) => (short.clone().into(), None),
        IngestError::Gone(_) | IngestError::Closing => (Problem::closing(), None),
        IngestError::Request(error) => (error.clone().into(), None),
        IngestError::Record(error) => (record(error), None),
        IngestError::Catalog(error) => (Problem::internal(error), None),
    };
    let mut response = problem.into_response();
    if let Some(offset) = offset {
        response.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    }
    response
}

/// A disk without space is nobody's mistake, and may have space again.
fn record(error: &stepflow_record::RecordError) -> Problem {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if let stepflow_record::RecordError::Io { source, .. } = error
        && matches!(source.kind(), StorageFull | QuotaExceeded)
    {
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", "the disk is full")
            .hint("try again when there is space");
    }
    Problem::internal(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer takes while it is made.
    fn size<A, B, C, D, T>(_: impl Fn(A, B, C, D) -> T) -> usize {
        size_of::<T>()
    }

    #[test]
    fn ten_thousand_streams_wait_for_their_next_line_in_fifteen_megabytes() {
        let size = size(begin);
        assert!(size <= 1_500, "{size} bytes");
    }
}
