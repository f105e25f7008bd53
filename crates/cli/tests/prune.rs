//! What is not to be kept is deleted, whole, and nothing else: by a command and by a server, killed
//! at seeded moments.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use stepflow_client::Server as Client;
use stepflow_model::{ExecutionId, Note, NoteKind};
use stepflow_record::append_note;
use stepflow_testkit::{Ended, Rng, Scratch, kill, rounds};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// Runs one that prints lines, writes an artifact, and ends.
fn run(scratch: &Scratch, name: &str, tags: &[&str]) -> ExecutionId {
    let script = format!("echo STEP_START:a; echo {name} > f.txt; echo ARTIFACT:f.txt; seq 100");
    let mut args = vec!["run", "--output", "quiet", "--name", name];
    for tag in tags {
        args.extend(["--tag", tag]);
    }
    args.extend(["--", "sh", "-c", &script]);
    let output = scratch.output(&args);
    assert!(output.status.success(), "{output:?}");
    scratch.newest()
}

/// `stepflow prune ARGS --json`.
fn prune(scratch: &Scratch, args: &[&str]) -> Value {
    let args: Vec<&str> = ["prune", "--json"].iter().chain(args).copied().collect();
    let output = scratch.output(&args);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn listed(scratch: &Scratch) -> BTreeSet<String> {
    let list: Value = serde_json::from_str(&scratch.text(&["ls", "--json", "-n", "1000"])).unwrap();
    let ids = list["executions"].as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn texts(ids: &[ExecutionId]) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Bytes of a directory on the disk, as `du` counts them.
fn du(paths: &[&Path]) -> u64 {
    let output = Command::new("du").args(["-scB1", "--"]).args(paths).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_limit_lets_go_of_the_oldest_and_of_nothing_that_is_pinned() {
    let scratch = Scratch::new(STEPFLOW);
    let ids: Vec<ExecutionId> = (0..8).map(|n| run(&scratch, &format!("job-{n}"), &[])).collect();
    let mut kept = ids[5..].to_vec();
    kept.push(ids[0]);
    scratch.storage.mark_changed(ids[0]).unwrap();
    let kind = NoteKind::Labelled { name: None, tags: None, pinned: Some(true) };
    append_note(&scratch.storage.record_dir(ids[0]), &Note { time_us: 1, kind }).unwrap();

    let would = prune(&scratch, &["--max-count", "3", "--dry-run"]);
    assert_eq!((&would["deleted"], &would["dry_run"]), (&4.into(), &true.into()), "{would}");
    assert_eq!(listed(&scratch), texts(&ids), "a dry run deletes nothing");

    let gone: Vec<_> = ids[1..5]
        .iter()
        .flat_map(|id| [scratch.storage.record_dir(*id), scratch.storage.artifact_dir(*id)])
        .collect();
    let taken = du(&gone.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    let did = prune(&scratch, &["--max-count", "3"]);
    assert_eq!((&did["deleted"], &did["looked_at"]), (&4.into(), &8.into()), "{did}");
    assert_eq!(did["bytes_freed"], would["bytes_freed"], "what was announced");
    assert_eq!(did["bytes_freed"], taken, "what was on the disk");
    assert_eq!(listed(&scratch), texts(&kept));
    let root = scratch.storage.root();
    assert_eq!(names(&root.join("executions")), texts(&kept));
    assert_eq!(names(&root.join("artifacts")), texts(&kept));
    assert_eq!(names(&root.join("trash")), BTreeSet::new());
    // What is left is as it was.
    let lines: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    for id in &kept {
        assert!(scratch.text(&["logs", &id.to_string()]).ends_with(&(lines.join("\n") + "\n")));
    }
    // The catalog that is rebuilt from the records has no more and no less.
    assert!(scratch.output(&["reindex"]).status.success());
    assert_eq!(listed(&scratch), texts(&kept));
}

#[test]
fn ages_sizes_tags_and_names_are_kept_to() {
    let scratch = Scratch::new(STEPFLOW);
    let release = run(&scratch, "build", &["release"]);
    let nightly = run(&scratch, "nightly-1", &[]);
    let build = run(&scratch, "build", &[]);
    assert_eq!(prune(&scratch, &["--max-age", "1h"])["deleted"], 0);
    assert_eq!(prune(&scratch, &["--max-age", "0s", "--name", "nightly-?"])["deleted"], 1);
    assert_eq!(listed(&scratch), texts(&[release, build]), "{nightly}");
    assert_eq!(prune(&scratch, &["--max-size", "1G"])["deleted"], 0);
    // The rules of the file, the first that covers one decides: a release is kept for ever.
    let rules = "[[retention]]\ntag = \"release\"\n\n[[retention]]\nmax_size = \"10B\"\n";
    fs::write(scratch.work().join("stepflow.toml"), rules).unwrap();
    assert_eq!(prune(&scratch, &[])["deleted"], 1);
    assert_eq!(listed(&scratch), texts(&[release]));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let scratch = Scratch::new(STEPFLOW);
    let refused = |args: &[&str], word: &str| {
        let output = scratch.output(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(word), "{text}");
    };
    refused(&["prune"], "nothing says what to delete");
    refused(&["prune", "--max-size", "many"], "is not a size");
    refused(&["prune", "--tag", "x"], "nothing says what to delete");
    let file = scratch.work().join("stepflow.toml");
    fs::write(&file, "[[retention]]\nmax_count = 1\n[[retention]]\ntag = \"x\"\n").unwrap();
    refused(&["prune"], "rule 1");
    fs::write(&file, "[[retention]]\nmax_age = \"long\"\n").unwrap();
    refused(&["serve", "--listen", "127.0.0.1:0"], "is not a duration");
}

#[test]
fn one_that_runs_stays_until_it_has_ended() {
    let scratch = Scratch::new(STEPFLOW);
    let fifo = scratch.work().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let running = scratch.detach(&[], &["cat", "go"]);
    scratch.pids(running);
    assert_eq!(prune(&scratch, &["--max-count", "0"])["deleted"], 0);
    fs::write(&fifo, "it goes on\n").unwrap();
    scratch.ended(running);
    assert_eq!(scratch.output_of(running), b"it goes on\n");
    // Its processes may still be letting go of it.
    stepflow_testkit::eventually("it is deleted", || {
        (prune(&scratch, &["--max-count", "0"])["deleted"] == 1).then_some(())
    });
    assert_eq!(listed(&scratch), BTreeSet::new());
}

/// A running server; killed when the test ends.
struct Server {
    _process: Ended,
    client: Client,
}

fn serve(scratch: &Scratch, rules: &str) -> Server {
    fs::write(scratch.work().join("stepflow.toml"), rules).unwrap();
    let mut command = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listens = lines.any(|line| line.unwrap().starts_with("listening on"));
    assert!(listens);
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    Server { _process: Ended(child), client }
}

#[test]
fn a_server_does_it_for_the_command_and_by_its_own_rules() {
    let scratch = Scratch::new(STEPFLOW);
    let ids: Vec<ExecutionId> = (0..6).map(|n| run(&scratch, &format!("job-{n}"), &[])).collect();
    let server = serve(&scratch, "[[retention]]\nmax_count = 4\n");
    let kept = server.client.get("/api/retention").unwrap();
    assert_eq!(kept, serde_json::json!({"rules": [{"max_count": 4}], "last": null}));
    assert_eq!(prune(&scratch, &["--max-count", "5", "--dry-run"])["deleted"], 1);
    assert_eq!(prune(&scratch, &["--max-count", "5"])["deleted"], 1);
    let swept = server.client.post("/api/retention/sweep", &serde_json::json!({})).unwrap();
    assert_eq!((&swept["deleted"], &swept["stopped"]), (&1.into(), &false.into()), "{swept}");
    assert_eq!(server.client.get("/api/retention").unwrap()["last"], swept);
    assert_eq!(listed(&scratch), texts(&ids[2..]));
    let answer = server.client.get(&format!("/api/executions/{}", ids[0]));
    assert!(format!("{answer:?}").contains("404"), "{answer:?}");
}

#[test]
fn killed_at_any_moment_it_leaves_no_half_of_an_execution() {
    let mut rng = Rng::seeded();
    let scratch = Scratch::new(STEPFLOW);
    let ids: Vec<ExecutionId> = (0..40).map(|n| run(&scratch, &format!("job-{n}"), &[])).collect();
    scratch.text(&["ls"]); // The catalog has all of them.
    let kept = texts(&ids[30..]);
    // Beside the storage, and in it under a name that is no execution's.
    let canary = scratch.work().join("canary");
    fs::create_dir_all(canary.join("deep")).unwrap();
    fs::write(canary.join("deep/file"), "do not touch").unwrap();
    let copy = scratch.work().join("copy");
    let refresh = || {
        let _ = fs::remove_dir_all(&copy);
        let status = Command::new("cp").arg("-a").arg(scratch.storage.root()).arg(&copy).status();
        assert!(status.unwrap().success());
        fs::create_dir(copy.join("executions").join("not-an-id")).unwrap();
        std::os::unix::fs::symlink(&canary, copy.join("artifacts").join("link")).unwrap();
        scratch.at(&copy)
    };
    let begun = Instant::now();
    assert_eq!(prune(&refresh(), &["--max-count", "10"])["deleted"], 30);
    let whole = begun.elapsed();
    for round in 0..rounds() {
        let there = refresh();
        let mut child = Ended(
            there.command(&["prune", "--max-count", "10"]).stdout(Stdio::null()).spawn().unwrap(),
        );
        thread::sleep(Duration::from_micros(rng.below(whole.as_micros() as u64)));
        kill(child.0.id() as i32);
        child.0.wait().unwrap();

        let listed = listed(&there);
        assert!(listed.is_superset(&kept), "round {round}: one that was to be kept is gone");
        let executions: BTreeSet<String> = names(&copy.join("executions"))
            .into_iter()
            .filter(|name| name != "not-an-id")
            .collect();
        assert_eq!(listed, executions, "round {round}: catalog and records agree");
        for id in &listed {
            let shown = there.output(&["show", "--json", id]);
            assert!(shown.status.success(), "round {round}: {id} is half there");
            assert!(there.text(&["logs", id]).ends_with("\n100\n"), "round {round}: {id}");
            let copies = names(&copy.join("artifacts").join(id));
            assert_eq!(copies.len(), 1, "round {round}: {id} has its artifact");
        }
        prune(&there, &["--max-count", "10"]);
        assert_eq!(self::listed(&there), kept, "round {round}: the next one goes on");
        assert_eq!(names(&copy.join("trash")), BTreeSet::new(), "round {round}");
        let artifacts = names(&copy.join("artifacts"));
        assert_eq!(artifacts.len(), kept.len() + 1, "round {round}: nothing is left over");
        assert!(copy.join("executions/not-an-id").is_dir(), "round {round}");
        assert_eq!(fs::read_to_string(canary.join("deep/file")).unwrap(), "do not touch");
    }
}
