//! The live tree: finished steps go to the scrollback, what runs is redrawn below them.

use std::{
    collections::HashMap,
    env,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use nix::unistd::{getpgrp, tcgetpgrp};
use stepflow_model::{EventKind, StepStatus};
use stepflow_sys::clock;

use super::{
    Display, FRAME, Options,
    canvas::{Canvas, Frame},
    follow::Follower,
    frame::Scene,
    is_marker,
    look::Look,
    shown,
    summary::{Ending, Findings, findings, finished_step},
};
use crate::{failure::Failure, format::clean, text::recorded};

/// Lines of no step that go to the scrollback in one frame: a frame stays a frame.
const LINES_PER_FRAME: u64 = 16 * 1024;

/// A step that has ended, ready for the scrollback.
struct Finished {
    at: usize,
    /// Where its output ends.
    end: u64,
    last_line: u64,
    line: String,
}

/// The tree on a terminal.
pub struct Tree {
    options: Options,
    look: Look,
    canvas: Canvas<io::Stdout>,
    last: Option<Instant>,
    said: Option<(String, Option<Instant>)>,
    /// Steps that went to the scrollback.
    printed: Vec<bool>,
    /// Lines before this one that belong to no step went to the scrollback.
    next_line: u64,
    /// Lines to put there next.
    waiting: Vec<String>,
    usual: HashMap<u32, u64>,
    /// Nothing more comes.
    ending: bool,
}

impl Tree {
    pub fn new(options: Options) -> Self {
        let stdout = io::stdout();
        Self {
            look: Look::on(stdout.is_terminal()),
            canvas: Canvas::new(stdout).keeping_erased(env::var_os("TMUX").is_some()),
            options,
            last: None,
            said: None,
            printed: Vec::new(),
            next_line: 1,
            waiting: Vec::new(),
            usual: HashMap::new(),
            ending: false,
        }
    }

    /// What leaves the live area for good, in order: lines up to number `to` that belong to no step,
    /// finished steps. Returns whether there are more.
    fn settle(&mut self, follower: &mut Follower, to: u64, width: usize) -> Result<bool, Failure> {
        let finished = self.finished(follower, to, width);
        let mut finished = finished.into_iter().peekable();
        let mut left = LINES_PER_FRAME;
        while self.next_line <= to && left > 0 {
            let owners = &follower.view.state.owners;
            let at = owners.partition_point(|owner| owner.1 < self.next_line);
            let owner = at.checked_sub(1).and_then(|before| owners[before].2);
            let last = owners.get(at).map_or(to, |next| next.1.min(to));
            if owner.is_some() {
                self.next_line = last + 1;
                continue;
            }
            let count = (last + 1 - self.next_line).min(left);
            let Some(log) = follower.view.log()? else { break };
            for line in log.lines(self.next_line, count as usize)? {
                while let Some(step) = finished.next_if(|step| step.end <= line.offset) {
                    self.waiting.push(step.line);
                }
                if !is_marker(&line.text) {
                    self.waiting.push(shown(&line.text, self.look.colour));
                }
            }
            self.next_line += count;
            left -= count;
        }
        for step in finished {
            if step.last_line < self.next_line || (self.ending && self.next_line > to) {
                self.waiting.push(step.line);
            } else {
                // What came before it is not there yet.
                self.printed[step.at] = false;
            }
        }
        Ok(self.next_line <= to)
    }

    /// Steps that ended up to line `to` since the last look, by the end of their output; inner ones
    /// first.
    fn finished(&mut self, follower: &Follower, to: u64, width: usize) -> Vec<Finished> {
        let state = &follower.view.state;
        self.printed.resize(state.steps.len(), false);
        let mut ended: Vec<usize> = (0..state.steps.len())
            .filter(|at| {
                let step = &state.steps[*at];
                let there = self.ending || step.last_line.is_none_or(|last| last <= to);
                step.status.is_end() && there && !self.printed[*at]
            })
            .collect();
        ended.sort_unstable_by_key(|at| {
            let step = &state.steps[*at];
            (step.end_offset.unwrap_or(u64::MAX), std::cmp::Reverse(step.depth))
        });
        let mut lines = Vec::new();
        for at in ended {
            self.printed[at] = true;
            let step = &state.steps[at];
            let found = match (step.status, step.last_line) {
                (StepStatus::Failed, Some(last)) => {
                    findings(&self.options.storage, state.summary.id, step.first_line, last)
                        .unwrap_or_default()
                }
                _ => Findings::default(),
            };
            let line = finished_step(&self.look, step, found, width);
            lines.push(Finished {
                at,
                end: step.end_offset.unwrap_or(u64::MAX),
                last_line: step.last_line.unwrap_or_default(),
                line,
            });
        }
        lines
    }

    fn take_events(&mut self, follower: &mut Follower) {
        for event in std::mem::take(&mut follower.events) {
            let loss = event.kind.loss(event.offset);
            let message = match event.kind {
                EventKind::OutputLost { .. } => loss.unwrap_or_default(),
                EventKind::Warning { message, .. } => message,
                EventKind::ArtifactStored { problem: Some(problem), .. } => {
                    (self.look.text.artifact_missing)(&recorded(&problem))
                }
                _ => continue,
            };
            let mark = self.look.paint("33", "! ");
            self.waiting.push(format!("{mark}  {}", clean(recorded(&message).as_bytes(), false)));
        }
    }

    /// The newest lines of the newest step. Marker lines are left out: the tree says what they say.
    fn tail(&self, follower: &mut Follower, count: usize) -> Result<Vec<String>, Failure> {
        let state = &follower.view.state;
        let first = state.current().map_or(1, |step| state.steps[step as usize].first_line);
        let Some(log) = follower.view.log()?.filter(|_| count > 0) else { return Ok(Vec::new()) };
        let (_, ended) = log.position()?;
        let from = first.max((ended + 2).saturating_sub(2 * count as u64));
        let mut newest = log.lines(from, 2 * count + 1)?;
        newest.retain(|line| !is_marker(&line.text));
        let skip = newest.len().saturating_sub(count);
        Ok(newest.iter().skip(skip).map(|line| shown(&line.text, self.look.colour)).collect())
    }

    fn live(
        &mut self,
        follower: &mut Follower,
        rows: usize,
        width: usize,
    ) -> Result<Vec<String>, Failure> {
        // A shell that has sent us into the background owns the screen: no live area there.
        if tcgetpgrp(io::stdout()).is_ok_and(|group| group != getpgrp()) {
            return Ok(Vec::new());
        }
        // The scrollback shows what belongs to no step.
        let count = if follower.view.state.open.is_empty() { 0 } else { self.options.tail };
        let tail = self.tail(follower, count)?;
        let state = &follower.view.state;
        for step in &state.open {
            if let Some(us) = self.options.known.usual_us(state, *step) {
                self.usual.insert(*step, us);
            }
        }
        let begun = state.summary.started_us.unwrap_or(state.summary.created_us);
        let said = self.said.as_ref().map(|(text, kill_at)| match kill_at {
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                (self.look.text.stopping)(&self.look.duration(left.as_micros() as u64))
            }
            None => text.clone(),
        });
        let scene = Scene {
            look: &self.look,
            state,
            now_us: u64::try_from(clock::wall_us() - begun).unwrap_or(0),
            tail: &tail,
            usual: &self.usual,
            said: said.as_deref(),
            page: self.options.known.page(),
        };
        Ok(scene.lines(rows, width))
    }
}

