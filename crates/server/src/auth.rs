//! Who calls, and what they may.

use std::net::SocketAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use stepflow_sys::clock;
use tokio::time::Instant;

use crate::{
    app::App,
    config::Auth,
    credential::{Digest, Scope, Which, digest},
    metrics::Row,
    problem::Problem,
    security,
};

/// Name of the login cookie.
pub(crate) const COOKIE: &str = "stepflow_session";

/// How a connection came in; set by the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp(SocketAddr),
    /// `run/server.sock`; the peer's user has been checked.
    Socket,
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nothing.
    Open,
    /// To be known.
    Viewer,
    /// To be known with the scope operator.
    Operator,
    /// To have come over the Unix socket.
    SocketOnly,
}

/// How a caller is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Cookie(Digest),
    Token(Digest),
    Socket,
    /// Authentication is off.
    Off,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) kind: Kind,
    pub(crate) scope: Scope,
}

impl Caller {
    /// The word for it in answers, and in the journal of what it cancels.
    pub(crate) fn word(&self) -> &'static str {
        match self.kind {
            Kind::Cookie(_) => "cookie",
            Kind::Token(_) => "token",
            Kind::Socket => "socket",
            Kind::Off => "off",
        }
    }
}

/// Runs the route if its caller may call it.
pub(crate) async fn guard(
    State((app, permission, row)): State<(App, Permission, Row)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = match (security::check_body(&parts), permission) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Permission::Open) => Ok(()),
        (Ok(()), _) => admit(&app, permission, &parts).await.map(|caller| {
            parts.extensions.insert(caller);
        }),
    };
    let mut response = match admitted {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(row); // Counted on the way out.
    response
}

async fn admit(app: &App, permission: Permission, parts: &Parts) -> Result<Caller, Problem> {
    let Some(caller) = identify(app, parts).await? else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this needs a login or a token",
        )
        .hint(
            "`stepflow open` opens the page logged in; programs send Authorization: Bearer sfm_…",
        ));
    };
    let allowed = match permission {
        Permission::Open | Permission::Viewer => true,
        Permission::Operator => caller.scope >= Scope::Operator,
        Permission::SocketOnly => caller.kind == Kind::Socket,
    };
    if !allowed {
        let why = match permission {
            Permission::SocketOnly => "this is answered on the server's Unix socket only",
            _ => "this needs the scope `operator`",
        };
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", why));
    }
    security::check_cross_site(parts, &caller)?;
    app.gate.request(&caller, Instant::now())?;
    Ok(caller)
}

/// Who sent this; `None`: nobody we know.
async fn identify(app: &App, parts: &Parts) -> Result<Option<Caller>, Problem> {
    if parts.extensions.get::<Transport>() == Some(&Transport::Socket) {
        return Ok(Some(Caller { kind: Kind::Socket, scope: Scope::Operator }));
    }
    if app.auth == Auth::Off {
        return Ok(Some(Caller { kind: Kind::Off, scope: Scope::Operator }));
    }
    if let Some(token) = token(&parts.headers) {
        // Whoever shows a token is judged by it, whatever cookie came along. None has the digest of
        // an empty text.
        let digest = digest(token);
        let scope = look_up(app, digest, false).await?;
        return Ok(scope.map(|scope| Caller { kind: Kind::Token(digest), scope }));
    }
    let Some(value) = cookie(&parts.headers) else { return Ok(None) };
    let digest = digest(value);
    let scope = look_up(app, digest, true).await?;
    Ok(scope.map(|scope| Caller { kind: Kind::Cookie(digest), scope }))
}

/// What a request shows as its token, if it shows anything; empty: it is no token.
fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        return Some(bearer.unwrap_or_default());
    }
    headers.get("x-api-key").map(|value| value.to_str().unwrap_or_default().trim())
}

async fn look_up(app: &App, digest: Digest, session: bool) -> Result<Option<Scope>, Problem> {
    if !session && app.api_key == Some(digest) {
        return Ok(Some(Scope::Operator)); // Compared as digests: the time it takes tells nothing.
    }
    let now_us = clock::wall_us();
    let found = app.keyring.look_up(&app.engine, digest, session, now_us).await?;
    let Some((scope, _, note)) = found else { return Ok(None) };
    if let Some(note) = note {
        let engine = app.engine.clone();
        app.tasks.spawn(async move {
            if let Err(error) = engine.apply(vec![note]).await {
                tracing::debug!(%error, "the use of a credential was not noted");
            }
        });
    }
    Ok(Some(scope))
}

/// Whether a stream's caller may still have it.
pub(crate) async fn still_valid(app: &App, caller: &Caller) -> bool {
    let (digest, session) = match caller.kind {
        Kind::Cookie(digest) => (digest, true),
        Kind::Token(digest) => (digest, false),
        Kind::Socket | Kind::Off => return true,
    };
    // A catalog that does not answer now is no reason to end a stream that was allowed.
    look_up(app, digest, session).await.map_or(true, |scope| scope == Some(caller.scope))
}

/// Forgets a session that was ended.
pub(crate) fn forget_sessions(app: &App) {
    app.keyring.forget(&Which::Session);
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}
