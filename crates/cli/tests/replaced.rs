//! F22: the program is replaced on the disk while executions run, and what is said between those who
//! run the old one and those who run the new one.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use serde_json::Value;
use stepflow_model::{ExecutionId, Status};
use stepflow_record::Storage;
use stepflow_testkit::{Ended, PATIENCE, Scratch, eventually, kill};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const GOLDEN: &str = include_str!("../../recorder/tests/golden/control-0.1.txt");
/// A line every few milliseconds until the file `stop` is there.
const TALKER: &str = "i=0; while [ ! -e stop ]; do echo \"line $i of many\"; i=$((i+1)); \
                      sleep 0.005; done; echo STEP_START:end; echo STEP_COMPLETE:end";

/// The script of the conversation takes a line, and a signal that ends others.
const LISTENER: &str =
    "stty -echo; trap '' TERM; trap : WINCH; echo ready; while :; do read line; sleep 0.05; done";

#[test]
fn a_recorder_answers_as_every_release_before_it_did() {
    let scratch = Scratch::new(STEPFLOW);
    let id = scratch.detach(&["--pty", "--grace", "60s"], &["bash", "-c", LISTENER]);
    eventually("it listens", || scratch.output_of(id).starts_with(b"ready").then_some(()));
    let socket = scratch.storage.run_dir().join(Storage::socket_name(id));
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut subscribed = false;
    let mut asked = "";
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        if let Some(request) = line.strip_prefix("> ") {
            asked = request;
            (&stream).write_all(format!("{request}\n").as_bytes()).unwrap();
            continue;
        }
        let theirs: Value = serde_json::from_str(line.strip_prefix("< ").unwrap()).unwrap();
        let ours = loop {
            let ours: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
            // Wake-ups come whenever something has changed.
            if !(subscribed && ours["op"] == "position") {
                break ours;
            }
        };
        assert_eq!(ours["op"], theirs["op"], "{asked}: {ours}");
        for (name, value) in theirs.as_object().unwrap() {
            let same = std::mem::discriminant(&ours[name]) == std::mem::discriminant(value);
            assert!(same, "{asked}: {ours} is not like {line}");
        }
        if let Some(error) = theirs["error"].as_str() {
            assert!(ours["error"].as_str().unwrap().starts_with(error), "{ours}");
        }
        subscribed |= asked.contains("subscribe");
    }
    // The last cancel kills: nothing waits any more.
    let summary = scratch.ended(id).state.summary.clone();
    assert_eq!(summary.status, Status::Cancelled);
    let last = answers.map_while(Result::ok).last().unwrap();
    assert!(last.contains(r#""ended":true"#), "{last}");
}

/// A server that runs; killed when the test ends.
struct Server {
    process: Ended,
}

impl Server {
    /// Waits until it listens.
    fn start(scratch: &Scratch, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--auth", "off", "--listen", "127.0.0.1:0"];
        args.extend(more);
        let mut command = scratch.command(&args);
        command.stderr(Stdio::piped()).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
        let mut process = Ended(command.spawn().unwrap());
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let listens = lines.by_ref().map_while(Result::ok);
        assert!(listens.into_iter().any(|line| line.starts_with("listening on ")), "it listens");
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process }
    }

    fn pid(&self) -> i32 {
        self.process.0.id() as i32
    }
}

