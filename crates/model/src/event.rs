//! What the recorder writes to the journal, and what others write to the notes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ArtifactOrigin, Dropped, ExecutionOrigin, Problem, Reason, Status, StepOrigin, StepStatus,
    Test, Text,
};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(on: &bool) -> bool {
    !*on
}

/// One line of `journal.ndjson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without holes.
    pub seq: u64,
    /// Wall clock, microseconds UTC; never goes backwards within an execution.
    pub time_us: i64,
    /// Monotonic clock, microseconds since the recorder's start.
    pub at_us: u64,
    /// Output offset it belongs to: all bytes before it were printed before it.
    pub offset: u64,
    /// Lines that end at or before `offset`; the next one has number `lines + 1`.
    pub lines: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum EventKind {
    /// The script is about to be released; synced before it is.
    Started {
        /// The script's first process.
        pid: i32,
        /// Its start time in clock ticks since boot, which tells it from a later one of that pid.
        start_ticks: u64,
        /// The kernel's boot id.
        boot_id: String,
        /// The recorder itself.
        recorder_pid: i32,
        /// The keeper, parent of the script.
        keeper_pid: i32,
        /// How the tree is held together: `cgroup` (complete), or `keeper` (complete but for what is
        /// left when recorder and keeper are killed in the same instant).
        containment: String,
        /// Its control group, named from the root of the hierarchy; ends in the execution's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cgroup: Option<String>,
        /// The host's name.
        host: String,
    },
    /// A step has begun.
    StepStarted {
        /// Its number, from 0.
        step: u32,
        /// Its name.
        name: String,
        /// The step it is nested in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<u32>,
        /// Its `[id=…]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// All parameters of the marker.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        params: Map<String, Value>,
        /// The dialect that it is told in; own markers if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialect: Option<String>,
        /// It has a place of its own: lines do not fall into it.
        #[serde(default, skip_serializing_if = "is_false")]
        loose: bool,
    },
    /// A step has ended. May come again for one of a dialect: the later one counts.
    StepFinished {
        /// Its number.
        step: u32,
        /// How.
        status: StepStatus,
        /// Its exit code, where one is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Why it failed, or was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What ended it: `marker`, `next`, `parent`, `skip`, `end`.
        by: String,
        /// A short word of its dialect, such as `cached`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// It ended, and nobody said how: completed without a verdict.
        #[serde(default, skip_serializing_if = "is_false")]
        done: bool,
    },
    /// How far something is, as the script says. Few of what it says come here: the recorder keeps
    /// the latest of a quarter of a second, and the last before a step's end.
    Progress {
        /// The step; the execution if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        /// 0 to 100; absent if only words were said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<f64>,
        /// What is being done; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// The script declared a file.
    Artifact {
        /// Its number, from 0.
        artifact: u32,
        /// The step it was declared in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        /// The path as written.
        path: String,
        /// Its description; may be empty.
        description: String,
        /// The dialect that it is told in; own markers if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialect: Option<String>,
    },
    /// A declared file was copied, or not.
    ArtifactStored {
        /// Its number.
        artifact: u32,
        /// SHA-256 of the copy, hex; absent when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Size of the copy in bytes.
        #[serde(default)]
        size: u64,
        /// The file changed while it was copied.
        #[serde(default)]
        changed: bool,
        /// Why there is no copy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// A key and a value, on a step or on the execution.
    Meta {
        /// The step, if one was open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// A label for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The dialect that it is told in; own markers if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialect: Option<String>,
    },
    /// From this line on a dialect is known to be in use.
    Detected {
        /// Its name.
        dialect: String,
    },
    /// The script points out a problem, or a notice.
    #[serde(rename = "annotation")]
    Problem(Box<Problem>),
    /// The script wrote a text for people about the whole.
    Summary(Box<Text>),
    /// A test has ended.
    Test(Box<Test>),
    /// The totals of a run of tests, as its tool printed them.
    TestSummary {
        /// The dialect that they are told in.
        dialect: String,
        /// The step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        /// The package or file, if the tool counts them apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suite: Option<String>,
        /// How many of what: `passed`, `failed`, …
        counts: std::collections::BTreeMap<String, u64>,
    },
    /// The script declared a secret, which is masked from here on. What it is stands nowhere.
    SecretDeclared {
        /// The dialect that it is told in.
        dialect: String,
    },
    /// Something people should know; the script goes on.
    Warning {
        /// A stable word for programs.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// The disk failed to make output durable. What was written since the last good sync stays in
    /// doubt for ever: a later sync that succeeds says nothing about it.
    SyncFailed {
        /// Bytes from here on may not survive a power cut.
        safe: u64,
        /// What the disk said.
        why: String,
    },
    /// The output has outgrown its limit: its middle is about to be dropped. Synced, with all output
    /// before it, before a byte is gone. Each one takes in those before it.
    OutputDropped {
        /// What is gone then.
        #[serde(flatten)]
        dropped: Dropped,
        /// The setting that asked for it: `log_max_bytes`.
        reason: String,
    },
    /// The disk did not take some of the output: it is missing between the bytes before and behind
    /// this event's offset, which stand side by side in the record.
    OutputLost {
        /// Bytes that are missing.
        bytes: u64,
        /// Line feeds in them.
        lines: u64,
        /// Markers in them that could not be taken down either.
        #[serde(default)]
        markers: u64,
        /// It comes behind a half line, which what follows does not go on.
        #[serde(default)]
        cuts_line: bool,
        /// Why, for people: "the disk was full".
        why: String,
    },
    /// Somebody wants it stopped.
    CancelRequested {
        /// Why.
        reason: Reason,
        /// Who, if known.
        #[serde(default)]
        by: String,
    },
    /// A signal went to the tree.
    SignalSent {
        /// Its number.
        signal: i32,
        /// Processes that got it.
        processes: u32,
    },
    /// The disk is full, or the log is and may not grow: the script waits.
    Paused {
        /// Why, for people.
        why: String,
    },
    /// The script goes on after a pause.
    Resumed {},
    /// The execution was imported from a storage of the original StepFlow Monitor.
    Imported {
        /// What has no other place.
        origin: Box<ExecutionOrigin>,
    },
    /// A step was imported; follows its start.
    StepImported {
        /// Its number.
        step: u32,
        /// What has no other place.
        origin: Box<StepOrigin>,
    },
    /// An artifact was imported; follows its declaration.
    ArtifactImported {
        /// Its number.
        artifact: u32,
        /// What has no other place.
        origin: Box<ArtifactOrigin>,
    },
    /// The end. Nothing follows.
    Exited {
        /// How.
        status: Status,
        /// Why, unless completed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// The script's own exit code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// It left a core file.
        #[serde(default)]
        core: bool,
        /// A sentence for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Digest over all index entries, hex.
        digest: String,
        /// The index entries themselves, hex, where the log is so short that they have no file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<String>,
        /// Processes that still ran when the script's first process had ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        leftover: Vec<String>,
    },
    /// An event of a newer version, kept in its place.
    #[serde(skip)]
    Unknown,
}

/// Codes of warnings that a recorder gives by itself; all others come from the output.
const OWN_WARNINGS: [&str; 18] = [
    "clock_jump",
    "dialect_panic",
    "disk_failing",
    "disk_full",
    "junit_limit",
    "junit_none",
    "junit_old",
    "junit_unread",
    "keeper_lost",
    "mask_lost",
    "mask_unused",
    "oom_kill",
    "output_lost",
    "output_not_dropped",
    "scanner_panic",
    "source_back",
    "source_gone",
    "sync_failed",
];

impl EventKind {
    /// What an [`EventKind::OutputLost`] at output offset `at` says, for people.
    pub fn loss(&self, at: u64) -> Option<String> {
        let Self::OutputLost { bytes, lines, markers, why, .. } = self else { return None };
        let unseen = match markers {
            0 => String::new(),
            _ => format!(", among them {markers} markers that could not be taken down"),
        };
        Some(format!(
            "{why}: {bytes} bytes of output behind byte {at} are lost ({lines} lines{unseen})"
        ))
    }

    /// Whether it follows from the output alone: reading the same bytes again gives the same event.
    pub fn is_from_output(&self) -> bool {
        match self {
            Self::StepStarted { .. }
            | Self::Artifact { .. }
            | Self::Meta { .. }
            | Self::Detected { .. }
            | Self::Problem(_)
            | Self::Summary(_)
            | Self::Test(_)
            | Self::TestSummary { .. }
            | Self::SecretDeclared { .. } => true,
            Self::StepFinished { by, .. } => by != "end",
            Self::Warning { code, .. } => !OWN_WARNINGS.contains(&code.as_str()),
            // Thinned out by time: which of them are recorded does not follow from the output.
            Self::Progress { .. }
            | Self::Started { .. }
            | Self::ArtifactStored { .. }
            | Self::SyncFailed { .. }
            | Self::OutputDropped { .. }
            | Self::OutputLost { .. }
            | Self::CancelRequested { .. }
            | Self::SignalSent { .. }
            | Self::Paused { .. }
            | Self::Resumed {}
            | Self::Imported { .. }
            | Self::StepImported { .. }
            | Self::ArtifactImported { .. }
            | Self::Exited { .. }
            | Self::Unknown => false,
        }
    }
}

/// One line of `notes.ndjson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Wall clock, microseconds UTC.
    pub time_us: i64,
    /// What is noted.
    #[serde(flatten)]
    pub kind: NoteKind,
}

/// What others than the recorder add to a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum NoteKind {
    /// Neither recorder nor keeper is left and the journal has no end.
    Lost {
        /// [`Reason::RecorderLost`] or [`Reason::HostRestarted`].
        reason: Reason,
    },
    /// After a crash: what the files' checksums did not prove.
    Recovered {
        /// Output bytes without an index entry, kept and marked unverified.
        unverified_bytes: u64,
        /// Bytes of index and journal that were set aside.
        set_aside_bytes: u64,
        /// Output bytes whose checksum does not match.
        damaged_bytes: u64,
    },
    /// Somebody other than the script added a file; its copy is in the storage already.
    ArtifactAdded {
        /// Its number, from [`crate::UPLOADED_FIRST`] on.
        artifact: u32,
        /// The step it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        /// Its file name.
        name: String,
        /// Its description; may be empty.
        description: String,
        /// SHA-256 of the copy, hex.
        sha256: String,
        /// Size of the copy in bytes.
        size: u64,
    },
    /// An artifact was removed.
    ArtifactRemoved {
        /// Its number.
        artifact: u32,
    },
    /// Somebody gave it another name, other tags, or pinned it. What is absent stays as it was.
    Labelled {
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// All its tags.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<Vec<String>>,
        /// Whether it is pinned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<bool>,
    },
    /// Somebody wants it stopped, and its recorder did not answer: whoever follows the record asks
    /// again until it does.
    CancelWished {
        /// Who, if known.
        #[serde(default)]
        by: String,
    },
    /// It ended before its start.
    NotStarted {
        /// [`Reason::NotStarted`] or [`Reason::StartFailed`], or [`Reason::User`] for a cancel.
        reason: Reason,
        /// A sentence for people.
        message: String,
    },
}
