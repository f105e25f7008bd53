//! A backup every second of a server under load, each looked through and restored elsewhere: what had
//! ended when it began is there, byte for byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepflow_model::ExecutionId;
use stepflow_record::{RecordView, Storage};
use stepflow_testkit::{Rng, Scratch, eventually};

use crate::{
    Options, Outcome, oracle,
    served::{Served, accepted, ask},
};

/// From the beginning of one backup to that of the next.
const EVERY: Duration = Duration::from_secs(1);
/// Scripts that are running at a time; and all of them, so that a slow machine comes to an end.
const AT_ONCE: u64 = 2;
const SCRIPTS_MAX: u64 = 150;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scratch = Scratch::new(&options.program);
    // Compressed while it is backed up.
    let server = Served::start(&scratch, &[("STEPFLOW_COMPRESS_AFTER", "1s")])?;
    let (stop, labels) = (AtomicBool::new(false), AtomicU64::new(0));
    let load = Load { scratch: &scratch, server: &server, stop: &stop, labels: &labels };
    let mut found = Err("nothing was done".to_owned());
    thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let load = &load;
            scope.spawn(move || load.scripts(number));
        }
        scope.spawn(|| load.labels(options.seed));
        found = backups(options, &load);
        stop.store(true, Relaxed);
    });
    found.map(Outcome::Held)
}

/// What goes on meanwhile.
struct Load<'a> {
    scratch: &'a Scratch,
    server: &'a Served,
    stop: &'a AtomicBool,
    /// Labels that were set: each one's number is a tag.
    labels: &'a AtomicU64,
}

