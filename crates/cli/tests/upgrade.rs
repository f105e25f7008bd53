//! Storages of the original StepFlow Monitor, upgraded in place by real processes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "only for tests")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
};

use rusqlite::{Connection, types::Value as Cell};
use serde_json::{Map, Value, json};
use stepflow_client::Server as Client;
use stepflow_testkit::Ended;

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
/// The newer schema, cut off by SIGKILL, and the one before the WAL.
const NEWER: &str = "original-storage";
const OLDER: &str = "original-storage-old-schema";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/original")
}

/// A fixture, unpacked; the storage directory is called `name`.
struct Fixture {
    dir: tempfile::TempDir,
    name: &'static str,
}

impl Fixture {
    fn new(fixture: &str) -> Self {
        Self::called(fixture, "storage")
    }

    fn called(fixture: &str, name: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = fixtures().join(format!("{fixture}.tar.gz"));
        let tar = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status();
        assert!(tar.unwrap().success());
        if name != "storage" {
            fs::rename(dir.path().join("storage"), dir.path().join(name)).unwrap();
        }
        Self { dir, name }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    fn database(&self) -> PathBuf {
        self.root().join("database/stepflow.db")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(STEPFLOW);
        command.arg("--storage").arg(self.root()).args(args).stdin(Stdio::null());
        command.env_remove("STEPFLOW_STORAGE_PATH").env("TZ", "UTC").current_dir(self.dir.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn upgrade(&self) -> Value {
        let output = self.run(&["upgrade", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every file with its content, but for what SQLite keeps beside a database.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.root()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.is_file() {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path.strip_prefix(self.root()).unwrap().to_owned(), bytes);
                }
            }
        }
        found
    }

    fn serve(&self) -> Server {
        let mut child: Child = self
            .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            if line.starts_with("listening on ") {
                break;
            }
            said.push(line);
        }
        thread::spawn(move || lines.for_each(drop));
        let client = Client::at(self.root().join("run/server.sock"));
        Server { _process: Ended(child), client, said }
    }
}

struct Server {
    _process: Ended,
    client: Client,
    /// What it said before it listened.
    said: Vec<String>,
}

/// A file of the fixture's JSON.
fn expected(fixture: &str) -> Value {
    let text = fs::read_to_string(fixtures().join(format!("{fixture}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Whether a field says a time.
fn is_time(key: &str) -> bool {
    ["created_at", "started_at", "completed_at", "timestamp"].contains(&key)
}

/// `theirs` with `Z` and six digits.
fn utc(theirs: &Value) -> Value {
    match theirs.as_str() {
        Some(text) if text.contains('.') => json!(format!("{text}Z")),
        Some(text) => json!(format!("{text}.000000Z")),
        None => theirs.clone(),
    }
}

/// Compares every field that the original sent, but for those in `allowed`, each of which must
/// really differ: a list that says too much is wrong as well.
fn compare(what: &str, theirs: &Map<String, Value>, ours: &Value, allowed: &BTreeMap<&str, Value>) {
    for (key, theirs) in theirs {
        if ["logs", "artifacts", "steps"].contains(&key.as_str()) {
            continue; // Compared one by one.
        }
        let ours = &ours[key];
        if let Some(expected) = allowed.get(key.as_str()) {
            assert_eq!(ours, expected, "{what}.{key}, known to differ");
            assert_ne!(ours, theirs, "{what}.{key} does not differ at all");
            continue;
        }
        if is_time(key) {
            assert_eq!(*ours, utc(theirs), "{what}.{key}");
        } else if let (Some(ours), Some(theirs)) = (ours.as_f64(), theirs.as_f64()) {
            assert!((ours - theirs).abs() < 2e-6, "{what}.{key}: {ours} instead of {theirs}");
        } else {
            assert_eq!(ours, theirs, "{what}.{key}");
        }
    }
}

/// What differs in an execution of the fixture, and why.
fn execution_differences(name: &str) -> BTreeMap<&'static str, Value> {
    let interrupted = "the original server was interrupted while the script ran: how it ended \
                       cannot be known";
    match name {
        // It never had an end: it has one now, at its last sign of life.
        "running" => BTreeMap::from([
            ("status", json!("failed")),
            ("error_message", json!(interrupted)),
            ("started_at", json!("2026-11-22T20:00:23.534034Z")),
            ("completed_at", json!("2026-11-22T20:00:23.539938Z")),
            ("total_steps", json!(2)),
            ("completed_steps", json!(1)),
            ("current_step_index", json!(1)),
            ("progress_percentage", json!(50.0)),
        ]),
        // Steps that the original did not save as completed are counted.
        "implicit" => {
            BTreeMap::from([("completed_steps", json!(2)), ("progress_percentage", json!(100.0))])
        }
        "binary" => {
            BTreeMap::from([("completed_steps", json!(1)), ("progress_percentage", json!(100.0))])
        }
        _ => BTreeMap::new(),
    }
}

/// What differs in a step that the original left open.
fn step_differences(name: &str, step: &str) -> BTreeMap<&'static str, Value> {
    let end = |status: &str, code: Value, at: &str, more: &[(&'static str, Value)]| {
        let mut all = BTreeMap::from([
            ("status", json!(status)),
            ("completed_at", json!(at)),
            ("is_finished", json!(true)),
        ]);
        if !code.is_null() {
            all.insert("exit_code", code);
        }
        all.extend(more.iter().cloned());
        all
    };
    match (name, step) {
        // The next step's start ended it.
        ("implicit", "first") => end("completed", json!(0), "2026-11-22T20:00:13.118978Z", &[]),
        // The script's end ended them.
        ("implicit", "second") => end("completed", json!(0), "2026-11-22T20:00:13.123355Z", &[]),
        ("binary", "binary") => end("completed", json!(0), "2026-11-22T20:00:20.427820Z", &[]),
        ("implicit3", "only") => end(
            "failed",
            json!(3),
            "2026-11-22T20:00:14.167536Z",
            &[("error_message", json!("Critical step failed with exit code 3: only"))],
        ),
        ("running", "open step") => end(
            "failed",
            Value::Null,
            "2026-11-22T20:00:23.539938Z",
            &[(
                "error_message",
                json!(
                    "the original server was interrupted while the script ran: how it ended \
                     cannot be known"
                ),
            )],
        ),
        _ => BTreeMap::new(),
    }
}

fn list<'a>(of: &'a Value, key: &str) -> &'a Vec<Value> {
    of[key].as_array().unwrap()
}

/// Everything the fixture's JSON tells is in the API.
fn check_api(fixture: &Fixture, client: &Client, expected: &Value) {
    let mut lines = 0;
    for theirs in list(expected, "executions") {
        let execution = theirs["execution"].as_object().unwrap();
        let (id, name) = (execution["id"].as_str().unwrap(), execution["name"].as_str().unwrap());
        let ours = client.get(&format!("/api/executions/{id}")).unwrap();
        compare(name, execution, &ours["execution"], &execution_differences(name));
        assert_eq!(list(&ours, "steps").len(), list(theirs, "steps").len(), "{name}");
        for (ours, theirs) in list(&ours, "steps").iter().zip(list(theirs, "steps")) {
            let step = theirs["name"].as_str().unwrap();
            let what = format!("{name}: {step}");
            compare(&what, theirs.as_object().unwrap(), ours, &step_differences(name, step));
            assert_eq!(list(ours, "logs").len(), list(theirs, "logs").len(), "{what}");
            for (ours, theirs) in list(ours, "logs").iter().zip(list(theirs, "logs")) {
                compare(&what, theirs.as_object().unwrap(), ours, &BTreeMap::new());
                lines += 1;
            }
        }
        assert_eq!(list(&ours, "artifacts").len(), list(theirs, "artifacts").len(), "{name}");
        for (ours, theirs) in list(&ours, "artifacts").iter().zip(list(theirs, "artifacts")) {
            let what = format!("{name}: {}", theirs["name"]);
            compare(&what, theirs.as_object().unwrap(), ours, &BTreeMap::new());
            check_artifact(fixture, client, theirs);
        }
    }
    assert_eq!(lines, 41);
}

/// It is found by the id that the original gave it, and its bytes are those of the copy.
fn check_artifact(fixture: &Fixture, client: &Client, theirs: &Value) {
    let id = theirs["id"].as_str().unwrap();
    let ours = client.get(&format!("/api/artifacts/{id}")).unwrap();
    compare(id, theirs.as_object().unwrap(), &ours, &BTreeMap::new());
    let socket = fixture.root().join("run/server.sock");
    let download = Command::new("curl")
        .args(["-s", "-f", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://localhost{}", theirs["download_url"].as_str().unwrap()))
        .output()
        .unwrap();
    assert_eq!(download.status.success(), theirs["exists"] == true, "{id}");
    if theirs["exists"] == true {
        let path = fixture.dir.path().join(theirs["file_path"].as_str().unwrap());
        assert_eq!(download.stdout, fs::read(path).unwrap(), "{id}");
    }
}

#[test]
fn everything_of_the_newer_fixture_is_in_the_api() {
    let fixture = Fixture::new(NEWER);
    let expected = expected(NEWER);
    let before = fixture.files();
    let server = fixture.serve();
    assert!(server.said.iter().any(|line| line.starts_with("upgraded 14 executions")));
    check_api(&fixture, &server.client, &expected);
    let list = server.client.get("/api/executions?limit=100").unwrap();
    assert_eq!((&list["count"], &list["total_count"]), (&json!(14), &json!(14)));
    for (path, bytes) in before.iter().filter(|(path, _)| !path.starts_with("database")) {
        assert_eq!(&fs::read(fixture.root().join(path)).unwrap(), bytes, "{}", path.display());
    }
    let of_step = "/api/artifacts?step_id=a49db089-81c7-4194-9613-d23bcce70e5f";
    assert_eq!(server.client.get(of_step).unwrap()["count"], 6);
    let logs = "/api/executions/8ac7f164-0f10-44e2-a9c9-59a7209edb44/logs\
                ?step_id=f5d64e73-c537-4b7c-b150-7489cc77154e";
    let logs = server.client.get(logs).unwrap();
    assert!(logs.to_string().contains("cc -o main main.o"), "{logs}");
    assert!(!logs.to_string().contains("test 1 ok"), "{logs}");
    drop(server);

    // The records alone give the same back.
    assert!(fixture.run(&["reindex"]).status.success());
    let server = fixture.serve();
    check_api(&fixture, &server.client, &expected);
}

#[test]
fn everything_of_the_older_fixture_is_in_the_views() {
    let fixture = Fixture::new(OLDER);
    let report = fixture.upgrade();
    assert_eq!(
        (&report["executions"], &report["steps"], &report["artifacts"], &report["artifact_files"]),
        (&json!(3), &json!(6), &json!(2), &json!(2))
    );
    let db = Connection::open(fixture.database()).unwrap();
    let expected = expected(OLDER);
    for table in ["executions", "steps", "artifacts"] {
        let ours = rows(&db, &format!("SELECT * FROM {table}"));
        let theirs = list(&expected["rows"], table);
        assert_eq!(ours.len(), theirs.len());
        for theirs in theirs {
            let ours = ours.iter().find(|row| row["id"] == theirs["id"]).unwrap();
            let allowed = match theirs["name"].as_str().unwrap() {
                // Its name kept its parameters, so no marker ever completed it.
                "Compile [duration=300]" => BTreeMap::from([
                    ("status", json!("completed")),
                    ("exit_code", json!(0)),
                    ("completed_at", json!("2026-11-22T21:29:27.843262Z")),
                ]),
                "build" => BTreeMap::from([("completed_steps", json!(3))]),
                _ => BTreeMap::new(),
            };
            let theirs = parsed(theirs.as_object().unwrap());
            compare(table, &theirs, &Value::Object(ours.clone()), &allowed);
        }
    }
    let output = fixture.run(&["logs", "d921f3d2-da09-479d-8836-3ac9b24ee95f", "--step", "Test"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 12);
}

/// Rows as objects; columns that hold JSON are parsed: white space in them is not data.
fn rows(db: &Connection, sql: &str) -> Vec<Map<String, Value>> {
    let mut statement = db.prepare(sql).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let cells = names.iter().enumerate().map(|(at, name)| {
            let value = match row.get(at)? {
                Cell::Null => Value::Null,
                Cell::Integer(number) => json!(number),
                Cell::Real(number) => json!(number),
                Cell::Text(text) => json!(text),
                Cell::Blob(bytes) => json!(bytes),
            };
            Ok((name.clone(), value))
        });
        cells.collect::<rusqlite::Result<Map<_, _>>>()
    });
    rows.unwrap().map(|row| parsed(&row.unwrap())).collect()
}

fn parsed(row: &Map<String, Value>) -> Map<String, Value> {
    let json_text = |key: &str| ["environment", "tags", "metadata"].contains(&key);
    let parse = |(key, value): (&String, &Value)| {
        let value = match value.as_str().filter(|_| json_text(key)) {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => value.clone(),
        };
        (key.clone(), value)
    };
    row.iter().map(parse).collect()
}

#[test]
fn queries_written_for_the_original_give_what_they_gave() {
    let fixture = Fixture::new(NEWER);
    let original = Fixture::new(NEWER);
    fixture.upgrade();
    let ours = Connection::open(fixture.database()).unwrap();
    let theirs = Connection::open(original.database()).unwrap();
    // But for the one execution that had no end, and the steps that were never saved as ended.
    let ended = "status NOT IN ('pending', 'running')";
    let whole = "name NOT IN ('running', 'implicit', 'implicit3', 'binary')";
    for sql in [
        format!("SELECT * FROM executions WHERE {whole} ORDER BY created_at DESC LIMIT 10"),
        format!("SELECT id, name, status FROM executions WHERE {ended} AND name <> 'running' ORDER BY created_at"),
        "SELECT count(*) AS n FROM executions".to_owned(),
        "SELECT status, count(*) AS n FROM executions WHERE name <> 'running' GROUP BY status ORDER BY status".to_owned(),
        "SELECT id, name, description, step_index, metadata, estimated_duration, stop_on_error, created_at, started_at
         FROM steps ORDER BY created_at".to_owned(),
        format!("SELECT * FROM steps WHERE execution_id IN (SELECT id FROM executions WHERE {whole}) ORDER BY created_at"),
        "SELECT * FROM artifacts ORDER BY created_at, id".to_owned(),
        "SELECT e.name, s.name AS step, a.name AS artifact, a.file_size FROM artifacts a
         JOIN executions e ON e.id = a.execution_id LEFT JOIN steps s ON s.id = a.step_id
         ORDER BY a.created_at".to_owned(),
        "SELECT e.name, count(s.id) AS steps FROM executions e LEFT JOIN steps s ON s.execution_id = e.id
         GROUP BY e.id ORDER BY e.created_at".to_owned(),
        "SELECT mime_type, sum(file_size) AS bytes FROM artifacts GROUP BY mime_type ORDER BY mime_type".to_owned(),
        format!("SELECT name, (julianday(completed_at) - julianday(started_at)) * 86400 AS seconds
         FROM executions WHERE {whole} ORDER BY created_at"),
    ] {
        let (ours, theirs) = (rows(&ours, &sql), rows(&theirs, &sql));
        assert_eq!(ours.len(), theirs.len(), "{sql}");
        assert!(!ours.is_empty(), "{sql}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let keys = |row: &Map<String, Value>| row.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(ours), keys(theirs), "{sql}");
            compare(&sql, theirs, &Value::Object(ours.clone()), &BTreeMap::new());
        }
    }
    // The same columns in the same order.
    for table in ["executions", "steps", "artifacts"] {
        let sql = format!("SELECT * FROM {table}");
        let names = |db: &Connection| -> Vec<String> {
            db.prepare(&sql).unwrap().column_names().map(str::to_owned).collect()
        };
        assert_eq!(names(&ours), names(&theirs));
    }
}

/// All rows of the original's tables, as they are stored.
fn dump(database: &Path) -> Vec<String> {
    let db = Connection::open(database).unwrap();
    let mut all = Vec::new();
    for table in ["executions", "steps", "artifacts"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY id")).unwrap();
        let count = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..count).map(|at| row.get::<_, Cell>(at));
            Ok(format!("{:?}", cells.collect::<rusqlite::Result<Vec<_>>>()?))
        });
        all.extend(rows.unwrap().map(Result::unwrap));
    }
    all
}

#[test]
fn going_back_means_restoring_one_file() {
    for name in [NEWER, OLDER] {
        let (fixture, original) = (Fixture::new(name), Fixture::new(name));
        let report = fixture.upgrade();
        let run = fixture.run(&["run", "--output", "quiet", "--", "echo", "made by us"]);
        assert!(run.status.success());
        let backup = PathBuf::from(report["backup"].as_str().unwrap());
        // As docs/operations.md says.
        fs::copy(&backup, fixture.database()).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(fixture.root().join(format!("database/stepflow.db{suffix}")));
        }
        // What the original left, it finds again, byte by byte, and row by row.
        let before = original.files();
        assert_eq!(dump(&fixture.database()), dump(&original.database()), "{name}");
        for (path, bytes) in before.iter().filter(|(path, _)| !path.starts_with("database")) {
            assert_eq!(&fs::read(fixture.root().join(path)).unwrap(), bytes, "{}", path.display());
        }
        // Coming again finds all of it, and what was made here in between.
        let count = dump(&original.database()).len();
        let again = fixture.upgrade();
        let total = ["executions", "steps", "artifacts"].map(|key| again[key].as_u64().unwrap());
        assert_eq!(total.iter().sum::<u64>() as usize, count);
        let listed = fixture.run(&["ls", "--json", "-n", "100"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let executions = report["executions"].as_u64().unwrap() as usize;
        assert_eq!(list(&listed, "executions").len(), executions + 1);
        let newest = fixture.run(&["show", "last", "--json"]);
        let newest: Value = serde_json::from_slice(&newest.stdout).unwrap();
        assert_eq!(newest["execution"]["name"], "echo made by us");
    }
}

#[test]
fn copies_are_found_when_the_storage_was_renamed_and_share_the_originals_files() {
    let fixture = Fixture::called(NEWER, "data dir");
    let report = fixture.upgrade();
    assert_eq!(report["artifact_files"], 7);
    let dir = fixture.root().join("artifacts/8ac7f164-0f10-44e2-a9c9-59a7209edb44");
    let inodes: Vec<u64> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ino()).collect();
    let distinct: std::collections::BTreeSet<_> = inodes.iter().collect();
    assert_eq!((inodes.len(), distinct.len()), (4, 2), "two files with two names each");
}

#[test]
fn local_times_are_those_of_the_zone() {
    for (zone, hours) in [("Europe/Berlin", 1), ("XYZ8", -8), ("UTC", 0)] {
        let fixture = Fixture::new(NEWER);
        let upgraded = fixture.command(&["upgrade"]).env("TZ", zone).output().unwrap();
        assert!(upgraded.status.success());
        let db = Connection::open(fixture.database()).unwrap();
        let created: String = db
            .query_row("SELECT created_at FROM executions WHERE name = 'build'", [], |row| {
                row.get(0)
            })
            .unwrap();
        let hour = 20 - hours;
        let expected = match hour {
            24.. => format!("2026-11-23T{:02}:00:09.959359Z", hour - 24),
            _ => format!("2026-11-22T{hour:02}:00:09.959359Z"),
        };
        assert_eq!(created, expected, "{zone}");
        let shown = fixture.run(&["logs", "8ac7f164-0f10-44e2-a9c9-59a7209edb44", "--time"]);
        let first = format!("{:02}:00:09.986", (hour + 24) % 24);
        assert!(String::from_utf8_lossy(&shown.stdout).contains(&first), "{zone}");
    }
}

#[test]
fn a_storage_in_use_is_refused_and_says_by_whom() {
    for name in [NEWER, OLDER] {
        let fixture = Fixture::new(name);
        let db = Connection::open(fixture.database()).unwrap();
        let count: i64 =
            db.query_row("SELECT count(*) FROM executions", [], |row| row.get(0)).unwrap();
        let before = fixture.files();
        let refused = fixture.run(&["upgrade"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success());
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        assert!(said.contains("stop the original server"), "{said}");
        let after = fixture.files();
        let grown: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
        assert_eq!(grown, [Path::new("database/writer.lock")]);
        drop(db);
        assert_eq!(fixture.upgrade()["executions"], count);
    }
}

#[test]
fn a_damaged_database_is_left_alone() {
    let fixture = Fixture::new(OLDER);
    let mut bytes = fs::read(fixture.database()).unwrap();
    for page in (4096..bytes.len()).step_by(4096) {
        bytes[page..page + 64].fill(0xa5);
    }
    fs::write(fixture.database(), &bytes).unwrap();
    let before = fixture.files();
    for args in [&["upgrade"][..], &["ls"], &["reindex"]] {
        let refused = fixture.run(args);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{args:?}");
        assert!(said.contains("is damaged") && said.contains(".recover"), "{said}");
    }
    let mut after = fixture.files();
    after.remove(Path::new("database/writer.lock"));
    assert_eq!(before, after, "nothing was touched, nothing is left over");
}

#[test]
fn commands_that_only_read_say_what_to_do_first() {
    let fixture = Fixture::new(NEWER);
    let id = "8ac7f164-0f10-44e2-a9c9-59a7209edb44";
    for args in [&["logs", id][..], &["logs", "last"], &["cancel", id]] {
        let refused = fixture.run(args);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("stepflow upgrade"), "{said}");
    }
    // Any command that writes does it.
    let shown = fixture.run(&["show", id]);
    assert!(shown.status.success());
    assert!(String::from_utf8_lossy(&shown.stderr).contains("upgraded 14 executions"));
    assert!(fixture.run(&["logs", "last"]).status.success());
    let nothing = fixture.upgrade();
    assert_eq!(nothing, json!({"upgraded": false}));
}

#[test]
fn odd_rows_and_logs_lose_nothing() {
    let fixture = Fixture::new(NEWER);
    let build = "8ac7f164-0f10-44e2-a9c9-59a7209edb44";
    let db = Connection::open(fixture.database()).unwrap();
    db.execute_batch(
        "PRAGMA foreign_keys = OFF;
         UPDATE steps SET estimated_duration = 'abc', stop_on_error = 'yes' WHERE name = 'Compile';
         UPDATE executions SET metadata = '{\"x\": NaN}', created_at = 'yesterday' WHERE name = 'fail';
         UPDATE executions SET exit_code = -9, status = 'failed' WHERE name = 'hello';
         UPDATE executions SET status = 'running', started_at = created_at WHERE name = 'nocmd';
         UPDATE artifacts SET retention_days = 1, tags = '[\"a\"]', is_public = 0,
                name = 'quo\"te' || char(10) WHERE name = 'run.log';
         ALTER TABLE executions ADD COLUMN later TEXT;
         UPDATE executions SET later = 'kept' WHERE name = 'build';
         INSERT INTO steps (id, execution_id, name, step_index, status, created_at)
             VALUES ('lost-step', 'not-a-uuid', 'alone', 0, 'running', '2026-11-22T20:00:00');",
    )
    .unwrap();
    drop(db);
    let logs = fixture.root().join("executions").join(build);
    let log = logs.join("step_2_e847d25c-e851-4c32-a44f-7a3633d85c68.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(
        b"no time here\n[2026-11-22T20:00:09.994400] \n\n[2026-11-22T20:00:09.994500] caf\xe9 [x] y\n[torn",
    );
    fs::write(&log, bytes).unwrap();
    fs::write(logs.join("step_3_without-row.log"), "[2026-11-22T20:00:09.995] found\n").unwrap();
    fs::write(logs.join("notes.txt"), "not ours").unwrap();

    let report = fixture.upgrade();
    assert_eq!(report["executions"], 15);
    assert_eq!(report["repaired"]["rows_missing"], 1);
    assert_eq!(report["repaired"]["steps_found"], 1);
    assert_eq!(report["repaired"]["interrupted"], 2);
    assert_eq!(report["repaired"]["lines_without_time"], 2);
    assert!(report["repaired"]["values_unreadable"].as_u64().unwrap() >= 3);
    let show = |id: &str| -> Value {
        let output = fixture.run(&["show", id, "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let shown = show(build);
    assert_eq!(shown["steps"][1]["estimated_duration"], Value::Null);
    assert_eq!(shown["steps"][1]["stop_on_error"], true);
    assert_eq!(shown["steps"][3]["id"], "without-row");
    let text = fixture.run(&["logs", build, "--raw"]).stdout;
    let tail = b"test 12 ok\nno time here\ncaf\xe9 [x] y\n[torn\nfound\n";
    assert!(text.ends_with(tail), "{}", String::from_utf8_lossy(&text));

    let db = Connection::open(fixture.database()).unwrap();
    let origin = |table: &str, name: &str| -> Value {
        let sql = format!("SELECT origin FROM {table} WHERE name = ?1");
        let text: String = db.query_row(&sql, [name], |row| row.get(0)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(origin("execution", "build")["extra"]["later"], "kept");
    assert_eq!(origin("execution", "fail")["extra"]["metadata"], "{\"x\": NaN}");
    assert_eq!(origin("execution", "fail")["extra"]["created_at"], "yesterday");
    assert_eq!(origin("step", "Compile")["extra"]["estimated_duration"], "abc");
    let row = rows(&db, "SELECT * FROM executions WHERE name = 'hello'").remove(0);
    assert_eq!((&row["exit_code"], &row["status"]), (&json!(-9), &json!("failed")));
    let row = rows(&db, "SELECT * FROM artifacts WHERE name LIKE 'quo%'").remove(0);
    assert_eq!((&row["retention_days"], &row["is_public"]), (&json!(1), &json!(0)));
    assert_eq!((&row["tags"], &row["name"]), (&json!(["a"]), &json!("quo\"te\n")));
    let row = rows(&db, "SELECT * FROM steps WHERE id = 'lost-step'").remove(0);
    assert_eq!(row["name"], "alone");
    let left: i64 = db
        .query_row(
            "SELECT count(*) FROM execution WHERE status IN ('pending', 'running')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0, "nothing stays unfinished");
}
