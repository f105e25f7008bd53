//! Tokens: made, listed, revoked.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use stepflow_api::{TokenCreate, TokenCreated, TokenInfo, TokenList, rfc3339};
use stepflow_catalog::{Change, Reader, Token};
use stepflow_sys::clock;

use crate::{
    app::App,
    credential::{self, Scope, Which},
    extract,
    problem::Problem,
};

/// Longest name of a token, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest life of a token: ten years.
const LIFE_S_MAX: u64 = 10 * 366 * 86_400;

fn info(token: &Token) -> TokenInfo {
    TokenInfo {
        id: token.id.clone(),
        name: token.name.clone(),
        scope: token.scope.clone(),
        prefix: token.prefix.clone(),
        created_at: rfc3339(token.created_us),
        expires_at: token.expires_us.map(rfc3339),
        last_used_at: token.last_used_us.map(rfc3339),
        revoked_at: token.revoked_us.map(rfc3339),
    }
}

/// `GET /api/tokens`.
pub(crate) async fn list(State(app): State<App>) -> Result<Json<TokenList>, Problem> {
    let tokens = app.engine.query(Reader::tokens).await?;
    let tokens: Vec<TokenInfo> = tokens.iter().map(info).collect();
    Ok(Json(TokenList { count: tokens.len(), tokens }))
}

/// `POST /api/tokens`: the one time that the token is shown.
pub(crate) async fn create(
    State(app): State<App>,
    extract::Json(request): extract::Json<TokenCreate>,
) -> Result<(StatusCode, Json<TokenCreated>), Problem> {
    let scope = Scope::from_word(&request.scope)
        .ok_or_else(|| Problem::bad_request("`scope` must be `operator` or `viewer`"))?;
    let name = request.name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Problem::bad_request(format!("`name` must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    if request.expires_in_s.is_some_and(|life| life == 0 || life > LIFE_S_MAX) {
        return Err(Problem::bad_request("`expires_in_s` must be 1 to ten years"));
    }
    let now = clock::wall_us();
    let expires = request.expires_in_s.map(|life| now + life as i64 * 1_000_000);
    let (text, token) = credential::new_token(name.to_owned(), scope, now, expires)
        .ok_or_else(|| Problem::internal(&std::io::Error::other("no randomness")))?;
    let info = info(&token);
    app.engine.apply(vec![Change::TokenCreate(Box::new(token))]).await?;
    Ok((StatusCode::CREATED, Json(TokenCreated { token: text, info })))
}

/// `DELETE /api/tokens/{id}`: from now on it opens nothing, and its streams end.
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let tokens = app.engine.query(Reader::tokens).await?;
    if !tokens.iter().any(|token| token.id == id && token.revoked_us.is_none()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "token-unknown", "there is no such token"));
    }
    let revoke = Change::TokenRevoke { id: id.clone(), at_us: clock::wall_us() };
    app.engine.apply(vec![revoke]).await?;
    app.keyring.forget(&Which::Token { id });
    Ok(StatusCode::NO_CONTENT)
}
