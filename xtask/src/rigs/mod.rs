//! `cargo xtask rigs`: breaks the whole on purpose, one rig after the other, and says what held.

pub mod mutants; // that each can fail
pub mod registry; // which there are
pub mod report; // what they came to
pub mod run; // one of them
pub mod soak; // as many as the time allows

use std::{env, path::Path, time::Instant};

use crate::{
    need,
    rigs::{
        registry::Rig,
        report::Report,
        run::{Outcome, Place, Run},
    },
    run as call,
};

/// A run of CI tries what it tried before.
pub const SEED: u64 = 20_261_124;
/// Where the result of `cargo xtask rigs` is, below the workspace.
pub const RESULT: &str = "target/rigs.json";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    names: Vec<String>,
    seed: Option<u64>,
    list: bool,
    last: bool,
    mutants: bool,
    strict: bool,
}

const USAGE: &str =
    "usage: cargo xtask rigs [--list | --last | --mutants] [--strict] [--seed N] [NAME…]";

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => asked.list = true,
            "--mutants" => asked.mutants = true,
            "--last" => asked.last = true,
            "--strict" => asked.strict = true,
            "--seed" => {
                let seed = args.next().and_then(|seed| seed.parse().ok());
                asked.seed = Some(seed.ok_or(USAGE)?);
            }
            name if !name.starts_with('-') => asked.names.push(name.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(asked)
}

/// Builds, runs those that are named (or all), prints the table, writes [`RESULT`].
pub fn rigs(root: &Path, args: &[String]) -> Result<(), String> {
    let asked = asked(args)?;
    if asked.mutants {
        return mutants::run(root, &asked.names);
    }
    let chosen = registry::chosen(root, &asked.names)?;
    if asked.list {
        print!("{}", list(&chosen));
        return Ok(());
    }
    if asked.last {
        let report = Report::read(&root.join(RESULT))?;
        print!("{}\n{}", report.table(), report.counted());
        return Ok(());
    }
    // What a host lacks is no excuse where somebody relies on the answer.
    let strict = asked.strict || env::var_os("CI").is_some_and(|ci| ci != "false" && ci != "0");
    build(root, &chosen)?;
    let place = Place::new(root);
    let begun = Instant::now();
    let mut runs = Vec::new();
    for rig in &chosen {
        let run = place.run(rig, &rig.ci_args(), asked.seed.unwrap_or(SEED))?;
        told(&place, &rig.name, &run);
        runs.push(run);
        // After each: an interrupted run keeps what it has.
        Report::new(root, "ci", runs.clone()).write(&root.join(RESULT))?;
    }
    let report = Report::new(root, "ci", runs);
    let (held, broken, not_run) = report.counts();
    println!("\n{}", report.table());
    println!("{RESULT} has it as JSON; {:.0} s in all", begun.elapsed().as_secs_f64());
    print!("{}", report.counted());
    if broken > 0 || strict && not_run > 0 {
        return Err(format!("of {} rigs {held} held", report.runs.len()));
    }
    Ok(())
}

/// Installs and builds what these rigs need.
pub fn build(root: &Path, rigs: &[Rig]) -> Result<(), String> {
    need::packages(rigs.iter().flat_map(|rig| rig.needs.iter().map(String::as_str)));
    // What the tests are built with: of fewer packages cargo would unite fewer features, and build
    // nearly everything a second time.
    call(root, "cargo", &["build", "--profile", "ci", "--workspace", "--bins", "--tests"])
}

/// Says at once what a run of `rig` came to.
pub fn told(place: &Place, rig: &str, run: &Run) {
    println!("--- {} {}: {} ({:.1} s)", run.name, run.outcome.word(), run.figures, run.seconds);
    if run.outcome == Outcome::Broken {
        println!("{}\n--- the end of {}/{rig}.log", place.tail(rig), place.logs.display());
    }
}

fn list(rigs: &[Rig]) -> String {
    let mut text = String::new();
    for rig in rigs {
        let count = &rig.count;
        text.push_str(&format!(
            "{:9} {}\n{:9} proves {}; CI {} {} in {} s, soak {}\n",
            rig.name,
            rig.what,
            "",
            rig.proves.join(" "),
            count.ci,
            count.what,
            rig.seconds,
            count.soak
        ));
    }
    let seconds: u64 = rigs.iter().filter(|rig| !rig.apart).map(|rig| rig.seconds).sum();
    text.push_str(&format!("{seconds} of {} s in CI\n", registry::CI_SECONDS_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_whole_and_fits_into_twenty_minutes() {
        let root = crate::root();
        let rigs = registry::rigs(&root).unwrap();
        let seconds: u64 = rigs.iter().filter(|rig| !rig.apart).map(|rig| rig.seconds).sum();
        assert!(seconds <= registry::CI_SECONDS_MAX, "{seconds} s");
        let minutes: u64 = rigs.iter().map(|rig| rig.minutes).sum();
        assert!(minutes <= 60, "{minutes} minutes of a soak");
        let mut names: Vec<&str> = rigs.iter().map(|rig| rig.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rigs.len(), "a name twice");
        // Those of the program, as its source says them: both ways.
        let source = std::fs::read_to_string(root.join("tests/rigs/src/main.rs")).unwrap();
        let built: Vec<&str> = source
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
                rest.ends_with("::run,").then_some(name)
            })
            .collect();
        assert!(built.len() >= 6, "{built:?}");
        for name in &built {
            let known = rigs.iter().any(|rig| rig.name == *name && !rig.task);
            assert!(known, "{name} has no entry in {}", registry::FILE);
        }
        for rig in rigs.iter().filter(|rig| !rig.task) {
            assert!(built.contains(&rig.name.as_str()), "{} is in no source", rig.name);
        }
        assert!(rigs.iter().all(|rig| !rig.proves.is_empty() && rig.count.ci <= rig.count.soak));
    }

    #[test]
    fn what_is_asked_for_is_understood_or_refused() {
        let asked = |words: &[&str]| {
            super::asked(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let two = Asked {
            names: vec!["kill".to_owned(), "power".to_owned()],
            seed: Some(7),
            ..Asked::default()
        };
        assert_eq!(asked(&["kill", "--seed", "7", "power"]), Ok(two));
        assert!(asked(&["--seed"]).is_err());
        assert!(asked(&["--wat"]).is_err());
        assert!(registry::chosen(&crate::root(), &["nothing".to_owned()]).is_err());
    }
}
