//! `stepflow parse`: what any log says, as events, as the tree of steps it makes, and why.

mod object; // what programs read

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use stepflow_markers::dialects::{Choice, Selection, Stream, names};
use stepflow_model::{ExecutionId, Severity, Source, Spec, steps};
use stepflow_recorder::offline::Offline;

use crate::{
    args::Parse,
    failure::Failure,
    format::clean,
    matchers::{self, Matchers},
    run::summary::{colour, paint, step_line},
    text::{say, why},
};

/// Most bytes of one read.
const READ_BYTES: usize = 128 * 1024;

/// `storage`: where there may be problem matchers; nothing else of it is looked at.
pub fn parse(args: &Parse, storage: Option<&Path>) -> Result<ExitCode, Failure> {
    let matchers = Matchers::read_and_tell(storage);
    let selection = matchers::selection(&args.dialect.dialect, &matchers)?;
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
        "nextest" => say::sign_nextest(),
        "pytest" => say::sign_pytest(),
        "cargo" => say::sign_cargo(),
        "go-test" => say::sign_go_test(),
        "ctest" => say::sign_ctest(),
        "tqdm" => say::sign_tqdm(),
        "make" => say::sign_make(),
        "ninja" => say::sign_ninja(),
        "cmake-make" => say::sign_cmake_make(),
        "gcc-diag" => say::sign_gcc_diag(),
        "xtrace" => say::sign_xtrace(),
        matcher if !names().any(|name| name == matcher) => say::sign_matcher(),
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
        command: vec![String::new()],
        grace_ms: 0,
        drain_ms: 0,
        ..Spec::new(ExecutionId::new(uuid::Uuid::nil()), Source::Cli, 0)
    }
}
