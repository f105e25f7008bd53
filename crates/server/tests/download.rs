//! Logs taken away: bytes, text, JSON lines, and an execution as one HTML file.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fmt::Write as _, io::Read as _};

use common::{TestRecord, TestServer};
use serde_json::Value;
use stepflow_model::Status;
use stepflow_server::Auth;

/// Steps `Compile` and `Test <b>`; colours that go on; an error in each; a long line; hostile text.
fn build(record: &mut TestRecord) {
    record.print("\x1b[32mpreamble\n");
    record.step(0, "Compile");
    record.print("green\x1b[m plain\nsrc/a.c:1:1: error: first\n<script>alert(1)</script> & co\n");
    record.step_ends(0, "Compile");
    record.step(1, "Test <b>");
    record.print("10 %\r100 %\nbidi \u{202e}\x07 end\n\x1b[38;2;10;10;10mdark\x1b[m\n");
    record.print(format!("{}\n", "x".repeat(300_000)));
    record.print("warning: w\nsrc/b.c:2:2: error: second\nafter\n");
    record.step_ends(1, "Test <b>");
    record.print("half");
}

async fn server() -> (TestServer, String) {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "na/me \"x\"\u{202e}");
        build(&mut record);
        record.end(Status::Failed);
        id = Some(record.id);
    })
    .await;
    (server, format!("/api/executions/{}", id.unwrap()))
}

async fn body(server: &TestServer, path: &str) -> Vec<u8> {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.body.to_vec()
}

async fn text(server: &TestServer, path: &str) -> String {
    String::from_utf8(body(server, path).await).unwrap()
}

#[tokio::test]
async fn raw_bytes_come_whole_packed_and_in_parts() {
    let (server, base) = server().await;
    let raw = body(&server, &format!("{base}/log/raw")).await;
    let down = format!("{base}/log/download");
    assert!(raw.len() > 300_000);
    assert_eq!(body(&server, &down).await, raw);
    let packed = body(&server, &format!("{down}?format=raw&gzip=1")).await;
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, raw);
    assert!(packed.len() < raw.len() / 10);
    // One line, however long; a step; both make up what they are part of.
    let long = body(&server, &format!("{down}?from_line=11&to_line=11")).await;
    assert_eq!(long, format!("{}\n", "x".repeat(300_000)).into_bytes());
    let step = text(&server, &format!("{down}?step=0")).await;
    assert!(step.starts_with("STEP_START:Compile\ngreen\x1b[m plain\n"), "{step}");
    assert!(step.ends_with("& co\nSTEP_COMPLETE:Compile\n"), "{step}");
    let errors = text(&server, &format!("{down}?level=error")).await;
    assert_eq!(errors, "src/a.c:1:1: error: first\nsrc/b.c:2:2: error: second\n");
    let one = text(&server, &format!("{down}?level=error&step=1&context=1")).await;
    assert_eq!(one, "warning: w\nsrc/b.c:2:2: error: second\nafter\n");
    let end = text(&server, &format!("{down}?from_line=15")).await;
    assert_eq!(end, "STEP_COMPLETE:Test <b>\nhalf");
    server.stop().await;
}

#[tokio::test]
async fn text_is_what_a_page_shows_with_times() {
    let (server, base) = server().await;
    let down = format!("{base}/log/download?format=text");
    let off = text(&server, &format!("{down}&time=off&from_line=8&to_line=10")).await;
    assert_eq!(off, "100 %\nbidi <202E>^G end\ndark\n");
    let utc = text(&server, &format!("{down}&from_line=1&to_line=1")).await;
    assert!(utc.starts_with("2026-11-22T20:00:00.000000Z  preamble"), "{utc}");
    let since = text(&server, &format!("{down}&time=relative&from_line=1&to_line=1")).await;
    assert_eq!(since, "+0:00:00.000  preamble\n");
    let long = text(&server, &format!("{down}&time=off&from_line=11&to_line=11")).await;
    assert!(
        long.len() < 20_000 && long.ends_with("more; format=raw has them]\n"),
        "{}",
        long.len()
    );
    server.stop().await;
}

#[tokio::test]
async fn json_lines_are_objects_one_a_line() {
    let (server, base) = server().await;
    let all = text(&server, &format!("{base}/log/download?format=jsonl")).await;
    let lines: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 16);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["n"], at + 1);
    }
    assert_eq!(lines[3]["level"], "error");
    assert_eq!(lines[3]["source"], "detected");
    assert_eq!(lines[3]["step"], 0);
    assert_eq!(lines[15]["text"], "half");
    assert_eq!(lines[15]["partial"], true);
    server.stop().await;
}

