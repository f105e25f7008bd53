//! Every route with its permission. What does not stand here is 404.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, delete, get, patch, post, put},
};

use crate::{
    app::App,
    auth::{self, Permission},
    legacy,
    metrics::Row,
    openapi,
    routes::{
        artifacts, download, executions, export, find, health, ingest, labels, log, logs, overview,
        retention, search, session, spec, statistics, tests, tokens, view,
    },
    security, ui, ws,
};

/// One route.
struct Route {
    method: &'static str,
    path: &'static str,
    permission: Permission,
    handler: MethodRouter<App>,
}

fn route(
    method: &'static str,
    path: &'static str,
    permission: Permission,
    handler: MethodRouter<App>,
) -> Route {
    Route { method, path, permission, handler }
}

/// The table. GET answers HEAD as well.
#[rustfmt::skip]
fn table() -> Vec<Route> {
    use Permission::{Open, Operator, SocketOnly, Viewer};
    vec![
        route("GET",    "/api/health",                       Open,       get(health::health)),
        route("GET",    "/api/health/status",                Viewer,     get(health::status)),
        route("GET",    "/api/health/metrics",               Viewer,     get(health::metrics)),
        route("GET",    "/api/health/database",              Viewer,     get(health::database)),
        route("GET",    "/api/health/history",               Viewer,     get(health::history)),
        route("GET",    "/api/health/bundle",                Operator,   get(health::bundle)),
        route("POST",   "/api/health/optimize",              Operator,   post(health::optimize)),
        route("GET",    "/metrics",                          Viewer,     get(health::prometheus)),
        route("GET",    "/api/openapi.json",                 Open,       get(openapi::json)),
        route("GET",    "/api/docs",                         Open,       get(openapi::page)),
        route("GET",    "/api/docs/viewer.js",               Open,       get(openapi::script)),
        route("GET",    "/api/docs/viewer.css",              Open,       get(openapi::style)),
        route("POST",   "/api/login",                        Open,       post(session::login)),
        route("POST",   "/api/logout",                       Viewer,     post(session::logout)),
        route("GET",    "/api/session",                      Viewer,     get(session::session)),
        route("POST",   "/api/login-code",                   SocketOnly, post(session::login_code)),
        route("GET",    "/api/tokens",                       Operator,   get(tokens::list)),
        route("POST",   "/api/tokens",                       Operator,   post(tokens::create)),
        route("DELETE", "/api/tokens/{id}",                  Operator,   delete(tokens::revoke)),
        route("GET",    "/api/executions",                   Viewer,     get(executions::list)),
        route("POST",   "/api/executions",                   Operator,   post(executions::create)),
        route("GET",    "/api/executions/active",            Viewer,     get(executions::active)),
        route("GET",    "/api/executions/statistics",        Viewer,     get(executions::statistics)),
        route("GET",    "/api/statistics",                   Viewer,     get(statistics::statistics)),
        route("GET",    "/api/executions/overview",          Viewer,     get(overview::overview)),
        route("GET",    "/api/executions/strips",            Viewer,     get(overview::strips)),
        route("GET",    "/api/executions/{id}",              Viewer,     get(executions::detail)),
        route("PATCH",  "/api/executions/{id}",              Operator,   patch(labels::label)),
        route("DELETE", "/api/executions/{id}",              Operator,   delete(executions::delete)),
        route("GET",    "/api/search",                       Viewer,     get(find::find)),
        route("GET",    "/api/searches",                     Viewer,     get(labels::searches)),
        route("PUT",    "/api/searches/{name}",              Operator,   put(labels::save)),
        route("DELETE", "/api/searches/{name}",              Operator,   delete(labels::forget)),
        route("GET",    "/api/retention",                    Viewer,     get(retention::retention)),
        route("POST",   "/api/retention/sweep",              Operator,   post(retention::sweep)),
        route("GET",    "/api/executions/{id}/spec",         Viewer,     get(spec::spec)),
        route("POST",   "/api/executions/{id}/cancel",       Operator,   post(executions::cancel)),
        route("POST",   "/api/executions/{id}/rerun",        Operator,   post(executions::rerun)),
        route("GET",    "/api/executions/{id}/logs",         Viewer,     get(logs::logs)),
        route("GET",    "/api/executions/{id}/log",          Viewer,     get(log::range)),
        route("GET",    "/api/executions/{id}/log/meta",     Viewer,     get(view::meta)),
        route("GET",    "/api/executions/{id}/log/rows",     Viewer,     get(view::rows)),
        route("GET",    "/api/executions/{id}/log/density",  Viewer,     get(view::density)),
        route("GET",    "/api/executions/{id}/log/errors",   Viewer,     get(view::errors)),
        route("GET",    "/api/executions/{id}/log/search",   Viewer,     get(search::search)),
        route("GET",    "/api/executions/{id}/tests",        Viewer,     get(tests::list)),
        route("GET",    "/api/executions/{id}/tests/{index}", Viewer,    get(tests::one)),
        route("GET",    "/api/tests",                        Viewer,     get(tests::history)),
        route("GET",    "/api/executions/{id}/usual",        Viewer,     get(view::usual)),
        route("GET",    "/api/executions/{id}/log/raw",      Viewer,     get(log::raw)),
        route("GET",    "/api/executions/{id}/log/download", Viewer,     get(download::download)),
        route("GET",    "/api/executions/{id}/export",       Viewer,     get(export::export)),
        route("GET",    "/api/executions/{id}/events",       Viewer,     get(log::events)),
        route("PUT",    "/api/ingest",                       Operator,   put(ingest::begin)),
        route("POST",   "/api/ingest",                       Operator,   post(ingest::begin)),
        route("PUT",    "/api/ingest/{id}",                  Operator,   put(ingest::go_on)),
        route("POST",   "/api/ingest/{id}",                  Operator,   post(ingest::go_on)),
        route("GET",    "/api/ingest/{id}",                  Viewer,     get(ingest::state)),
        route("POST",   "/api/ingest/{id}/end",              Operator,   post(ingest::end)),
        route("GET",    "/api/artifacts",                    Viewer,     get(artifacts::list)),
        route("POST",   "/api/artifacts",                    Operator,   post(artifacts::upload).layer(DefaultBodyLimit::disable())),
        route("GET",    "/api/artifacts/execution/{id}",     Viewer,     get(artifacts::of_execution)),
        route("GET",    "/api/artifacts/{aid}",              Viewer,     get(artifacts::one)),
        route("DELETE", "/api/artifacts/{aid}",              Operator,   delete(artifacts::remove)),
        route("GET",    "/api/artifacts/{aid}/preview",      Viewer,     get(artifacts::preview)),
        route("GET",    "/api/artifacts/{aid}/content",      Viewer,     get(artifacts::content)),
        route("GET",    "/api/artifacts/{aid}/download",     Viewer,     get(artifacts::download)),
        route("GET",    "/ws",                               Viewer,     get(ws::upgrade)),
    ]
}

