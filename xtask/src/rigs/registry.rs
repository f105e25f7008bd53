//! `tests/rigs/rigs.toml`: every rig, what it proves, how it is run.

use std::{fs, path::Path, time::Duration};

use serde::Deserialize;

/// Where it is.
pub const FILE: &str = "tests/rigs/rigs.toml";
/// All rigs of CI together, apart from those that say otherwise.
pub const CI_SECONDS_MAX: u64 = 20 * 60;
/// A rig is killed at this many times its budget: what is timed on a busy machine is not a failure.
const PATIENCE: u32 = 4;
/// And not before.
const LIMIT_MIN: Duration = Duration::from_secs(120);

/// One rig.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// As it is asked for.
    pub name: String,
    /// What it does, in one line.
    pub what: String,
    /// Numbers of guarantees and faults.
    pub proves: Vec<String>,
    /// Arguments in CI.
    #[serde(default)]
    pub ci: Vec<String>,
    /// Arguments in a soak.
    #[serde(default)]
    pub soak: Vec<String>,
    /// What is counted.
    pub count: Count,
    /// Budget in CI, on two cores.
    pub seconds: u64,
    /// Its part of a soak of 60 minutes.
    #[serde(default)]
    pub minutes: u64,
    /// Debian packages.
    #[serde(default)]
    pub needs: Vec<String>,
    /// `cargo xtask NAME`, not a part of the program of rigs.
    #[serde(default)]
    pub task: bool,
    /// Has a budget of its own.
    #[serde(default)]
    pub apart: bool,
}

/// What a rig counts, in one run of CI and at least in a whole soak.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// The flag that says how many.
    pub flag: Option<String>,
    /// Of what.
    pub what: String,
    /// In CI.
    pub ci: u64,
    /// In a soak that has the time.
    pub soak: u64,
}

#[derive(Deserialize)]
struct File {
    rig: Vec<Rig>,
}

impl Rig {
    /// After this it hangs.
    pub fn limit(&self) -> Duration {
        (Duration::from_secs(self.seconds) * PATIENCE).max(LIMIT_MIN)
    }

    /// Arguments of one run in CI.
    pub fn ci_args(&self) -> Vec<String> {
        self.with_count(&self.ci)
    }

    /// Arguments of one batch of a soak: as many as in CI, with the soak's own flags.
    pub fn soak_args(&self) -> Vec<String> {
        self.with_count(if self.soak.is_empty() { &self.ci } else { &self.soak })
    }

    fn with_count(&self, args: &[String]) -> Vec<String> {
        let mut args = args.to_vec();
        if let Some(flag) = &self.count.flag {
            args.extend([format!("--{flag}"), self.count.ci.to_string()]);
        }
        args
    }
}

/// All of them, in the order in which they run.
pub fn rigs(root: &Path) -> Result<Vec<Rig>, String> {
    let text = fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(file.rig)
}

/// Those that were asked for, or all.
pub fn chosen(root: &Path, names: &[String]) -> Result<Vec<Rig>, String> {
    let all = rigs(root)?;
    if let Some(name) = names.iter().find(|name| all.iter().all(|rig| rig.name != **name)) {
        let known: Vec<&str> = all.iter().map(|rig| rig.name.as_str()).collect();
        return Err(format!("there is no rig {name:?}; there are {}", known.join(", ")));
    }
    Ok(all.into_iter().filter(|rig| names.is_empty() || names.contains(&rig.name)).collect())
}
