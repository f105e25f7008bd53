//! RFC 9457: every failure of a route.

use std::error::Error;

use axum::{
    Json,
    body::HttpBody as _,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use stepflow_catalog::CatalogError;
use stepflow_engine::{
    CancelError, ChangeError, CreateError, QueryError, RequestError, RerunError,
};
use stepflow_record::{NoRoom, RecordError};
use stepflow_view::ViewError;

/// Why a request failed. The request's id is added on the way out.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    kind: &'static str,
    detail: String,
    hint: Option<String>,
    /// For the log only: the chain of causes.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl ToString) -> Self {
        Self { status, kind, detail: detail.to_string(), hint: None, cause: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn hinted(mut self, hint: Option<&str>) -> Self {
        self.hint = hint.map(str::to_owned);
        self
    }

    /// Something that the caller cannot help: the chain goes to the log.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong in the server; its log has the details under this request_id",
        );
        problem.cause = Some(chain(error));
        problem
    }

    pub(crate) fn closing() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "the server is stopping")
            .hint("try again in a moment")
    }

    pub(crate) fn execution_unknown(id: &str) -> Self {
        // The text is the original's, for clients that compare it.
        Self::new(StatusCode::NOT_FOUND, "execution-unknown", "Execution not found")
            .hint(format!("no execution has the id `{}`", id.chars().take(80).collect::<String>()))
    }

    pub(crate) fn artifact_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "artifact-unknown", "there is no such artifact")
    }

    pub(crate) fn route_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such page or route")
    }

    pub(crate) fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// As it is sent.
    pub(crate) fn body(&self, request_id: &str) -> stepflow_api::Problem {
        stepflow_api::Problem {
            kind: format!("about:blank#{}", self.kind),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            error: self.detail.clone(),
            hint: self.hint.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// The whole answer, once the request's id is known.
    pub(crate) fn render(&self, request_id: &str, response: &mut Response) {
        let (parts, body) = Json(self.body(request_id)).into_response().into_parts();
        let length = body.size_hint().exact();
        *response.body_mut() = body;
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.extend(parts.headers);
        // Said here, as an answer to HEAD has nothing to take it from.
        headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
}

/// Whether the process, or the host, has no file descriptors left.
pub(crate) fn is_out_of_files(error: &std::io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"StepFlow Monitor\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        let status = match &error {
            CatalogError::Corrupt { .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "catalog", &error)
                    .hint("it is being rebuilt from the records: try again in a moment");
            }
            CatalogError::Busy { .. }
            | CatalogError::Ended { .. }
            | CatalogError::Crowded { .. }
            | CatalogError::WalHeld { .. }
            | CatalogError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            CatalogError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => return Self::internal(&error),
        };
        Self::new(status, "catalog", &error).hinted(error.hint())
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        if let RecordError::Io { source, .. } = &error
            && is_out_of_files(source)
        {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "out-of-files", &error)
                .hint("the server has no file descriptors left: try again in a moment");
        }
        Self::internal(&error)
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        Self::internal(&error)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unknown(id) => Self::execution_unknown(&id.to_string()),
            QueryError::Record(error) => error.into(),
            QueryError::Catalog(error) => error.into(),
            QueryError::Closing => Self::closing(),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let kind = match &error {
            RequestError::NoCommand => "command-required",
            RequestError::Command(_) | RequestError::ShellList => "command-invalid",
            RequestError::PtySplit
            | RequestError::Nul { .. }
            | RequestError::EnvName { .. }
            | RequestError::TooLong { .. }
            | RequestError::Timeout
            | RequestError::DrainTimeout
            | RequestError::LogMaxBytes
            | RequestError::Dialect(_)
            | RequestError::Junit(_)
            | RequestError::NoWorkingDirectory => "bad-request",
        };
        Self::new(StatusCode::BAD_REQUEST, kind, &error).hinted(error.hint())
    }
}

impl From<NoRoom> for Problem {
    fn from(short: NoRoom) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-low", &short).hint(
            "free some space (`stepflow doctor` names the largest executions), or lower \
             disk_min_free; executions that run go on",
        )
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Request(error) => error.into(),
            CreateError::QueueFull { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue-full", &error)
                    .hint("try again when some have ended")
            }
            CreateError::NoRoom(short) => short.into(),
            CreateError::KeyInvalid => Self::new(StatusCode::BAD_REQUEST, "bad-request", &error),
            CreateError::KeyReused(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", &error)
                    .hint("use a new key for a new request")
            }
            CreateError::KeyOfDeleted(_) => {
                Self::new(StatusCode::CONFLICT, "idempotency-key-used", &error)
                    .hint("use a new key to run it again")
            }
            CreateError::TooManyKeys => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "idempotency-keys", &error)
                    .hint("send it without a key, or later")
            }
            CreateError::Record(error) => error.into(),
            CreateError::Catalog(error) => error.into(),
            CreateError::Closing => Self::closing(),
        }
    }
}

impl From<RerunError> for Problem {
    fn from(error: RerunError) -> Self {
        match error {
            RerunError::Unknown(id) => Self::execution_unknown(&id.to_string()),
            RerunError::NoCommand(_) => Self::new(StatusCode::CONFLICT, "no-command", &error)
                .hint("it came in as output of something that ran elsewhere"),
            RerunError::SecretsMissing { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "secrets-missing", &error)
                    .hint("send them as {\"environment\": {\"NAME\": \"value\"}}")
            }
            RerunError::Request(error) => error.into(),
            RerunError::Record(error) => error.into(),
            RerunError::Create(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Unknown(id) => Self::execution_unknown(&id.to_string()),
            CancelError::Finished(_) => {
                Self::new(StatusCode::CONFLICT, "execution-finished", &error)
            }
            CancelError::Unresponsive(_) | CancelError::Refused(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "recorder-unresponsive", &error)
            }
            CancelError::Record(error) => error.into(),
            CancelError::Catalog(error) => error.into(),
            CancelError::Closing => Self::closing(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let (status, kind) = match error {
            ChangeError::Unknown(id) => return Self::execution_unknown(&id.to_string()),
            ChangeError::ArtifactUnknown => return Self::artifact_unknown(),
            ChangeError::Request(error) => return error.into(),
            ChangeError::Record(error) => return error.into(),
            ChangeError::Catalog(error) => return error.into(),
            ChangeError::Closing => return Self::closing(),
            ChangeError::StepUnknown(_) => (StatusCode::NOT_FOUND, "step-unknown"),
            ChangeError::NotEnded(_) => (StatusCode::CONFLICT, "execution-not-ended"),
            ChangeError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "execution-busy"),
            ChangeError::Copying => (StatusCode::CONFLICT, "artifact-copying"),
            ChangeError::TooMany { .. } => (StatusCode::CONFLICT, "too-many-artifacts"),
        };
        let hint = match error {
            ChangeError::NotEnded(_) => Some("cancel it first, or wait for its end"),
            ChangeError::Busy(_) | ChangeError::Copying => Some("try again in a moment"),
            _ => None,
        };
        Self::new(status, kind, &error).hinted(hint)
    }
}
