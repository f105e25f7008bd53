//! Steps as a tree, as a strip over the whole time, as a timeline.

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line as Row, Span},
    widgets::Paragraph,
};
use stepflow_api::Step;

use super::{
    render::{Paint, ends, fit},
    state::One,
};
use crate::{
    commands::{look::took, show::step_mark},
    format::{clean, pad_left},
};

/// Draws the tree; returns which of the steps that are shown have a row.
pub fn steps(one: &One, frame: &mut Frame<'_>, area: Rect, paint: &Paint) -> Range<usize> {
    let shown = one.steps();
    let height = usize::from(area.height);
    let first = one.step.saturating_sub(height.saturating_sub(1) / 2);
    let first = first.min(shown.len().saturating_sub(height));
    let rows: Vec<Row<'_>> = shown
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(at, index)| step_row(one, at, &one.detail.steps[*index], area.width, paint))
        .collect();
    let drawn = first..first + rows.len();
    frame.render_widget(Paragraph::new(rows), area);
    drawn
}

fn step_row<'a>(one: &One, at: usize, step: &Step, width: u16, paint: &Paint) -> Row<'a> {
    let mark = step_mark(&step.status).1;
    let chosen = if at == one.step { ">" } else { " " };
    let indent = "  ".repeat((step.depth as usize).min(6));
    let fold = if one.folded.contains(&step.index) { "+" } else { "" };
    let name = clean(step.name.as_bytes(), false);
    let errors = one.meta.steps.iter().find(|known| known.step == Some(step.index));
    let errors = errors.map_or(0, |known| known.counts.error);
    let mut right = step.duration_seconds.map(took).unwrap_or_default();
    if errors > 0 {
        right = format!("E{errors} {right}");
    }
    let rest =
        ends(&format!(" {indent}{fold}{name}"), &right, usize::from(width).saturating_sub(4));
    let row = Row::from(vec![
        Span::raw(chosen.to_owned()),
        Span::styled(mark, paint.status(&step.status)),
        Span::raw(rest),
    ]);
    if at == one.step { row.style(Style::default().add_modifier(Modifier::BOLD)) } else { row }
}

/// Begin and end of a step, in parts of the whole.
fn part(one: &One, step: &Step) -> (f64, f64) {
    let us = |time: Option<&String>| {
        let time = time?.parse::<jiff::Timestamp>().ok()?;
        Some(time.as_microsecond() as f64 / 1e6)
    };
    let execution = &one.detail.execution;
    let begun = us(execution.started_at.as_ref()).unwrap_or(0.0);
    let whole = execution.duration_seconds.unwrap_or(0.0).max(1e-6);
    let from = us(step.started_at.as_ref()).unwrap_or(begun) - begun;
    let to = from + step.duration_seconds.unwrap_or(0.0);
    ((from / whole).clamp(0.0, 1.0), (to / whole).clamp(0.0, 1.0))
}

/// One row over the whole time: outermost steps with their names.
pub fn strip_row<'a>(one: &One, width: u16, paint: &Paint) -> Row<'a> {
    let width = usize::from(width);
    let mut spans = Vec::new();
    let mut used = 0;
    for step in one.detail.steps.iter().filter(|step| step.depth == 0) {
        let (from, to) = part(one, step);
        let from = ((from * width as f64) as usize).max(used);
        let to = ((to * width as f64).ceil() as usize).min(width);
        if from >= to {
            continue;
        }
        spans.push(Span::raw(" ".repeat(from - used)));
        let mark = match step.status.as_str() {
            "failed" => "x",
            "running" => "~",
            _ => "|",
        };
        let name = clean(step.name.as_bytes(), false);
        let text = format!("{}{mark}", fit(&name, (to - from).saturating_sub(1)));
        spans.push(Span::styled(text, paint.status(&step.status)));
        used = to;
    }
    Row::from(spans)
}

/// A row for each step, on one axis of time; returns which of them have one.
pub fn timeline(one: &One, frame: &mut Frame<'_>, area: Rect, paint: &Paint) -> Range<usize> {
    let shown = one.steps();
    let height = usize::from(area.height);
    let first = one.step.saturating_sub(height.saturating_sub(1));
    let names = (usize::from(area.width) / 3).clamp(10, 32);
    let room = usize::from(area.width).saturating_sub(names + 11);
    let rows: Vec<Row<'_>> = shown
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(at, index)| {
            let step = &one.detail.steps[*index];
            let (from, to) = part(one, step);
            let from = ((from * room as f64) as usize).min(room.saturating_sub(1));
            let to = ((to * room as f64).ceil() as usize).clamp(from + 1, room.max(from + 1));
            let fill = if step.is_finished { "=" } else { "~" };
            let indent = "  ".repeat((step.depth as usize).min(6));
            let name = clean(step.name.as_bytes(), false);
            let chosen = if at == one.step { ">" } else { " " };
            let took = step.duration_seconds.map(took).unwrap_or_default();
            Row::from(vec![
                Span::raw(fit(&format!("{chosen}{indent}{name}"), names)),
                Span::raw(format!("{}  ", pad_left(&took, 9))),
                Span::raw(" ".repeat(from)),
                Span::styled(fill.repeat(to - from), paint.status(&step.status)),
            ])
        })
        .collect();
    let drawn = first..first + rows.len();
    frame.render_widget(Paragraph::new(rows), area);
    drawn
}
