//! `verify`, `backup`, `restore`: nothing that was recorded is changed without a word, and a copy
//! that was made under load comes back whole.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use stepflow_model::ExecutionId;
use stepflow_record::{RecordView, Storage};
use stepflow_testkit::{Ended, Rng, Scratch, eventually, kill, rounds};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const SCRIPT: &str = "echo STEP_START:Build; seq 1 40; echo bytes > out.txt; \
                      echo ARTIFACT:out.txt:Bytes; echo META:commit:1; echo STEP_COMPLETE:Build";

fn run(scratch: &Scratch) -> ExecutionId {
    run_script(scratch, SCRIPT)
}

fn run_script(scratch: &Scratch, script: &str) -> ExecutionId {
    let output = scratch.output(&["run", "--output", "quiet", "--", "sh", "-c", script]);
    assert!(output.status.success(), "{output:?}");
    scratch.newest()
}

fn json(scratch: &Scratch, args: &[&str]) -> (Value, bool) {
    let output = scratch.output(args);
    let said = serde_json::from_slice(&output.stdout);
    (said.unwrap_or_else(|_| panic!("{output:?}")), output.status.success())
}

/// Every file of a record and its artifacts, but for the claim, which has no byte.
fn files(storage: &Storage, id: ExecutionId) -> Vec<PathBuf> {
    let dirs = [storage.record_dir(id), storage.artifact_dir(id)];
    let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| fs::metadata(path).unwrap().len() > 0);
    files.sort();
    files
}

#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let scratch = Scratch::new(STEPFLOW);
    let id = run(&scratch);
    // The index is in the journal's end.
    changed_and_cut_everywhere(&scratch, id, 5);
}

#[test]
fn also_of_a_log_with_an_index_of_its_own() {
    let scratch = Scratch::new(STEPFLOW);
    // Each line waits for the entry of the one before: too many for the journal's end.
    let index = scratch.storage.root().join("executions/*/output.idx");
    let lines = format!(
        "for n in $(seq 30); do echo $n; until [ $(stat -c %s {}) -gt $((32 * n)) ]; do sleep 0.002; \
         done; done; {SCRIPT}",
        index.display()
    );
    let id = run_script(&scratch, &lines);
    assert!(scratch.storage.record_dir(id).join("output.idx").exists());
    changed_and_cut_everywhere(&scratch, id, 6);
}

fn changed_and_cut_everywhere(scratch: &Scratch, id: ExecutionId, parts: usize) {
    scratch.text(&["ls"]);
    stepflow_record::append_note(
        &scratch.storage.record_dir(id),
        &stepflow_model::Note {
            time_us: 1,
            kind: stepflow_model::NoteKind::Labelled {
                name: Some("other".into()),
                tags: None,
                pinned: None,
            },
        },
    )
    .unwrap();
    let storage = &scratch.storage;
    let whole = storage.verify(id).unwrap();
    assert_eq!(whole.flaws, []);
    assert!(whole.sealed && whole.ended && whole.bytes > 100, "{whole:?}");
    assert_eq!((whole.artifacts, whole.artifact_bytes), (1, 6));
    let files = files(storage, id);
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names.len(), parts, "spec, journal, notes, log, index, artifact: {names:?}");
    let is_found = |path: &Path, what: &str| {
        // Without its last line a journal is one whose recorder was killed: not proven.
        let proven = storage.verify(id).is_ok_and(|proof| proof.flaws.is_empty() && proof.sealed);
        assert!(!proven, "{}: {what} is not found", path.display());
    };
    for path in &files {
        let bytes = fs::read(path).unwrap();
        let is_notes = path.ends_with("notes.ndjson");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(path, &changed).unwrap();
            is_found(path, &format!("a changed byte at {at}"));
        }
        for len in 0..bytes.len() {
            // A note that was never completed was never promised; all else ends in its end.
            if !is_notes {
                fs::write(path, &bytes[..len]).unwrap();
                is_found(path, &format!("a cut at {len}"));
            }
        }
        if !is_notes {
            fs::write(path, [&bytes[..], b"x"].concat()).unwrap();
            is_found(path, "a byte too many");
        }
        fs::remove_file(path).unwrap();
        if !is_notes {
            is_found(path, "its absence");
        }
        fs::write(path, &bytes).unwrap();
        assert_eq!(storage.verify(id).unwrap(), whole);
    }
}

