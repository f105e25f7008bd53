//! The live tree: finished steps go to the scrollback, what runs is redrawn below them.
//!
//! One write a frame, between "begin" and "end of synchronized update" (mode 2026); nothing is
//! cleared first, each line is overwritten and its rest erased, so that nothing flickers.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use stepflow_model::{EventKind, Step, StepStatus};

use super::{
    Display, FRAME,
    follow::Follower,
    summary::{colour, failure_lines, paint, step_line, step_mark, summary_line},
};
use crate::{
    failure::Failure,
    format::{clean, count, cut, duration},
};

/// Most running steps that are drawn.
const RUNNING_MAX: usize = 8;

/// The tree on a terminal.
pub struct Tree {
    tail: usize,
    failure_lines: usize,
    colour: bool,
    /// Lines of the live area that are on the screen.
    drawn: usize,
    last: Option<Instant>,
    said: Option<String>,
    /// Steps that went to the scrollback.
    printed: Vec<bool>,
    /// Output up to here that belongs to no step went to the scrollback.
    offset: u64,
    begun: Instant,
}

impl Tree {
    pub fn new(tail: usize, failure_lines: usize) -> Self {
        Self {
            tail,
            failure_lines,
            colour: colour(io::stdout().is_terminal()),
            drawn: 0,
            last: None,
            said: None,
            printed: Vec::new(),
            offset: 0,
            begun: Instant::now(),
        }
    }

