//! The command line's flags.

use std::{path::PathBuf, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, builder::Resettable};
use stepflow_server::BasePath;

mod bench; // of the one that measures
mod look; // of the commands that look at executions
mod refused; // what is wrong with a command line
mod run; // of the commands that run something

pub use self::{
    bench::Bench,
    look::{
        Artifacts, ArtifactsCommand, Export, ExportFormat, Find, Logs, Ls, Sort, TestMarkWord,
        TestOrderWord, TestStatusWord, Tests, TimeMode, Watch, Which,
    },
    refused::refused,
    run::{
        Attach, Containment, Leftover, LogFull, LogSync, OnDiskFull, Output, Pipe, Prefix, Rerun,
        Run, Show,
    },
};

use crate::text;

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
    /// Ask this server instead of the storage here: http://HOST:PORT, https://HOST, unix:PATH
    /// [env: STEPFLOW_SERVER, unless --storage is given]
    #[arg(long, global = true, value_name = "URL", help_heading = "Where to look")]
    pub server: Option<String>,
    /// Who asks that server; better in the environment, where lists of processes do not show it
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "STEPFLOW_TOKEN",
        hide_env_values = true,
        help_heading = "Where to look"
    )]
    pub token: Option<String>,
    /// Print long output as it is, without $PAGER
    #[arg(long, global = true)]
    pub no_pager: bool,
    /// Colours: auto, always, never. NO_COLOR and CLICOLOR_FORCE are heard as well
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

/// Reads the command line and the environment. A variable that is set to nothing counts as unset,
/// as everywhere else: `STEPFLOW_OUTPUT= stepflow run …` is how one is taken back.
pub fn read() -> Result<Args, clap::Error> {
    let mut command = without_empty(Args::command());
    if text::locale().language == text::Language::Chinese {
        command = text::help::chinese(command);
    }
    let matches = command.try_get_matches()?;
    Args::from_arg_matches(&matches)
}