#[test]
fn the_command_says_what_is_proven_and_what_is_not() {
    let scratch = Scratch::new(STEPFLOW);
    let (first, second) = (run(&scratch), run(&scratch));
    let (said, good) = json(&scratch, &["verify", "--json"]);
    assert!(good, "{said}");
    assert_eq!((&said["executions"], &said["artifacts"]), (&2.into(), &2.into()), "{said}");

    // One that runs is proven as far as it is recorded; one that was killed has no end of its own.
    let running = scratch.detach(&[], &["sh", "-c", "echo hello; exec sleep 600"]);
    eventually("a line", || (!scratch.output_of(running).is_empty()).then_some(()));
    let (said, good) = json(&scratch, &["verify", "--json"]);
    assert!(good, "{said}");
    assert_eq!((&said["open"], &said["unsealed"]), (&1.into(), &0.into()), "{said}");
    let (recorder, keeper, script) = scratch.pids(running);
    [recorder, keeper, script].into_iter().for_each(kill);
    eventually("the verdict", || {
        scratch.text(&["ls"]);
        scratch.view(running).state.summary.status.is_end().then_some(())
    });
    let (said, good) = json(&scratch, &["verify", "--json"]);
    assert!(good, "{said}");
    assert_eq!((&said["open"], &said["unsealed"]), (&0.into(), &1.into()), "{said}");

    let log = scratch.storage.record_dir(first).join("output.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[30] ^= 4;
    fs::write(&log, &bytes).unwrap();
    let output = scratch.output(&["verify"]);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(out.contains(&format!("{first} output.log: bytes")), "{out}");
    assert!(err.contains("restore these executions from a backup"), "{err}");
    let (said, good) = json(&scratch, &["verify", &second.to_string(), "--json"]);
    assert!(good && said["executions"] == 1, "{said}");
}

/// What must be the same: output and state, as the record tells them.
fn told(storage: &Storage, id: ExecutionId) -> (Vec<u8>, String) {
    let view = RecordView::open(storage, id).unwrap();
    let bytes = fs::read(storage.record_dir(id).join("output.log")).unwrap();
    (bytes, format!("{:?}", view.state))
}

fn ended(storage: &Storage) -> BTreeMap<ExecutionId, (Vec<u8>, String)> {
    let all = storage.executions().unwrap().into_iter();
    all.filter(|id| {
        let view = RecordView::open(storage, *id);
        view.is_ok_and(|view| view.state.summary.status.is_end())
    })
    .map(|id| (id, told(storage, id)))
    .collect()
}

/// A backup goes on while a server works and scripts start, print and end; each is restored.
#[test]
fn a_backup_under_load_brings_back_all_that_had_ended_when_it_began() {
    let scratch = Scratch::new(STEPFLOW);
    let mut serve = scratch.command(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
    let _server = Ended(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    run(&scratch);
    let target = scratch.work().join("backup");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Bounded: a slow machine must get to the end of what piles up.
                for _ in 0..100 {
                    if stop.load(Relaxed) {
                        break;
                    }
                    scratch.text(&["run", "--output", "quiet", "--", "sh", "-c", SCRIPT]);
                }
            });
        }
        let unfinished = scratch
            .detach(&[], &["sh", "-c", "while :; do echo line; done | head -c 3M; exec sleep 600"]);
        for round in 0..rounds().div_ceil(5) {
            let before = ended(&scratch.storage);
            let (said, good) = json(&scratch, &["backup", target.to_str().unwrap(), "--json"]);
            assert!(good && said["unfinished"].as_u64() >= Some(1), "{said}");
            let place = scratch.work().join(format!("restored-{round}"));
            let there = scratch.at(&place);
            let (said, good) = json(&there, &["restore", target.to_str().unwrap(), "--json"]);
            assert!(good && said["flaws"] == serde_json::json!([]), "{said}");
            for (id, expected) in &before {
                assert!(told(&there.storage, *id) == *expected, "round {round}: {id} differs");
            }
            let (proof, good) = json(&there, &["verify", "--json"]);
            assert!(good, "{proof}");
            // The catalog that came back is the one that the records make.
            let listed = |scratch: &Scratch| scratch.text(&["ls", "--json", "-n", "1000"]);
            let as_restored = listed(&there);
            there.text(&["reindex"]);
            assert_eq!(as_restored, listed(&there), "round {round}");
            let lost = there.view(unfinished);
            assert!(lost.state.summary.status.is_end(), "nobody holds what came back");
            fs::remove_dir_all(&place).unwrap();
        }
        stop.store(true, Relaxed);
        scratch.text(&["cancel", &unfinished.to_string()]);
    });
}

