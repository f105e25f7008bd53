//! Output from elsewhere becomes an execution, whoever goes away in the middle.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use stepflow_client::Server as Client;
use stepflow_model::{ExecutionId, Reason, Status, StepStatus};
use stepflow_testkit::{Ended, Rng, Scratch, SmallDisk, eventually, example, rounds, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const ID: &str = "0198c2aa-0000-4000-8000-00000000abcd";

/// A running server; killed when the test ends.
struct Server {
    process: Ended,
    address: String,
    client: Client,
}

fn serve(scratch: &Scratch, address: &str, more: &[&str]) -> Server {
    let mut args = vec!["serve", "--auth", "off", "--listen", address];
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
    fn new(scratch: &Scratch, more: &[&str]) -> Self {
        serve(scratch, "127.0.0.1:0", more)
    }

    fn kill(mut self) -> String {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.address.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn state(&self, id: &str) -> Value {
        self.client.get(&format!("/api/ingest/{id}")).unwrap()
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

    /// Sends the head of a chunked request.
    fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Sends a whole chunked request in one chunk; status, `Upload-Offset` and body.
    fn put(&self, path: &str, bytes: &[u8]) -> (u16, Option<u64>, Value) {
        let mut stream = self.open(path);
        let _ = chunk(&mut stream, bytes);
        let _ = stream.write_all(b"0\r\n\r\n"); // It may be refused before it is whole.
        answer(stream)
    }
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut text = format!("{:x}\r\n", bytes.len()).into_bytes();
    text.extend_from_slice(bytes);
    text.extend_from_slice(b"\r\n");
    stream.write_all(&text)
}

fn answer(mut stream: TcpStream) -> (u16, Option<u64>, Value) {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let offset = head.lines().find_map(|line| line.strip_prefix("upload-offset: "));
    (status, offset.map(|o| o.parse().unwrap()), serde_json::from_str(body).unwrap_or_default())
}

/// `script | curl -T - URL ARGS`.
fn curl(script: &str, url: &str, args: &[&str]) -> Output {
    let line = format!("{script} | curl -sS -T - \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &line, "bash", url]).args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn codes(detail: &Value) -> Vec<&str> {
    detail["annotations"].as_array().unwrap().iter().map(|a| a["code"].as_str().unwrap()).collect()
}

#[test]
fn what_curl_sends_is_an_execution_with_steps_while_it_comes() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let script = "{ echo STEP_START:Build; echo META:k:v; echo ARTIFACT:out.txt:Report; \
                  until [ -e go ]; do sleep 0.02; done; echo STEP_COMPLETE:Build; printf last; }";
    let work = scratch.work();
    let url = server.url("/api/ingest?name=build&tag=a&tag=b&user=me");
    let script = format!("cd {} && {script}", work.display());
    let sender = thread::spawn(move || curl(&script, &url, &[]));
    // It is there, and its open step too, long before the end.
    let id = eventually("its step is shown", || {
        let active = server.client.get("/api/executions/active").unwrap();
        let one = active["executions"].as_array()?.first()?.clone();
        (one["current_step_name"] == "Build").then(|| one["id"].as_str().unwrap().to_owned())
    });
    assert_eq!(server.state(&id)["attached"], true);
    eventually("another process sees it alive", || {
        scratch.text(&["ls"]).contains("running").then_some(())
    });
    assert!(scratch.text(&["show", &id]).contains("Build"));
    std::fs::write(work.join("go"), "").unwrap();
    let answer = json(&sender.join().unwrap());
    assert_eq!((&answer["status"], &answer["bytes"]), (&"completed".into(), &answer["safe"]));
    assert_eq!(answer["id"], id.as_str());
    let detail = server.ended(&id);
    let execution = &detail["execution"];
    assert_eq!(execution["exit_code"], Value::Null);
    assert_eq!(execution["source"], "ingest");
    assert_eq!(execution["tags"], serde_json::json!(["a", "b"]));
    assert_eq!((&execution["user"], &execution["name"]), (&"me".into(), &"build".into()));
    assert_eq!(detail["steps"][0]["status"], "completed");
    assert_eq!(detail["steps"][0]["metadata"]["k"], "v");
    let artifact = detail["artifacts"][0].to_string();
    assert!(artifact.contains("not on this host"), "{artifact}");
    assert!(scratch.output_of(id.parse().unwrap()).ends_with(b"STEP_COMPLETE:Build\nlast"));
    let listed = server.client.get("/api/executions?tag=b").unwrap();
    assert_eq!(listed["total_count"], 1);
    // It is what a rebuilt catalog has, too.
    drop(server);
    scratch.output(&["reindex"]);
    assert!(scratch.text(&["ls"]).contains("completed"));
}

#[test]
fn a_stream_goes_on_by_offset_and_no_byte_is_doubled() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let path = format!("/api/ingest/{ID}");
    assert_eq!(server.put(&format!("{path}?offset=5"), b"x").0, 409, "it is not there yet");
    let (status, offset, body) = server.put(&format!("{path}?more=1&name=parts"), b"one\ntwo\n");
    assert_eq!((status, offset, &body["status"]), (201, Some(8), &"running".into()));
    // Beyond what is there: refused, with the offset. Over what is there: passed over.
    let (status, offset, _) = server.put(&format!("{path}?offset=9&more=1"), b"x");
    assert_eq!((status, offset), (409, Some(8)));
    let (status, offset, _) = server.put(&format!("{path}?offset=4&more=1"), b"two\nthree\n");
    assert_eq!((status, offset), (200, Some(14)));
    // Other bytes than before are a mistake that must not pass.
    let (status, offset, body) = server.put(&format!("{path}?offset=4&more=1"), b"tWo\n");
    assert_eq!((status, offset), (409, Some(5)), "{body}");
    // The same again, by a client that forgot where it was, and says everything now.
    let (status, _, body) = server.put(&format!("{path}?exit_code=3"), b"one\ntwo\nthree\nfour\n");
    assert_eq!((status, &body["reason"]), (200, &"exit_code".into()));
    assert_eq!(scratch.output_of(ID.parse().unwrap()), b"one\ntwo\nthree\nfour\n");
    assert_eq!(server.detail(ID)["execution"]["exit_code"], 3);
    // After the end: what was said may be said again, more may not.
    assert_eq!(server.put(&format!("{path}?offset=14"), b"four\n").0, 200);
    let (status, offset, _) = server.put(&format!("{path}?offset=14"), b"four\nfive\n");
    assert_eq!((status, offset), (409, Some(19)));
    let head = Command::new("curl").args(["-sSI", &server.url(&path)]).output().unwrap();
    assert!(String::from_utf8_lossy(&head.stdout).contains("upload-offset: 19"));
    // Ended by a call of its own, twice.
    let other = "0198c2aa-0000-4000-8000-00000000abce";
    server.put(&format!("/api/ingest/{other}?more=1"), b"x");
    for _ in 0..2 {
        let end = format!("/api/ingest/{other}/end?exit_code=0");
        let ended = server.client.post(&end, &serde_json::json!({})).unwrap();
        assert_eq!(ended["status"], "completed");
    }
    assert_eq!(server.detail(other)["execution"]["exit_code"], 0);
}

#[test]
fn what_cannot_be_taken_is_refused_in_words() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    for (path, status) in [
        ("/api/ingest?nmae=x", 400),
        ("/api/ingest?offset=7", 400),
        ("/api/ingest?exit_code=256", 400),
        ("/api/ingest?dialect=githab", 400),
        ("/api/ingest/not-an-id", 404),
    ] {
        let (found, _, body) = server.put(path, b"x");
        assert_eq!(found, status, "{path}: {body}");
    }
    let long = "n".repeat(5_000);
    assert_eq!(server.put(&format!("/api/ingest?name={long}"), b"x").0, 400);
    let output = curl("echo x", &server.url("/api/ingest"), &["-H", "Content-Encoding: gzip"]);
    assert_eq!(json(&output)["status"], 415);
    let run = scratch.detach(&[], &["true"]);
    eventually("the server knows it", || {
        server.client.get(&format!("/api/executions/{run}?logs=0")).ok()
    });
    assert_eq!(server.put(&format!("/api/ingest/{run}"), b"x").0, 409, "it was started, not sent");
    assert_eq!(
        scratch.storage.executions().unwrap().len(),
        1,
        "nothing is left of what was refused"
    );
}

#[test]
fn whose_markers_a_stream_may_hold_is_said_by_its_source_or_by_the_server() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &["--dialect", "none"]);
    let steps = |path: &str| {
        let id = server.put(path, b"STEP_START:Own\n::group::Theirs\n::endgroup::\n").2;
        let id: ExecutionId = id["id"].as_str().unwrap().parse().unwrap();
        let steps = scratch.ended(id).state.steps;
        steps.into_iter().map(|step| step.name).collect::<Vec<_>>()
    };
    assert_eq!(steps("/api/ingest"), [""; 0], "as the server does it");
    assert_eq!(steps("/api/ingest?dialect=native"), ["Own"]);
    assert_eq!(steps("/api/ingest?dialect=auto"), ["Own", "Theirs"]);
}

