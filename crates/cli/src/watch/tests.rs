//! Screens of several sizes, drawn without a terminal.

mod hands; // what is selected, the mouse, memory

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;
use stepflow_api::{Execution, ExecutionDetail, Line, LineView, LogLevel, LogMeta};

use super::{
    render::render,
    state::App,
    worker::{Ask, Said},
};
use crate::source::{Find, From};

const ID: &str = "0198c2aa-0000-7000-8000-000000000001";

fn execution(id: &str, name: &str, status: &str) -> Execution {
    let ended = (status != "running").then_some("2026-11-22T20:01:00.000000Z");
    serde_json::from_value(json!({
        "id": id, "name": name, "command": "make", "working_directory": "/", "status": status,
        "created_at": "2026-11-22T20:00:00.000000Z", "started_at": "2026-11-22T20:00:00.000000Z",
        "completed_at": ended, "environment": {}, "user": "", "tags": [], "total_steps": 3,
        "completed_steps": 1, "current_step_index": 1, "duration_seconds": 60.0,
        "progress_percentage": 0.0, "metadata": {}, "cancelling": false, "paused": false,
        "failed_steps": 1, "skipped_steps": 0, "lines": 40, "bytes": 400, "warnings": 0,
        "artifacts_count": 0, "source": "cli", "pty": false, "containment": "keeper", "host": "h", "pinned": false,
    }))
    .unwrap()
}

fn step(
    index: u32,
    name: &str,
    status: &str,
    depth: u32,
    from_s: u32,
    seconds: f64,
) -> serde_json::Value {
    json!({
        "id": format!("{ID}-s{index}"), "execution_id": ID, "name": name, "description": "",
        "index": index, "status": status, "created_at": "2026-11-22T20:00:00.000000Z",
        "started_at": format!("2026-11-22T20:00:{from_s:02}.000000Z"), "duration_seconds": seconds,
        "metadata": {}, "is_finished": status != "running", "stop_on_error": false,
        "parent": (depth > 0).then_some(index.saturating_sub(1)), "depth": depth,
        "first_line": index * 10 + 1, "start_offset": 0,
    })
}

fn opened(status: &str) -> Said {
    let steps = [
        step(0, "Setup", "completed", 0, 0, 20.0),
        step(1, "日本語のステップ", "failed", 0, 20, 30.0),
        step(2, "Inner", "failed", 1, 25, 10.0),
        step(3, "Package", if status == "running" { "running" } else { "completed" }, 0, 50, 10.0),
    ];
    let execution = execution(ID, "nightly-build", status);
    let detail: ExecutionDetail = serde_json::from_value(json!({
        "execution": execution, "steps": steps, "artifacts": [], "annotations": [], "status": 200,
    }))
    .unwrap();
    let counts = json!({"error": 2, "warning": 1, "notice": 0, "debug": 0, "other": 37});
    let ended = status != "running";
    let meta: LogMeta = serde_json::from_value(json!({
        "lines": 40, "bytes": 400, "scanned_lines": 40, "complete": true, "counts": counts,
        "stderr_lines": 1, "first_error": {"line": 15, "source": "detected"},
        "steps": [{"step": 1, "lines": 10, "counts": counts, "first_error": null}],
        "ranges": [], "gaps": [], "safe_bytes": null, "ended": ended, "utc_offset_min": 0,
    }))
    .unwrap();
    Said::Opened { detail: Box::new(detail), meta: Box::new(meta), page: None }
}

fn line(n: u64) -> Line {
    let (text, level) = match n {
        15 => ("\x1b[31merror[E0308]\x1b[0m: mismatched types".to_owned(), LogLevel::Error),
        16 => ("  --> 長い行 ".to_owned() + &"日本語 and more ".repeat(8), LogLevel::Other),
        17 => ("warning: unused".to_owned(), LogLevel::Warning),
        n => (format!("line {n}"), LogLevel::Other),
    };
    let width = unicode_width::UnicodeWidthStr::width(text.as_str()) as u32;
    Line {
        n,
        t: format!("2026-11-22T20:00:{n:02}.500000Z"),
        stream: stepflow_model::Stream::Stdout,
        offset: n * 10,
        bytes: 10,
        text,
        partial: false,
        continued: false,
        lossy: false,
        rest: 0,
        step: Some(1),
        dropped: None,
        view: Some(LineView {
            style: Some(String::new()),
            shown: None,
            width,
            replaced: 0,
            hidden: 0,
            level,
            source: stepflow_api::LevelSource::Detected,
            context: false,
        }),
    }
}

/// Settles, answers what is asked for lines, and draws.
fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    for _ in 0..3 {
        app.settle();
        for ask in std::mem::take(&mut app.asks) {
            if let Ask::Lines { id, levels, missing, generation } = ask {
                let all: Vec<Line> = (1..=40).map(line).collect();
                let of = |line: &Line| line.view.as_ref().unwrap().level;
                let lines: Vec<Line> = match levels.as_deref() {
                    None => all,
                    Some(words) => all
                        .into_iter()
                        .filter(|line| {
                            of(line) == LogLevel::Error
                                || (words.contains("warning") && of(line) == LogLevel::Warning)
                        })
                        .collect(),
                };
                let total = levels.map(|_| lines.len() as u64);
                let from = missing.from;
                let lines = lines.into_iter().skip(from as usize - 1).take(missing.count).collect();
                app.take(Said::Lines { id, from, lines, total, generation });
            } else {
                app.asks.push(ask);
            }
        }
        terminal.draw(|frame| render(app, frame)).unwrap();
    }
    terminal.backend().to_string()
}

