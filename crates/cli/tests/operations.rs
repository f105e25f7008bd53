//! The commands of `docs/operations.md`, run as they stand there, and its Prometheus files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::json;
use stepflow_client::Server as Client;
use stepflow_testkit::{Ended, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const PAGE: &str = include_str!("../../../docs/operations.md");

/// Fenced blocks with this info string, each with the line it begins at.
fn blocks(info: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = PAGE.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line == format!("```{info}") {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            found.push((at + 2, body.join("\n")));
        }
    }
    found
}

#[test]
fn every_command_of_the_page_works() {
    let scratch = Scratch::new(STEPFLOW);
    for script in ["echo STEP_START:Build; echo x; echo STEP_COMPLETE:Build", "exit 3"] {
        scratch.output(&["run", "--name", "demo", "--shell", "--", script]);
    }
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let _server = Ended(server);
    let url = loop {
        let line = lines.next().expect("the server says where it listens").unwrap();
        if let Some(url) = line.strip_prefix("listening on ") {
            break url.to_owned();
        }
    };
    thread::spawn(move || lines.for_each(drop));
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    eventually("both are in the catalog", || {
        let statistics = client.get("/api/executions/statistics").ok()?;
        (statistics["total_executions"] == 2).then_some(())
    });
    let made = client.post("/api/tokens", &json!({"name": "page", "scope": "operator"})).unwrap();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let programs = Path::new(STEPFLOW).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let all = blocks("sh test");
    assert!(all.len() >= 10, "the page has lost its commands");
    for (line, block) in all {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(&root)
            .env("PATH", &path)
            .env("STORAGE", scratch.storage.root())
            .env("URL", &url)
            .env("TOKEN", made["token"].as_str().unwrap())
            .env("HOME", scratch.work())
            .env_remove("STEPFLOW_STORAGE_PATH")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "docs/operations.md:{line}: {}\n{block}\n--- says\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            block.contains("-o /dev/null")
                || block.contains("promtool")
                || !output.stdout.is_empty()
                || block.contains(".findings[]")
                || block.contains("BACKUP"),
            "docs/operations.md:{line}: says nothing\n{block}"
        );
    }
}

#[test]
fn prometheus_reads_the_pages_configuration_and_rules_and_every_metric_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, check) in [("yaml scrape", "config"), ("yaml alerts", "rules")] {
        let [(_, text)] = blocks(kind).try_into().expect("one such block");
        let file = dir.path().join("prometheus.yml");
        // The token's file is the reader's own.
        fs::write(&file, text.replace("/etc/prometheus/stepflow.token", file.to_str().unwrap()))
            .unwrap();
        let said = Command::new("promtool")
            .args(["check", check])
            .arg(&file)
            .output()
            .expect("promtool (Debian package `prometheus`; `cargo xtask test` installs it)");
        let words = String::from_utf8_lossy(&said.stdout).into_owned()
            + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{kind}: {words}");
    }
    let source = include_str!("../../server/src/prometheus.rs");
    for word in PAGE.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        if let Some(name) = word.strip_prefix("stepflow_").filter(|name| name.contains('_')) {
            let base = name.trim_end_matches("_bucket");
            assert!(source.contains(&format!("\"stepflow_{base}\"")), "no metric {word}");
        }
    }
}

#[test]
fn the_table_of_troubles_names_what_doctor_and_health_say() {
    let mut sources = String::new();
    let doctor = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    for file in fs::read_dir(doctor).unwrap() {
        sources += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let table: Vec<&str> = PAGE.split("## Troubleshooting").nth(1).unwrap().lines().collect();
    let mut named = 0;
    for row in table.iter().filter(|row| row.starts_with("| ") && !row.starts_with("| check")) {
        let cell = row.split('|').nth(1).unwrap();
        for id in cell.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("\"{id}\"")), "doctor has no check `{id}`");
            named += 1;
        }
    }
    assert!(named > 20);
    let health = include_str!("../../server/src/health.rs");
    for finding in [
        "slow-commits",
        "slow-reads",
        "wal-large",
        "cache-hit-ratio",
        "fragmentation",
        "queue",
        "commits-failed",
        "busy",
    ] {
        assert!(
            health.contains(&format!("\"{finding}\"")) && PAGE.contains(&format!("`{finding}`"))
        );
    }
}
