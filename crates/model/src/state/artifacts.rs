//! Files: declared by the script, uploaded by others, removed.

use super::{Artifact, ExecutionState};
use crate::{Event, Note, NoteKind, UPLOADED_FIRST};

impl ExecutionState {
    /// The artifact with this number, unless it was removed.
    pub fn artifact(&self, index: u32) -> Option<&Artifact> {
        let at = self.artifacts.binary_search_by_key(&index, |known| known.index).ok()?;
        self.artifacts.get(at)
    }

    /// The number of the next uploaded artifact. Numbers of removed ones are not used again.
    pub fn next_upload(&self) -> u32 {
        let known = self.artifacts.iter().chain(&self.removed).map(|known| known.index);
        known.filter(|index| *index >= UPLOADED_FIRST).max().map_or(UPLOADED_FIRST, |last| last + 1)
    }

    pub(crate) fn artifact_mut(&mut self, index: u32) -> Option<&mut Artifact> {
        let at = self.artifacts.binary_search_by_key(&index, |known| known.index).ok()?;
        self.artifacts.get_mut(at)
    }

    pub(super) fn artifact_declared(
        &mut self,
        event: &Event,
        index: u32,
        step: Option<u32>,
        path: &str,
        description: &str,
    ) {
        if index != self.declared_artifacts {
            return; // A journal with a hole: `record` has reported it.
        }
        self.declared_artifacts += 1;
        self.insert_artifact(Artifact {
            index,
            step,
            path: path.to_owned(),
            description: description.to_owned(),
            created_us: event.time_us,
            sha256: None,
            size: 0,
            changed: false,
            problem: None,
            settled: false,
            origin: None,
        });
    }

    /// Takes a note about a file; `false`: it is about something else.
    pub(super) fn artifact_noted(&mut self, note: &Note) -> bool {
        match &note.kind {
            NoteKind::ArtifactAdded { artifact, step, name, description, sha256, size } => {
                let known = self.removed.iter().any(|removed| removed.index == *artifact);
                if !known && self.artifact(*artifact).is_none() {
                    self.insert_artifact(Artifact {
                        index: *artifact,
                        step: *step,
                        path: name.clone(),
                        description: description.clone(),
                        created_us: note.time_us,
                        sha256: Some(sha256.clone()),
                        size: *size,
                        changed: false,
                        problem: None,
                        settled: true,
                        origin: None,
                    });
                }
                true
            }
            NoteKind::ArtifactRemoved { artifact } => {
                let at = self.artifacts.binary_search_by_key(artifact, |known| known.index);
                if let Ok(at) = at {
                    self.removed.push(self.artifacts.remove(at));
                    self.summary.artifacts = self.artifacts.len() as u32;
                    self.changed_artifacts.push(*artifact);
                }
                true
            }
            _ => false,
        }
    }

    fn insert_artifact(&mut self, artifact: Artifact) {
        let index = artifact.index;
        let at = self.artifacts.partition_point(|known| known.index < index);
        self.artifacts.insert(at, artifact);
        self.summary.artifacts = self.artifacts.len() as u32;
        self.changed_artifacts.push(index);
    }
}
