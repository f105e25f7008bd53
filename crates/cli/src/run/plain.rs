//! One line for each event and each line of output; no cursor codes. Made for files and CI systems.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    time::Duration,
};

use stepflow_model::{Event, EventKind, Status};

use super::{
    Display, Options,
    ci::Ci,
    follow::Follower,
    groups::Groups,
    look::Look,
    shown,
    summary::{Ending, Findings, finished_step},
};
use crate::{args::Prefix, failure::Failure, format::clean, text, text::found};

/// Output shown per look, so that a frame stays a frame.
const BYTES_PER_LOOK: u64 = 4 << 20;
/// Steps' lines are as wide as on an ordinary window, wherever they go.
const COLUMNS: usize = 100;

/// Every line, with step headings.
pub struct Plain {
    options: Options,
    out: BufWriter<io::Stdout>,
    look: Look,
    offset: u64,
    open_line: bool,
    groups: Option<Groups>,
}

impl Plain {
    /// With `ci`, in that system's own groups and annotations.
    pub fn new(options: Options, ci: Option<Ci>) -> Self {
        let stdout = io::stdout();
        let look = Look::on(stdout.is_terminal());
        Self {
            options,
            out: BufWriter::new(stdout),
            look,
            offset: 0,
            open_line: false,
            groups: ci.map(Groups::new),
        }
    }

    /// What comes from `offset` on.
    pub fn from(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    fn print(&mut self, follower: &mut Follower, all: bool) -> Result<(), Failure> {
        let (settled, _) = follower.settled();
        loop {
            let events = std::mem::take(&mut follower.events);
            let Some(log) = follower.view.log()? else {
                follower.events = events;
                return Ok(());
            };
            let mut lines = log.lines_from_offset(self.offset, BYTES_PER_LOOK)?;
            let known = lines.partition_point(|line| line.end <= settled);
            let held = lines.len() > known;
            lines.truncate(known);
            let reached = lines.last().map_or(self.offset, |line| line.end);
            let mut events = events.into_iter().peekable();
            for line in lines {
                while let Some(event) = events.next_if(|event| event.offset <= line.offset) {
                    self.event(&event, follower)?;
                }
                // One that came in pieces has been shown in part: then all of it is.
                if line.partial || self.open_line || !is_step_marker(&line.text) {
                    self.line(&line, follower)?;
                }
            }
            if held {
                follower.ask_settled();
            }
            let caught_up = reached == self.offset && !held;
            self.offset = reached;
            let mut later = Vec::new();
            for event in events {
                if caught_up || event.offset <= reached {
                    self.event(&event, follower)?;
                } else {
                    later.push(event);
                }
            }
            follower.events.splice(0..0, later);
            if !all || caught_up || held {
                break;
            }
        }
        Ok(self.out.flush()?)
    }

    fn line(&mut self, line: &stepflow_record::Line, follower: &Follower) -> io::Result<()> {
        let state = &follower.view.state;
        let owner = state.owner_of(line.offset);
        if !self.open_line {
            if let Some(groups) = &mut self.groups {
                let time_s = line.time_ns / 1_000_000_000;
                let marks = groups.inside(owner, &state.steps, time_s);
                self.out.write_all(marks.as_bytes())?;
            }
            for prefix in &self.options.prefix {
                let said = match prefix {
                    Prefix::Time => clock(line.time_ns),
                    Prefix::Step => owner.map_or_else(String::new, |step| {
                        format!("[{}]", clean(state.steps[step as usize].name.as_bytes(), false))
                    }),
                };
                if !said.is_empty() {
                    write!(self.out, "{} ", self.look.faint(&said))?;
                }
            }
        }
        if let Some(gone) = line.dropped {
            return writeln!(self.out, "{}", found::dropped(gone.bytes(), gone.from, gone.to));
        }
        write!(self.out, "{}", shown(&line.text, self.look.colour))?;
        if !line.partial {
            writeln!(self.out)?;
        }
        self.open_line = line.partial;
        Ok(())
    }

    fn event(&mut self, event: &Event, follower: &Follower) -> io::Result<()> {
        let text = self.look.text;
        let steps = &follower.view.state.steps;
        let time_s = event.time_us / 1_000_000;
        let mut line = None;
        let mut marks = String::new();
        match &event.kind {
            EventKind::StepStarted { step, name, .. } => match &mut self.groups {
                Some(groups) => marks = groups.inside(Some(*step), steps, time_s),
                None => line = Some(format!("==> {}", clean(name.as_bytes(), false))),
            },
            EventKind::StepFinished { step, .. } => {
                let Some(step) = steps.get(*step as usize) else { return Ok(()) };
                let finished = finished_step(&self.look, step, Findings::default(), COLUMNS);
                if let Some(groups) = &mut self.groups {
                    marks = groups.finished(step, steps, &finished, time_s);
                } else {
                    line = Some(format!("<== {finished}"));
                }
            }
            EventKind::Warning { message, .. } => {
                line = Some(self.warning(message));
            }
            EventKind::OutputLost { .. } => {
                line = event.kind.loss(event.offset).map(|message| self.warning(&message));
            }
            EventKind::ArtifactStored { problem: Some(problem), .. } => {
                line = Some(self.warning(&(text.artifact_missing)(&text::recorded(problem))));
            }
            EventKind::Paused { why } => line = Some((text.paused)(why)),
            EventKind::Resumed {} => line = Some(text.resumed.to_owned()),
            _ => {}
        }
        if line.is_none() && marks.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.open_line) {
            writeln!(self.out)?;
        }
        self.out.write_all(marks.as_bytes())?;
        match line {
            // A CI system knows its own lines at their beginning, without colours.
            Some(line) if self.groups.is_some() => writeln!(self.out, "{line}"),
            Some(line) => writeln!(self.out, "{}", self.look.faint(&line)),
            None => Ok(()),
        }
    }

