//! Every route with its permission. What does not stand here is 404.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, delete, get, post},
};

use crate::{
    app::App,
    auth::{self, Permission},
    routes::{artifacts, executions, health, log, session, tokens},
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
        route("GET",    "/api/executions/{id}",              Viewer,     get(executions::detail)),
        route("POST",   "/api/executions/{id}/cancel",       Operator,   post(executions::cancel)),
        route("GET",    "/api/executions/{id}/log",          Viewer,     get(log::range)),
        route("GET",    "/api/executions/{id}/log/raw",      Viewer,     get(log::raw)),
        route("GET",    "/api/executions/{id}/events",       Viewer,     get(log::events)),
        route("GET",    "/api/artifacts",                    Viewer,     get(artifacts::list)),
        route("GET",    "/api/artifacts/execution/{id}",     Viewer,     get(artifacts::of_execution)),
        route("GET",    "/api/artifacts/{aid}",              Viewer,     get(artifacts::one)),
        route("GET",    "/api/artifacts/{aid}/download",     Viewer,     get(artifacts::download)),
        route("GET",    "/ws",                               Viewer,     get(ws::upgrade)),
    ]
}

/// One row of the table of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET` (which answers `HEAD` as well), `POST` or `DELETE`.
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
    for Route { method: _, path, permission, handler } in table() {
        let guard = middleware::from_fn_with_state((app.clone(), permission), auth::guard);
        router = router.route(path, handler.route_layer(guard));
    }
    router
        .fallback(ui::fallback)
        .layer(DefaultBodyLimit::max(security::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), security::front))
        .with_state(app.clone())
}
