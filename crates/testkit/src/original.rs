//! Storages as the original StepFlow Monitor wrote them, of any size.

use std::{fs, path::Path, thread};

use rusqlite::{Connection, params};

use crate::Rng;

const SCHEMA: &str = "
CREATE TABLE executions (id TEXT PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL,
    working_directory TEXT, status TEXT NOT NULL, exit_code INTEGER, error_message TEXT,
    created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, environment TEXT, user_name TEXT,
    tags TEXT, total_steps INTEGER DEFAULT 0, completed_steps INTEGER DEFAULT 0,
    current_step_index INTEGER DEFAULT -1, metadata TEXT);
CREATE TABLE steps (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT, step_index INTEGER NOT NULL, status TEXT NOT NULL, exit_code INTEGER,
    error_message TEXT, created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT,
    estimated_duration REAL, stop_on_error BOOLEAN DEFAULT 0, metadata TEXT,
    FOREIGN KEY (execution_id) REFERENCES executions (id));
CREATE TABLE artifacts (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, step_id TEXT,
    name TEXT NOT NULL, description TEXT, file_path TEXT NOT NULL, file_name TEXT,
    file_size INTEGER DEFAULT 0, mime_type TEXT, artifact_type TEXT, created_at TEXT NOT NULL,
    tags TEXT, is_public BOOLEAN DEFAULT 1, retention_days INTEGER, metadata TEXT,
    FOREIGN KEY (execution_id) REFERENCES executions (id),
    FOREIGN KEY (step_id) REFERENCES steps (id));
CREATE INDEX idx_executions_status ON executions(status);
CREATE INDEX idx_executions_created_at ON executions(created_at);
CREATE INDEX idx_executions_user ON executions(user_name);
CREATE INDEX idx_steps_execution_id ON steps(execution_id);
CREATE INDEX idx_steps_status ON steps(status);
CREATE INDEX idx_artifacts_execution_id ON artifacts(execution_id);
CREATE INDEX idx_artifacts_step_id ON artifacts(step_id);";

/// What was generated.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// Executions.
    pub executions: u64,
    /// Steps.
    pub steps: u64,
    /// Log lines.
    pub lines: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// Artifacts with a file.
    pub artifact_files: u64,
    /// Executions without an end.
    pub interrupted: u64,
}

fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.number(), rng.number());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}

/// A local time, `us` after the first of a month of thirty days.
fn time(us: u64) -> String {
    let s = us / 1_000_000;
    let (day, hour, minute) = (s / 86_400 % 28 + 1, s / 3600 % 24, s / 60 % 60);
    let month = s / (86_400 * 28) % 12 + 1;
    format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:06}", s % 60, us % 1_000_000)
}

/// Makes a storage with `count` executions of about three steps, four lines each, and a file for
/// every fifth; some failed, some interrupted, some with steps that were never saved as ended.
///
/// The same seed makes the same storage.
pub fn generate(root: &Path, count: u64, seed: u64) -> Generated {
    fs::create_dir_all(root.join("database")).expect("a directory");
    fs::create_dir_all(root.join("executions")).expect("a directory");
    fs::create_dir_all(root.join("artifacts")).expect("a directory");
    let mut db = Connection::open(root.join("database/stepflow.db")).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;",
    )
    .expect("settings");
    db.execute_batch(SCHEMA).expect("tables");
    let mut total = Generated::default();
    let mut rng = Rng::new(seed);
    let mut begun = 0;
    while begun < count {
        let many = (count - begun).min(10_000);
        let transaction = db.transaction().expect("a transaction");
        let mut files = Vec::new();
        for number in begun..begun + many {
            one(&transaction, &mut rng, number, &mut total, &mut files);
        }
        transaction.commit().expect("a commit");
        thread::scope(|scope| {
            for part in files.chunks(files.len().div_ceil(4).max(1)) {
                scope.spawn(move || {
                    for (path, content) in part {
                        let path = root.join(path);
                        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
                        fs::write(&path, content).expect("a file");
                    }
                });
            }
        });
        begun += many;
    }
    total
}

