//! Who calls, and what they may.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    extract::Request,
    handler::Handler,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::Either;
use stepflow_sys::clock;
use tokio::time::Instant;

use crate::{
    app::App,
    config::Auth,
    credential::{Digest, Scope, Which, digest},
    metrics::{Answering, Row},
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

/// How a request came here; part of each.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) transport: Transport,
    /// Hears which row of the table answers.
    pub(crate) answering: Arc<Answering>,
}

impl Came {
    /// How `request` came in; `None`: not over a connection.
    pub(crate) fn transport_of<B>(request: &axum::http::Request<B>) -> Option<Transport> {
        request.extensions().get::<Self>().map(|came| came.transport)
    }
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

/// Of one row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard {
    pub(crate) permission: Permission,
    pub(crate) row: Row,
}

/// A handler that runs if its caller may call it.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<H> {
    pub(crate) guard: Guard,
    pub(crate) handler: H,
}

/// An answer that may have to wait until it is known who calls.
type Boxed = Pin<Box<dyn Future<Output = Response> + Send>>;

impl<H, T> Handler<T, App> for Guarded<H>
where
    H: Handler<T, App>,
    T: 'static,
{
    type Future = Either<H::Future, Boxed>;

    fn call(self, mut request: Request, app: App) -> Self::Future {
        let Self { guard: Guard { permission, row }, handler } = self;
        if let Some(came) = request.extensions().get::<Came>() {
            came.answering.is_of(row);
        }
        let refused = |problem: Problem| -> Self::Future {
            Either::Right(Box::pin(std::future::ready(problem.into_response())))
        };
        if let Err(problem) = security::check_body(&request) {
            return refused(problem);
        }
        if permission == Permission::Open {
            return Either::Left(handler.call(request, app));
        }
        // Most are known without a look at the catalog, and need no future of their own.
        if let Some(caller) = known_by_way(&app, &request) {
            return match admit(&app, permission, &request, Some(caller)) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    Either::Left(handler.call(request, app))
                }
                Err(problem) => refused(problem),
            };
        }
        Either::Right(Box::pin(async move {
            let shown = shown(request.headers());
            let caller = match identify(&app, shown).await {
                Ok(caller) => caller,
                Err(problem) => return problem.into_response(),
            };
            match admit(&app, permission, &request, caller) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    handler.call(request, app).await
                }
                Err(problem) => problem.into_response(),
            }
        }))
    }
}

fn admit(
    app: &App,
    permission: Permission,
    request: &Request,
    caller: Option<Caller>,
) -> Result<Caller, Problem> {
    let Some(caller) = caller else {
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
    security::check_cross_site(request, &caller)?;
    app.gate.request(&caller, Instant::now())?;
    Ok(caller)
}

/// Who sent this, where it needs to show nothing.
fn known_by_way(app: &App, request: &Request) -> Option<Caller> {
    if Came::transport_of(request) == Some(Transport::Socket) {
        return Some(Caller { kind: Kind::Socket, scope: Scope::Operator });
    }
    (app.auth == Auth::Off).then_some(Caller { kind: Kind::Off, scope: Scope::Operator })
}

/// What a request shows: its token or its cookie, as what is kept of it.
fn shown(headers: &HeaderMap) -> Option<Kind> {
    if let Some(token) = token(headers) {
        // Whoever shows a token is judged by it, whatever cookie came along. None has the digest of
        // an empty text.
        return Some(Kind::Token(digest(token)));
    }
    cookie(headers).map(|value| Kind::Cookie(digest(value)))
}

/// Who showed this; `None`: nobody we know.
async fn identify(app: &App, shown: Option<Kind>) -> Result<Option<Caller>, Problem> {
    let (digest, session) = match shown {
        Some(Kind::Token(digest)) => (digest, false),
        Some(Kind::Cookie(digest)) => (digest, true),
        Some(Kind::Socket | Kind::Off) | None => return Ok(None),
    };
    let scope = look_up(app, digest, session).await?;
    Ok(scope.zip(shown).map(|(scope, kind)| Caller { kind, scope }))
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
