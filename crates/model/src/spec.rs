//! What to run: written first, never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepflow_markers::dialects::Selection;

use crate::{ExecutionId, JunitFiles, Source};

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl TerminalSize {
    /// Most columns or rows: more is a mistake, and programs reserve memory by them.
    pub const MAX: u16 = 10_000;

    /// This size, unless a side is 0 or above [`TerminalSize::MAX`].
    pub fn new(cols: u16, rows: u16) -> Option<Self> {
        let fits = |side| (1..=Self::MAX).contains(&side);
        (fits(cols) && fits(rows)).then_some(Self { cols, rows })
    }
}

impl Default for TerminalSize {
    /// 80 by 24, as terminals have been since 1978.
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}

/// When a power cut can no longer take recorded output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSync {
    /// At the latest a second after it was recorded, or when 4 MiB wait, plus the sync in flight.
    #[default]
    Interval,
    /// Before anybody sees it.
    Always,
    /// With the next step, artifact or end; else whenever the kernel thinks fit.
    Never,
}

impl LogSync {
    /// All of them, as they are spelled.
    pub const NAMES: [&str; 3] = ["interval", "always", "never"];

    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Whether nothing was said about it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::Interval
    }
}

impl std::str::FromStr for LogSync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "interval" => Ok(Self::Interval),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// How the processes of a script are held together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// In a control group where that can be, else below the keeper.
    #[default]
    Auto,
    /// In a control group, or not started at all.
    Cgroup,
    /// Below the keeper, even where there are control groups.
    Keeper,
}

impl Containment {
    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cgroup => "cgroup",
            Self::Keeper => "keeper",
        }
    }

    /// Whether nothing was said about it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::Auto
    }
}

/// What becomes of processes that hold the script's output after its first process has ended, and
/// after the drain time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// They are ended: SIGTERM, the grace period, SIGKILL.
    #[default]
    Kill,
    /// They go on, and what they still print is not recorded.
    Leave,
}

impl Leftover {
    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Leave => "leave",
        }
    }

    /// Whether nothing was said about it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::Kill
    }
}

/// What is done about output that would outgrow [`Spec::log_max_bytes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFull {
    /// The first and the newest half stay, the middle goes.
    #[default]
    KeepEnds,
    /// The script waits until somebody stops it.
    Block,
    /// The script is stopped.
    Stop,
}

impl LogFull {
    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepEnds => "keep-ends",
            Self::Block => "block",
            Self::Stop => "stop",
        }
    }

    /// Whether nothing was said about it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::KeepEnds
    }
}

/// What becomes of a script whose output the disk does not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDiskFull {
    /// It waits, for ever if need be, and goes on by itself.
    #[default]
    Block,
    /// It waits for a moment, then it is stopped; what it prints meanwhile is lost, and counted.
    Kill,
    /// It never waits: what the disk does not take is left out of the record, which says how much is
    /// missing and where.
    Drop,
}

impl OnDiskFull {
    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Kill => "kill",
            Self::Drop => "drop",
        }
    }

    /// Whether nothing was said about it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::Block
    }
}

/// What a log may hold unless somebody says otherwise: 10 GiB.
pub const LOG_MAX_BYTES_DEFAULT: u64 = 10 << 30;
/// No log is held to less: 1 MiB. An entry of its index covers up to 192 KiB.
pub const LOG_MAX_BYTES_MIN: u64 = 1 << 20;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// What to run, with what, within which limits. Durations are milliseconds, times microseconds UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The execution.
    pub id: ExecutionId,
    /// Shown to people; the command's text unless given.
    pub name: String,
    /// The argument vector, exactly as it reaches the program; empty for output that StepFlow did
    /// not start.
    pub command: Vec<String>,
    /// The working directory, absolute; empty where it is not on this host.
    pub cwd: String,
    /// The declared environment, without the values of secrets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of the environment passed on from the caller.
    #[serde(default)]
    pub env_inherited: Vec<String>,
    /// Names of environment variables whose values never reach the record.
    #[serde(default)]
    pub mask_env: Vec<String>,
    /// Free words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Free data from the caller.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Who asked, as a name; may be empty.
    #[serde(default)]
    pub user: String,
    /// When it was accepted.
    pub created_us: i64,
    /// Who asked, as a way in.
    pub source: Source,
    /// Ends with its client: a foreground `stepflow run`.
    #[serde(default)]
    pub bound: bool,
    /// Time limit for the whole run; `None`: none.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Between SIGTERM and SIGKILL.
    #[serde(default = "grace_default")]
    pub grace_ms: u64,
    /// How long to go on reading a pipe that others hold after the script's first process ended.
    #[serde(default = "drain_default")]
    pub drain_ms: u64,
    /// A failed step stops the script.
    #[serde(default)]
    pub stop_on_error: bool,
    /// Keep standard error apart.
    #[serde(default)]
    pub split_stderr: bool,
    /// The command was given as text for a shell.
    #[serde(default)]
    pub shell: bool,
    /// The script gets a terminal, of this size at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pty: Option<TerminalSize>,
    /// When its output is made durable.
    #[serde(default, skip_serializing_if = "LogSync::is_default")]
    pub log_sync: LogSync,
    /// How its processes are held together.
    #[serde(default, skip_serializing_if = "Containment::is_default")]
    pub containment: Containment,
    /// What becomes of those who hold its output after its end.
    #[serde(default, skip_serializing_if = "Leftover::is_default")]
    pub leftover: Leftover,
    /// Bytes of output that are kept, about; 0: all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_max_bytes: u64,
    /// What is done when there would be more.
    #[serde(default, skip_serializing_if = "LogFull::is_default")]
    pub log_full: LogFull,
    /// What becomes of it when the disk does not take its output.
    #[serde(default, skip_serializing_if = "OnDiskFull::is_default")]
    pub on_disk_full: OnDiskFull,
    /// The dialects in which its output may tell its steps: a list for
    /// [`Selection::parse`](stepflow_markers::dialects::Selection::parse).
    #[serde(default = "dialect_default", skip_serializing_if = "is_dialect_default")]
    pub dialect: String,
    /// The user's problem matchers: texts by name, as
    /// [`Matcher::parse`](stepflow_markers::dialects::Matcher::parse) reads them. They are part of what
    /// was asked for: the record means the same wherever it is read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub problem_matchers: BTreeMap<String, String>,
    /// Which files hold results of tests in JUnit's form: read when it has ended.
    #[serde(default, skip_serializing_if = "JunitFiles::is_empty")]
    pub junit: JunitFiles,
    /// The execution that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<ExecutionId>,
}

