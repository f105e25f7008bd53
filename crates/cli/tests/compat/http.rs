//! The recorded exchanges, in their order.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stepflow_testkit::eventually;

use crate::{
    diff::{Comparison, Ids},
    server::{Answer, Server},
    table,
};

#[test]
fn every_recorded_exchange_is_answered_as_the_original_did_or_as_the_table_says() {
    let table = table::read();
    let server = Server::start(&[]);
    let mut ids = Ids::default();
    let mut found = Vec::new();
    let recorded = crate::fixture("http.json");
    let exchanges = recorded["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 86);
    let mut running = None;
    for exchange in exchanges {
        let label = exchange["label"].as_str().unwrap();
        let (request, response) = (&exchange["request"], &exchange["response"]);
        if label == "active: one running" {
            running = Some(start_the_running_one(&server, &mut ids, response));
        }
        let answer = ask(&server, &table, &ids, label, request);
        let mut comparison = Comparison { label, ids: &mut ids, found: Vec::new() };
        compare(&mut comparison, response, &answer);
        found.extend(comparison.found);
    }
    let (running, empty) = (running.unwrap(), Vec::new());
    server.ask("POST", &format!("/api/executions/{running}/cancel"), &empty, ""); // Now: SIGKILL.
    table.check("http", &found);
}

/// The original's client had it started in the background: there is no exchange for it.
fn start_the_running_one(server: &Server, ids: &mut Ids, response: &Value) -> String {
    let body = json!({"name": "slow", "command": "bash demo/running2.sh"}).to_string();
    let created = server.ask("POST", "/api/executions", &[], &body).json().unwrap();
    let id = created["id"].as_str().unwrap().to_owned();
    ids.bind(response["json"]["active_executions"][0]["id"].as_str().unwrap(), &id);
    eventually("its step has begun", || {
        let detail = server.ask("GET", &format!("/api/executions/{id}"), &[], "").json().unwrap();
        (detail["execution"]["total_steps"] == 1).then_some(())
    });
    id
}

fn ask(server: &Server, table: &table::Table, ids: &Ids, label: &str, request: &Value) -> Answer {
    let method = request["method"].as_str().unwrap();
    let mut path = ids.translate(request["path"].as_str().unwrap());
    if method == "POST" && path == "/api/executions" {
        path.push_str("?wait=1"); // The original always waited.
    }
    let headers: Vec<(String, String)> = request["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let body = table.body(label, request["body"].as_str().unwrap_or_default());
    server.ask(method, &path, &headers, &body)
}

fn compare(comparison: &mut Comparison<'_>, response: &Value, answer: &Answer) {
    let status = response["status"].as_u64().unwrap();
    if status != u64::from(answer.status) {
        comparison.add("status", "", status.to_string(), answer.status.to_string());
    }
    for name in ["content-type", "allow", "etag", "access-control-allow-origin"] {
        let theirs = response["headers"][name].as_str().unwrap_or_default();
        let ours = answer.header(name).unwrap_or_default();
        let same = match name {
            // A set of words; only whether there is one.
            "allow" => words(theirs) == words(ours),
            "etag" => theirs.is_empty() || !ours.is_empty(),
            _ => theirs == ours,
        };
        if !same {
            comparison.add("header", name, theirs.to_owned(), ours.to_owned());
        }
    }
    match (response.get("json"), answer.json()) {
        (Some(theirs), Some(ours)) => comparison.values("", theirs, &ours),
        (Some(theirs), None) => {
            comparison.add("text", "", theirs.to_string(), answer.body.clone());
        }
        (None, _) => {
            let theirs = response["text"].as_str().unwrap_or_default();
            // Pages were recorded by their beginning only.
            let same = theirs == answer.body
                || (theirs.ends_with('…') && is_page(theirs) && is_page(&answer.body));
            if !same {
                comparison.add("text", "", theirs.to_owned(), answer.body.clone());
            }
        }
    }
}

fn words(list: &str) -> BTreeSet<&str> {
    list.split(',').map(str::trim).collect()
}

fn is_page(text: &str) -> bool {
    text.trim_start().to_ascii_lowercase().starts_with("<!doctype html")
}
