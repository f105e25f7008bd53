//! Flags of the commands that look at executions.

use std::{path::PathBuf, time::Duration};

use clap::{Subcommand, ValueEnum};

use super::Json;

/// Which executions.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only those with this status: pending, running, completed, failed or cancelled
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Only those with this name
    #[arg(long)]
    pub name: Option<String>,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only those of this user
    #[arg(long)]
    pub user: Option<String>,
    /// Only those whose script exited with this code
    #[arg(long, value_name = "CODE", allow_negative_numbers = true)]
    pub exit: Option<i32>,
    /// Only those that came in this way: cli, server, ingest, pipe or import
    #[arg(long)]
    pub source: Option<String>,
    /// Only those that took longer than this: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub longer_than: Option<Duration>,
    /// Only those that took less than this
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub shorter_than: Option<Duration>,
    /// None of which this holds: status=, tag=, search=, user=, exit= or source=; may be repeated
    #[arg(long, value_name = "WHAT=VALUE", value_parser = super::key_value)]
    pub not: Vec<(String, String)>,
    /// Only those created at or after this: 2026-11-22, 2026-11-22T20:00, or 12h, 7d ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only those created before this
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only those that are pinned
    #[arg(long)]
    pub pinned: bool,
}

#[derive(Debug, clap::Args)]
pub struct Ls {
    #[command(flatten)]
    pub which: Which,
    /// The order: newest first, or by duration, which leaves out those that have not ended
    #[arg(long, value_enum, default_value_t = Sort::Newest, value_name = "ORDER")]
    pub sort: Sort,
    /// Go on behind an earlier list of the same order: its `next_before`
    #[arg(long, value_name = "CURSOR")]
    pub before: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub limit: u32,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, clap::Args)]
pub struct Find {
    /// The text to search for
    pub pattern: String,
    /// The pattern is a regular expression
    #[arg(short = 'E', long)]
    pub regex: bool,
    /// Take `a` for `A`
    #[arg(short, long)]
    pub ignore_case: bool,
    /// Show so many lines before and behind each hit, at most 10
    #[arg(short = 'C', long, value_name = "N", default_value_t = 0)]
    pub context: usize,
    /// At most so many hits of each execution
    #[arg(short = 'm', long, value_name = "N")]
    pub max_count: Option<usize>,
    /// Only lines of steps with this name, and of the steps in them
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub json: Json,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By creation, the latest first
    Newest,
    /// By duration, the longest first
    Longest,
    /// By duration, the shortest first
    Shortest,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Logs {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest
    pub id: String,
    /// Follow until the execution ends
    #[arg(short, long)]
    pub follow: bool,
    /// Exit as the script did, like `run`, once it has ended
    #[arg(long)]
    pub exit_status: bool,
    /// Only lines of this step and the steps in it (name or [id=…])
    #[arg(long)]
    pub step: Option<String>,
    /// Only from this line on (120), or from this time on (20:15, 2026-11-22T20:15, 10m ago)
    #[arg(long, value_name = "LINE|TIME")]
    pub since: Option<String>,
    /// Only the last N of the lines that remain
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Only lines of these levels: error, warning, notice, debug, other
    #[arg(long, value_name = "LEVEL", value_delimiter = ',')]
    pub level: Vec<String>,
    /// Only lines that this regular expression is found in
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// --grep takes `a` for `A`
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// Show line numbers and times [utc if no mode is given]
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        num_args = 0..=1,
        default_missing_value = "utc",
        env = "STEPFLOW_TIME"
    )]
    pub time: Option<TimeMode>,
    /// Show line numbers
    #[arg(short = 'N', long)]
    pub number: bool,
    /// The recorded bytes, unchanged
    #[arg(
        long,
        conflicts_with_all = ["step", "since", "tail", "level", "grep", "time", "number", "json"]
    )]
    pub raw: bool,
    #[command(flatten)]
    pub json: Json,
}

