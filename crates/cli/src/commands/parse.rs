//! `stepflow parse`: the markers of any log, as events or as the tree of steps they make.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use stepflow_markers::{Found, Scanner};
use stepflow_model::{
    Event, EventKind, ExecutionId, ExecutionState, Source, Spec, Status,
    steps::{self, At, Verdict},
};

use crate::{
    failure::Failure,
    run::summary::{colour, step_line},
    text::why,
};

pub fn parse(path: &Path, tree: bool, json: bool) -> Result<ExitCode, Failure> {
    let mut input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| {
            Failure::new(why::cannot_open(path.display(), error)).hint(why::a_file_or_stdin())
        })?)
    };
    let mut reading = Reading::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut scanner = Scanner::new();
    let mut offset = 0;
    let mut lines = 0;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::new(why::cannot_read(path.display(), error)));
            }
        };
        let chunk = &buffer[..count];
        let mut found = Vec::new();
        scanner.push(chunk, offset, &mut |f| found.push(f));
        let ends = |at: u64| {
            lines + memchr::memchr_iter(b'\n', &chunk[..(at - offset) as usize]).count() as u64
        };
        for found in found {
            let ended = ends(found.end);
            reading.take(found, ended.saturating_sub(1), ended);
        }
        lines = ends(offset + count as u64);
        offset += count as u64;
    }
    let mut found = Vec::new();
    scanner.finish(&mut |f| found.push(f));
    for found in found {
        reading.take(found, lines, lines + 1);
    }
    reading.finish(offset, lines);

    let mut out = io::stdout().lock();
    if !tree {
        for event in &reading.events {
            writeln!(out, "{}", json!(event))?;
        }
    } else if json {
        let state = &reading.state;
        let object = json!({
            "steps": state.steps, "artifacts": state.artifacts,
            "metadata": state.summary.metadata, "annotations": state.annotations,
        });
        writeln!(out, "{object}")?;
    } else {
        let on = colour(io::stdout().is_terminal());
        for step in &reading.state.steps {
            let mut step = step.clone();
            step.duration_us = None; // A log has no clock.
            writeln!(out, "{}", step_line(&step, on))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A log being folded, as the recorder would, without clock or process.
struct Reading {
    state: ExecutionState,
    events: Vec<Event>,
}

impl Reading {
    fn new() -> Self {
        let spec = Spec {
            id: ExecutionId::new(uuid::Uuid::nil()),
            name: String::new(),
            command: vec![String::new()],
            cwd: String::new(),
            env: std::collections::BTreeMap::new(),
            env_inherited: Vec::new(),
            mask_env: Vec::new(),
            tags: Vec::new(),
            metadata: serde_json::Map::new(),
            user: String::new(),
            created_us: 0,
            source: Source::Cli,
            bound: false,
            timeout_ms: None,
            grace_ms: 0,
            drain_ms: 0,
            stop_on_error: false,
            split_stderr: false,
            shell: false,
            pty: None,
            log_sync: stepflow_model::LogSync::default(),
            containment: stepflow_model::Containment::default(),
            leftover: stepflow_model::Leftover::default(),
            log_max_bytes: 0,
            log_full: stepflow_model::LogFull::default(),
            on_disk_full: stepflow_model::OnDiskFull::default(),
            rerun_of: None,
        };
        Self { state: ExecutionState::new(&spec), events: Vec::new() }
    }

    fn emit(&mut self, kind: EventKind, offset: u64, lines: u64) {
        let position = self.state.summary.position;
        let event = Event {
            seq: position.seq + 1,
            time_us: 0,
            at_us: 0,
            offset: offset.max(position.bytes),
            lines: lines.max(position.lines),
            kind,
        };
        self.state.apply(&event);
        self.events.push(event);
    }

    fn take(&mut self, found: Found, lines_before: u64, lines_after: u64) {
        match found.outcome {
            Ok(marker) => {
                for (at, kind) in steps::decide(&self.state, &marker, false).events {
                    match at {
                        At::LineStart => self.emit(kind, found.start, lines_before),
                        At::LineEnd => self.emit(kind, found.end, lines_after),
                    }
                }
            }
            Err(error) => {
                let (code, message) = ("marker_refused".to_owned(), error.to_string());
                self.emit(EventKind::Warning { code, message }, found.start, lines_before);
            }
        }
    }

    /// The log has ended; nobody knows how its script did, so open steps count as passed.
    fn finish(&mut self, offset: u64, lines: u64) {
        let verdict = Verdict { status: Status::Completed, reason: None, message: None };
        for kind in steps::finish(&self.state, &verdict, None) {
            self.emit(kind, offset, lines);
        }
    }
}