#[test]
fn a_second_backup_copies_what_is_new_and_removes_what_is_gone() {
    let scratch = Scratch::new(STEPFLOW);
    let ids = [run(&scratch), run(&scratch), run(&scratch)];
    let target = scratch.work().join("backup");
    let target = target.to_str().unwrap();
    assert_eq!(json(&scratch, &["backup", target, "--json"]).0["copied"], 3);
    let (said, _) = json(&scratch, &["backup", target, "--json"]);
    assert_eq!((&said["copied"], &said["bytes"]), (&0.into(), &0.into()), "{said}");
    scratch.text(&["prune", "--max-count", "2"]);
    run(&scratch);
    let (said, _) = json(&scratch, &["backup", target, "--json"]);
    assert_eq!((&said["copied"], &said["removed"]), (&1.into(), &1.into()), "{said}");
    assert_eq!(said["executions"], 3);
    let copy = scratch.at(Path::new(target));
    assert!(!copy.storage.record_dir(ids[0]).exists());
    assert!(json(&copy, &["verify", "--json"]).1);

    // What cannot be meant is refused, and nothing is touched.
    let empty = scratch.at(&scratch.work().join("empty"));
    for (there, args, why) in [
        (&empty, vec!["backup", target], "is it the right storage"),
        (&scratch, vec!["backup", scratch.storage.root().to_str().unwrap()], "elsewhere"),
        (&scratch, vec!["restore", target], "something in"),
        (&empty, vec!["restore", "/nowhere/at/all"], "holds no complete backup"),
        (&scratch, vec!["backup", "/etc"], "no backup"),
    ] {
        let output = there.output(&args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && err.contains(why), "{args:?}: {err}");
    }
    assert_eq!(copy.storage.executions().unwrap().len(), 3);
}

