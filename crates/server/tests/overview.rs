//! What the dashboard asks for: the headline of a range, and how names went lately.
#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "helpers of tests; figures are exact")]

mod common;

use common::{TestRecord, TestServer};
use serde_json::{Value, json};
use stepflow_model::{ExecutionId, Status};
use stepflow_record::Storage;
use stepflow_server::Auth;
use stepflow_sys::clock;

const HOUR_US: i64 = 3_600_000_000;
/// What a record's own two events take.
const OWN_US: u64 = 1_000;

/// A record that was created `ago_us` ago, took so many seconds, and printed so many bytes.
fn ended(
    storage: &Storage,
    name: &str,
    ago_us: i64,
    end: Status,
    seconds: u64,
    bytes: usize,
) -> ExecutionId {
    let mut record = TestRecord::start_at(storage, name, clock::wall_us() - ago_us);
    if bytes > 0 {
        record.print("x".repeat(bytes - 1) + "\n");
    }
    record.wait_us(seconds * 1_000_000 - OWN_US);
    record.end(end);
    record.id
}

async fn overview(server: &TestServer, range: &str) -> Value {
    let answer = server.get(&format!("/api/executions/overview{range}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn ask_strips(server: &TestServer, ids: String) -> common::Answer {
    server.get(&format!("/api/executions/strips?ids={ids}")).await
}

// Page: U1 the headline figures and their trend
#[tokio::test]
async fn a_range_is_counted_whole_and_in_its_parts() {
    let mut running = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        // A quarter of an hour before the end of each part, so that none is at an edge.
        let quarter = HOUR_US / 4;
        for seconds in [1, 2, 3, 10] {
            ended(storage, "build", quarter, Status::Completed, seconds, 100);
        }
        ended(storage, "build", quarter, Status::Failed, 500, 0);
        ended(storage, "build", 3 * HOUR_US + quarter, Status::Cancelled, 900, 40);
        ended(storage, "build", 30 * HOUR_US + quarter, Status::Completed, 20, 1_000);
        ended(storage, "build", 8 * 24 * HOUR_US, Status::Failed, 7, 5);
        ended(storage, "build", 40 * 24 * HOUR_US, Status::Completed, 7, 5);
        running = Some(TestRecord::start_at(storage, "build", clock::wall_us() - quarter));
    })
    .await;
    server.listed(10).await;

    let day = overview(&server, "?range=24h").await;
    assert_eq!(day["range"], "24h");
    let figures = ["runs", "completed", "failed", "cancelled", "bytes", "running", "queued"];
    let of = |found: &Value| figures.map(|name| found[name].as_u64().unwrap());
    assert_eq!(of(&day), [7, 4, 1, 1, 440, 1, 0], "{day}");
    // What was cancelled is judged neither way, and only what passed has a duration.
    assert_eq!(day["success_ratio"], 0.8);
    assert_eq!((&day["median_seconds"], &day["p95_seconds"]), (&json!(2.0), &json!(10.0)));
    let parts = day["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 24);
    let runs: Vec<u64> = parts.iter().map(|part| part["runs"].as_u64().unwrap()).collect();
    assert_eq!((runs[23], runs[20], runs.iter().sum::<u64>()), (6, 1, 7), "{runs:?}");
    assert_eq!((&parts[23]["success_ratio"], &parts[23]["bytes"]), (&json!(0.8), &json!(400)));
    // Nothing is not none of a hundred: a part in which nothing was judged has no ratio.
    assert_eq!(
        (&parts[20]["success_ratio"], &parts[20]["median_seconds"]),
        (&Value::Null, &Value::Null)
    );

    let week = overview(&server, "").await;
    assert_eq!((&week["range"], week["parts"].as_array().unwrap().len()), (&json!("7d"), 28));
    assert_eq!(of(&week), [8, 5, 1, 1, 1_440, 1, 0]);
    assert_eq!(week["p95_seconds"], 20.0);
    let month = overview(&server, "?range=30d").await;
    assert_eq!(month["parts"].as_array().unwrap().len(), 30);
    assert_eq!(of(&month), [9, 5, 2, 1, 1_445, 1, 0]);
    let first = month["parts"][0]["since"].as_str().unwrap();
    assert_eq!(month["since"], first, "the parts begin where the range does");

    for wrong in ["1h", "7", "24H", "-7d"] {
        let answer = server.get(&format!("/api/executions/overview?range={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("24h, 7d or 30d"));
    }
    running.unwrap().end(Status::Completed);
    server.stop().await;
}

// Page: U1 U2 the last twenty of a name, and how long it usually takes
#[tokio::test]
async fn a_strip_has_the_last_twenty_of_a_name_and_what_they_usually_take() {
    let mut ids = Vec::new();
    let mut other = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        for n in 0..25 {
            // The older, the longer; every fifth one failed, and does not count as usual.
            let end = if n % 5 == 4 { Status::Failed } else { Status::Completed };
            let seconds = if n % 5 == 4 { 5_000 } else { 100 - 2 * n as u64 };
            ids.push(ended(storage, "a, \"b\" <c>", (25 - n) * HOUR_US, end, seconds, 0));
        }
        other = Some(ended(storage, "other", HOUR_US, Status::Cancelled, 3, 0));
    })
    .await;
    server.listed(26).await;
    let other = other.unwrap();
    let ask = |list: String| ask_strips(&server, list);

    let unknown = ExecutionId::new(uuid::Uuid::now_v7());
    let found = ask(format!("{},{unknown},{other},{},", ids[3], ids[24])).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    let strips = found["strips"].as_array().unwrap();
    assert_eq!(strips.len(), 2, "one for each name; who is unknown is passed over");
    assert_eq!(strips[0]["ids"], json!([ids[3].to_string(), ids[24].to_string()]));
    let last = strips[0]["last"].as_array().unwrap();
    let mut shown: Vec<&str> = last.iter().map(|one| one["id"].as_str().unwrap()).collect();
    shown.sort_unstable();
    let mut newest: Vec<String> = ids[5..].iter().map(ToString::to_string).collect();
    newest.sort_unstable();
    assert_eq!(shown, newest, "the newest twenty");
    let failed = last.iter().filter(|one| one["status"] == "failed").count();
    assert_eq!(failed, 4);
    // Twenty passed, of all twenty-five: the median of 100, 98, 96, 94, 90, ... without the failures.
    let mut passes: Vec<u64> = (0..25).filter(|n| n % 5 != 4).map(|n| 100 - 2 * n).collect();
    passes.sort_unstable();
    let median = (passes[9] + passes[10]) as f64 / 2.0;
    let usual = strips[0]["usual_seconds"].as_f64().unwrap();
    assert_eq!(strips[0]["passes"], 20);
    assert!((usual - median).abs() <= 2.0, "{usual} is not about {median}");
    assert_eq!((&strips[1]["passes"], &strips[1]["usual_seconds"]), (&json!(0), &Value::Null));
    assert_eq!(strips[1]["last"][0]["status"], "cancelled");

    assert_eq!(ask(String::new()).await.json(), json!({"strips": []}));
    assert_eq!(ask("nonsense".to_owned()).await.status, 400);
    let many = vec![other.to_string(); 101].join(",");
    let refused = ask(many).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("more than 100"), "{}", refused.text());
    assert_eq!(server.get("/api/executions/strips").await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn neither_is_told_to_strangers() {
    let server = TestServer::start(Auth::On).await;
    for path in ["/api/executions/overview", "/api/executions/strips?ids="] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
        let (token, _) = server.token("viewer", None).await;
        assert_eq!(server.ask("GET", path).bearer(&token).send().await.status, 200, "{path}");
    }
    server.stop().await;
}