#[test]
fn masks_that_come_with_the_stream_never_reach_the_record() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let mask = ["-H", "X-StepFlow-Mask: hunter22"];
    let url = server.url(&format!("/api/ingest/{ID}?more=1"));
    // Cut in the middle of the secret: the offset is that before it.
    let part = json(&curl("printf 'token hunt'", &url, &mask));
    assert_eq!(part["offset"], 6);
    let rest = server.url(&format!("/api/ingest/{ID}?offset=6"));
    assert_eq!(json(&curl("printf 'hunter22 ok'", &rest, &[]))["status"], 400, "masks are missing");
    assert_eq!(json(&curl("printf 'hunter22 ok'", &rest, &mask))["status"], "completed");
    assert_eq!(scratch.output_of(ID.parse().unwrap()), b"token ******** ok");
}

#[test]
fn a_source_that_goes_away_is_waited_for_and_then_lost() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &["--ingest-resume", "1500ms"]);
    let path = format!("/api/ingest/{ID}");
    let mut stream = server.open(&path);
    chunk(&mut stream, b"STEP_START:A\nhalf").unwrap();
    eventually("it is recorded", || {
        (scratch.output_of(ID.parse().unwrap()).len() == 17).then_some(())
    });
    drop(stream); // Not an end: the last chunk is missing.
    eventually("it is noticed", || (server.state(ID)["attached"] == false).then_some(()));
    assert_eq!(server.detail(ID)["execution"]["status"], "running");
    // It comes back, and goes again.
    let mut stream = server.open(&format!("{path}?offset=17"));
    chunk(&mut stream, b" line\n").unwrap();
    eventually("it goes on", || (scratch.output_of(ID.parse().unwrap()).len() == 23).then_some(()));
    drop(stream);
    let detail = server.ended(ID);
    assert_eq!(detail["execution"]["reason"], "source_lost");
    assert_eq!(detail["steps"][0]["status"], "failed");
    assert_eq!(codes(&detail), ["source_gone", "source_back", "source_gone"]);
    let (status, offset, _) = server.put(&format!("{path}?offset=23"), b"late");
    assert_eq!((status, offset), (409, Some(23)), "the end is final");
    // A part that was said to be one is waited for as well, without a word about it.
    let other = "0198c2aa-0000-4000-8000-00000000abce";
    server.put(&format!("/api/ingest/{other}?more=1"), b"x");
    let detail = server.ended(other);
    assert_eq!(detail["execution"]["reason"], "source_lost");
    assert!(codes(&detail).is_empty());
}

