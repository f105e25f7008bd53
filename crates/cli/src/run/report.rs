//! What runs now, asked by SIGUSR1.

use stepflow_sys::clock;

use super::{follow::Follower, is_marker, look::Look, shown};
use crate::{failure::Failure, format::clean};

/// Newest lines of the newest step.
const LINES: usize = 4;

/// What runs, since when, and its last lines.
pub fn report(look: &Look, follower: &mut Follower) -> Result<Vec<String>, Failure> {
    let state = &follower.view.state;
    let summary = &state.summary;
    let begun = summary.started_us.unwrap_or(summary.created_us);
    let now_us = u64::try_from(clock::wall_us() - begun).unwrap_or(0);
    let name = clean(summary.name.as_bytes(), false);
    let mut head = vec![(look.text.now)(&name, &look.duration(now_us))];
    if summary.total_steps > 0 {
        head.push(super::summary::steps(look, summary));
    }
    head.push(look.lines(summary.position.lines));
    let mut lines = vec![head.join(look.dot())];
    for at in &state.open {
        let step = &state.steps[*at as usize];
        let indent = "  ".repeat(step.depth as usize);
        let time = look.fine_duration(now_us.saturating_sub(step.started_at_us));
        let said =
            step.progress.map_or_else(String::new, |percent| format!("  {}", look.bar(percent)));
        let name = clean(step.name.as_bytes(), false);
        let mark = look.mark(step.status);
        lines.push(format!("{mark}  {indent}{name}  {}{said}", (look.text.has_run_for)(&time)));
    }
    if state.open.is_empty() {
        lines.push(format!("    {}", look.text.between_steps));
    }
    let first = state.current().map_or(1, |step| state.steps[step as usize].first_line);
    if let Some(log) = follower.view.log()? {
        let (_, ended) = log.position()?;
        let from = first.max((ended + 2).saturating_sub(2 * LINES as u64));
        let mut newest = log.lines(from, 2 * LINES + 1)?;
        newest.retain(|line| !is_marker(&line.text));
        let skip = newest.len().saturating_sub(LINES);
        for line in newest.iter().skip(skip) {
            let text = shown(&line.text, look.colour);
            lines.push(format!("{:>7} {} {text}", line.number, look.faint(look.rule())));
        }
    }
    Ok(lines)
}