fn one(
    db: &Connection,
    rng: &mut Rng,
    number: u64,
    total: &mut Generated,
    files: &mut Vec<(String, String)>,
) {
    let id = uuid(rng);
    let mut at = number * 211_000_003 + rng.below(1_000_000);
    let created = at;
    let kind = rng.below(100);
    let interrupted = kind >= 98;
    let (status, code) = match kind {
        0..85 => ("completed", Some(0)),
        85..95 => ("failed", Some(1 + rng.below(3))),
        95..98 => ("cancelled", None),
        98 => ("pending", None),
        _ => ("running", None),
    };
    let steps = 1 + rng.below(5);
    let mut completed = 0;
    at += 500;
    let started = at;
    for index in 0..steps {
        let step = uuid(rng);
        let last = index + 1 == steps;
        at += 20_000;
        let step_started = at;
        // One in ten was ended by the next one and never saved; it has no log then.
        let unsaved = rng.below(10) == 0 || last && interrupted;
        let lines = if unsaved && !interrupted { 0 } else { 1 + rng.below(7) };
        let mut log = String::new();
        for line in 0..lines {
            at += rng.below(3) * 700; // Some lines share their time.
            log.push_str(&format!("[{}] [{index}] line {line} of {number}: ", time(at)));
            log.push_str(&"compiling something ".repeat(1 + rng.below(3) as usize));
            log.truncate(log.trim_end().len());
            log.push('\n');
        }
        total.lines += lines;
        total.steps += 1;
        if lines > 0 {
            files.push((format!("executions/{id}/step_{index}_{step}.log"), log));
        }
        at += 1_000;
        let failed = status == "failed" && last;
        completed += u64::from(!unsaved && !failed);
        let word = if unsaved {
            "running"
        } else if failed {
            "failed"
        } else {
            "completed"
        };
        db.prepare_cached("INSERT INTO steps VALUES (?,?,?,'',?,?,?,?,?,?,?,?,0,?)")
            .expect("SQL")
            .execute(params![
                step,
                id,
                format!("Step {index}"),
                index as i64,
                word,
                (!unsaved).then_some(i64::from(failed)),
                failed.then_some("something failed"),
                time(step_started - 10),
                time(step_started),
                (!unsaved).then(|| time(at)),
                (index == 1).then_some(300.0),
                if index == 1 { "{\"duration\": 300}" } else { "{}" },
            ])
            .expect("a step");
        if rng.below(5 * steps) == 0 {
            let artifact = uuid(rng);
            let there = rng.below(10) != 0;
            let content = format!("report of {number}\n");
            let path = if there {
                format!("storage/artifacts/{id}/{artifact}_report.txt")
            } else {
                "./out/report.txt".to_owned()
            };
            total.artifacts += 1;
            total.artifact_files += u64::from(there);
            db.prepare_cached(
                "INSERT INTO artifacts VALUES (?,?,?,'report.txt','a report',?,?,?,?,'other',?,'[]',1,NULL,'{}')",
            )
            .expect("SQL")
            .execute(params![
                artifact,
                id,
                step,
                path,
                if there { "report.txt" } else { "" },
                if there { content.len() as i64 } else { 0 },
                if there { "text/plain" } else { "" },
                time(at - 500),
            ])
            .expect("an artifact");
            if there {
                files.push((path["storage/".len()..].to_owned(), content));
            }
        }
    }
    at += 1_000;
    total.executions += 1;
    total.interrupted += u64::from(interrupted);
    db.prepare_cached(
        "INSERT INTO executions VALUES (?,?,?,'.',?,?,NULL,?,?,?,'{}','','[]',?,?,?,?)",
    )
    .expect("SQL")
    .execute(params![
        id,
        format!("job {}", number % 50),
        format!("bash jobs/{}.sh", number % 50),
        status,
        code.map(|code| code as i64),
        time(created),
        (status != "pending").then(|| time(started)),
        (!interrupted).then(|| time(at)),
        if interrupted { 0 } else { steps as i64 },
        if interrupted { 0 } else { completed as i64 },
        if interrupted { -1 } else { steps as i64 - 1 },
        "{\"PROJECT\": \"demo\"}",
    ])
    .expect("an execution");
}
