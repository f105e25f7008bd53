//! The server while something is wrong around it: no files left, a foreign lock on the catalog, a
//! catalog that is damaged or gone, two servers at once, two hundred executions after a kill, viewers
//! that are stopped.

mod stopped; // viewers that take nothing

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::FileExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection as Database;
use serde_json::{Value, json};
use stepflow_model::ExecutionId;
use stepflow_testkit::{Ended, PATIENCE, Rng, Scratch, eventually, is_alive, kill};

use crate::{
    Options, Outcome, oracle,
    served::{Served, accepted, ask},
    viewer::{Connection, Next, Transcript, Way},
};

pub(crate) use stopped::view;

/// Hidden command: viewers in a process of their own, so that they can be stopped.
pub(crate) const VIEW: &str = "view";
/// Live executions that a new server finds again, and how soon: the contract's 5 s, four times.
const LIVE: usize = 200;
const FOUND_WITHIN: Duration = Duration::from_secs(20);
/// A write waits for a foreign lock so long at most; what a busy machine adds.
const LOCK_WAITS: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(3);
/// Open files of the server that runs out of them.
const FILES: u64 = 110;
/// The second of two servers refuses within 2 s, four times that here.
const REFUSED_WITHIN: Duration = Duration::from_secs(8);

/// One of them: its figures, or what it found.
type Part = fn(&Options) -> Result<String, String>;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let mut held = Vec::new();
    let parts: [Part; 6] = [live, files, locked, damaged, races, stopped::stopped];
    // One of them by its number, from 1, for whoever works on it.
    let only = options.part as usize;
    for (_, part) in parts.iter().enumerate().filter(|(at, _)| only == 0 || at + 1 == only) {
        let begun = Instant::now();
        held.push(format!("{} ({:.0} s)", part(options)?, begun.elapsed().as_secs_f64()));
    }
    Ok(Outcome::Held(held.join("; ")))
}

fn create(address: &str, scratch: &Scratch, command: Value) -> Result<(u16, Vec<u8>), String> {
    let body = json!({"command": command, "working_directory": scratch.work()});
    ask(address, "POST", "/api/executions", None, Some(&body))
}

fn json(address: &str, path: &str) -> Result<Value, String> {
    let (_, body) = ask(address, "GET", path, None, None)?;
    serde_json::from_slice(&body).map_err(|error| format!("{path}: {error}"))
}

/// A figure of `/metrics`.
fn figure(address: &str, name: &str) -> Option<f64> {
    let (_, body) = ask(address, "GET", "/metrics", None, None).ok()?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.to_owned();
    line.trim().parse().ok()
}

