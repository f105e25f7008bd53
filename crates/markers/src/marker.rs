//! The vocabulary: what a marker line can say.

use crate::MarkerError;

/// A parameter's value, converted by the rules of `docs/reference/markers.md`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false` in any case.
    Bool(bool),
    /// Digits only, without leading zeros, at most [`i64::MAX`]; a minus is allowed.
    Int(i64),
    /// Digits with exactly one dot: `1.5`, `.5`, `5.`; a minus is allowed. Always finite.
    Float(f64),
    /// Everything else.
    Text(String),
}

/// A marker's parameters in the order of their last assignment; keys are unique.
pub type Params = Vec<(String, Value)>;

/// One marker, as the script printed it.
#[derive(Debug, Clone, PartialEq)]
pub enum Marker {
    /// `STEP_START:name [k=v]`.
    StepStart {
        /// The name without parameters; never empty.
        name: String,
        /// All parameters, `id` and `parent` included.
        params: Params,
    },
    /// `STEP_COMPLETE:name`.
    StepComplete {
        /// The name without parameters; never empty.
        name: String,
        /// All parameters.
        params: Params,
    },
    /// `STEP_ERROR:description`.
    StepError {
        /// The whole text, parameters included.
        description: String,
        /// All parameters.
        params: Params,
    },
    /// `STEP_SKIP:name:reason`.
    StepSkip {
        /// The name without parameters; never empty.
        name: String,
        /// Why, without parameters; may be empty.
        reason: String,
        /// All parameters.
        params: Params,
    },
    /// `ARTIFACT:path:description`.
    Artifact {
        /// The path as written, trimmed; never empty.
        path: String,
        /// The description, trimmed; may be empty.
        description: String,
    },
    /// `META:key:value`.
    Meta {
        /// Trimmed; never empty.
        key: String,
        /// Trimmed; never empty.
        value: String,
    },
    /// `PROGRESS:percent:text`.
    Progress {
        /// 0 to 100.
        percent: f64,
        /// What is being done, without parameters; may be empty.
        text: String,
        /// All parameters.
        params: Params,
    },
}

/// A marker (or the reason why a line that begins like one is refused) and the line that held it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The marker, or why it is refused; a refused line stays ordinary output and earns a warning.
    pub outcome: Result<Marker, MarkerError>,
    /// Output offset of the line's first byte.
    pub start: u64,
    /// Output offset just after the line's line feed (or after its last byte at the end of stream).
    pub end: u64,
}