impl Display for Tree {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        if self.last.is_some_and(|last| last.elapsed() < FRAME) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let (rows, width) = window();
        let ended = ended_lines(follower)?;
        let (_, settled) = follower.settled();
        if ended > settled {
            follower.ask_settled();
        }
        let to = ended.min(settled);
        self.settle(follower, to, width)?;
        self.take_events(follower);
        let frame = Frame {
            settled: std::mem::take(&mut self.waiting),
            live: self.live(follower, rows, width)?,
        };
        Ok(self.canvas.show(&frame, rows, width)?)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        let (rows, width) = window();
        let to = ended_lines(follower)?;
        self.ending = true;
        while self.settle(follower, to, width)? {
            let settled = std::mem::take(&mut self.waiting);
            self.canvas.show(&Frame { settled, live: Vec::new() }, rows, width)?;
        }
        let owners = &follower.view.state.owners;
        let inside = owners.last().is_some_and(|owner| owner.2.is_some() && owner.1 <= to);
        if let Some(log) = follower.view.log()?.filter(|_| !inside) {
            let half = log.lines(to + 1, 1)?;
            self.waiting.extend(half.iter().map(|line| shown(&line.text, self.look.colour)));
        }
        self.take_events(follower);
        let ending = Ending {
            look: self.look,
            failure_lines: self.options.failure_lines,
            shown: false,
            page: self.options.known.page_at_last(),
            width: Some(width),
        };
        self.waiting.extend(ending.lines(follower, &self.options.storage)?);
        let settled = std::mem::take(&mut self.waiting);
        Ok(self.canvas.show(&Frame { settled, live: Vec::new() }, rows, width)?)
    }

    fn say(&mut self, text: &str) {
        self.said = Some((text.to_owned(), None));
        self.last = None;
    }

    fn stopping(&mut self, text: &str, grace: Duration) {
        self.said = Some((text.to_owned(), Some(Instant::now() + grace)));
        self.last = None;
    }

    fn report(&mut self, lines: Vec<String>) {
        self.waiting.extend(lines);
        self.last = None;
    }

    fn leave(&mut self) {
        let _ = self.canvas.leave(); // The terminal may be gone: the next frame finds out.
    }

    fn again(&mut self) {
        self.last = None;
    }
}

fn ended_lines(follower: &mut Follower) -> Result<u64, Failure> {
    Ok(match follower.view.log()? {
        Some(log) => log.position()?.1,
        None => 0,
    })
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
