//! `stepflow`: run any script, see its steps, trust and remember what happened.
#![forbid(unsafe_code)]

mod args; // flags
mod commands; // everything but `run`
mod config; // storage directory, stepflow.toml
mod doctor; // `stepflow doctor`
mod failure; // one printer for errors, one table of exit codes
mod format; // durations, sizes, clean text for a terminal
mod line; // a line of a log as the page shows it
mod matchers; // the user's problem matchers
mod out; // standard output, through a pager
mod run; // `stepflow run`
mod settings; // what a server is told: flags, environment, file
mod source; // who answers: a storage here, a server there
mod text; // messages in English and Chinese, numbers as the locale writes them
mod watch; // `stepflow watch`

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let mut raw = std::env::args_os().skip(1);
    let first = raw.next();
    let first = first.as_deref().unwrap_or_default();
    let record: Option<fn(&[_]) -> _> = if first == stepflow_recorder::COMMAND {
        Some(stepflow_recorder::record)
    } else if first == stepflow_recorder::ZYGOTE {
        Some(stepflow_recorder::zygote)
    } else {
        None
    };
    if let Some(record) = record {
        // Before anything is set up: both fork, so no thread may exist.
        let args: Vec<_> = raw.collect();
        return match record(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Standard output is the link to whoever started us.
                let _ = writeln!(std::io::stdout(), "failed {}", failure::chain(&error));
                ExitCode::from(failure::OWN)
            }
        };
    }
    if stepflow_bench::is_asked() {
        let args: Vec<_> = std::env::args_os().skip(2).collect();
        return match stepflow_bench::help(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure::Failure::from(error).code(failure::OWN).print(),
        };
    }
    let args = match args::read() {
        Ok(args) => args,
        Err(error) => {
            let words: Vec<String> =
                std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let refused = args::refused(&error, &words);
            if refused.is_none() {
                let _ = error.print();
            }
            // Their other codes belong to the script: a flag we do not know is not its 2.
            let runs = ["run", "rerun", "attach", "pipe"];
            let run = words
                .iter()
                .take_while(|word| *word != "--")
                .any(|word| runs.contains(&word.as_str()));
            let code =
                if run && error.use_stderr() { failure::OWN } else { error.exit_code() as u8 };
            return match refused {
                Some(failure) => failure.code(code).print(),
                None => ExitCode::from(code),
            };
        }
    };
    run::look::choose(args.color);
    match commands::execute(args) {
        Ok(code) => code,
        Err(failure) => failure.print(),
    }
}
