use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ArtifactId, ArtifactOrigin, ExecutionId, StepId};

use crate::time::rfc3339;

/// One declared file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Artifact {
    /// `<execution>-a<number>`.
    pub id: String,
    /// Its execution.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Id"))]
    pub execution_id: ExecutionId,
    /// The step that was open.
    pub step_id: Option<String>,
    /// Last part of its path.
    pub name: String,
    /// As the marker says.
    pub description: String,
    /// As the script wrote it.
    pub file_path: String,
    /// The same as `name`; empty if there is no copy.
    pub file_name: String,
    /// Bytes of the copy.
    pub file_size: u64,
    /// For people: `4.0 KB`.
    pub file_size_human: String,
    /// By extension; empty if there is no copy.
    pub mime_type: String,
    /// Always `other`, as in the original.
    pub artifact_type: String,
    /// With its dot, in lower case.
    pub file_extension: String,
    /// When it was declared.
    pub created_at: String,
    /// Always empty.
    pub tags: Vec<String>,
    /// Always empty.
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    /// Always true, as in the original.
    pub is_public: bool,
    /// Days it is kept; null: no limit.
    pub retention_days: Option<u32>,
    /// There is a copy.
    pub exists: bool,
    /// Where its bytes are.
    pub download_url: String,
    /// Its days are over.
    pub is_expired: bool,
    /// Of the copy, hex.
    pub sha256: Option<String>,
    /// Why there is no copy.
    pub problem: Option<String>,
    /// The file changed while it was copied.
    pub changed: bool,
}

impl Artifact {
    /// `artifact` of `execution`.
    pub fn new(execution: ExecutionId, artifact: &stepflow_model::Artifact) -> Self {
        let shown = Self::ours(execution, artifact);
        match &artifact.origin {
            Some(origin) => shown.imported(origin, artifact.created_us),
            None => shown,
        }
    }

    /// With what the original StepFlow Monitor said of it: ids and types stay as callers know them.
    fn imported(self, origin: &ArtifactOrigin, created_us: i64) -> Self {
        let expired = |days: u32| {
            let age = i64::from(days).saturating_mul(86_400_000_000);
            created_us.saturating_add(age) < jiff::Timestamp::now().as_microsecond()
        };
        Self {
            step_id: origin.step_id.clone(),
            name: origin.name.clone(),
            file_name: origin.file_name.clone(),
            file_size: origin.file_size,
            file_size_human: human_size(origin.file_size),
            mime_type: origin.mime_type.clone(),
            artifact_type: origin.artifact_type.clone(),
            file_extension: extension(&origin.file_name),
            tags: origin.tags.clone(),
            metadata: origin.metadata.clone(),
            is_public: origin.is_public,
            retention_days: origin.retention_days,
            is_expired: origin.retention_days.is_some_and(expired),
            download_url: format!("/api/artifacts/{}/download", origin.id),
            id: origin.id.clone(),
            ..self
        }
    }

    fn ours(execution: ExecutionId, artifact: &stepflow_model::Artifact) -> Self {
        let id = ArtifactId { execution, index: artifact.index }.to_string();
        let name = artifact.path.rsplit('/').next().unwrap_or_default();
        let exists = artifact.sha256.is_some();
        let extension = extension(name);
        Self {
            execution_id: execution,
            step_id: artifact.step.map(|index| StepId { execution, index }.to_string()),
            name: name.to_owned(),
            description: artifact.description.clone(),
            file_path: artifact.path.clone(),
            // Of a file that is not there nothing is known, as in the original.
            file_name: if exists { name.to_owned() } else { String::new() },
            file_size: artifact.size,
            file_size_human: human_size(artifact.size),
            mime_type: if exists { mime_type(&extension).to_owned() } else { String::new() },
            artifact_type: "other".to_owned(),
            file_extension: extension,
            created_at: rfc3339(artifact.created_us),
            tags: Vec::new(),
            metadata: Map::new(),
            is_public: true,
            retention_days: None,
            exists,
            download_url: format!("/api/artifacts/{id}/download"),
            is_expired: false,
            sha256: artifact.sha256.clone(),
            problem: artifact.problem.clone(),
            changed: artifact.changed,
            id,
        }
    }
}

/// `GET /api/artifacts` and `GET /api/artifacts/execution/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactList {
    /// Newest first; of one execution: in order of declaration.
    pub artifacts: Vec<Artifact>,
    /// How many are in this answer.
    pub count: usize,
    /// There are more behind these.
    #[serde(default)]
    pub has_more: bool,
    /// For `before`, to get the next page.
    #[serde(default)]
    pub next_before: Option<String>,
}

/// The extension with its dot, in lower case; empty without one. `.profile` has none.
fn extension(name: &str) -> String {
    match name.rfind('.') {
        Some(at) if at > 0 && at + 1 < name.len() => name[at..].to_ascii_lowercase(),
        _ => String::new(),
    }
}

/// `0 B`, `29.0 B`, `4.0 KB`: steps of 1024, one decimal, as the original wrote it.
pub fn human_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0 B".to_owned();
    }
    let mut size = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.1} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TB")
}

/// The type that goes with an extension (with its dot, in lower case).
pub fn mime_type(extension: &str) -> &'static str {
    match extension {
        ".txt" | ".log" => "text/plain",
        ".html" => "text/html",
        ".xml" => "text/xml",
        ".json" => "application/json",
        ".csv" => "text/csv",
        ".pdf" => "application/pdf",
        ".zip" => "application/zip",
        ".tar" => "application/x-tar",
        ".gz" => "application/gzip",
        ".png" => "image/png",
        ".jpg" | ".jpeg" => "image/jpeg",
        ".gif" => "image/gif",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_the_original_wrote_them() {
        let cases = [
            (0, "0 B"),
            (29, "29.0 B"),
            (4096, "4.0 KB"),
            (1 << 20, "1.0 MB"),
            (1 << 50, "1024.0 TB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn an_extension_has_its_dot_and_is_in_lower_case() {
        for (name, expected) in
            [("a.TXT", ".txt"), ("a.tar.gz", ".gz"), (".profile", ""), ("a.", ""), ("a", "")]
        {
            assert_eq!(extension(name), expected, "{name}");
        }
    }
}
