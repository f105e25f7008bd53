//! What stands in lines of their own: a finished step, the last line of a run, how it failed.

use std::time::{Duration, Instant};

use stepflow_model::{ExecutionState, Status, Step, StepStatus, Summary, TestTotals};
use stepflow_record::{LogReader, Storage};
use stepflow_view::View;

pub use super::look::{colour, paint};
use super::{follow::Follower, look::Look};
use crate::{
    failure::Failure,
    format::{clean, columns, pad, pad_left},
    text::recorded,
};

/// A line of a failed step is cut here: `stepflow logs` shows it whole.
const FAILURE_COLUMNS_MAX: usize = 400;
/// Finding the errors of a log that is not known yet may take so long.
const LOOK_MAX: Duration = Duration::from_millis(1_500);
/// Digits at the end of an id: they differ most.
const ID_END: usize = 12;
/// Where no window gives a width.
const COLUMNS: usize = 80;
/// Where there is no room for so much of why a step failed, its mark says so alone.
const WHY_COLUMNS_MIN: usize = 8;
/// A step's time stands in so many columns.
pub const TIME_COLUMNS: usize = 9;

/// What is known of a step's lines: how many, how many errors, where the first one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    pub errors: u64,
    pub first_error: Option<u64>,
}

/// Columns for names in a window of this width.
pub fn name_columns(width: usize) -> usize {
    (width / 3).clamp(12, 32)
}

/// A finished step in one line.
pub fn step_line(step: &Step, on: bool) -> String {
    let look = Look { colour: on, ..Look::on(false) };
    finished_step(&look, step, Findings::default(), COLUMNS)
}

/// A finished step in one line that fits `width` columns, if its name can be cut for that.
pub fn finished_step(look: &Look, step: &Step, found: Findings, width: usize) -> String {
    let indent = "  ".repeat(step.depth as usize);
    let name = clean(step.name.as_bytes(), false);
    let time = step.duration_us.map(|us| look.fine_duration(us)).unwrap_or_default();
    let mut notes = Vec::new();
    match step.status {
        StepStatus::Skipped => {
            let why = step
                .error
                .as_ref()
                .map_or_else(String::new, |why| format!(": {}", clean(why.as_bytes(), false)));
            notes.push(look.faint(&format!("{}{why}", look.text.skipped)));
        }
        StepStatus::Failed => {
            let mut why = Vec::new();
            why.extend(step.exit_code.map(|code| (look.text.exit)(code)));
            // "exit code 3" says what stands there already.
            let said = step.error.as_deref().unwrap_or_default();
            if step.exit_code.is_none_or(|code| !said.ends_with(&format!("exit code {code}"))) {
                why.push(clean(recorded(said).as_bytes(), false));
            }
            why.extend((found.errors > 0).then(|| look.errors(found.errors)));
            why.retain(|part| !part.is_empty());
            let place = look.place(found.first_error.unwrap_or(step.first_line));
            if !why.is_empty() {
                // Where it failed is more than a long reason: that is cut, the columns stay.
                let taken = 4 + name_columns(width) + 1 + TIME_COLUMNS + 6 + columns(&place);
                let room = width.saturating_sub(taken);
                if room >= WHY_COLUMNS_MIN {
                    notes.push(look.paint("31", &look.cut(&why.join(", "), room)));
                }
            }
            notes.push(look.faint(&place));
        }
        StepStatus::Cancelled => {
            notes.push(look.paint("33", look.text.cancelled));
            notes.push(look.faint(&look.place(step.first_line)));
        }
        StepStatus::Completed | StepStatus::Running | StepStatus::Pending => {
            let lines = step.last_line.map_or(0, |last| (last + 1).saturating_sub(step.first_line));
            if lines > 0 {
                notes.push(look.faint(&look.lines(lines)));
            }
        }
    }
    let notes = notes.iter().fold(String::new(), |said, note| said + "   " + note);
    let beside = 4 + indent.len() + 1 + TIME_COLUMNS.max(columns(&time)) + columns(&notes);
    let room = width.saturating_sub(beside);
    let mut wanted = name_columns(width).saturating_sub(indent.len());
    if columns(&name) > wanted {
        wanted = columns(&name).min(room.max(8));
    }
    let name = pad(&look.cut(&name, wanted), wanted.min(room.max(columns(&name).min(wanted))));
    format!("{}  {indent}{name} {}{notes}", look.mark(step.status), pad_left(&time, TIME_COLUMNS))
        .trim_end()
        .to_owned()
}

