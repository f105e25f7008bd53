//! Login, logout, and who one is.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use stepflow_api::{LoginRequest, LoginUrl, Session};
use stepflow_catalog::Change;
use stepflow_sys::clock;

use crate::{
    app::App,
    auth::{self, COOKIE, Caller, Came, Kind, Transport},
    credential::{self, SESSION_MAX_US},
    extract,
    login::Login,
    problem::Problem,
};

fn no_randomness() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", "the system has no random bits")
}

/// `POST /api/login`: a one-time code for a cookie.
pub(crate) async fn login(
    State(app): State<App>,
    came: Option<Extension<Came>>,
    extract::Json(request): extract::Json<LoginRequest>,
) -> Result<Response, Problem> {
    let from = match came.map(|Extension(came)| came.transport) {
        Some(Transport::Tcp(peer)) => Some(peer.ip()),
        _ => None,
    };
    let now = clock::wall_us();
    match app.logins.redeem(request.code.trim(), from, now) {
        Login::Good => {}
        Login::Wrong => {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "code-wrong",
                "this login code is wrong, used, or older than 10 minutes",
            )
            .hint("`stepflow open` makes another"));
        }
        Login::TooMany => {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-logins",
                "too many failed logins: wait a minute",
            ));
        }
    }
    let (value, session) = credential::new_session(now).ok_or_else(no_randomness)?;
    app.engine.apply(vec![Change::SessionCreate(Box::new(session))]).await?;
    cookie(&app, &value, SESSION_MAX_US / 1_000_000)
}

fn cookie(app: &App, value: &str, age_s: i64) -> Result<Response, Problem> {
    let base = app.base_path.as_str();
    let text =
        format!("{COOKIE}={value}; Max-Age={age_s}; Path={base}/; HttpOnly; SameSite=Strict");
    let value = HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, value)]).into_response())
}

/// `POST /api/logout`: ends the session, if there is one.
pub(crate) async fn logout(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    if let Kind::Cookie(digest) = caller.kind {
        app.engine.apply(vec![Change::SessionDelete { digest }]).await?;
        auth::forget_sessions(&app);
    }
    cookie(&app, "", 0)
}

/// `GET /api/session`.
pub(crate) async fn session(caller: Caller) -> Json<Session> {
    Json(Session { authenticated: true, kind: caller.word().to_owned() })
}

/// `POST /api/login-code`: another link, for who may read our files anyway.
pub(crate) async fn login_code(State(app): State<App>) -> Result<Json<LoginUrl>, Problem> {
    let url = app.login_url().ok_or_else(no_randomness)?;
    Ok(Json(LoginUrl { url }))
}
