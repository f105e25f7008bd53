//! What the state looks like.

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line as Row, Span},
    widgets::{Clear, Paragraph},
};
use stepflow_api::{LevelCounts, LogLevel};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    ansi::{self, Cell},
    mouse::{Spot, Target},
    state::{App, One, PromptKind, Tab},
    steps::{steps, strip_row, timeline},
};
use crate::{
    args::TimeMode,
    commands::look::{row, status_word, took},
    format::{clean, count, cut, lines as some_lines},
    line,
    text::{self, say},
};

/// Colours that mean something; without colour only words and marks do.
pub struct Paint(pub bool);

impl Paint {
    pub fn fg(&self, colour: Color) -> Style {
        if self.0 { Style::default().fg(colour) } else { Style::default() }
    }

    pub fn dim(&self) -> Style {
        if self.0 { Style::default().add_modifier(Modifier::DIM) } else { Style::default() }
    }

    pub fn status(&self, status: &str) -> Style {
        match status {
            "completed" => self.fg(Color::Green),
            "failed" => self.fg(Color::Red),
            "cancelled" => self.fg(Color::Yellow),
            "running" | "pending" => self.fg(Color::Cyan),
            _ => self.dim(),
        }
    }
}

/// Draws everything. The number of rows for the log is put into the state, which needs it for keys.
pub fn render(app: &mut App, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < 10 || area.height < 4 {
        frame.render_widget(Paragraph::new(say::no_room()), area);
        return;
    }
    app.spots.clear();
    let paint = Paint(app.colour);
    let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
    let foot = Rect { y: area.bottom() - 1, height: 1, ..area };
    let head = Rect { height: 1, ..area };
    if app.one.is_some() {
        one(app, frame, head, body, &paint);
    } else {
        list(app, frame, head, body, &paint);
    }
    let bottom = bottom(app, area.width);
    frame.render_widget(Paragraph::new(Row::styled(bottom, REVERSED)), foot);
    if app.help {
        let help = say::help();
        let width = 58.min(area.width);
        let height = (help.lines().count() as u16 + 2).min(area.height);
        let at = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        frame.render_widget(Clear, at);
        let rows: Vec<Row<'_>> = help.lines().map(Row::raw).collect();
        let block = ratatui::widgets::Block::bordered().title(say::help_title());
        frame.render_widget(Paragraph::new(rows).block(block), at);
    }
}

const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Cuts and fills to exactly `width` columns.
pub fn fit(text: &str, width: usize) -> String {
    let mut text = cut(text, width);
    let used = UnicodeWidthStr::width(text.as_str());
    text.push_str(&" ".repeat(width.saturating_sub(used)));
    text
}

/// `left`, and `right` at the end of the row if there is room for it.
pub fn ends(left: &str, right: &str, width: usize) -> String {
    let room = width.saturating_sub(UnicodeWidthStr::width(right) + 1);
    if room < 8 {
        return fit(left, width);
    }
    format!("{} {right}", fit(left, room))
}

fn bottom(app: &App, width: u16) -> String {
    let width = usize::from(width);
    if let Some(prompt) = &app.prompt {
        let text = match prompt.kind {
            PromptKind::Search if prompt.regex => say::prompt_regex(&prompt.text),
            PromptKind::Search => say::prompt_search(&prompt.text),
            PromptKind::Name => say::prompt_name(&prompt.text),
            PromptKind::Line => say::prompt_line(&prompt.text),
            PromptKind::Act if app.one.is_none() && app.marks.count() > 0 => {
                say::prompt_act_many(app.marks.count())
            }
            PromptKind::Act => say::prompt_act(app.named().unwrap_or_default()),
            PromptKind::Sure(_) => say::prompt_sure(app.meant().len(), &prompt.text),
        };
        return fit(&clean(text.as_bytes(), false), width);
    }
    if let Some(message) = &app.message {
        return fit(&clean(message.as_bytes(), false), width);
    }
    match &app.one {
        None => ends(&say::keys_of_list(), &say::executions(count(app.total)), width),
        Some(one) => {
            let LevelCounts { error, warning, .. } = one.meta.counts;
            let more = if one.meta.complete { "" } else { "…" };
            let lines = some_lines(one.meta.lines);
            let counts = format!("{lines} E{error} W{warning}{more}");
            let keys = match &one.search {
                Some(search) => {
                    let more = if search.complete { "" } else { "…" };
                    format!("/{}  {}{more}  n N", search.text, some_lines(search.lines))
                }
                None => say::keys_of_one(),
            };
            ends(&clean(keys.as_bytes(), false), &counts, width)
        }
    }
}