#[test]
fn a_source_may_be_slow_and_a_half_open_one_is_pushed_out_by_its_successor() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let path = format!("/api/ingest/{ID}");
    let mut silent = server.open(&path);
    for byte in b"STEP_START:A\n" {
        chunk(&mut silent, &[*byte]).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    eventually("it is recorded", || {
        (scratch.output_of(ID.parse().unwrap()).len() == 13).then_some(())
    });
    // Longer than a request's head may take, and nothing happens.
    thread::sleep(Duration::from_millis(10_500));
    assert_eq!(server.state(ID)["attached"], true);
    let (status, _, body) = server.put(&format!("{path}?offset=13"), b"STEP_COMPLETE:A\n");
    assert_eq!((status, &body["status"]), (200, &"completed".into()));
    let _ = chunk(&mut silent, b"late\n");
    assert_eq!(answer(silent).0, 409);
    assert_eq!(scratch.output_of(ID.parse().unwrap()), b"STEP_START:A\nSTEP_COMPLETE:A\n");
}

#[test]
fn cancelled_is_cancelled_with_and_without_a_server() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let mut stream = server.open(&format!("/api/ingest/{ID}"));
    chunk(&mut stream, b"STEP_START:A\n").unwrap();
    eventually("it is there", || {
        (!scratch.output_of(ID.parse().unwrap()).is_empty()).then_some(())
    });
    assert!(scratch.output(&["cancel", ID]).status.success());
    assert_eq!(server.ended(ID)["execution"]["status"], "cancelled");
    let _ = chunk(&mut stream, b"more\n");
    assert_eq!(answer(stream).0, 409);

    let other = "0198c2aa-0000-4000-8000-00000000abce";
    server.put(&format!("/api/ingest/{other}?more=1"), b"STEP_START:A\nx");
    server.kill();
    // Nobody gives up a stream while no server runs: its source may come back.
    assert!(scratch.text(&["ls"]).contains("running"));
    assert!(scratch.output(&["cancel", other]).status.success());
    let shown = scratch.text(&["show", other]);
    assert!(shown.contains("cancelled"), "{shown}");
}

