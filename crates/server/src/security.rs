//! Host, Origin, headers and limits: what holds for every request.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    auth::{Caller, Came, Kind, Transport},
    envelope,
    problem::Problem,
};

/// Longest request target.
const URL_BYTES_MAX: usize = 8 * 1024;
/// Largest request body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; media-src 'self'; frame-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; \
    trusted-types svelte-trusted-html";
/// For bytes that a script made.
pub(crate) const CSP_SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// For a document that a script made, within the page that says whose it is: no script, no network.
pub(crate) const CSP_DOCUMENT: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; \
    img-src data:; font-src data:; media-src data:; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'self'";
/// The same when the reader lets its scripts run: still an opaque origin without network.
pub(crate) const CSP_SCRIPTED: &str = "sandbox allow-scripts; default-src 'none'; \
    script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
    media-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; \
    webrtc 'block'";

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What names a request in its answer and in the log: made only for those that fail.
fn request_id() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
    format!("{:x}-{:x}", *PROCESS, REQUESTS.fetch_add(1, Ordering::Relaxed))
}

/// What is said of a request when it has been answered. A copy: the address itself would keep the
/// buffer that the head was read into, for as long as that takes.
struct Asked {
    method: Method,
    path: Box<str>,
}

impl Asked {
    fn of<B>(request: &axum::http::Request<B>) -> Self {
        Self { method: request.method().clone(), path: request.uri().path().into() }
    }
}

/// Every request passes here first, and every answer of `next` last.
pub(crate) async fn front<F>(
    app: &App,
    came: Came,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let api = is_api(request.uri().path());
    // An answer to HEAD has no body that could be put into anything.
    let has_body = request.method() != Method::HEAD;
    let enveloped = api && has_body && envelope::is_wanted(request.uri());
    let asked = Asked::of(&request);
    let begun = Instant::now();
    let _in_progress = app.metrics.in_progress();
    let answering = std::sync::Arc::clone(&came.answering);
    let mut response = match check(app, came.transport, &request) {
        Ok(()) => {
            request.extensions_mut().insert(came);
            if !request.body().is_end_stream() {
                DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
            }
            next(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && response.extensions().get::<Problem>().is_none()
    {
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            format!("{} is not possible here", asked.method),
        );
        response.extensions_mut().insert(problem);
    }
    let mut error = None;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let request_id = request_id();
        if problem.status.is_server_error() {
            let cause = problem.cause.as_deref().unwrap_or_default();
            let (method, path, detail) = (&asked.method, &asked.path, problem.body("").detail);
            tracing::error!(request_id, %method, path, cause, "{detail:?}");
        }
        problem.render(&request_id, &mut response);
        if !has_body {
            *response.body_mut() = Body::empty();
        }
        error = Some(problem.body("").error);
    }
    if enveloped {
        response = envelope::wrap(response, error.as_deref());
    }
    app.metrics.answered(answering.take(), response.status(), begun.elapsed());
    let headers = response.headers_mut();
    headers.reserve(HEADERS.len() + 2); // At once; what is sent with them adds the date.
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// The port of the original's WebSocket: any path is `/ws`, and the page of our own port is no
/// stranger, though its origin has another port.
pub(crate) fn as_legacy<B>(page_port: u16, request: &mut axum::http::Request<B>) {
    *request.uri_mut() = Uri::from_static("/ws");
    let headers = request.headers_mut();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let page = host.map(|host| format!("{}:{page_port}", host_name(host)));
    if let Some(page) = page.and_then(|page| HeaderValue::from_str(&page).ok()) {
        let mut as_page = HeaderMap::new();
        as_page.insert(header::HOST, page.clone());
        // Names are checked without their port, so that this lets no other name in.
        if headers.get(header::ORIGIN).is_some_and(|origin| is_same_origin(origin, &as_page)) {
            headers.insert(header::HOST, page);
        }
    }
}

pub(crate) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || path == "/ws" || path == "/metrics"
}

fn check(app: &App, transport: Transport, request: &Request) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URL_BYTES_MAX) {
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "url-too-long", "the URL is too long"));
    }
    if transport != Transport::Socket {
        check_host(request.headers(), &app.hosts)?;
    }
    if is_api(request.uri().path())
        && let Some(origin) = request.headers().get(header::ORIGIN)
        && !is_same_origin(origin, request.headers())
    {
        return Err(foreign());
    }
    Ok(())
}

