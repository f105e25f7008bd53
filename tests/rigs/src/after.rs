//! What happens after the end: a log that is compressed and a record that is deleted, killed before
//! and after each call that changes a file, and at random moments.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use serde_json::json;
use stepflow_model::{ExecutionId, Note, NoteKind};
use stepflow_record::{Storage, append_note};
use stepflow_testkit::{Rng, Scratch, eventually};

use crate::{
    Options, Outcome,
    served::{Served, ask},
    stage::{LIBRARY, compiled, recorded},
};

/// A storage that every case begins with, and what is beside it.
struct Stage {
    scratch: Scratch,
    preload: PathBuf,
    dir: tempfile::TempDir,
    /// Ended, oldest first; the first is pinned.
    ended: Vec<ExecutionId>,
    outputs: BTreeMap<ExecutionId, Vec<u8>>,
}

/// Which call kills, and how.
#[derive(Clone, Copy)]
struct At {
    call: usize,
    what: &'static str,
}

impl Stage {
    fn new(program: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let preload = compiled(dir.path(), "preload.c", &LIBRARY)?;
        let scratch = Scratch::new(program);
        let script = "echo STEP_START:One; seq 60000; echo data > f.txt; echo ARTIFACT:f.txt; sleep 0.02; \
                      echo STEP_COMPLETE:One; seq 1000";
        let mut ended = Vec::new();
        for _ in 0..4 {
            let args = ["run", "--output", "quiet", "--", "sh", "-c", script];
            let run = scratch.output(&args);
            if !run.status.success() {
                return Err(format!("undisturbed: {}", String::from_utf8_lossy(&run.stderr)));
            }
            ended.push(scratch.newest());
        }
        let pinned = scratch.storage.record_dir(ended[0]);
        let kind = NoteKind::Labelled { name: None, tags: None, pinned: Some(true) };
        append_note(&pinned, &Note { time_us: 1, kind }).map_err(|error| error.to_string())?;
        scratch.text(&["reindex"]);
        let outputs = ended
            .iter()
            .map(|id| Ok((*id, recorded(&scratch, *id)?)))
            .collect::<Result<_, String>>()?;
        Ok(Self { scratch, preload, dir, ended, outputs })
    }

    /// A copy of the storage with a canary tree around it; an earlier one goes.
    fn copy(&self) -> Result<Copy, String> {
        let around = self.dir.path().join("around");
        let _ = fs::remove_dir_all(&around);
        let root = around.join("storage");
        let make = || -> std::io::Result<()> {
            for name in ["executions", "artifacts", "canary"] {
                fs::create_dir_all(around.join(name))?;
                fs::write(around.join(name).join("kept"), name)?;
            }
            let source = self.scratch.storage.root();
            let status = Command::new("cp").arg("-a").arg(source).arg(&root).status()?;
            if !status.success() {
                return Err(std::io::Error::other("cp failed"));
            }
            // What a record or a trash could lead astray to.
            std::os::unix::fs::symlink(around.join("canary"), root.join("artifacts/elsewhere"))
        };
        make().map_err(|error| format!("copy: {error}"))?;
        let storage = Storage::at(&root).map_err(|error| error.to_string())?;
        let scratch = self.scratch.at(&root);
        // Its claim is held here: one that was copied would be nobody's.
        let running = scratch.detach(&[], &["sh", "-c", "echo begun; exec sleep 3600"]);
        eventually("it has printed", || {
            (recorded(&scratch, running).ok()? == b"begun\n").then_some(())
        });
        Ok(Copy { around, scratch, storage, running })
    }

    /// Runs a command that is killed at a call. Returns its calls and how it ended.
    fn lie(&self, copy: &Copy, args: &[&str], at: At) -> Result<(String, ExitStatus), String> {
        let count = self.dir.path().join("count");
        let _ = fs::remove_file(&count);
        let status = copy
            .scratch
            .command(args)
            .env("LD_PRELOAD", &self.preload)
            .env("STEPFLOW_RIG_ROOT", copy.storage.root())
            .env("STEPFLOW_RIG_ROLE", args[0])
            .env("STEPFLOW_RIG_COUNT", &count)
            .env("STEPFLOW_RIG_AT", at.call.to_string())
            .env("STEPFLOW_RIG_DO", at.what)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| error.to_string())?;
        Ok((fs::read_to_string(&count).unwrap_or_default(), status))
    }

    /// A record is what it was: every byte, and nothing that does not prove itself.
    fn is_whole(&self, copy: &Copy, id: ExecutionId) -> Result<(), String> {
        let bytes = recorded(&copy.scratch, id)?;
        if bytes != self.outputs[&id] {
            return Err(format!("{id}: {} of {} bytes", bytes.len(), self.outputs[&id].len()));
        }
        let proof = copy.storage.verify(id).map_err(|error| format!("{id}: {error}"))?;
        if !proof.flaws.is_empty() || !proof.sealed || proof.artifacts != 1 {
            return Err(format!("{id}: {proof:?}"));
        }
        Ok(())
    }
}

