//! `stepflow run`: start a recorder, show what it records, exit as the script did.

mod canvas; // the lower end of a terminal
mod ci; // how CI systems mark groups and annotations
pub mod follow; // wait for a record to change
mod frame; // what stands in the live area
#[cfg(test)]
mod frame_tests;
mod groups; // steps as groups of a CI system's log
pub mod keyboard; // from our standard input to the script's terminal
pub mod keys; // which keys mean "leave"
pub mod known; // what others know: earlier passes, the page's address
pub mod lines; // raw, json, quiet
pub mod look; // colours, symbols, language
pub mod pipe; // `stepflow pipe`
pub mod plain; // a line for everything
mod report; // what runs now
pub mod spec; // what to run, from the command line
pub mod summary; // what stands below a run
pub mod terminal; // the caller's terminal
mod tree; // the live tree
pub mod watch; // show a record until its end, hand on keys

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Duration,
};

use nix::sys::signal::SigSet;
use stepflow_model::{Reason, Spec, Status, Summary};
use stepflow_record::Storage;
use stepflow_recorder::{Launch, Launched};
use stepflow_view::{Source, Style, draw};

use crate::{
    args::{Output, Prefix, Run, Show},
    failure::{self, Failure},
    format::clean,
    matchers::Matchers,
    text::why,
};
use ci::Ci;
use follow::Follower;
use keyboard::Keyboard;
use known::Known;
use watch::{Left, Signals, Watch};

/// The display is brought up to date at most this often: twelve times a second.
const FRAME: Duration = Duration::from_millis(84);

/// Shows a run. Everything it shows comes from the record.
pub trait Display {
    /// Something has been recorded, or a frame's time has passed.
    fn update(&mut self, follower: &mut Follower) -> Result<(), Failure>;
    /// The end is recorded. Shows what is left to show.
    fn finish(&mut self, follower: &mut Follower) -> Result<(), Failure>;
    /// A word from us to the user.
    fn say(&mut self, text: &str) {
        let look = look::Look::on(std::io::stderr().is_terminal());
        let _ = writeln!(std::io::stderr(), "stepflow: {}", look.own(text));
    }
    /// The script was asked to stop, and will be killed after `grace`.
    fn stopping(&mut self, text: &str, grace: Duration) {
        let _ = grace;
        self.say(text);
    }
    /// What runs now, for whoever asked.
    fn report(&mut self, lines: Vec<String>) {
        let mut err = std::io::stderr().lock();
        for line in lines {
            let _ = writeln!(err, "{line}");
        }
    }
    /// Whether [`Display::report`] writes to a terminal.
    fn answers_on_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }
    /// Somebody else will write to the terminal now.
    fn leave(&mut self) {}
    /// It is ours again, perhaps with another size.
    fn again(&mut self) {}
}

/// What displays are told.
pub struct Options {
    pub storage: Storage,
    /// Lines of the running step.
    pub tail: usize,
    /// Lines of a failed step.
    pub failure_lines: usize,
    /// What stands before each line.
    pub prefix: Vec<Prefix>,
    pub known: Known,
}

/// The display for `output`.
fn display(output: Output, split: bool, options: Options) -> Box<dyn Display> {
    match output {
        Output::Tree => Box::new(tree::Tree::new(options)),
        Output::Raw => Box::new(lines::Raw::new(split)),
        Output::Json => Box::new(lines::Json::default()),
        Output::Quiet => Box::new(lines::Quiet::new(options)),
        Output::Plain | Output::Auto => {
            let ci = Ci::detect(&|name| env::var(name).ok());
            Box::new(plain::Plain::new(options, ci))
        }
    }
}

/// A line of output as a terminal may show it: as the page does, with colours if `colour`.
fn shown(line: &[u8], colour: bool) -> String {
    let seen = &line[..line.len().min(stepflow_view::LOOKED_BYTES)];
    let drawn = draw(Source::Whole(seen), &mut { Style::PLAIN });
    match drawn.shown {
        // Links lose their targets here, and so can show nothing but where they lead.
        Some(text) => clean(text.as_bytes(), colour),
        None => clean(&seen[..seen.len() - drawn.rest as usize], colour),
    }
}

fn is_marker(line: &[u8]) -> bool {
    matches!(stepflow_markers::parse(line), Ok(Some(_)))
}

pub fn run(storage: &Storage, args: &Run) -> Result<ExitCode, Failure> {
    let output = output(args.show.output, args.pty)?;
    let matchers = Matchers::read_and_tell(Some(storage.root()));
    let spec = spec::spec(args, output, matchers)?;
    let env = spec::environment(&spec, &spec::declared(args));
    execute(storage, &spec, env, &args.show)
}

/// How a run is shown: what `auto` means here. A script with a terminal draws the screen itself.
pub fn output(wanted: Output, pty: bool) -> Result<Output, Failure> {
    match wanted {
        Output::Tree | Output::Plain if pty => {
            let word = if wanted == Output::Tree { "tree" } else { "plain" };
            Err(Failure::new(why::tree_or_pty(word)).hint(why::script_draws()).code(failure::OWN))
        }
        Output::Auto if pty => Ok(Output::Raw),
        Output::Auto if std::io::stdout().is_terminal() && !dumb() => Ok(Output::Tree),
        Output::Auto => Ok(Output::Plain),
        other => Ok(other),
    }
}

