//! What the original server answered, asked again of this one: every difference is one that the
//! table `fixtures/original/differences.toml` allows, and every line of the table is needed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

mod diff; // two JSON values, key by key
mod document; // docs/reference/compatibility.md says the same as the table
mod http; // the recorded exchanges
mod server; // a server with the recorded scripts
mod table; // what may differ, and why
mod websocket; // the recorded frames

use std::path::PathBuf;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> serde_json::Value {
    let path = repository().join("fixtures/original").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
