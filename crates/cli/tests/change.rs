//! Deletes, uploads and removals, with the server killed at seeded moments: each is done or not
//! done, never half; and what the environment tells a server.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use stepflow_client::Server as Client;
use stepflow_testkit::{Ended, Rng, Scratch, eventually, rounds};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");

/// A running server; killed when the test ends.
struct Server {
    process: Ended,
    address: String,
    client: Client,
    /// What it said before it listened.
    said: Vec<String>,
}

fn serve(scratch: &Scratch, args: &[&str], env: &[(&str, &str)]) -> Server {
    let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
    let mut command = scratch.command(&args);
    command.envs(env.iter().copied());
    let mut child: Child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("it listens: {said:?}")).unwrap();
        if let Some(url) = line.strip_prefix("listening on http://") {
            break url.to_owned();
        }
        said.push(line);
    };
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    let client = Client::at(scratch.storage.run_dir().join("server.sock"));
    Server { process: Ended(child), address, client, said }
}

fn serve_open(scratch: &Scratch) -> Server {
    serve(scratch, &["--listen", "127.0.0.1:0", "--auth", "off"], &[])
}

/// One request over TCP; the status, or `None` if the server went away meanwhile.
fn ask(address: &str, method: &str, path: &str, more: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())?))
}

impl Server {
    fn kill(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// Runs a script with a step and an artifact to its end.
    fn execution(&self) -> String {
        let script = "echo STEP_START:A; echo x > f; echo ARTIFACT:f:F; echo STEP_COMPLETE:A";
        let body = json!({"command": ["sh", "-c", script], "wait": true});
        let created = self.client.post("/api/executions", &body).unwrap();
        assert_eq!(created["status"], "completed");
        created["id"].as_str().unwrap().to_owned()
    }

    fn get(&self, path: &str) -> Result<Value, u16> {
        self.client.get(path).map_err(|error| match error {
            stepflow_client::ClientError::Refused { status, .. } => status,
            error => panic!("{path}: {error}"),
        })
    }
}

/// It is there, whole: detail, log, artifact, rows.
fn check_whole(scratch: &Scratch, server: &Server, id: &str, round: u64) {
    let detail = server.get(&format!("/api/executions/{id}")).unwrap();
    assert_eq!(detail["execution"]["status"], "completed", "round {round}");
    assert_eq!(detail["steps"][0]["name"], "A");
    let digest = detail["artifacts"][0]["sha256"].as_str().unwrap();
    let copy = scratch.storage.artifact_dir(id.parse().unwrap()).join(digest);
    assert_eq!(std::fs::read(copy).unwrap(), b"x\n", "round {round}");
    assert!(is_listed(server, id) && has_files(server, id), "round {round}");
}

/// Nothing of it is left, anywhere.
fn check_gone(scratch: &Scratch, server: &Server, id: &str, round: u64) {
    assert_eq!(server.get(&format!("/api/executions/{id}")), Err(404), "round {round}");
    assert!(!is_listed(server, id) && !has_files(server, id), "round {round}");
    let parsed = id.parse().unwrap();
    assert!(!scratch.storage.record_dir(parsed).exists(), "round {round}");
    assert!(!scratch.storage.artifact_dir(parsed).exists(), "round {round}");
    assert!(!scratch.storage.open_marker(parsed).exists(), "round {round}");
    assert_eq!(scratch.storage.trashed().unwrap(), [], "round {round}");
}

fn is_listed(server: &Server, id: &str) -> bool {
    let list = server.get("/api/executions?limit=1000").unwrap();
    list["executions"].as_array().unwrap().iter().any(|one| one["id"] == id)
}

fn has_files(server: &Server, id: &str) -> bool {
    let list = server.get("/api/artifacts?limit=1000").unwrap();
    list["artifacts"].as_array().unwrap().iter().any(|one| one["execution_id"] == id)
}

#[test]
fn a_delete_that_is_killed_is_done_or_not_done_and_never_comes_back() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = serve_open(&scratch);
    let (mut done, mut not_done) = (0, 0);
    for round in 0..rounds() {
        let (id, kept) = (server.execution(), server.execution());
        let (address, path) = (server.address.clone(), format!("/api/executions/{id}"));
        let asked = thread::spawn(move || ask(&address, "DELETE", &path, "", ""));
        thread::sleep(Duration::from_micros(rng.below(4_000)));
        server.kill();
        let answer = asked.join().unwrap();
        // Whoever comes next mends it: a server, a command, or a rebuild.
        match rng.below(3) {
            0 => assert!(scratch.output(&["reindex"]).status.success()),
            1 => assert!(scratch.output(&["ls"]).status.success()),
            _ => {}
        }
        server = serve_open(&scratch);
        let there = server.get(&format!("/api/executions/{id}")).is_ok();
        if let Some((status, body)) = answer {
            assert_eq!(status, 200, "{body}");
            assert!(!there, "round {round}: answered, and there again");
        }
        if there {
            not_done += 1;
            check_whole(&scratch, &server, &id, round);
            let again = ask(&server.address, "DELETE", &format!("/api/executions/{id}"), "", "");
            assert_eq!(again.unwrap().0, 200);
        } else {
            done += 1;
        }
        check_gone(&scratch, &server, &id, round);
        check_whole(&scratch, &server, &kept, round);
    }
    println!("{done} done, {not_done} not done");
    let statistics = server.get("/api/executions/statistics").unwrap();
    assert_eq!(statistics["total_executions"], rounds());
    server.kill();
    assert!(scratch.output(&["reindex"]).status.success());
    let server = serve_open(&scratch);
    assert_eq!(server.get("/api/executions/statistics").unwrap()["total_executions"], rounds());
}