/// Makes the record, starts the script, and shows it to its end, unless it is detached.
pub fn execute(
    storage: &Storage,
    spec: &Spec,
    env: Vec<(OsString, OsString)>,
    show: &Show,
) -> Result<ExitCode, Failure> {
    let output = output(show.output, spec.pty.is_some())?;
    let launched = start(storage, spec, env, show.detach)?;
    if show.detach {
        let _ = writeln!(std::io::stdout(), "{}", spec.id);
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        storage: storage.clone(),
        tail: show.tail,
        failure_lines: show.failure_lines,
        prefix: show.prefix.clone(),
        known: Known::ask(storage, spec),
    };
    let display = display(output, spec.split_stderr, options);
    let keyboard = match spec.pty {
        Some(_) => {
            // A terminal has no end; a pipe or file that ends is the end of what is typed.
            let tell_end = !std::io::stdin().is_terminal();
            Some(Keyboard::new(storage, spec.id, None, tell_end)?)
        }
        None => None,
    };
    let raw = match spec.pty {
        Some(_) if output == Output::Raw => terminal::RawMode::begin()?,
        _ => None,
    };
    let mut watch = Watch {
        follower: Follower::open(storage, spec.id)?,
        display,
        keyboard,
        raw,
        signals: Signals::Cancel,
    };
    match watch.until_the_end()? {
        Left::Ended => {}
        // Nobody reads our output any more (`| head`): what we would print is lost to them, the
        // record is not.
        Left::Unread | Left::Detached | Left::Signal(_) => {
            drop(launched);
            return Ok(ExitCode::from(128 + nix::sys::signal::Signal::SIGPIPE as u8));
        }
    }
    let mut rest = Vec::new();
    let _ = (&launched.link).read_to_end(&mut rest); // The recorder has gone: the record is closed.
    let code = exit_code(&watch.follower.view.state.summary);
    crate::commands::project(storage);
    Ok(ExitCode::from(code))
}

/// Makes the record and starts its recorder; returns once the script is released.
pub fn start(
    storage: &Storage,
    spec: &Spec,
    env: Vec<(OsString, OsString)>,
    detach: bool,
) -> Result<Launched, Failure> {
    // Signals are ours to read before there is something to stop; the script starts with the
    // caller's mask.
    let callers = SigSet::thread_get_mask().map_err(|errno| {
        Failure::new(why::cannot_watch_signals(errno.desc())).code(failure::OWN)
    })?;
    crate::config::check_room(storage)?;
    watch::block_signals(spec.pty.is_some())?;
    let created = storage.create(spec)?;
    let launch = Launch {
        storage,
        program: PathBuf::from("/proc/self/exe"),
        env: Some(env),
        // What is typed into a terminal goes through us.
        stdin: if detach || spec.pty.is_some() { Stdio::null() } else { Stdio::inherit() },
        mask: Some(callers),
    };
    let launched = launch.start(created).map_err(|error| {
        Failure::new(why::cannot_start_recorder(error)).hint(why::doctor_looks()).code(failure::OWN)
    })?;
    let mut answer = String::new();
    let mut reader = BufReader::new(&launched.link);
    let _ = reader.read_line(&mut answer); // An early end is an empty answer.
    if answer.trim() != "started" {
        let said = answer.trim().trim_start_matches("failed ").to_owned();
        crate::commands::project(storage);
        return Err(Failure::new(if said.is_empty() {
            why::recorder_ended_early()
        } else {
            why::recorder_could_not(said)
        })
        .hint(why::record_is(storage.record_dir(spec.id).display()))
        .code(failure::OWN));
    }
    Ok(launched)
}

/// The exit code of `stepflow run`: the script's own, 128 + n for signal n, 124 timed out,
/// 125 when nobody can know.
pub fn exit_code(summary: &Summary) -> u8 {
    match (summary.reason, summary.exit_code, summary.signal) {
        (Some(Reason::TimedOut), ..) => failure::TIMED_OUT,
        // Stopped by a failed step, and the script made the best of it: still a failure.
        (Some(Reason::StepError | Reason::DiskFull | Reason::DiskFailed), Some(0), _) => 1,
        (_, Some(code), _) => u8::try_from(code).unwrap_or(failure::OWN),
        (_, None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(failure::OWN),
        (_, None, None) if summary.status == Status::Completed => 0,
        (_, None, None) => failure::OWN,
    }
}

/// Whether the terminal can do nothing but print.
pub fn dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty())
}

/// Raw output keeps the streams apart unless both are the same file.
pub fn splits(output: Output) -> bool {
    use nix::sys::stat::fstat;
    output == Output::Raw
        && match (fstat(std::io::stdout()), fstat(std::io::stderr())) {
            (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) != (err.st_dev, err.st_ino),
            _ => false,
        }
}
