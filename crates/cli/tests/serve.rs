//! `stepflow serve` with real processes: killed, stopped, started twice, and asked for much at once.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stepflow_client::Server as Client;
use stepflow_testkit::{Ended, Rng, Scratch, eventually, example, rounds, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// A running server; killed when the test ends.
struct Server {
    process: Ended,
    address: String,
    client: Client,
}

fn serve(scratch: &Scratch, more: &[&str]) -> Server {
    let mut args = vec!["serve", "--listen", "127.0.0.1:0"];
    args.extend(more);
    let mut child: Child = scratch.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("the server says where it listens").unwrap();
        if let Some(url) = line.strip_prefix("listening on http://") {
            break url.to_owned();
        }
    };
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    Server { process: Ended(child), address, client }
}

impl Server {
    fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    fn create(&self, body: &Value) -> String {
        let answer = self.client.post("/api/executions", body).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    fn detail(&self, id: &str) -> Value {
        self.client.get(&format!("/api/executions/{id}?logs=0")).unwrap()
    }

    fn ended(&self, id: &str) -> Value {
        eventually("the execution ends", || {
            let detail = self.detail(id);
            let status = detail["execution"]["status"].as_str().unwrap().to_owned();
            ["completed", "failed", "cancelled"].contains(&status.as_str()).then_some(detail)
        })
    }

    /// One request over TCP, as a browser or curl would; status and body.
    fn tcp(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.replace("HOST", &self.address).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}

#[test]
fn the_api_starts_scripts_on_terminals_and_repeats_executions() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off"]);
    let script = "echo $TERM; stty size; read -p 'go? ' x; echo \"$x $A $B ${#KEY}\"";
    let id = server.create(&json!({
        "command": ["bash", "-c", script], "pty": true, "name": "asks", "tags": ["t"],
        "environment": {"A": "1", "B": "2", "KEY": "hunter22"}, "mask_env": ["KEY"],
    }));
    let answer = |id: &str, said: &str| {
        eventually("it asks", || {
            let log = server.client.get(&format!("/api/executions/{id}/log")).unwrap();
            log["lines"].to_string().contains("go? ").then_some(())
        });
        let mut child = scratch
            .command(&["attach", id])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        let detail = server.ended(id);
        let log = server.client.get(&format!("/api/executions/{id}/log")).unwrap();
        let lines = log["lines"].as_array().unwrap();
        let lines: Vec<_> = lines.iter().map(|l| l["text"].as_str().unwrap().trim_end()).collect();
        (detail["execution"].clone(), lines.join("\n"))
    };
    let (execution, log) = answer(&id, "yes\n");
    assert_eq!((&execution["pty"], &execution["rerun_of"]), (&json!(true), &json!(null)));
    let (term, rest) = log.split_once('\n').unwrap();
    assert!(!term.is_empty() && term != "dumb", "{log}");
    assert_eq!(rest, "24 80\ngo? yes\nyes 1 2 8");

    // Its secret is not recorded, so it must be given again.
    let path = format!("/api/executions/{id}/rerun");
    let refused = server.tcp(&format!("POST {path} HTTP/1.0\r\nHost: HOST\r\n\r\n"));
    assert_eq!(refused.0, 422, "{}", refused.1);
    assert!(refused.1.contains("`KEY`") && refused.1.contains("secrets-missing"), "{}", refused.1);
    let body = json!({"environment": {"KEY": "another-key", "B": "3"}});
    let again = server.client.post(&path, &body).unwrap();
    let again = again["id"].as_str().unwrap();
    let (execution, log) = answer(again, "si\n");
    assert_eq!(execution["rerun_of"], json!(id));
    assert_eq!((&execution["name"], &execution["tags"]), (&json!("asks"), &json!(["t"])));
    assert_eq!(execution["environment"], json!({"A": "1", "B": "3"}));
    assert!(log.ends_with("go? si\nsi 1 3 11"), "{log}");
    let record = scratch.storage.record_dir(again.parse().unwrap());
    assert!(!std::fs::read_to_string(record.join("spec.json")).unwrap().contains("another-key"));

    for (path, body, status) in [
        ("/api/executions/0198c2aa-0000-7000-8000-000000000001/rerun".to_owned(), "", 404),
        (path.clone(), r#"{"command":"x"}"#, 400),
        (path, r#"{"environment":{"A=B":"x"}}"#, 400),
        ("/api/executions".to_owned(), r#"{"command":"a","pty":true,"split_stderr":true}"#, 400),
    ] {
        let (answered, said) = server.tcp(&format!(
            "POST {path} HTTP/1.0\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(answered, status, "{path} {body}: {said}");
    }
}

#[test]
fn a_killed_server_costs_no_script_and_no_line() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let printer = example(STEPFLOW, "printer");
    let command = json!([printer.to_str().unwrap(), "300", "2000"]);
    let mut server = serve(&scratch, &["--auth", "off"]);
    for round in 0..rounds() {
        let ids: Vec<String> =
            (0..3).map(|_| server.create(&json!({"command": command, "name": "oracle"}))).collect();
        thread::sleep(Duration::from_micros(rng.below(150_000)));
        server.kill();
        thread::sleep(Duration::from_micros(rng.below(100_000)));
        server = serve(&scratch, &["--auth", "off"]);
        for id in &ids {
            let detail = server.ended(id);
            assert_eq!(detail["execution"]["status"], "completed", "round {round}: {detail}");
            assert_eq!(detail["execution"]["lines"], 300);
            let log = server.client.get(&format!("/api/executions/{id}/log?limit=1000")).unwrap();
            let lines = log["lines"].as_array().unwrap();
            assert_eq!(lines.len(), 300, "round {round}");
            for (at, line) in lines.iter().enumerate() {
                assert_eq!(line["n"], at as u64 + 1);
                assert!(line["text"].as_str().unwrap().starts_with(&format!("line {} at", at + 1)));
            }
        }
    }
    // The catalog counts each of them once.
    let all = eventually("the catalog has caught up", || {
        let statistics = server.client.get("/api/executions/statistics").ok()?;
        (statistics["by_status"]["completed"] == rounds() * 3).then_some(statistics)
    });
    assert_eq!(all["total_executions"], rounds() * 3);
}

#[test]
fn server_and_recorder_killed_together_leave_a_verdict_and_no_process() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = serve(&scratch, &["--auth", "off"]);
    for round in 0..rounds() {
        let word = format!("BOTH_{}_{round}", std::process::id());
        let id = server.create(&json!({
            "command": ["sh", "-c", "setsid sleep 300 & echo up; sleep 300"],
            "environment": {word.as_str(): "1"},
        }));
        let parsed = id.parse().unwrap();
        let (recorder, ..) = scratch.pids(parsed);
        thread::sleep(Duration::from_micros(rng.below(20_000)));
        if rng.below(2) == 0 {
            stepflow_testkit::kill(recorder);
            server.kill();
        } else {
            server.kill();
            stepflow_testkit::kill(recorder);
        }
        server = serve(&scratch, &["--auth", "off"]);
        let detail = server.ended(&id);
        assert_eq!(detail["execution"]["status"], "failed", "round {round}");
        assert_eq!(detail["execution"]["reason"], "recorder_lost");
        assert_eq!(detail["execution"]["exit_code"], Value::Null);
        eventually("no process is left", || {
            (stepflow_testkit::count_processes(&format!("{word}=1")) == 0).then_some(())
        });
    }
}

#[test]
fn a_lost_recorder_is_noticed_while_the_server_is_up() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off"]);
    let id = server.create(&json!({"command": "sleep 300"}));
    let (recorder, ..) = scratch.pids(id.parse().unwrap());
    stepflow_testkit::kill(recorder);
    assert_eq!(server.ended(&id)["execution"]["reason"], "recorder_lost");
}

#[test]
fn sigterm_stops_the_server_alone_within_its_time() {
    let scratch = Scratch::new(STEPFLOW);
    let mut server = serve(&scratch, &["--auth", "off"]);
    let id = server.create(&json!({"command": ["sh", "-c", "sleep 0.7; echo went on"]}));
    scratch.pids(id.parse().unwrap());
    let begun = Instant::now();
    signal(server.process.0.id() as i32, Signal::SIGTERM);
    let status = server.process.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "asserted at 4 times the promise");
    scratch.ended(id.parse().unwrap());
    assert_eq!(scratch.output_of(id.parse().unwrap()), b"went on\n");
    // Without a server, the commands know it too.
    let list: Value = serde_json::from_str(&scratch.text(&["ls", "--json"])).unwrap();
    assert_eq!(list["executions"][0]["status"], "completed");
}

#[test]
fn a_second_server_is_refused_and_told_who_holds_the_storage() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off"]);
    let output = scratch.output(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&server.process.0.id().to_string()), "{said}");
    server.kill();
    drop(serve(&scratch, &["--auth", "off"])); // A dead holder never blocks.
}

