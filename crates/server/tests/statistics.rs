//! A time range in figures, against a count by hand.
#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "helpers of tests; figures are exact")]

mod common;

use common::{TestRecord, TestServer};
use stepflow_model::{Status, StepStatus};
use stepflow_server::Auth;

#[tokio::test]
async fn a_range_is_counted_by_result_reason_hour_and_step() {
    let ends = [
        Status::Completed,
        Status::Failed,
        Status::Completed,
        Status::Completed,
        Status::Cancelled,
        Status::Failed,
    ];
    let server = TestServer::start_with(Auth::Off, |storage| {
        for (at, end) in ends.into_iter().enumerate() {
            let mut record = TestRecord::start(storage, "build");
            record.step(0, "Compile");
            record.print(format!("{}\n", "x".repeat(at)));
            match end {
                Status::Completed => record.step_ends(0, "Compile"),
                Status::Failed => record.step_ends_as(0, StepStatus::Failed),
                _ => record.step_ends_as(0, StepStatus::Cancelled),
            }
            record.end(end);
        }
        TestRecord::start(storage, "other").end(Status::Completed);
    })
    .await;
    server.listed(7).await;
    let ask = |query: &'static str| server.ask("GET", query).send();
    let found = ask("/api/statistics?since=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z").await;
    let found = found.json();
    let whole = &found["whole"];
    // Records of tests are created on a Sunday, at eight in the evening UTC.
    assert_eq!(whole["runs"], 7, "{found}");
    assert_eq!((&whole["completed"], &whole["failed"]), (&4.into(), &2.into()));
    assert_eq!(whole["cancelled"], 1);
    assert_eq!(found["part_seconds"], 86_400);
    let parts = found["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[21]["runs"]), (30, &7.into()));
    assert_eq!(parts[20]["runs"], 0);
    assert_eq!(found["week"][6][20]["runs"], 7);
    let east =
        "/api/statistics?since=2026-11-22T00:00:00Z&until=2026-11-24T00:00:00Z&utc_offset_min=300";
    let east = ask(east).await.json();
    assert_eq!(east["part_seconds"], 3_600);
    assert_eq!(east["week"][0][1]["failed"], 2, "five hours east it is Monday already");
    let steps = found["flakiest_steps"].as_array().unwrap();
    assert_eq!((&steps[0]["step"], &steps[0]["passed"]), (&"Compile".into(), &3.into()));
    assert_eq!(steps[0]["failed"], 2, "what was cancelled is neither");
    for wrong in
        ["since=2026-01-02&until=2026-01-01", "since=2020-01-01&until=2026-01-01", "since=x"]
    {
        assert_eq!(server.get(&format!("/api/statistics?{wrong}")).await.status, 400, "{wrong}");
    }
    // What is deleted is no longer counted.
    let list = server.get("/api/executions?name=other").await.json();
    let id = list["executions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.ask("DELETE", &format!("/api/executions/{id}")).send().await.status, 200);
    let after = server.get("/api/statistics?since=2026-11-01&until=2026-12-01").await.json();
    assert_eq!(after["whole"]["runs"], 6);
}
