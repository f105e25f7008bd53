//! A disk that has too little room for a new execution.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::{Value, json};
use stepflow_client::{ClientError, Server as Client};
use stepflow_testkit::{Ended, Scratch, SmallDisk, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const LEAST: &str = "8M";

struct Place {
    scratch: Scratch,
    disk: SmallDisk,
}

impl Place {
    fn new() -> Self {
        let disk = SmallDisk::mount("24m");
        let scratch = Scratch::new(STEPFLOW).at(&disk.path().join("storage"));
        Self { scratch, disk }
    }

    /// Fills the disk to less than [`LEAST`]; `false`: frees it again.
    fn crowd(&self, full: bool) {
        let ballast = self.disk.path().join("ballast");
        if full {
            File::create(ballast).unwrap().write_all(&vec![1; 20 << 20]).unwrap();
        } else {
            std::fs::remove_file(ballast).unwrap();
        }
    }

    fn said(&self, args: &[&str]) -> Output {
        let mut command = self.scratch.command(args);
        command.env("STEPFLOW_DISK_MIN_FREE", LEAST).output().unwrap()
    }

    fn records(&self) -> usize {
        self.scratch.storage.executions().unwrap().len()
    }
}

#[test]
fn commands_start_nothing_new_on_a_disk_with_too_little_room_and_leave_nothing_behind() {
    let place = Place::new();
    let id = place.scratch.detach(&[], &["true"]);
    place.scratch.ended(id);
    place.crowd(true);
    let id = id.to_string();
    for args in [&["run", "--", "true"][..], &["run", "--detach", "--", "true"], &["rerun", &id]] {
        let output = place.said(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{args:?}: {said}");
        assert!(said.contains("a new execution needs 8.0 MiB"), "{said}");
        assert!(said.contains("STEPFLOW_DISK_MIN_FREE"), "{said}");
    }
    let mut pipe = place.scratch.command(&["pipe"]);
    pipe.env("STEPFLOW_DISK_MIN_FREE", LEAST).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut pipe = pipe.spawn().unwrap();
    let _ = pipe.stdin.take().unwrap().write_all(b"x\n"); // It may be gone before it has read.
    let output = pipe.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.records(), 1, "what is refused leaves nothing");

    let doctor = place.said(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("new executions are refused below 8.0 MiB"), "{said}");
    // 0 asks nobody, and a file beside the caller says the same as the variable.
    assert_eq!(place.scratch.output(&["run", "--", "true"]).status.code(), Some(0), "the default");
    std::fs::write(place.scratch.work().join("stepflow.toml"), "disk_min_free = \"8M\"\n").unwrap();
    assert_eq!(place.scratch.output(&["run", "--", "true"]).status.code(), Some(125));
    let mut off = place.scratch.command(&["run", "--", "true"]);
    assert!(off.env("STEPFLOW_DISK_MIN_FREE", "0").status().unwrap().success());
    place.crowd(false);
    assert_eq!(place.said(&["run", "--", "true"]).status.code(), Some(0));
}

fn refusal(answer: Result<Value, ClientError>) -> (u16, String) {
    match answer.unwrap_err() {
        ClientError::Refused { status, detail, hint, .. } => {
            (status, format!("{detail} {}", hint.unwrap_or_default()))
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_server_refuses_executions_and_streams_on_a_disk_with_too_little_room_and_says_so() {
    let place = Place::new();
    let args = ["serve", "--listen", "127.0.0.1:0", "--auth", "off", "--disk-min-free", LEAST];
    let mut child = place.scratch.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = lines.find_map(|line| line.unwrap().strip_prefix("listening on ").map(str::to_owned));
    let url = url.unwrap();
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    let _server = Ended(child);
    let client = Client::at(place.scratch.storage.run_dir().join("server.sock"));
    let create = || client.post("/api/executions", &json!({"command": ["sleep", "1000"]}));
    let ingest = |id: &str| {
        let path = format!("{url}/api/ingest/{id}");
        let args = ["-s", "-o", "/dev/stdout", "-w", "%{http_code}", "-X", "PUT", "--data-binary"];
        let output = Command::new("curl").args(args).args(["x\n", &path]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let running = create().unwrap()["id"].as_str().unwrap().to_owned();
    place.crowd(true);
    let (status, said) = refusal(create());
    assert_eq!(status, 507, "{said}");
    assert!(said.contains("bytes free, and a new execution needs 8388608"), "{said}");
    assert!(said.contains("lower disk_min_free"), "{said}");
    let said = ingest("0198c2aa-0000-7000-8000-000000000001");
    assert!(said.ends_with("507") && said.contains("disk-low"), "{said}");
    assert_eq!(place.records(), 1, "what is refused leaves nothing");
    let health = Command::new("curl").args(["-s", &format!("{url}/api/health/status")]).output();
    let health: Value = serde_json::from_slice(&health.unwrap().stdout).unwrap();
    assert_eq!(health["components"]["storage"]["what"], "space-refused", "{health}");
    // What runs goes on and can be ended.
    let detail = client.get(&format!("/api/executions/{running}?logs=0")).unwrap();
    assert_eq!(detail["execution"]["status"], "running");
    client.post(&format!("/api/executions/{running}/cancel"), &json!({})).unwrap();
    place.scratch.ended(running.parse().unwrap());
    place.crowd(false);
    let id = create().unwrap()["id"].as_str().unwrap().to_owned();
    eventually("it runs", || {
        let detail = client.get(&format!("/api/executions/{id}?logs=0")).ok()?;
        (detail["execution"]["status"] == "running").then_some(())
    });
    let said = ingest("0198c2aa-0000-7000-8000-000000000001");
    assert!(said.contains("\"status\":\"completed\""), "{said}");
}
