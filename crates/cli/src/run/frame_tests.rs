//! Frames, as a terminal shows them.

use std::{collections::HashMap, num::NonZero};

use insta::assert_snapshot;
use stepflow_model::{Event, EventKind, ExecutionState, Spec, StepStatus};

use super::{
    canvas::{Canvas, Frame},
    frame::Scene,
    look::Look,
    summary::{Findings, finished_step},
};
use crate::text::{self, Language, Locale};

const UTF8: Locale = Locale { utf8: true, ..Locale::C };

fn look(locale: Locale) -> Look {
    Look { colour: false, locale, text: text::of(locale.language) }
}

fn spec() -> Spec {
    serde_json::from_value(serde_json::json!({
        "id": "0198c2aa-7a10-7000-8000-000000000001", "name": "nightly", "command": ["make"],
        "cwd": "/", "created_us": 0, "source": "cli", "bound": true,
        "grace_ms": 10_000, "drain_ms": 5_000,
    }))
    .expect("a spec")
}

/// A state made of events, each at a time in seconds and a line.
struct Told {
    state: ExecutionState,
    seq: u64,
    at_us: u64,
    lines: u64,
}

impl Told {
    fn new() -> Self {
        Self { state: ExecutionState::new(&spec()), seq: 0, at_us: 0, lines: 0 }
    }

    fn at(mut self, seconds: f64, lines: u64) -> Self {
        self.at_us = (seconds * 1e6) as u64;
        self.lines = lines;
        self
    }

    fn tell(mut self, kind: EventKind) -> Self {
        self.seq += 1;
        self.state.apply(&Event {
            seq: self.seq,
            time_us: self.at_us as i64,
            at_us: self.at_us,
            offset: self.lines * 10,
            lines: self.lines,
            kind,
        });
        self
    }

    fn begin(self, step: u32, name: &str, parent: Option<u32>) -> Self {
        self.tell(EventKind::StepStarted {
            step,
            name: name.to_owned(),
            parent,
            key: Some(format!("k{step}")),
            params: serde_json::Map::new(),
            dialect: None,
            loose: false,
        })
    }

    fn end(self, step: u32, status: StepStatus, error: Option<&str>) -> Self {
        self.tell(EventKind::StepFinished {
            step,
            status,
            exit_code: None,
            error: error.map(str::to_owned),
            by: "marker".to_owned(),
            detail: None,
            done: false,
        })
    }

    fn progress(self, step: Option<u32>, percent: f64, text: &str) -> Self {
        self.tell(EventKind::Progress { step, percent: Some(percent), text: text.to_owned() })
    }
}

/// The state of the picture in the specification.
fn nightly() -> Told {
    Told::new()
        .begin(0, "Setup", None)
        .at(1.24, 12)
        .end(0, StepStatus::Completed, None)
        .begin(1, "Install", None)
        .at(13.6, 226)
        .end(1, StepStatus::Completed, None)
        .begin(2, "Unit tests", None)
        .at(61.6, 1_206)
        .end(2, StepStatus::Failed, Some("exit code 1"))
        .begin(3, "Integration", None)
        .at(112.7, 48_100)
        .begin(4, "browser", Some(3))
        .at(120.0, 48_201)
        .progress(Some(4), 42.0, "page 21 of 50")
}

fn settled(told: &Told, look: &Look, width: usize) -> Vec<String> {
    let found = Findings { errors: 1, first_error: Some(1_203) };
    let ended = told.state.steps.iter().filter(|step| step.status.is_end());
    ended.map(|step| finished_step(look, step, found, width)).collect()
}

fn live(told: &Told, look: &Look, rows: usize, width: usize) -> Vec<String> {
    let tail = ["POST /login ... ok".to_owned(), "測試 日本語テキスト 👍🏽 e\u{301}".repeat(4)];
    let usual = HashMap::from([(3, 55_000_000)]);
    let scene = Scene {
        look,
        state: &told.state,
        now_us: 124_700_000,
        tail: &tail,
        usual: &usual,
        said: None,
        page: Some("http://localhost:8080/executions/01J9Z"),
    };
    scene.lines(rows, width)
}

fn nonzero(number: usize) -> NonZero<u16> {
    NonZero::new(number as u16).expect("a size")
}

fn parser(rows: usize, width: usize) -> vt100::Parser {
    vt100::Parser::new(nonzero(rows), nonzero(width), 1_000)
}

