//! Flags of the commands that run something, or are at its terminal.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;

use super::{Json, duration, key_value, log_size};
use crate::run::keys::DetachKeys;

/// What stands before each line of plain output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefix {
    /// The step's name
    Step,
    /// The time of day
    Time,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Its name [default: the command]
    #[arg(long)]
    pub name: Option<String>,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Working directory of the script
    #[arg(long, value_name = "D")]
    pub cwd: Option<PathBuf>,
    /// Set an environment variable; may be repeated
    #[arg(long = "env", value_name = "K=V", value_parser = key_value)]
    pub env: Vec<(String, String)>,
    /// Keep this variable's value out of the record; may be repeated
    #[arg(long = "mask-env", value_name = "NAME")]
    pub mask_env: Vec<String>,
    /// Stop it after this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub grace: Duration,
    /// Stop the script at the first STEP_ERROR
    #[arg(long)]
    pub stop_on_error: bool,
    /// Keep standard error apart
    #[arg(long)]
    pub split_stderr: bool,
    /// When output is safe from a power cut
    #[arg(long, value_enum, default_value_t = LogSync::Interval, env = "STEPFLOW_LOG_SYNC")]
    pub log_sync: LogSync,
    #[command(flatten)]
    pub ends: Ends,
    #[command(flatten)]
    pub log: LogLimit,
    #[command(flatten)]
    pub dialect: super::Dialect,
    /// Let the script find itself in another system, so that helpers print its markers
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM")]
    pub emulate: Vec<Emulation>,
    #[command(flatten)]
    pub junit: super::Junit,
    /// Give the command, one text, to /bin/sh -c
    #[arg(long)]
    pub shell: bool,
    /// Give the script a terminal: it can ask, colour, draw. All keys are the script's
    #[arg(long, conflicts_with = "split_stderr")]
    pub pty: bool,
    #[command(flatten)]
    pub show: Show,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD ARG")]
    pub command: Vec<std::ffi::OsString>,
}

/// What becomes of a run that has started.
#[derive(Debug, Clone, clap::Args)]
pub struct Show {
    /// Print the id and let it run on its own
    #[arg(long)]
    pub detach: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Auto, env = "STEPFLOW_OUTPUT")]
    pub output: Output,
    /// Lines of the running step to show in the tree
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub tail: usize,
    /// Lines of a failed step to show at the end
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub failure_lines: usize,
    /// Before each line of plain output: step, time, or both
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub prefix: Vec<Prefix>,
}

#[derive(Debug, clap::Args)]
pub struct Attach {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest
    pub id: String,
    /// Only look: type nothing, leave the window's size alone
    #[arg(long)]
    pub no_stdin: bool,
    /// Show the output from its first line on [default: the last screenful]
    #[arg(long)]
    pub from_start: bool,
    /// Keys that leave it running: `ctrl-p,ctrl-q`, `ctrl-]`, `~,.`
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "ctrl-p,ctrl-q",
        env = "STEPFLOW_DETACH_KEYS"
    )]
    pub detach_keys: DetachKeys,
}

#[derive(Debug, clap::Args)]
pub struct Rerun {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest
    pub id: String,
    /// Set an environment variable, or a secret again; may be repeated
    #[arg(long = "env", value_name = "K=V", value_parser = key_value)]
    pub env: Vec<(String, String)>,
    #[command(flatten)]
    pub show: Show,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, clap::Args)]
pub struct Pipe {
    /// Its name
    #[arg(long, default_value = "pipe")]
    pub name: String,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Keep this variable's value out of the record; may be repeated
    #[arg(long = "mask-env", value_name = "NAME")]
    pub mask_env: Vec<String>,
    /// Every STEP_ERROR is critical: the execution ends as failed
    #[arg(long)]
    pub stop_on_error: bool,
    /// When output is safe from a power cut
    #[arg(long, value_enum, default_value_t = LogSync::Interval, env = "STEPFLOW_LOG_SYNC")]
    pub log_sync: LogSync,
    #[command(flatten)]
    pub log: LogLimit,
    #[command(flatten)]
    pub dialect: super::Dialect,
    #[command(flatten)]
    pub junit: super::Junit,
    /// What becomes of it when the disk does not take it
    #[arg(long, value_enum, default_value_t = OnDiskFull::Block, env = "STEPFLOW_ON_DISK_FULL")]
    pub on_disk_full: OnDiskFull,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Auto, env = "STEPFLOW_OUTPUT")]
    pub output: Output,
    /// Lines of the running step to show in the tree
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub tail: usize,
    /// Lines of a failed step to show at the end
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub failure_lines: usize,
    /// Before each line of plain output: step, time, or both
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub prefix: Vec<Prefix>,
}

