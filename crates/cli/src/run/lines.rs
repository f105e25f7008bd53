//! The displays that add nothing to standard output: raw, json, quiet.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write},
    os::fd::AsFd,
};

use serde_json::json;
use stepflow_model::{Status, Stream};
use stepflow_record::LogReader;

use super::{
    Display, Options,
    follow::Follower,
    look::Look,
    summary::{Ending, colour, summary_line},
};
use crate::{
    failure::Failure,
    text::{found, say},
};

/// Output told per look, so that a frame stays a frame.
const BYTES_PER_LOOK: u64 = 4 << 20;

/// The script's bytes, nothing added.
pub struct Raw {
    split: bool,
    offset: u64,
    /// A last line in any case, not only of a failure.
    summary: bool,
}

impl Raw {
    pub fn new(split: bool) -> Self {
        Self { split, offset: 0, summary: false }
    }

    /// What comes from `offset` on, and a last line.
    pub fn from(offset: u64) -> Self {
        Self { split: false, offset, summary: true }
    }

    fn copy(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        // What the first half of the limit holds never goes.
        let stays = match follower.view.spec.log_max_bytes {
            0 => u64::MAX,
            max => max / 2,
        };
        let Some(log) = follower.view.log()? else { return Ok(()) };
        let (end, _) = log.position()?;
        if !self.split {
            pump(log, self.offset, end, stays, &io::stdout())?;
            self.offset = end;
            return Ok(());
        }
        while self.offset < end {
            for (stream, from, to) in log.runs(self.offset, 1024)? {
                match stream {
                    Stream::Stdout => pump(log, from, to, stays, &io::stdout())?,
                    Stream::Stderr => pump(log, from, to, stays, &io::stderr())?,
                }
                self.offset = to;
            }
        }
        Ok(())
    }
}

/// Copies a range of the log to one of our own streams, past any buffer of ours. What is gone by
/// policy is left out and said on standard error; bytes before `stays` never are.
fn pump(log: &LogReader, from: u64, to: u64, stays: u64, target: &impl AsFd) -> io::Result<()> {
    let mut out = File::from(target.as_fd().try_clone_to_owned()?);
    let Some(mut file) = log.output().filter(|_| to <= stays) else {
        let mut missing = |gone: stepflow_model::Dropped| {
            writeln!(io::stderr(), "{}", found::dropped(gone.bytes(), gone.from, gone.to))
        };
        return log.copy_kept(from, to, &mut out, &mut missing).map(drop);
    };
    file.seek(SeekFrom::Start(from))?;
    // The kernel copies (copy_file_range, sendfile, splice) wherever both ends allow it.
    let copied = io::copy(&mut file.take(to - from), &mut out)?;
    if copied == to - from { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Display for Raw {
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.copy(follower)
    }

    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        self.copy(follower)?;
        // Bytes cannot say what is missing between them.
        for loss in &follower.view.state.losses {
            writeln!(io::stderr(), "{}", say::missing_here(&loss.message))?;
        }
        let summary = &follower.view.state.summary;
        let on = colour(io::stderr().is_terminal());
        if self.summary || summary.status != Status::Completed {
            writeln!(io::stderr(), "{}", summary_line(summary, on))?;
        }
        say_hint(follower)
    }
}

/// What the recorder thinks was missing, for displays that show no warnings.
fn say_hint(follower: &Follower) -> Result<(), Failure> {
    let hint = follower.view.state.annotations.iter().find(|a| a.code == "needs_terminal");
    if let Some(hint) = hint {
        let text = crate::text::text();
        writeln!(io::stderr(), "{}{}{}", text.hint, text.colon, hint.message)?;
    }
    Ok(())
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
        let (settled, _) = follower.settled();
        let mut held = false;
        let mut events = std::mem::take(&mut follower.events).into_iter().peekable();
        if let Some(log) = follower.view.log()? {
            loop {
                let mut lines = log.lines_from_offset(self.offset, BYTES_PER_LOOK)?;
                let known = lines.partition_point(|line| line.end <= settled);
                held |= lines.len() > known;
                lines.truncate(known);
                let Some(reached) = lines.last().map(|line| line.end) else { break };
                for line in lines {
                    while let Some(event) = events.next_if(|event| event.offset <= line.offset) {
                        writeln!(out, "{}", json!({"event": event}))?;
                    }
                    let line = json!({"line": {
                        "number": line.number, "offset": line.offset, "time_us": line.time_ns / 1000,
                        "stream": line.stream, "text": String::from_utf8_lossy(&line.text),
                        "partial": line.partial, "dropped": line.dropped,
                    }});
                    writeln!(out, "{line}")?;
                }
                self.offset = reached;
            }
        }
        if held {
            // Those that belong behind what is held wait with it.
            let later: Vec<_> = events.collect();
            let now = later.partition_point(|event| event.offset <= self.offset);
            for event in &later[..now] {
                writeln!(out, "{}", json!({"event": event}))?;
            }
            follower.events.splice(0..0, later.into_iter().skip(now));
            follower.ask_settled();
        } else {
            for event in events {
                writeln!(out, "{}", json!({"event": event}))?;
            }
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
}

/// Nothing unless it fails.
pub struct Quiet {
    options: Options,
}

impl Quiet {
    pub fn new(options: Options) -> Self {
        Self { options }
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
        let ending = Ending {
            look: Look::on(io::stderr().is_terminal()),
            failure_lines: self.options.failure_lines,
            shown: false,
            page: self.options.known.page_at_last(),
            width: None,
        };
        let lines = ending.lines(follower, &self.options.storage)?;
        let mut err = io::stderr().lock();
        for line in lines.iter().skip_while(|line| line.is_empty()) {
            writeln!(err, "{line}")?;
        }
        drop(err);
        say_hint(follower)
    }
}
