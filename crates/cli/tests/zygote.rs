//! Recorders of a server are forked from one small process, and nobody can tell but by their memory.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    process::Stdio,
    thread,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stepflow_client::Server as Client;
use stepflow_model::{ExecutionId, Status};
use stepflow_sys::tree;
use stepflow_testkit::{Ended, Scratch, eventually, is_alive, kill, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// A running server; killed when the test ends.
struct Server {
    process: Ended,
    client: Client,
}

fn serve(scratch: &Scratch) -> Server {
    let args = ["serve", "--listen", "127.0.0.1:0", "--auth", "off"];
    let mut child = scratch.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listens = lines.by_ref().any(|line| line.unwrap().starts_with("listening on "));
    assert!(listens, "the server says where it listens");
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    Server { process: Ended(child), client }
}

impl Server {
    fn create(&self, body: &Value) -> ExecutionId {
        let answer = self.client.post("/api/executions", body).unwrap();
        answer["id"].as_str().unwrap().parse().unwrap()
    }

    fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }
}

/// The words that a process shows in lists.
fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8(line).unwrap().split_terminator('\0').map(str::to_owned).collect()
}

fn parent(pid: i32) -> i32 {
    tree::info(pid).unwrap().parent
}

/// The zygote that a recorder was forked from.
fn zygote_of(recorder: i32) -> i32 {
    let zygote = parent(recorder);
    assert_eq!(words(zygote)[1], "__zygote");
    zygote
}

/// Whether the bytes stand anywhere in the memory of a process.
fn has_in_memory(pid: i32, bytes: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut looked_at = 0;
    let found = maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut content = vec![0; (to - from) as usize];
        let Ok(()) = memory.read_exact_at(&mut content, from) else { return false };
        looked_at += content.len();
        content.windows(bytes.len()).any(|window| window == bytes)
    });
    assert!(found || looked_at > 4096, "nothing could be looked at");
    found
}

#[test]
fn a_recorder_is_forked_shows_what_it_records_and_outlives_server_and_zygote() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch);
    let root = scratch.storage.root().to_str().unwrap();
    let create = || server.create(&json!({"command": ["sh", "-c", "echo begun; exec sleep 300"]}));
    let ids = [create(), create()];
    let [one, two] = ids.map(|id| scratch.pids(id));
    let zygote = zygote_of(one.0);
    assert_eq!(zygote_of(two.0), zygote, "one for all");
    assert_eq!(parent(zygote), server.process.0.id() as i32);
    for (id, (recorder, keeper, script)) in ids.into_iter().zip([one, two]) {
        let shown = ["stepflow-recorder", "__record", root, &id.to_string()];
        assert_eq!(words(recorder), shown);
        assert_eq!((parent(keeper), parent(script)), (recorder, keeper));
        let session = |pid| nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).unwrap();
        assert_eq!(session(recorder).as_raw(), recorder, "a session of its own");
        assert_eq!(session(script).as_raw(), script);
    }

    server.kill();
    eventually("the zygote goes with its server", || (!is_alive(zygote)).then_some(()));
    assert!([one.0, one.1, one.2, two.0].into_iter().all(is_alive), "recorders stay");
    let server = serve(&scratch);
    let path = format!("/api/executions/{}/cancel", ids[0]);
    server.client.post(&path, &json!({})).unwrap();
    let ended = scratch.ended(ids[0]).state.summary;
    assert_eq!(ended.status, Status::Cancelled);
    assert_eq!(scratch.output_of(ids[0]), b"begun\n");
    let path = format!("/api/executions/{}/cancel", ids[1]);
    server.client.post(&path, &json!({})).unwrap();
    scratch.ended(ids[1]);
}