/// When output is safe from a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSync {
    /// After a second or 4 MiB, whichever is first
    Interval,
    /// Before anybody sees it
    Always,
    /// With the next step, artifact or end
    Never,
}

impl From<LogSync> for stepflow_model::LogSync {
    fn from(mode: LogSync) -> Self {
        match mode {
            LogSync::Interval => Self::Interval,
            LogSync::Always => Self::Always,
            LogSync::Never => Self::Never,
        }
    }
}

/// How the processes of a script are held together, and what becomes of those that outlive it.
#[derive(Debug, clap::Args)]
pub struct Ends {
    /// How the script's processes are held together
    #[arg(long, value_enum, default_value_t = Containment::Auto, env = "STEPFLOW_CONTAINMENT")]
    pub containment: Containment,
    /// What becomes of processes that hold the output after the script's end
    #[arg(long, value_enum, default_value_t = Leftover::Kill, env = "STEPFLOW_LEFTOVER")]
    pub leftover: Leftover,
    /// How long their output is still recorded
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s",
        env = "STEPFLOW_DRAIN_TIMEOUT")]
    pub drain_timeout: Duration,
    /// What becomes of the script when the disk does not take its output
    #[arg(long, value_enum, default_value_t = OnDiskFull::Block, env = "STEPFLOW_ON_DISK_FULL")]
    pub on_disk_full: OnDiskFull,
}

/// What becomes of a script whose output the disk does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDiskFull {
    /// It waits and goes on by itself
    Block,
    /// It is stopped after 5 s
    Kill,
    /// It goes on; what the disk does not take is missing, and the record says so
    Drop,
}

impl From<OnDiskFull> for stepflow_model::OnDiskFull {
    fn from(wanted: OnDiskFull) -> Self {
        match wanted {
            OnDiskFull::Block => Self::Block,
            OnDiskFull::Kill => Self::Kill,
            OnDiskFull::Drop => Self::Drop,
        }
    }
}

/// How much output is kept.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct LogLimit {
    /// Bytes of output to keep: 500M, 10G; 0 for all
    #[arg(long, value_name = "SIZE", value_parser = log_size, default_value = "10G",
        env = "STEPFLOW_LOG_MAX_BYTES")]
    pub log_max_bytes: u64,
    /// What to do when there would be more
    #[arg(long, value_enum, default_value_t = LogFull::KeepEnds, env = "STEPFLOW_LOG_FULL")]
    pub log_full: LogFull,
}

/// What is done about output that would outgrow its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFull {
    /// Keep the first and the newest half, drop the middle
    KeepEnds,
    /// Let the script wait until it is stopped
    Block,
    /// Stop the script
    Stop,
}

impl From<LogFull> for stepflow_model::LogFull {
    fn from(wanted: LogFull) -> Self {
        match wanted {
            LogFull::KeepEnds => Self::KeepEnds,
            LogFull::Block => Self::Block,
            LogFull::Stop => Self::Stop,
        }
    }
}

/// A system that a script can be told it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum Emulation {
    /// GitHub Actions, with its environment files
    GitHub,
    /// GitLab CI
    GitLab,
    /// Azure Pipelines
    Azure,
    /// TeamCity
    TeamCity,
    /// Buildkite
    Buildkite,
    /// Travis CI
    Travis,
}

impl From<Emulation> for stepflow_model::Emulation {
    fn from(wanted: Emulation) -> Self {
        match wanted {
            Emulation::GitHub => Self::GitHub,
            Emulation::GitLab => Self::GitLab,
            Emulation::Azure => Self::Azure,
            Emulation::TeamCity => Self::TeamCity,
            Emulation::Buildkite => Self::Buildkite,
            Emulation::Travis => Self::Travis,
        }
    }
}

/// How processes are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// In a control group where that can be, else below the keeper
    Auto,
    /// In a control group, or not started at all
    Cgroup,
    /// Below the keeper
    Keeper,
}

impl From<Containment> for stepflow_model::Containment {
    fn from(wanted: Containment) -> Self {
        match wanted {
            Containment::Auto => Self::Auto,
            Containment::Cgroup => Self::Cgroup,
            Containment::Keeper => Self::Keeper,
        }
    }
}

/// What becomes of those who hold the output after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leftover {
    /// They are ended
    Kill,
    /// They go on unrecorded
    Leave,
}

impl From<Leftover> for stepflow_model::Leftover {
    fn from(wanted: Leftover) -> Self {
        match wanted {
            Leftover::Kill => Self::Kill,
            Leftover::Leave => Self::Leave,
        }
    }
}

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// tree on a terminal, else plain
    Auto,
    /// A live tree of steps
    Tree,
    /// Every line, with step headings
    Plain,
    /// The script's bytes, nothing added
    Raw,
    /// One JSON object a line: events and output
    Json,
    /// Nothing unless it fails
    Quiet,
}