    fn warning(&self, message: &str) -> String {
        let message = text::recorded(message);
        let message = clean(message.as_bytes(), false);
        let annotation = self.groups.as_ref().and_then(|groups| groups.ci.warning(&message));
        annotation.unwrap_or_else(|| {
            format!("{}{}{message}", self.look.text.warning, self.look.text.colon)
        })
    }
}

impl Display for Plain {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.print(follower, false)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.print(follower, true)?;
        if std::mem::take(&mut self.open_line) {
            writeln!(self.out)?;
        }
        if let Some(groups) = &mut self.groups {
            let summary = &follower.view.state.summary;
            let now_s = stepflow_sys::clock::wall_us() / 1_000_000;
            self.out.write_all(groups.close_all(now_s).as_bytes())?;
            // A failed step has said so itself.
            if summary.status == Status::Failed {
                let name = clean(summary.name.as_bytes(), false);
                let why = summary.error_message.as_deref().unwrap_or(self.look.text.failed);
                let why = clean(text::recorded(why).as_bytes(), false);
                if let Some(line) = groups.ci.problem(&name, &why) {
                    writeln!(self.out, "{line}")?;
                }
            }
        }
        let ending = Ending {
            look: self.look,
            failure_lines: self.options.failure_lines,
            shown: true,
            page: self.options.known.page_at_last(),
            width: None,
        };
        for line in ending.lines(follower, &self.options.storage)? {
            writeln!(self.out, "{line}")?;
        }
        Ok(self.out.flush()?)
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "stepflow: {}", self.look.own(text));
    }

    fn stopping(&mut self, _text: &str, grace: Duration) {
        let time = self.look.duration(grace.as_micros() as u64);
        self.say(&(self.look.text.stopping)(&time));
    }
}

/// A marker that begins or ends a step: the line of its event says what it says.
fn is_step_marker(line: &[u8]) -> bool {
    use stepflow_markers::Marker;
    match stepflow_markers::parse(line) {
        Ok(Some(marker)) => !matches!(
            marker,
            Marker::Meta { .. } | Marker::Artifact { .. } | Marker::Progress { .. }
        ),
        _ => false,
    }
}

/// The time of day here, to the second.
fn clock(time_ns: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_nanosecond(i128::from(time_ns))
        .map(|time| time.to_zoned(zone).strftime("%H:%M:%S").to_string())
        .unwrap_or_default()
}
