//! One text in many logs, over HTTP: what is found is what each log's own search finds, whatever form
//! the log has.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{BASE_US, TestRecord, TestServer, spec};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stepflow_model::{ExecutionId, Spec, Status};
use stepflow_record::{Compression, Storage};
use stepflow_server::Auth;

type Lines = BTreeMap<String, Vec<u64>>;

/// Enough text that a search has several blocks to skip.
fn filler(from: u32) -> String {
    let lines = (from..from + 12_000).map(|n| format!("[{n}] compiled thing number {n} in 3 ms"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn start(storage: &Storage, number: i64, name: &str, tags: &[&str]) -> TestRecord {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    TestRecord::start_of(storage, Spec { created_us: BASE_US + number, tags, ..spec(name) })
}

fn compressed(storage: &Storage, id: ExecutionId) {
    let done = storage.compress(id, Some(stepflow_view::filter), &mut || true).unwrap();
    assert!(matches!(done, Compression::Done { .. }), "{done:?}");
}

/// Ended and compressed, ended, running, and one whose middle is gone; each has the word.
fn some(storage: &Storage) -> Vec<TestRecord> {
    let mut build = start(storage, 1, "build", &["nightly"]);
    build.print(filler(0));
    build.step(0, "Compile");
    build.print("\x1b[31mneed\x1b[1mle\x1b[0m in colour\nworking\rneedle over it\n");
    build.step_ends(0, "Compile");
    build.print(filler(20_000));
    build.print("Needle at the end, half a line");
    build.end(Status::Failed);
    compressed(storage, build.id);
    let mut quiet = start(storage, 2, "quiet", &["nightly"]);
    quiet.print(filler(0));
    quiet.end(Status::Completed);
    compressed(storage, quiet.id);
    let mut plain = start(storage, 3, "test suite", &[]);
    plain.print("a needle\nnothing\nneedle needle\n");
    plain.end(Status::Completed);
    let mut gapped = start(storage, 4, "long", &[]);
    gapped.print("first needle\n");
    for _ in 0..8 {
        gapped.print(filler(0));
        gapped.print("a needle that may be gone\n");
    }
    gapped.drop_middle(1 << 20);
    gapped.print("last needle\n");
    gapped.end(Status::Completed);
    compressed(storage, gapped.id);
    let mut runs = start(storage, 5, "runs on", &["nightly"]);
    runs.print("needle while it runs\nneedle that is no line y");
    vec![runs]
}

async fn with_some() -> (TestServer, Vec<TestRecord>) {
    let mut running = Vec::new();
    let server = TestServer::start_with(Auth::Off, |storage| running = some(storage)).await;
    server.listed(5).await;
    (server, running)
}

/// All answers, with one end, however many a slow machine takes.
async fn events(server: &TestServer, query: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    let mut sums = [0; 3];
    let mut cursor = String::new();
    loop {
        let mut part = answer(server, &format!("{query}&cursor={cursor}")).await;
        let mut end = part.pop().unwrap();
        assert_eq!(end["kind"], "end", "{query}");
        all.append(&mut part);
        for (sum, name) in sums.iter_mut().zip(["done", "scanned_bytes", "skipped_bytes"]) {
            *sum += end["progress"][name].as_u64().unwrap();
            end["progress"][name] = (*sum).into();
        }
        if let Some(next) = end["cursor"].as_str() {
            next.clone_into(&mut cursor);
        } else {
            all.push(end);
            return all;
        }
    }
}

async fn answer(server: &TestServer, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/search?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(events: &[Value]) -> Lines {
    let mut lines = Lines::new();
    for event in events.iter().filter(|event| event["kind"] == "found") {
        let id = event["execution"]["id"].as_str().unwrap().to_owned();
        let found = event["lines"].as_array().unwrap();
        lines
            .entry(id)
            .or_default()
            .extend(found.iter().map(|line| line["line"].as_u64().unwrap()));
    }
    lines
}

fn names(events: &[Value]) -> Vec<&str> {
    let found = events.iter().filter(|event| event["kind"] == "found");
    let mut names: Vec<_> =
        found.map(|event| event["execution"]["name"].as_str().unwrap()).collect();
    // An answer may end within a log.
    names.dedup();
    names
}

/// What the searches in each log find, one after the other.
async fn one_by_one(server: &TestServer, query: &str) -> Lines {
    let list = server.get("/api/executions?limit=100").await.json();
    let mut all = Lines::new();
    for execution in list["executions"].as_array().unwrap() {
        let id = execution["id"].as_str().unwrap().to_owned();
        let mut cursor = String::new();
        loop {
            let path =
                format!("/api/executions/{id}/log/search?{query}&limit=2000&cursor={cursor}");
            let answer = server.get(&path).await.json();
            for hit in answer["hits"].as_array().unwrap() {
                all.entry(id.clone()).or_default().push(hit["line"].as_u64().unwrap());
            }
            if answer["complete"] == true {
                break;
            }
            answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
    }
    all
}

#[tokio::test]
async fn what_is_found_is_what_each_log_s_own_search_finds() {
    let (server, _running) = with_some().await;
    for query in [
        "q=needle",
        "q=needle&case=1",
        "q=NEEDLE&case=1",
        "q=needle%20(in%7Cover)&regex=1",
        "q=%5Eneedle&regex=1",
        "q=half%20a%20line",
        "q=thing%20number%201234%20",
        "q=is%20no%20line",
        "q=nowhere%20at%20all",
        "q=ne",
    ] {
        let found = events(&server, query).await;
        assert_eq!(lines(&found), one_by_one(&server, query).await, "{query}");
        let end = found.last().unwrap();
        assert_eq!((&end["kind"], &end["cursor"]), (&json!("end"), &Value::Null), "{query}");
        assert_eq!(end["progress"]["done"], 5, "{query}");
        assert_eq!(end["progress"]["total"], 5, "{query}");
    }
    let found = events(&server, "q=needle").await;
    assert_eq!(names(&found), ["runs on", "long", "test suite", "build"], "newest first");
    let end = &found.last().unwrap()["progress"];
    assert!(end["skipped_bytes"].as_u64() > Some(1 << 20), "most is skipped: {end}");
    assert!(end["scanned_bytes"].as_u64() < end["skipped_bytes"].as_u64(), "{end}");
}

#[tokio::test]
async fn a_hit_says_where_it_is_and_what_stands_there() {
    let (server, _running) = with_some().await;
    let found = events(&server, "q=needle&name=build&context=1").await;
    let found: Vec<&Value> = found.iter().filter(|event| event["kind"] == "found").collect();
    let lines = found[0]["lines"].as_array().unwrap();
    let of = |text: &str| lines.iter().find(|line| line["text"] == text).unwrap();
    let first = of("needle in colour");
    assert_eq!((&first["step"], &first["step_name"]), (&json!(0), &json!("Compile")));
    assert_eq!((&first["spans"], &first["matches"]), (&json!([[0, 6]]), &json!(1)));
    assert_eq!(first["after"][0]["text"], "needle over it");
    let last = of("Needle at the end, half a line");
    assert_eq!((&last["step"], &last["after"]), (&Value::Null, &Value::Null));
    assert_eq!(
        last["before"][0]["line"].as_u64().unwrap() + 1,
        last["line"].as_u64().unwrap(),
        "{last}"
    );
}

#[tokio::test]
async fn conditions_choose_executions_and_a_step_chooses_lines() {
    let (server, _running) = with_some().await;
    for (query, expected) in [
        ("tag=nightly", vec!["runs on", "build"]),
        ("status=failed", vec!["build"]),
        ("name=test%20suite", vec!["test suite"]),
        ("name_contains=ON", vec!["runs on", "long"]),
        ("not_tag=nightly", vec!["long", "test suite"]),
        ("step=compile", vec!["build"]),
        ("step=Other", vec![]),
    ] {
        assert_eq!(
            names(&events(&server, &format!("q=needle&{query}")).await),
            expected,
            "{query}"
        );
    }
    let found = events(&server, "q=needle&step=compile").await;
    assert_eq!(lines(&found).values().next().unwrap().len(), 2);
}

#[tokio::test]
async fn parts_of_an_answer_are_together_what_it_is_at_once() {
    let (server, _running) = with_some().await;
    let whole = lines(&events(&server, "q=needle").await);
    for limit in 1..5 {
        let (mut all, mut cursor) = (Lines::new(), String::new());
        for answers in 0.. {
            assert!(answers < 1_000, "it does not go on");
            let part = answer(&server, &format!("q=needle&limit={limit}&cursor={cursor}")).await;
            let mut count = 0;
            for (id, lines) in lines(&part) {
                count += lines.len();
                all.entry(id).or_default().extend(lines);
            }
            assert!(count <= limit);
            match part.last().unwrap()["cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(all, whole, "{limit} at a time");
    }
    let each = events(&server, "q=needle&each=1").await;
    assert_eq!(lines(&each).len(), whole.len());
    let firsts: Vec<_> = lines(&each).into_values().map(|lines| lines[0]).collect();
    assert_eq!(firsts, whole.values().map(|lines| lines[0]).collect::<Vec<_>>());
    let more = each.iter().filter(|event| event["more"] == true).count();
    assert_eq!(more, whole.values().filter(|lines| lines.len() > 1).count());
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_explained() {
    let (server, _running) = with_some().await;
    for (query, kind) in [
        ("q=(&regex=1", "pattern-invalid"),
        ("q=", "pattern-invalid"),
        ("q=x&cursor=nonsense", "bad-request"),
        ("q=x&context=11", "bad-request"),
        ("q=x&status=odd", "bad-request"),
        ("regex=1", "bad-request"),
    ] {
        let answer = server.get(&format!("/api/search?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.json()["type"].as_str().unwrap().ends_with(kind), "{query}");
    }
}

#[tokio::test]
async fn a_log_that_is_damaged_is_told_and_the_others_are_searched() {
    let (server, _running) = with_some().await;
    let list = server.get("/api/executions?name=quiet").await.json();
    let id: ExecutionId = list["executions"][0]["id"].as_str().unwrap().parse().unwrap();
    let path = server.storage.record_dir(id).join("output.log.zst");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1; // In the first frame, which must be read.
    std::fs::write(&path, bytes).unwrap();
    let found = events(&server, "q=ne").await;
    let told: Vec<_> = found.iter().filter(|event| event["kind"] == "unreadable").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["execution_id"], id.to_string());
    assert!(names(&found).contains(&"build"));
}

#[tokio::test]
async fn an_execution_that_is_deleted_is_not_there() {
    let (server, _running) = with_some().await;
    let list = server.get("/api/executions?name=build").await.json();
    let id: ExecutionId = list["executions"][0]["id"].as_str().unwrap().parse().unwrap();
    // As between the list and the look.
    std::fs::remove_dir_all(server.storage.record_dir(id)).unwrap();
    let found = events(&server, "q=needle").await;
    assert!(!names(&found).contains(&"build"));
    assert!(found.iter().all(|event| event["kind"] != "unreadable"), "{found:?}");
    assert_eq!(found.last().unwrap()["progress"]["done"], 5);
}

#[tokio::test]
async fn who_does_not_read_gives_others_no_turn_until_he_leaves() {
    let prepare = |storage: &Storage| {
        let line = format!("needle {}\n", "x".repeat(380));
        for number in 0..100 {
            let mut record = start(storage, number, "wide", &[]);
            record.print(line.repeat(50));
            record.end(Status::Completed);
        }
    };
    let server = TestServer::start_with(Auth::Off, prepare).await;
    server.listed(100).await;
    // 40 MB: more than lies on the way.
    let wide = "/api/search?q=needle&context=10&limit=5000";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut answer = server.ask("GET", wide).open().await;
        assert_eq!(answer.status(), 200);
        // It has begun.
        assert!(answer.body_mut().frame().await.unwrap().unwrap().into_data().is_ok());
        held.push(answer);
    }
    let refused = server.get("/api/search?q=needle").await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    // Waits for its turn, which comes when the server has noticed.
    let found = answer(&server, "q=needle&each=1&limit=10").await;
    assert_eq!(found[0]["kind"], "progress", "{found:?}");
}
