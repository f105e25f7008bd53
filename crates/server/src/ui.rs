//! The embedded page: hashed assets, and one shell for all its routes.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::Embed;
use stepflow_model::ExecutionId;

use crate::{app::App, credential::hex, problem::Problem, range::set, security};

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
pub(crate) async fn fallback(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let base = app.base_path.as_str();
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
        "/execution" => {
            return Redirect::to(&format!("{base}{}", execution_page(uri.query()))).into_response();
        }
        "/history" => {
            return Redirect::to(&format!("{base}{}", history_page(uri.query()))).into_response();
        }
        _ => {}
    }
    if is_page(path) {
        return match shell(base) {
            Some(page) => page,
            None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response(),
        };
    }
    let name = path.trim_start_matches('/');
    // Names are compared with the embedded ones, never opened. Packed ones are no files of their own.
    let packed = matches!(name.rsplit('.').next(), Some("gz" | "br"));
    let hashed = name.starts_with("assets/");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    match file(name, cache, &headers).filter(|_| name != "index.html" && !packed) {
        Some(found) => found,
        // A person who mistyped gets the page's own "not found", a program the problem.
        None if accepts_html(&headers) => match shell(base) {
            Some(mut shell) => {
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
    matches!(
        path,
        "/" | "/login"
            | "/executions"
            | "/search"
            | "/artifacts"
            | "/statistics"
            | "/health"
            | "/settings"
    ) || path.strip_prefix("/settings/").is_some_and(|section| !section.contains('/'))
        || path.strip_prefix("/executions/").is_some_and(|rest| {
            rest.split('/').next().is_some_and(|id| id.parse::<ExecutionId>().is_ok())
        })
}

fn execution_page(query: Option<&str>) -> String {
    let is_id = |pair: &&str| pair.starts_with("id=") || pair.starts_with("execution_id=");
    let pairs: Vec<&str> = query.unwrap_or_default().split('&').filter(|p| !p.is_empty()).collect();
    let id = pairs
        .iter()
        .find(|pair| is_id(pair))
        .and_then(|pair| pair.split_once('=')?.1.parse::<ExecutionId>().ok());
    let Some(id) = id else { return "/executions".to_owned() };
    let rest: Vec<&str> = pairs.into_iter().filter(|pair| !is_id(pair)).collect();
    if rest.is_empty() {
        return format!("/executions/{id}");
    }
    format!("/executions/{id}?{}", rest.join("&"))
}

/// The document that every page begins with. It names its files relative to the base path.
fn shell(base: &str) -> Option<Response> {
    let html = String::from_utf8(Dist::get("index.html")?.data.into_owned()).ok()?;
    let html = html.replace("=\"./", &format!("=\"{base}/"));
    let kind =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Some((kind, html).into_response())
}

/// The embedded file `name`, packed as the client takes it; `None`: there is none.
fn file(name: &str, cache: &'static str, headers: &HeaderMap) -> Option<Response> {
    let plain = Dist::get(name)?;
    let (encoding, file) = ["br", "gzip"]
        .into_iter()
        .filter(|encoding| accepts_encoding(headers, encoding))
        .find_map(|encoding| {
            let ending = if encoding == "gzip" { "gz" } else { encoding };
            Some((Some(encoding), Dist::get(&format!("{name}.{ending}"))?))
        })
        .unwrap_or((None, plain));
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..8]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.data.into_owned()))
    };
    set(&mut response, header::ETAG, &tag);
    let headers = response.headers_mut();
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Some(response)
}

/// Whether `Accept-Encoding` names `encoding` and does not refuse it with `q=0`.
fn accepts_encoding(headers: &HeaderMap, encoding: &str) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case(encoding) && quality.is_ok_and(|quality| quality > 0.0)
    })
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
        for page in ["/", "/login", "/executions", "/artifacts", "/health", "/settings/tokens"] {
            assert!(is_page(page), "{page}");
        }
        assert!(is_page(&format!("/executions/{id}")));
        for other in [
            "/executions/",
            "/executions/nope",
            "/nope",
            "/index.html",
            "//",
            "/..",
            "/settings/a/b",
        ] {
            assert!(!is_page(other), "{other}");
        }
    }

    #[test]
    fn a_packed_file_goes_only_to_who_takes_it() {
        let takes = |value: &'static str, encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_encoding(&headers, encoding)
        };
        assert!(takes("gzip, deflate, br, zstd", "br") && takes("GZIP;q=0.5", "gzip"));
        for (value, encoding) in
            [("gzip", "br"), ("br;q=0", "br"), ("identity", "gzip"), ("brx", "br")]
        {
            assert!(!takes(value, encoding), "{value} {encoding}");
        }
        assert!(!accepts_encoding(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn old_links_lead_to_the_new_page_and_nowhere_else() {
        let id = "0198c2aa-0000-7000-8000-000000000001";
        assert_eq!(execution_page(Some(&format!("id={id}"))), format!("/executions/{id}"));
        let kept = execution_page(Some(&format!("a=1&id={id}&tab=details")));
        assert_eq!(kept, format!("/executions/{id}?a=1&tab=details"));
        for bad in [None, Some("id=//evil.example"), Some("id=%0d%0a")] {
            assert_eq!(execution_page(bad), "/executions");
        }
    }
}
