//! `stepflow show`: one execution, its steps and what came of it.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use serde_json::json;
use stepflow_api::{Execution, ExecutionDetail, Step, human_size};
use stepflow_record::Storage;

use super::look::{catch_up, status_colour, took};
use crate::{
    failure::Failure,
    format::{clean, count, cut, lines, pad, pad_left},
    out::{Out, print},
    run::summary::{colour, paint},
    source::Source,
    text::{recorded, say, text},
};

/// Of a step's name, where there is room.
const STEP_COLUMNS: usize = 28;

/// Shows one execution.
pub fn show(
    source: &mut dyn Source,
    storage: Option<&Storage>,
    id: &str,
    as_json: bool,
    pager: bool,
) -> Result<ExitCode, Failure> {
    if let Some(storage) = storage {
        catch_up(storage)?;
    }
    let id = source.find(id)?;
    let detail = source.detail(id)?;
    let mut out = Out::paged(pager && !as_json);
    print(&mut out, |out| {
        if as_json {
            let object = json!({
                "execution": detail.execution, "steps": detail.steps,
                "artifacts": detail.artifacts, "annotations": detail.annotations,
                "stored_bytes": detail.stored_bytes, "compressed": detail.compressed,
            });
            return Ok(writeln!(out, "{object}")?);
        }
        let record = storage.map(|storage| storage.record_dir(id).display().to_string());
        let terminal = std::io::stdout().is_terminal();
        let size = terminal_size::terminal_size().filter(|_| terminal);
        let width = size.map(|size| usize::from(size.0.0));
        details(out, &detail, record, width, colour(terminal))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn details(
    out: &mut dyn Write,
    detail: &ExecutionDetail,
    record: Option<String>,
    width: Option<usize>,
    on: bool,
) -> Result<(), Failure> {
    let shown = |text: &str| clean(text.as_bytes(), false);
    let execution = &detail.execution;
    // A fact and what it is, in two columns; one that there is no room beside stands behind.
    let mut facts: Vec<(String, String)> = Vec::new();
    if execution.command.is_empty() {
        facts.push((say::source(), shown(&execution.source)));
    } else {
        facts.push((say::command(), shown(&execution.command)));
    }
    if !execution.working_directory.is_empty() {
        facts.push((say::directory(), shown(&execution.working_directory)));
    }
    facts.extend(execution.rerun_of.map(|of| (say::rerun_of(), of.to_string())));
    if !execution.tags.is_empty() {
        facts.push((say::tags(), shown(&execution.tags.join(", "))));
    }
    for (key, value) in &execution.metadata {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        facts.push((say::meta(), format!("{} = {}", shown(key), shown(&text))));
    }
    if !execution.containment.is_empty() {
        facts.push((say::containment(), shown(&execution.containment)));
    }
    // Older servers do not say what it takes up.
    if execution.bytes > 0 && detail.stored_bytes > 0 {
        let (printed, stored) = (human_size(execution.bytes), human_size(detail.stored_bytes));
        let what = if detail.compressed {
            say::stored_compressed(printed, stored)
        } else {
            say::stored(printed, stored)
        };
        facts.push((say::printed(), what));
    }
    facts.extend(record.map(|record| (say::record(), record)));
    writeln!(out, "{}", paint(on, "1", &shown(&execution.name)))?;
    let fact = |name: &str, what: &str| format!("{} {what}", pad(name, 10));
    for (name, what) in &facts {
        writeln!(out, "{}", fact(name, what))?;
    }
    for step in &detail.steps {
        writeln!(out, "{}", step_row(step, width, on))?;
    }
    for artifact in &detail.artifacts {
        let path = shown(&artifact.file_path);
        let what = match (&artifact.problem, artifact.exists) {
            (Some(problem), _) => format!("{path}{}{}", text().colon, shown(&recorded(problem))),
            (None, true) => format!("{path}  {}", say::bytes(count(artifact.file_size))),
            (None, false) => format!("{path}  {}", say::being_copied()),
        };
        writeln!(out, "{}", fact(&say::artifact(), &what))?;
    }
    for annotation in &detail.annotations {
        let place = (text().line)(&annotation.line.to_string());
        let what = format!("{place}{}{}", text().colon, shown(&recorded(&annotation.message)));
        writeln!(out, "{}", fact(text().warning, &what))?;
    }
    Ok(writeln!(out, "{}", last_row(execution, on))?)
}

/// A step in one line; in a window of this width it is cut for it.
fn step_row(step: &Step, width: Option<usize>, on: bool) -> String {
    let line = whole_step_row(step, width, on);
    match width {
        Some(width) => cut(&line, width),
        None => line,
    }
}

fn whole_step_row(step: &Step, width: Option<usize>, on: bool) -> String {
    let names = width.map_or(STEP_COLUMNS, |width| (width / 3).clamp(12, STEP_COLUMNS));
    let narrow = width.is_some_and(|width| width < 80);
    let (colour, mark) = step_mark(&step.status);
    let mark = paint(on, colour, mark);
    let indent = "  ".repeat(step.depth as usize);
    let name = format!("{indent}{}", clean(step.name.as_bytes(), false));
    let name = pad(&if narrow { cut(&name, names) } else { name }, names);
    let error = step.error_message.as_ref().map(|error| clean(recorded(error).as_bytes(), false));
    if step.status == "skipped" {
        let why = error.map(|why| format!("{}{why}", text().colon)).unwrap_or_default();
        return format!("{mark}  {name}   {}", paint(on, "2", &format!("{}{why}", text().skipped)));
    }
    let mut line = format!(
        "{mark}  {name} {}",
        pad_left(&step.duration_seconds.map(took).unwrap_or_default(), 9)
    );
    if step.status == "failed" {
        if let Some(error) = error {
            line.push_str(&format!("   {}", paint(on, "31", &error)));
        }
        line.push_str(&paint(
            on,
            "2",
            &format!("   {}", (text().line)(&step.first_line.to_string())),
        ));
    }
    line
}

/// The mark of a step's status, and its colour.
pub fn step_mark(status: &str) -> (&'static str, &'static str) {
    match status {
        "completed" => ("32", "ok"),
        "failed" => ("31", "x "),
        "running" => ("36", "~ "),
        "cancelled" => ("33", "- "),
        "skipped" => ("2", "s "),
        _ => ("2", ". "),
    }
}

/// An execution's last line.
pub fn last_row(execution: &Execution, on: bool) -> String {
    let mut parts = Vec::new();
    if execution.paused {
        parts.push(paint(on, "33", crate::text::text().disk_full));
    }
    if execution.unresponsive {
        parts.push(paint(on, "33", &say::unresponsive()));
    }
    parts.extend(
        execution.error_message.as_ref().map(|text| clean(recorded(text).as_bytes(), false)),
    );
    if execution.total_steps > 0 {
        let some = |number: u32| count(u64::from(number));
        let mut steps = vec![(text().steps)(execution.completed_steps, execution.total_steps)];
        if execution.failed_steps > 0 {
            steps.push((text().some_failed)(&some(execution.failed_steps)));
        }
        if execution.skipped_steps > 0 {
            steps.push((text().some_skipped)(&some(execution.skipped_steps)));
        }
        parts.push(steps.join(", "));
    }
    parts.extend(execution.duration_seconds.map(took));
    parts.push(lines(execution.lines));
    if execution.warnings > 0 {
        let warnings = u64::from(execution.warnings);
        parts.push((text().warnings)(&count(warnings), warnings == 1));
    }
    parts.push(paint(on, "2", &execution.id.to_string()));
    let word = crate::text::status(&execution.status);
    let status = paint(on, status_colour(&execution.status), word);
    let dot = if crate::text::locale().utf8 { " · " } else { " . " };
    format!("{status}  {}", parts.join(dot))
}