fn list(app: &mut App, frame: &mut Frame<'_>, head: Rect, body: Rect, paint: &Paint) {
    let mut title = say::screen_title();
    if let Some(status) = &app.query.status {
        title.push_str(&format!("  {}", text::status(status)));
    }
    if let Some(name) = &app.query.name_contains {
        title.push_str(&format!("  /{}", clean(name.as_bytes(), false)));
    }
    if app.marks.count() > 0 {
        title.push_str(&format!("  {}", say::selected(app.marks.count())));
    }
    let state = if app.away { say::away() } else { say::live() };
    let title = ends(&title, &state, usize::from(head.width));
    frame.render_widget(Paragraph::new(Row::styled(title, REVERSED)), head);
    app.height = u64::from(body.height);
    if app.executions.is_empty() {
        let text =
            match (app.loaded, app.query.status.is_some() || app.query.name_contains.is_some()) {
                (false, _) => say::loading(),
                (true, true) => say::esc_shows_all(),
                (true, false) => say::nothing_here(),
            };
        frame.render_widget(Paragraph::new(text), body);
        return;
    }
    let height = usize::from(body.height);
    let first = app.selected.saturating_sub(height.saturating_sub(1));
    let shown = app.executions.iter().enumerate().skip(first).take(height);
    let width = usize::from(body.width);
    let rows: Vec<Row<'_>> = shown
        .map(|(at, execution)| {
            let mark = match (at == app.selected, app.marks.has(execution.id)) {
                (true, true) => ">*",
                (true, false) => "> ",
                (false, true) => " *",
                (false, false) => "  ",
            };
            let text = fit(&format!("{mark}{}", row(execution, Some(width - 2), false)), width);
            let word = mark.len() + status_word(&execution.status).len();
            let (status, rest) = text.split_at_checked(word).unwrap_or((&text, ""));
            let line = Row::from(vec![
                Span::styled(status.to_owned(), paint.status(&execution.status)),
                Span::raw(rest.to_owned()),
            ]);
            if at == app.selected { line.style(REVERSED) } else { line }
        })
        .collect();
    app.spots = rows_of(body, first..first + rows.len(), Target::Execution);
    frame.render_widget(Paragraph::new(rows), body);
}

/// Each row of `area` shows one of these.
fn rows_of(area: Rect, shown: Range<usize>, target: fn(usize) -> Target) -> Vec<Spot> {
    let rows = (area.y..area.bottom()).zip(shown);
    rows.map(|(y, at)| Spot { area: Rect { y, height: 1, ..area }, target: target(at) }).collect()
}