/// One row of the table of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET` (which answers `HEAD` as well), `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    /// `open`, `viewer`, `operator` or `socket`.
    pub permission: &'static str,
}

/// Every route of the API, as the table has it.
pub fn routes() -> Vec<RouteInfo> {
    let info = |route: Route| RouteInfo {
        method: route.method,
        path: route.path,
        permission: match route.permission {
            Permission::Open => "open",
            Permission::Viewer => "viewer",
            Permission::Operator => "operator",
            Permission::SocketOnly => "socket",
        },
    };
    table().into_iter().map(info).collect()
}

/// The routes, each behind its guard; the page behind them; and what holds for all before them.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for (row, Route { method: _, path, permission, handler }) in table().into_iter().enumerate() {
        let state = (app.clone(), permission, Row(row));
        let guard = middleware::from_fn_with_state(state, auth::guard);
        router = router.route(path, handler.route_layer(guard));
    }
    router
        .fallback(ui::fallback)
        .layer(DefaultBodyLimit::max(security::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), security::front))
        .with_state(app.clone())
}

/// The port that serves the original's WebSocket and nothing else, whatever the path. `page_port`:
/// pages that came from there may connect.
pub(crate) fn legacy_router(app: &App, page_port: u16) -> Router {
    // Counted as what it is on the other port.
    let row = routes().iter().position(|route| route.path == "/ws").unwrap_or_default();
    let state = (app.clone(), Permission::Viewer, Row(row));
    let guard = middleware::from_fn_with_state(state, auth::guard);
    Router::new()
        .fallback(get(legacy::upgrade).route_layer(guard))
        .layer(middleware::from_fn_with_state(app.clone(), security::front))
        .layer(middleware::from_fn(move |request, next| security::legacy(page_port, request, next)))
        .with_state(app.clone())
}