/// Lines with steps among them, each told apart.
fn script(rng: &mut Rng, lines: u64) -> String {
    let mut text = String::new();
    for number in 0..lines {
        match rng.below(8) {
            0 => text.push_str(&format!("STEP_START:S{number}\n")),
            1 => text.push_str(&format!("ARTIFACT:file{number}\n")),
            2 => text.push_str(&format!("META:k{number}:v\n")),
            _ => text.push_str(&format!("line {number} {}\n", "x".repeat(rng.below(300) as usize))),
        }
    }
    text
}

#[test]
fn a_killed_server_costs_a_stream_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = Server::new(&scratch, &[]);
    for round in 0..rounds() {
        let id = format!("0198c2aa-0000-4000-8000-{round:012}");
        let text = script(&mut rng, 400);
        let bytes = text.as_bytes();
        let (mut at, mut kills) = (0, 0);
        let mut stream = server.open(&format!("/api/ingest/{id}"));
        while at < bytes.len() {
            let size = (1 + rng.below(4_000) as usize).min(bytes.len() - at);
            let sent = chunk(&mut stream, &bytes[at..at + size]);
            at += size;
            thread::sleep(Duration::from_micros(rng.below(1_500)));
            if sent.is_err() || (kills < 3 && rng.below(8) == 0) {
                kills += 1;
                let address = server.kill();
                if rng.below(4) == 0 {
                    // Whoever looks meanwhile does not end it.
                    assert!(!scratch.text(&["ls"]).contains("failed"), "round {round}");
                }
                server = serve(&scratch, &address, &[]);
                let known = server.client.get(&format!("/api/ingest/{id}"));
                at = known.map_or(0, |state| state["offset"].as_u64().unwrap() as usize);
                let back = rng.below(50).min(at as u64); // Some of it twice.
                at -= back as usize;
                stream = server.open(&format!("/api/ingest/{id}?offset={at}"));
            }
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        let (status, _, body) = answer(stream);
        assert!(matches!(status, 200 | 201), "round {round}: {body}");
        assert_eq!(body["status"], "completed", "round {round}");
        let view = scratch.view(id.parse().unwrap());
        let log = scratch.output_of(id.parse().unwrap());
        assert!(log == bytes, "round {round}: the log is not what was sent");
        assert_eq!(view.state.summary.position.lines, 400);
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("STEP_START:")).collect();
        let steps: Vec<&str> = view.state.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, expected, "round {round}");
        for step in &view.state.steps {
            assert_eq!(step.status, StepStatus::Completed);
            let line = text.lines().nth(step.first_line as usize - 1).unwrap();
            assert_eq!(line, format!("STEP_START:{}", step.name), "round {round}");
        }
        let files = text.lines().filter(|line| line.starts_with("ARTIFACT")).count();
        assert_eq!(view.state.artifacts.len(), files);
        assert!(view.state.artifacts.iter().all(|file| file.settled));
        let pairs = text.lines().filter(|line| line.starts_with("META")).count();
        let known = view.state.steps.iter().map(|step| step.metadata.len()).sum::<usize>();
        assert_eq!(known + view.state.summary.metadata.len(), pairs);
    }
}