fn press(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

fn with_one(status: &str) -> App {
    let mut app = App::new(Some("last"), false);
    assert_eq!(app.asks, [Ask::Open("last".to_owned())]);
    app.asks.clear();
    app.take(opened(status));
    app
}

fn list() -> App {
    let mut app = App::new(None, false);
    app.asks.clear();
    let long = "四千バイトの名前".repeat(160);
    let executions = vec![
        execution(ID, "nightly-build", "running"),
        execution("0198c2aa-0000-7000-8000-000000000002", &long, "failed"),
        execution("0198c2aa-0000-7000-8000-000000000003", "evil\x1b[2Jname", "completed"),
    ];
    app.take(Said::List(stepflow_api::ExecutionList {
        executions,
        limit: 200,
        offset: 0,
        count: 3,
        total_count: 3,
        has_more: false,
        next_before: None,
        status: 200,
    }));
    app
}

#[test]
fn one_execution_at_80_by_24() {
    insta::assert_snapshot!(screen(&mut with_one("failed"), 80, 24));
}

#[test]
fn one_execution_at_40_by_20() {
    insta::assert_snapshot!(screen(&mut with_one("failed"), 40, 20));
}

#[test]
fn one_execution_at_200_by_50() {
    insta::assert_snapshot!(screen(&mut with_one("running"), 200, 50));
}

#[test]
fn the_list_at_three_sizes() {
    for (width, height) in [(40, 20), (80, 24), (200, 50)] {
        let drawn = screen(&mut list(), width, height);
        // Times are of this machine's zone.
        let drawn = drawn.replace(|c: char| c.is_ascii_digit(), "0");
        insta::assert_snapshot!(format!("list_{width}x{height}"), drawn);
    }
}

#[test]
fn the_timeline_and_the_help() {
    let mut app = with_one("running");
    press(&mut app, "2");
    insta::assert_snapshot!("timeline", screen(&mut app, 80, 24));
    press(&mut app, "?");
    insta::assert_snapshot!("help", screen(&mut app, 80, 24));
}

#[test]
fn keys_do_what_they_do_on_the_page() {
    let mut app = with_one("failed");
    screen(&mut app, 80, 24);
    let place = |app: &App| app.one.as_ref().unwrap().line();
    assert_eq!(place(&app), 15, "what failed opens at its first error");
    press(&mut app, "e");
    let id = app.one.as_ref().unwrap().id;
    assert_eq!(app.asks, [Ask::Error { id, from: 15, back: false }]);
    app.asks.clear();
    app.take(Said::Error { id, line: Some(38), wrapped: false });
    assert_eq!(place(&app), 38);
    press(&mut app, ":12\n");
    assert_eq!(place(&app), 12);
    press(&mut app, "/mism\n");
    let find = |from, limit| Find { text: "mism".into(), regex: false, case: false, from, limit };
    assert_eq!(
        app.asks,
        [
            Ask::Hit { id, find: find(From::Line(12), 1) },
            Ask::Count { id, find: find(From::Line(1), 0) }
        ]
    );
    app.asks.clear();
    app.take(Said::Hit { id, line: Some(15), wrapped: false });
    press(&mut app, "N");
    assert_eq!(app.asks, [Ask::Hit { id, find: find(From::Before(15), 1) }]);
    app.asks.clear();
    // Only errors: numbers stay those of the log.
    press(&mut app, "v");
    let only = screen(&mut app, 80, 24);
    assert!(only.contains(" 15E") && !only.contains("line 14"), "{only}");
    press(&mut app, "y");
    assert_eq!(app.copy.as_deref(), Some(&*format!("stepflow logs {ID} --since 15")));
    press(&mut app, "q");
    assert!(app.quit);
}

#[test]
fn what_is_followed_stays_at_its_end_and_what_is_read_stays_put() {
    let mut app = with_one("running");
    assert!(screen(&mut app, 80, 24).contains("line 40"));
    app.key(KeyEvent::new(KeyCode::Up, KeyModifiers::NONE));
    let before = app.one.as_ref().unwrap().top;
    let Said::Opened { detail, mut meta, page } = opened("running") else { panic!() };
    meta.lines = 4_000;
    app.take(Said::Opened { detail, meta, page });
    app.settle();
    assert_eq!(app.one.as_ref().unwrap().top, before);
    press(&mut app, "f");
    app.settle();
    assert_eq!(app.one.as_ref().unwrap().cursor, 4_000);
}

#[test]
fn wrapped_lines_are_shown_whole() {
    let mut app = with_one("failed");
    press(&mut app, "w");
    let drawn = screen(&mut app, 60, 24);
    assert_eq!(drawn.matches("and more").count(), 8, "{drawn}");
}

#[test]
fn in_chinese_every_column_stands_where_it_does_in_english() {
    crate::text::asked::chinese();
    insta::assert_snapshot!("chinese_list", screen(&mut list(), 80, 24));
    let mut app = with_one("failed");
    insta::assert_snapshot!("chinese_one", screen(&mut app, 80, 24));
    press(&mut app, "?");
    insta::assert_snapshot!("chinese_help", screen(&mut app, 80, 24));
}

#[test]
fn no_size_makes_it_panic() {
    for (width, height) in [(1, 1), (9, 3), (10, 4), (20, 6), (59, 14), (60, 16), (300, 5)] {
        for mut app in [with_one("running"), list()] {
            screen(&mut app, width, height);
            press(&mut app, "w2?");
            screen(&mut app, width, height);
        }
    }
}
