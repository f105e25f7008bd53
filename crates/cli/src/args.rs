//! The command line's flags.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Runs any script, in any language, and shows, keeps and finds again what it did.
///
/// A script prints markers such as `STEP_START:Build` and `STEP_COMPLETE:Build`; StepFlow turns its
/// output into steps with status, time and history.
#[derive(Debug, Parser)]
#[command(
    name = "stepflow",
    version,
    after_help = "Examples:\n  stepflow run -- bash build.sh          run a script and watch its steps\n  stepflow serve                         the web page at http://127.0.0.1:8080\n  stepflow ls                            what ran here\n  stepflow logs ID -f                    follow a log"
)]
pub struct Args {
    /// Storage directory [default: storage_path in stepflow.toml, else the user's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "STEPFLOW_STORAGE_PATH")]
    pub storage: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command, show its steps, record everything
    #[command(
        after_help = "Examples:\n  stepflow run -- bash examples/pipeline.sh\n  stepflow run --name nightly --tag prod --timeout 10m -- make all\n  stepflow run --shell -- 'make && make test'\n  stepflow run --output raw -- ./report.sh | jq .\n\nExit code: the script's own; 128+n for signal n; 124 timed out; 125 StepFlow's own failure;\n126/127 not executable / not found."
    )]
    Run(Run),
    /// Start the server: page, API, live updates
    #[command(
        after_help = "Examples:\n  stepflow serve\n  stepflow serve --listen 127.0.0.1:9000\n  stepflow --storage ./storage serve --auth off"
    )]
    Serve(Serve),
    /// Print a link that logs a browser in to the running server
    Open {
        /// Show this execution
        id: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// List executions, newest first
    #[command(
        after_help = "Examples:\n  stepflow ls\n  stepflow ls --status failed -n 5\n  stepflow ls --json | jq '.executions[].id'"
    )]
    Ls {
        /// Only those with this status
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only those with this tag
        #[arg(long)]
        tag: Option<String>,
        /// Only those with this name
        #[arg(long)]
        name: Option<String>,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        json: Json,
    },
    /// Show one execution: steps, artifacts, warnings
    Show {
        /// Its id, or an unambiguous beginning or end of it; `last` for the newest
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Print the log of an execution
    #[command(
        after_help = "Examples:\n  stepflow logs last\n  stepflow logs 0198c2 -f\n  stepflow logs last --step Build --time"
    )]
    Logs {
        /// Its id, or an unambiguous beginning or end of it; `last` for the newest
        id: String,
        /// Follow until the execution ends
        #[arg(short, long)]
        follow: bool,
        /// Only this step's lines (name or [id=…])
        #[arg(long)]
        step: Option<String>,
        /// Only the last N lines
        #[arg(long, value_name = "N")]
        tail: Option<u64>,
        /// Show line numbers and times
        #[arg(long)]
        time: bool,
        /// The recorded bytes, unchanged
        #[arg(long, conflicts_with_all = ["step", "tail", "time", "json"])]
        raw: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Stop an execution: SIGTERM, ten seconds, SIGKILL. Asked twice: SIGKILL at once
    Cancel {
        /// Its id, or an unambiguous beginning or end of it
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All that run or wait
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Print the marker events of any log, as JSON lines
    #[command(
        after_help = "Examples:\n  stepflow parse build.log\n  make 2>&1 | stepflow parse --tree -"
    )]
    Parse {
        /// A file, or - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Print the resulting steps as a tree
        #[arg(long)]
        tree: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Rebuild the catalog from the records
    Reindex {
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
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
    /// Give the command, one text, to /bin/sh -c
    #[arg(long)]
    pub shell: bool,
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
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD ARG")]
    pub command: Vec<std::ffi::OsString>,
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

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", env = "STEPFLOW_LISTEN")]
    pub listen: std::net::SocketAddr,
    /// Who may call: `off` is possible on a loopback address only
    #[arg(long, value_enum, default_value_t = OnOff::On)]
    pub auth: OnOff,
    /// Further names under which browsers may reach it; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Most executions running at once; more wait
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub max_running: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A duration such as `90s`, `10m`, `1h30m`, `250ms`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: try 90s, 10m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms: u64 = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let ms = count.checked_mul(unit_ms).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(ms)).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [("90", 90_000), ("90s", 90_000), ("1h30m", 5_400_000), ("250ms", 250)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "m", "5x", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(duration(text).is_err() || text.is_empty(), "{text}");
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
