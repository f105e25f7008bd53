//! Every command gives the same answer from the records alone, with a server on the storage, over
//! its Unix socket, and over TCP.

#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use stepflow_testkit::{Ended, Scratch, eventually};

const SCRIPT: &str = r#"
echo "STEP_START:Build [id=b]"
printf 'plain\n\033[31mred error: broken\nstill red\033[0m\n'
printf '10%%\r50%%\r100%%\n'
echo "WARNING: careful 日本語"
echo "STEP_START:Inner [id=i][parent=b]"
echo "inner line"
echo "STEP_COMPLETE:Inner [id=i]"
echo "STEP_COMPLETE:Build [id=b]"
printf 'data' > file.txt
echo "ARTIFACT:file.txt:A file"
echo "STEP_START:Test"
echo "error: it failed"
echo "STEP_ERROR:Test:no good"
printf 'half a line'
exit 3
"#;

struct There {
    scratch: Scratch,
    url: String,
    _server: Ended,
}

/// A server on the storage, on a port of its own; it says where.
fn serve(scratch: Scratch) -> There {
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap());
    let server = Ended(server);
    let mut line = String::new();
    while !line.contains("listening on ") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the server ended");
    }
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    // Its later words go nowhere, but it must be able to say them.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    There { scratch, url, _server: server }
}

impl There {
    fn ask(&self, server: &str, args: &[&str]) -> Output {
        let mut command = Command::new(self.scratch.program());
        command
            .args(["--server", server])
            .args(args)
            .current_dir(self.scratch.work())
            .env("STEPFLOW_STORAGE_PATH", "/nowhere/at/all")
            .env_remove("STEPFLOW_TOKEN")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    fn socket(&self) -> String {
        format!("unix:{}", self.scratch.storage.run_dir().join("server.sock").display())
    }
}

fn scratch() -> Scratch {
    Scratch::new(env!("CARGO_BIN_EXE_stepflow"))
}

/// What must be alike.
fn same(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The directory of the record is known on this host alone.
    let text = text.lines().filter(|line| !line.starts_with("record  ")).collect::<Vec<_>>();
    (text.join("\n"), output.status.code())
}

#[test]
fn every_command_answers_alike_here_and_there() {
    let scratch = scratch();
    assert_eq!(
        scratch
            .output(&[
                "run", "--name", "one", "--tag", "t", "--output", "quiet", "--shell", "--", SCRIPT
            ])
            .status
            .code(),
        Some(3)
    );
    let first = scratch.newest().to_string();
    scratch.output(&["run", "--name", "two", "--output", "quiet", "--", "true"]);
    let end = &first[first.len() - 8..];
    let commands: Vec<Vec<&str>> = vec![
        vec!["ls"],
        vec!["ls", "--json"],
        vec!["ls", "--json", "--status", "failed"],
        vec!["ls", "--name", "one", "--since", "1h"],
        vec!["ls", "--search", "TW", "-n", "1", "--json"],
        vec!["ls", "--tag", "t", "--json"],
        vec!["show", &first],
        vec!["show", end, "--json"],
        vec!["show", "last", "--json"],
        vec!["show", "nothing-like-it"],
        vec!["logs", &first],
        vec!["logs", end, "--json"],
        vec!["logs", &first, "--raw"],
        vec!["logs", &first, "-f", "--exit-status"],
        vec!["logs", &first, "--time", "utc"],
        vec!["logs", &first, "--time", "relative"],
        vec!["logs", &first, "--step", "Build", "-N"],
        vec!["logs", &first, "--step", "No such step"],
        vec!["logs", &first, "--tail", "3", "-N"],
        vec!["logs", &first, "--since", "5", "-N"],
        vec!["logs", &first, "--since", "1h", "-N"],
        vec!["logs", &first, "--level", "error,warning", "-N"],
        vec!["logs", &first, "--level", "error", "--tail", "1", "-N"],
        vec!["logs", &first, "--grep", "e.*r", "-N"],
        vec!["logs", &first, "--grep", "(", "-N"],
        vec!["artifacts", "ls", &first],
        vec!["artifacts", "ls", &first, "--json"],
        vec!["artifacts", "get", &first, "file.txt", "-o", "-"],
        vec!["artifacts", "get", &first, "nothing.txt", "-o", "-"],
        vec!["export", &first, "--format", "trace"],
        vec!["export", &first, "--format", "json"],
        vec!["export", &first, "--format", "html"],
        vec!["cancel", &first],
        vec!["attach", &first],
    ];
    // What each of these finds, by name.
    let filters: [(&[&str], &[&str]); 15] = [
        (&["--exit", "3"], &["one"]),
        (&["--exit", "0"], &["two"]),
        (&["--source", "cli"], &["two", "one"]),
        (&["--source", "pipe"], &[]),
        (&["--longer-than", "1h"], &[]),
        (&["--shorter-than", "1h"], &["two", "one"]),
        (&["--not", "status=failed"], &["two"]),
        (&["--not", "exit=0"], &["one"]),
        (&["--not", "tag=t"], &["two"]),
        (&["--not", "search=TW", "--not", "source=ingest"], &["one"]),
        (&["--until", "1h"], &[]),
        (&["--pinned"], &[]),
        (&["--sort", "longest", "--exit", "3"], &["one"]),
        (&["--sort", "shortest", "-n", "1", "--exit", "0"], &["two"]),
        (&["--since", "1h", "--not", "user=nobody-at-all"], &["two", "one"]),
    ];
    // What the records alone answer is what all must.
    let alone: Vec<_> = commands.iter().map(|args| same(&scratch.output(args))).collect();
    let there = serve(scratch);
    for (filter, names) in filters {
        let args = [&["ls", "--json"][..], filter].concat();
        let found = |output: Output| {
            let list: Value = serde_json::from_slice(&output.stdout).unwrap();
            let names = list["executions"].as_array().unwrap().iter();
            names.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(there.scratch.output(&args)), names, "{filter:?}");
        assert_eq!(found(there.ask(&there.url, &args)), names, "over TCP: {filter:?}");
    }
    for (args, alone) in commands.iter().zip(&alone) {
        let beside = same(&there.scratch.output(args));
        let socket = same(&there.ask(&there.socket(), args));
        let tcp = same(&there.ask(&there.url, args));
        assert_eq!(&beside, alone, "with a server on the storage: {args:?}");
        assert_eq!(&socket, alone, "over its socket: {args:?}");
        assert_eq!(&tcp, alone, "over TCP: {args:?}");
    }
    let text = |at: usize| alone[at].0.as_str();
    assert!(text(10).contains("half a line"), "a last line without its end: {}", text(10));
    assert_eq!(alone[13].1, Some(3), "--exit-status is the script's code");
    assert!(text(16).contains("inner line") && !text(16).contains("it failed"));
    assert_eq!(text(27), "data");
}

#[test]
fn what_changes_something_works_on_a_server_elsewhere() {
    let there = serve(scratch());
    let id = there.scratch.detach(&[], &["sleep", "600"]).to_string();
    // The server learns of what was started beside it.
    eventually("the server knows it", || {
        there.ask(&there.url, &["show", &id]).status.success().then_some(())
    });
    let asked = there.ask(&there.url, &["cancel", &id, "--json"]);
    let asked: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(asked["cancelled"][0], id);
    let followed = there.ask(&there.url, &["logs", &id, "-f", "--exit-status"]);
    assert_eq!(followed.status.code(), Some(143));
    there.scratch.output(&["run", "--output", "quiet", "--", "sh", "-c", "echo again; exit 4"]);
    let ran = there.scratch.newest().to_string();
    eventually("the server knows it", || {
        there.ask(&there.url, &["show", &ran]).status.success().then_some(())
    });
    let again = there.ask(&there.url, &["rerun", &ran]);
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("again\n"), "{again:?}");
    assert_eq!(again.status.code(), Some(4));
    let detached = there.ask(&there.socket(), &["rerun", &ran, "--detach", "--json"]);
    let detached: Value = serde_json::from_slice(&detached.stdout).unwrap();
    assert_eq!(detached["id"].as_str().map(str::len), Some(36));
    let opened = there.ask(&there.url, &["open", "last"]);
    let opened = String::from_utf8(opened.stdout).unwrap();
    assert!(opened.starts_with(&format!("{}/executions/", there.url.trim_end_matches('/'))));
}

