//! What a log viewer asks for, over HTTP, of records that run and records that have ended.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fmt::Write as _;

use common::{TestRecord, TestServer, ended_record};
use serde_json::{Value, json};
use stepflow_model::{ExecutionId, Status};
use stepflow_record::Storage;
use stepflow_server::Auth;

/// 3,000 lines in two steps; error lines 700, 1700 and 2700, a warning each hundred.
fn build_log(record: &mut TestRecord) {
    record.print("\x1b[32mpreamble\n");
    record.step(0, "Compile");
    let mut text = String::new();
    for number in 3..=3_000 {
        if number == 2_001 {
            record.print(&text);
            text.clear();
            record.step_ends(0, "Compile");
            record.step(1, "Test");
            continue;
        }
        match number {
            2_002 | 2_003 => continue, // The markers.
            _ if number % 1_000 == 700 => writeln!(text, "src/a.c:{number}:1: error: needle é"),
            _ if number % 100 == 0 => writeln!(text, "warning: {number}"),
            1_000..1_010 => writeln!(text, "\tindented {number}"),
            _ => writeln!(text, "line {number}"),
        }
        .unwrap();
    }
    record.print(&text);
}

fn ended(storage: &Storage) -> ExecutionId {
    let mut record = TestRecord::start(storage, "build");
    build_log(&mut record);
    record.step_ends(1, "Test");
    record.print("10 %\rno end");
    record.end(Status::Completed);
    record.id
}

async fn with_ended() -> (TestServer, String) {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |storage| id = Some(ended(storage))).await;
    (server, format!("/api/executions/{}", id.unwrap()))
}

async fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The lines as a reader of the raw log counts them.
async fn raw_lines(server: &TestServer, base: &str) -> Vec<String> {
    let raw = server.get(&format!("{base}/log/raw")).await.text();
    raw.split('\n').map(str::to_owned).collect()
}

#[tokio::test]
async fn meta_counts_what_the_log_holds() {
    let (server, base) = with_ended().await;
    let raw = raw_lines(&server, &base).await;
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!(meta["complete"], true);
    assert_eq!(meta["ended"], true);
    assert_eq!(meta["lines"], raw.len());
    assert_eq!(meta["scanned_lines"], raw.len());
    assert_eq!(meta["safe_bytes"], meta["bytes"]);
    assert_eq!(meta["gaps"], json!([]));
    let count = |word: &str| raw.iter().filter(|line| line.contains(word)).count();
    assert_eq!(meta["counts"]["error"], count("error:"));
    assert_eq!(meta["counts"]["warning"], count("warning:"));
    let first = raw.iter().position(|line| line.contains("error:")).unwrap() + 1;
    assert_eq!(meta["first_error"], json!({"line": first, "source": "detected"}));
    // Steps: what each owns adds up to the whole, and each has its own first error.
    let steps = meta["steps"].as_array().unwrap();
    let sum: u64 = steps.iter().map(|step| step["lines"].as_u64().unwrap()).sum();
    assert_eq!(sum, raw.len() as u64);
    let test = steps.iter().find(|step| step["step"] == 1).unwrap();
    let start = raw.iter().position(|line| line == "STEP_START:Test").unwrap();
    let in_test = raw[start..].iter().position(|line| line.contains("error:")).unwrap();
    assert_eq!(test["first_error"]["line"], start + in_test + 1);
    // Ranges: without holes, from line 1 to the open end, as the detail has them.
    let ranges = meta["ranges"].as_array().unwrap();
    let mut next = 1;
    for range in ranges {
        assert_eq!(range["first_line"], next);
        next = range["last_line"].as_u64().map_or(0, |last| last + 1);
    }
    assert_eq!(next, 0);
    let detail = get(&server, &base).await;
    let owned = ranges.iter().find(|range| range["step"] == 1).unwrap();
    assert_eq!(owned["first_line"], detail["steps"][1]["first_line"]);
    server.stop().await;
}

#[tokio::test]
async fn lines_are_dressed_the_same_by_jump_as_by_scrolling() {
    let (server, base) = with_ended().await;
    let plain = get(&server, &format!("{base}/log?from_line=1&limit=5000")).await;
    assert!(plain["lines"][0].get("view").is_none());
    let all = get(&server, &format!("{base}/log?view=1&from_line=1&limit=5000")).await;
    let lines = all["lines"].as_array().unwrap();
    for from in [1, 2, 500, 513, 1_000, 2_700, lines.len()] {
        let jump = get(&server, &format!("{base}/log?view=1&from_line={from}&limit=20")).await;
        for line in jump["lines"].as_array().unwrap() {
            assert_eq!(*line, lines[line["n"].as_u64().unwrap() as usize - 1]);
        }
    }
    let view = |n: usize| &lines[n - 1]["view"];
    assert_eq!(view(1)["style"], "");
    // Nothing has reset the colour of the first line.
    assert_eq!(view(2_500)["style"], "32");
    assert_eq!(view(700)["level"], "error");
    assert_eq!(view(700)["source"], "detected");
    assert_eq!(view(701)["level"], "other");
    assert_eq!(view(1_005)["shown"], "        indented 1005");
    assert_eq!(view(1_005)["width"], 21);
    let last = lines.last().unwrap();
    assert_eq!(last["text"], "10 %\rno end");
    assert_eq!(last["view"]["shown"], "no end");
    assert_eq!(last["view"]["replaced"], 1);
    server.stop().await;
}