#[tokio::test]
async fn what_is_gone_is_said_once_and_what_follows_it_comes_once() {
    const LINES: u64 = 5_000;
    let (mut id, mut gone) = (None, None);
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "much");
        for line in 1..=LINES {
            record.print(format!("line {line}\n"));
        }
        gone = Some(record.drop_middle(12_000));
        record.end(Status::Completed);
        id = Some(record.id);
    })
    .await;
    let (base, gone) = (format!("/api/executions/{}/log", id.unwrap()), gone.unwrap());
    // More lines than are read at once are gone, and more than that follow.
    assert!(gone.lines() > 1_000 && LINES - gone.lines_to > 300, "{gone:?}");
    let numbers = |(from, to): (u64, u64)| {
        let last_before = gone.lines_from.min(to);
        let in_gap = from <= gone.lines_to && to > gone.lines_from;
        (from..=last_before)
            .chain(in_gap.then_some(gone.lines_to))
            .chain(from.max(gone.lines_to + 1)..=to)
            .collect::<Vec<_>>()
    };
    let inside = gone.lines_from + 100;
    for (from, to) in [
        (1, LINES),
        (gone.lines_from, LINES),
        (inside, LINES),
        (inside, inside + 1),
        (1, inside),
        (gone.lines_to, gone.lines_to + 2),
        (gone.lines_to + 1, LINES),
    ] {
        let range = format!("from_line={from}&to_line={to}");
        let all = text(&server, &format!("{base}/download?format=jsonl&{range}")).await;
        let lines: Vec<Value> =
            all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<u64> = lines.iter().map(|line| line["n"].as_u64().unwrap()).collect();
        assert_eq!(told, numbers((from, to)), "{range}");
        for line in &lines {
            if line["n"] == gone.lines_to {
                assert_eq!(line["dropped"]["to"], gone.to, "{range}");
            } else {
                assert_eq!(line["text"], format!("line {}", line["n"]), "{range}");
            }
        }
        let shown = text(&server, &format!("{base}/download?format=text&time=off&{range}")).await;
        assert_eq!(shown.lines().count(), lines.len(), "{range}");
    }
    // A filter that lets all of it through.
    let page = format!("{base}?level=other&limit=500&from_line={}", gone.lines_from - 9);
    let page: Value = serde_json::from_str(&text(&server, &page).await).unwrap();
    let told: Vec<u64> =
        page["lines"].as_array().unwrap().iter().map(|line| line["n"].as_u64().unwrap()).collect();
    assert_eq!(told, numbers((gone.lines_from - 9, gone.lines_to)), "of 500 numbers 490 are gone");
    server.stop().await;
}

#[tokio::test]
async fn file_names_are_safe_and_wrong_questions_are_refused() {
    let (server, base) = server().await;
    let answer = server.get(&format!("{base}/log/download?step=1&level=error,warning")).await;
    let name = answer.headers["content-disposition"].to_str().unwrap().to_owned();
    assert!(name.starts_with("attachment; filename=\"na-me--x-"), "{name}");
    assert!(name.contains("-step-2-error-warning.log"), "{name}");
    assert!(!name.contains('/') && !name.contains('\u{202e}'), "{name}");
    for wrong in [
        "format=pdf",
        "time=moon",
        "level=loud",
        "stream=stdin",
        "step=9",
        "from_line=0",
        "context=1",
    ] {
        let answer = server.get(&format!("{base}/log/download?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    assert_eq!(server.get(&format!("{base}/export?format=pdf")).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn an_execution_is_one_html_file_that_needs_nothing() {
    let (server, base) = server().await;
    let html = text(&server, &format!("{base}/export?format=html")).await;
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</body></html>\n"));
    for outside in ["<script", "<link", "<img", " src=", "@import", "url(", "onclick", "\u{202e}"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co"));
    assert!(html.contains("<summary>Test &lt;b&gt;"));
    assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
    for line in 1..=16 {
        assert_eq!(html.matches(&format!(" id=\"L{line}\"")).count(), 1, "line {line}");
    }
    // Colours go on from the line before, and can be read on both grounds.
    assert!(html.contains("<span style=\"color:var(--a2);\">green</span> plain"));
    assert!(!html.contains("light-dark(#0a0a0a,#0a0a0a)"));
    assert!(html.contains("light-dark(#0a0a0a,"));
    assert!(html.contains("bytes more]"));
    server.stop().await;
}

#[tokio::test]
async fn the_middle_of_a_long_log_is_left_out_and_the_file_says_so() {
    let mut id = None;
    let server = TestServer::start_with(Auth::Off, |storage| {
        let mut record = TestRecord::start(storage, "long");
        let mut text = String::new();
        for number in 1..=120_000 {
            writeln!(text, "line {number}").unwrap();
        }
        record.print(&text);
        record.end(Status::Completed);
        id = Some(record.id);
    })
    .await;
    let html = text(&server, &format!("/api/executions/{}/export", id.unwrap())).await;
    assert!(html.contains("Lines 50001 to 70000 are not in this file"));
    assert!(html.contains("format=text&amp;from_line=50001&amp;to_line=70000"));
    for (line, there) in [
        (1, true),
        (50_000, true),
        (50_001, false),
        (70_000, false),
        (70_001, true),
        (120_000, true),
    ] {
        assert_eq!(html.contains(&format!("id=\"L{line}\"")), there, "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_are_found_backwards_too() {
    let (server, base) = server().await;
    let ask = async |query: &str| server.get(&format!("{base}/log/errors?{query}")).await.json();
    let lines = |answer: &Value| -> Vec<u64> {
        answer["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["line"].as_u64().unwrap())
            .collect()
    };
    let all = lines(&ask("").await);
    assert_eq!(all, [4, 13]);
    assert_eq!(lines(&ask("before=1000000").await), [13, 4]);
    assert_eq!(lines(&ask("before=13").await), [4]);
    let one = ask("before=1000000&limit=1").await;
    assert_eq!((lines(&one), &one["next"]), (vec![13], &Value::from(13)));
    assert_eq!(lines(&ask("before=4").await), [0; 0]);
    server.stop().await;
}