/// F1: everything that runs is found again after a kill.
fn live(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let mut server = Served::start(&scratch, &[])?;
    let ids: Vec<ExecutionId> = (0..LIVE)
        .map(|_| accepted(&create(&server.address, &scratch, json!(["sleep", "600"]))?))
        .collect::<Result<_, _>>()?;
    let pids: Vec<_> = ids.iter().map(|id| scratch.pids(*id)).collect();
    server.kill();
    let begun = Instant::now();
    let server = Served::start(&scratch, &[])?;
    loop {
        if figure(&server.address, "stepflow_recorders_connected") == Some(LIVE as f64) {
            break;
        }
        if begun.elapsed() > FOUND_WITHIN {
            return Err(format!("not all of {LIVE} found again within {FOUND_WITHIN:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    let active = json(&server.address, "/api/executions/active")?;
    let listed = active["executions"].as_array().or(active.as_array()).map_or(0, Vec::len);
    let gone =
        pids.iter().filter(|(recorder, _, script)| !is_alive(*recorder) || !is_alive(*script));
    if gone.count() > 0 || listed != LIVE {
        return Err(format!("{listed} of {LIVE} are active after the restart"));
    }
    Ok(format!("{LIVE} live executions found again {:.2} s after kill -9", took.as_secs_f64()))
}

/// A server with few open files.
fn poor(scratch: &Scratch) -> Result<(Ended, String), String> {
    let serve = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
    let mut line = format!("ulimit -n {FILES}; exec '{}'", scratch.program().display());
    for arg in serve.get_args() {
        line.push_str(&format!(" '{}'", arg.to_string_lossy()));
    }
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .current_dir(scratch.work())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let address = loop {
        let line = lines.next().ok_or("the server does not start")?.map_err(|e| e.to_string())?;
        if let Some(address) = line.strip_prefix("listening on http://") {
            break address.trim().to_owned();
        }
    };
    thread::spawn(move || lines.for_each(drop));
    Ok((Ended(child), address))
}

/// F9: no files left.
fn files(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let (mut server, address) = poor(&scratch)?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let running = accepted(&create(
        &address,
        &scratch,
        json!([me, oracle::COMMAND, "0", "0", "4000", "2000"]),
    )?)?;
    scratch.pids(running);
    let starts = scratch.work().join("starts");
    let (mut refused, mut started, mut turned_away) = (0, Vec::new(), 0);
    // Idle connections, more and more of them, and starts between: some find no file for this, others
    // none for that.
    let mut idle = Vec::new();
    for number in 0..FILES {
        if let Ok(mut one) = TcpStream::connect(&address) {
            // Half a head: it is accepted and waited for.
            let _ = one.write_all(b"GET / HTTP/1.1\r\nHost: ");
            idle.push(one);
        }
        if number < FILES / 4 {
            continue;
        }
        let script = format!("echo {number} >> '{}'", starts.display());
        let body = json!({"command": ["sh", "-c", script], "working_directory": scratch.work()});
        match ask_within(&address, &body, Duration::from_millis(300)) {
            Some((201, id)) => started.push((number, id)),
            Some((503, said)) => {
                refused += 1;
                turned_away += u64::from(said.contains("no file descriptors"));
            }
            Some((status, said)) => return Err(format!("a start was answered {status}: {said}")),
            None => turned_away += 0, // It waits in the queue of the kernel, or was cut off.
        }
    }
    drop(idle);
    let begun = Instant::now();
    let answered = eventually("it accepts again", || json(&address, "/api/health/status").ok());
    let recovered = begun.elapsed();
    if server.0.try_wait().is_ok_and(|ended| ended.is_some()) {
        return Err("the server ended".to_owned());
    }
    let engine = answered["components"]["engine"]["what"].as_str().unwrap_or_default().to_owned();
    if refused > 0 && engine != "turned-away" {
        return Err(format!("health says {engine:?} of {refused} that were turned away"));
    }
    // Each accepted one ran once or says why not; none else ran.
    eventually("all that was accepted ends", || {
        started.iter().all(|(_, id)| ended(&address, id)).then_some(())
    });
    let ran = fs::read_to_string(&starts).unwrap_or_default();
    let mut ran: Vec<u64> = ran.lines().filter_map(|line| line.parse().ok()).collect();
    ran.sort_unstable();
    let twice = ran.windows(2).any(|two| two[0] == two[1]);
    for (number, id) in &started {
        let status =
            json(&address, &format!("/api/executions/{id}"))?["execution"]["status"].clone();
        if (status == "completed") != ran.contains(number) || twice {
            return Err(format!("start {number} is {status}, ran: {}", ran.contains(number)));
        }
    }
    let view = scratch.ended(running);
    if view.state.summary.position.lines != 4_000 || view.state.summary.exit_code != Some(0) {
        return Err(format!("the running one has {} lines", view.state.summary.position.lines));
    }
    if refused == 0 {
        return Err(format!("not a sweep: nothing was refused, {} started", started.len()));
    }
    Ok(format!(
        "{FILES} open files: {} starts whole, {refused} refused whole ({turned_away} at the door), \
         accepting again after {} ms, the running execution untouched",
        started.len(),
        recovered.as_millis()
    ))
}

fn ended(address: &str, id: &str) -> bool {
    let found = json(address, &format!("/api/executions/{id}")).unwrap_or_default();
    matches!(found["execution"]["status"].as_str(), Some("completed" | "failed" | "cancelled"))
}

/// A create that nobody waits for longer; the id, or what was said.
fn ask_within(address: &str, body: &Value, within: Duration) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(within)).ok()?;
    let body = body.to_string();
    let head = format!(
        "POST /api/executions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.get(9..12)?.parse().ok()?;
    let said = text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    let id = serde_json::from_str::<Value>(&said).ok();
    let id = id.and_then(|json| json["id"].as_str().map(str::to_owned));
    Some((status, id.unwrap_or(said)))
}

/// F11: somebody else has the catalog.
fn locked(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let running = scratch.detach(&[], &[&me, oracle::COMMAND, "0", "0", "1000000", "5000"]);
    scratch.pids(running);
    let opened = Connection::open(&server.address, running, Way::WebSocket, 0, PATIENCE);
    let mut viewer = opened.map_err(|error| error.to_string())?;
    let mut transcript = Transcript::new(&scratch.storage.record_dir(running))?;
    let (mut waited, mut refused, mut written, mut longest) = (0, 0, Vec::new(), Duration::ZERO);
    let starts = scratch.work().join("starts");
    for seconds in [1, 3, 8] {
        let foreign = Database::open(scratch.storage.database()).map_err(|e| e.to_string())?;
        let _ = foreign.busy_timeout(PATIENCE);
        foreign.execute_batch("BEGIN EXCLUSIVE").map_err(|e| e.to_string())?;
        let held = Instant::now();
        let asked: Vec<_> = (0..4)
            .map(|number| {
                let (address, work) = (server.address.clone(), scratch.work());
                let script = format!("echo {seconds}-{number} >> '{}'", starts.display());
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(150 * number));
                    let begun = Instant::now();
                    let body = json!({"command": ["sh", "-c", script], "working_directory": work});
                    let answer = ask(&address, "POST", "/api/executions", None, Some(&body));
                    (format!("{seconds}-{number}"), answer, begun.elapsed())
                })
            })
            .collect();
        // Logs flow: each half second something new.
        while held.elapsed() < Duration::from_secs(seconds) {
            let (before, begun) = (transcript.at, Instant::now());
            while begun.elapsed() < Duration::from_millis(500) {
                if let Next::Bytes(offset, bytes) = viewer.next()? {
                    transcript.take(offset, &bytes)?;
                }
            }
            if transcript.at == before {
                return Err(format!("no log for half a second, locked for {seconds} s"));
            }
        }
        foreign.execute_batch("ROLLBACK").map_err(|error| error.to_string())?;
        for one in asked {
            let (number, answer, took) = one.join().map_err(|_| "a caller panicked")?;
            let answer = answer?;
            waited += 1;
            longest = longest.max(took);
            if took > LOCK_WAITS + SLACK {
                return Err(format!("a write waited {took:?} behind a lock of {seconds} s"));
            }
            match answer.0 {
                201 => written.push((number, accepted(&answer)?)),
                503 => refused += 1,
                status => return Err(format!("{status} behind a lock of {seconds} s")),
            }
        }
    }
    for (number, id) in &written {
        eventually("what was acknowledged is there", || {
            ended(&server.address, &id.to_string()).then_some(())
        });
        if !fs::read_to_string(&starts).unwrap_or_default().lines().any(|line| line == number) {
            return Err(format!("{number} was acknowledged and did not run"));
        }
    }
    let ran = fs::read_to_string(&starts).unwrap_or_default().lines().count();
    if ran != written.len() || refused == 0 || written.is_empty() {
        return Err(format!("{ran} ran, {} acknowledged, {refused} refused", written.len()));
    }
    Ok(format!(
        "foreign locks of 1, 3 and 8 s: of {waited} writes {} done, {refused} refused with 503, none waited \
         longer than {:.1} s, logs flowed",
        written.len(),
        longest.as_secs_f64()
    ))
}

