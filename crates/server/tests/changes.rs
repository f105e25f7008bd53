//! Executions deleted, files added and removed, the original's `/logs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Answer, TestRecord, TestServer, ended_record};
use serde_json::{Value, json};
use stepflow_catalog::{Catalog, ListQuery, Role};
use stepflow_engine::reindex;
use stepflow_model::{EventKind, Status, StepStatus};
use stepflow_server::Auth;

async fn all(server: &TestServer, path: &str) -> Answer {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

#[tokio::test]
async fn a_deleted_execution_is_gone_from_everywhere() {
    let mut kept = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        kept = Some(ended_record(storage));
        ended_record(storage);
    })
    .await;
    let list = loop {
        let list = all(&server, "/api/executions").await.json();
        if list["total_count"] == 2 {
            break list; // Both have been brought into the catalog.
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let id = list["executions"][0]["id"].as_str().unwrap().to_owned();
    all(&server, &format!("/api/executions/{id}")).await;
    let deleted = server.ask("DELETE", &format!("/api/executions/{id}")).send().await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    assert_eq!(deleted.json()["id"], *id);
    for path in ["", "/logs", "/log", "/events"] {
        assert_eq!(server.get(&format!("/api/executions/{id}{path}")).await.status, 404, "{path}");
    }
    let list = all(&server, "/api/executions").await.json();
    assert_eq!(list["total_count"], 1);
    assert_eq!(list["executions"][0]["id"], kept.unwrap().to_string());
    let files = all(&server, "/api/artifacts").await.json();
    assert!(!files.to_string().contains(&id), "{files}");
    let parsed = id.parse().unwrap();
    assert!(!server.storage.record_dir(parsed).exists());
    assert!(!server.storage.artifact_dir(parsed).exists());
    assert_eq!(server.storage.trashed().unwrap(), []);
    let again = server.ask("DELETE", &format!("/api/executions/{id}")).send().await;
    assert_eq!(again.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn names_tags_and_pins_change_running_or_ended_and_outlive_the_catalog() {
    let (mut record, mut ended) = (None, None);
    let mut server = TestServer::start_with(Auth::Off, |storage| {
        record = Some(TestRecord::start(storage, "runs"));
        ended = Some(ended_record(storage));
    })
    .await;
    server.listed(2).await;
    let (mut record, ended) = (record.unwrap(), ended.unwrap());
    let patch = |id: String, body: Value| {
        let path = format!("/api/executions/{id}");
        let ask = server.ask("PATCH", &path).json(&body);
        async move { ask.send().await }
    };
    let answer =
        patch(ended.to_string(), json!({"tags": ["release", "日本"], "pinned": true})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        (&answer.json()["tags"], &answer.json()["name"]),
        (&json!(["release", "日本"]), &json!("demo"))
    );
    let answer = patch(record.id.to_string(), json!({"name": "runs on", "tags": []})).await.json();
    assert_eq!((&answer["name"], &answer["status"]), (&json!("runs on"), &json!("running")));
    for (id, wrong) in [
        (ended.to_string(), json!({"name": " "})),
        (ended.to_string(), json!({"tags": [""]})),
        (ended.to_string(), json!({"tags": ["x".repeat(257)]})),
        (ended.to_string(), json!({"name": "x".repeat(4_097)})),
        (ended.to_string(), json!({"colour": "red"})),
    ] {
        assert!(matches!(patch(id, wrong.clone()).await.status, 400 | 422), "{wrong}");
    }
    let unknown = patch("0198c2aa-0000-7000-8000-000000000001".to_owned(), json!({})).await;
    assert_eq!(unknown.status, 404);

    // Lists, by every way that leads to it; and what the script goes on to print takes nothing back.
    record.print("more\n");
    record.end(Status::Completed);
    let names = |list: Value| -> Vec<String> {
        let list = list["executions"].as_array().unwrap();
        list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for query in ["pinned=1", "tag=release", "tag=release&pinned=1&order=longest"] {
        let list = all(&server, &format!("/api/executions?{query}")).await.json();
        assert_eq!(
            (names(list.clone()), &list["total_count"]),
            (vec!["demo".to_owned()], &json!(1)),
            "{query}"
        );
    }
    assert_eq!(server.get("/api/executions?order=up").await.status, 400);

    // A catalog that is made anew has it from the records.
    server.halt().await;
    let catalog = Catalog::open(&server.storage.database(), Role::Command).unwrap();
    reindex(&server.storage, &catalog).unwrap();
    let list = |query: ListQuery| catalog.reader().list(&query).unwrap();
    let renamed = list(ListQuery { name: Some("runs on".to_owned()), ..ListQuery::default() });
    assert_eq!((renamed.len(), renamed[0].tags.as_slice()), (1, [].as_slice()));
    let pinned = list(ListQuery { pinned: true, ..ListQuery::default() });
    assert_eq!((pinned.len(), pinned[0].id), (1, ended));
}

#[tokio::test]
async fn searches_are_saved_for_everybody() {
    let server = TestServer::start(Auth::On).await;
    let (viewer, _) = server.token("viewer", None).await;
    let (operator, _) = server.token("operator", None).await;
    let path = "/api/searches/Broken%20nights%2F%E6%97%A5";
    let body = json!({"query": "status:failed tag:nightly"});
    let refused = server.ask("PUT", path).bearer(&viewer).json(&body).send().await;
    assert_eq!(refused.status, 403);
    let saved = server.ask("PUT", path).bearer(&operator).json(&body).send().await;
    assert_eq!((saved.status, &saved.json()["name"]), (200, &json!("Broken nights/日")));
    let list = server.ask("GET", "/api/searches").bearer(&viewer).send().await.json();
    assert_eq!(list["searches"][0]["query"], body["query"]);
    for expected in [204, 404] {
        let gone = server.ask("DELETE", path).bearer(&operator).send().await;
        assert_eq!(gone.status, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_runs_is_not_deleted() {
    let mut record = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        record = Some(TestRecord::start(storage, "runs"));
    })
    .await;
    let mut record = record.unwrap();
    let path = format!("/api/executions/{}", record.id);
    let refused = server.ask("DELETE", &path).send().await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(refused.json()["type"], "about:blank#execution-not-ended");
    all(&server, &path).await;
    record.ring();
    record.end(Status::Completed);
    record.ring();
    // Its follower has to let go of it first: the request waits for that.
    loop {
        let answer = server.ask("DELETE", &path).send().await;
        match answer.status {
            200 => break,
            409 => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            status => panic!("{status}: {}", answer.text()),
        }
    }
    assert_eq!(server.get(&path).await.status, 404);
    server.stop().await;
}

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "----stepflow-test";
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

async fn upload(server: &TestServer, query: &str, kind: &str, body: Vec<u8>) -> Answer {
    let path = format!("/api/artifacts{query}");
    server.ask("POST", &path).header("content-type", kind).body(body).send().await
}

const BYTES: &str = "application/octet-stream";

#[tokio::test]
async fn a_file_is_added_by_form_or_by_its_bytes_and_removed_again() {
    let mut id = None;
    let mut server =
        TestServer::start_with(Auth::Off, |storage| id = Some(ended_record(storage))).await;
    server.listed(1).await;
    let id = id.unwrap();
    let (kind, body) = form(&[
        ("file", Some("C:\\up\\chart.PNG"), b"one\r\n--two\0"),
        ("execution_id", None, id.to_string().as_bytes()),
        ("step_id", None, format!("{id}-s1").as_bytes()),
        ("description", None, "Größe".as_bytes()),
    ]);
    let added = upload(&server, "", &kind, body).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let added = added.json();
    assert_eq!(added["name"], "chart.PNG");
    assert_eq!(added["description"], "Größe");
    assert_eq!(added["step_id"], format!("{id}-s1"));
    assert_eq!((&added["file_size"], &added["exists"]), (&json!(11), &json!(true)));
    let url = added["download_url"].as_str().unwrap();
    let got = all(&server, url).await;
    assert_eq!(got.body, b"one\r\n--two\0"[..]);
    assert!(got.header("content-disposition").starts_with("attachment"));

    // The same bytes once more, under another name: one copy on disk.
    let query = format!("?execution_id={id}&name=b.html&description=d");
    let second = upload(&server, &query, BYTES, b"one\r\n--two\0".to_vec()).await;
    assert_eq!(second.status, 201, "{}", second.text());
    let second = second.json();
    let page = all(&server, second["download_url"].as_str().unwrap()).await;
    assert_eq!(page.header("content-type"), "application/octet-stream", "never as a page");
    let of = all(&server, &format!("/api/artifacts/execution/{id}")).await.json();
    assert_eq!(of["count"], 4);
    let detail = all(&server, &format!("/api/executions/{id}?logs=0")).await.json();
    assert_eq!(detail["execution"]["artifacts_count"], 4);

    // Lists narrow it down.
    for (query, count) in [
        (format!("execution_id={id}"), 4),
        (format!("step_id={id}-s1"), 1),
        (format!("step_id={id}-s0&execution_id={id}"), 1),
        ("name=CHART".to_owned(), 1),
        ("limit=3".to_owned(), 3),
        ("offset=3".to_owned(), 1),
        ("name=nothing".to_owned(), 0),
    ] {
        let list = all(&server, &format!("/api/artifacts?{query}")).await.json();
        assert_eq!(list["count"], count, "{query}: {list}");
    }

    let path = |one: &Value| format!("/api/artifacts/{}", one["id"].as_str().unwrap());
    let copy = server.storage.artifact_dir(id).join(added["sha256"].as_str().unwrap());
    let removed = server.ask("DELETE", &path(&added)).send().await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    assert_eq!(server.get(&path(&added)).await.status, 404);
    assert!(copy.exists(), "another artifact has the same bytes");
    assert_eq!(server.ask("DELETE", &path(&added)).send().await.status, 404);
    assert_eq!(server.ask("DELETE", &path(&second)).send().await.status, 200);
    assert!(!copy.exists());
    // One that the script declared goes as well.
    let declared = format!("/api/artifacts/{id}-a0");
    assert_eq!(server.ask("DELETE", &declared).send().await.status, 200);
    let left = all(&server, "/api/artifacts").await.json();
    assert_eq!(left["artifacts"][0]["id"], format!("{id}-a1"));
    assert_eq!(left["count"], 1);
    // A number is not used twice.
    let third = upload(&server, &query, BYTES, b"x".to_vec()).await.json();
    assert!(third["id"] != added["id"] && third["id"] != second["id"], "{third}");

    // The catalog is only a copy of all this.
    let storage = server.storage.clone();
    let before = all(&server, "/api/artifacts").await.json();
    assert!(!storage.run_dir().join(format!("{id}.changed")).exists());
    let catalog = |storage: &stepflow_record::Storage| {
        stepflow_catalog::Catalog::open(&storage.database(), stepflow_catalog::Role::Command)
            .unwrap()
    };
    server.halt().await;
    let opened = catalog(&storage);
    stepflow_engine::reindex(&storage, &opened).unwrap();
    let rows = opened.reader().artifacts(id).unwrap();
    assert_eq!(rows.len() as u64, before["count"].as_u64().unwrap());
}

#[tokio::test]
async fn a_running_execution_takes_files_too_and_its_own_are_counted_apart() {
    let mut record = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        record = Some(TestRecord::start(storage, "runs"));
    })
    .await;
    let mut record = record.unwrap();
    let query = format!("?execution_id={}&name=mine.txt", record.id);
    let added = upload(&server, &query, BYTES, b"mine".to_vec()).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let removed = upload(&server, &query, BYTES, b"wrong".to_vec()).await.json();
    let path = format!("/api/artifacts/{}", removed["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path).send().await.status, 200);
    for (name, path) in [("one", "a/one.txt"), ("two", "two.txt")] {
        let artifact = u32::from(name == "two");
        let description = String::new();
        record.emit(EventKind::Artifact {
            artifact,
            step: None,
            path: path.to_owned(),
            description,
            dialect: None,
        });
        record.emit(EventKind::ArtifactStored {
            artifact,
            sha256: None,
            size: 0,
            changed: false,
            problem: Some("no such file".to_owned()),
        });
    }
    // While it is copied, it cannot be removed.
    record.emit(EventKind::Artifact {
        artifact: 2,
        step: None,
        path: "slow".to_owned(),
        description: String::new(),
        dialect: None,
    });
    record.ring();
    let slow = format!("/api/artifacts/{}-a2", record.id);
    loop {
        match server.ask("DELETE", &slow).send().await.status {
            404 => tokio::task::yield_now().await, // Not read yet.
            status => break assert_eq!(status, 409),
        }
    }
    record.end(Status::Completed);
    record.ring();
    let list = format!("/api/artifacts/execution/{}", record.id);
    let names = |list: &Value| -> Vec<String> {
        let all = list["artifacts"].as_array().unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&all(&server, &list).await.json()),
        ["one.txt", "two.txt", "slow", "mine.txt"]
    );
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_file_is_refused_and_leaves_nothing() {
    let mut id = None;
    let server = TestServer::configured(
        Auth::Off,
        |storage| id = Some(ended_record(storage)),
        |config, _| config.limits.upload_bytes = 1_000,
    )
    .await;
    let id = id.unwrap();
    let query = |more: &str| format!("?execution_id={id}{more}");
    let unknown = "0198c2aa-0000-7000-8000-000000000001";
    for (query, size, status) in [
        (query("&name=a"), 1_001, 413),
        (query("&name=a"), 100_000, 413),
        (query("&name=a"), 1_000, 201),
        (query("&name=empty"), 0, 201),
        (query(""), 1, 400),
        (query("&name=.."), 1, 400),
        (query("&name=a%0d%0ab"), 1, 400),
        (query("&name=a/"), 1, 400),
        (query(&format!("&name={}", "a".repeat(4_097))), 1, 400),
        (query(&format!("&name=a&step_id={id}-s9")), 1, 404),
        (query("&name=a&step_id=nope"), 1, 400),
        (query(&format!("&name=a&step_id={unknown}-s0")), 1, 400),
        (format!("?execution_id={unknown}&name=a"), 1, 404),
        ("?execution_id=../../etc&name=a".to_owned(), 1, 404),
        ("?name=a".to_owned(), 1, 400),
    ] {
        let answer = upload(&server, &query, BYTES, vec![7; size]).await;
        assert_eq!(answer.status, status, "{query} {size}: {}", answer.text());
    }
    let text = id.to_string();
    for parts in [
        vec![("execution_id", None, text.as_bytes())],
        vec![("execution_id", None, text.as_bytes()), ("colour", None, b"red".as_slice())],
        vec![("file", Some("a"), b"a".as_slice()), ("file", Some("b"), b"b".as_slice())],
        vec![("file", Some("a"), b"a".as_slice())],
    ] {
        let (kind, body) = form(&parts);
        assert_eq!(upload(&server, "", &kind, body).await.status, 400, "{parts:?}");
    }
    let (kind, body) = form(&[("file", Some("a"), &[7; 1_001]), ("execution_id", None, b"x")]);
    assert_eq!(upload(&server, "", &kind, body[..body.len() - 20].to_vec()).await.status, 413);
    let uploads = std::fs::read_dir(server.storage.upload_dir()).unwrap();
    assert_eq!(uploads.count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn logs_are_entries_with_their_step_whole_in_pages_and_by_step() {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "logs");
        record.print("before\n");
        record.step(0, "Build");
        // Longer than what is read at once, in reads that end inside lines.
        let lines: Vec<String> = (0..40_000).map(|n| format!("line {n} é\n")).collect();
        let text = lines.concat();
        for part in text.as_bytes().chunks(65_537) {
            record.print(part);
        }
        record.step_ends(0, "Build");
        record.print("between\r\n\n  indented\n");
        record.step(1, "Test");
        record.print("bad \u{fffd}");
        record.print(b"\xff\n");
        record.emit(EventKind::StepFinished {
            step: 1,
            status: StepStatus::Completed,
            exit_code: Some(0),
            error: None,
            by: "end".to_owned(),
            detail: None,
            done: false,
        });
        record.print("no end");
        record.end(Status::Completed);
        id = Some(record.id);
    })
    .await;
    let id = id.unwrap();
    let path = format!("/api/executions/{id}/logs");
    let whole = all(&server, &path).await.json();
    let entries = whole["logs"].as_array().unwrap();
    let text = |entry: &Value| entry["content"].as_str().unwrap().to_owned();
    assert_eq!(entries.len(), 40_006);
    assert_eq!((&whole["count"], &whole["has_more"]), (&json!(40_006), &json!(false)));
    assert_eq!(text(&entries[0]), "before");
    assert_eq!(entries[0]["step_id"], Value::Null);
    for (n, entry) in entries[1..=40_000].iter().enumerate() {
        assert_eq!(text(entry), format!("line {n} é"));
        assert_eq!(entry["message"], entry["content"]);
        assert_eq!(entry["step_name"], "Build");
        assert_eq!(entry["step_id"], format!("{id}-s0"));
    }
    let rest: Vec<String> = entries[40_001..].iter().map(text).collect();
    assert_eq!(rest, ["between", "", "  indented", "bad \u{fffd}\u{fffd}", "no end"]);
    assert_eq!(entries[40_004]["step_name"], "Test");

    // Pages give the same.
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = all(&server, &format!("{path}?limit=7001&cursor={cursor}")).await.json();
        pages.extend(page["logs"].as_array().unwrap().iter().cloned());
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
        assert_eq!(page["count"], 7_001);
    }
    assert_eq!(pages, *entries);
    let page = all(&server, &format!("{path}?limit=2&offset=39999")).await.json();
    assert_eq!(page["logs"].as_array().unwrap()[..], entries[39_999..40_001]);
    let nothing = all(&server, &format!("{path}?cursor={cursor}")).await.json();
    assert_eq!((&nothing["count"], &nothing["next_cursor"]), (&json!(0), &json!(cursor)));

    // One step, or none.
    for (step, count) in
        [(format!("{id}-s0"), 40_000), (format!("{id}-s1"), 1), ("none".to_owned(), 5)]
    {
        let some = all(&server, &format!("{path}?step_id={step}")).await.json();
        assert_eq!(some["count"], count, "{step}");
    }
    assert_eq!(server.get(&format!("{path}?step_id={id}-s2")).await.status, 404);
    assert_eq!(server.get(&format!("{path}?step_id=x")).await.status, 404);
    assert_eq!(server.get(&format!("{path}?cursor=x")).await.status, 400);

    // The detail has the same lines, those outside steps apart, and can be cut.
    let detail = all(&server, &format!("/api/executions/{id}")).await.json();
    assert_eq!(detail["steps"][0]["logs"].as_array().unwrap().len(), 40_000);
    let outside: Vec<String> = detail["logs"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(outside, ["before", "between", "", "  indented", "no end"]);
    let cut = all(&server, &format!("/api/executions/{id}?log_offset=1&log_limit=2")).await.json();
    let logs: Vec<String> = cut["steps"][0]["logs"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(logs, ["line 1 é", "line 2 é"]);
    assert_eq!(cut["logs"].as_array().unwrap().len(), 2);
    let without = all(&server, &format!("/api/executions/{id}?logs=0")).await.json();
    assert_eq!((&without["logs"], &without["steps"][0]["logs"]), (&json!([]), &json!([])));
    server.stop().await;
}

#[tokio::test]
async fn a_poll_of_a_running_log_gets_whole_lines_and_each_of_them_once() {
    let mut record = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        record = Some(TestRecord::start(storage, "runs"));
    })
    .await;
    let mut record = record.unwrap();
    let path = format!("/api/executions/{}/logs", record.id);
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    for part in ["one\ntw", "o\n", "thr", "ee", "\nfour\n"] {
        record.print(part);
        let page = all(&server, &format!("{path}?cursor={cursor}")).await.json();
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
        for entry in page["logs"].as_array().unwrap() {
            seen.push(entry["content"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, ["one", "two", "three", "four"]);
    record.end(Status::Completed);
    server.stop().await;
}

#[tokio::test]
async fn the_envelope_comes_only_when_it_is_asked_for() {
    let mut id = None;
    let server =
        TestServer::start_with(Auth::Off, |storage| id = Some(ended_record(storage))).await;
    // The list is the catalog's, which learns of the record in its own time.
    while all(&server, "/api/executions").await.json()["count"] != 1 {}
    for path in ["/api/executions".to_owned(), format!("/api/executions/{}", id.unwrap())] {
        let bare = all(&server, &path).await.json();
        assert!(bare.get("success").is_none());
        let wrapped = all(&server, &format!("{path}?envelope=1")).await.json();
        assert_eq!((&wrapped["success"], &wrapped["error"]), (&json!(true), &Value::Null));
        assert_eq!(wrapped["data"], bare);
        assert!(wrapped["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let failed = server.get("/api/executions/nope?envelope=1").await;
    assert_eq!(failed.status, 404);
    let failed = failed.json();
    assert_eq!((&failed["success"], &failed["data"]), (&json!(false), &Value::Null));
    assert_eq!(failed["error"], "Execution not found");
    server.stop().await;
}

#[tokio::test]
async fn every_get_answers_head_and_a_wrong_method_names_the_right_ones() {
    let mut id = None;
    let server =
        TestServer::start_with(Auth::Off, |storage| id = Some(ended_record(storage))).await;
    let id = id.unwrap().to_string();
    let get = stepflow_server::routes().into_iter().filter(|route| route.method == "GET");
    for route in get.filter(|route| !matches!(route.path, "/ws" | "/api/executions/{id}/events")) {
        let path = route.path.replace("{id}", &id).replace("{aid}", &format!("{id}-a0"));
        let (head, full) =
            (server.ask("HEAD", &path).send().await, server.ask("GET", &path).send().await);
        assert_eq!((head.status, head.body.len()), (full.status, 0), "{path}");
        let wrong = server.ask("OPTIONS", &path).send().await;
        assert_eq!(wrong.status, 405, "{path}");
        assert!(wrong.header("allow").contains("GET,HEAD"), "{path}: {}", wrong.header("allow"));
        assert_eq!(wrong.header("access-control-allow-origin"), "");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_list_asked_for_again_has_every_change_that_was_answered() {
    let mut ids = Vec::new();
    let server = TestServer::start_with(Auth::Off, |storage| {
        ids.extend((0..3).map(|_| ended_record(storage).to_string()));
    })
    .await;
    server.listed(3).await;
    // Each twice: nothing changes in between, so the second may be an answer that was kept.
    let list = async |query: &str| {
        let path = format!("/api/executions?{query}");
        let (first, again) = (all(&server, &path).await, all(&server, &path).await);
        assert_eq!(first.text(), again.text(), "{path}");
        assert_eq!(first.header("content-type"), "application/json");
        again.json()
    };
    for round in 0..20 {
        let (name, id) = (format!("round {round}"), &ids[round % 3]);
        let ask = server.ask("PATCH", &format!("/api/executions/{id}"));
        assert_eq!(ask.json(&json!({"name": name})).send().await.status, 200);
        for query in ["limit=10", "limit=10&status=completed", "status=completed&limit=3"] {
            let list = list(query).await;
            let all = list["executions"].as_array().unwrap();
            let one = all.iter().find(|one| one["id"] == **id).unwrap();
            assert_eq!(one["name"], *name, "{query}");
        }
    }
    for (gone, id) in ids.iter().enumerate() {
        let deleted = server.ask("DELETE", &format!("/api/executions/{id}")).send().await;
        assert_eq!(deleted.status, 200);
        assert_eq!(list("limit=10").await["total_count"], 2 - gone);
        let statistics = all(&server, "/api/executions/statistics").await.json();
        assert_eq!(statistics["by_status"]["completed"], 2 - gone, "{statistics}");
    }
    server.stop().await;
}
