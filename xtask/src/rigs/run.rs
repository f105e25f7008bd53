//! One rig as a process of its own: with a time limit, watched for what it leaves behind.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::rigs::registry::Rig;

/// In the environment of everything that a rig starts.
const MARK: &str = "STEPFLOW_RIGS_RUN";
/// As a test that was skipped says it.
const NOT_RUN: i32 = 77;
/// What was told to go is gone within this time.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that it proves holds.
    Held,
    /// It does not.
    Broken,
    /// The host lacks something.
    NotRun,
    /// A mutant that cannot be built, or does not fit the source: nothing was asked.
    NotBuilt,
}

impl Outcome {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken => "BROKEN",
            Self::NotRun => "NOT RUN",
            Self::NotBuilt => "NOT BUILT",
        }
    }
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The rig.
    pub name: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Its figures, or what it found, or what is lacking.
    pub figures: String,
    /// How long it took.
    pub seconds: f64,
    /// All that is random follows from it.
    pub seed: u64,
    /// How much of what is counted.
    pub count: u64,
    /// Its arguments.
    pub args: Vec<String>,
    /// When and of which commit, where runs of several days stand side by side.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
}

/// Programs and directories of rigs.
pub struct Place {
    /// The workspace.
    pub root: PathBuf,
    /// Where the built programs are.
    pub programs: PathBuf,
    /// Where logs go.
    pub logs: PathBuf,
    /// What runs tasks; ourselves, unless it is another checkout's, which builds where it is told.
    pub tasks: Option<PathBuf>,
}

impl Place {
    /// Of the workspace at `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            programs: root.join("target/ci"),
            logs: root.join("target/rigs"),
            tasks: None,
        }
    }

    /// Runs one rig with these arguments.
    pub fn run(&self, rig: &Rig, args: &[String], seed: u64) -> Result<Run, String> {
        fs::create_dir_all(&self.logs).map_err(|e| format!("{}: {e}", self.logs.display()))?;
        let log_path = self.logs.join(format!("{}.log", rig.name));
        let log =
            fs::File::create(&log_path).map_err(|e| format!("{}: {e}", log_path.display()))?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        // Short: sockets have short names. Of its own: what a killed rig leaves can be removed.
        let scratch = env::temp_dir().join(format!("rig{}-{}", std::process::id(), rig.name));
        fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
        let mark = format!("{}-{}-{seed}", std::process::id(), rig.name);
        let mut command = if rig.task {
            let me = env::current_exe().map_err(|error| error.to_string())?;
            let mut command = Command::new(self.tasks.as_ref().unwrap_or(&me));
            if self.tasks.is_some()
                && let Some(target) = self.programs.parent()
            {
                command.env("CARGO_TARGET_DIR", target);
            }
            command.arg(&rig.name);
            command
        } else {
            let mut command = Command::new(self.programs.join("rigs"));
            command.arg(self.programs.join("stepflow")).arg(&rig.name);
            command
        };
        command
            .args(args)
            .args(["--seed", &seed.to_string()])
            .current_dir(&self.root)
            .env(MARK, &mark)
            .env("TMPDIR", &scratch)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        let begun = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", rig.name))?;
        let limit = rig.limit();
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break Some(status),
                None if begun.elapsed() < limit => thread::sleep(Duration::from_millis(50)),
                None => {
                    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let left = end_marked(&mark, status.is_some());
        unmount(&scratch);
        let _ = fs::remove_dir_all(&scratch);
        let text = fs::read(&log_path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let said = said(&rig.name, &text);
        let (outcome, figures) = match status {
            None => {
                let last = last_line(&text);
                (Outcome::Broken, format!("no end within {} s; last: {last}", limit.as_secs()))
            }
            Some(status) if status.success() => match said {
                Some(("HELD", _)) if left > 0 => {
                    (Outcome::Broken, format!("it left {left} processes behind"))
                }
                Some(("HELD", figures)) => (Outcome::Held, figures),
                // A rig that says nothing has proven nothing.
                _ => (Outcome::Broken, "it ended well without saying what it found".to_owned()),
            },
            Some(status) if status.code() == Some(NOT_RUN) => {
                (Outcome::NotRun, said.map_or_else(|| last_line(&text), |(_, why)| why))
            }
            Some(status) => {
                let found = said.map_or_else(|| last_line(&text), |(_, found)| found);
                (Outcome::Broken, format!("{found} ({status})"))
            }
        };
        Ok(Run {
            name: rig.name.clone(),
            outcome,
            figures,
            seconds,
            seed,
            count: rig.count.ci,
            args: args.to_vec(),
            seen: String::new(),
        })
    }

    /// The end of what the last run of a rig printed.
    pub fn tail(&self, name: &str) -> String {
        let text = fs::read(self.logs.join(format!("{name}.log"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// `NAME HELD: figures; seed N, 1.0 s`: the word and the figures.
fn said(name: &str, text: &str) -> Option<(&'static str, String)> {
    text.lines().rev().find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix(' ')?;
        let word = ["HELD", "BROKEN", "NOT RUN"].into_iter().find(|word| rest.starts_with(word))?;
        let figures = rest[word.len()..].strip_prefix(": ")?;
        let end = figures.rfind("; seed ").unwrap_or(figures.len());
        Some((word, figures[..end].to_owned()))
    })
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned()
}

/// Ends what still has the mark; how many there were after a moment's patience.
fn end_marked(mark: &str, ended_well: bool) -> usize {
    let begun = Instant::now();
    let left = loop {
        let left = marked(mark);
        if left.is_empty() || !ended_well || begun.elapsed() > GONE_WITHIN {
            break left;
        }
        thread::sleep(Duration::from_millis(50));
    };
    let begun = Instant::now();
    loop {
        let again = marked(mark);
        if again.is_empty() || begun.elapsed() > GONE_WITHIN {
            return left.len();
        }
        for pid in again {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Living processes with this mark in their environment.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}\0").into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        // A process that has ended has no environment.
        let environment = fs::read(entry.path().join("environ")).ok()?;
        environment.windows(wanted.len()).any(|part| part == wanted).then_some(pid)
    });
    pids.collect()
}

/// A rig that was killed could not unmount what it mounted.
fn unmount(below: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let Some(place) = line.split(' ').nth(1).map(Path::new) else { continue };
        if place.starts_with(below) {
            let _ = Command::new("umount").arg("-l").arg(place).status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rig_says_is_read_from_its_last_word() {
        let text = "building\nkill BROKEN: earlier; seed 1, after 2 s\nkill HELD: 5 kills; 0 lost; seed 7, 1.5 s\n";
        assert_eq!(said("kill", text), Some(("HELD", "5 kills; 0 lost".to_owned())));
        assert_eq!(
            said("power", "power NOT RUN: no root\n"),
            Some(("NOT RUN", "no root".to_owned()))
        );
        assert_eq!(said("kil", text), None);
        assert_eq!(said("kill", "kill held\n"), None);
    }
}
