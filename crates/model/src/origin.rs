//! What the original StepFlow Monitor kept of an execution and has no place of its own here.
//!
//! It travels in the journal of an imported record, so a rebuilt catalog has it as well.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ExecutionState;

/// What was wrong with an execution of the original, and was put right when it was imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repairs {
    /// It had no end: the original server was killed or stopped while it ran.
    #[serde(skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// It had steps or artifacts, but no row of its own.
    #[serde(skip_serializing_if = "is_false")]
    pub row_missing: bool,
    /// Steps whose end was never saved.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps_closed: u64,
    /// Step logs without a row: a step was made for each.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps_found: u64,
    /// Log lines without a readable time.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_without_time: u64,
    /// Step logs that could not be read, or not to their end.
    #[serde(skip_serializing_if = "is_zero")]
    pub logs_unreadable: u64,
    /// Values that could not be read as what their column holds; the texts are kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub values_unreadable: u64,
}

impl Repairs {
    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What the original kept of an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionOrigin {
    /// Its id there, if that is none of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The command's text, if its words joined by spaces give another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What was put right.
    #[serde(default, skip_serializing_if = "Repairs::is_empty")]
    pub repairs: Repairs,
    /// Columns as they were, by their names there: what was put right, and what we do not know.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// What the original kept of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOrigin {
    /// Its id there, which goes on to be its id.
    pub id: String,
    /// Made, microseconds UTC; its start follows.
    pub created_us: i64,
    /// Its description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Expected duration in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_s: Option<f64>,
    /// Its failure stops the script.
    #[serde(default)]
    pub stop_on_error: bool,
    /// As in [`ExecutionOrigin::extra`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// What the original kept of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactOrigin {
    /// Its id there, which goes on to be its id.
    pub id: String,
    /// The id of its step there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// Its name.
    pub name: String,
    /// The file's name; empty when there was none.
    #[serde(default)]
    pub file_name: String,
    /// The file's size, as it was declared.
    #[serde(default)]
    pub file_size: u64,
    /// Its type; empty when there was no file.
    #[serde(default)]
    pub mime_type: String,
    /// Its kind.
    #[serde(default)]
    pub artifact_type: String,
    /// Free words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Free data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Whether it is public.
    #[serde(default)]
    pub is_public: bool,
    /// How long to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// As in [`ExecutionOrigin::extra`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl ExecutionState {
    pub(crate) fn imported(&mut self, origin: &ExecutionOrigin) {
        if let Some(command) = &origin.command {
            self.summary.command.clone_from(command);
        }
        self.summary.origin = Some(Box::new(origin.clone()));
    }

    /// Returns whether there is such a step.
    pub(crate) fn step_imported(&mut self, step: u32, origin: &StepOrigin) -> bool {
        let Some(known) = self.steps.get_mut(step as usize) else { return false };
        known.estimated_s = origin.estimated_s;
        known.stop_on_error = origin.stop_on_error;
        known.origin = Some(Box::new(origin.clone()));
        true
    }

    /// Returns whether there is such an artifact.
    pub(crate) fn artifact_imported(&mut self, artifact: u32, origin: &ArtifactOrigin) -> bool {
        let Some(known) = self.artifact_mut(artifact) else { return false };
        known.origin = Some(Box::new(origin.clone()));
        true
    }
}
