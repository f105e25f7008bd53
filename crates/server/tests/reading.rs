//! What is recorded, over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{TestRecord, TestServer, ended_record};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stepflow_model::{ExecutionId, Status};
use stepflow_server::Auth;

async fn with_demo() -> (TestServer, ExecutionId) {
    let mut id = None;
    let server =
        TestServer::start_with(Auth::Off, |storage| id = Some(ended_record(storage))).await;
    (server, id.unwrap())
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Waits until the catalog knows the end: at most two seconds after the start, usually at once.
async fn listed(server: &TestServer, id: ExecutionId) -> Value {
    loop {
        let list = server.get("/api/executions?status=completed").await.json();
        if list["executions"].as_array().unwrap().iter().any(|e| e["id"] == id.to_string()) {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn objects_have_the_originals_keys_and_ours() {
    let (server, id) = with_demo().await;
    let detail = server.get(&format!("/api/executions/{id}")).await.json();
    assert_eq!(detail["status"], 200);
    let execution = &detail["execution"];
    for key in [
        "id",
        "name",
        "command",
        "working_directory",
        "status",
        "exit_code",
        "error_message",
        "created_at",
        "started_at",
        "completed_at",
        "environment",
        "user",
        "tags",
        "total_steps",
        "completed_steps",
        "current_step_index",
        "duration_seconds",
        "progress_percentage",
        "metadata",
        "reason",
        "signal",
        "cancelling",
        "paused",
        "failed_steps",
        "current_step_name",
        "lines",
        "bytes",
        "warnings",
        "artifacts_count",
        "source",
        "containment",
        "host",
    ] {
        assert!(execution.get(key).is_some(), "execution.{key}");
    }
    assert_eq!(execution["status"], "completed");
    assert_eq!(execution["command"], "bash demo.sh");
    assert_eq!(execution["created_at"], "2026-11-22T20:00:00.000000Z");
    assert_eq!(execution["progress_percentage"], 100.0);
    assert_eq!(execution["warnings"], 1);
    assert_eq!(execution["current_step_index"], 1);
    let step = &detail["steps"][0];
    for key in [
        "id",
        "execution_id",
        "name",
        "description",
        "index",
        "status",
        "exit_code",
        "error_message",
        "created_at",
        "started_at",
        "completed_at",
        "estimated_duration",
        "duration_seconds",
        "logs",
        "metadata",
        "is_finished",
        "stop_on_error",
        "parent",
        "key",
        "depth",
        "first_line",
        "last_line",
        "start_offset",
        "end_offset",
    ] {
        assert!(step.get(key).is_some(), "step.{key}");
    }
    let artifact = &detail["artifacts"][0];
    for key in [
        "id",
        "execution_id",
        "step_id",
        "name",
        "description",
        "file_path",
        "file_name",
        "file_size",
        "file_size_human",
        "mime_type",
        "artifact_type",
        "file_extension",
        "created_at",
        "tags",
        "metadata",
        "is_public",
        "retention_days",
        "exists",
        "download_url",
        "is_expired",
        "sha256",
        "problem",
        "changed",
    ] {
        assert!(artifact.get(key).is_some(), "artifact.{key}");
    }
    assert_eq!(artifact["file_size_human"], "25.0 B");
    assert_eq!(artifact["mime_type"], "text/html");
    let missing = &detail["artifacts"][1];
    assert_eq!((&missing["file_name"], &missing["exists"]), (&json!(""), &json!(false)));
    assert_eq!(keys(&detail["annotations"][0]), ["code", "line", "message", "step", "time"]);
    server.stop().await;
}

#[tokio::test]
async fn a_steps_log_is_what_it_printed_without_markers() {
    let (server, id) = with_demo().await;
    let detail = server.get(&format!("/api/executions/{id}")).await;
    assert_eq!(detail.header("content-type"), "application/json");
    let detail = detail.json();
    let content = |step: usize| -> Vec<&str> {
        let logs = detail["steps"][step]["logs"].as_array().unwrap();
        logs.iter().map(|entry| entry["content"].as_str().unwrap()).collect()
    };
    assert_eq!(content(0), ["compiling é", "bad \u{fffd}\u{fffd}"]);
    assert_eq!(content(1), ["1 ok", "2 ok"]);
    assert_eq!(keys(&detail["steps"][0]["logs"][0]), ["content", "level", "timestamp"]);
    let without = server.get(&format!("/api/executions/{id}?logs=0")).await.json();
    assert_eq!(without["steps"][0]["logs"], json!([]));
    assert_eq!(without["artifacts"], detail["artifacts"]);
    server.stop().await;
}

#[tokio::test]
async fn a_long_log_is_streamed_whole() {
    let mut id = None;
    let lines = 20_000;
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "long");
        record.step(0, "Count");
        for block in 0..lines / 100 {
            let line = |n| format!("line {} \"é\"\n", block * 100 + n);
            let text = (0..100).map(line).collect::<Vec<_>>().concat();
            record.print(text);
        }
        record.print("x".repeat(200_000) + "\n");
        record.step_ends(0, "Count");
        record.end(Status::Completed);
        id = Some(record.id);
    })
    .await;
    let detail = server.get(&format!("/api/executions/{}", id.unwrap())).await.json();
    let logs = detail["steps"][0]["logs"].as_array().unwrap();
    for (n, entry) in logs[..lines].iter().enumerate() {
        assert_eq!(entry["content"], format!("line {n} \"é\""));
    }
    let rest: usize = logs[lines..].iter().map(|e| e["content"].as_str().unwrap().len()).sum();
    assert_eq!(rest, 200_000);
    server.stop().await;
}

#[tokio::test]
async fn any_range_of_lines_can_be_read() {
    let (server, id) = with_demo().await;
    let log = |query: &str| {
        let path = format!("/api/executions/{id}/log{query}");
        let server = &server;
        async move { server.get(&path).await }
    };
    let all = log("").await.json();
    assert_eq!(keys(&all), ["cursor", "ended", "from_line", "lines", "total_bytes", "total_lines"]);
    assert_eq!((&all["total_lines"], &all["ended"]), (&json!(11), &json!(true)));
    let lines = all["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 12, "eleven lines and a half one");
    assert_eq!(
        lines[0],
        json!({"n": 1, "t": "2026-11-22T20:00:00.000000Z", "stream": "stdout", "offset": 0,
               "bytes": 6, "text": "hello", "partial": false, "continued": false, "lossy": false,
               "rest": 0, "step": null})
    );
    assert_eq!((&lines[1]["text"], &lines[1]["step"]), (&json!("STEP_START:Build"), &json!(0)));
    assert_eq!((&lines[3]["lossy"], &lines[2]["lossy"]), (&json!(true), &json!(false)));
    assert_eq!((&lines[11]["text"], &lines[11]["partial"]), (&json!("bye"), &json!(true)));
    assert_eq!(lines[11]["step"], Value::Null);
    let mut offset = 0;
    for line in lines {
        assert_eq!(line["offset"], offset);
        offset += line["bytes"].as_u64().unwrap();
    }
    assert_eq!(all["total_bytes"], offset);
    assert!(all["cursor"].as_str().unwrap().starts_with(&format!("{offset}.")));

    let some = log("?from_line=3&limit=2").await.json();
    assert_eq!(some["lines"].as_array().unwrap()[..], lines[2..4]);
    let tail = log("?tail=3").await.json();
    assert_eq!(tail["lines"].as_array().unwrap()[..], lines[9..]);
    assert_eq!(tail["from_line"], 10);
    assert_eq!(log("?from_line=100").await.json()["lines"], json!([]));
    assert_eq!(log("?tail=0").await.json()["lines"], json!([]));
    for bad in ["?from_line=0", "?from_line=x", "?limit=-1", "?tail=1&from_line=1"] {
        assert_eq!(log(bad).await.status, 400, "{bad}");
    }
    server.stop().await;
}

#[tokio::test]
async fn raw_bytes_come_whole_or_in_ranges() {
    let (server, id) = with_demo().await;
    let path = format!("/api/executions/{id}/log/raw");
    let whole = server.get(&path).await;
    let expected = std::fs::read(server.storage.record_dir(id).join("output.log")).unwrap();
    assert_eq!(whole.body, expected);
    assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(whole.header("content-length"), expected.len().to_string());
    let part = server.ask("GET", &path).header("range", "bytes=2-5").send().await;
    assert_eq!((part.status, &part.body[..]), (206, &expected[2..6]));
    assert_eq!(part.header("content-range"), format!("bytes 2-5/{}", expected.len()));
    let end = server.ask("GET", &path).header("range", "bytes=-3").send().await;
    assert_eq!(&end.body[..], b"bye");
    let beyond = server.ask("GET", &path).header("range", "bytes=9999-").send().await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", expected.len()));
    server.stop().await;
}

#[tokio::test]
async fn bytes_without_an_index_entry_are_not_shown() {
    let server = TestServer::start(Auth::Off).await;
    let mut record = TestRecord::start(&server.storage, "live");
    record.print("shown\n");
    // As after a write whose index entry is still to come.
    let mut file =
        std::fs::OpenOptions::new().append(true).open(record.dir.join("output.log")).unwrap();
    std::io::Write::write_all(&mut file, b"not yet\n").unwrap();
    let raw = server.get(&format!("/api/executions/{}/log/raw", record.id)).await;
    assert_eq!(raw.text(), "shown\n");
    let log = server.get(&format!("/api/executions/{}/log", record.id)).await.json();
    assert_eq!((&log["total_bytes"], &log["ended"]), (&json!(6), &json!(false)));
    record.die();
    server.stop().await;
}

#[tokio::test]
async fn a_page_cannot_be_made_of_an_artifact() {
    let (server, id) = with_demo().await;
    let get = |path: String| {
        let server = &server;
        async move { server.get(&path).await }
    };
    let file = get(format!("/api/artifacts/{id}-a0/download")).await;
    assert_eq!(file.text(), "<script>alert(1)</script>");
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert!(file.header("content-security-policy").starts_with("sandbox"));
    assert!(file.header("content-disposition").starts_with("attachment; filename=\"report.html\""));
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    let range = server
        .ask("GET", &format!("/api/artifacts/{id}-a0/download"))
        .header("range", "bytes=0-0")
        .send()
        .await;
    assert_eq!((range.status, range.text().as_str()), (206, "<"));
    assert_eq!(get(format!("/api/artifacts/{id}-a1/download")).await.status, 404);
    assert_eq!(get(format!("/api/artifacts/{id}-a9")).await.status, 404);
    assert_eq!(get(format!("/api/artifacts/{id}-a0")).await.json()["name"], "report.html");
    // In place it is a document that can do nothing; with scripts it still belongs to nobody.
    let shown = get(format!("/api/artifacts/{id}-a0/content")).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = shown.header("content-security-policy");
    assert!(policy.starts_with("sandbox; default-src 'none';"), "{policy}");
    assert!(!policy.contains("script"), "{policy}");
    let scripted = get(format!("/api/artifacts/{id}-a0/content?scripts=1")).await;
    let policy = scripted.header("content-security-policy");
    assert!(policy.starts_with("sandbox allow-scripts; default-src 'none';"), "{policy}");
    assert!(!policy.contains("allow-same-origin") && !policy.contains("connect-src"), "{policy}");
    assert_eq!(get(format!("/api/artifacts/{id}-a1/content")).await.status, 404);
    let of = get(format!("/api/artifacts/execution/{id}")).await.json();
    assert_eq!(of["count"], 2);
    listed(&server, id).await;
    let all = get("/api/artifacts?limit=1".to_owned()).await.json();
    assert_eq!((&all["count"], &all["has_more"]), (&json!(1), &json!(true)));
    let next = all["next_before"].as_str().unwrap();
    let rest = get(format!("/api/artifacts?limit=1&before={next}")).await.json();
    assert_ne!(rest["artifacts"][0]["id"], all["artifacts"][0]["id"]);
    assert_eq!(rest["has_more"], false);
    server.stop().await;
}

#[tokio::test]
async fn a_list_is_paged_filtered_and_counted() {
    let mut last = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        for _ in 0..5 {
            last = Some(ended_record(storage));
        }
    })
    .await;
    loop {
        let list = listed(&server, last.unwrap()).await;
        if list["total_count"] == 5 {
            break;
        }
    }
    let get = |path: &'static str| {
        let server = &server;
        async move { server.get(path).await }
    };
    let page = get("/api/executions?limit=2").await.json();
    for key in [
        "executions",
        "limit",
        "offset",
        "count",
        "total_count",
        "has_more",
        "next_before",
        "status",
    ] {
        assert!(page.get(key).is_some(), "{key}");
    }
    assert_eq!(page["executions"][0]["id"], last.unwrap().to_string(), "newest first");
    let mut seen = 2;
    let mut next = page["next_before"].as_str().map(str::to_owned);
    while let Some(before) = next {
        let page = server.get(&format!("/api/executions?limit=2&before={before}")).await.json();
        seen += page["count"].as_u64().unwrap();
        next = page["next_before"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 5);
    assert_eq!(get("/api/executions?limit=0").await.json()["count"], 0);
    assert_eq!(get("/api/executions?limit=5000").await.json()["limit"], 1000);
    assert_eq!(get("/api/executions?user=ada&tag=demo&name=demo").await.json()["count"], 5);
    assert_eq!(get("/api/executions?status=failed").await.json()["count"], 0);
    for (condition, count) in [
        ("name_contains=DEM", 5),
        ("name_contains=%25", 0),
        ("since=2020-01-01", 5),
        ("since=2020-01-01T00:00:00%2B01:00&until=2099-01-01", 5),
        ("until=2020-01-01", 0),
        ("until=0s&since=3650d", 5),
    ] {
        let answer = server.get(&format!("/api/executions?{condition}")).await.json();
        assert_eq!(answer["count"], count, "{condition}");
        assert_eq!(answer["total_count"], count, "{condition}");
    }
    let bad_conditions =
        ["limit=-1", "limit=abc", "offset=-1", "status=bogus", "before=x", "since=soon", "until=1"];
    for bad in bad_conditions {
        let answer = server.get(&format!("/api/executions?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    let bogus = get("/api/executions?status=bogus").await.json();
    assert_eq!(bogus["error"], "Invalid status: bogus");
    let statistics = get("/api/executions/statistics").await.json();
    assert_eq!(statistics["total_executions"], 5);
    assert_eq!(statistics["success_rate"], "100.0%");
    assert_eq!(statistics["by_status"]["completed"], 5);
    let unknown = get("/api/executions/0198c2aa-0000-7000-8000-000000000001").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"], "Execution not found");
    server.stop().await;
}

/// The events of a stream that ends: kind, id, data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |block: &str, name: &str| {
        let prefix = format!("{name}: ");
        let line = block.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_default().to_owned()
    };
    text.split("\n\n")
        .filter(|block| block.starts_with("event:"))
        .map(|block| {
            let data = serde_json::from_str(&field(block, "data")).unwrap();
            (field(block, "event"), field(block, "id"), data)
        })
        .collect()
}

fn text_of(events: &[(String, String, Value)]) -> String {
    let lines = events.iter().filter(|event| event.0 == "lines");
    let lines = lines.flat_map(|event| event.2["lines"].as_array().unwrap());
    lines.fold(String::new(), |text, line| {
        let end = if line["partial"] == true { "" } else { "\n" };
        text + line["text"].as_str().unwrap() + end
    })
}

#[tokio::test]
async fn a_stream_of_events_resumes_at_every_one_of_its_ids() {
    let (server, id) = with_demo().await;
    let path = format!("/api/executions/{id}/events");
    let whole = server.get(&path).await;
    assert_eq!(whole.header("content-type"), "text/event-stream");
    let all = events(&whole.text());
    assert_eq!(all.last().unwrap().0, "end");
    let expected = std::fs::read(server.storage.record_dir(id).join("output.log")).unwrap();
    assert_eq!(text_of(&all), String::from_utf8_lossy(&expected));
    let journal: Vec<u64> = all
        .iter()
        .filter(|event| event.0 == "event")
        .map(|event| event.2["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(journal, (1..=journal.len() as u64).collect::<Vec<_>>());

    for (at, (_, cursor, _)) in all.iter().enumerate() {
        let rest = server.ask("GET", &path).header("last-event-id", cursor).send().await;
        let rest = events(&rest.text());
        let joined = text_of(&all[..=at]) + &text_of(&rest);
        assert_eq!(joined, String::from_utf8_lossy(&expected), "from {cursor}");
    }
    // At every byte, also inside a character.
    for offset in 0..=expected.len() {
        let rest = server.get(&format!("{path}?cursor={offset}.0")).await;
        let text = text_of(&events(&rest.text()));
        assert_eq!(text, String::from_utf8_lossy(&expected[offset..]), "from {offset}");
    }
    assert_eq!(server.get(&format!("{path}?cursor=x")).await.status, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_running_execution_goes_on_until_its_end() {
    let server = TestServer::start(Auth::Off).await;
    let mut record = TestRecord::start(&server.storage, "live");
    record.print("one\ntw");
    let path = format!("/api/executions/{}/events", record.id);
    let mut body = server.ask("GET", &path).open().await.into_body();
    let mut text = String::new();
    let mut wait_for = async |wanted: &str, text: &mut String| {
        while !text.contains(wanted) {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    wait_for("\"tw\"", &mut text).await;
    record.print("o\n");
    record.ring();
    wait_for("\"o\"", &mut text).await;
    record.print("tail");
    record.end(Status::Completed);
    record.ring();
    wait_for("event: end", &mut text).await;
    assert_eq!(text_of(&events(&text)), "one\ntwo\ntail");
    server.stop().await;
}
