//! Health, figures and maintenance of a real server.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests; figures are whole numbers"
)]

mod common;

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use common::{TestRecord, TestServer, ended_record};
use stepflow_model::Status;
use stepflow_server::Auth;

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_open_route_says_how_the_server_is_and_nothing_else() {
    let server = TestServer::start(Auth::On).await;
    let health = server.get("/api/health").await;
    assert_eq!(health.status, 200);
    let health = health.json();
    for (key, value) in
        [("status", "healthy"), ("database", "ok"), ("websocket", "ok"), ("storage", "ok")]
    {
        assert_eq!(health[key], value);
    }
    assert_eq!(health["service"], "StepFlow Monitor");
    assert!(health["uptime_seconds"].as_f64().unwrap() >= 0.0);
    assert!(!health.to_string().contains(server.storage.root().to_str().unwrap()));

    // As when a disk is unmounted under the server.
    std::fs::rename(server.storage.root(), server.storage.root().with_extension("away")).unwrap();
    let health = turns(&server, 503).await;
    assert_eq!((&health["status"], &health["storage"]), (&"unhealthy".into(), &"failed".into()));
    std::fs::rename(server.storage.root().with_extension("away"), server.storage.root()).unwrap();
    turns(&server, 200).await;
    server.stop().await;
}