    /// What leaves the live area for good, in order: output outside steps, finished steps.
    fn settled(&mut self, follower: &mut Follower) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        let state = &follower.view.state;
        let owners = state.owners.clone();
        self.printed.resize(state.steps.len(), false);
        let mut finished: Vec<(u64, usize)> = Vec::new();
        for (index, step) in state.steps.iter().enumerate() {
            if step.status.is_end() && !self.printed[index] {
                self.printed[index] = true;
                finished.push((step.end_offset.unwrap_or(u64::MAX), index));
            }
        }
        let steps = state.steps.clone();
        finished.sort_unstable_by_key(|(end, index)| {
            // A parent's line stands above its children's only in the live area; here order of end.
            (*end, std::cmp::Reverse(steps[*index].depth))
        });
        let mut finished = finished.into_iter().peekable();
        if let Some(log) = follower.view.log()? {
            for line in log.lines_from_offset(self.offset, 1 << 20)? {
                if line.partial {
                    break;
                }
                let at = owners.partition_point(|owner| owner.0 <= line.offset);
                while let Some((_, index)) = finished.next_if(|(end, _)| *end <= line.offset) {
                    lines.push(step_line(&steps[index], self.colour));
                }
                let outside = at.checked_sub(1).is_none_or(|at| owners[at].2.is_none());
                if outside && !is_marker(&line.text) {
                    lines.push(clean(&line.text, self.colour));
                }
                self.offset = line.end;
            }
        }
        lines.extend(finished.map(|(_, index)| step_line(&steps[index], self.colour)));
        for event in std::mem::take(&mut follower.events) {
            match event.kind {
                EventKind::Warning { message, .. } => lines.push(self.warning(&message)),
                EventKind::ArtifactStored { problem: Some(problem), .. } => {
                    lines.push(self.warning(&format!("artifact not collected: {problem}")));
                }
                _ => {}
            }
        }
        Ok(lines)
    }

    fn warning(&self, message: &str) -> String {
        format!("{}  {}", paint(self.colour, "33", "! "), clean(message.as_bytes(), false))
    }

    fn live(&self, follower: &mut Follower, rows: usize) -> Result<Vec<String>, Failure> {
        let state = &follower.view.state;
        let now_us = self.begun.elapsed().as_micros() as u64;
        let open: Vec<Step> =
            state.open.iter().map(|at| state.steps[*at as usize].clone()).collect();
        let summary = state.summary.clone();
        let mut lines = Vec::new();
        let hidden = open.len().saturating_sub(RUNNING_MAX);
        for step in open.iter().skip(hidden) {
            let indent = "  ".repeat(step.depth as usize);
            let name = clean(step.name.as_bytes(), false);
            let took = duration(now_us.saturating_sub(step.started_at_us));
            lines.push(format!(
                "{}  {indent}{name:<28} {took:>9}",
                step_mark(StepStatus::Running, self.colour)
            ));
        }
        if hidden > 0 {
            lines.push(format!("    and {hidden} more running"));
        }
        let first = open.last().map_or(1, |step| step.first_line);
        if let Some(log) = follower.view.log()? {
            let (_, ended) = log.position()?;
            // Twice as many, since marker lines are left out: the tree says what they say.
            let from = first.max((ended + 2).saturating_sub(2 * self.tail as u64));
            let mut newest = log.lines(from, 2 * self.tail + 1)?;
            newest.retain(|line| !is_marker(&line.text));
            let skip = newest.len().saturating_sub(self.tail);
            for line in newest.into_iter().skip(skip) {
                let bar = paint(self.colour, "2", "|");
                lines.push(format!(" {bar}    {}", clean(&line.text, self.colour)));
            }
        }
        let mut footer = Vec::new();
        if summary.total_steps > 0 {
            footer.push(format!("{}/{} steps", summary.completed_steps, summary.total_steps));
        }
        if summary.failed_steps > 0 {
            footer.push(format!("{} failed", summary.failed_steps));
        }
        footer.push(duration(now_us));
        footer.push(format!("{} lines", count(summary.position.lines)));
        if summary.paused {
            footer.push("paused: the disk is full".to_owned());
        }
        footer.push(self.said.clone().unwrap_or_else(|| "Ctrl-C stops".to_owned()));
        // Never taller than the window less two.
        let room = rows.saturating_sub(3).max(1);
        if lines.len() > room {
            lines.drain(..lines.len() - room);
        }
        lines.push(paint(self.colour, "2", &footer.join(" · ")));
        Ok(lines)
    }

    /// Puts `settled` into the scrollback and `live` below it, in one write.
    fn draw(&mut self, settled: &[String], live: &[String], width: usize) -> io::Result<()> {
        let mut frame = String::from("\x1b[?2026h\r");
        if self.drawn > 0 {
            frame.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in settled {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        for line in live {
            frame.push_str(&cut(line, width));
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J\x1b[?2026l");
        self.drawn = live.len();
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

impl Display for Tree {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        if self.last.is_some_and(|last| last.elapsed() < FRAME) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let (rows, width) = window();
        let settled = self.settled(follower)?;
        let live = self.live(follower, rows)?;
        Ok(self.draw(&settled, &live, width)?)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        let (_, width) = window();
        let mut settled = Vec::new();
        loop {
            let before = self.offset;
            settled.extend(self.settled(follower)?);
            if self.offset == before {
                break;
            }
        }
        let failed =
            follower.view.state.steps.iter().find(|s| s.status == StepStatus::Failed).cloned();
        if let Some(log) = follower.view.log()? {
            let open_owner = half_line(log, self.offset)?;
            settled.extend(open_owner.map(|text| clean(&text, self.colour)));
            if let Some(failed) = &failed {
                settled.push(String::new());
                settled.push(format!("last lines of {}:", clean(failed.name.as_bytes(), false)));
                settled.extend(failure_lines(log, Some(failed), self.failure_lines, self.colour)?);
            }
        }
        let summary = &follower.view.state.summary;
        settled.push(summary_line(summary, self.colour));
        if failed.is_some() {
            settled.push(paint(
                self.colour,
                "2",
                &format!("stepflow logs {} shows everything", summary.id),
            ));
        }
        Ok(self.draw(&settled, &[], width)?)
    }

    fn say(&mut self, text: &str) {
        self.said = Some(text.to_owned());
        self.last = None;
    }
}

fn is_marker(line: &[u8]) -> bool {
    matches!(stepflow_markers::parse(line), Ok(Some(_)))
}

/// A half line at the end of the output.
fn half_line(log: &stepflow_record::LogReader, offset: u64) -> Result<Option<Vec<u8>>, Failure> {
    Ok(log
        .lines_from_offset(offset, 1)?
        .into_iter()
        .find(|line| line.partial)
        .map(|line| line.text))
}

/// Rows and columns of the terminal.
fn window() -> (usize, usize) {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((width, height)) if width.0 > 0 && height.0 > 0 => {
            (usize::from(height.0), usize::from(width.0))
        }
        _ => (24, 80),
    }
}
