//! Every route with its permission. What does not stand here is 404.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    routing::{MethodFilter, MethodRouter, on},
};

use crate::{
    app::App,
    auth::{Guard, Guarded, Permission},
    legacy,
    metrics::Row,
    openapi,
    routes::{
        artifacts, download, executions, export, find, health, ingest, labels, log, logs, overview,
        retention, search, session, spec, statistics, tests, tokens, view,
    },
    ui, ws,
};

/// One route.
struct Route {
    method: &'static str,
    path: &'static str,
    permission: Permission,
    /// Its handler behind its guard.
    guarded: Box<dyn FnOnce(Guard) -> MethodRouter<App>>,
}

fn route<H, T>(
    method: &'static str,
    path: &'static str,
    permission: Permission,
    handler: H,
) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    let filter = match method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        other => unreachable!("no route has the method {other}"),
    };
    let guarded = Box::new(move |guard| on(filter, Guarded { guard, handler }));
    Route { method, path, permission, guarded }
}

/// The table. GET answers HEAD as well.
#[rustfmt::skip]
fn table() -> Vec<Route> {
    use Permission::{Open, Operator, SocketOnly, Viewer};
    vec![
        route("GET",    "/api/health",                       Open,       health::health),
        route("GET",    "/api/health/status",                Viewer,     health::status),
        route("GET",    "/api/health/metrics",               Viewer,     health::metrics),
        route("GET",    "/api/health/database",              Viewer,     health::database),
        route("GET",    "/api/health/history",               Viewer,     health::history),
        route("GET",    "/api/health/bundle",                Operator,   health::bundle),
        route("POST",   "/api/health/optimize",              Operator,   health::optimize),
        route("GET",    "/metrics",                          Viewer,     health::prometheus),
        route("GET",    "/api/openapi.json",                 Open,       openapi::json),
        route("GET",    "/api/docs",                         Open,       openapi::page),
        route("GET",    "/api/docs/viewer.js",               Open,       openapi::script),
        route("GET",    "/api/docs/viewer.css",              Open,       openapi::style),
        route("POST",   "/api/login",                        Open,       session::login),
        route("POST",   "/api/logout",                       Viewer,     session::logout),
        route("GET",    "/api/session",                      Viewer,     session::session),
        route("POST",   "/api/login-code",                   SocketOnly, session::login_code),
        route("GET",    "/api/tokens",                       Operator,   tokens::list),
        route("POST",   "/api/tokens",                       Operator,   tokens::create),
        route("DELETE", "/api/tokens/{id}",                  Operator,   tokens::revoke),
        route("GET",    "/api/executions",                   Viewer,     executions::list),
        route("POST",   "/api/executions",                   Operator,   executions::create),
        route("GET",    "/api/executions/active",            Viewer,     executions::active),
        route("GET",    "/api/executions/statistics",        Viewer,     executions::statistics),
        route("GET",    "/api/statistics",                   Viewer,     statistics::statistics),
        route("GET",    "/api/executions/overview",          Viewer,     overview::overview),
        route("GET",    "/api/executions/strips",            Viewer,     overview::strips),
        route("GET",    "/api/executions/{id}",              Viewer,     executions::detail),
        route("PATCH",  "/api/executions/{id}",              Operator,   labels::label),
        route("DELETE", "/api/executions/{id}",              Operator,   executions::delete),
        route("GET",    "/api/search",                       Viewer,     find::find),
        route("GET",    "/api/searches",                     Viewer,     labels::searches),
        route("PUT",    "/api/searches/{name}",              Operator,   labels::save),
        route("DELETE", "/api/searches/{name}",              Operator,   labels::forget),
        route("GET",    "/api/retention",                    Viewer,     retention::retention),
        route("POST",   "/api/retention/sweep",              Operator,   retention::sweep),
        route("GET",    "/api/executions/{id}/spec",         Viewer,     spec::spec),
        route("POST",   "/api/executions/{id}/cancel",       Operator,   executions::cancel),
        route("POST",   "/api/executions/{id}/rerun",        Operator,   executions::rerun),
        route("GET",    "/api/executions/{id}/logs",         Viewer,     logs::logs),
        route("GET",    "/api/executions/{id}/log",          Viewer,     log::range),
        route("GET",    "/api/executions/{id}/log/meta",     Viewer,     view::meta),
        route("GET",    "/api/executions/{id}/log/rows",     Viewer,     view::rows),
        route("GET",    "/api/executions/{id}/log/density",  Viewer,     view::density),
        route("GET",    "/api/executions/{id}/log/errors",   Viewer,     view::errors),
        route("GET",    "/api/executions/{id}/log/search",   Viewer,     search::search),
        route("GET",    "/api/executions/{id}/tests",        Viewer,     tests::list),
        route("GET",    "/api/executions/{id}/tests/{index}", Viewer,    tests::one),
        route("GET",    "/api/tests",                        Viewer,     tests::history),
        route("GET",    "/api/executions/{id}/usual",        Viewer,     view::usual),
        route("GET",    "/api/executions/{id}/log/raw",      Viewer,     log::raw),
        route("GET",    "/api/executions/{id}/log/download", Viewer,     download::download),
        route("GET",    "/api/executions/{id}/export",       Viewer,     export::export),
        route("GET",    "/api/executions/{id}/events",       Viewer,     log::events),
        route("PUT",    "/api/ingest",                       Operator,   ingest::begin),
        route("POST",   "/api/ingest",                       Operator,   ingest::begin),
        route("PUT",    "/api/ingest/{id}",                  Operator,   ingest::go_on),
        route("POST",   "/api/ingest/{id}",                  Operator,   ingest::go_on),
        route("GET",    "/api/ingest/{id}",                  Viewer,     ingest::state),
        route("POST",   "/api/ingest/{id}/end",              Operator,   ingest::end),
        route("GET",    "/api/artifacts",                    Viewer,     artifacts::list),
        route("POST",   "/api/artifacts",                    Operator,   artifacts::upload.layer(DefaultBodyLimit::disable())),
        route("GET",    "/api/artifacts/execution/{id}",     Viewer,     artifacts::of_execution),
        route("GET",    "/api/artifacts/{aid}",              Viewer,     artifacts::one),
        route("DELETE", "/api/artifacts/{aid}",              Operator,   artifacts::remove),
        route("GET",    "/api/artifacts/{aid}/preview",      Viewer,     artifacts::preview),
        route("GET",    "/api/artifacts/{aid}/content",      Viewer,     artifacts::content),
        route("GET",    "/api/artifacts/{aid}/download",     Viewer,     artifacts::download),
        route("GET",    "/ws",                               Viewer,     ws::upgrade),
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

/// The routes, each behind its guard, and the page behind them. What holds for all is
/// [`security::front`](crate::security::front)'s: nothing is asked of this but through it.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for (row, Route { method: _, path, permission, guarded }) in table().into_iter().enumerate() {
        router = router.route(path, guarded(Guard { permission, row: Row(row) }));
    }
    router.fallback(ui::fallback).with_state(app.clone())
}

/// The port that serves the original's WebSocket and nothing else, whatever the path.
pub(crate) fn legacy_router(app: &App) -> Router {
    // Counted as what it is on the other port.
    let row = routes().iter().position(|route| route.path == "/ws").unwrap_or_default();
    let guard = Guard { permission: Permission::Viewer, row: Row(row) };
    let upgrade = on(MethodFilter::GET, Guarded { guard, handler: legacy::upgrade });
    Router::new().fallback_service(upgrade.with_state(app.clone()))
}