#[test]
fn a_file_that_was_answered_is_kept_and_one_that_was_removed_stays_away() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = serve_open(&scratch);
    let id = server.execution();
    let mut sure: Vec<String> = Vec::new(); // Ids of files that must be there.
    for round in 0..rounds() {
        let remove = rng.below(2) == 0 && !sure.is_empty();
        let victim = remove.then(|| sure.remove(rng.below(sure.len() as u64) as usize));
        let (address, query) =
            (server.address.clone(), format!("/api/artifacts?execution_id={id}&name=f{round}"));
        let bytes = format!("file {round}");
        let asked = {
            let victim = victim.clone();
            thread::spawn(move || match victim {
                Some(victim) => {
                    ask(&address, "DELETE", &format!("/api/artifacts/{victim}"), "", "")
                }
                None => ask(&address, "POST", &query, "Content-Type: text/x\r\n", &bytes),
            })
        };
        thread::sleep(Duration::from_micros(rng.below(4_000)));
        server.kill();
        let answer = asked.join().unwrap();
        match rng.below(3) {
            0 => assert!(scratch.output(&["reindex"]).status.success()),
            1 => assert!(scratch.output(&["ls"]).status.success()),
            _ => {}
        }
        server = serve_open(&scratch);
        if victim.is_none()
            && let Some((status, body)) = &answer
        {
            assert_eq!(*status, 201, "{body}");
            let added: Value = serde_json::from_str(body).unwrap();
            sure.push(added["id"].as_str().unwrap().to_owned());
        }
        // The record and the catalog say the same, and every file can be had.
        let of = server.get(&format!("/api/artifacts/execution/{id}")).unwrap();
        let listed = eventually("the catalog is there", || {
            let listed = server.get("/api/artifacts?limit=1000").unwrap();
            (listed["count"] == of["count"]).then_some(listed)
        });
        let ids = |list: &Value| -> std::collections::BTreeSet<String> {
            let all = list["artifacts"].as_array().unwrap();
            all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&of), ids(&listed), "round {round}");
        for one in &sure {
            assert!(ids(&of).contains(one), "round {round}: {one} was answered");
        }
        for one in of["artifacts"].as_array().unwrap() {
            let digest = one["sha256"].as_str().unwrap();
            let copy = scratch.storage.artifact_dir(id.parse().unwrap()).join(digest);
            assert!(copy.exists(), "round {round}: {one}");
        }
        if let Some(victim) = victim {
            match answer {
                Some((status, body)) => {
                    assert_eq!(status, 200, "{body}");
                    assert!(!ids(&of).contains(&victim), "round {round}");
                }
                None if ids(&of).contains(&victim) => sure.push(victim),
                None => {}
            }
        } else if answer.is_none() {
            sure = ids(&of).into_iter().filter(|one| !one.ends_with("-a0")).collect();
        }
    }
    let marks = std::fs::read_dir(scratch.storage.run_dir()).unwrap();
    let marks = marks.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".changed")
    });
    assert_eq!(marks.count(), 0);
}

#[test]
fn the_documented_variables_tell_a_server_where_and_for_whom() {
    let scratch = Scratch::new(STEPFLOW);
    let key = "0123456789abcdef-key";
    let env = [
        ("STEPFLOW_HOST", "localhost"),
        ("STEPFLOW_PORT", "0"),
        ("STEPFLOW_LOG_LEVEL", "WARNING"),
        ("STEPFLOW_API_KEY", key),
        ("STEPFLOW_CACHE_SIZE", "2000"),
        ("STEPFLOW_WAL_AUTOCHECKPOINT", "500"),
        ("STEPFLOW_BUFFER_SIZE", "8192"),
        ("STEPFLOW_ENV", "production"),
        ("STEPFLOW_WS_PORT", "0"),
    ];
    let server = serve(&scratch, &[], &env);
    assert!(server.address.starts_with("127.0.0.1:"));
    for name in ["STEPFLOW_BUFFER_SIZE", "STEPFLOW_ENV"] {
        let warned =
            server.said.iter().any(|line| line.starts_with("warning:") && line.contains(name));
        assert!(warned, "{:?}", server.said);
    }
    let get = |more: &str| ask(&server.address, "GET", "/api/session", more, "").unwrap().0;
    assert_eq!(get(""), 401);
    assert_eq!(get(&format!("X-API-Key: {key}\r\n")), 200);
    assert_eq!(get(&format!("Authorization: Bearer {key}\r\n")), 200);
    // It reaches no script, and no file.
    let body = json!({"command": ["sh", "-c", "env"], "wait": true});
    let created = server.client.post("/api/executions", &body).unwrap();
    let output = scratch.output_of(created["id"].as_str().unwrap().parse().unwrap());
    assert!(!String::from_utf8_lossy(&output).contains(key));
    let grep = std::process::Command::new("grep")
        .args(["-r", "-a", "-l", key])
        .arg(scratch.storage.root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
    drop(server);

    for (name, value) in [
        ("STEPFLOW_AUTH_METHOD", "oidc"),
        ("STEPFLOW_AUTH_OIDC_URL", "https://id.example"),
        ("STEPFLOW_API_KEY", "short"),
        ("STEPFLOW_PORT", "no number"),
        ("STEPFLOW_LOG_LEVEL", "=="),
    ] {
        let refused = scratch.command(&["serve"]).env(name, value).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{name}");
        assert!(said.contains(name) && said.contains("hint:"), "{name}: {said}");
    }
    // The variable that names the storage.
    let elsewhere = scratch.work().join("elsewhere");
    let listed = std::process::Command::new(STEPFLOW)
        .args(["ls"])
        .env("STEPFLOW_STORAGE_PATH", &elsewhere)
        .output()
        .unwrap();
    assert!(listed.status.success() && elsewhere.join("database").exists());
}