impl Load<'_> {
    fn scripts(&self, number: u64) {
        let me = std::env::current_exe().unwrap_or_default().display().to_string();
        for round in 0..SCRIPTS_MAX / AT_ONCE {
            if self.stop.load(Relaxed) {
                break;
            }
            let script = format!(
                "echo STEP_START:Print; '{me}' {} 0 0 {} 0; echo STEP_COMPLETE:Print; \
                 echo {round} > out.txt; echo ARTIFACT:out.txt; echo META:round:{round}",
                oracle::COMMAND,
                200 + 700 * (round % 5)
            );
            let body = json!({"command": ["sh", "-c", script], "name": format!("load {number}"),
                "working_directory": self.scratch.work(), "wait": true});
            let key = format!("{number}-{round}");
            let asked =
                ask(&self.server.address, "POST", "/api/executions", Some(&key), Some(&body));
            if asked.is_err() {
                break; // Who asks for the backups says what is wrong with the server.
            }
        }
    }

    fn labels(&self, seed: u64) {
        let mut random = Rng::new(seed);
        while !self.stop.load(Relaxed) {
            let ids = self.scratch.storage.executions().unwrap_or_default();
            if ids.is_empty() {
                continue;
            }
            let id = ids[random.below(ids.len() as u64) as usize];
            let number = self.labels.load(Relaxed) + 1;
            let body = json!({"tags": [number.to_string()], "pinned": number.is_multiple_of(2)});
            let path = format!("/api/executions/{id}");
            let _ = ask(&self.server.address, "PATCH", &path, None, Some(&body));
            self.labels.store(number, Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a record tells, but for labels, which change while it is copied, and for the form of its log.
#[derive(PartialEq, Eq)]
struct Told {
    output: Vec<u8>,
    state: String,
    artifacts: BTreeMap<String, Vec<u8>>,
}

/// The record of an execution that has ended, and the number of its last label.
fn told(storage: &Storage, id: ExecutionId) -> Result<Option<(Told, u64)>, String> {
    let failed = |error: stepflow_record::RecordError| format!("{id}: {error}");
    let mut state = RecordView::open(storage, id).map_err(failed)?.state;
    if !state.summary.status.is_end() {
        return Ok(None);
    }
    let label = state.summary.tags.first().and_then(|tag| tag.parse().ok()).unwrap_or(0);
    (state.summary.tags, state.summary.pinned) = (Vec::new(), false);
    let dir = storage.record_dir(id);
    let log = stepflow_record::LogReader::open(&dir).map_err(failed)?;
    let mut output = Vec::new();
    if let Some(log) = log {
        output.resize(log.position().map_err(failed)?.0 as usize, 0);
        log.read_at(&mut output, 0).map_err(failed)?;
    }
    let mut artifacts = BTreeMap::new();
    for entry in fs::read_dir(storage.artifact_dir(id)).into_iter().flatten().flatten() {
        let bytes = fs::read(entry.path()).map_err(|error| error.to_string())?;
        artifacts.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    let summary = format!("{:?} {:?} {:?}", state.summary, state.steps, state.artifacts);
    Ok(Some((Told { output, state: summary, artifacts }, label)))
}

fn backups(options: &Options, load: &Load<'_>) -> Result<String, String> {
    let scratch = load.scratch;
    let target = scratch.work().join("backup");
    eventually("something has ended", || {
        let first = *scratch.storage.executions().ok()?.first()?;
        told(&scratch.storage, first).ok()?.map(drop)
    });
    let (mut compared, mut unfinished, mut packed, mut longest) = (0, 0, 0, Duration::ZERO);
    let mut seen = BTreeMap::new();
    for number in 0..options.backups {
        let begun = Instant::now();
        let place = |found: String| format!("backup {number}: {found}");
        for id in scratch.storage.executions().map_err(|error| error.to_string())? {
            if let std::collections::btree_map::Entry::Vacant(place) = seen.entry(id)
                && let Some((told, _)) = told(&scratch.storage, id)?
            {
                place.insert(told);
            }
        }
        // Labels go on changing: what is restored is no older than this.
        let before = labels(&scratch.storage, seen.keys())?;
        let took = Instant::now();
        let said = json_of(scratch, &["backup", &target.display().to_string(), "--json"])?;
        longest = longest.max(took.elapsed());
        let after = load.labels.load(Relaxed) + 1;
        unfinished += said["unfinished"].as_u64().unwrap_or_default();
        let copy = scratch.at(&target);
        let proof = json_of(&copy, &["verify", "--json"]).map_err(place)?;
        if proof["damaged"] != 0 {
            return Err(place(format!("verify: {proof}")));
        }
        let (root, there) = restored(scratch, &target, number).map_err(place)?;
        for (id, expected) in &seen {
            let found = told(&there.storage, *id).map_err(place)?;
            let Some((found, label)) = found else {
                return Err(place(format!("{id} had ended and has not")));
            };
            if found != *expected {
                return Err(place(format!("{id} differs: {}, {}", found.state, expected.state)));
            }
            if label < before[id] || label > after {
                return Err(place(format!(
                    "{id} has label {label}, not one between {} and {after}",
                    before[id]
                )));
            }
            compared += 1;
        }
        packed += marked(&there).map_err(place)?;
        let listed = there.text(&["ls", "--json", "-n", "1000"]);
        there.text(&["reindex"]);
        if there.text(&["ls", "--json", "-n", "1000"]) != listed {
            return Err(place("its catalog is not what its records make".to_owned()));
        }
        if number + 1 == options.backups {
            keys(load, &there).map_err(place)?;
        }
        drop(there);
        fs::remove_dir_all(root).map_err(|error| error.to_string())?;
        thread::sleep(EVERY.saturating_sub(begun.elapsed()));
    }
    if unfinished == 0 || packed == 0 {
        return Err(format!("not under load: {unfinished} unfinished, {packed} compressed"));
    }
    Ok(format!(
        "{} backups under load, one a second, each looked through and restored: {} executions had ended \
         before the last, {compared} compared, 0 differ; {unfinished} unfinished, {packed} with a compressed \
         log, {} labels set meanwhile; a backup took at most {:.2} s; a key asked for again got what it had",
        options.backups,
        seen.len(),
        load.labels.load(Relaxed),
        longest.as_secs_f64()
    ))
}

fn labels<'a>(
    storage: &Storage,
    ids: impl Iterator<Item = &'a ExecutionId>,
) -> Result<BTreeMap<ExecutionId, u64>, String> {
    ids.map(|id| {
        let state = RecordView::open(storage, *id).map_err(|error| error.to_string())?.state;
        let label = state.summary.tags.first().and_then(|tag| tag.parse().ok()).unwrap_or(0);
        Ok((*id, label))
    })
    .collect()
}

fn json_of(scratch: &Scratch, args: &[&str]) -> Result<Value, String> {
    let output = scratch.output(args);
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(format!("{}: {}", args[0], String::from_utf8_lossy(&said)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn restored(scratch: &Scratch, target: &Path, number: u64) -> Result<(PathBuf, Scratch), String> {
    let root = scratch.work().join(format!("restored-{number}"));
    let there = scratch.at(&root);
    let said = json_of(&there, &["restore", &target.display().to_string(), "--json"])?;
    if said["flaws"] != json!([]) {
        return Err(format!("restore: {said}"));
    }
    Ok((root, there))
}

/// What came back waits to be compressed unless it is; how many are. Whoever looks first at one that
/// had not ended finds that it is lost, and marks it then.
fn marked(there: &Scratch) -> Result<u64, String> {
    let all = there.storage.executions().map_err(|error| error.to_string())?;
    let plain = |id: &ExecutionId| {
        there.storage.record_dir(*id).join("output.log").exists()
            && !there.storage.open_marker(*id).exists()
    };
    let expected: BTreeSet<ExecutionId> = all.iter().copied().filter(plain).collect();
    let marked = there.storage.ended(Duration::ZERO).map_err(|error| error.to_string())?;
    let marked: BTreeSet<ExecutionId> = marked.into_iter().collect();
    if let Some(id) = marked.symmetric_difference(&expected).next() {
        return Err(format!(
            "{} are marked for compression of {}: {id} is not as it should be, open: {}",
            marked.len(),
            expected.len(),
            there.storage.open_marker(*id).exists()
        ));
    }
    Ok((all.len() - expected.len()) as u64)
}

/// Whoever asks the restored storage again, with the same key, gets what was accepted.
fn keys(load: &Load<'_>, there: &Scratch) -> Result<(), String> {
    let known: BTreeSet<ExecutionId> =
        there.storage.executions().map_err(|error| error.to_string())?.into_iter().collect();
    let id = known.first().ok_or("nothing was restored")?;
    let spec = there.storage.spec(*id).map_err(|error| error.to_string())?;
    let key = spec.name.strip_prefix("load ").map(|number| format!("{number}-0"));
    let key = key.ok_or(format!("no key of {}", spec.name))?;
    let body = json!({"command": spec.command, "name": spec.name,
        "working_directory": load.scratch.work(), "wait": true});
    let server = Served::start(there, &[])?;
    let again = ask(&server.address, "POST", "/api/executions", Some(&key), Some(&body))?;
    let said: Value = serde_json::from_slice(&again.1).map_err(|error| error.to_string())?;
    let answered = said["id"].as_str().and_then(|id| id.parse().ok());
    if again.0 >= 300 || answered != Some(*id) {
        let made = accepted(&again);
        return Err(format!("key {key} of {id} made another: {made:?}, {} {said}", again.0));
    }
    Ok(())
}
