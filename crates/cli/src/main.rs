//! `stepflow`: run any script, see its steps, trust and remember what happened.
#![forbid(unsafe_code)]

mod args; // flags
mod commands; // everything but `run`
mod config; // storage directory, stepflow.toml
mod failure; // one printer for errors, one table of exit codes
mod format; // durations, sizes, clean text for a terminal
mod run; // `stepflow run`

use std::{io::Write, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    let mut raw = std::env::args_os().skip(1);
    if raw.next().as_deref() == Some(stepflow_recorder::COMMAND.as_ref()) {
        // Before anything is set up: the recorder forks, so no thread may exist.
        let args: Vec<_> = raw.collect();
        return match stepflow_recorder::record(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Standard output is the link to whoever started us.
                let _ = writeln!(std::io::stdout(), "failed {}", failure::chain(&error));
                ExitCode::from(failure::OWN)
            }
        };
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // `run`'s other codes belong to the script: a flag we do not know is not its 2.
            let run = std::env::args().take_while(|arg| arg != "--").any(|arg| arg == "run");
            let code =
                if run && error.use_stderr() { failure::OWN } else { error.exit_code() as u8 };
            return ExitCode::from(code);
        }
    };
    match commands::execute(args) {
        Ok(code) => code,
        Err(failure) => failure.print(),
    }
}