fn without_empty(command: clap::Command) -> clap::Command {
    let empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty)
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal that can, unless the environment says otherwise
    #[default]
    Auto,
    /// In any case
    Always,
    /// In no case
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command, show its steps, record everything
    #[command(
        after_help = "Examples:\n  stepflow run -- bash examples/pipeline.sh\n  stepflow run --name nightly --tag prod --timeout 10m -- make all\n  stepflow run --shell -- 'make && make test'\n  stepflow run --output raw -- ./report.sh | jq .\n  stepflow run --pty -- sudo make install       the script asks on a terminal\n\nExit code: the script's own; 128+n for signal n; 124 timed out; 125 StepFlow's own failure;\n126/127 not executable / not found."
    )]
    Run(Run),
    /// Be at the terminal of an execution that runs: see its output, type into it
    #[command(
        after_help = "Examples:\n  stepflow attach last\n  stepflow attach 0198c2 --no-stdin          only look\n  stepflow attach 0198c2 --detach-keys ctrl-]\n\nKeys go to executions that were started with --pty (\"pty\": true); others are only followed.\nAfter the end it exits as the script did, like `run`; after the detach keys with 0."
    )]
    Attach(Attach),
    /// Run the same again: command, directory, environment, tags, limits
    #[command(
        after_help = "Examples:\n  stepflow rerun last\n  stepflow rerun 0198c2 --detach\n  TOKEN=… stepflow rerun 0198c2              a secret is not recorded: give it again\n\nExit code: as of `run`."
    )]
    Rerun(Rerun),
    /// Record what is piped into it, and show its steps
    #[command(
        after_help = "Examples:\n  make 2>&1 | stepflow pipe --name build\n  ssh host ./deploy.sh 2>&1 | stepflow pipe --name deploy --tag prod\n  ./report.sh | stepflow pipe --output raw | jq .\n\nExit code: 0 if everything was recorded and no critical step failed; 1 if one did;\n130 ended by Ctrl-C or `stepflow cancel`; 125 StepFlow's own failure. The exit code of what writes\ninto the pipe is the shell's to give: `set -o pipefail`."
    )]
    Pipe(Pipe),
    /// Start the server: page, API, live updates
    #[command(
        after_help = "Examples:\n  stepflow serve\n  stepflow serve --listen 127.0.0.1:9000\n  stepflow --storage ./storage serve --auth off\n  stepflow serve --takeover                  instead of the server that runs: an upgrade"
    )]
    Serve(Serve),
    /// Print a link that logs a browser in to the running server
    #[command(
        after_help = "Examples:\n  stepflow open                               the page\n  stepflow open last                          the newest execution\n  xdg-open \"$(stepflow open last)\"\n\nWith --server it prints where the page shows it; a link that logs in is made on the server's\nown host alone."
    )]
    Open {
        /// Show this execution
        id: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// List executions, newest first
    #[command(
        after_help = "Examples:\n  stepflow ls\n  stepflow ls --status failed -n 5\n  stepflow ls --search build --since 7d\n  stepflow ls --since 2026-11-01 --until 2026-12-01\n  stepflow ls --tag prod --longer-than 10m --not status=completed\n  stepflow ls --since 7d --sort longest -n 10\n  stepflow ls --json | jq '.executions[].id'\n  stepflow ls --server https://ci.example      what ran there"
    )]
    Ls(Ls),
    /// Search the logs of many executions, newest first
    #[command(
        after_help = "Examples:\n  stepflow search 'connection refused'\n  stepflow search -i timeout --status failed --since 7d\n  stepflow search -E 'error: .*\\.c:[0-9]+' --name nightly -C 2\n  stepflow search OOM --step Test -m 1 --json | jq .execution.id\n\nLines are searched as the page shows them. Exit code: 0 something was found; 1 nothing was; 2 it\nfailed, or a log could not be read."
    )]
    Search(Find),
    /// Show one execution: steps, artifacts, warnings
    #[command(
        after_help = "Examples:\n  stepflow show last\n  stepflow show 0198c2\n  stepflow show last --json | jq '.steps[] | select(.status == \"failed\")'"
    )]
    Show {
        /// Its id, or an unambiguous beginning or end of it; `last` for the newest
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Print the log of an execution
    #[command(
        after_help = "Examples:\n  stepflow logs last\n  stepflow logs 0198c2 -f --exit-status        follow, then exit as the script did\n  stepflow logs last --step Build --time\n  stepflow logs last --level error,warning\n  stepflow logs last --grep 'time.*out' --since 10m\n  stepflow logs last --tail 100 --time step\n  stepflow logs last --raw > build.log\n\nLines and their numbers are those of the page. A line over 16 KiB is cut, as there; --raw is not."
    )]
    Logs(Logs),
    /// Look at executions on the whole screen: list, steps, log, timeline
    #[command(
        after_help = "Examples:\n  stepflow watch                              all of them\n  stepflow watch last                         the newest one\n  stepflow watch 0198c2 --server https://ci.example\n\nKeys: j k move, Enter open, f follow, e E errors, / n N search, v levels, w wrap, m times, y c copy,\nx select, o in the browser, ? all of them, q leaves. It runs on when you leave."
    )]
    Watch(Watch),
    /// Stop an execution: SIGTERM, ten seconds, SIGKILL. Asked twice: SIGKILL at once
    #[command(
        after_help = "Examples:\n  stepflow cancel last\n  stepflow cancel 0198c2\n  stepflow cancel --all"
    )]
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
    /// List and get the files that a script announced
    #[command(
        after_help = "Examples:\n  stepflow artifacts ls last\n  stepflow artifacts get last report.html\n  stepflow artifacts get last -o results/      all of them\n  stepflow artifacts get last summary.json -o - | jq ."
    )]
    Artifacts(Artifacts),
    /// List the tests that an execution ran: what failed first, and what the past says of it
    #[command(
        after_help = "Examples:\n  stepflow tests\n  stepflow tests 0198c2 --status failed\n  stepflow tests last --mark flaky\n  stepflow tests last --order slowest -n 10\n  stepflow tests last --json | jq '.tests[] | select(.change == \"newly_failing\") | .name'\n\nTests are what the output tells of and what files of results hold (--junit). Exit code: 0, however\nthey ended."
    )]
    Tests(Tests),
    /// Write an execution to a file: a page, a trace, or everything
    #[command(
        after_help = "Examples:\n  stepflow export last --format html -o build.html   one file, opens without network\n  stepflow export last --format trace -o trace.json  for ui.perfetto.dev, chrome://tracing\n  stepflow export last --format json | jq '.lines | length'"
    )]
    Export(Export),
    /// Print the marker events of any log, as JSON lines
    #[command(
        after_help = "Examples:\n  stepflow parse build.log\n  make 2>&1 | stepflow parse --tree -\n  stepflow parse --explain --dialect auto,buildkite build.log\n  stepflow parse --tree --json ci.log | jq .annotations"
    )]
    Parse(Parse),
    /// Look for what is wrong with a storage and its server, and say what to do
    #[command(
        after_help = "Changes nothing; works with and without a running server.\n\nExamples:\n  stepflow doctor\n  stepflow doctor --full\n  stepflow doctor --json | jq '.checks[] | select(.level != \"ok\")'\n\nExit code: 1 if something failed, else 0."
    )]
    Doctor {
        /// Compare the catalog's indexes with its tables as well
        #[arg(long)]
        full: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Measure what this machine can carry, in two minutes
    ///
    /// Everything happens in a directory and with servers of its own, which are removed; no storage is
    /// touched. Figures stand beside what the machine does without StepFlow in the same run.
    #[command(
        after_help = "Examples:\n  stepflow bench\n  stepflow bench --quick                      a minute\n  stepflow bench streams --streams 500        only this, larger\n  stepflow bench --json | jq '.figures[] | select(.met == false)'\n\nParts: api (requests), catalog (reads and writes), capture (output of one script), streams (many\nscripts, each watched), start (scripts that end at once), fanout (many viewers of one script),\nrecovery (a server that is killed, or starts over much), storage (what executions take, search in one\nlog and in many), ingest (very many streams from elsewhere)."
    )]
    Bench(Bench),
    /// Upgrade a storage of the original StepFlow Monitor, in place
    ///
    /// Every command that writes does it by itself; this one says what it did. The original's
    /// database is kept beside the new one, its files stay where they are. Stop the original first.
    #[command(
        after_help = "Examples:\n  stepflow --storage ./storage upgrade\n  stepflow --storage ./storage upgrade --json | jq .backup\n\nInterrupted, it goes on where it stopped when it is run again."
    )]
    Upgrade {
        #[command(flatten)]
        json: Json,
    },
    /// Copy the whole storage, while it is used
    ///
    /// All of it the first time, later what is new or changed; what is no longer in the storage is
    /// removed there too. What had ended when it began is in it complete, and what still runs as far
    /// as it is recorded. The directory is laid out as a storage is.
    #[command(
        after_help = "Examples:\n  stepflow backup /mnt/backup/stepflow\n  stepflow --storage ./storage backup ../copy --json\n\n`stepflow restore` brings it back, `stepflow --storage DIR verify` holds it against its checksums."
    )]
    Backup {
        /// Where to: nothing yet, or an earlier backup
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        json: Json,
    },
    /// Bring a backup back to where no storage is yet
    ///
    /// Every byte is held against its checksum on the way. What still ran when it was backed up has
    /// ended as lost, with its output up to then.
    #[command(
        after_help = "Examples:\n  stepflow --storage ./new restore /mnt/backup/stepflow\n\nCut off, it is begun again by the same command."
    )]
    Restore {
        /// The directory that `stepflow backup` was given
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        json: Json,
    },
    /// Hold every byte against its checksum
    ///
    /// Output, events, notes and artifacts of these executions, or of all, while they are used. Says
    /// what is proven and what is not; exits with 1 if anything is not what was recorded.
    #[command(
        after_help = "Examples:\n  stepflow verify\n  stepflow verify last --json\n  stepflow --storage /mnt/backup/stepflow verify"
    )]
    Verify {
        /// Only these: ids, beginnings or ends of ids, or `last`
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Delete old executions, whole: output, artifacts and all
    ///
    /// Those that are over a limit go, the oldest first. What is pinned and what has not ended stays,
    /// and does not count. Without a limit the rules of `stepflow.toml` are kept to.
    #[command(
        after_help = "Examples:\n  stepflow prune --max-age 30d --dry-run\n  stepflow prune --name 'nightly*' --max-count 100\n  stepflow prune --max-size 50G\n\nWith a server on the storage, the server does it."
    )]
    Prune(Prune),
    /// Compress the logs of ended executions; a server does it by itself
    #[command(
        after_help = "Examples:\n  stepflow compress\n  stepflow compress 0198c2aa --json\n\nEvery log is proven before and after. `zstdcat` reads what comes of it; so does every command."
    )]
    Compress {
        /// Executions, by id or the beginning or end of one; all if none is given
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Rebuild the catalog from the records
    #[command(
        after_help = "Examples:\n  stepflow reindex\n  stepflow --storage ./storage reindex --json\n\nThe catalog can be thrown away at any time: the records hold everything."
    )]
    Reindex {
        #[command(flatten)]
        json: Json,
    },
    /// Print what makes a shell complete stepflow's commands, flags and ids
    #[command(
        after_help = "Examples:\n  source <(stepflow completions bash)            in ~/.bashrc\n  source <(stepflow completions zsh)             in ~/.zshrc, after compinit\n  stepflow completions fish > ~/.config/fish/completions/stepflow.fish\n  stepflow completions powershell >> $PROFILE"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: crate::commands::completions::Shell,
    },
    /// Write the manual pages into a directory
    #[command(
        after_help = "Examples:\n  stepflow man ~/.local/share/man/man1\n  stepflow man /tmp/man && man /tmp/man/stepflow-run.1"
    )]
    Man {
        /// The directory; it is made if it is not there
        dir: PathBuf,
    },
    /// Ids that begin so, for completion
    #[command(hide = true, name = "__ids")]
    Ids {
        #[arg(default_value = "")]
        begin: String,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Those that ended longer ago than this
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_age: Option<Duration>,
    /// All but the newest so many
    #[arg(long, value_name = "N")]
    pub max_count: Option<u64>,
    /// All but the newest whose output and artifacts have so many bytes together: 500M, 50G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Only those with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Only those with such a name: * is any text, ? one character
    #[arg(long, value_name = "PATTERN")]
    pub name: Option<String>,
    /// Delete nothing, say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// Who may call: `off` is possible on a loopback address only [default: on]
    #[arg(long, value_enum)]
    pub auth: Option<OnOff>,
    /// Further names under which browsers may reach it; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Most executions running at once; more wait [default: 1000]
    #[arg(long, value_name = "N")]
    pub max_running: Option<usize>,
    /// Serve the original's WebSocket here as well, such as 127.0.0.1:8765 [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub legacy_ws: Option<std::net::SocketAddr>,
    /// Requests a second of one token or login; 0: any number [default: 100]
    #[arg(long, value_name = "N")]
    pub requests_per_second: Option<u32>,
    /// Live streams of one token or login; 0: any number [default: 50]
    #[arg(long, value_name = "N")]
    pub streams_per_caller: Option<usize>,
    /// Largest file that can be uploaded, in bytes [default: 1073741824]
    #[arg(long, value_name = "BYTES")]
    pub upload_max: Option<u64>,
    /// Path under which a proxy offers the page and the API, as in `/stepflow`
    #[arg(long, value_name = "PATH")]
    pub base_path: Option<BasePath>,
    /// How long an ingested stream is waited for when its source, or the server, went away
    /// [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub ingest_resume: Option<Duration>,
    /// How long after the end of an execution its log is compressed; or off [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = time_or_off)]
    pub compress_after: Option<TimeOrOff>,
    /// What must be free on the disk before a new execution is accepted: 500M, 5G; 0: nothing
    /// [default: 256M, or a hundredth of a smaller disk]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub disk_min_free: Option<u64>,
    /// Take over from the server that runs on this storage, without downtime; without one, start
    #[arg(long)]
    pub takeover: bool,
    /// When output is safe from a power cut, of executions that do not say [default: interval]
    #[arg(long, value_enum)]
    pub log_sync: Option<LogSync>,
    /// How scripts' processes are held together, of executions that do not say [default: auto]
    #[arg(long, value_enum)]
    pub containment: Option<Containment>,
    /// What becomes of processes that hold the output after the end [default: kill]
    #[arg(long, value_enum)]
    pub leftover: Option<Leftover>,
    /// What becomes of scripts when the disk does not take their output [default: block]
    #[arg(long, value_enum)]
    pub on_disk_full: Option<OnDiskFull>,
    /// How long their output is still recorded [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub drain_timeout: Option<Duration>,
    /// Bytes of output to keep, of executions that do not say; 0 for all [default: 10G]
    #[arg(long, value_name = "SIZE", value_parser = log_size)]
    pub log_max_bytes: Option<u64>,
    /// What to do when there would be more [default: keep-ends]
    #[arg(long, value_enum)]
    pub log_full: Option<LogFull>,
    /// Markers to read, of executions that do not say: auto, none, native, github, … [default: auto]
    #[arg(long, value_name = "LIST", value_parser = dialects, allow_hyphen_values = true)]
    pub dialect: Option<String>,
    /// JUnit XML files to read test results from, of executions that do not say; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = junit)]
    pub junit: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    On,
    Off,
}