#[test]
fn a_stopped_server_tells_its_sources_to_come_back() {
    let scratch = Scratch::new(STEPFLOW);
    let mut server = Server::new(&scratch, &[]);
    let mut stream = server.open(&format!("/api/ingest/{ID}"));
    chunk(&mut stream, b"one\n").unwrap();
    eventually("it is there", || {
        (!scratch.output_of(ID.parse().unwrap()).is_empty()).then_some(())
    });
    signal(server.process.0.id() as i32, Signal::SIGTERM);
    assert_eq!(answer(stream).0, 503);
    assert!(server.process.0.wait().unwrap().success());
    let server = Server::new(&scratch, &[]);
    assert_eq!(server.put(&format!("/api/ingest/{ID}?offset=4"), b"two\n").0, 200);
    assert_eq!(scratch.output_of(ID.parse().unwrap()), b"one\ntwo\n");
}

#[test]
fn a_server_that_comes_back_waits_for_the_source_and_then_gives_it_up() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let (_, offset, _) = server.put(&format!("/api/ingest/{ID}?more=1"), b"STEP_START:A\nx\n");
    assert_eq!(offset, Some(15));
    server.kill();
    let server = Server::new(&scratch, &["--ingest-resume", "300ms"]);
    let detail = server.ended(ID);
    assert_eq!(detail["execution"]["reason"], "source_lost");
    assert_eq!(detail["execution"]["lines"], 2);
    eventually("nothing is left open", || {
        scratch.storage.open_executions().unwrap().is_empty().then_some(())
    });
}

#[test]
fn a_full_disk_pauses_a_stream_and_loses_nothing() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    for round in 0..3 {
        let disk = SmallDisk::mount(&format!("{}k", 900 + rng.below(600)));
        let storage = disk.path().join("storage");
        let scratch = scratch.at(&storage);
        let server = Server::new(&scratch, &[]);
        let url = server.url(&format!("/api/ingest/{ID}"));
        let script = "{ echo STEP_START:Big; seq 1 300000; echo STEP_COMPLETE:Big; }";
        let sender = thread::spawn(move || curl(script, &url, &[]));
        eventually("it says that it waits", || {
            let known = server.client.get(&format!("/api/executions/{ID}?logs=0")).ok()?;
            (known["execution"]["paused"] == true).then_some(())
        });
        thread::sleep(Duration::from_millis(600));
        assert_eq!(server.detail(ID)["execution"]["status"], "running");
        disk.call("mount", &["-o", "remount,size=30m"]);
        let answer = json(&sender.join().unwrap());
        assert_eq!(answer["status"], "completed", "round {round}: {answer}");
        let mut expected = String::from("STEP_START:Big\n");
        for number in 1..=300_000 {
            expected.push_str(&format!("{number}\n"));
        }
        expected.push_str("STEP_COMPLETE:Big\n");
        let log = scratch.output_of(ID.parse().unwrap());
        assert!(log == expected.as_bytes(), "round {round}: the log is not what was sent");
        assert_eq!(scratch.view(ID.parse().unwrap()).state.steps[0].status, StepStatus::Completed);
    }
}

