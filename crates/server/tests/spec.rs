//! `GET /api/executions/{id}/spec`: how one was asked for, and every state that it came into.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{TestRecord, TestServer, spec};
use serde_json::{Value, json};
use stepflow_model::{EventKind, Reason, Spec, Status, TerminalSize};
use stepflow_server::Auth;

// Page: U3 arguments, limits, attempts, leftovers and states in Details
#[tokio::test]
async fn a_spec_has_what_was_given_and_the_way_from_state_to_state() {
    let (mut first, mut last) = (None, None);
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "nightly");
        record.end(Status::Failed);
        first = Some(record.id);
        let again = Spec {
            command: ["sh", "-c", "a\nb", ""].map(str::to_owned).to_vec(),
            timeout_ms: Some(90_500),
            grace_ms: 250,
            stop_on_error: true,
            mask_env: vec!["TOKEN".to_owned()],
            pty: TerminalSize::new(132, 50),
            ..spec("nightly").rerun(spec("").id, common::BASE_US)
        };
        let again = Spec { rerun_of: first, ..again };
        let third = Spec { rerun_of: Some(again.id), id: spec("").id, ..again.clone() };
        let mut record = TestRecord::start_of(storage, again);
        record.end(Status::Failed);
        let mut record = TestRecord::start_of(storage, third);
        record.emit(EventKind::Paused { why: "the disk is full".to_owned() });
        record.emit(EventKind::Resumed {});
        let cancel = EventKind::CancelRequested { reason: Reason::User, by: "the web page".into() };
        record.emit(cancel);
        record.end(Status::Cancelled);
        last = Some(record.id);
    })
    .await;
    let path = format!("/api/executions/{}/spec", last.unwrap());
    let asked = server.ask("GET", &path).send().await.json();
    assert_eq!(asked["args"], json!(["sh", "-c", "a\nb", ""]));
    assert_eq!((&asked["timeout_seconds"], &asked["grace_seconds"]), (&json!(90.5), &json!(0.25)));
    assert_eq!((&asked["stop_on_error"], &asked["bound"]), (&json!(true), &json!(false)));
    assert_eq!((&asked["mask_env"], &asked["can_rerun"]), (&json!(["TOKEN"]), &json!(true)));
    assert_eq!(asked["terminal"], json!({"cols": 132, "rows": 50}));
    let repeats = asked["repeats"].as_array().unwrap();
    assert_eq!((repeats.len(), &repeats[0]), (2, &json!(first)), "the first of all is first");
    let moments: Vec<(&str, &Value)> = asked["moments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|moment| (moment["state"].as_str().unwrap(), &moment["note"]))
        .collect();
    let (full, who) = (json!("the disk is full"), json!("the web page"));
    let expected = [
        ("pending", &Value::Null),
        ("running", &Value::Null),
        ("paused", &full),
        ("running", &Value::Null),
        ("cancelling", &who),
        ("cancelled", &Value::Null),
    ];
    assert_eq!(moments, expected);
    let times = asked["moments"].as_array().unwrap().iter().map(|moment| moment["time"].as_str());
    assert!(times.is_sorted(), "in order");
    server.stop().await;
}
