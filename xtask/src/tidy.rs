//! Which crate may use which, and where `unsafe` may stand: the arrows of `docs/architecture.md`.

use std::{fs, path::Path};

/// A crate and the crates of ours that it may use, tests aside.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("markers", &[]),
    ("model", &["markers"]),
    ("api", &["model"]),
    ("sys", &[]),
    ("record", &["model", "sys"]),
    ("catalog", &["model"]),
    // The bench measures the catalog from within, everything else as its users see it: over HTTP and
    // by its commands. So nothing that it measures can be made for it.
    ("bench", &["catalog", "model"]),
    ("original", &["catalog", "model", "record", "sys"]),
    ("recorder", &["markers", "model", "record", "sys"]),
    ("engine", &["catalog", "model", "original", "record", "recorder", "sys", "view"]),
    ("client", &["api", "model"]),
    ("view", &["markers", "model", "record"]),
    ("server", &["api", "catalog", "engine", "model", "record", "sys", "view"]),
    (
        "cli",
        &[
            "api", "bench", "catalog", "client", "engine", "markers", "model", "original",
            "record", "recorder", "server", "sys", "view",
        ],
    ),
    ("testkit", &["model", "record", "sys"]),
];

/// Dependencies that a recorder must never have.
const NOT_IN_RECORDER: [&str; 5] = ["tokio", "axum", "hyper", "rusqlite", "futures-util"];

/// Checks the arrows.
pub fn tidy(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    let crates = root.join("crates");
    let entries =
        fs::read_dir(&crates).map_err(|error| format!("{}: {error}", crates.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("crates/{name} has no line in xtask/src/tidy.rs"));
            continue;
        };
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines() {
            let Some(used) = line.split(['=', '.']).next().map(str::trim) else { continue };
            if let Some(ours) = used.strip_prefix("stepflow-")
                && !allowed.contains(&ours)
            {
                wrong.push(format!("crates/{name} must not use {used}"));
            }
            if ["recorder", "record", "sys", "model", "markers"].contains(&name.as_str())
                && NOT_IN_RECORDER.contains(&used)
            {
                wrong
                    .push(format!("crates/{name} is part of the recorder and must not use {used}"));
            }
        }
        if name != "sys" {
            let front = ["src/lib.rs", "src/main.rs"];
            let forbids = front.iter().any(|file| {
                fs::read_to_string(entry.path().join(file))
                    .is_ok_and(|text| text.contains("#![forbid(unsafe_code)]"))
            });
            if !forbids {
                wrong.push(format!("crates/{name} does not forbid unsafe code"));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("not tidy:\n  {}", wrong.join("\n  "))) }
}