fn program_of(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

/// Puts another file in the program's place, as packages do. Bytes behind the end of an ELF file are
/// not looked at: it is another program that does the same.
fn replace(program: &Path) {
    let new = program.with_extension("new");
    let mut bytes = fs::read(program).unwrap();
    bytes.extend(b"\nthe next release\n");
    fs::write(&new, bytes).unwrap();
    fs::set_permissions(&new, fs::metadata(program).unwrap().permissions()).unwrap();
    fs::rename(&new, program).unwrap();
}

/// `run` through the server that is there.
fn through_the_server(scratch: &Scratch) -> ExecutionId {
    let before = scratch.storage.executions().unwrap();
    let socket = UnixStream::connect(scratch.storage.run_dir().join("server.sock")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let body =
        serde_json::json!({"command": ["bash", "-c", TALKER], "working_directory": scratch.work()});
    let body = body.to_string();
    let request = format!(
        "POST /api/executions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    (&socket).write_all(request.as_bytes()).unwrap();
    let status = BufReader::new(&socket).lines().next().unwrap().unwrap();
    assert!(status.contains(" 20"), "{status}");
    eventually("it is there", || {
        let all = scratch.storage.executions().unwrap();
        all.into_iter().find(|id| !before.contains(id))
    })
}

fn grows(scratch: &Scratch, id: ExecutionId) {
    let before = scratch.output_of(id).len();
    eventually("it goes on", || (scratch.output_of(id).len() > before + 200).then_some(()));
}

#[test]
fn a_program_that_is_replaced_while_executions_run_costs_none_of_them_a_line() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("stepflow");
    fs::copy(STEPFLOW, &program).unwrap();
    let scratch = Scratch::new(&program.display().to_string());

    let mut first = Server::start(&scratch, &[]);
    let mut ids = vec![scratch.detach(&[], &["bash", "-c", TALKER]), through_the_server(&scratch)];
    let victim = scratch.detach(&[], &["bash", "-c", TALKER]);
    for id in &ids {
        grows(&scratch, *id);
    }

    replace(&program);
    // The server is still the old program, and starts recorders that are; a command is the new one.
    ids.push(through_the_server(&scratch));
    ids.push(scratch.detach(&[], &["bash", "-c", TALKER]));
    let is_old = |pid| program_of(pid).to_string_lossy().ends_with(" (deleted)");
    let recorders: Vec<i32> = ids.iter().map(|id| scratch.pids(*id).0).collect();
    let old: Vec<bool> = recorders.iter().map(|pid| is_old(*pid)).collect();
    assert_eq!(old, [true, true, true, false], "{recorders:?}");
    assert!(is_old(first.pid()));

    let second = Server::start(&scratch, &["--takeover"]);
    eventually("the predecessor exits", || first.process.0.try_wait().unwrap());
    assert_eq!(program_of(second.pid()), program);
    // It follows recorders of the old program, and is understood by them.
    let said = scratch.text(&["ls", "--json"]);
    for id in &ids {
        grows(&scratch, *id);
        assert!(said.contains(&id.to_string()), "{said}");
    }
    assert!(scratch.output(&["cancel", &victim.to_string()]).status.success());
    assert_eq!(scratch.ended(victim).state.summary.status, Status::Cancelled);

    // And so does one that finds them without having been told.
    kill(second.pid());
    replace(&program);
    let third = Server::start(&scratch, &[]);
    ids.push(through_the_server(&scratch));
    for id in &ids {
        grows(&scratch, *id);
    }
    assert_eq!(program_of(third.pid()), program);
    let now: Vec<i32> = ids.iter().map(|id| scratch.pids(*id).0).collect();
    assert_eq!(now[..4], recorders, "each has the recorder that it began with");
    fs::write(scratch.work().join("stop"), "").unwrap();
    for id in ids {
        let view = scratch.ended(id);
        let summary = &view.state.summary;
        assert_eq!((summary.status, summary.exit_code), (Status::Completed, Some(0)));
        let output = String::from_utf8(scratch.output_of(id)).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        let (talk, end) = lines.split_at(lines.len() - 2);
        assert_eq!(end, ["STEP_START:end", "STEP_COMPLETE:end"]);
        for (number, line) in talk.iter().enumerate() {
            assert_eq!(*line, format!("line {number} of many"));
        }
        eventually("the server knows its end", || {
            scratch.text(&["show", &id.to_string()]).contains("completed").then_some(())
        });
        assert!(scratch.storage.verify(id).unwrap().flaws.is_empty());
    }
}
