//! What stands in the live area: pure, from what is known to lines.

use std::collections::HashMap;

use stepflow_model::{ExecutionState, Step, StepStatus};

use super::{
    look::Look,
    summary::{TIME_COLUMNS, name_columns, steps},
};
use crate::format::{clean, columns, pad, pad_left};

/// Most running steps that are drawn.
const RUNNING_MAX: usize = 8;
/// In a narrower window a bar would take the place of its figure.
const BAR_WIDTH_MIN: usize = 60;

/// What is known at one moment.
pub struct Scene<'a> {
    pub look: &'a Look,
    pub state: &'a ExecutionState,
    /// Since the start, microseconds.
    pub now_us: u64,
    /// The newest lines of the newest step, ready for a terminal.
    pub tail: &'a [String],
    /// How long running steps usually take, microseconds.
    pub usual: &'a HashMap<u32, u64>,
    /// A word from us.
    pub said: Option<&'a str>,
    /// Where the page shows it.
    pub page: Option<&'a str>,
}

impl Scene<'_> {
    /// The live area in a window of this size: never taller than the window less two, no line wider
    /// than it.
    pub fn lines(&self, rows: usize, width: usize) -> Vec<String> {
        let room = rows.saturating_sub(3); // One for the last line, which is always there.
        let open: Vec<&Step> =
            self.state.open.iter().map(|at| &self.state.steps[*at as usize]).collect();
        let progress = self
            .state
            .summary
            .progress
            .map(|percent| self.progress(percent, self.state.summary.progress_text.as_deref()));
        let mut left = room.saturating_sub(usize::from(progress.is_some()));
        let mut shown = open.len().min(RUNNING_MAX).min(left);
        if shown < open.len() && shown == left {
            shown = shown.saturating_sub(1); // For the line that says how many more there are.
        }
        let hidden = open.len() - shown;
        let mut lines = Vec::new();
        if hidden > 0 && left > 0 {
            lines.push(self.look.faint(&format!("    {}", (self.look.text.more_running)(hidden))));
        }
        lines.extend(open.iter().skip(hidden).map(|step| self.running(step, width)));
        left = left.saturating_sub(lines.len());
        let skip = self.tail.len().saturating_sub(left);
        let rule = self.look.faint(self.look.rule());
        lines.extend(self.tail.iter().skip(skip).map(|text| format!(" {rule}    {text}")));
        lines.extend(progress.filter(|_| room > 0));
        lines.push(self.last_line(width));
        lines.iter().map(|line| self.look.cut(line, width)).collect()
    }

    fn running(&self, step: &Step, width: usize) -> String {
        let look = self.look;
        let indent = "  ".repeat(step.depth as usize);
        let time = look.fine_duration(self.now_us.saturating_sub(step.started_at_us));
        let time = pad_left(&time, TIME_COLUMNS);
        let far = self.how_far(step, width);
        let far = if far.is_empty() { far } else { format!("  {far}") };
        let name = clean(step.name.as_bytes(), false);
        let mut wanted = name_columns(width).saturating_sub(indent.len());
        if columns(&name) > wanted {
            let beside = 4 + indent.len() + 1 + columns(&time) + columns(&far);
            wanted = columns(&name).min(width.saturating_sub(beside).max(wanted));
        }
        let name = pad(&look.cut(&name, wanted), wanted);
        format!("{}  {indent}{name} {time}{far}", look.mark(StepStatus::Running))
    }

    /// What a script says about its progress; else how long it took before, else how long it
    /// expects to take.
    fn how_far(&self, step: &Step, width: usize) -> String {
        let look = self.look;
        if let Some(percent) = step.progress {
            if width < BAR_WIDTH_MIN {
                return format!("{}%", percent.floor());
            }
            return self.progress(percent, step.progress_text.as_deref());
        }
        let said = match (self.usual.get(&step.index), step.estimated_s) {
            (Some(us), _) => (look.text.usually)(&look.duration(*us)),
            (None, Some(s)) => (look.text.of_about)(&look.duration((s * 1e6) as u64)),
            (None, None) => return String::new(),
        };
        look.faint(&said)
    }

    fn progress(&self, percent: f64, text: Option<&str>) -> String {
        let bar = self.look.bar(percent);
        match text {
            Some(text) if !text.is_empty() => {
                format!("{bar}  {}", self.look.faint(&clean(text.as_bytes(), false)))
            }
            _ => bar,
        }
    }

    /// Figures, where it can be looked at, what to do. What there is no room for is left out, the
    /// least needed first.
    fn last_line(&self, width: usize) -> String {
        let look = self.look;
        let summary = &self.state.summary;
        // Each with how soon it may go; 0: never.
        let mut parts: Vec<(u8, String)> = Vec::new();
        if summary.total_steps > 0 {
            parts.push((1, steps(look, summary)));
        }
        parts.push((0, look.duration(self.now_us)));
        parts.push((3, look.lines(summary.position.lines)));
        if summary.paused {
            parts.push((0, look.text.disk_full.to_owned()));
        }
        parts.extend(self.page.map(|page| (4, page.to_owned())));
        match self.said {
            Some(said) => parts.push((0, look.own(said))),
            None => parts.push((2, look.text.stops.to_owned())),
        }
        loop {
            let words: Vec<&str> = parts.iter().map(|(_, text)| text.as_str()).collect();
            let line = words.join(look.dot());
            let least = parts.iter().map(|(soon, _)| *soon).max().unwrap_or_default();
            if columns(&line) <= width || least == 0 {
                return look.faint(&line);
            }
            parts.retain(|(soon, _)| *soon != least);
        }
    }
}