/// What `/api/health` says once its status is this, which is a moment after it is so.
async fn turns(server: &TestServer, status: u16) -> serde_json::Value {
    let asked = async {
        loop {
            let health = server.get("/api/health").await;
            if health.status == status {
                return health.json();
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.unwrap()
}

#[tokio::test]
async fn the_status_names_every_part() {
    let server = TestServer::start(Auth::Off).await;
    let status = server.get("/api/health/status").await;
    let status = status.json();
    let parts = status["components"].as_object().unwrap();
    assert_eq!(
        parts.keys().collect::<Vec<_>>(),
        ["database", "engine", "storage", "websocket"],
        "{status}"
    );
    for (name, part) in parts {
        assert!(!part["detail"].as_str().unwrap().is_empty(), "{name}");
        assert!(["ok", "degraded"].contains(&part["status"].as_str().unwrap()), "{name}: {part}");
    }
    server.stop().await;
}

#[tokio::test]
async fn prometheus_understands_the_metrics_and_they_say_what_happened() {
    let mut live = None;
    let server = TestServer::start_with(Auth::On, |storage| {
        ended_record(storage);
        live = Some(TestRecord::start(storage, "live"));
    })
    .await;
    let mut live = live.unwrap();
    let (viewer, _) = server.token("viewer", None).await;
    assert_eq!(server.get("/metrics").await.status, 401);
    let scrape = || server.ask("GET", "/metrics").bearer(&viewer);

    // A follower is connected, one viewer watches, and some output is not synced.
    live.print("hello\n");
    live.ring();
    let path = format!("/api/executions/{}/events", live.id);
    let stream = server.ask("GET", &path).bearer(&viewer).open().await;
    for _ in 0..3 {
        assert_eq!(server.ask("GET", "/api/executions").bearer(&viewer).send().await.status, 200);
    }
    assert_eq!(server.get("/nope").await.status, 404);
    let found = loop {
        let answer = scrape().send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        let text = answer.text();
        let found = samples(&text);
        // The end of a record is committed by its follower, in its own time.
        if found["stepflow_executions_ended_total{status=\"completed\"}"] == 1.0
            && found["stepflow_output_unsynced_bytes"] == 6.0
        {
            check_with_promtool(&text);
            break found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let is = |name: &str, value: f64| {
        assert_eq!(found.get(name), Some(&value), "{name}");
    };
    is("stepflow_executions{status=\"completed\"}", 1.0);
    is("stepflow_executions_live{status=\"running\"}", 1.0);
    is("stepflow_recorders_connected", 1.0);
    is("stepflow_viewers{kind=\"sse\"}", 1.0);
    is("stepflow_viewers{kind=\"websocket\"}", 0.0);
    is("stepflow_catalog_up", 1.0);
    is("stepflow_catalog_queue_batches_max", 4096.0);
    is(r#"stepflow_http_requests_total{method="GET",route="/api/executions",status="200"}"#, 3.0);
    is(r#"stepflow_http_requests_total{method="GET",route="/metrics",status="401"}"#, 1.0);
    is(r#"stepflow_http_requests_total{method="",route="other",status="404"}"#, 1.0);
    let route = r#"method="GET",route="/api/executions""#;
    is(&format!("stepflow_http_request_duration_seconds_count{{{route}}}"), 3.0);
    is(&format!("stepflow_http_request_duration_seconds_bucket{{{route},le=\"+Inf\"}}"), 3.0);
    for name in [
        "stepflow_catalog_commits_total",
        "stepflow_catalog_commit_duration_seconds_count",
        "stepflow_catalog_read_duration_seconds_sum",
        "stepflow_catalog_database_bytes",
        "stepflow_catalog_cache_hits_total",
        "stepflow_storage_free_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(found[name] > 0.0, "{name}");
    }

    drop(stream);
    live.end(Status::Completed);
    live.ring();
    loop {
        let found = samples(&scrape().send().await.text());
        if found["stepflow_viewers{kind=\"sse\"}"] == 0.0
            && found["stepflow_executions_live{status=\"running\"}"] == 0.0
            && found["stepflow_recorders_connected"] == 0.0
            && found["stepflow_output_unsynced_bytes"] == 0.0
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.stop().await;
}

fn check_with_promtool(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian package `prometheus`; `cargo xtask test` installs it)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words =
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}\n{text}");
}

#[tokio::test]
async fn json_and_prometheus_say_the_same() {
    let server = TestServer::start_with(Auth::Off, |storage| {
        ended_record(storage);
    })
    .await;
    server.get("/api/health").await; // Counted when it is answered.
    let json = loop {
        let json = server.get("/api/health/metrics").await.json();
        if json["executions"]["by_status"]["completed"] == 1 {
            break json;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let text = samples(&server.get("/metrics").await.text());
    assert_eq!(json["process"]["max_fds"].as_f64(), Some(text["process_max_fds"]));
    assert_eq!(json["database"]["queue_max"], 4096);
    assert!(json["http"]["requests"].as_u64().unwrap() >= 1);
    assert!(json["http"]["connections"].as_u64().unwrap() >= 1, "this one");
    let database = server.get("/api/health/database").await.json();
    assert_eq!(database["journal_mode"], "wal");
    assert_eq!(database["file"]["page_bytes"], 4096);
    assert_eq!(database["status"], "ok", "{database}");
    assert!(database["findings"].as_array().unwrap().is_empty());
    assert!(database["read"]["p99_seconds"].as_f64().is_some());
    server.stop().await;
}

#[tokio::test]
async fn maintenance_is_for_operators_and_says_what_it_did() {
    let server = TestServer::start(Auth::On).await;
    let (viewer, _) = server.token("viewer", None).await;
    let (operator, _) = server.token("operator", None).await;
    let ask = |token| server.ask("POST", "/api/health/optimize").bearer(token);
    assert_eq!(ask(&viewer).send().await.status, 403);
    let done = ask(&operator).send().await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json();
    assert_eq!((done["tables_analyzed"].as_u64(), done["status"].as_str()), (Some(7), Some("ok")));
    assert_eq!(done["after"]["wal_bytes"], 0, "{done}");
    assert!(done["slices"].as_u64().unwrap() >= 8);
    server.stop().await;
}

#[tokio::test]
async fn the_last_day_is_told_and_a_bundle_holds_nothing_of_a_script() {
    const SECRET: &str = "hunter22-hunter22";
    let server = TestServer::start_with(Auth::On, |storage| {
        let mut record = TestRecord::start(storage, &format!("name-{SECRET}"));
        record.print(format!("output {SECRET}\n"));
        record.step(0, SECRET);
        record.end(Status::Completed);
    })
    .await;
    server.listed(1).await;
    let (token, _) = server.token("operator", None).await;
    let ask = |path: &'static str| server.ask_socket("GET", path).send();
    let history = ask("/api/health/history").await.json();
    let samples = history["samples"].as_array().unwrap();
    let last = samples.last().unwrap();
    assert_eq!(history["every_seconds"], 60);
    for figure in ["resident_bytes", "open_fds", "database_bytes", "free_bytes", "space_bytes"] {
        assert!(last[figure].as_u64().unwrap() > 0, "{figure}");
    }
    assert!(last["free_bytes"].as_u64() <= last["space_bytes"].as_u64());
    let bundle = ask("/api/health/bundle").await;
    assert_eq!(bundle.status, 200);
    let text = bundle.json().to_string();
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains(&token[..12]), "no token");
    assert_eq!(bundle.json()["metrics"]["executions"]["by_status"]["completed"], 1);
    let home = server.storage.root().display().to_string();
    assert!(!text.contains(&home), "no path of this host");
    assert_eq!(bundle.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(bundle.json()["metrics"]["executions"]["running_max"], 10);
}
