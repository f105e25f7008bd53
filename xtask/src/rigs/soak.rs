//! `cargo xtask soak`: all rigs with as much as the time allows, in the background.
//!
//! A rig runs in batches of CI's size, each with a seed of its own that follows from the soak's,
//! until its share of the minutes is used or its count of the contract is reached. Each batch is a
//! line of `target/soak.ndjson`: a soak that was interrupted goes on behind the last one.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::Command,
};

use serde::{Deserialize, Serialize};

use crate::rigs::{
    build,
    registry::{self, Rig},
    report::{Report, commit, line},
    run::{Outcome, Place, Run},
    told,
};

const USAGE: &str = "usage: cargo xtask soak [--minutes 60] [--seed N] [--anew] [NAME…]";
/// The plan and the batches so far.
const PROGRESS: &str = "target/soak.ndjson";
/// What shares are of.
const WHOLE_MINUTES: u64 = 60;

/// The first line of the progress: what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    minutes: u64,
    seed: u64,
    commit: String,
    names: Vec<String>,
}

/// Runs or goes on with a soak; its result is `docs/reliability/soak-DATE.json`.
pub fn soak(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut minutes, mut seed, mut anew, mut names) = (WHOLE_MINUTES, None, false, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--minutes" => minutes = number()?,
            "--seed" => seed = Some(number()?),
            "--anew" => anew = true,
            name if !name.starts_with('-') => names.push(name.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let chosen: Vec<Rig> =
        registry::chosen(root, &names)?.into_iter().filter(|rig| rig.minutes > 0).collect();
    // Of the day: two soaks of a day say the same, those of two days look at something new.
    let today = line(root, "date", &["-u", "+%Y%m%d"]).parse().unwrap_or(super::SEED);
    let plan = Plan { minutes, seed: seed.unwrap_or(today), commit: commit(root), names };
    let path = root.join(PROGRESS);
    let mut runs = if anew { Vec::new() } else { earlier(&path, &plan) };
    if runs.is_empty() {
        let text = serde_json::to_string(&plan).map_err(|error| error.to_string())?;
        fs::write(&path, text + "\n").map_err(|error| format!("{PROGRESS}: {error}"))?;
    } else {
        println!("--- goes on behind {} batches of {PROGRESS}", runs.len());
    }
    build(root, &chosen)?;
    // Whoever works on this machine comes first.
    let me = std::process::id().to_string();
    let _ = Command::new("renice").args(["-n", "10", "-p", &me]).output();
    let place = Place::new(root);
    for rig in &chosen {
        while let Some(seed) = next(rig, &runs, &plan) {
            let run = place.run(rig, &rig.soak_args(), seed)?;
            told(&place, &rig.name, &run);
            let text = serde_json::to_string(&run).map_err(|error| error.to_string())?;
            OpenOptions::new()
                .append(true)
                .open(&path)
                .and_then(|mut file| file.write_all((text + "\n").as_bytes()))
                .map_err(|error| format!("{PROGRESS}: {error}"))?;
            runs.push(run);
        }
    }
    let mut report = Report::new(root, "soak", runs);
    report.scaled = scaled(&chosen, &report.runs, &plan);
    let name = format!("docs/reliability/soak-{}.json", &report.date[..10]);
    fs::create_dir_all(root.join("docs/reliability")).map_err(|error| error.to_string())?;
    report.write(&root.join(&name))?;
    let (held, broken, not_run) = report.counts();
    println!("\n{}{name}: {}", report.table(), report.scaled);
    println!("{held} passed, {broken} failed, {not_run} skipped");
    let _ = fs::remove_file(&path); // It is over: the next one begins anew.
    if broken > 0 { Err(format!("{broken} batches found something")) } else { Ok(()) }
}

/// The batches of an earlier soak that was asked for the same of the same commit.
fn earlier(path: &Path, plan: &Plan) -> Vec<Run> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let same = lines.next().and_then(|line| serde_json::from_str::<Plan>(line).ok());
    if same.as_ref() != Some(plan) {
        return Vec::new();
    }
    // A half line at the end is a batch that was not finished.
    lines.map_while(|line| serde_json::from_str(line).ok()).collect()
}

/// The seed of the next batch of a rig; `None`: it has had its share, or cannot go on.
fn next(rig: &Rig, runs: &[Run], plan: &Plan) -> Option<u64> {
    let mine: Vec<&Run> = runs.iter().filter(|run| run.name == rig.name).collect();
    let used: f64 = mine.iter().map(|run| run.seconds).sum();
    let count: u64 = mine.iter().map(|run| run.count).sum();
    let share = (rig.minutes * 60 * plan.minutes) as f64 / WHOLE_MINUTES as f64;
    // One that was broken, or cannot run, says the same again.
    let stopped = mine.iter().any(|run| run.outcome != Outcome::Held);
    let longest = mine.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let fits = mine.is_empty() || used + longest / 2.0 < share;
    (!stopped && fits && count < rig.count.soak)
        .then(|| plan.seed.wrapping_mul(1_000).wrapping_add(mine.len() as u64))
}

/// How far each came of what the contract names.
fn scaled(rigs: &[Rig], runs: &[Run], plan: &Plan) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.outcome == Outcome::Held) {
        *counts.entry(&run.name).or_default() += run.count;
    }
    let parts = rigs.iter().map(|rig| {
        let count = counts.get(rig.name.as_str()).copied().unwrap_or(0);
        format!("{} {count} of {} {}", rig.name, rig.count.soak, rig.count.what)
    });
    let parts: Vec<String> = parts.collect();
    format!("{} minutes asked for, seed {}: {}", plan.minutes, plan.seed, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, count: u64, seconds: f64, outcome: Outcome) -> Run {
        let (figures, args, seen) = (String::new(), Vec::new(), String::new());
        Run { name: name.to_owned(), outcome, figures, seconds, seed: 1, count, args, seen }
    }

    #[test]
    fn a_rig_goes_on_until_its_share_or_its_count_is_reached_or_it_breaks() {
        let rigs = registry::rigs(&crate::root()).unwrap();
        let kill = rigs.iter().find(|rig| rig.name == "kill").unwrap();
        let plan = Plan { minutes: 60, seed: 20_261_129, commit: String::new(), names: Vec::new() };
        assert_eq!(next(kill, &[], &plan), Some(20_261_129_000));
        let some = run("kill", kill.count.ci, 1.0, Outcome::Held);
        assert_eq!(next(kill, std::slice::from_ref(&some), &plan), Some(20_261_129_001));
        let others = run("full", 100_000, 100_000.0, Outcome::Held);
        assert!(next(kill, &[some.clone(), others], &plan).is_some(), "another's time");
        let late = run("kill", 1, kill.minutes as f64 * 60.0, Outcome::Held);
        assert_eq!(next(kill, &[late], &plan), None);
        let enough = run("kill", kill.count.soak, 1.0, Outcome::Held);
        assert_eq!(next(kill, &[enough], &plan), None);
        assert_eq!(next(kill, &[run("kill", 1, 1.0, Outcome::Broken)], &plan), None);
        let said = scaled(&rigs, &[some], &plan);
        assert!(said.contains(&format!("kill {} of {}", kill.count.ci, kill.count.soak)), "{said}");
    }
}