#[test]
fn a_hundred_executions_asked_for_at_once_are_all_accepted_and_all_run() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off"]);
    let ids: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = (0..100)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let body = json!({"command": ["echo", format!("number {number}")]}).to_string();
                    let length = body.len();
                    let (status, answer) = server.tcp(&format!(
                        "POST /api/executions HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\
                         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                    ));
                    assert_eq!(status, 201, "{answer}");
                    let answer: Value = serde_json::from_str(&answer).unwrap();
                    answer["id"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for id in &ids {
        assert_eq!(server.ended(id)["execution"]["status"], "completed");
        assert_eq!(server.detail(id)["execution"]["lines"], 1);
    }
}

#[test]
fn more_than_may_run_wait_in_order_survive_a_kill_and_can_be_cancelled() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off", "--max-running", "1"]);
    let first = server.create(&json!({"command": "sleep 300"}));
    let second = server.create(&json!({"command": "echo second"}));
    let third = server.create(&json!({"command": "echo third"}));
    scratch.pids(first.parse().unwrap());
    assert_eq!(server.detail(&second)["execution"]["status"], "pending");
    server.client.post(&format!("/api/executions/{second}/cancel"), &json!({})).unwrap();
    let cancelled = server.ended(&second);
    assert_eq!(cancelled["execution"]["status"], "cancelled");
    assert_eq!(cancelled["execution"]["started_at"], Value::Null, "it never started");
    server.kill();
    let server = serve(&scratch, &["--auth", "off", "--max-running", "1"]);
    assert_eq!(server.detail(&third)["execution"]["status"], "pending");
    server.client.post(&format!("/api/executions/{first}/cancel"), &json!({})).unwrap();
    assert_eq!(server.ended(&third)["execution"]["status"], "completed");
    assert_eq!(scratch.output_of(third.parse().unwrap()), b"third\n");
}

#[test]
fn a_run_in_a_terminal_appears_live_and_the_catalog_can_be_rebuilt() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &["--auth", "off"]);
    let script = "echo META:k:v; echo STEP_START:A; echo x > f; echo ARTIFACT:f:F; read go < gate; \
                  echo STEP_ERROR:bad; echo STEP_START:B";
    assert!(
        std::process::Command::new("mkfifo")
            .arg(scratch.work().join("gate"))
            .status()
            .unwrap()
            .success()
    );
    let id =
        scratch.detach(&["--name", "elsewhere", "--tag", "t"], &["sh", "-c", script]).to_string();
    let begun = Instant::now();
    eventually("it appears, live, with its step", || {
        let list = server.client.get("/api/executions").unwrap();
        let first = &list["executions"][0];
        (first["id"] == id.as_str() && first["current_step_name"] == "A").then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(4), "asserted at 4 times the promise");
    std::fs::write(scratch.work().join("gate"), "go\n").unwrap();
    server.ended(&id);
    eventually("the catalog has caught up", || {
        let statistics = server.client.get("/api/executions/statistics").ok()?;
        (statistics["by_status"]["completed"] == 1).then_some(())
    });
    let answers = |server: &Server| {
        let mut answers = vec![
            server.client.get("/api/executions").unwrap(),
            server.client.get("/api/executions/statistics").unwrap(),
            server.client.get(&format!("/api/executions/{id}")).unwrap(),
            server.client.get(&format!("/api/artifacts/execution/{id}")).unwrap(),
        ];
        for answer in &mut answers {
            answer.as_object_mut().unwrap().remove("timestamp");
        }
        answers
    };
    let before = answers(&server);
    server.kill();
    for file in ["stepflow.db", "stepflow.db-wal", "stepflow.db-shm"] {
        let _ = std::fs::remove_file(scratch.storage.root().join("database").join(file));
    }
    assert!(scratch.output(&["reindex"]).status.success());
    let server = serve(&scratch, &["--auth", "off"]);
    assert_eq!(answers(&server), before);
}

#[test]
fn who_may_call_over_tcp() {
    let scratch = Scratch::new(STEPFLOW);
    let server = serve(&scratch, &[]);
    let get = |path: &str, more: &str| {
        server.tcp(&format!("GET {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n{more}\r\n"))
    };
    assert_eq!(get("/api/health", "").0, 200);
    assert_eq!(get("/api/executions", "").0, 401);
    let created =
        server.client.post("/api/tokens", &json!({"name": "ci", "scope": "viewer"})).unwrap();
    let token = created["token"].as_str().unwrap();
    assert_eq!(get("/api/executions", &format!("Authorization: Bearer {token}\r\n")).0, 200);
    let body = "{\"command\":\"true\"}";
    let (status, _) = server.tcp(&format!(
        "POST /api/executions HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(status, 403, "a viewer starts nothing");
    let (status, _) =
        server.tcp("GET /api/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 421);
    // Nothing of the secret is kept.
    let grep = std::process::Command::new("grep")
        .args(["-r", "-a", "-l", token])
        .arg(scratch.storage.root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");

    let refused = scratch.output(&["serve", "--listen", "0.0.0.0:0", "--auth", "off"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loopback"));
}
