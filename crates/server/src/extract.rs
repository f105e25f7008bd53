//! Our extractors: what they refuse is a problem too.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
    response::IntoResponse,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use stepflow_model::{ArtifactId, ExecutionId};

use crate::{app::App, auth::Caller, objects, problem::Problem, security};

/// Deepest nesting of a body.
const JSON_DEPTH_MAX: usize = 32;

/// The execution in the path.
pub(crate) struct Id(pub(crate) ExecutionId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_text(parts, state).await;
        text.parse().map(Self).map_err(|_| Problem::execution_unknown(&text))
    }
}

/// The artifact in the path, by our id or by the one that the original StepFlow Monitor gave it.
pub(crate) struct Aid(pub(crate) ArtifactId);

/// Longest id that is looked for; the original's have 36 bytes.
const ORIGIN_ID_BYTES_MAX: usize = 256;

impl FromRequestParts<App> for Aid {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text = path_text(parts, app).await;
        if let Ok(id) = text.parse() {
            return Ok(Self(id));
        }
        if text.is_empty() || text.len() > ORIGIN_ID_BYTES_MAX {
            return Err(Problem::artifact_unknown());
        }
        let found = app.engine.artifact_by_origin(text).await?;
        found.map(Self).ok_or_else(Problem::artifact_unknown)
    }
}

/// The one parameter of the path; empty if it is not UTF-8, which no id is.
async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S) -> String {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(text)| text).unwrap_or_default()
}

/// The query, typed.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
        }
    }
}

/// A switch in a query: `1`, `true` or nothing behind the name; `0`, `false`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(inline, with = "String", extend("enum" = ["", "1", "true", "0", "false"]))]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" | "1" | "true" => Ok(Self(true)),
            "0" | "false" => Ok(Self(false)),
            other => Err(serde::de::Error::custom(format!("a switch is 1 or 0, not `{other}`"))),
        }
    }
}

/// A JSON object as body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        parse(&body(request, state).await?).map(Self)
    }
}

/// A JSON object as body, or none.
pub(crate) struct JsonOrNone<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for JsonOrNone<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = body(request, state).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => security::too_large(),
            _ => Problem::bad_request("the body could not be read"),
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("the body must be a JSON object"));
    }
    if depth(bytes) > JSON_DEPTH_MAX {
        return Err(Problem::bad_request(format!(
            "the body is nested deeper than {JSON_DEPTH_MAX} levels"
        )));
    }
    objects::from_slice(bytes).map_err(Problem::bad_request)
}

/// How deep arrays and objects are nested, before anything is built from them.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The guard has put it there for every route but open ones.
        parts.extensions.get().cloned().ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this needs a login or a token")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        for (json, expected) in
            [("1", 0), ("{}", 1), (r#"{"a":[[1]]}"#, 3), (r#"{"[[[":"\"[{"}"#, 1)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn an_artifacts_id_may_hold_its_separator() {
        let id = "0198c2aa-0000-7000-a000-a00000000001";
        let artifact = format!("{id}-a12").parse::<ArtifactId>().unwrap();
        assert_eq!((artifact.execution.to_string().as_str(), artifact.index), (id, 12));
        for bad in [id, "-a1", "", &format!("{id}-a"), &format!("{id}-a+1"), &format!("{id}-s1")] {
            assert!(bad.parse::<ArtifactId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        assert!(parse::<stepflow_api::CreateRequest>(br#" {"command":"a"}"#).is_ok());
        let deep = format!(
            r#"{{"metadata":{}{}}}"#,
            "{\"a\":".repeat(40),
            "1".to_owned() + &"}".repeat(40)
        );
        for bad in ["[]", "1", "", "{", "null", deep.as_str()] {
            assert!(parse::<stepflow_api::CreateRequest>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
