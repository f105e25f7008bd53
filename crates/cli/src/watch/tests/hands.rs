//! What is selected, what the mouse does, and how much is held.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::watch::{
    cache::{PAGE, PAGES_MAX, TEXT_BYTES_MAX},
    marks::UNASKED_MAX,
    mouse::Target,
    state::ROWS_MAX,
};

fn many(count: u32, total: u64) -> Said {
    let id = |n: u32| format!("0198c2aa-0000-7000-8000-{n:012}");
    let executions = (0..count).map(|n| execution(&id(n), &format!("job {n}"), "running"));
    Said::List(stepflow_api::ExecutionList {
        executions: executions.collect(),
        limit: count,
        offset: 0,
        count: count as usize,
        total_count: total,
        has_more: total > u64::from(count),
        next_before: None,
        status: 200,
    })
}

fn list_of(count: u32, total: u64) -> App {
    let mut app = App::new(None, false);
    app.asks.clear();
    app.take(many(count, total));
    app
}

fn ids(app: &App, places: std::ops::Range<usize>) -> Vec<stepflow_model::ExecutionId> {
    app.executions[places].iter().map(|one| one.id).collect()
}

#[test]
fn k2_what_is_selected_is_what_is_stopped_or_run_again() {
    let mut app = list_of(30, 30);
    press(&mut app, "x");
    press(&mut app, "jjjX");
    let drawn = screen(&mut app, 80, 24);
    assert!(drawn.contains("4 selected"), "{drawn}");
    assert_eq!(drawn.matches(" *").count() + drawn.matches(">*").count(), 4, "{drawn}");
    press(&mut app, "kx"); // One of them no longer.
    press(&mut app, ".");
    assert!(screen(&mut app, 80, 24).contains("3 selected: s stop"));
    press(&mut app, "s");
    let wanted: Vec<_> = [0, 1, 3].map(|at| app.executions[at].id).to_vec();
    assert_eq!(std::mem::take(&mut app.asks), [Ask::Cancel(wanted)]);
    assert_eq!(app.marks.count(), 0, "it is done");
    app.take(Said::Cancelled { asked: 2, ended: 1, failed: None });
    assert_eq!(app.message.as_deref(), Some("2 asked to stop, 1 had ended"));
    // Without a selection it is the one that is chosen.
    press(&mut app, ".r");
    assert_eq!(std::mem::take(&mut app.asks), [Ask::Rerun(ids(&app, 2..3))]);
    // Esc takes back the selection first, the filter afterwards.
    press(&mut app, "x\x1b");
    assert_eq!((app.marks.count(), app.asks.len()), (0, 0));
    // What leaves the list is selected no longer: nothing is done to what nobody sees.
    press(&mut app, "x");
    app.take(many(2, 2));
    assert_eq!(app.marks.count(), 0);
}

#[test]
fn u2_above_twenty_their_number_is_typed_first() {
    let mut app = list_of(30, 30);
    press(&mut app, "x");
    app.select(UNASKED_MAX);
    press(&mut app, "X");
    assert_eq!(app.marks.count(), 21);
    press(&mut app, ".s");
    assert_eq!(app.asks, []);
    assert!(screen(&mut app, 80, 24).contains("21 executions: type their number"));
    press(&mut app, "12\n");
    assert_eq!(app.asks, []);
    assert_eq!(app.message.as_deref(), Some("not their number: nothing was done"));
    press(&mut app, ".s21\n");
    assert_eq!(app.asks, [Ask::Cancel(ids(&app, 0..21))]);
}

#[test]
fn k2_o_shows_the_page_at_the_line() {
    let mut app = list();
    press(&mut app, "o");
    let id = app.executions[0].id;
    assert_eq!(std::mem::take(&mut app.asks), [Ask::Page(id)]);
    app.take(Said::Page(Some(format!("http://h/executions/{ID}"))));
    assert_eq!(app.browse.take().unwrap(), format!("http://h/executions/{ID}"));
    let mut app = with_one("failed");
    screen(&mut app, 80, 24);
    press(&mut app, "o");
    app.take(Said::Page(Some(format!("http://h/executions/{ID}"))));
    assert_eq!(app.browse.take().unwrap(), format!("http://h/executions/{ID}#L15"));
    press(&mut app, "d");
    assert_eq!(app.asks.pop(), Some(Ask::Save(id)));
    app.take(Said::Page(None));
    assert!(app.message.as_ref().unwrap().contains("stepflow serve"));
}

fn mouse(app: &mut App, kind: MouseEventKind, column: u16, row: u16) {
    app.mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
}

const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

/// Where on the screen this is shown.
fn spot(app: &App, target: Target) -> (u16, u16) {
    let spot = app.spots.iter().find(|spot| spot.target == target).unwrap();
    (spot.area.x, spot.area.y)
}

