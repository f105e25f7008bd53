//! What fuzz targets share.
#![forbid(unsafe_code)]

use std::path::Path;

use stepflow_model::Spec;

/// A directory of its own, in memory where there is one: thousands of files are synced a second.
pub fn quick_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    dir.expect("a temporary directory")
}

/// Cuts the input into as many parts as there are names, and writes them as files of `dir`. The first
/// bytes say how long each part is, in 64ths of what is there.
pub fn files(dir: &Path, names: &[&str], data: &[u8]) -> Vec<Vec<u8>> {
    let (sizes, mut rest) = data.split_at(data.len().min(names.len()));
    let mut parts = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let share = sizes.get(at).map_or(64, |size| usize::from(*size % 65));
        let last = at + 1 == names.len();
        let size = if last { rest.len() } else { rest.len() * share / 64 };
        let (part, after) = rest.split_at(size);
        rest = after;
        std::fs::write(dir.join(name), part).expect("a file");
        parts.push(part.to_vec());
    }
    parts
}

/// Some spec.
pub fn spec() -> Spec {
    // As a record has it: what comes to a spec later has a default for older ones.
    let text = r#"{"id":"0198c2aa-0000-7000-8000-000000000001","name":"fuzz","command":["true"],
        "cwd":"/","env":{},"env_inherited":[],"mask_env":[],"tags":[],"metadata":{},"user":"",
        "created_us":1,"source":"cli","bound":false,"timeout_ms":null,"grace_ms":1,"drain_ms":1,
        "stop_on_error":false,"split_stderr":false,"shell":false,"rerun_of":null}"#;
    serde_json::from_str(text).expect("a spec")
}
