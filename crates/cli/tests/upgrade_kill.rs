//! An upgrade is killed at seeded moments, again and again, and gives what one in peace gives.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only for tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::Value as Cell};
use serde_json::Value;
use stepflow_testkit::{Rng, original, rounds};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

fn command(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(STEPFLOW);
    command.arg("--storage").arg(root).args(args).stdin(Stdio::null());
    command.env_remove("STEPFLOW_STORAGE_PATH").env("TZ", "UTC");
    command
}

fn upgrade(root: &Path) -> Value {
    let output = command(root, &["upgrade", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All rows of the catalog.
fn rows(root: &Path) -> Vec<String> {
    let db = Connection::open(root.join("database/stepflow.db")).unwrap();
    let mut all = Vec::new();
    for (table, order) in [
        ("execution", "id"),
        ("step", "execution_id, step_index"),
        ("artifact", "execution_id, artifact_index"),
        ("counter", "id"),
        ("steps", "id"),
        ("artifacts", "id"),
    ] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).unwrap();
        let count = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..count).map(|at| row.get::<_, Cell>(at));
            Ok(format!("{table} {:?}", cells.collect::<rusqlite::Result<Vec<_>>>()?))
        });
        all.extend(rows.unwrap().map(Result::unwrap));
    }
    all
}

/// All files of records and artifacts.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for top in ["executions", "artifacts"] {
        for dir in fs::read_dir(root.join(top)).unwrap() {
            for entry in fs::read_dir(dir.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

#[test]
fn an_upgrade_killed_at_any_moment_goes_on_and_loses_and_doubles_nothing() {
    const EXECUTIONS: u64 = 500;
    let mut rng = Rng::seeded();
    let dir = tempfile::tempdir().unwrap();
    let seed = rng.number();
    let peace = dir.path().join("peace/storage");
    let made = original::generate(&peace, EXECUTIONS, seed);
    let begun = Instant::now();
    let report = upgrade(&peace);
    let whole = begun.elapsed();
    for (key, expected) in [
        ("executions", made.executions),
        ("steps", made.steps),
        ("lines", made.lines),
        ("artifacts", made.artifacts),
        ("artifact_files", made.artifact_files),
    ] {
        assert_eq!(report[key], expected, "{key}");
    }
    assert_eq!(report["repaired"]["interrupted"], made.interrupted);
    let (expected_rows, expected_files) = (rows(&peace), files(&peace));
    fs::remove_dir_all(&peace).unwrap();

    let (mut kills, mut late) = (0, 0);
    // How long an attempt lives at most; it follows what the machine needs.
    let mut window = whole.as_micros() as u64;
    for round in 0..rounds() {
        let root = dir.path().join(format!("round{round}/storage"));
        original::generate(&root, EXECUTIONS, seed);
        for _ in 0..2 + rng.below(5) {
            let mut child = command(&root, &["upgrade"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            thread::sleep(Duration::from_micros(rng.below(window)));
            let _ = child.kill();
            let finished = child.wait().unwrap().success();
            window = if finished { window * 3 / 4 } else { window * 9 / 8 }.max(2_000);
            kills += u64::from(!finished);
            // Whatever stands under the name is a whole database: the original's or ours.
            let database = root.join("database/stepflow.db");
            let copy = dir.path().join("look.db");
            for suffix in ["", "-wal"] {
                let from = format!("{}{suffix}", database.display());
                let to = format!("{}{suffix}", copy.display());
                if fs::copy(&from, &to).is_err() {
                    let _ = fs::remove_file(&to);
                }
            }
            let db = Connection::open(&copy).unwrap();
            let count: i64 =
                db.query_row("SELECT count(*) FROM executions", [], |row| row.get(0)).unwrap();
            assert_eq!(count as u64, EXECUTIONS, "round {round}");
            let ours: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            late += u64::from(ours > 0);
            if finished {
                break;
            }
        }
        let done = upgrade(&root);
        if done["upgraded"] == true {
            assert_eq!(done["executions"], EXECUTIONS, "round {round}");
            assert_eq!(done["lines"], made.lines, "round {round}");
        }
        assert!(rows(&root) == expected_rows, "round {round}: the catalogs differ");
        let files = files(&root);
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert!(names(&files) == names(&expected_files), "round {round}: other files");
        for (path, bytes) in &files {
            assert!(bytes == &expected_files[path], "round {round}: {} differs", path.display());
        }
        let left: Vec<_> = fs::read_dir(root.join("database"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                name != "writer.lock"
                    && !name.starts_with("stepflow.db.original-")
                    && !["stepflow.db", "stepflow.db-wal", "stepflow.db-shm"]
                        .contains(&name.as_str())
            })
            .collect();
        assert!(left.is_empty(), "round {round}: left over: {left:?}");
        fs::remove_dir_all(root.parent().unwrap()).unwrap();
    }
    println!("{kills} kills in {} rounds, {late} rounds or kills after the last step", rounds());
    assert!(kills >= rounds(), "too few attempts were killed in the midst: {kills}");
}

/// A file system of a few hundred kilobytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.call("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn call(&self, program: &str, args: &[&str]) {
        let done = Command::new(program).args(args).arg(self.0.path()).status().unwrap();
        assert!(done.success(), "needs root: {program} {args:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_or_read_only_disk_is_said_and_the_upgrade_goes_on_when_it_is_over() {
    let disk = SmallDisk::mount("40m");
    let root = disk.0.path().join("storage");
    let made = original::generate(&root, 1_000, 7);
    let used = |path: &Path| {
        let output = Command::new("df").args(["--output=used", "-k"]).arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse::<u64>().unwrap()
    };
    let refused = |hint: &str| {
        let refused = command(&root, &["upgrade"]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(hint), "{said}");
    };
    // No room for the copy, for half of the records, for the catalog.
    for more in [100, 2_000, 9_000] {
        disk.call("mount", &["-o", &format!("remount,size={}k", used(&root) + more)]);
        refused("free some space and try again");
    }
    disk.call("mount", &["-o", "remount,size=100m,ro"]);
    refused("ead-only file system");
    disk.call("mount", &["-o", "remount,rw"]);
    let report = upgrade(&root);
    assert_eq!(report["executions"], made.executions);
    assert_eq!((&report["steps"], &report["lines"]), (&made.steps.into(), &made.lines.into()));
}