/// The last line of a run.
pub fn summary_line(summary: &Summary, on: bool) -> String {
    last_line(&Look { colour: on, ..Look::on(false) }, summary, usize::MAX)
}

/// One line. In a window of less than `width` columns the id is the end of it that `stepflow logs`
/// takes as well; then it goes altogether.
fn last_line(look: &Look, summary: &Summary, width: usize) -> String {
    let text = look.text;
    let mut parts = Vec::new();
    if let Some(message) = &summary.error_message {
        parts.push(clean(recorded(message).as_bytes(), false));
    }
    if summary.total_steps > 0 {
        parts.push(steps(look, summary));
    }
    parts.extend(summary.duration_us.map(|us| look.duration(us)));
    parts.push(look.lines(summary.position.lines));
    if summary.warnings > 0 {
        let count = look.count(u64::from(summary.warnings));
        parts.push((text.warnings)(&count, summary.warnings == 1));
    }
    let id = summary.id.to_string();
    let line = |id: Option<&str>| {
        let mut parts = parts.clone();
        parts.extend(id.map(|id| look.faint(id)));
        format!("{}  {}", look.status(summary.status), parts.join(look.dot()))
    };
    [Some(id.as_str()), Some(&id[id.len() - ID_END..])]
        .into_iter()
        .map(line)
        .find(|line| columns(line) <= width)
        .unwrap_or_else(|| line(None))
}

/// `4/9 steps, 1 failed`.
pub fn steps(look: &Look, summary: &Summary) -> String {
    let mut said = (look.text.steps)(summary.completed_steps, summary.total_steps);
    if summary.failed_steps > 0 {
        said.push_str(", ");
        said.push_str(&(look.text.some_failed)(&look.count(u64::from(summary.failed_steps))));
    }
    if summary.skipped_steps > 0 {
        said.push_str(", ");
        said.push_str(&(look.text.some_skipped)(&look.count(u64::from(summary.skipped_steps))));
    }
    said
}

/// `tests: 12 passed, 1 failed, 2 skipped`.
fn tests(look: &Look, totals: &TestTotals) -> String {
    let TestTotals { passed, failed, error, skipped, todo } = *totals;
    let bad = failed + error;
    let (passed, skipped) = (look.count(passed), look.count(skipped + todo));
    let said = (look.text.tests)(&passed, &look.count(bad), &skipped);
    if bad > 0 { look.paint("31", &said) } else { said }
}

/// What stands below a run.
pub struct Ending<'a> {
    pub look: Look,
    /// Lines of the failed step.
    pub failure_lines: usize,
    /// All output stands above already.
    pub shown: bool,
    /// Where the page shows it.
    pub page: Option<&'a str>,
    /// Of the window, if there is one.
    pub width: Option<usize>,
}

