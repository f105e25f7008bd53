//! What stands below a run, and the words for states.

use stepflow_model::{Status, Step, StepStatus, Summary};
use stepflow_record::LogReader;

use crate::{
    failure::Failure,
    format::{clean, cut, duration, plural},
};

/// A line of a failed step is cut here: `stepflow logs` shows it whole.
const FAILURE_COLUMNS_MAX: usize = 400;

/// Whether to colour what we print to a stream.
pub fn colour(is_terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && (is_terminal || set("CLICOLOR_FORCE"))
}

/// A word in a colour, or plain.
pub fn paint(on: bool, code: &str, text: &str) -> String {
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The mark of a step's status: word first, colour second.
pub fn step_mark(status: StepStatus, on: bool) -> String {
    match status {
        StepStatus::Completed => paint(on, "32", "ok"),
        StepStatus::Failed => paint(on, "31", "x "),
        StepStatus::Running => paint(on, "36", "~ "),
        StepStatus::Cancelled => paint(on, "33", "- "),
        StepStatus::Skipped => paint(on, "2", "s "),
        StepStatus::Pending => paint(on, "2", ". "),
    }
}

/// A finished step in one line.
pub fn step_line(step: &Step, on: bool) -> String {
    let indent = "  ".repeat(step.depth as usize);
    let took = step.duration_us.map(duration).unwrap_or_default();
    let name = clean(step.name.as_bytes(), false);
    let mut line = format!("{}  {indent}{name:<28} {took:>9}", step_mark(step.status, on));
    if step.status == StepStatus::Failed {
        if let Some(error) = &step.error {
            line.push_str("   ");
            line.push_str(&paint(on, "31", &clean(error.as_bytes(), false)));
        }
        line.push_str(&paint(on, "2", &format!("   line {}", step.first_line)));
    }
    line
}

/// The last line of a run.
pub fn summary_line(summary: &Summary, on: bool) -> String {
    let mark = match summary.status {
        Status::Completed => paint(on, "32", "completed"),
        Status::Failed => paint(on, "31", "failed"),
        Status::Cancelled => paint(on, "33", "cancelled"),
        Status::Pending | Status::Running => summary.status.to_string(),
    };
    let mut parts = Vec::new();
    if let Some(message) = &summary.error_message {
        parts.push(clean(message.as_bytes(), false));
    }
    if summary.total_steps > 0 {
        let mut steps = format!("{}/{} steps", summary.completed_steps, summary.total_steps);
        if summary.failed_steps > 0 {
            steps.push_str(&format!(", {} failed", summary.failed_steps));
        }
        parts.push(steps);
    }
    parts.extend(summary.duration_us.map(duration));
    parts.push(plural(summary.position.lines, "line"));
    if summary.warnings > 0 {
        parts.push(plural(u64::from(summary.warnings), "warning"));
    }
    parts.push(paint(on, "2", &summary.id.to_string()));
    format!("{mark}  {}", parts.join(" · "))
}

/// The last `count` lines of the step that failed, or of the whole output.
pub fn failure_lines(
    log: &LogReader,
    failed: Option<&Step>,
    count: usize,
    on: bool,
) -> Result<Vec<String>, Failure> {
    let (bytes, lines) = log.position()?;
    let open_line = u64::from(bytes > 0 && log.lines(lines + 1, 1)?.len() == 1);
    let last = failed.and_then(|step| step.last_line).unwrap_or(lines + open_line).max(1);
    let first_of_step = failed.map_or(1, |step| step.first_line);
    let first = first_of_step.max((last + 1).saturating_sub(count as u64));
    let wanted = (last + 1 - first.min(last + 1)) as usize;
    Ok(log
        .lines(first, wanted)?
        .into_iter()
        .map(|line| {
            let text = cut(&clean(&line.text, on), FAILURE_COLUMNS_MAX);
            format!("{:>7} | {text}", line.number)
        })
        .collect())
}