/// Default dialects: all that are told from ordinary text.
pub fn dialect_default() -> String {
    "auto".to_owned()
}

/// A list of dialects that cannot be understood.
pub type DialectsError = stepflow_markers::dialects::SelectionError;

/// Whether a list of dialects can be understood where a user has these problem matchers.
///
/// # Errors
/// [`DialectsError`] names the word that is wrong.
pub fn check_dialects(
    list: &str,
    matchers: &BTreeMap<String, String>,
) -> Result<(), DialectsError> {
    Selection::parse_with(list, matchers).map(|_| ())
}

fn is_dialect_default(list: &str) -> bool {
    list == "auto"
}

/// Default grace period between SIGTERM and SIGKILL: 10 s.
pub const fn grace_default() -> u64 {
    10_000
}

/// Default drain time: 5 s.
pub const fn drain_default() -> u64 {
    5_000
}

impl Spec {
    /// An execution with nothing to run yet and everything as it is unless somebody says otherwise.
    /// Its log may hold any number of bytes.
    pub fn new(id: ExecutionId, source: Source, created_us: i64) -> Self {
        Self {
            id,
            name: String::new(),
            command: Vec::new(),
            cwd: String::new(),
            env: BTreeMap::new(),
            env_inherited: Vec::new(),
            mask_env: Vec::new(),
            tags: Vec::new(),
            metadata: serde_json::Map::new(),
            user: String::new(),
            created_us,
            source,
            bound: false,
            timeout_ms: None,
            grace_ms: grace_default(),
            drain_ms: drain_default(),
            stop_on_error: false,
            split_stderr: false,
            shell: false,
            pty: None,
            log_sync: LogSync::default(),
            containment: Containment::default(),
            leftover: Leftover::default(),
            log_max_bytes: 0,
            log_full: LogFull::default(),
            on_disk_full: OnDiskFull::default(),
            dialect: dialect_default(),
            problem_matchers: BTreeMap::new(),
            junit: JunitFiles::default(),
            rerun_of: None,
        }
    }

    /// The dialects in which its output may tell its steps. A variable of the declared environment
    /// by which a system makes itself known says that its dialect is in use.
    pub fn dialects(&self) -> Selection {
        let mut selection =
            Selection::parse_with(&self.dialect, &self.problem_matchers).unwrap_or_default();
        for name in self.env.keys() {
            selection.hint_by_variable(name);
        }
        selection
    }

    /// Whether the same can be run again.
    pub fn can_rerun(&self) -> bool {
        self.source.has_command() && self.command.first().is_some_and(|word| !word.is_empty())
    }

    /// The same again, as `id`: command, directory, declared environment, tags, limits and flags.
    /// Who asks, and what is passed on from their surroundings, is the caller's to set.
    #[must_use]
    pub fn rerun(&self, id: ExecutionId, created_us: i64) -> Self {
        Self { id, created_us, rerun_of: Some(self.id), ..self.clone() }
    }

    /// The command as one line for people: arguments joined by spaces, as the original shows it.
    pub fn command_text(&self) -> String {
        self.command.join(" ")
    }
}