/// F12: the catalog is damaged, then gone, under a server.
fn damaged(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    for _ in 0..60 {
        accepted(&create(&server.address, &scratch, json!(["true"]))?)?;
    }
    let running = scratch.detach(&[], &[&me, oracle::COMMAND, "0", "0", "1000000", "5000"]);
    scratch.pids(running);
    let all = |server: &Served| -> Option<u64> {
        json(&server.address, "/api/executions?limit=1").ok()?["total_count"].as_u64()
    };
    eventually("all are in the catalog", || (all(&server) == Some(61)).then_some(()));
    let opened = Connection::open(&server.address, running, Way::Events, 0, PATIENCE);
    let mut viewer = opened.map_err(|error| error.to_string())?;
    let mut transcript = Transcript::new(&scratch.storage.record_dir(running))?;
    let database = scratch.storage.database();
    let mut random = Rng::new(options.seed ^ 0x12);
    let mut took = Vec::new();
    for round in 0..4 {
        let begun = Instant::now();
        let mut before = Vec::new();
        if round % 2 == 0 {
            let file = fs::OpenOptions::new().read(true).write(true).open(&database);
            let file = file.map_err(|error| error.to_string())?;
            // What is in the WAL would heal pages: into the file with it.
            let moved = Database::open(&database).map_err(|error| error.to_string())?;
            let _ = moved.busy_timeout(PATIENCE);
            let _ = moved.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            drop(moved);
            let size = file.metadata().map_err(|error| error.to_string())?.len();
            let from = 4096 * (1 + random.below(2));
            let noise: Vec<u8> = (0..size - from).map(|_| random.number() as u8).collect();
            file.write_all_at(&noise, from).map_err(|error| error.to_string())?;
            before = noise;
        } else {
            fs::remove_file(&database).map_err(|error| error.to_string())?;
        }
        let aside = || {
            let entries = fs::read_dir(database.parent()?).ok()?.flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            Some(names.filter(|name| name.contains(".damaged-") && !name.contains("-wal")).count())
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Whoever asks is who notices.
            let total = all(&server);
            let _ = create(&server.address, &scratch, json!(["true"]));
            let status = json(&server.address, "/api/health/status")?;
            let what =
                status["components"]["database"]["what"].as_str().unwrap_or_default().to_owned();
            let there = database.exists() && total.is_some_and(|total| total >= 61);
            if there && what == "catalog-rebuilt" && aside() == Some(round / 2 + 1) {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("round {round}: not healed: {status}, {total:?}"));
            }
            let at = transcript.at;
            while transcript.at == at {
                match viewer.next()? {
                    Next::Bytes(offset, bytes) => transcript.take(offset, &bytes)?,
                    Next::Nothing => {}
                    other => return Err(format!("round {round}: the log broke off: {other:?}")),
                }
            }
        }
        took.push(begun.elapsed());
        if round % 2 == 0 {
            let kept = fs::read_dir(database.parent().ok_or("no directory")?)
                .map_err(|error| error.to_string())?
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"))
                .any(|entry| {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    // A page or two may have been written into it before anybody noticed.
                    bytes
                        .windows(4096)
                        .step_by(4096)
                        .any(|page| before.windows(4096).step_by(4096).any(|b| b == page))
                });
            if !kept {
                return Err(format!("round {round}: the damaged file is not kept"));
            }
        }
    }
    let most = took.iter().max().map_or(0.0, Duration::as_secs_f64);
    Ok(format!(
        "catalog damaged twice and deleted twice under a server: set aside and rebuilt within {most:.1} s, \
         logs flowed"
    ))
}

