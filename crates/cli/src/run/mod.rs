//! `stepflow run`: start a recorder, show what it records, exit as the script did.

pub mod follow; // wait for a record to change
mod lines; // plain, raw, json, quiet
pub mod summary; // what stands below a run
mod tree; // the live tree

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Duration,
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use stepflow_model::{ExecutionId, Reason, Source, Spec, Status, Summary};
use stepflow_record::Storage;
use stepflow_recorder::Launch;
use stepflow_sys::clock;
use uuid::Uuid;

use crate::{
    args::{Output, Run},
    failure::{self, Failure},
};
use follow::Follower;

/// The display is brought up to date at most this often.
const FRAME: Duration = Duration::from_millis(80);

/// Shows a run. Everything it shows comes from the record.
trait Display {
    /// Something has been recorded, or a frame's time has passed.
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure>;
    /// The end is recorded. Shows what is left to show.
    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure>;
    /// A word from us to the user.
    fn say(&mut self, text: &str);
}

pub fn run(storage: &Storage, args: Run) -> Result<ExitCode, Failure> {
    let output = match args.output {
        Output::Auto if std::io::stdout().is_terminal() && !dumb() => Output::Tree,
        Output::Auto => Output::Plain,
        other => other,
    };
    let spec = spec(&args, output)?;
    let id = spec.id;
    let created = storage.create(&spec)?;
    let launch = Launch {
        storage,
        program: PathBuf::from("/proc/self/exe"),
        env: Some(environment(&args, id)),
        stdin: if args.detach { Stdio::null() } else { Stdio::inherit() },
    };
    let launched = launch.start(created).map_err(|error| {
        Failure::new(format!("cannot start the recorder: {error}")).code(failure::OWN)
    })?;
    // Signals are ours to read from now on; the recorder was started with the caller's mask.
    let signals = watch_signals()?;
    let mut answer = String::new();
    let mut reader = BufReader::new(&launched.link);
    let _ = reader.read_line(&mut answer); // An early end is an empty answer.
    if answer.trim() != "started" {
        let why = answer.trim().trim_start_matches("failed ").to_owned();
        crate::commands::project(storage);
        return Err(Failure::new(if why.is_empty() {
            "the recorder ended before the script was started".to_owned()
        } else {
            format!("the recorder could not start the script: {why}")
        })
        .hint(format!("the record is {}", storage.record_dir(id).display()))
        .code(failure::OWN));
    }
    if args.detach {
        let _ = writeln!(std::io::stdout(), "{id}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut follower = Follower::open(storage, id)?;
    let mut display: Box<dyn Display> = match output {
        Output::Tree => Box::new(tree::Tree::new(args.tail, args.failure_lines)),
        Output::Raw => Box::new(lines::Raw::new(args.split_stderr || splits(output))),
        Output::Json => Box::new(lines::Json::default()),
        Output::Quiet => Box::new(lines::Quiet::new(args.failure_lines)),
        Output::Plain | Output::Auto => Box::new(lines::Plain::new(args.failure_lines)),
    };
    let mut asked = 0;
    loop {
        follower.wait(FRAME, Some(&signals));
        while let Ok(Some(signal)) = signals.read_signal() {
            asked += 1;
            let kill = asked > 1;
            follower.cancel(name_of(signal.ssi_signo), kill);
            display.say(if kill {
                "killing …"
            } else {
                "stopping … (Ctrl-C again kills it at once)"
            });
        }
        let ended = follower.look()?;
        if ended {
            break;
        }
        if display.update(&mut follower).is_err() {
            // Nobody reads our output any more (`| head`): what we would print is lost to them,
            // the record is not.
            drop(launched);
            return Ok(ExitCode::from(128 + Signal::SIGPIPE as u8));
        }
    }
    display.finish(&mut follower)?;
    let mut rest = Vec::new();
    let _ = (&launched.link).read_to_end(&mut rest); // The recorder has gone: the record is closed.
    let code = exit_code(&follower.view.state.summary);
    crate::commands::project(storage);
    Ok(ExitCode::from(code))
}

/// The exit code of `stepflow run`: the script's own, 128 + n for signal n, 124 timed out,
/// 125 when nobody can know.
pub fn exit_code(summary: &Summary) -> u8 {
    match (summary.reason, summary.exit_code, summary.signal) {
        (Some(Reason::TimedOut), ..) => failure::TIMED_OUT,
        // Stopped by a failed step, and the script made the best of it: still a failure.
        (Some(Reason::StepError), Some(0), _) => 1,
        (_, Some(code), _) => u8::try_from(code).unwrap_or(failure::OWN),
        (_, None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(failure::OWN),
        (_, None, None) if summary.status == Status::Completed => 0,
        (_, None, None) => failure::OWN,
    }
}

fn name_of(signal: u32) -> &'static str {
    match i32::try_from(signal).ok().and_then(|s| Signal::try_from(s).ok()) {
        Some(Signal::SIGINT) => "Ctrl-C",
        Some(Signal::SIGHUP) => "a hang-up of the terminal",
        _ => "SIGTERM",
    }
}

fn watch_signals() -> Result<SignalFd, Failure> {
    let mask: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    mask.thread_block()
        .and_then(|()| SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK))
        .map_err(|errno| Failure::new(format!("cannot watch signals: {}", errno.desc())))
}

fn dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty())
}

