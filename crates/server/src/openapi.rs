//! The API as an OpenAPI 3.1 document, made from the table of routes and the types of the wire.
//!
//! A route is described in `operations.rs`: what it takes and answers, by type; its permission, and
//! what follows from it, comes from the table. A test fails for a row that is not described.

mod examples; // one execution, folded from its events, as every answer shows it
mod operation; // what is said of one route
mod operations; // it is said here
mod viewing; // and here, of what log viewers ask for

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use self::operation::Operation;
use crate::{
    RouteInfo, VERSION,
    credential::{digest, hex},
    range::set,
    table,
};

/// The two directions of the wire.
pub(crate) struct Schemas {
    pub(crate) sent: SchemaGenerator,
    pub(crate) received: SchemaGenerator,
}

const ABOUT: &str = "Runs any script, records what it prints, shows its steps live.\n\n\
    Objects are bare: no envelope. Times are RFC 3339 in UTC with microseconds and `Z`; durations \
    are seconds. Every failure is an RFC 9457 problem (`application/problem+json`) whose `error` \
    repeats the detail for clients of the original StepFlow Monitor. `GET` answers `HEAD` as well. \
    Unknown fields of a body are refused.\n\n\
    **Who may call:** `viewer` reads, `operator` also changes. A program shows a token \
    (`Authorization: Bearer sfm_…`, made by `POST /api/tokens`); a browser has the login cookie and \
    sends `X-StepFlow: 1` with every change; the storage's owner may call without either over the \
    Unix socket `run/server.sock`. With `--auth off` (loopback only) nobody has to show anything. \
    A `Host` that is neither loopback nor configured gets 421, a foreign `Origin` 403.\n\n\
    **Live:** `GET /api/executions/{id}/events` for `curl -N`; `GET /ws` for pages, whose messages \
    are the schemas `ClientMessage` and `ServerMessage`.";

/// The groups of routes, in the order of the document.
const TAGS: [(&str, &str); 10] = [
    ("executions", "Start, list, look at and stop executions."),
    ("tests", "Which tests an execution ran, and what earlier ones say of each."),
    ("logs", "What an execution printed: any range of it, its bytes, and what is still to come."),
    ("ingest", "Output that was not started here."),
    ("artifacts", "Files that scripts declared."),
    ("live", "One connection, many subscriptions."),
    ("login", "Who one is."),
    ("tokens", "What programs call with."),
    ("health", "How the server is: for load balancers, for Prometheus, for people."),
    ("documentation", "This document."),
];

static DOCUMENT: LazyLock<(String, String)> = LazyLock::new(|| {
    let text = document(&table::routes()).to_string();
    let tag = format!("\"{}\"", hex(&digest(&text)[..8]));
    (text, tag)
});

/// The document as it is served, as JSON text.
pub fn openapi() -> &'static str {
    &DOCUMENT.0
}

/// `GET /api/openapi.json`.
pub(crate) async fn json(headers: HeaderMap) -> Response {
    let (text, tag) = &*DOCUMENT;
    static_file(text.as_str(), "application/json", tag, &headers)
}

/// `GET /api/docs`: a page that shows the document, without any other host.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    viewer(include_str!("openapi/viewer/index.html"), "text/html; charset=utf-8", &headers)
}

/// `GET /api/docs/viewer.js`.
pub(crate) async fn script(headers: HeaderMap) -> Response {
    viewer(include_str!("openapi/viewer/viewer.js"), "text/javascript; charset=utf-8", &headers)
}

/// `GET /api/docs/viewer.css`.
pub(crate) async fn style(headers: HeaderMap) -> Response {
    viewer(include_str!("openapi/viewer/viewer.css"), "text/css; charset=utf-8", &headers)
}

fn viewer(text: &'static str, content_type: &'static str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&digest(text)[..8]));
    static_file(text, content_type, &tag, headers)
}

fn static_file(
    text: &'static str,
    content_type: &'static str,
    tag: &str,
    headers: &HeaderMap,
) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.contains(tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(text))
    };
    set(&mut response, header::ETAG, tag);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn document(routes: &[RouteInfo]) -> Value {
    let mut schemas =
        Schemas { sent: stepflow_api::schemas_sent(), received: stepflow_api::schemas_received() };
    let described = operations::all(&mut schemas);
    schemas.sent.subschema_for::<stepflow_api::Problem>();
    schemas.sent.subschema_for::<stepflow_api::ServerMessage>();
    schemas.received.subschema_for::<stepflow_api::ClientMessage>();

    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let found = described.iter().find(|o| (o.method, o.path) == (route.method, route.path));
        if let Some(operation) = found {
            let key = route.method.to_ascii_lowercase();
            paths.entry(route.path).or_default().insert(key, of_route(operation, route));
        }
    }
    let mut components = schemas.received.take_definitions(true);
    // What goes both ways has one schema: as it is sent.
    components.extend(schemas.sent.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "StepFlow Monitor",
            "version": VERSION,
            "summary": "Scripts as steps: run, watched, recorded.",
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that serves this document."}],
        "tags": TAGS.map(|(name, description)| json!({"name": name, "description": description})),
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "sfm_…",
                    "description": "A token, made by `POST /api/tokens`."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "stepflow_session",
                    "description": "A login, made by `POST /api/login`."},
                "page": {"type": "apiKey", "in": "header", "name": "X-StepFlow",
                    "description": "The value `1`: with the cookie, every change needs it."},
            },
        },
    });
    tidy(&mut document);
    document
}

/// One operation, with what follows from its permission.
fn of_route(operation: &Operation, route: &RouteInfo) -> Value {
    let changes = route.method != "GET";
    let security = match route.permission {
        "open" => json!([]),
        _ if changes => json!([{"bearer": []}, {"cookie": [], "page": []}]),
        _ => json!([{"bearer": []}, {"cookie": []}]),
    };
    let mut problems = operation.problems.clone();
    // Of every route: a URL that is too long, a name we do not have, a failure, a shutdown.
    problems.extend([400, 414, 421, 500, 503]);
    if route.permission != "open" {
        problems.extend([401, 429]);
    }
    if route.permission != "open" || changes {
        problems.push(403);
    }
    if changes {
        problems.extend([413, 415, 507]);
    }
    let mut answers: BTreeMap<String, Value> =
        problems.iter().map(|status| (status.to_string(), operation::problem(*status))).collect();
    for (status, answer) in &operation.answers {
        answers.insert(status.to_string(), answer.clone());
    }
    let mut value = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": format!("{}\n\nPermission: **{}**.", operation.description, match route.permission {
            "socket" => "the Unix socket only",
            word => word,
        }),
        "security": security,
        "responses": answers,
        "x-permission": route.permission,
    });
    if !operation.parameters.is_empty() {
        value["parameters"] = json!(operation.parameters);
    }
    if let Some(body) = &operation.body {
        value["requestBody"] = body.clone();
    }
    value
}

/// Links of the code's documentation are words here.
fn tidy(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("[`") => {
            *text = text.replace("[`", "`").replace("`]", "`");
        }
        Value::Array(all) => all.iter_mut().for_each(tidy),
        Value::Object(all) => all.values_mut().for_each(tidy),
        _ => {}
    }
}