#[test]
fn a_follower_outlives_its_server_and_sees_every_line_once() {
    let there = serve(scratch());
    let script =
        "i=0; while [ ! -e stop ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo end";
    let id = there.scratch.detach(&["--shell"], &[script]).to_string();
    let listen = there.url.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    eventually("the server knows it", || {
        there.ask(&there.url, &["show", &id]).status.success().then_some(())
    });
    let mut follower = Command::new(there.scratch.program())
        .args(["--server", &there.url, "logs", &id, "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut seen: Vec<String> = (&mut lines).take(5).map(Result::unwrap).collect();
    let follower = Ended(follower);
    let There { scratch, _server: server, .. } = there;
    drop(server); // Killed; the script goes on.
    let before = scratch.view(id.parse().unwrap()).state.summary.position.lines;
    eventually("it printed more meanwhile", || {
        let now = scratch.view(id.parse().unwrap()).state.summary.position.lines;
        (now > before + 20).then_some(())
    });
    let again = scratch
        .command(&["serve", "--listen", &listen, "--auth", "off"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _again = Ended(again);
    seen.extend((&mut lines).take(100).map(Result::unwrap));
    std::fs::write(scratch.work().join("stop"), "").unwrap();
    seen.extend(lines.map(Result::unwrap));
    drop(follower);
    let wanted: Vec<String> = scratch
        .output_of(id.parse().unwrap())
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    assert_eq!(seen, wanted);
}

#[test]
fn a_server_that_is_not_there_or_refuses_says_what_to_do() {
    let scratch = scratch();
    let cases = [
        (vec!["--server", "http://127.0.0.1:1", "ls"], "no server answers at http://127.0.0.1:1"),
        (vec!["--server", "ftp://x", "ls"], "names no server"),
        (vec!["--server", "http://127.0.0.1:1", "run", "--", "true"], "works on this host"),
    ];
    for (args, what) in cases {
        let output = scratch.output(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: ") && text.contains(what), "{args:?}: {text}");
        assert!(text.contains("hint: ") && text.lines().count() <= 3, "{text}");
    }
    // With a token that is wrong, and with none.
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap());
    let _server = Ended(server);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap();
    for (args, hint) in [
        (vec!["--server", url, "ls"], "STEPFLOW_TOKEN"),
        (vec!["--server", url, "--token", "sfm_wrong", "ls"], "token is wrong"),
    ] {
        let output = scratch.output(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(hint), "{args:?}: {text}");
    }
}