/// Flags of `parse`.
#[derive(Debug, clap::Args)]
pub struct Parse {
    /// A file, or - for standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Print the resulting steps as a tree
    #[arg(long)]
    pub tree: bool,
    /// Print which dialects were found, and why
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub dialect: Dialect,
    /// A file with one digit for each line: 1 standard output, 2 standard error
    #[arg(long, value_name = "MAP")]
    pub streams: Option<PathBuf>,
    /// How the script ended: what is open at the end of the log is judged by it
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub exit_code: i32,
    #[command(flatten)]
    pub json: Json,
}

/// In which dialects output may tell its steps.
#[derive(Debug, Clone, clap::Args)]
pub struct Dialect {
    /// Markers to read: auto, none, native, github, gitlab, … or several: auto,github
    #[arg(long, value_name = "LIST", value_parser = dialects, default_value = "auto",
        allow_hyphen_values = true,
        env = "STEPFLOW_DIALECT")]
    pub dialect: String,
}

/// A list of dialects and problem matchers. Whether there are such is known where the user's
/// matchers are: [`crate::matchers::selection`].
pub fn dialects(given: &str) -> Result<String, String> {
    use stepflow_markers::dialects::{Selection, SelectionError};
    match Selection::parse(given) {
        Ok(_) | Err(SelectionError::Unknown { .. }) => Ok(given.to_owned()),
        Err(error) => Err(text::why::dialects(&error)),
    }
}