/// Killed anywhere, backup and restore leave what was there, and the next one goes on.
#[test]
fn killed_at_any_moment_a_backup_stays_a_backup() {
    let mut rng = Rng::seeded();
    let scratch = Scratch::new(STEPFLOW);
    let target = scratch.work().join("backup");
    let target = target.to_str().unwrap();
    let mut whole = Duration::ZERO;
    for round in 0..rounds() {
        let id = run(&scratch);
        if round == 0 {
            let begun = Instant::now();
            scratch.text(&["backup", target]);
            whole = begun.elapsed();
            continue;
        }
        let killed_in = |there: &Scratch, args: &[&str], rng: &mut Rng| {
            let mut command = there.command(args);
            let mut child =
                Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            thread::sleep(Duration::from_micros(rng.below(whole.as_micros() as u64)));
            kill(child.0.id() as i32);
            child.0.wait().unwrap();
        };
        killed_in(&scratch, &["backup", target], &mut rng);
        // Whatever it had come to: what is there can be restored, without a flaw.
        let place = scratch.work().join(format!("restored-{round}"));
        let there = scratch.at(&place);
        killed_in(&there, &["restore", target], &mut rng);
        let output = there.output(&["restore", target, "--json"]);
        let done = output.status.success()
            || String::from_utf8_lossy(&output.stderr).contains("something in");
        assert!(done, "round {round}: {output:?}");
        let (said, good) = json(&there, &["verify", "--json"]);
        assert!(good && said["executions"].as_u64() >= Some(round), "round {round}: {said}");
        fs::remove_dir_all(&place).unwrap();
        scratch.text(&["backup", target]);
        let copy = Storage::at(Path::new(target)).unwrap();
        assert!(told(&copy, id) == told(&scratch.storage, id), "round {round}");
        assert_eq!(copy.executions().unwrap(), scratch.storage.executions().unwrap());
    }
    let left = Command::new("find").args([target, "-name", ".staging"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

/// What ended is marked to be compressed, here and where it came back to; the marks are never more
/// than there are plain logs, and each way to deal with those takes them away.
#[test]
fn what_ended_waits_to_be_compressed_wherever_it_came_back_to() {
    let scratch = Scratch::new(STEPFLOW);
    let ids = [run(&scratch), run(&scratch), run(&scratch)];
    scratch.text(&["ls"]);
    let marks = |scratch: &Scratch| scratch.storage.ended(Duration::ZERO).unwrap();
    assert_eq!(marks(&scratch), ids);
    assert!(scratch.output(&["compress", &ids[0].to_string()]).status.success());
    assert_eq!(marks(&scratch), ids[1..]);
    let target = scratch.work().join("backup");
    scratch.text(&["backup", target.to_str().unwrap()]);
    scratch.text(&["prune", "--max-count", "2"]);
    assert_eq!(marks(&scratch), ids[1..]);
    scratch.text(&["prune", "--max-count", "1"]);
    assert_eq!(marks(&scratch), ids[2..], "what is deleted is not waited for");
    scratch.text(&["compress"]);
    assert_eq!(marks(&scratch), []);

    let there = scratch.at(&scratch.work().join("restored"));
    there.text(&["restore", target.to_str().unwrap()]);
    assert_eq!(marks(&there), ids[1..]);
    let mut serve = there.command(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
    serve.args(["--compress-after", "0s"]).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Ended(serve.spawn().unwrap());
    eventually("a server makes them small", || {
        let plain = |id: &ExecutionId| there.storage.record_dir(*id).join("output.log").exists();
        (marks(&there).is_empty() && !ids.iter().any(plain)).then_some(())
    });
}

/// Who asks again after a restore, with the same key, gets what was accepted and not a second one.
#[test]
fn a_key_is_known_where_its_execution_came_back_to() {
    let scratch = Scratch::new(STEPFLOW);
    let starts = scratch.work().join("starts");
    let body =
        serde_json::json!({"command": ["sh", "-c", format!("echo x >> '{}'", starts.display())],
        "working_directory": scratch.work(), "wait": true})
        .to_string();
    // Over the socket, by hand: the client has no keys.
    let ask = |scratch: &Scratch, key: &str| -> (String, Value) {
        use std::{
            io::{Read, Write},
            os::unix::net::UnixStream,
        };
        let path = scratch.storage.run_dir().join("server.sock");
        let mut socket = eventually("the server listens", || UnixStream::connect(&path).ok());
        write!(
            socket,
            "POST /api/executions HTTP/1.0\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, said) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(said).unwrap())
    };
    let serve = |scratch: &Scratch| {
        let mut serve = scratch.command(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
        Ended(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let server = serve(&scratch);
    let (status, made) = ask(&scratch, "one");
    assert!(status.contains(" 201 "), "{status} {made}");
    let target = scratch.work().join("backup");
    let target = target.to_str().unwrap();
    let (said, good) = json(&scratch, &["backup", target, "--json"]);
    assert!(good && said["executions"] == 1, "{said}");
    // A later backup takes the new keys over the old ones, and lets go of what counts no more.
    ask(&scratch, "two");
    let keys =
        |scratch: &Scratch| fs::read_dir(scratch.storage.root().join("keys")).unwrap().count();
    let copy = scratch.at(Path::new(target));
    assert_eq!(keys(&copy), 1);
    scratch.text(&["backup", target]);
    assert_eq!(keys(&copy), 2);
    fs::write(Path::new(target).join("keys").join("0".repeat(64)), "{}").unwrap();
    scratch.text(&["backup", target]);
    assert_eq!(keys(&copy), 2);
    drop(server);

    let there = scratch.at(&scratch.work().join("restored"));
    assert!(json(&there, &["restore", target, "--json"]).1);
    let _server = serve(&there);
    let (status, again) = ask(&there, "one");
    assert_eq!(again["id"], made["id"], "{status} {again}");
    assert_eq!(fs::read_to_string(&starts).unwrap().lines().count(), 2, "one of each key");
    let (_, third) = ask(&there, "three");
    assert!(third["id"].is_string() && third["id"] != made["id"], "{third}");
}
