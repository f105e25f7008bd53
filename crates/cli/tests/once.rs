//! Idempotency keys over HTTP, with a real server that is killed and started again.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    thread,
};

use serde_json::{Value, json};
use stepflow_testkit::{Ended, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

struct Server {
    process: Ended,
    address: String,
}

fn serve(scratch: &Scratch) -> Server {
    let mut child = scratch
        .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("the server says where it listens").unwrap();
        if let Some(address) = line.strip_prefix("listening on http://") {
            break address.to_owned();
        }
    };
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    Server { process: Ended(child), address }
}

impl Server {
    /// Status, whether it is a repeated answer, and the body.
    fn ask(&self, method: &str, path: &str, key: &str, body: &Value) -> (u16, bool, Value) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let body = body.to_string();
        let key =
            if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{key}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let repeated = head.to_ascii_lowercase().contains("idempotent-replayed: true");
        (status, repeated, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn create(&self, key: &str, body: &Value) -> (u16, bool, Value) {
        self.ask("POST", "/api/executions", key, body)
    }
}

#[test]
fn a_key_makes_one_execution_however_often_and_whenever_it_is_sent() {
    let scratch = Scratch::new(STEPFLOW);
    let mut server = serve(&scratch);
    let starts = scratch.work().join("starts");
    let started = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
    let script = format!("echo started >> '{}'", starts.display());
    let body = json!({"command": script, "shell": true, "environment": {"KEY": "hunter22"},
        "mask_env": ["KEY"]});

    // Twenty at once: one of them makes it, all of them tell of it.
    let answers: Vec<(u16, bool, Value)> = thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| server.create("k1", &body))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let id = answers[0].2["id"].as_str().unwrap().to_owned();
    assert!(answers.iter().all(|(status, _, body)| *status == 201 && body["id"] == id.as_str()));
    assert_eq!(answers.iter().filter(|(_, repeated, _)| !repeated).count(), 1);
    eventually("it has run", || (started() == 1).then_some(()));

    // Later, and after the server was killed.
    eventually("its end is committed", || {
        scratch.storage.open_executions().unwrap().is_empty().then_some(())
    });
    server.process.0.kill().unwrap();
    server.process.0.wait().unwrap();
    drop(server);
    let server = serve(&scratch);
    let (status, repeated, again) = server.create("k1", &body);
    assert_eq!((status, repeated, again["id"].as_str().unwrap()), (201, true, id.as_str()));
    assert_eq!(again["status"], "completed");
    // `wait` says how to answer, not what to run; a secret is not part of what is compared.
    let waiting = json!({"command": script, "shell": true, "environment": {"KEY": "another1"},
        "mask_env": ["KEY"], "wait": true});
    assert_eq!(server.create("k1", &waiting).0, 201);
    assert_eq!(started(), 1);

    // Another body, another key, no key, and what is no key.
    let other = json!({"command": "true"});
    let (status, _, problem) = server.create("k1", &other);
    assert_eq!((status, problem["title"].as_str().is_some()), (422, true), "{problem}");
    assert!(!server.create("k2", &other).1);
    assert_ne!(server.create("", &other).2["id"], server.create("", &other).2["id"]);
    assert_eq!(server.create("a b", &other).0, 400);

    // A rerun has keys as well; a deleted execution is not made again behind somebody's back.
    let path = format!("/api/executions/{id}/rerun");
    let given = json!({"environment": {"KEY": "hunter22"}});
    let first = server.ask("POST", &path, "k3", &given);
    let second = server.ask("POST", &path, "k3", &given);
    assert_eq!((first.0, first.1, second.1), (201, false, true), "{first:?}");
    assert_eq!(first.2["id"], second.2["id"]);
    assert_eq!(server.ask("DELETE", &format!("/api/executions/{id}"), "", &json!({})).0, 200);
    assert_eq!(server.create("k1", &body).0, 409);

    let kept: Vec<String> = std::fs::read_dir(scratch.storage.root().join("keys"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|text| !text.contains("hunter22")));
}

#[test]
fn what_was_refused_may_be_asked_for_again_with_the_same_key() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch);
    let bad = json!({"command": "a && b"});
    assert_eq!(server.create("k", &bad).0, 400);
    let (status, repeated, _) = server.create("k", &json!({"command": "true"}));
    assert_eq!((status, repeated), (201, false));
}
