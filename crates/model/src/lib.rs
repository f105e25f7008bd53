//! What an execution is: ids, statuses, events, and the pure folds between them.
//!
//! Two functions carry the crate. [`steps::decide`] turns what a marker said into events (what it
//! *means* here); [`ExecutionState::apply`] turns events into the state that people see. Live view,
//! catalog, terminal and `reindex` all fold the same events, so they cannot disagree.
//!
//! No I/O, no clock: times, offsets and ids are handed in.
#![forbid(unsafe_code)]

mod dropped; // output that is gone by policy
mod emulation; // systems that a script can be told it runs in
mod event; // what the recorder writes to the journal, and others to the notes
mod expected; // how long a step should take
mod id; // ids that cannot be malformed
mod junit; // which files of results are read
mod origin; // what the original StepFlow Monitor kept and has no other place
pub mod results; // which tests there were, and what the past says of them
mod spec; // what to run
mod state; // the fold from events to what people see
mod status; // the words for where an execution or a step stands
pub mod steps; // the rules: from a marker, or the end, to events
mod told; // what scripts tell beside their steps

pub use crate::{
    dropped::Dropped,
    emulation::Emulation,
    event::{Event, EventKind, Note, NoteKind},
    id::{ArtifactId, ExecutionId, IdError, StepId},
    junit::{JUNIT_GLOBS_MAX, JunitFiles, JunitGlobError, check_junit},
    origin::{ArtifactOrigin, ExecutionOrigin, Repairs, StepOrigin},
    spec::{
        Containment, DialectsError, LOG_MAX_BYTES_DEFAULT, LOG_MAX_BYTES_MIN, Leftover, LogFull,
        LogSync, OnDiskFull, Spec, TerminalSize, check_dialects, dialect_default, drain_default,
        grace_default,
    },
    state::{Annotation, Artifact, Detected, ExecutionState, Loss, Position, Step, Summary},
    status::{Reason, Source, Status, StepStatus, Stream},
    told::{JUNIT, Problem, Severity, Test, TestStatus, TestTotals, Tests, Text},
};

/// Most steps in one execution; later `STEP_START` lines stay plain output and earn one warning.
pub const STEPS_MAX: usize = 10_000;
/// Most artifacts in one execution.
pub const ARTIFACTS_MAX: usize = 1_000;
/// Number of the first artifact that somebody uploaded: the script's own are counted from 0.
pub const UPLOADED_FIRST: u32 = 100_000;
/// Most artifacts that are uploaded to one execution.
pub const UPLOADS_MAX: usize = 1_000;
/// Most warnings kept in the state of one execution; all of them stay in its journal.
pub const ANNOTATIONS_MAX: usize = 1_000;
/// Most problems that one execution points out; one warning says that the rest is not noted.
pub const PROBLEMS_MAX: usize = 2_000;
/// Most texts about one execution.
pub const TEXTS_MAX: usize = 100;
/// Most tests of one execution, and most totals of tests.
pub const TESTS_MAX: usize = 50_000;
/// Most bytes of the problems and texts of one execution, together: 4 MiB.
pub const TOLD_BYTES_MAX: usize = 4 << 20;
/// Most secrets that the output of one execution declares and that are noted.
pub const SECRETS_MAX: usize = 1_000;
/// Most warnings that the markers of one execution give rise to, besides those about its limits: one
/// more says that the rest is not noted. Fewer than annotations, so that others find room.
pub const WARNINGS_MAX: usize = 900;
/// Most changes of metadata by `META` in one execution.
pub const METAS_MAX: usize = 10_000;
/// Most metadata pairs on an execution or a step.
pub const METADATA_MAX: usize = 1_000;
