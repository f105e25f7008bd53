//! `stepflow doctor`: each thing is broken for real, and found.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{FileExt, PermissionsExt},
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use stepflow_testkit::{Ended, Scratch, eventually, is_alive, kill, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// What a doctor found: level, detail and remedy by check; and the exit code.
fn doctor(scratch: &Scratch) -> (BTreeMap<String, (String, String)>, i32) {
    let output = scratch.output(&["doctor", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr));
    });
    let checks = json["checks"].as_array().unwrap().iter();
    let found = checks.map(|check| {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let level = text("level");
        assert_eq!(level == "ok", check["remedy"].is_null(), "{check}");
        (text("id"), (level, text("detail")))
    });
    (found.collect(), output.status.code().unwrap())
}

fn level<'a>(found: &'a BTreeMap<String, (String, String)>, id: &str) -> &'a str {
    &found.get(id).unwrap_or_else(|| panic!("no check {id}: {found:#?}")).0
}

/// A storage with one ended execution.
fn ran() -> Scratch {
    let scratch = Scratch::new(STEPFLOW);
    scratch.output(&["run", "--name", "one", "--", "echo", "hello"]);
    scratch
}

fn files(scratch: &Scratch) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut dirs = vec![scratch.storage.root().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                dirs.push(entry.path());
            } else {
                found.push((entry.path(), meta.len()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_healthy_storage_passes_and_nothing_is_changed() {
    let scratch = ran();
    let before = files(&scratch);
    let (found, code) = doctor(&scratch);
    assert_eq!(files(&scratch), before, "it leaves nothing behind");
    assert_eq!(code, 0);
    for id in [
        "storage.modes",
        "storage.owner",
        "database",
        "database.wal_mode",
        "records.open",
        "database.integrity",
        "records.dead",
        "records.catalog",
        "server",
        "lock",
        "leftovers",
    ] {
        assert_eq!(level(&found, id), "ok", "{id}: {found:#?}");
    }
    assert!(found["sizes"].1.contains("1 execution"), "{found:#?}");
    for id in ["speed.files", "speed.database", "speed.list", "space", "memory", "limits.files"] {
        assert!(!found[id].1.is_empty(), "{id}");
    }
    let text = scratch.text(&["doctor"]);
    assert!(text.contains("0 failed") && text.contains("database.wal_mode"), "{text}");
}

#[test]
fn a_storage_that_is_not_there_is_not_made() {
    let scratch = Scratch::new(STEPFLOW);
    let nowhere = scratch.work().join("nowhere");
    let output = Command::new(STEPFLOW)
        .args(["--storage", nowhere.to_str().unwrap(), "doctor"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("there is no such directory"), "{text}");
    assert!(!nowhere.exists());
}

#[test]
fn modes_that_let_others_look_are_found() {
    let scratch = ran();
    let log = scratch.storage.record_dir(scratch.newest()).join("output.log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).unwrap();
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "storage.modes"), code), ("fail", 1));
    assert!(found["storage.modes"].1.contains("output.log (0644)"), "{found:#?}");
}

#[test]
fn a_damaged_page_is_found() {
    let scratch = ran();
    let path = scratch.storage.database();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    // Every page but the first, which tells what the file is.
    for page in 1..size / 4096 {
        file.write_all_at(&[0xa5; 64], page * 4096).unwrap();
    }
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "database.integrity"), code), ("fail", 1), "{found:#?}");
}

#[test]
fn a_file_that_is_no_database_and_a_lost_one_are_found() {
    let scratch = ran();
    let path = scratch.storage.database();
    fs::write(&path, "not a database").unwrap();
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "database"), code), ("fail", 1));
    fs::remove_file(&path).unwrap();
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "database"), code), ("fail", 1));
    assert!(found["database"].1.contains("1 records"), "{found:#?}");
    assert!(!path.exists());
}

#[test]
fn a_database_without_wal_mode_is_found() {
    let scratch = ran();
    let said = Command::new("sqlite3")
        .arg(scratch.storage.database())
        .arg("PRAGMA journal_mode = DELETE")
        .output()
        .expect("sqlite3 (`cargo xtask test` installs it)");
    assert!(said.status.success());
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "database.wal_mode"), code), ("fail", 1), "{found:#?}");
}

#[test]
fn a_recorder_that_was_killed_is_found_and_the_remedy_helps() {
    let scratch = ran();
    let id = scratch.detach(&[], &["sleep", "600"]);
    let (recorder, keeper, script) = scratch.pids(id);
    let (found, _) = doctor(&scratch);
    assert!(found["records.open"].1.starts_with("1 running"), "{found:#?}");
    for pid in [keeper, recorder] {
        kill(pid);
    }
    eventually("both are gone", || (!is_alive(recorder) && !is_alive(keeper)).then_some(()));
    kill(script);
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "records.dead"), code), ("warn", 0), "{found:#?}");
    assert!(found["records.dead"].1.contains(&id.to_string()));
    assert!(found["records.dead"].1.contains("killed"));
    scratch.text(&["ls"]);
    let (found, _) = doctor(&scratch);
    assert_eq!(level(&found, "records.dead"), "ok", "{found:#?}");
}

#[test]
fn a_catalog_that_lacks_a_record_is_found_and_the_remedy_helps() {
    let scratch = ran();
    let away = scratch.work().join("away");
    fs::rename(scratch.storage.record_dir(scratch.newest()), &away).unwrap();
    let (found, code) = doctor(&scratch);
    assert_eq!((level(&found, "records.catalog"), code), ("fail", 1), "{found:#?}");
    assert!(found["records.catalog"].1.contains("in the catalog without a record"));
    scratch.text(&["reindex"]);
    let (found, _) = doctor(&scratch);
    assert_eq!(level(&found, "records.catalog"), "ok", "{found:#?}");
}

#[test]
fn a_server_is_seen_and_so_is_one_that_is_stopped() {
    let scratch = ran();
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let pid = server.id() as i32;
    let _server = Ended(server);
    assert!(lines.next().unwrap().unwrap().starts_with("listening on"));
    let (found, code) = doctor(&scratch);
    assert_eq!(code, 0, "{found:#?}");
    assert_eq!(level(&found, "server"), "ok");
    assert!(found["lock"].1.contains(&format!("process {pid} (stepflow)")), "{found:#?}");
    assert!(found["connections"].1.contains("WebSocket"), "{found:#?}");
    signal(pid, Signal::SIGSTOP);
    let (found, code) = doctor(&scratch);
    signal(pid, Signal::SIGCONT);
    assert_eq!((level(&found, "server"), level(&found, "lock"), code), ("fail", "fail", 1));
    assert!(found["lock"].1.contains("stopped"), "{found:#?}");
}

#[test]
fn a_memory_file_system_that_is_full_is_found() {
    let scratch = Scratch::new(STEPFLOW);
    let disk = scratch.work().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"])
        .arg(&disk)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("not run: a file system cannot be mounted here");
        return;
    }
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let disk = Mounted(disk);
    let on_it = |args: &[&str]| {
        Command::new(STEPFLOW)
            .arg("--storage")
            .arg(disk.0.join("storage"))
            .args(args)
            .output()
            .unwrap()
    };
    on_it(&["run", "--", "true"]);
    let _ = fs::write(disk.0.join("filler"), vec![0; 2 << 20]); // As much as fits.
    let output = on_it(&["doctor", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let level = |id: &str| {
        json["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()["level"]
            .clone()
    };
    assert_eq!((level("space"), level("speed.files")), ("fail".into(), "fail".into()), "{json}");
    assert_eq!(level("filesystem"), "warn");
    assert_eq!(output.status.code(), Some(1));
}
