//! The embedded page: hashed assets, and one shell for all its routes.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::{Embed, EmbeddedFile};
use stepflow_model::ExecutionId;

use crate::{credential::hex, problem::Problem, range::set, security};

#[derive(Embed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

const MISSING: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<title>StepFlow Monitor</title><h1>StepFlow Monitor</h1>\
<p>This build has no web page. The API and the command line work.</p>\
<p>To build the page: install Node 20 or newer, run <code>npm ci &amp;&amp; npm run build</code> in \
<code>web/</code>, then <code>cargo build</code> again.</p></html>";

/// Everything that is no route: the page's files, its routes, and 404 for the rest.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if security::is_api(path) {
        return Problem::route_unknown().into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "pages can only be read",
        )
        .into_response();
    }
    // URLs of the original.
    match path {
        "/execution" => return Redirect::to(&execution_page(uri.query())).into_response(),
        "/history" => return Redirect::to(&history_page(uri.query())).into_response(),
        _ => {}
    }
    if is_page(path) {
        return match Dist::get("index.html") {
            Some(page) => file(&page, "text/html; charset=utf-8", "no-cache", &headers),
            None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response(),
        };
    }
    let name = path.trim_start_matches('/');
    // Names are compared with the embedded ones, never opened.
    match Dist::get(name).filter(|_| name != "index.html") {
        Some(found) => {
            let hashed = name.starts_with("assets/");
            let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
            file(&found, content_type(name), cache, &headers)
        }
        // A person who mistyped gets the page's own "not found", a program the problem.
        None if accepts_html(&headers) => match Dist::get("index.html") {
            Some(page) => {
                let mut shell = file(&page, "text/html; charset=utf-8", "no-cache", &headers);
                *shell.status_mut() = StatusCode::NOT_FOUND;
                shell
            }
            None => Problem::route_unknown().into_response(),
        },
        None => Problem::route_unknown().into_response(),
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// The list that the original called history, with the same query. It stays on this origin: the
/// path is ours, and a query cannot change it.
fn history_page(query: Option<&str>) -> String {
    match query {
        Some(query) if !query.is_empty() => format!("/executions?{query}"),
        _ => "/executions".to_owned(),
    }
}

/// The page's own routes.
fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/login" | "/executions")
        || path.strip_prefix("/executions/").is_some_and(|rest| {
            rest.split('/').next().is_some_and(|id| id.parse::<ExecutionId>().is_ok())
        })
}

fn execution_page(query: Option<&str>) -> String {
    let id = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("id=")?.parse::<ExecutionId>().ok());
    id.map_or_else(|| "/executions".to_owned(), |id| format!("/executions/{id}"))
}

fn file(
    file: &EmbeddedFile,
    content_type: &'static str,
    cache: &'static str,
    headers: &HeaderMap,
) -> Response {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..8]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.data.clone().into_owned()))
    };
    set(&mut response, header::ETAG, &tag);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_routes_get_the_shell() {
        let id = "0198c2aa-0000-7000-8000-000000000001";
        for page in ["/", "/login", "/executions"] {
            assert!(is_page(page), "{page}");
        }
        assert!(is_page(&format!("/executions/{id}")));
        for other in
            ["/executions/", "/executions/nope", "/nope", "/index.html", "//", "/..", "/.env"]
        {
            assert!(!is_page(other), "{other}");
        }
    }

    #[test]
    fn old_links_lead_to_the_new_page_and_nowhere_else() {
        let id = "0198c2aa-0000-7000-8000-000000000001";
        assert_eq!(execution_page(Some(&format!("a=1&id={id}"))), format!("/executions/{id}"));
        for bad in [None, Some("id=//evil.example"), Some("id=%0d%0a")] {
            assert_eq!(execution_page(bad), "/executions");
        }
    }
}
