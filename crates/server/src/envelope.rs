//! The envelope that the original's documentation promised and its server never sent, for clients
//! that ask for it with `?envelope=1`: `{"success", "data", "error", "timestamp"}`.

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Uri, header},
    response::Response,
};
use futures_util::{StreamExt, stream};
use serde_json::json;
use stepflow_api::rfc3339;
use stepflow_sys::clock;

/// Whether a request asks for it.
pub(crate) fn is_wanted(uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| matches!(pair, "envelope=1" | "envelope=true"))
}

/// Puts a JSON answer into it, as a stream if it is one; `error`: what went wrong. Other answers
/// stay as they are.
pub(crate) fn wrap(response: Response, error: Option<&str>) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json =
        kind.starts_with("application/json") || kind.starts_with("application/problem+json");
    // A file that is JSON is still a file: whatever is in it would become part of our answer.
    if !is_json || response.headers().contains_key(header::CONTENT_DISPOSITION) {
        return response;
    }
    let timestamp = rfc3339(clock::wall_us());
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = if let Some(error) = error {
        let all = json!({"success": false, "data": null, "error": error, "timestamp": timestamp});
        Body::from(all.to_string())
    } else {
        let piece = |text: String| stream::iter([Ok::<_, axum::Error>(Bytes::from(text))]);
        let head = piece("{\"success\":true,\"data\":".to_owned());
        let tail = piece(format!(",\"error\":null,\"timestamp\":\"{timestamp}\"}}"));
        Body::from_stream(head.chain(body.into_data_stream()).chain(tail))
    };
    Response::from_parts(parts, body)
}
