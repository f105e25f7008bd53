//! What fuzz targets share.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, path::Path};

use stepflow_model::{LogSync, Source, Spec};

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
    Spec {
        id: "0198c2aa-0000-7000-8000-000000000001".parse().expect("an id"),
        name: "fuzz".to_owned(),
        command: vec!["true".to_owned()],
        cwd: "/".to_owned(),
        env: BTreeMap::new(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: vec![],
        metadata: serde_json::Map::new(),
        user: String::new(),
        created_us: 1,
        source: Source::Cli,
        bound: false,
        timeout_ms: None,
        grace_ms: 1,
        drain_ms: 1,
        stop_on_error: false,
        split_stderr: false,
        shell: false,
        pty: None,
        log_sync: LogSync::default(),
        rerun_of: None,
    }
}
