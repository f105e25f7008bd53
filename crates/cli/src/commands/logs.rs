//! `stepflow logs`: the recorded output, now or as it comes.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use stepflow_model::{ExecutionState, Step, Stream};
use stepflow_record::{Line, Storage};

use super::find;
use crate::{
    failure::Failure,
    format::clean,
    run::{follow::Follower, summary::colour},
};

const BYTES_PER_LOOK: u64 = 4 << 20;

/// What to print and how.
pub struct Options {
    pub follow: bool,
    pub step: Option<String>,
    pub tail: Option<u64>,
    pub time: bool,
    pub raw: bool,
    pub json: bool,
}

pub fn logs(storage: &Storage, id: &str, options: &Options) -> Result<ExitCode, Failure> {
    let id = find(storage, id)?;
    let mut follower = Follower::open(storage, id)?;
    follower.look()?;
    if let Some(step) = &options.step {
        find_step(&follower.view.state, step)?;
    }
    let mut printer = Printer::new(options, &mut follower)?;
    loop {
        // Asked before the look at the output: what ends now is printed before we leave.
        let ended = follower.look()?;
        match printer.print(&mut follower) {
            Err(_) if broken_pipe(&mut printer.out) => return Ok(ExitCode::SUCCESS),
            other => other?,
        }
        if ended || !options.follow {
            return Ok(ExitCode::SUCCESS);
        }
        follower.wait(Duration::from_secs(1), None);
    }
}

/// Whether our reader has gone (`| head`): then leaving is right.
fn broken_pipe(out: &mut impl Write) -> bool {
    matches!(out.flush(), Err(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

fn find_step<'a>(state: &'a ExecutionState, wanted: &str) -> Result<&'a Step, Failure> {
    let found = state
        .steps
        .iter()
        .find(|step| step.key.as_deref() == Some(wanted))
        .or_else(|| state.steps.iter().find(|step| step.name == wanted));
    found.ok_or_else(|| {
        let names: Vec<_> = state.steps.iter().take(10).map(|s| s.name.as_str()).collect();
        Failure::new(format!("there is no step `{wanted}`"))
            .hint(format!("the steps are: {}", names.join(", ")))
    })
}

struct Printer<'a> {
    options: &'a Options,
    out: BufWriter<io::Stdout>,
    colour: bool,
    offset: u64,
    open_line: Option<u64>,
}

impl<'a> Printer<'a> {
    fn new(options: &'a Options, follower: &mut Follower) -> Result<Self, Failure> {
        let mut offset = 0;
        if let (Some(tail), Some(log)) = (options.tail, follower.view.log()?) {
            let (bytes, lines) = log.position()?;
            let half = u64::from(!log.lines(lines + 1, 1)?.is_empty());
            let first = (lines + half + 1).saturating_sub(tail).max(1);
            offset = log.lines(first, 1)?.first().map_or(bytes, |line| line.offset);
        }
        let colour = colour(io::stdout().is_terminal());
        Ok(Self { options, out: BufWriter::new(io::stdout()), colour, offset, open_line: None })
    }

    fn print(&mut self, follower: &mut Follower) -> Result<(), Failure> {
        loop {
            let step = match &self.options.step {
                Some(step) => Some(find_step(&follower.view.state, step)?.index),
                None => None,
            };
            let state = follower.view.state.clone();
            let Some(log) = follower.view.log()? else { return Ok(()) };
            if self.options.raw {
                let (end, _) = log.position()?;
                while self.offset < end {
                    let mut buffer = vec![0; (end - self.offset).min(256 * 1024) as usize];
                    log.read_at(&mut buffer, self.offset)?;
                    self.out.write_all(&buffer)?;
                    self.offset += buffer.len() as u64;
                }
                return Ok(self.out.flush()?);
            }
            let lines = log.lines_from_offset(self.offset, BYTES_PER_LOOK)?;
            let Some(reached) = lines.last().map(|line| line.end) else {
                return Ok(self.out.flush()?);
            };
            for line in lines {
                if step.is_none_or(|step| is_within(&state, state.owner_of(line.offset), step)) {
                    self.line(&line, state.owner_of(line.offset))?;
                }
            }
            self.offset = reached;
        }
    }

    fn line(&mut self, line: &Line, owner: Option<u32>) -> io::Result<()> {
        let time =
            Timestamp::from_nanosecond(i128::from(line.time_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        if self.options.json {
            let object = json!({
                "number": line.number, "offset": line.offset, "time": format!("{time:.6}"),
                "stream": line.stream, "step": owner, "text": String::from_utf8_lossy(&line.text),
                "partial": line.partial, "continued": line.continued,
            });
            return writeln!(self.out, "{object}");
        }
        // A piece that goes on the line we are in follows on the same row.
        if self.open_line != Some(line.number) {
            if self.open_line.is_some() {
                writeln!(self.out)?;
            }
            if self.options.time {
                let mark = if line.stream == Stream::Stderr { "!" } else { " " };
                write!(self.out, "{:>7} {}{mark} ", line.number, time.strftime("%H:%M:%S%.3f"))?;
            }
        }
        write!(self.out, "{}", clean(&line.text, self.colour))?;
        if line.partial {
            self.open_line = Some(line.number);
        } else {
            self.open_line = None;
            writeln!(self.out)?;
        }
        Ok(())
    }
}

/// Whether `owner` is `step` or nested in it.
fn is_within(state: &ExecutionState, owner: Option<u32>, step: u32) -> bool {
    let mut at = owner;
    while let Some(index) = at {
        if index == step {
            return true;
        }
        at = state.steps[index as usize].parent;
    }
    false
}