/// Which files hold results of tests.
#[derive(Debug, Clone, clap::Args)]
pub struct Junit {
    /// Read test results from these JUnit XML files when it has ended; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = junit, env = "STEPFLOW_JUNIT")]
    pub junit: Vec<String>,
}

/// A pattern of files of test results.
pub fn junit(given: &str) -> Result<String, String> {
    let given = given.to_owned();
    match stepflow_model::check_junit(std::slice::from_ref(&given)) {
        Ok(()) => Ok(given),
        Err(error) => Err(text::why::junit(&error)),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(text::why::not_name_value()),
    }
}

/// A duration, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOrOff(pub Option<Duration>);

/// A duration as [`duration`] reads it, or `off`.
pub fn time_or_off(given: &str) -> Result<TimeOrOff, String> {
    if given.eq_ignore_ascii_case("off") {
        return Ok(TimeOrOff(None));
    }
    Ok(TimeOrOff(Some(duration(given)?)))
}

/// A duration such as `90s`, `10m`, `1h30m`, `250ms`; a bare number is seconds.
pub fn duration(given: &str) -> Result<Duration, String> {
    let wrong = || text::why::no_duration(given);
    if let Ok(seconds) = given.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = given;
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

/// A size such as `500M` or `50GiB`, by powers of 1024; a bare number is bytes.
pub fn size(given: &str) -> Result<u64, String> {
    let wrong = || text::why::no_size(given);
    let digits = given.find(|c: char| !c.is_ascii_digit()).unwrap_or(given.len());
    let count: u64 = given[..digits].parse().map_err(|_| wrong())?;
    let unit = given[digits..].to_ascii_uppercase();
    let power = match unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit) {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(wrong()),
    };
    count.checked_mul(1 << (10 * power)).ok_or_else(wrong)
}

/// A limit for a log: 0, or enough to keep both ends of it.
pub fn log_size(given: &str) -> Result<u64, String> {
    match size(given)? {
        bytes @ 1..stepflow_model::LOG_MAX_BYTES_MIN => Err(text::why::log_too_small(bytes)),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = [("0", 0), ("17", 17), ("2K", 2048), ("3MiB", 3 << 20), ("1gb", 1 << 30)];
        for (text, bytes) in sizes {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "G", "1X", "-1", "1.5G", "99999999999T", "1 G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

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
        Args::command().debug_assert();
    }
}