#[tokio::test]
async fn rows_and_density_agree_with_the_lines() {
    let (server, base) = with_ended().await;
    let all = get(&server, &format!("{base}/log?view=1&limit=5000")).await;
    let lines = all["lines"].as_array().unwrap();
    for columns in [5_u64, 12, 80] {
        let rows = get(&server, &format!("{base}/log/rows?columns={columns}")).await;
        let expected: Vec<u64> = lines
            .chunks(512)
            .map(|page| {
                let width = |line: &Value| line["view"]["width"].as_u64().unwrap();
                page.iter().map(|line| width(line).div_ceil(columns).max(1)).sum()
            })
            .collect();
        assert_eq!(rows["pages"], json!(expected));
        assert_eq!(rows["total_rows"], expected.iter().sum::<u64>());
        assert_eq!(rows["complete"], true);
        let part = get(&server, &format!("{base}/log/rows?columns={columns}&from_page=4")).await;
        assert_eq!(part["pages"], json!(expected[4..]));
    }
    let density = get(&server, &format!("{base}/log/density?buckets=30")).await;
    let buckets = density["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 30);
    let errors: Vec<usize> = (0..30).filter(|at| buckets[*at]["error"] != 0).collect();
    assert_eq!(errors, [6, 16, 26]);
    for wrong in ["rows?columns=0", "rows", "density?buckets=0", "density?buckets=100000"] {
        assert_eq!(server.get(&format!("{base}/log/{wrong}")).await.status, 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_filter_counts_exactly_and_can_be_paged() {
    let (server, base) = with_ended().await;
    let raw = raw_lines(&server, &base).await;
    let path = format!("{base}/log?view=1&level=error,warning&context=2");
    let all = get(&server, &format!("{path}&limit=5000")).await;
    let hit = |n: usize| raw[n - 1].contains("error:") || raw[n - 1].contains("warning:");
    let near = |n: usize| (n.saturating_sub(2).max(1)..=(n + 2).min(raw.len())).any(hit);
    let expected: Vec<usize> = (1..=raw.len()).filter(|n| near(*n)).collect();
    let seen: Vec<usize> = all["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["n"].as_u64().unwrap() as usize)
        .collect();
    assert_eq!(seen, expected);
    for line in all["lines"].as_array().unwrap() {
        let n = line["n"].as_u64().unwrap() as usize;
        assert_eq!(line["view"]["context"], !hit(n), "{n}");
        assert_eq!(line["view"]["style"], "32");
    }
    assert_eq!(all["filtered"]["total"], expected.len());
    let hits = expected.iter().filter(|n| hit(**n)).count();
    assert_eq!(all["filtered"]["matches"], hits);
    let page = get(&server, &format!("{path}&skip=40&limit=7")).await;
    let seen: Vec<usize> = page["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["n"].as_u64().unwrap() as usize)
        .collect();
    assert_eq!(seen, expected[40..47]);
    let errors = get(&server, &format!("{base}/log/errors?limit=2")).await;
    assert_eq!(errors["total"], 3);
    assert_eq!(errors["errors"][0]["text"], "src/a.c:700:1: error: needle é");
    assert_eq!(errors["errors"][0]["step"], 0);
    let next = errors["next"].as_u64().unwrap();
    let rest = get(&server, &format!("{base}/log/errors?from={next}")).await;
    assert_eq!(rest["errors"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next"], Value::Null);
    for wrong in ["level=bad", "context=3", "stream=stdout", "level=error&tail=3"] {
        assert_eq!(server.get(&format!("{base}/log?{wrong}")).await.status, 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_search_is_exact_whatever_the_pattern() {
    let (server, base) = with_ended().await;
    let path = format!("{base}/log/search");
    let found = get(&server, &format!("{path}?q=NEEDLE&density=10")).await;
    assert_eq!((&found["lines"], &found["matches"]), (&json!(3), &json!(3)));
    assert_eq!(found["complete"], true);
    let hit = &found["hits"][0];
    assert_eq!((&hit["line"], &hit["step"]), (&json!(700), &json!(0)));
    assert_eq!(hit["spans"], json!([[22, 28]]));
    assert_eq!(found["steps"], json!([{"step": 0, "lines": 2}, {"step": 1, "lines": 1}]));
    assert_eq!(found["density"], json!([0, 0, 1, 0, 0, 1, 0, 0, 1, 0]));
    assert_eq!(get(&server, &format!("{path}?q=NEEDLE&case=1")).await["lines"], 0);
    let tabs = get(&server, &format!("{path}?q=indented+100%5B34%5D%24&regex=1")).await;
    assert_eq!(tabs["hits"][0]["spans"], json!([[8, 21]]));
    assert_eq!(tabs["lines"], 2);
    // What was overwritten is not on the page; the end without a line feed is.
    assert_eq!(get(&server, &format!("{path}?q=10+%25")).await["lines"], 0);
    assert_eq!(get(&server, &format!("{path}?q=no+end")).await["lines"], 1);
    // In one step, from a line, backwards.
    let step = get(&server, &format!("{path}?q=needle&step=1")).await;
    assert_eq!(step["lines"], 1);
    let from = get(&server, &format!("{path}?q=needle&from=701&limit=1")).await;
    assert_eq!(from["lines"], 2);
    assert_eq!(from["hits"].as_array().unwrap().len(), 1);
    let line = from["hits"][0]["line"].as_u64().unwrap();
    let back = get(&server, &format!("{path}?q=needle&before={line}&limit=5")).await;
    assert_eq!(back["hits"][0]["line"], 700);
    assert_eq!(back["hits"].as_array().unwrap().len(), 1);
    // Wrong ones are explained.
    let wrong = server.get(&format!("{path}?q=a(b&regex=1")).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["detail"], "unclosed group");
    assert!(wrong.json()["hint"].as_str().unwrap().contains("character 2"));
    for wrong in ["q=", "x=1", "q=a&regex=maybe", "q=a&cursor=1.9999", "q=a&from=1&before=2"] {
        assert_eq!(server.get(&format!("{path}?{wrong}")).await.status, 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn everything_works_while_the_script_runs() {
    let server = TestServer::start(Auth::Off).await;
    let mut record = TestRecord::start(&server.storage, "build");
    let base = format!("/api/executions/{}", record.id);
    // Before the first byte.
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!((&meta["lines"], &meta["ended"]), (&json!(0), &json!(false)));
    assert_eq!(get(&server, &format!("{base}/log/rows?columns=80")).await["pages"], json!([]));
    build_log(&mut record);
    let search = format!("{base}/log/search?q=needle");
    let found = get(&server, &search).await;
    assert_eq!(found["lines"], 3);
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!(meta["counts"]["error"], 3);
    assert_eq!(meta["safe_bytes"], Value::Null);
    let before = meta["lines"].as_u64().unwrap();
    // A half line: a row, but not yet searched.
    record.print("error: half a nee");
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!(meta["lines"], before + 1);
    assert_eq!(meta["counts"]["error"], 4);
    let cursor = found["cursor"].as_str().unwrap();
    let more = get(&server, &format!("{search}&cursor={cursor}")).await;
    assert_eq!(more["lines"], 0);
    record.print("dle\nand a needle\n");
    let cursor = more["cursor"].as_str().unwrap();
    let more = get(&server, &format!("{search}&cursor={cursor}")).await;
    assert_eq!(more["lines"], 2);
    assert_eq!(more["hits"][0]["line"], before + 1);
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!((&meta["lines"], &meta["counts"]["error"]), (&json!(before + 2), &json!(4)));
    let tail = get(&server, &format!("{base}/log?view=1&tail=2")).await;
    assert_eq!(tail["lines"][0]["view"]["level"], "error");
    record.end(Status::Completed);
    // The file of the view can go at any time, here with the server away.
    let cache = server.storage.view_cache(record.id);
    assert!(std::fs::metadata(&cache).unwrap().len() > 1_344);
    std::fs::remove_file(&cache).unwrap();
    let meta = get(&server, &format!("{base}/log/meta")).await;
    assert_eq!(meta["lines"], before + 2);
    server.stop().await;
}

#[tokio::test]
async fn usual_durations_are_those_of_earlier_passes() {
    let mut ids = Vec::new();
    let server = TestServer::start_with(Auth::Off, |storage| {
        for _ in 0..3 {
            ids.push(ended_record(storage));
        }
    })
    .await;
    // The catalog learns of records that it finds at the start within two seconds.
    while get(&server, "/api/executions?status=completed").await["count"] != 3 {
        tokio::task::yield_now().await;
    }
    ids.sort_unstable();
    let first = get(&server, &format!("/api/executions/{}/usual", ids[0])).await;
    assert_eq!((&first["passes"], &first["seconds"]), (&json!(0), &Value::Null));
    let last = get(&server, &format!("/api/executions/{}/usual", ids[2])).await;
    assert_eq!(last["passes"], 2);
    let steps = last["steps"].as_array().unwrap();
    assert_eq!(steps[0]["path"], json!(["Build"]));
    assert_eq!((&steps[0]["step"], &steps[0]["passes"]), (&json!(0), &json!(2)));
    assert!(steps[0]["seconds"].as_f64().unwrap() > 0.0);
    server.stop().await;
}