#[test]
fn c8_a_click_chooses_and_the_wheel_scrolls() {
    let mut app = list();
    screen(&mut app, 80, 24);
    let (column, row) = spot(&app, Target::Execution(2));
    assert_eq!(row, 3, "below the title");
    mouse(&mut app, CLICK, column, row);
    assert_eq!((app.selected, app.asks.len()), (2, 0));
    mouse(&mut app, CLICK, column, row);
    assert_eq!(app.asks, [Ask::Open(app.executions[2].id.to_string())]);
    mouse(&mut app, MouseEventKind::ScrollUp, 5, 5);
    assert_eq!(app.selected, 0);
    mouse(&mut app, CLICK, 5, 20); // Nothing is there.
    assert_eq!(app.selected, 0);

    for (width, height) in [(80, 24), (40, 20)] {
        let mut app = with_one("failed");
        let drawn = screen(&mut app, width, height);
        let (column, row) = spot(&app, Target::Step(2));
        assert!(drawn.lines().nth(usize::from(row)).unwrap().contains("Inner"), "{drawn}");
        mouse(&mut app, CLICK, column, row);
        let one = app.one.as_ref().unwrap();
        assert_eq!((one.step, one.cursor), (2, 21), "its first line");
        let drawn = screen(&mut app, width, height);
        let (column, row) = spot(&app, Target::Line(25));
        assert!(drawn.lines().nth(usize::from(row)).unwrap().contains("line 25"), "{drawn}");
        mouse(&mut app, CLICK, column + 2, row);
        assert_eq!(app.one.as_ref().unwrap().cursor, 25);
        let top = app.one.as_ref().unwrap().top;
        mouse(&mut app, MouseEventKind::ScrollUp, column, row);
        assert_eq!(app.one.as_ref().unwrap().top, top - 3, "three lines");
        let (column, row) = spot(&app, Target::Step(2));
        mouse(&mut app, MouseEventKind::ScrollUp, column, row);
        assert_eq!(app.one.as_ref().unwrap().step, 1, "the step above");
        press(&mut app, "?");
        mouse(&mut app, CLICK, 0, 0);
        assert!(!app.help, "a click closes the help");
    }
    // A line that is wrapped is one line, wherever it is clicked.
    let mut app = with_one("failed");
    press(&mut app, "w");
    screen(&mut app, 60, 24);
    let wide = app.spots.iter().find(|spot| spot.target == Target::Line(16)).unwrap().area;
    assert!(wide.height > 1, "{wide:?}");
    mouse(&mut app, CLICK, wide.x, wide.bottom() - 1);
    assert_eq!(app.one.as_ref().unwrap().cursor, 16);
}

#[test]
fn what_runs_is_followed_again_when_the_wheel_reaches_its_end() {
    let mut app = with_one("running");
    screen(&mut app, 80, 24);
    let (column, row) = spot(&app, Target::Line(40));
    mouse(&mut app, MouseEventKind::ScrollUp, column, row);
    assert!(!app.one.as_ref().unwrap().follow);
    mouse(&mut app, MouseEventKind::ScrollDown, column, row);
    assert!(app.one.as_ref().unwrap().follow);
}

#[test]
fn the_line_that_keys_are_about_is_seen_however_much_is_wrapped() {
    let mut app = with_one("failed");
    press(&mut app, "w");
    for _ in 0..30 {
        app.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
        screen(&mut app, 60, 12);
        let one = app.one.as_ref().unwrap();
        assert!(app.spots.iter().any(|spot| spot.target == Target::Line(one.cursor)));
    }
}

/// Answers what is asked for lines with lines of `bytes`, as the sources do: at most 4 MiB at once.
fn answer(app: &mut App, bytes: usize) {
    app.settle();
    for ask in std::mem::take(&mut app.asks) {
        let Ask::Lines { id, missing, generation, .. } = ask else { continue };
        let count = (missing.count).min((4 << 20) / bytes);
        let lines = (missing.from..).take(count).map(|n| {
            let mut line = line(40);
            (line.n, line.text) = (n, "x".repeat(bytes));
            line
        });
        let lines = lines.collect();
        app.take(Said::Lines { id, from: missing.from, lines, total: None, generation });
    }
}

#[test]
fn p7_c8_what_is_held_does_not_grow_with_the_log_nor_with_its_lines_nor_with_the_list() {
    let held_max = PAGES_MAX * PAGE as usize;
    let long = 16 * 1024;
    for (bytes, text_max, steps) in
        [(60, held_max * 60, 400), (long, TEXT_BYTES_MAX + (16 << 20), 80)]
    {
        let mut app = with_one("failed");
        let Said::Opened { detail, mut meta, page } = opened("failed") else { panic!() };
        meta.lines = 10_000_000;
        app.take(Said::Opened { detail, meta, page });
        let mut seen = std::collections::HashSet::new();
        for step in 0..steps {
            let one = app.one.as_mut().unwrap();
            // Far jumps, and reading on from there.
            let to = if step % 4 == 0 { 1 + step * 24_900 } else { one.cursor + 600 };
            app.asks.extend(app.one.as_mut().unwrap().go_to(to, 24));
            answer(&mut app, bytes);
            answer(&mut app, bytes);
            let cache = &app.one.as_ref().unwrap().cache;
            assert!(cache.line(to).is_some(), "what is looked at is there: {to}");
            seen.insert(to / PAGE);
            assert!(cache.held() <= held_max, "{} lines", cache.held());
            assert!(cache.text_bytes() <= text_max, "{} bytes", cache.text_bytes());
        }
        assert!(seen.len() > 4 * PAGES_MAX, "far more was looked at than is held");
    }
    // A million executions: so many rows, whatever is answered.
    let mut app = list_of(200, 1_000_000);
    for _ in 0..20 {
        app.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
        let asked = app.asks.drain(..).find_map(|ask| match ask {
            Ask::List(query) => Some(query.limit),
            _ => None,
        });
        app.take(many(asked.unwrap_or(2 * ROWS_MAX), 1_000_000));
        assert!(app.executions.len() <= ROWS_MAX as usize);
    }
    assert_eq!(app.executions.len(), ROWS_MAX as usize);
}