fn one(app: &mut App, frame: &mut Frame<'_>, head: Rect, body: Rect, paint: &Paint) {
    let state = match (&app.one, app.away) {
        (_, true) => say::away(),
        (Some(one), false) if one.meta.ended => say::ended(),
        (Some(one), false) if one.follow => say::following_end(),
        _ => say::live(),
    };
    let Some(one) = &app.one else { return };
    let execution = &one.detail.execution;
    let mut title = clean(execution.name.as_bytes(), false);
    title.push_str(&format!("  {}", text::status(&execution.status)));
    if let Some(seconds) = execution.duration_seconds {
        title.push_str(&format!(" {}", took(seconds)));
    }
    if let Some(levels) = one.levels() {
        title.push_str(&format!("  {}", say::only(levels)));
    }
    let title = ends(&title, &state, usize::from(head.width));
    frame.render_widget(Paragraph::new(Row::styled(title, REVERSED)), head);
    let has_steps = !one.detail.steps.is_empty();
    if one.tab == Tab::Timeline && has_steps {
        app.height = u64::from(body.height);
        let shown = timeline(one, frame, body, paint);
        app.spots = rows_of(body, shown, Target::Step);
        return;
    }
    let mut log = body;
    let mut spots = Vec::new();
    // A strip of all steps in time, where there is room for it.
    if has_steps && body.height >= 16 {
        log.height -= 1;
        let strip = Rect { y: log.bottom(), height: 1, ..body };
        frame.render_widget(Paragraph::new(strip_row(one, body.width, paint)), strip);
    }
    if has_steps && !one.wide && body.width >= 60 {
        let width = (body.width / 3).clamp(22, 44);
        let tree = Rect { width: width - 1, ..log };
        spots = rows_of(tree, steps(one, frame, tree, paint), Target::Step);
        let rule = Rect { x: tree.right(), width: 1, ..log };
        let rows: Vec<Row<'_>> = (0..rule.height).map(|_| Row::styled("|", paint.dim())).collect();
        frame.render_widget(Paragraph::new(rows), rule);
        log = Rect { x: log.x + width, width: log.width - width, ..log };
    } else if has_steps && !one.wide && body.height >= 14 {
        // A narrow window: the steps stand above the log.
        let height = (one.steps().len() as u16).min(body.height / 3).max(1);
        let tree = Rect { height, ..log };
        spots = rows_of(tree, steps(one, frame, tree, paint), Target::Step);
        let rule = Rect { y: log.y + height, height: 1, ..log };
        let text = "-".repeat(usize::from(log.width));
        frame.render_widget(Paragraph::new(Row::styled(text, paint.dim())), rule);
        log = Rect { y: log.y + height + 1, height: log.height - height - 1, ..log };
    }
    app.height = u64::from(log.height);
    let colour = app.colour;
    if let Some(one) = &mut app.one {
        spots.extend(lines(one, frame, log, colour, paint));
    }
    app.spots = spots;
}