#[test]
fn nothing_of_one_execution_is_in_the_memory_of_the_next_nor_of_what_both_came_from() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch);
    let secret = "one-that-is-nowhere-else-7f3a";
    let body = |environment: Value| {
        json!({"command": ["sh", "-c", "echo $KEY; exec sleep 300"], "environment": environment,
               "mask_env": ["KEY"]})
    };
    let first = server.create(&body(json!({"KEY": secret, "PLAIN": "plain-words-of-the-first"})));
    let (recorder, ..) = scratch.pids(first);
    let line = eventually("its line", || Some(scratch.output_of(first)).filter(|l| !l.is_empty()));
    assert_eq!(line, b"***\n");
    assert!(has_in_memory(recorder, secret.as_bytes()), "the search finds what is there");
    let second = server.create(&body(json!({"KEY": "another-secret"})));
    let (other, keeper, _) = scratch.pids(second);
    let zygote = zygote_of(recorder);
    assert_eq!(zygote_of(other), zygote);
    for pid in [zygote, other, keeper] {
        assert!(!has_in_memory(pid, secret.as_bytes()), "{:?}", words(pid));
        assert!(!has_in_memory(pid, b"plain-words-of-the-first"), "{:?}", words(pid));
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("PATH="), "none of the server's");
    }
    for id in [first, second] {
        server.client.post(&format!("/api/executions/{id}/cancel"), &json!({})).unwrap();
        scratch.ended(id);
    }
}

#[test]
fn a_zygote_that_is_gone_or_stands_still_costs_no_start_and_changes_nothing_for_scripts() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch);
    // What a script can see of how it was started, but for its pids.
    let look = "env | sort | grep -v -e ^STEPFLOW_EXECUTION -e ^_=; umask; pwd; ulimit -a; \
                grep -e ^SigBlk -e ^SigIgn -e ^SigCgt -e ^Cap -e ^Seccomp: -e ^NoNew /proc/self/status; \
                cat /proc/self/oom_score_adj; nice; \
                for fd in /proc/self/fd/*; do echo fd ${fd##*/}; done; \
                readlink /proc/self/fd/0; tail -c 1 /proc/$PPID/comm >/dev/null && echo kept";
    let body = json!({"command": ["bash", "-c", look], "environment": {"B": "2", "A": "1"}});
    let forked = server.create(&body);
    let forked = (forked, scratch.ended(forked).state.summary.status);
    assert_eq!(forked.1, Status::Completed);

    let running = server.create(&json!({"command": ["sleep", "300"]}));
    let (recorder, ..) = scratch.pids(running);
    let zygote = zygote_of(recorder);
    signal(zygote, Signal::SIGSTOP);
    let executed = server.create(&body);
    assert_eq!(scratch.ended(executed).state.summary.status, Status::Completed);
    let texts = [forked.0, executed].map(|id| String::from_utf8(scratch.output_of(id)).unwrap());
    // What the server itself was started with is not handed down: 3 is the look.
    assert!(texts[0].contains("\nfd 0\nfd 1\nfd 2\nfd 3\n/dev/null"), "{}", texts[0]);
    let others = |text: &String| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("fd ")).map(str::to_owned).collect()
    };
    assert_eq!(others(&texts[0]), others(&texts[1]), "forked and executed");
    assert!(
        texts[0].contains("A=1\nB=2\n") && texts[0].contains("/dev/null\nkept"),
        "{}",
        texts[0]
    );

    eventually("one that stands still is let go", || (!is_alive(zygote)).then_some(()));
    let next = server.create(&json!({"command": ["sleep", "300"]}));
    let (next_recorder, ..) = scratch.pids(next);
    let other = zygote_of(next_recorder);
    assert_ne!(other, zygote, "another takes its place");
    kill(other);
    eventually("it is gone", || (!is_alive(other)).then_some(()));
    for _ in 0..3 {
        let id = server.create(&json!({"command": ["true"]}));
        assert_eq!(scratch.ended(id).state.summary.status, Status::Completed);
    }
    assert!(is_alive(recorder) && is_alive(next_recorder));
    for id in [running, next] {
        server.client.post(&format!("/api/executions/{id}/cancel"), &json!({})).unwrap();
        scratch.ended(id);
    }
}
