//! What rigs came to: as a table, and as JSON with what it was measured on.

use std::{fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use crate::rigs::run::{Outcome, Run};

/// Runs of one day, of one commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `ci` or `soak`.
    pub tier: String,
    /// When it ended, UTC.
    pub date: String,
    /// What was measured; `+` behind it: with changes that are not committed.
    pub commit: String,
    /// On what.
    pub host: String,
    /// What was asked for and what was not reached, in words; empty in CI.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scaled: String,
    /// One a rig in CI; as many as were run in a soak.
    pub runs: Vec<Run>,
}

impl Report {
    /// With the date, commit and host of now.
    pub fn new(root: &Path, tier: &str, runs: Vec<Run>) -> Self {
        Self {
            tier: tier.to_owned(),
            date: line(root, "date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            commit: commit(root),
            host: host(root),
            scaled: String::new(),
            runs,
        }
    }

    /// How many of each.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted| self.runs.iter().filter(|run| run.outcome == wanted).count();
        let broken = count(Outcome::Broken) + count(Outcome::NotBuilt);
        (count(Outcome::Held), broken, count(Outcome::NotRun))
    }

    /// How many of each, as tests say it.
    pub fn counted(&self) -> String {
        let (held, broken, not_run) = self.counts();
        format!("{held} passed, {broken} failed, {not_run} skipped\n")
    }

    /// As JSON.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        // Renamed: a reader sees the whole file or the one before it.
        let new = path.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, path))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// From JSON.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = format!("{:9} {:8} {:>7}  {:12} figures\n", "rig", "", "seconds", "seed");
        for run in &self.runs {
            table.push_str(&format!(
                "{:9} {:8} {:7.1}  {:<12} {}\n",
                run.name,
                run.outcome.word(),
                run.seconds,
                run.seed,
                run.figures
            ));
        }
        table
    }
}

/// The commit that is checked out, with `+` if anything was changed since.
pub fn commit(root: &Path) -> String {
    let commit = line(root, "git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = line(root, "git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit}+") }
}

fn host(root: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {}", line(root, "uname", &["-srm"]))
}

/// The first line that a program prints; nothing if it cannot be run.
pub fn line(root: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