/// The name in `Host`, without its port.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.find(']').map_or(host, |end| &host[..end + 2]),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn check_host(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = match (values.next(), values.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    let name = host_name(host);
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    if loopback || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host-unknown",
        "this server does not answer under this name",
    )
    .hint("start it with --host NAME to allow a name"))
}

fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "origin-foreign",
        "pages of other origins may not call this",
    )
}

/// Whether `Origin` names what `Host` names.
fn is_same_origin(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let (Ok(origin), Some(Ok(host))) =
        (origin.to_str(), headers.get(header::HOST).map(HeaderValue::to_str))
    else {
        return false;
    };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

pub(crate) fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A page of another origin can neither change anything nor open a stream: state changes and
/// WebSockets need a same origin; or none and a token; or, where nobody has to log in, the
/// absence of everything that a browser would add.
pub(crate) fn check_cross_site(request: &Request, caller: &Caller) -> Result<(), Problem> {
    let stream = request.uri().path() == "/ws";
    if !changes_state(request.method()) && !stream {
        return Ok(());
    }
    let headers = request.headers();
    // A foreign origin has been refused before: one that is there is our own.
    let origin = headers.contains_key(header::ORIGIN);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let same_site = site == Some(b"same-origin");
    if site.is_some() && !same_site {
        return Err(foreign());
    }
    match caller.kind {
        Kind::Token(_) | Kind::Socket | Kind::Off => Ok(()),
        Kind::Cookie(_) if !origin && !same_site => Err(foreign()),
        Kind::Cookie(_) => {
            if stream || headers.get("x-stepflow").is_some_and(|value| value == "1") {
                return Ok(());
            }
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "header-missing",
                "with a login cookie, changes need the header `X-StepFlow: 1`",
            ))
        }
    }
}

/// Whether the body is recorded as it comes, whatever it is and however long.
fn takes_stream(path: &str) -> bool {
    let rest = path.strip_prefix("/api/ingest");
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && !rest.ends_with("/end")))
}

/// Bodies are JSON, and no larger than allowed as far as they say. Asked of a route that is there:
/// what a path or a method that is not takes is no question of types.
pub(crate) fn check_body(request: &Request) -> Result<(), Problem> {
    if !changes_state(request.method()) {
        return Ok(());
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let bytes: u64 = length.and_then(|l| l.to_str().ok()?.parse().ok()).unwrap_or(0);
    if takes_stream(request.uri().path()) {
        return Ok(());
    }
    if bytes == 0 && !request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    if takes_files(request) {
        return Ok(()); // It has its own limit, and takes bytes of any kind.
    }
    if bytes > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let json = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json = json.and_then(|value| value.split(';').next());
    if json.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "json-required", "the body must be JSON")
        .hint("send Content-Type: application/json"))
}

/// Whether the body is a file: of any type, and larger than other bodies may be.
fn takes_files(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == "/api/artifacts"
}

pub(crate) fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "the body is larger than 1 MiB")
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn a_request_that_takes_long_does_not_keep_the_buffer_of_its_head() {
        let head = Bytes::from(b"/api/ingest".to_vec());
        let uri = Uri::from_maybe_shared(head.clone()).unwrap();
        let request = axum::http::Request::builder().uri(uri).body(()).unwrap();
        let asked = Asked::of(&request);
        assert!(!head.is_unique());
        drop(request);
        assert!(head.is_unique());
        assert_eq!(&*asked.path, "/api/ingest");
    }

    #[test]
    fn a_host_is_judged_without_its_port() {
        let cases = [
            ("localhost:8080", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1", "[::1"),
            ("evil.example:80", "evil.example"),
            ("", ""),
        ];
        for (host, name) in cases {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn an_origin_is_the_same_only_with_host_and_port() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:8080"));
        let same = |origin| is_same_origin(&HeaderValue::from_static(origin), &headers);
        assert!(same("http://localhost:8080"));
        for foreign in [
            "null",
            "",
            "http://localhost",
            "http://localhost:80",
            "http://evil.example",
            "http://localhost:8080.evil.example",
            "http://evil.localhost:8080",
            "file://localhost:8080",
        ] {
            assert!(!same(foreign), "{foreign}");
        }
    }
}
