use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepflow_model::{ArtifactId, ExecutionId, StepId};

use crate::time::rfc3339;

/// One declared file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct Artifact {
    pub id: String,
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    pub execution_id: ExecutionId,
    pub step_id: Option<String>,
    pub name: String,
    pub description: String,
    pub file_path: String,
    pub file_name: String,
    pub file_size: u64,
    pub file_size_human: String,
    pub mime_type: String,
    pub artifact_type: String,
    pub file_extension: String,
    pub created_at: String,
    pub tags: Vec<String>,
    #[cfg_attr(feature = "ts", ts(type = "Record<string, unknown>"))]
    pub metadata: Map<String, Value>,
    pub is_public: bool,
    pub retention_days: Option<u32>,
    pub exists: bool,
    pub download_url: String,
    pub is_expired: bool,
    pub sha256: Option<String>,
    pub problem: Option<String>,
    pub changed: bool,
}

impl Artifact {
    /// `artifact` of `execution`.
    pub fn new(execution: ExecutionId, artifact: &stepflow_model::Artifact) -> Self {
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
#[expect(missing_docs, reason = "docs/reference/api.md describes the fields, once")]
pub struct ArtifactList {
    pub artifacts: Vec<Artifact>,
    pub count: usize,
    #[serde(default)]
    pub has_more: bool,
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
