//! Breaks StepFlow on purpose and counts what is lost: `docs/reliability.md` says what each rig proves.
//!
//! `cargo xtask rigs [NAME…]` builds the program and runs them; `rigs PROGRAM NAME [--seed N] …` runs
//! one. A rig that holds prints its figures; one that does not says what it found; one that cannot run
//! here (no root, no loop devices, no compiler) says so and exits with 77.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::print_stdout, reason = "only for tests")]

mod after; // compression and deletion, killed before and after each call
mod backup; // backups under load, restored
mod cap; // more output than its log may hold
mod catalog; // the catalog is scrambled, bits of it flip
mod fault; // a call of the recorder fails
mod full; // the disk is full for a while
mod gap; // viewers of a server across output that is gone
mod group; // a control group of the rig's own
mod host; // strange things happen to the host
mod kill; // processes are killed at random moments
mod mem; // much output, little memory
mod net; // viewers behind a bad network
mod oracle; // lines that tell of loss, repetition, change and disorder
mod point; // the recorder dies before or after each of its calls
mod power; // the power is cut
mod serve; // a server while something is wrong around it
mod served; // a server that may die
mod service; // a service manager ends a server, alone or with its control group
mod slow; // each write and sync takes its time, or fails for good
mod stage; // a storage, a script, and what became of it
mod start; // whoever starts a script is killed meanwhile
mod trees; // trees of processes are ended
mod unit; // the shipped unit under a real systemd
mod viewer; // viewers that hold every byte against the log

use std::{process::ExitCode, time::Instant};

/// What a rig came to.
pub(crate) enum Outcome {
    /// Everything that it proves holds; the figures.
    Held(String),
    /// It cannot run here.
    NotRun(String),
}

/// How much of it.
pub(crate) struct Options {
    /// The program under test.
    pub(crate) program: String,
    /// All that is random follows from it.
    pub(crate) seed: u64,
    /// Power cuts.
    pub(crate) cuts: u64,
    /// Killed processes.
    pub(crate) kills: u64,
    /// Times that the disk is full.
    pub(crate) fills: u64,
    /// Output through one recorder, MiB.
    pub(crate) megabytes: u64,
    /// Trees of processes, over all levels of containment.
    pub(crate) trees: u64,
    /// Races of exit and cancel.
    pub(crate) races: u64,
    /// Rounds of PID reuse, of exit codes and signals, of cancels with a killed server.
    pub(crate) rounds: u64,
    /// Viewers at once.
    pub(crate) viewers: u64,
    /// Only this part of a rig that has several; 0: all.
    pub(crate) part: u64,
    /// Cuts of each viewer's connection.
    pub(crate) viewer_cuts: u64,
    /// Crashes on the way to a start.
    pub(crate) starts: u64,
    /// Scrambled catalogs; four times as many flipped bits, a fifth as many power cuts.
    pub(crate) scrambles: u64,
    /// Backups, one a second.
    pub(crate) backups: u64,
}

const USAGE: &str = "usage: rigs PROGRAM \
    point|start|after|backup|cap|catalog|fault|power|kill|full|mem|net|serve|trees|host|systemd|unit \
    [--seed N] [--cuts N] [--kills N] [--fills N] [--megabytes N] [--starts N] \
    [--trees N] [--races N] [--rounds N] [--viewers N] [--viewer-cuts N] [--scrambles N] [--backups N] [--part N]";
/// As a test that was skipped says it.
const NOT_RUN: u8 = 77;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|word| word == oracle::COMMAND) {
        return oracle::write(&args[1..]);
    }
    if args.first().is_some_and(|word| word == net::CLOCK) {
        return net::write_clock(&args[1..]);
    }
    if args.first().is_some_and(|word| word == serve::VIEW) {
        return serve::view(&args[1..]);
    }
    if args.first().is_some_and(|word| word == net::PACE) {
        return net::write_paced(&args[1..]);
    }
    if args.first().is_some_and(|word| word == host::INSIDE) {
        return host::inside(&args[1..]);
    }
    if args.first().is_some_and(|word| word == unit::INSIDE) {
        return unit::inside(&args[1..]);
    }
    let Some((name, options)) = parse(&args) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let rig = match name {
        "after" => after::run,
        "backup" => backup::run,
        "cap" => cap::run,
        "catalog" => catalog::run,
        "point" => point::run,
        "fault" => fault::run,
        "power" => power::run,
        "kill" => kill::run,
        "full" => full::run,
        "mem" => mem::run,
        "net" => net::run,
        "serve" => serve::run,
        "trees" => trees::run,
        "host" => host::run,
        "systemd" => service::run,
        "unit" => unit::run,
        "start" => start::run,
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    // What never came true is a panic: it is said like everything else that was found.
    let outcome = std::panic::catch_unwind(|| rig(&options)).unwrap_or_else(|found| {
        let text = found.downcast_ref::<String>().map(String::as_str);
        Err(text.or(found.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    });
    let took = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(Outcome::Held(figures)) => {
            println!("{name} HELD: {figures}; seed {}, {took:.1} s", options.seed);
            ExitCode::SUCCESS
        }
        Ok(Outcome::NotRun(why)) => {
            println!("{name} NOT RUN: {why}");
            ExitCode::from(NOT_RUN)
        }
        Err(found) => {
            println!("{name} BROKEN: {found}; seed {}, after {took:.1} s", options.seed);
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Option<(&str, Options)> {
    let [program, name, rest @ ..] = args else { return None };
    // A relative path would mean something else in the directories where scripts run.
    let program = std::fs::canonicalize(program).ok()?.to_str()?.to_owned();
    let mut options = Options {
        program,
        seed: 20_261_124,
        cuts: 300,
        kills: 200,
        fills: 100,
        megabytes: 1024,
        trees: 500,
        races: 500,
        rounds: 100,
        starts: 300,
        viewers: 200,
        part: 0,
        viewer_cuts: 20,
        scrambles: 50,
        backups: 20,
    };
    for pair in rest.chunks(2) {
        let [flag, value] = pair else { return None };
        let value = value.parse().ok()?;
        *match flag.as_str() {
            "--seed" => &mut options.seed,
            "--cuts" => &mut options.cuts,
            "--kills" => &mut options.kills,
            "--fills" => &mut options.fills,
            "--megabytes" => &mut options.megabytes,
            "--trees" => &mut options.trees,
            "--races" => &mut options.races,
            "--rounds" => &mut options.rounds,
            "--viewers" => &mut options.viewers,
            "--part" => &mut options.part,
            "--viewer-cuts" => &mut options.viewer_cuts,
            "--starts" => &mut options.starts,
            "--scrambles" => &mut options.scrambles,
            "--backups" => &mut options.backups,
            _ => return None,
        } = value;
    }
    Some((name, options))
}