impl Ending<'_> {
    /// All of it: for a failure how it failed; the summary; where there is more.
    pub fn lines(
        &self,
        follower: &mut Follower,
        storage: &Storage,
    ) -> Result<Vec<String>, Failure> {
        let look = &self.look;
        let state = &follower.view.state;
        let summary = state.summary.clone();
        let bad = summary.status == Status::Failed || summary.failed_steps > 0;
        let failed = failed_step(state).cloned();
        let mut lines = Vec::new();
        if bad {
            lines.extend(self.how_it_failed(follower, storage, failed.as_ref())?);
        }
        lines.push(last_line(look, &summary, self.width.unwrap_or(usize::MAX)));
        if self.width.is_some()
            && let Some((_, totals)) = follower.view.state.tests.headline()
        {
            lines.push(tests(look, &totals));
        }
        if let Some(page) = self.page {
            lines.push(look.faint(&format!("{}{page}", look.text.page)));
        }
        if bad {
            let step = failed.as_ref().map_or_else(String::new, |step| {
                format!(" --step {}", quoted(&clean(step.name.as_bytes(), false)))
            });
            let more = format!("{}stepflow logs {}{step}", look.text.more, summary.id);
            lines.push(look.faint(&more));
        }
        Ok(lines)
    }

    fn how_it_failed(
        &self,
        follower: &mut Follower,
        storage: &Storage,
        failed: Option<&Step>,
    ) -> Result<Vec<String>, Failure> {
        let look = &self.look;
        let id = follower.view.state.summary.id;
        let Some(log) = follower.view.log()? else { return Ok(Vec::new()) };
        let (bytes, ended) = log.position()?;
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let open_line = u64::from(log.lines(ended + 1, 1)?.len() == 1);
        let first = failed.map_or(1, |step| step.first_line);
        let last = failed.and_then(|step| step.last_line).unwrap_or(ended + open_line);
        let mut lines = Vec::new();
        let from = first.max((last + 1).saturating_sub(self.failure_lines as u64));
        if !self.shown && from <= last && self.failure_lines > 0 {
            lines.push(String::new());
            lines.push(match failed {
                Some(step) => {
                    let name = clean(step.name.as_bytes(), false);
                    look.paint("1", &(look.text.last_lines)(&name))
                }
                None => look.paint("1", look.text.last_lines_of_all),
            });
            lines.extend(numbered(look, log, from, last)?);
        }
        let found = findings(storage, id, first, last).and_then(|found| found.first_error);
        if let Some(error) = found.filter(|error| self.shown || *error < from) {
            lines.push(look.paint("1", &(look.text.first_error)(&look.place(error))));
            lines.extend(numbered(look, log, error, error)?);
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        Ok(lines)
    }
}

/// The step that failed first; of nested ones the innermost.
pub fn failed_step(state: &ExecutionState) -> Option<&Step> {
    let failed = |step: &&Step| step.status == StepStatus::Failed;
    let mut found = state.steps.iter().find(failed)?;
    while let Some(inner) =
        state.steps.iter().filter(failed).find(|step| step.parent == Some(found.index))
    {
        found = inner;
    }
    Some(found)
}

/// Levels of these lines, as the page has them; `None`: they could not be had in time.
pub fn findings(
    storage: &Storage,
    id: stepflow_model::ExecutionId,
    first: u64,
    last: u64,
) -> Option<Findings> {
    let begun = Instant::now();
    let mut view = View::open(&storage.record_dir(id), &storage.view_cache(id)).ok()??;
    if !view.advance(&mut || begun.elapsed() < LOOK_MAX).ok()? && view.lines() < last {
        return None;
    }
    let tally = *view.tally(&[first, last + 1]).ok()?.first()?;
    let errors = tally.counts[stepflow_view::Level::Error.index()];
    Some(Findings { errors, first_error: tally.first_error.map(|(line, _)| line) })
}

/// These lines with their numbers, without what only the tree needs.
fn numbered(look: &Look, log: &LogReader, first: u64, last: u64) -> Result<Vec<String>, Failure> {
    let mut lines = log.lines(first, (last + 1 - first) as usize)?;
    if lines.len() > 1 {
        lines.retain(|line| !super::is_marker(&line.text));
    }
    Ok(lines
        .into_iter()
        .map(|line| {
            let text = look.cut(&super::shown(&line.text, look.colour), FAILURE_COLUMNS_MAX);
            format!("{:>7} {} {text}", line.number, look.faint(look.rule()))
        })
        .collect())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(['"', '$', '`', '\\', '!']) {
        format!("'{}'", word.replace('\'', "'\\''"))
    } else {
        format!("\"{word}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_so_that_a_shell_takes_it_back() {
        for (name, expected) in [
            ("build", "build"),
            ("Unit tests", "\"Unit tests\""),
            ("cost: $5", "'cost: $5'"),
            ("it's $HOME", "'it'\\''s $HOME'"),
            ("it's", "\"it's\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