/// A virtual terminal that our frames are written to.
struct Terminal {
    parser: vt100::Parser,
    canvas: Canvas<Vec<u8>>,
    size: (usize, usize),
}

impl Terminal {
    fn new(rows: usize, width: usize) -> Self {
        let parser = parser(rows, width);
        Self { parser, canvas: Canvas::new(Vec::new()), size: (rows, width) }
    }

    fn show(&mut self, settled: Vec<String>, live: Vec<String>) {
        self.canvas.show(&Frame { settled, live }, self.size.0, self.size.1).unwrap();
        self.take();
    }

    fn take(&mut self) {
        let bytes = std::mem::take(self.canvas.out_mut());
        self.parser.process(&bytes);
    }

    fn picture(&self) -> String {
        let text = self.parser.screen().contents();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

fn picture(locale: Locale, rows: usize, width: usize) -> String {
    let told = nightly();
    let look = look(locale);
    let mut terminal = Terminal::new(rows, width);
    terminal.show(settled(&told, &look, width), live(&told, &look, rows, width));
    terminal.picture()
}

#[test]
fn the_tree_at_80_columns() {
    assert_snapshot!(picture(UTF8, 24, 80));
}

#[test]
fn the_tree_at_40_columns() {
    assert_snapshot!(picture(UTF8, 24, 40));
}

#[test]
fn the_tree_at_200_columns() {
    assert_snapshot!(picture(UTF8, 24, 200));
}

#[test]
fn the_tree_in_ascii() {
    let text = picture(Locale::C, 24, 80);
    let own: Vec<_> = text.lines().filter(|line| !line.contains('測')).collect();
    assert!(own.iter().all(|line| line.is_ascii()), "{text}");
    assert_snapshot!(text);
}

#[test]
fn the_tree_in_chinese() {
    assert_snapshot!(picture(Locale { language: Language::Chinese, ..UTF8 }, 24, 80));
}

#[test]
fn numbers_of_the_tree_in_german() {
    assert_snapshot!(picture(Locale { decimal: ',', group: '.', ..UTF8 }, 24, 80));
}

#[test]
fn at_most_eight_running_steps_in_a_window_less_two() {
    let mut told = Told::new();
    for step in 0..30 {
        told = told.begin(step, &format!("part {step}"), None);
    }
    let look = look(UTF8);
    for rows in 0..60 {
        let lines = live(&told, &look, rows, 80);
        assert!(lines.len() <= rows.saturating_sub(2).max(1), "{rows} rows: {}", lines.len());
        let running = lines.iter().filter(|line| line.starts_with(" ~")).count();
        assert!(running <= 8, "{rows} rows");
        if rows >= 16 {
            assert_eq!(running, 8, "{rows} rows");
            assert!(lines[0].contains("22"), "{:?}", lines[0]);
        }
    }
    assert_snapshot!(live(&told, &look, 8, 60).join("\n"));
}

#[test]
fn no_line_is_wider_than_the_window_whatever_it_holds() {
    let told = nightly().begin(5, &"長い名前👨‍👩‍👧‍👦❤️".repeat(40), Some(4)).progress(
        None,
        99.9,
        &"text ".repeat(100),
    );
    for locale in [UTF8, Locale::C] {
        for width in 1..=200 {
            for line in live(&told, &look(locale), 24, width) {
                assert!(crate::format::columns(&line) <= width, "{width}: {line:?}");
            }
        }
    }
}

#[test]
fn a_frame_writes_over_the_one_before_and_leaves_the_scrollback_whole() {
    let mut terminal = Terminal::new(10, 40);
    let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    terminal.show(lines(&[]), lines(&["one", "two", "three", "last line"]));
    terminal.show(lines(&["settled 1"]), lines(&["two", "last"]));
    assert_eq!(terminal.picture(), "settled 1\ntwo\nlast");
    for number in 2..30 {
        terminal.show(vec![format!("settled {number}")], lines(&["a", "b"]));
    }
    assert_eq!(terminal.picture().lines().last(), Some("b"));
    // As wide as the window, and wider: nothing of it is lost, nothing of the frame before is left.
    let wide = "w".repeat(40);
    let wider = "v".repeat(95);
    terminal.show(vec![wide.clone(), wider.clone()], lines(&["short"]));
    let picture = terminal.picture();
    assert!(picture.contains(&wide), "{picture}");
    assert_eq!(picture.matches('v').count(), 95, "{picture}");
    assert_eq!(picture.lines().last(), Some("short"));
    assert_eq!(picture.matches("settled 29").count(), 1);
    terminal.parser.screen_mut().set_scrollback(1_000);
    let above = terminal.picture();
    assert!(above.starts_with("settled 1\nsettled 2\nsettled 3\n"), "{above}");
}

#[test]
fn rows_that_were_longer_once_are_found_again_in_a_narrower_tmux() {
    let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    for (keeps_erased, above) in [(true, 3), (false, 2)] {
        let mut canvas = Canvas::new(Vec::new()).keeping_erased(keeps_erased);
        let wide = "w".repeat(60);
        canvas.show(&Frame { settled: Vec::new(), live: lines(&["a", &wide]) }, 24, 80).unwrap();
        // One line settles: what is second now stands where the wide one stood.
        canvas.show(&Frame { settled: lines(&["s"]), live: lines(&["b", "c"]) }, 24, 80).unwrap();
        canvas.out_mut().clear();
        canvas.show(&Frame { settled: Vec::new(), live: lines(&["b", "d"]) }, 24, 40).unwrap();
        let text = String::from_utf8(canvas.out_mut().clone()).unwrap();
        assert!(text.contains(&format!("\x1b[{above}A")), "{keeps_erased}: {text:?}");
    }
}

#[test]
fn one_write_a_frame_synchronized_and_nothing_is_cleared_first() {
    struct Writes(Vec<Vec<u8>>);
    impl std::io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut canvas = Canvas::new(Writes(Vec::new()));
    let frame = |settled: &str, live: &str| Frame {
        settled: vec![settled.to_owned()],
        live: vec![live.to_owned()],
    };
    canvas.show(&frame("a", "b"), 24, 80).unwrap();
    canvas.show(&frame("c", "d"), 24, 80).unwrap();
    let same = Frame { settled: Vec::new(), live: vec!["d".to_owned()] };
    canvas.show(&same, 24, 80).unwrap();
    let writes = &canvas.out_mut().0;
    assert_eq!(writes.len(), 2, "a frame that changes nothing is not written");
    for write in writes {
        let text = std::str::from_utf8(write).unwrap();
        assert!(text.starts_with("\x1b[?2026h") && text.ends_with("\x1b[?2026l"), "{text:?}");
        let erased = text.find("\x1b[J").unwrap();
        assert!(text.find(['b', 'd']).unwrap() < erased, "{text:?}");
        assert!(!text.contains("\x1b[2J") && !text.contains("\x1b[2K"), "{text:?}");
    }
}

#[test]
fn a_wider_window_and_a_suspension_leave_nothing_behind() {
    let told = nightly();
    let look = look(UTF8);
    let mut terminal = Terminal::new(12, 40);
    terminal.show(settled(&told, &look, 40), live(&told, &look, 12, 40));
    terminal.parser.screen_mut().set_size(nonzero(24), nonzero(80));
    terminal.size = (24, 80);
    terminal.show(vec!["settled".to_owned()], live(&told, &look, 24, 80));
    let one = |text: &str, word: &str| assert_eq!(text.matches(word).count(), 1, "{text}");
    one(&terminal.picture(), "Integration");
    one(&terminal.picture(), "Ctrl-C stops");

    // Ctrl-Z: the shell gets a clean screen and a cursor; `fg` draws below what it wrote.
    terminal.canvas.leave().unwrap();
    terminal.take();
    assert!(!terminal.parser.screen().hide_cursor());
    assert!(!terminal.picture().contains("Integration"), "{}", terminal.picture());
    terminal.parser.process(b"[1]+  Stopped\r\n$ fg\r\n");
    terminal.show(Vec::new(), live(&told, &look, 24, 80));
    assert!(terminal.parser.screen().hide_cursor());
    let picture = terminal.picture();
    one(&picture, "Integration");
    assert!(picture.find("$ fg") < picture.find("Integration"), "{picture}");
    assert_snapshot!(picture);
}

#[test]
fn the_cursor_comes_back_after_a_panic() {
    let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let shared = written.clone();
    let panicked = std::thread::spawn(move || {
        let mut canvas = Canvas::new(Shared(shared));
        let frame = Frame { settled: Vec::new(), live: vec!["running".to_owned()] };
        canvas.show(&frame, 24, 80).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    let mut parser = parser(24, 80);
    parser.process(&written.lock().unwrap());
    assert!(!parser.screen().hide_cursor());
}
