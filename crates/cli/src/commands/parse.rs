//! `stepflow parse`: what any log says, as events, as the tree of steps it makes, and why.

mod object; // what programs read

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use stepflow_markers::dialects::{Choice, Selection, Stream};
use stepflow_model::{ExecutionId, Severity, Source, Spec, steps};
use stepflow_recorder::offline::Offline;

use crate::{
    args::Parse,
    failure::Failure,
    format::clean,
    run::summary::{colour, paint, step_line},
    text::{say, why},
};

/// Most bytes of one read.
const READ_BYTES: usize = 128 * 1024;

pub fn parse(args: &Parse) -> Result<ExitCode, Failure> {
    // It was understood when the flags were read.
    let selection = Selection::parse(&args.dialect.dialect).unwrap_or_default();
    let mut log = Offline::new(&spec(), &selection);
    read(args, &mut log)?;
    let outcome = steps::Outcome { exit_code: Some(args.exit_code), ..steps::Outcome::default() };
    log.finish(&steps::verdict(&outcome), outcome.exit_code);

    let mut out = io::stdout().lock();
    if args.json.json && (args.tree || args.explain) {
        let explained = args.explain.then_some(&selection);
        writeln!(out, "{}", object::whole(&log, explained))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.tree {
        tree(&log, &mut out)?;
    }
    if args.explain {
        explain(&log, &selection, &mut out)?;
    } else if !args.tree {
        for event in log.events() {
            writeln!(out, "{}", json!(event))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| {
        Failure::new(why::cannot_open(path.display(), error)).hint(why::a_file_or_stdin())
    })?;
    Ok(Box::new(file))
}

/// Feeds the whole log.
fn read(args: &Parse, log: &mut Offline) -> Result<(), Failure> {
    let path = &args.file;
    let failed = |error| Failure::new(why::cannot_read(path.display(), error));
    let mut input = open(path)?;
    let Some(map) = &args.streams else {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => log.take(Stream::Merged, &buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    };
    let digits =
        std::fs::read(map).map_err(|error| Failure::new(why::cannot_open(map.display(), error)))?;
    let streams = digits.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut streams = streams.enumerate().filter(|(_, digit)| !digit.is_empty());
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        let stream = match streams.next() {
            Some((_, b"1")) | None => Stream::Stdout,
            Some((_, b"2")) => Stream::Stderr,
            Some((at, _)) => return Err(Failure::new(why::no_stream(map.display(), at + 1))),
        };
        log.take(stream, &line);
    }
}

/// For people.
fn tree(log: &Offline, out: &mut impl Write) -> io::Result<()> {
    let on = colour(io::stdout().is_terminal());
    let state = log.state();
    let text = |text: &str| clean(text.as_bytes(), false);
    for step in &state.steps {
        let mut step = step.clone();
        step.duration_us = None; // A log has no clock.
        writeln!(out, "{}", step_line(&step, on))?;
    }
    for annotation in &state.annotations {
        let Some(problem) = &annotation.problem else {
            writeln!(out, "{}", say::warned(annotation.line, text(&annotation.message)))?;
            continue;
        };
        let place = match (&problem.file, problem.line, problem.col) {
            (Some(file), Some(line), Some(col)) => format!("{}:{line}:{col}: ", text(file)),
            (Some(file), Some(line), None) => format!("{}:{line}: ", text(file)),
            (Some(file), ..) => format!("{}: ", text(file)),
            (None, ..) => String::new(),
        };
        let code = if problem.level == Severity::Error { "31" } else { "33" };
        let level = paint(on, code, problem.level.as_str());
        writeln!(out, "{level} {place}{}", text(&problem.message))?;
    }
    for (dialect, totals) in state.tests.totals() {
        let stepflow_model::TestTotals { passed, failed, error, skipped, todo } = totals;
        writeln!(out, "{}", say::tests(dialect, passed, failed, error, skipped, todo))?;
    }
    Ok(())
}

/// Why each dialect was found, or not.
fn explain(log: &Offline, selection: &Selection, out: &mut impl Write) -> io::Result<()> {
    if !selection.own() {
        writeln!(out, "{:<10} {}", "native", say::dialect_off())?;
    }
    for (name, choice) in selection.choices() {
        let found = log.state().detected.iter().find(|found| found.dialect == name);
        let what = sign(name);
        let line = match (choice, found) {
            (_, Some(found)) => say::dialect_found(found.line, what),
            (Choice::Off, None) => say::dialect_off(),
            (Choice::OptIn, None) => say::dialect_by_name(),
            (Choice::Known, None) => say::dialect_named(what),
            (Choice::On, None) => say::dialect_not_found(what),
        };
        writeln!(out, "{name:<10} {line}")?;
    }
    Ok(())
}

/// What gives a dialect away.
fn sign(dialect: &str) -> String {
    match dialect {
        "github" => say::sign_github(),
        "gitlab" => say::sign_gitlab(),
        "azure" => say::sign_azure(),
        "teamcity" => say::sign_teamcity(),
        "travis" => say::sign_travis(),
        "buildkite" => say::sign_buildkite(),
        "tap" => say::sign_tap(),
        "docker" => say::sign_docker(),
        "ansible" => say::sign_ansible(),
        "npm" => say::sign_npm(),
        "terraform" => say::sign_terraform(),
        "gradle" => say::sign_gradle(),
        "maven" => say::sign_maven(),
        "turbo" => say::sign_turbo(),
        _ => say::sign_other(),
    }
}

fn spec() -> Spec {
    Spec {
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
        dialect: stepflow_model::dialect_default(),
        rerun_of: None,
    }
}