/// F21: two servers at once, again and again.
fn races(options: &Options) -> Result<String, String> {
    const AT_ONCE: u64 = 8;
    let rounds = options.races.min(2_000).div_ceil(AT_ONCE * 5);
    let chains: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let program = options.program.clone();
            thread::spawn(move || {
                chain(&program, rounds).map_err(|why| format!("chain {number}: {why}"))
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for one in chains {
        longest = longest.max(one.join().map_err(|_| "a chain panicked")??);
    }
    Ok(format!(
        "{} races of two servers, the holder killed each time: one served, the other named it and went \
         within {:.1} s, nothing stale blocked",
        rounds * AT_ONCE,
        longest.as_secs_f64()
    ))
}

fn chain(program: &str, rounds: u64) -> Result<Duration, String> {
    let scratch = Scratch::new(program);
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        let begun = Instant::now();
        let start = || -> Result<Child, String> {
            scratch
                .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())
        };
        let mut two = [Ended(start()?), Ended(start()?)];
        let loser = loop {
            let ended = two.iter_mut().position(|one| matches!(one.0.try_wait(), Ok(Some(_))));
            match ended {
                Some(ended) => break ended,
                None if begun.elapsed() > REFUSED_WITHIN => return Err("both go on".to_owned()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        longest = longest.max(begun.elapsed());
        let holder = two[1 - loser].0.id();
        let mut said = String::new();
        let _ = two[loser].0.stderr.take().ok_or("no standard error")?.read_to_string(&mut said);
        if !said.contains(&format!("process {holder}")) {
            return Err(format!("the second does not name process {holder}: {said}"));
        }
        if matches!(two[1 - loser].0.try_wait(), Ok(Some(_))) {
            return Err("both ended".to_owned());
        }
        kill(holder as i32);
        let _ = two[1 - loser].0.wait();
    }
    Ok(longest)
}
