//! The OpenAPI document against the table, and its viewer.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;

use common::TestServer;
use serde_json::Value;
use stepflow_server::{Auth, openapi, routes};

fn document() -> Value {
    serde_json::from_str(openapi()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter().map(|(method, op)| (method.to_uppercase(), path.clone(), op))
        })
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let table: BTreeSet<(String, String)> =
        routes().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let missing: Vec<_> = table.difference(&described).collect();
    assert!(
        missing.is_empty(),
        "not described: {missing:?}; add them to crates/server/src/openapi/operations.rs"
    );
    assert_eq!(described, table);
}

#[test]
fn every_operation_says_what_it_takes_and_answers() {
    let document = document();
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{at}: its id is taken");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{at}: an unknown tag");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        let route = routes().into_iter().find(|r| r.method == method && r.path == path).unwrap();
        assert_eq!(operation["x-permission"], route.permission, "{at}");
        assert_eq!(
            operation["security"].as_array().unwrap().is_empty(),
            route.permission == "open"
        );

        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            assert!(parameter["description"].is_string(), "{at}: {parameter}");
        }
        let in_path: Vec<&str> = path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap().trim_start_matches('*'))
            .collect();
        let described: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(described, in_path, "{at}");

        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with(['1', '2'])), "{at}: no success");
        for (status, answer) in answers {
            assert!(answer["description"].is_string(), "{at} {status}");
            for (kind, media) in answer["content"].as_object().into_iter().flatten() {
                let json = kind.ends_with("json") && path != "/api/openapi.json";
                assert!(!json || media["example"].is_object(), "{at} {status}: no valid example");
            }
        }
        if let Some(body) = operation.get("requestBody") {
            for (kind, media) in body["content"].as_object().unwrap() {
                assert!(
                    !kind.ends_with("json") || media["example"].is_object(),
                    "{at}: no example"
                );
            }
        }
    }
}

#[test]
fn every_field_is_described_and_every_reference_leads_somewhere() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        for (field, what) in schema["properties"].as_object().into_iter().flatten() {
            assert!(what["description"].is_string() || what["$ref"].is_string(), "{name}.{field}");
        }
    }
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(all) => {
                found.extend(all.get("$ref").and_then(Value::as_str));
                all.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn document_and_viewer_are_served_to_everybody_and_need_no_other_host() {
    let server = TestServer::start(Auth::On).await;
    let answer = server.get("/api/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json()["openapi"], "3.1.0");
    let tag = answer.header("etag").to_owned();
    let again = server.ask("GET", "/api/openapi.json").header("if-none-match", &tag).send().await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    for (path, kind) in [
        ("/api/docs", "text/html; charset=utf-8"),
        ("/api/docs/viewer.js", "text/javascript; charset=utf-8"),
        ("/api/docs/viewer.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert!(answer.header("content-security-policy").contains("require-trusted-types-for"));
        let text = answer.text();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
        for forbidden in ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", " style="] {
            assert!(!text.contains(forbidden), "{path}: {forbidden}");
        }
    }
    server.stop().await;
}