impl Logs {
    /// All of a log, as it is.
    pub fn of(id: stepflow_model::ExecutionId) -> Self {
        Self {
            id: id.to_string(),
            follow: false,
            exit_status: false,
            step: None,
            since: None,
            tail: None,
            level: Vec::new(),
            grep: None,
            ignore_case: false,
            time: None,
            number: false,
            raw: false,
            json: Json { json: false },
        }
    }
}

/// Which time stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeMode {
    /// None
    Off,
    /// Of the day, UTC
    Utc,
    /// Of the day, here
    Local,
    /// Since the execution began
    Relative,
    /// Since the step began
    Step,
    /// Since the line before
    Delta,
}

#[derive(Debug, clap::Args)]
pub struct Watch {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest [default: the list]
    pub id: Option<String>,
    /// Let the mouse wheel scroll; the terminal's own selection then needs Shift
    #[arg(long)]
    pub mouse: bool,
}

#[derive(Debug, clap::Args)]
pub struct Artifacts {
    #[command(subcommand)]
    pub command: ArtifactsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// List the artifacts of an execution
    #[command(
        after_help = "Examples:\n  stepflow artifacts ls last\n  stepflow artifacts ls last --json | jq '.artifacts[].file_size'"
    )]
    Ls {
        /// Its id, or an unambiguous beginning or end of it; `last` for the newest
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Get artifacts: the copies that were made when the script announced them
    #[command(
        after_help = "Examples:\n  stepflow artifacts get last report.html\n  stepflow artifacts get last -o results/      all of them\n  stepflow artifacts get last summary.json -o - | jq .\n\nThe digest of what arrives is compared with the one that was recorded."
    )]
    Get {
        /// Its id, or an unambiguous beginning or end of it; `last` for the newest
        id: String,
        /// Names, paths or ids of artifacts [default: all of them]
        names: Vec<String>,
        /// A directory (made if it ends in /), a file for a single one, or - for standard output
        #[arg(short, long, value_name = "PATH", default_value = "./")]
        output: PathBuf,
        /// Write over files that are there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, clap::Args)]
pub struct Tests {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest
    #[arg(default_value = "last")]
    pub id: String,
    /// Only those that ended so; several with commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATUS")]
    pub status: Vec<TestStatusWord>,
    /// Only those of which the past says this
    #[arg(long, value_enum)]
    pub mark: Option<TestMarkWord>,
    /// Only those with this in name, suite or message
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Only those of this dialect; `all` for every one [default: the one that reports on purpose]
    #[arg(long, value_name = "NAME")]
    pub dialect: Option<String>,
    /// In which order
    #[arg(long, value_enum, default_value_t = TestOrderWord::Failed)]
    pub order: TestOrderWord,
    /// How many at most [default: all]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Below their suites [default: on a terminal]
    #[arg(long, conflicts_with = "plain")]
    pub tree: bool,
    /// One a line [default: where there is no terminal]
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub json: Json,
}

/// How a test ended, as far as lists tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TestStatusWord {
    /// With success
    Passed,
    /// It failed, could not test, or never finished
    Failed,
    /// Not run, or known to fail
    Skipped,
}

/// What the past says of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TestMarkWord {
    /// Failed now, passed in the last execution that had it
    NewlyFailing,
    /// Failed there as well
    StillFailing,
    /// Passed now, failed there
    Fixed,
    /// Failed and then passed, or changed twice or more in the last 20 executions
    Flaky,
    /// No earlier execution had it
    New,
}

/// The order of a list of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TestOrderWord {
    /// What failed first
    Failed,
    /// As they were told of
    Told,
    /// The slowest first
    Slowest,
    /// By suite and name
    Name,
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// Its id, or an unambiguous beginning or end of it; `last` for the newest
    pub id: String,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Html)]
    pub format: ExportFormat,
    /// The file; - for standard output [default: standard output, on a terminal NAME-ID.html or so]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

/// How an execution is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One page that opens without network
    Html,
    /// Steps as a Chrome trace, for Perfetto
    Trace,
    /// Everything: execution, steps, artifacts, annotations, every line
    Json,
}