/// Draws the log; returns which line is where.
fn lines(
    one: &mut One,
    frame: &mut Frame<'_>,
    area: Rect,
    colour: bool,
    paint: &Paint,
) -> Vec<Spot> {
    let height = usize::from(area.height);
    let digits = one.meta.lines.max(1).to_string().len().max(3);
    let mode = one.time_mode();
    let times = if mode == TimeMode::Off || area.width < 50 { 0 } else { 13 };
    let gutter = digits + 3 + times;
    let room = area.width.saturating_sub(gutter as u16).max(1);
    if one.total() == 0 {
        let text = match (one.level > 0, one.meta.ended) {
            (true, _) => say::no_line_of_levels(),
            (false, true) => say::printed_nothing(),
            (false, false) => say::printed_nothing_yet(),
        };
        frame.render_widget(Paragraph::new(text), area);
        return Vec::new();
    }
    // The line that keys are about is seen to its end: what wraps takes rows from the top.
    if one.wrap && one.cursor >= one.top {
        let mut rows = 0;
        let mut top = one.cursor + 1;
        while top > 1 && rows < height {
            let width = one.cache.line(top - 1).and_then(|line| line.view.as_ref());
            let width = width.map_or(1, |view| view.width.max(1));
            rows += width.div_ceil(u32::from(room)) as usize;
            if rows <= height {
                top -= 1;
            }
        }
        one.top = one.top.max(top.min(one.cursor));
    }
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(height);
    let mut spots = Vec::with_capacity(height);
    let mut last_us = None;
    for place in one.top..=one.total() {
        if rows.len() >= height {
            break;
        }
        let mark = if place == one.cursor { ">" } else { " " };
        let from = area.y + rows.len() as u16;
        let Some(line) = one.cache.line(place) else {
            let row = Rect { y: from, height: 1, ..area };
            spots.push(Spot { area: row, target: Target::Line(place) });
            rows.push(Row::styled(format!("{mark}{:>digits$} …", ""), paint.dim()));
            continue;
        };
        let level = line.view.as_ref().map_or(LogLevel::Other, |view| view.level);
        let (sign, tint) = match level {
            LogLevel::Error => ("E ", paint.fg(Color::Red)),
            LogLevel::Warning => ("W ", paint.fg(Color::Yellow)),
            _ if line.stream == stepflow_model::Stream::Stderr => ("! ", paint.dim()),
            _ => ("  ", paint.dim()),
        };
        let mut head = format!("{mark}{:>digits$}", line.n);
        if times > 0 {
            head.push_str(&format!(" {}", line::time(line, mode, &one.detail, last_us)));
            last_us = line.t.parse().ok().map(jiff::Timestamp::as_microsecond);
        }
        let style = line.view.as_ref().and_then(|view| view.style.as_deref()).unwrap_or_default();
        let drawn = line.view.as_ref().is_some_and(|view| view.shown.is_some());
        let begin = if drawn { "" } else { style };
        let mut cells = ansi::cells(line::raw(line), begin, colour);
        mark_hits(one, &mut cells);
        let broken =
            if one.wrap { ansi::wrap(&cells, room) } else { vec![window(&cells, one.left, room)] };
        for (at, cells) in broken.into_iter().enumerate() {
            if rows.len() >= height {
                break;
            }
            let (head, sign) = if at == 0 {
                (head.clone(), sign)
            } else {
                (" ".repeat(UnicodeWidthStr::width(head.as_str())), "  ")
            };
            let mut spans = vec![Span::styled(head, paint.dim()), Span::styled(sign, tint)];
            spans.extend(runs(cells));
            rows.push(Row::from(spans));
        }
        let height = area.y + rows.len() as u16 - from;
        spots.push(Spot { area: Rect { y: from, height, ..area }, target: Target::Line(place) });
    }
    frame.render_widget(Paragraph::new(rows), area);
    spots
}

/// Makes what is searched for stand out.
fn mark_hits(one: &One, cells: &mut [Cell]) {
    let Some(pattern) = one.search.as_ref().and_then(|search| search.pattern.as_ref()) else {
        return;
    };
    let text: String = cells.iter().map(|cell| cell.c).collect();
    for (from, to) in pattern.places(&text) {
        let mut at = 0;
        for cell in cells.iter_mut() {
            if (from..to).contains(&at) {
                cell.style = cell.style.add_modifier(Modifier::REVERSED);
            }
            at += cell.c.len_utf8();
        }
    }
}

/// The cells that begin in the columns from `left` on.
fn window(cells: &[Cell], left: u16, width: u16) -> &[Cell] {
    let mut at = 0;
    let mut from = cells.len();
    let mut to = cells.len();
    for (index, cell) in cells.iter().enumerate() {
        if at >= left && from == cells.len() {
            from = index;
        }
        if at + cell.columns > left.saturating_add(width) {
            to = index;
            break;
        }
        at += cell.columns;
    }
    &cells[from.min(to)..to]
}

/// Cells of one style become one span.
fn runs<'a>(cells: &[Cell]) -> Vec<Span<'a>> {
    cells
        .chunk_by(|a, b| a.style == b.style)
        .map(|run| {
            // Marks without a base would stick to what stands before them.
            let text: String =
                run.iter().map(|cell| cell.c).filter(|c| c.width().is_some()).collect();
            Span::styled(text, run[0].style)
        })
        .collect()
}