struct Copy {
    around: PathBuf,
    scratch: Scratch,
    storage: Storage,
    running: ExecutionId,
}

impl Drop for Copy {
    /// Whoever was killed beside it may be in the way of one wish to end it.
    fn drop(&mut self) {
        let running = self.running.to_string();
        for _ in 0..100 {
            self.scratch.output(&["cancel", &running]);
            if !self.storage.is_alive(self.running).unwrap_or(false) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    ["executions", "artifacts", "canary"]
        .iter()
        .flat_map(|name| fs::read_dir(dir.join(name)).into_iter().flatten().flatten())
        .map(|entry| (entry.path(), fs::read(entry.path()).unwrap_or_default()))
        .collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let stage = match Stage::new(&options.program) {
        Ok(stage) => stage,
        Err(why) if why.starts_with("no C compiler") => return Ok(Outcome::NotRun(why)),
        Err(found) => return Err(found),
    };
    let compressing = sweep(&stage, &compress_args(stage.ended[1]), compressed)?;
    let deleting = sweep(&stage, &PRUNE.map(str::to_owned), pruned)?;
    let kills = options.kills.max(10);
    let mut random = Rng::new(options.seed);
    let mut inside = 0;
    for number in 0..kills {
        inside += u64::from(
            killed(&stage, &mut random).map_err(|found| format!("kill {number}: {found}"))?,
        );
    }
    if inside * 4 < kills {
        return Err(format!("not a sweep: {inside} of {kills} kills hit anything"));
    }
    let sweeps = kills.div_ceil(3);
    let mut half = 0;
    for number in 0..sweeps {
        half += u64::from(
            swept(&stage, &mut random)
                .map_err(|found| format!("server killed in sweep {number}: {found}"))?,
        );
    }
    if half == 0 {
        return Err(format!("not a sweep: none of {sweeps} servers was killed before its answer"));
    }
    Ok(Outcome::Held(format!(
        "{} kills before and after each of {compressing} calls of a compression and {deleting} of a \
         deletion, {kills} at random moments ({inside} of them before the end), {sweeps} of a server that \
         deletes ({half} of them before its answer): every record whole or \
         wholly gone, 0 bytes changed, what is pinned or runs and what is beside the storage untouched",
        2 * (compressing + deleting)
    )))
}

fn compress_args(id: ExecutionId) -> [String; 2] {
    ["compress".to_owned(), id.to_string()]
}

/// One stays besides the pinned and the running one.
const PRUNE: [&str; 3] = ["prune", "--max-count", "1"];

type Judge = fn(&Stage, &Copy) -> Result<(), String>;

/// Kills a command before and after each of its calls; returns how many there are.
fn sweep(stage: &Stage, args: &[String], judge: Judge) -> Result<usize, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let copy = stage.copy()?;
    let (calls, status) = stage.lie(&copy, &args, At { call: 0, what: "" })?;
    if !status.success() || calls.len() < 8 {
        return Err(format!("{} undisturbed: {status}, calls {calls:?}", args[0]));
    }
    judge(stage, &copy).map_err(|found| format!("{} undisturbed: {found}", args[0]))?;
    drop(copy); // What runs in it is ended before another takes its place.
    for call in 1..=calls.len() {
        for what in ["before", "after"] {
            let place = |found| format!("{} killed {what} call {call} ({calls}): {found}", args[0]);
            let copy = stage.copy().map_err(place)?;
            let canary = tree(&copy.around);
            let (_, status) = stage.lie(&copy, &args, At { call, what }).map_err(place)?;
            if status.success() {
                return Err(place("it was not killed".to_owned()));
            }
            crashed(stage, &copy).map_err(place)?;
            let again = copy.scratch.output(&args);
            if !again.status.success() {
                return Err(place(String::from_utf8_lossy(&again.stderr).into_owned()));
            }
            judge(stage, &copy).map_err(|found| place(format!("and again: {found}")))?;
            if tree(&copy.around) != canary {
                return Err(place("something beside the storage has changed".to_owned()));
            }
        }
    }
    Ok(calls.len())
}

/// Right after a crash, before anybody mends anything: what has a name is whole.
fn crashed(stage: &Stage, copy: &Copy) -> Result<(), String> {
    for id in &stage.ended {
        if copy.storage.record_dir(*id).exists() {
            stage.is_whole(copy, *id)?;
        }
    }
    let alive = copy.storage.is_alive(copy.running).map_err(|error| error.to_string())?;
    if !alive || recorded(&copy.scratch, copy.running)? != b"begun\n" {
        return Err("what runs was touched".to_owned());
    }
    Ok(())
}

fn compressed(stage: &Stage, copy: &Copy) -> Result<(), String> {
    for id in &stage.ended {
        stage.is_whole(copy, *id)?;
    }
    let mut found = names(&copy.storage.record_dir(stage.ended[1]));
    found.retain(|name| name.starts_with("output"));
    if found != ["output.log.zst"] {
        return Err(format!("it has {found:?}"));
    }
    Ok(())
}

fn pruned(stage: &Stage, copy: &Copy) -> Result<(), String> {
    crashed(stage, copy)?;
    let kept = [stage.ended[0], stage.ended[3]];
    for id in kept {
        stage.is_whole(copy, id)?;
    }
    let mut expected: Vec<String> = kept.iter().map(ToString::to_string).collect();
    expected.push(copy.running.to_string());
    expected.sort();
    if names(&copy.storage.record_dir(kept[0]).join("..")) != expected {
        return Err("records that should have gone are there, or the other way round".to_owned());
    }
    let listed: serde_json::Value =
        serde_json::from_str(&copy.scratch.text(&["ls", "--json"])).map_err(|e| e.to_string())?;
    let mut rows: Vec<String> = listed["executions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| Some(one["id"].as_str()?.to_owned()))
        .collect();
    rows.sort();
    if rows != expected {
        return Err(format!("the catalog has {rows:?}, not {expected:?}"));
    }
    for id in &stage.ended[1..3] {
        if copy.storage.artifact_dir(*id).exists() {
            return Err(format!("artifacts of {id} are left"));
        }
    }
    if !names(&copy.storage.trash_dir()).is_empty() {
        return Err("the trash is not empty".to_owned());
    }
    Ok(())
}

/// Compression of everything, killed at a random moment. Returns whether that was before its end.
fn killed(stage: &Stage, random: &mut Rng) -> Result<bool, String> {
    let copy = stage.copy()?;
    let mut child = copy
        .scratch
        .command(&["compress"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    thread::sleep(Duration::from_micros(random.below(60_000)));
    child.kill().map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    crashed(stage, &copy)?;
    let again = copy.scratch.output(&["compress"]);
    if !again.status.success() {
        return Err(String::from_utf8_lossy(&again.stderr).into_owned());
    }
    compressed(stage, &copy)?;
    crashed(stage, &copy)?;
    Ok(!status.success())
}

/// A server that lets go of the same records, killed at a random moment; its successor does the rest.
/// Returns whether it was killed before it answered.
fn swept(stage: &Stage, random: &mut Rng) -> Result<bool, String> {
    let rules = json!({"rules": [{"max_count": 1}]});
    let sweep = |address: &str| ask(address, "POST", "/api/retention/sweep", None, Some(&rules));
    let copy = stage.copy()?;
    let canary = tree(&copy.around);
    let mut server = Served::start(&copy.scratch, &[])?;
    let asked = {
        let (address, sweep) = (server.address.clone(), rules.clone());
        thread::spawn(move || ask(&address, "POST", "/api/retention/sweep", None, Some(&sweep)))
    };
    thread::sleep(Duration::from_micros(random.below(15_000)));
    server.kill();
    let answered = asked.join().map_err(|_| "a caller panicked")?.is_ok_and(|said| said.0 == 200);
    crashed(stage, &copy)?;
    let mut server = Served::start(&copy.scratch, &[])?;
    let again = sweep(&server.address)?;
    if again.0 != 200 {
        return Err(format!("{}: {}", again.0, String::from_utf8_lossy(&again.1)));
    }
    server.kill();
    pruned(stage, &copy)?;
    if tree(&copy.around) != canary {
        return Err("something beside the storage has changed".to_owned());
    }
    Ok(!answered)
}
