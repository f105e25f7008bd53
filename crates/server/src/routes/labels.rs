//! What people write on executions, and the searches they keep.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use stepflow_api::{
    Execution, LabelRequest, SavedSearch, SavedSearchList, SavedSearchRequest, rfc3339,
};
use stepflow_catalog::{Change, SavedSearch as Kept};
use stepflow_engine::Labels;
use stepflow_sys::clock;

use crate::{
    app::App,
    extract::{self, Id},
    problem::Problem,
};

/// Longest name of a saved search, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest query, in bytes.
const QUERY_BYTES_MAX: usize = 4_096;
/// Saved searches.
const SEARCHES_MAX: u32 = 200;

/// `PATCH /api/executions/{id}`.
pub(crate) async fn label(
    State(app): State<App>,
    Id(id): Id,
    extract::Json(request): extract::Json<LabelRequest>,
) -> Result<Json<Execution>, Problem> {
    let LabelRequest { name, tags, pinned } = request;
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Problem::bad_request("`name` must not be empty"));
    }
    if tags.iter().flatten().any(|tag| tag.trim().is_empty()) {
        return Err(Problem::bad_request("a tag must not be empty"));
    }
    let now = app.engine.label(id, Labels { name, tags, pinned }).await?;
    Ok(Json(Execution::new(&now, clock::wall_us())))
}

fn shown(search: Kept) -> SavedSearch {
    let Kept { name, query, created_us } = search;
    SavedSearch { name, query, saved_at: rfc3339(created_us) }
}

/// `GET /api/searches`.
pub(crate) async fn searches(State(app): State<App>) -> Result<Json<SavedSearchList>, Problem> {
    let kept = app.engine.query(|reader| reader.searches(SEARCHES_MAX)).await?;
    Ok(Json(SavedSearchList { searches: kept.into_iter().map(shown).collect() }))
}

/// `PUT /api/searches/{name}`.
pub(crate) async fn save(
    State(app): State<App>,
    Path(name): Path<String>,
    extract::Json(request): extract::Json<SavedSearchRequest>,
) -> Result<Json<SavedSearch>, Problem> {
    let name = name.trim().to_owned();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Problem::bad_request(format!("`name` must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(Problem::bad_request(format!("`query` has over {QUERY_BYTES_MAX} bytes")));
    }
    let kept = app.engine.query(|reader| reader.searches(SEARCHES_MAX)).await?;
    if kept.len() >= SEARCHES_MAX as usize && !kept.iter().any(|search| search.name == name) {
        let message = format!("there are {SEARCHES_MAX} saved searches: forget one first");
        return Err(Problem::new(StatusCode::CONFLICT, "too-many-searches", &message));
    }
    let search = Kept { name, query: request.query, created_us: clock::wall_us() };
    app.engine.apply(vec![Change::SearchSave(Box::new(search.clone()))]).await?;
    Ok(Json(shown(search)))
}

/// `DELETE /api/searches/{name}`.
pub(crate) async fn forget(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let kept = app.engine.query(|reader| reader.searches(SEARCHES_MAX)).await?;
    if !kept.iter().any(|search| search.name == name) {
        let message = "there is no saved search of that name";
        return Err(Problem::new(StatusCode::NOT_FOUND, "search-unknown", message));
    }
    app.engine.apply(vec![Change::SearchForget(name)]).await?;
    Ok(StatusCode::NO_CONTENT)
}
