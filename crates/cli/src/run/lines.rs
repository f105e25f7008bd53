//! The displays without a live area: plain, raw, json, quiet.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write},
    os::fd::AsFd,
};

use serde_json::json;
use stepflow_model::{EventKind, Status, StepStatus, Stream};

use super::{
    Display,
    follow::Follower,
    summary::{colour, failure_lines, paint, step_line, summary_line},
};
use crate::{failure::Failure, format::clean};

/// Output shown per look, so that a frame stays a frame.
const BYTES_PER_LOOK: u64 = 4 << 20;

/// Every line, with step headings.
pub struct Plain {
    out: BufWriter<io::Stdout>,
    colour: bool,
    offset: u64,
    open_line: bool,
    failure_lines: usize,
}

impl Plain {
    pub fn new(failure_lines: usize) -> Self {
        let stdout = io::stdout();
        let colour = colour(stdout.is_terminal());
        Self { out: BufWriter::new(stdout), colour, offset: 0, open_line: false, failure_lines }
    }

    fn print(&mut self, follower: &mut Follower, all: bool) -> Result<(), Failure> {
        loop {
            let events = std::mem::take(&mut follower.events);
            let Some(log) = follower.view.log()? else { return Ok(()) };
            let lines = log.lines_from_offset(self.offset, BYTES_PER_LOOK)?;
            let reached = lines.last().map_or(self.offset, |line| line.end);
            let mut events = events.into_iter().peekable();
            for line in lines {
                while events.peek().is_some_and(|event| event.offset <= line.offset) {
                    self.event(events.next().map(|event| event.kind), follower)?;
                }
                // The heading says what a marker line says.
                let text = clean(&line.text, self.colour);
                write!(self.out, "{text}")?;
                if !line.partial {
                    writeln!(self.out)?;
                }
                self.open_line = line.partial;
            }
            let caught_up = reached == self.offset;
            self.offset = reached;
            let mut later = Vec::new();
            for event in events {
                if caught_up || event.offset <= reached {
                    self.event(Some(event.kind), follower)?;
                } else {
                    later.push(event);
                }
            }
            follower.events.splice(0..0, later);
            if !all || caught_up {
                break;
            }
        }
        Ok(self.out.flush()?)
    }

    fn event(&mut self, kind: Option<EventKind>, follower: &Follower) -> io::Result<()> {
        let steps = &follower.view.state.steps;
        let line = match kind {
            Some(EventKind::StepStarted { name, .. }) => {
                format!("==> {}", clean(name.as_bytes(), false))
            }
            Some(EventKind::StepFinished { step, .. }) => match steps.get(step as usize) {
                Some(step) => format!("<== {}", step_line(step, self.colour)),
                None => return Ok(()),
            },
            Some(EventKind::Warning { message, .. }) => format!("warning: {message}"),
            Some(EventKind::ArtifactStored { problem: Some(problem), .. }) => {
                format!("warning: artifact not collected: {problem}")
            }
            Some(EventKind::Paused { why }) => format!("paused: {why}"),
            Some(EventKind::Resumed {}) => "resumed".to_owned(),
            _ => return Ok(()),
        };
        if std::mem::take(&mut self.open_line) {
            writeln!(self.out)?;
        }
        writeln!(self.out, "{}", paint(self.colour, "2", &line))
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
        let _ = self.failure_lines; // All lines are above already.
        writeln!(self.out, "{}", summary_line(&follower.view.state.summary, self.colour))?;
        Ok(self.out.flush()?)
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "stepflow: {text}");
    }
}

/// The script's bytes, nothing added.
pub struct Raw {
    split: bool,
    offset: u64,
}

impl Raw {
    pub fn new(split: bool) -> Self {
        Self { split, offset: 0 }
    }

    fn copy(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        let Some(log) = follower.view.log()? else { return Ok(()) };
        let (end, _) = log.position()?;
        if !self.split {
            pump(log.output(), self.offset, end, &io::stdout())?;
            self.offset = end;
            return Ok(());
        }
        while self.offset < end {
            for (stream, from, to) in log.runs(self.offset, 1024)? {
                match stream {
                    Stream::Stdout => pump(log.output(), from, to, &io::stdout())?,
                    Stream::Stderr => pump(log.output(), from, to, &io::stderr())?,
                }
                self.offset = to;
            }
        }
        Ok(())
    }
}

/// Copies a range of the log to one of our own streams, past any buffer of ours.
fn pump(log: &File, from: u64, to: u64, target: &impl AsFd) -> io::Result<()> {
    let mut out = File::from(target.as_fd().try_clone_to_owned()?);
    let mut log = log;
    log.seek(SeekFrom::Start(from))?;
    // The kernel copies (copy_file_range, sendfile, splice) wherever the two ends allow it.
    let copied = io::copy(&mut log.take(to - from), &mut out)?;
    if copied == to - from { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Display for Raw {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.copy(follower)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.copy(follower)?;
        let summary = &follower.view.state.summary;
        if summary.status != Status::Completed {
            let on = colour(io::stderr().is_terminal());
            writeln!(io::stderr(), "{}", summary_line(summary, on))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "stepflow: {text}");
    }
}

/// One JSON object a line: events and output, in the order of their offsets.
#[derive(Default)]
pub struct Json {
    offset: u64,
    headed: bool,
}

impl Json {
    fn print(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        if !std::mem::replace(&mut self.headed, true) {
            let summary = &follower.view.state.summary;
            let head = json!({"schema": "stepflow-run", "v": 1, "id": summary.id,
                              "name": summary.name, "command": follower.view.spec.command});
            writeln!(out, "{head}")?;
        }
        let mut events = std::mem::take(&mut follower.events).into_iter().peekable();
        if let Some(log) = follower.view.log()? {
            loop {
                let lines = log.lines_from_offset(self.offset, BYTES_PER_LOOK)?;
                let Some(reached) = lines.last().map(|line| line.end) else { break };
                for line in lines {
                    while let Some(event) = events.next_if(|event| event.offset <= line.offset) {
                        writeln!(out, "{}", json!({"event": event}))?;
                    }
                    let line = json!({"line": {
                        "number": line.number, "offset": line.offset, "time_us": line.time_ns / 1000,
                        "stream": line.stream, "text": String::from_utf8_lossy(&line.text),
                        "partial": line.partial,
                    }});
                    writeln!(out, "{line}")?;
                }
                self.offset = reached;
            }
        }
        for event in events {
            writeln!(out, "{}", json!({"event": event}))?;
        }
        Ok(out.flush()?)
    }
}

impl Display for Json {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.print(follower)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.print(follower)?;
        let summary = json!({"end": follower.view.state.summary});
        Ok(writeln!(io::stdout(), "{summary}")?)
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "stepflow: {text}");
    }
}

/// Nothing unless it fails.
pub struct Quiet {
    failure_lines: usize,
}

impl Quiet {
    pub fn new(failure_lines: usize) -> Self {
        Self { failure_lines }
    }
}

impl Display for Quiet {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        follower.events.clear();
        Ok(())
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        if follower.view.state.summary.status == Status::Completed {
            return Ok(());
        }
        let on = colour(io::stderr().is_terminal());
        let failed =
            follower.view.state.steps.iter().find(|s| s.status == StepStatus::Failed).cloned();
        let mut err = io::stderr().lock();
        if let Some(log) = follower.view.log()? {
            for line in failure_lines(log, failed.as_ref(), self.failure_lines, on)? {
                writeln!(err, "{line}")?;
            }
        }
        Ok(writeln!(err, "{}", summary_line(&follower.view.state.summary, on))?)
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "stepflow: {text}");
    }
}