/// Raw output keeps the streams apart unless both are the same file.
fn splits(output: Output) -> bool {
    use nix::sys::stat::fstat;
    output == Output::Raw
        && match (fstat(std::io::stdout()), fstat(std::io::stderr())) {
            (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) != (err.st_dev, err.st_ino),
            _ => false,
        }
}

fn spec(args: &Run, output: Output) -> Result<Spec, Failure> {
    let texts: Vec<String> = args
        .command
        .iter()
        .map(|arg| {
            arg.clone().into_string().map_err(|arg| {
                Failure::new(format!("the argument {} is not valid UTF-8", arg.display()))
                    .hint("pass it through a file or a variable")
                    .code(failure::OWN)
            })
        })
        .collect::<Result<_, _>>()?;
    let (command, shell) = if args.shell {
        (vec!["/bin/sh".to_owned(), "-c".to_owned(), texts.join(" ")], true)
    } else {
        (texts.clone(), false)
    };
    let here = env::current_dir()
        .map_err(|error| Failure::new(format!("the working directory is gone: {error}")))?;
    let cwd = args.cwd.as_ref().map_or_else(|| here.clone(), |cwd| here.join(cwd));
    let masked = |name: &String| args.mask_env.contains(name);
    let env: BTreeMap<String, String> =
        args.env.iter().filter(|(name, _)| !masked(name)).cloned().collect();
    let inherited = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Ok(Spec {
        id: new_id(),
        name: args.name.clone().unwrap_or_else(|| texts.join(" ")),
        command,
        cwd: cwd.to_string_lossy().into_owned(),
        env,
        env_inherited: inherited.collect(),
        mask_env: args.mask_env.clone(),
        tags: args.tags.clone(),
        metadata: serde_json::Map::new(),
        user: env::var("USER").unwrap_or_default(),
        created_us: clock::wall_us(),
        source: Source::Cli,
        bound: !args.detach,
        timeout_ms: args.timeout.map(|t| t.as_millis() as u64),
        grace_ms: args.grace.as_millis() as u64,
        drain_ms: stepflow_model::drain_default(),
        stop_on_error: args.stop_on_error,
        split_stderr: args.split_stderr || splits(output),
        shell,
    })
}

/// A fresh id; ids of one process are in order of creation.
fn new_id() -> ExecutionId {
    ExecutionId::new(Uuid::now_v7())
}

/// The caller's environment, less our own secrets, plus what was declared.
fn environment(args: &Run, id: ExecutionId) -> Vec<(OsString, OsString)> {
    let ours = ["STEPFLOW_TOKEN", "STEPFLOW_API_KEY"];
    let mut all: BTreeMap<OsString, OsString> =
        env::vars_os().filter(|(name, _)| !ours.iter().any(|our| name == our)).collect();
    // A pipe would make Python hold its output back for kilobytes; `--env PYTHONUNBUFFERED=` is off.
    all.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    all.insert("STEPFLOW_EXECUTION_ID".into(), id.to_string().into());
    all.extend(args.env.iter().map(|(name, value)| (name.into(), value.into())));
    all.into_iter().collect()
}