#[test]
fn hundreds_of_streams_lose_nothing_when_the_server_is_killed_in_the_middle() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let mut load = Command::new(example(STEPFLOW, "ingest_load"))
        .args([server.address.as_str(), "200", "10", "300"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1_500));
    let address = server.kill();
    let server = serve(&scratch, &address, &[]);
    let mut said = String::new();
    load.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(load.wait().unwrap().success(), "{said}");
    assert!(said.starts_with("200 of 200 streams whole, 2000 lines"), "{said}");
    let statistics = server.client.get("/api/executions/statistics").unwrap();
    assert_eq!(statistics["by_status"]["completed"], 200);
}

#[test]
fn scripts_get_the_limit_of_open_files_that_the_server_was_started_with() {
    let scratch = Scratch::new(STEPFLOW);
    let line = format!(
        "ulimit -Sn 300; exec {STEPFLOW} --storage {} serve --auth off --listen 127.0.0.1:0",
        scratch.storage.root().display()
    );
    let child = Command::new("bash").args(["-c", &line]).stderr(Stdio::null()).spawn().unwrap();
    let server = Ended(child);
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    let body = serde_json::json!({"command": "ulimit -Sn", "shell": true});
    let id = eventually("it serves", || client.post("/api/executions?wait=1", &body).ok());
    assert_eq!(scratch.output_of(id["id"].as_str().unwrap().parse().unwrap()), b"300\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.0.id())).unwrap();
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = open.split_whitespace().collect();
    assert_eq!(words[3], words[4], "the server's own soft limit is its hard one: {open}");
}

#[test]
fn a_failed_critical_step_fails_the_execution_whoever_saw_it() {
    let scratch = Scratch::new(STEPFLOW);
    let server = Server::new(&scratch, &[]);
    let path = format!("/api/ingest/{ID}");
    let text = b"STEP_START:A [stop_on_error=true]\nSTEP_ERROR:broke\nSTEP_START:B\n";
    server.put(&format!("{path}?more=1"), text);
    let address = server.kill();
    let server = serve(&scratch, &address, &[]);
    assert_eq!(server.put(&format!("{path}?offset={}", text.len()), b"STEP_COMPLETE:B\n").0, 200);
    let view = scratch.view(ID.parse().unwrap());
    assert_eq!(view.state.summary.status, Status::Failed);
    assert_eq!(view.state.summary.reason, Some(Reason::StepError));
}

#[test]
fn the_documented_loop_loses_nothing_over_a_killed_server() {
    let page = include_str!("../../../docs/reference/ingest.md");
    let text = page.split("```sh\n").find(|block| block.starts_with("#!/bin/bash")).unwrap();
    let text = text.split("```").next().unwrap();
    let scratch = Scratch::new(STEPFLOW);
    let ship = scratch.work().join("ship");
    std::fs::write(&ship, text).unwrap();
    let server = Server::new(&scratch, &[]);
    let script =
        "echo STEP_START:Ship; for i in $(seq 1 40); do echo line $i; sleep 0.1; done; exit 7";
    let mut shipping = Command::new("timeout")
        .args(["60", "bash", ship.to_str().unwrap(), "shipped", "bash", "-c", script])
        .env("STEPFLOW_URL", server.url(""))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let id = eventually("some of it is there", || {
        let id = *scratch.storage.executions().ok()?.first()?;
        (scratch.output_of(id).len() > 40).then_some(id)
    });
    let address = server.kill();
    thread::sleep(Duration::from_millis(500));
    let _server = serve(&scratch, &address, &[]);
    assert_eq!(shipping.wait().unwrap().code(), Some(7), "the command's own code");
    let mut expected = String::from("STEP_START:Ship\n");
    (1..=40).for_each(|number| expected.push_str(&format!("line {number}\n")));
    assert_eq!(String::from_utf8(scratch.output_of(id)).unwrap(), expected);
    let view = scratch.view(id);
    assert_eq!(view.state.summary.exit_code, Some(7));
    assert_eq!(view.state.summary.name, "shipped");
    assert_eq!(view.state.steps.len(), 1);
    assert!(view.state.annotations.iter().all(|note| note.code == "source_back"));
}
