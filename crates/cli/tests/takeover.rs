//! `stepflow serve --takeover` with real processes, under load, and with successors that die.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stepflow_sys::fds;
use stepflow_testkit::{Ended, PATIENCE, Rng, Scratch, eventually, rounds, signal};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const TAKEOVERS: usize = 8;
/// A line every few milliseconds until the file `stop` is there.
const TALKER: &str = "i=0; while [ ! -e stop ]; do echo \"line $i of many\"; i=$((i+1)); \
                      sleep 0.005; done; echo \"STEP_START:end $i\"";

/// A server that runs; killed when the test ends.
struct Server {
    process: Ended,
    address: String,
    said: Arc<Mutex<String>>,
}

/// Waits until it listens; `Err`: it ended before, with what it said.
fn started(mut child: Ended) -> Result<Server, String> {
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let said = Arc::new(Mutex::new(String::new()));
    let keep = |line: &str| {
        let mut said = said.lock().unwrap();
        said.push_str(line);
        said.push('\n');
    };
    let address = loop {
        let Some(Ok(line)) = lines.next() else {
            let _ = child.0.wait();
            return Err(said.lock().unwrap().clone());
        };
        keep(&line);
        if let Some(url) = line.strip_prefix("listening on http://") {
            break url.to_owned();
        }
    };
    let said_later = Arc::clone(&said);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut said = said_later.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
    Ok(Server { process: child, address, said })
}

fn command(scratch: &Scratch, listen: &str, more: &[&str]) -> Command {
    let mut args = vec!["serve", "--auth", "off", "--listen", listen];
    args.extend(more);
    let mut command = scratch.command(&args);
    command
        .stderr(Stdio::piped())
        .env_remove("NOTIFY_SOCKET")
        .env_remove("LISTEN_FDS")
        .env("STEPFLOW_LOG_LEVEL", "info");
    command
}

fn spawn(mut command: Command) -> Ended {
    Ended(command.spawn().unwrap())
}

fn serve(scratch: &Scratch, more: &[&str]) -> Server {
    started(spawn(command(scratch, "127.0.0.1:0", more))).unwrap()
}

fn successor(scratch: &Scratch) -> Ended {
    spawn(command(scratch, "127.0.0.1:0", &["--takeover"]))
}

impl Server {
    fn pid(&self) -> i32 {
        self.process.0.id() as i32
    }

    fn exited(&mut self) -> ExitStatus {
        eventually("the server exits", || self.process.0.try_wait().unwrap())
    }

    /// Its log comes through a pipe, and a thread.
    fn says(&self, what: &str) {
        eventually(what, || self.said.lock().unwrap().contains(what).then_some(()));
    }
}

/// One request on a new connection; the body, or what went wrong.
fn ask(
    stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Value, String> {
    let mut stream = stream;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    let said =
        stream.write_all(request.as_bytes()).map_err(|error| format!("write: {error}")).and_then(
            |()| stream.read_to_string(&mut answer).map_err(|error| format!("read: {error}")),
        );
    let wrong = |what: &str| format!("{method} {path}: {what}: {answer:?}");
    said.map_err(|error| wrong(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| wrong("no head"))?;
    if !head.starts_with("HTTP/1.1 20") {
        return Err(wrong("refused"));
    }
    serde_json::from_str(body).map_err(|error| wrong(&error.to_string()))
}

fn tcp(address: &str, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(stream, address, method, path, body)
}

/// Clients that ask all the time, each request on a connection of its own.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        Self { stop, answered, failed: Arc::default(), threads: Vec::new() }
    }

    fn client(&mut self, request: impl Fn() -> Result<Value, String> + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        let (answered, failed) = (Arc::clone(&self.answered), Arc::clone(&self.failed));
        self.threads.push(thread::spawn(move || {
            while !stop.load(SeqCst) {
                match request() {
                    Ok(_) => drop(answered.fetch_add(1, SeqCst)),
                    Err(error) => failed.lock().unwrap().push(error),
                }
            }
        }));
    }

    /// Over both doors.
    fn usual(scratch: &Scratch, address: &str) -> Self {
        let mut load = Self::new();
        for path in ["/api/session", "/api/executions?limit=3", "/api/executions/statistics"] {
            let address = address.to_owned();
            load.client(move || tcp(&address, "GET", path, ""));
        }
        let socket = scratch.storage.run_dir().join("server.sock");
        load.client(move || {
            let stream = UnixStream::connect(&socket).map_err(|error| error.to_string())?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            ask(stream, "localhost", "GET", "/api/executions?limit=1", "")
        });
        load
    }

    /// Waits until so many more were answered.
    fn goes_on(&self, more: u64) {
        let until = self.answered.load(SeqCst) + more;
        eventually("requests are answered", || {
            let failed = self.failed.lock().unwrap();
            assert!(failed.is_empty(), "{failed:#?}");
            (until <= self.answered.load(SeqCst)).then_some(())
        });
    }

    /// Whatever became of the last requests.
    fn abandon(mut self) {
        self.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }

    /// How many were answered; none failed.
    fn end(mut self) -> u64 {
        self.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
        self.answered.load(SeqCst)
    }
}

impl Drop for Load {
    /// A test that failed asks nobody any more.
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// What a page sees of an execution: server-sent events up to the end, resumed where they broke off.
struct Viewed {
    text: String,
    resumed: usize,
}

fn view(address: &str, id: &str) -> Viewed {
    let mut viewed = Viewed { text: String::new(), resumed: 0 };
    let (mut cursor, mut at) = ("0.0".to_owned(), 0);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < 4 * PATIENCE, "no end is seen");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /api/executions/{id}/events HTTP/1.0\r\nHost: {address}\r\nLast-Event-ID: {cursor}\r\n\r\n"
        )
        .unwrap();
        let mut kind = String::new();
        let mut pending = cursor.clone();
        let mut first = true;
        // HTTP/1.0: as it comes, until the connection ends.
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            if std::mem::take(&mut first) {
                assert!(line.contains(" 200 "), "a new connection is refused: {line}");
            }
            if let Some(word) = line.strip_prefix("event: ") {
                word.clone_into(&mut kind);
            } else if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut pending);
            } else if line.is_empty() {
                cursor.clone_from(&pending);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                if kind == "end" {
                    return viewed;
                }
                for line in data["lines"].as_array().into_iter().flatten() {
                    assert_eq!(line["offset"], at, "a gap, or something twice");
                    at += line["bytes"].as_u64().unwrap();
                    viewed.text.push_str(line["text"].as_str().unwrap());
                    if line["partial"] == false {
                        viewed.text.push('\n');
                    }
                }
            }
        }
        viewed.resumed += 1;
    }
}

#[test]
fn f22_eight_takeovers_under_load_cost_no_request_no_line_and_no_execution() {
    let scratch = Arc::new(Scratch::new(STEPFLOW));
    let mut server = serve(&scratch, &["--takeover"]); // Nobody is there: an ordinary start.
    let address = server.address.clone();
    let mut ids: Vec<String> = (0..2)
        .map(|at| {
            scratch.detach(&["--name", &format!("here {at}")], &["sh", "-c", TALKER]).to_string()
        })
        .collect();
    let work = scratch.work();
    for _ in 0..2 {
        let body =
            json!({"command": ["sh", "-c", TALKER], "working_directory": work.to_str().unwrap()});
        let made = tcp(&address, "POST", "/api/executions", &body.to_string()).unwrap();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let viewers: Vec<_> = ids
        .iter()
        .map(|id| {
            let (address, id) = (address.clone(), id.clone());
            thread::spawn(move || view(&address, &id))
        })
        .collect();
    let url = format!("http://{address}");
    let follow = |more: &[&str], id: &str| {
        let mut args = vec!["logs", "-f", "--raw", id];
        args.extend(more);
        // Where to look stands in one place: a storage and a server are too much.
        let mut command = if more.is_empty() {
            scratch.command(&args)
        } else {
            let mut command = Command::new(STEPFLOW);
            command.args(&args).env_remove("STEPFLOW_STORAGE_PATH").stdin(Stdio::null());
            command
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            out.read_to_end(&mut text).unwrap();
            text
        });
        (Ended(child), reader)
    };
    let followers = [follow(&[], &ids[0]), follow(&["--server", &url], &ids[2])];

    let mut load = Load::usual(&scratch, &address);
    let created = Arc::new(Mutex::new(Vec::new()));
    let (keep, at) = (Arc::clone(&created), address.clone());
    load.client(move || {
        let made = tcp(&at, "POST", "/api/executions", r#"{"command":["true"],"name":"short"}"#)?;
        let id = made["id"].as_str().unwrap().to_owned();
        keep.lock().unwrap().push(id.clone());
        // One at a time.
        eventually("a short one ends", || {
            let seen = tcp(&at, "GET", &format!("/api/executions/{id}?logs=0"), "");
            match seen {
                Ok(seen) => {
                    (seen["execution"]["status"] == "completed").then_some(Ok(made.clone()))
                }
                Err(error) => Some(Err(error)),
            }
        })
    });
    // Somebody who does not take over is refused at every moment.
    let strangers = {
        let (stop, scratch) = (Arc::clone(&load.stop), Arc::clone(&scratch));
        thread::spawn(move || {
            let mut refused = 0;
            while !stop.load(SeqCst) {
                match started(spawn(command(&scratch, "127.0.0.1:0", &[]))) {
                    Ok(second) => panic!("two servers: {}", second.said.lock().unwrap()),
                    Err(said) => assert!(said.contains("is in use by"), "{said}"),
                }
                refused += 1;
            }
            refused
        })
    };
    load.goes_on(20);
    let mut slowest = Duration::ZERO;
    for round in 0..TAKEOVERS {
        let begun = Instant::now();
        let next = started(successor(&scratch)).unwrap();
        assert_eq!(next.address, address);
        assert!(server.exited().success(), "round {round}: {}", server.said.lock().unwrap());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(40), "asserted at 4 times the promise: {took:?}");
        slowest = slowest.max(took);
        server.says(&format!("process {} has taken over", next.pid()));
        let holder = fs::read_to_string(scratch.storage.writer_lock()).unwrap();
        assert_eq!(holder.trim(), next.pid().to_string());
        server = next;
        load.goes_on(20);
    }
    let answered = load.end();
    assert!(strangers.join().unwrap() > 0);
    println!("{answered} requests; the slowest takeover took {slowest:?}");
    assert!(200 < answered, "{answered} requests are no load");

    fs::write(work.join("stop"), "").unwrap();
    let outputs: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| {
            let id = id.parse().unwrap();
            let state = scratch.ended(id).state;
            assert_eq!(state.summary.status.to_string(), "completed");
            let output = scratch.output_of(id);
            let text = String::from_utf8(output.clone()).unwrap();
            let lines: Vec<_> = text.lines().collect();
            let (last, lines) = lines.split_last().unwrap();
            for (n, line) in lines.iter().enumerate() {
                assert_eq!(*line, format!("line {n} of many"));
            }
            assert_eq!(*last, format!("STEP_START:end {}", lines.len()));
            output
        })
        .collect();
    for (viewer, output) in viewers.into_iter().zip(&outputs) {
        let viewed = viewer.join().unwrap();
        assert_eq!(viewed.text.as_bytes(), output);
        assert!(TAKEOVERS <= viewed.resumed, "each takeover ends the stream: {}", viewed.resumed);
    }
    for ((mut child, reader), output) in followers.into_iter().zip([&outputs[0], &outputs[2]]) {
        assert!(child.0.wait().unwrap().success());
        assert_eq!(&reader.join().unwrap(), output);
    }
    let created = created.lock().unwrap();
    assert!(!created.is_empty());
    let list = tcp(&address, "GET", "/api/executions?name=short&limit=1", "").unwrap();
    assert_eq!(list["total_count"], created.len(), "each request made one execution: {list}");
}

/// Who has the writer lock, as its file says.
fn holder(scratch: &Scratch) -> i32 {
    let said = || fs::read_to_string(scratch.storage.writer_lock()).unwrap().trim().parse().ok();
    eventually("the lock names its holder", said)
}

#[test]
fn a_successor_that_is_killed_at_any_moment_leaves_a_server_that_works() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = serve(&scratch, &[]);
    let begun = Instant::now();
    let next = started(successor(&scratch)).unwrap();
    assert!(server.exited().success());
    server = next;
    // How long a takeover takes here: the moments lie within it.
    let usual = begun.elapsed().as_micros() as u64;
    let (mut stayed, mut relieved, mut answered) = (0, 0, 0);
    for round in 0..rounds() {
        let load = Load::usual(&scratch, &server.address);
        load.goes_on(8);
        let mut next = successor(&scratch);
        // The moment is what is tried: nothing could be waited for instead.
        thread::sleep(Duration::from_micros(rng.below(usual)));
        next.0.kill().unwrap();
        next.0.wait().unwrap();
        // Four clients may still get the answers that they were waiting for.
        let until = load.answered.load(SeqCst) + 12;
        let gone = eventually("the predecessor serves, or had been told that it may go", || {
            let exited = server.process.0.try_wait().unwrap();
            exited.map(Some).or_else(|| (until <= load.answered.load(SeqCst)).then_some(None))
        });
        if let Some(status) = gone {
            // It was a server already, and one that is killed is missed.
            assert!(status.success(), "round {round}: {}", server.said.lock().unwrap());
            load.abandon();
            server = serve(&scratch, &[]);
            relieved += 1;
        } else {
            answered += load.end();
            assert_eq!(holder(&scratch), server.pid(), "round {round}");
            stayed += 1;
        }
    }
    println!("{stayed} died in time, {relieved} served already; {answered} requests");
    assert!(0 < stayed);
    let next = started(successor(&scratch)).unwrap();
    assert!(server.exited().success(), "a later successor is not refused");
    signal(next.pid(), Signal::SIGTERM);
}

/// A successor that goes exactly as far as it is told.
struct Halfway {
    socket: UnixStream,
    heard: String,
    fds: Vec<OwnedFd>,
}

impl Halfway {
    fn new(scratch: &Scratch) -> Self {
        let socket = UnixStream::connect(scratch.storage.run_dir().join("takeover.sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, heard: String::new(), fds: Vec::new() }
    }

    fn say(&mut self, message: Value) {
        writeln!(self.socket, "{message}").unwrap();
    }

    fn hello(&mut self) {
        self.say(json!({"message": "hello", "format": 1, "pid": 1, "version": "0"}));
    }

    fn hears(&mut self, what: &str) {
        while !self.heard.contains(what) {
            let mut some = [0; 256];
            let count = fds::receive(&self.socket, &mut some, &mut self.fds).unwrap();
            assert!(0 < count, "{}", self.heard);
            self.heard.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
    }
}

#[test]
fn a_successor_that_goes_away_after_any_step_leaves_a_server_that_works() {
    let scratch = Scratch::new(STEPFLOW);
    let mut server = serve(&scratch, &[]);
    let id = scratch.detach(&[], &["sh", "-c", TALKER]);
    let load = Load::usual(&scratch, &server.address);
    let stranger = || {
        let output = scratch.output(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("is in use by"), "{said}");
    };
    for step in 0..6 {
        let mut half = Halfway::new(&scratch);
        match step {
            0 => {}
            1 => half.say(json!({"message": "give me all"})),
            2 => half.hello(),
            3 | 4 => {
                half.hello();
                half.hears("\n");
                assert!(half.heard.contains(&server.address), "{}", half.heard);
                half.say(json!({"message": "ready"}));
                if step == 4 {
                    half.say(json!({"message": "no such word"}));
                }
            }
            _ => {
                half.hello();
                half.say(json!({"message": "ready"}));
                half.hears("\"done\"");
                assert!(4 <= half.fds.len());
                stranger(); // Nobody has the storage now, and still the lock is not free.
            }
        }
        drop(half);
        load.goes_on(8);
        assert_eq!(holder(&scratch), server.pid(), "step {step}");
    }
    stranger();
    assert!(server.process.0.try_wait().unwrap().is_none());
    load.end();
    fs::write(scratch.work().join("stop"), "").unwrap();
    assert_eq!(scratch.ended(id).state.summary.status.to_string(), "completed");
    let path = format!("/api/executions/{id}?logs=0");
    eventually("the server that stayed sees the end", || {
        let seen = tcp(&server.address, "GET", &path, "").unwrap();
        (seen["execution"]["status"] == "completed").then_some(())
    });
    signal(server.pid(), Signal::SIGTERM);
    assert!(server.exited().success());
}

#[test]
fn a_predecessor_that_is_killed_while_it_is_asked_is_replaced_all_the_same() {
    let scratch = Scratch::new(STEPFLOW);
    let mut rng = Rng::seeded();
    let mut server = serve(&scratch, &[]);
    let id = scratch.detach(&[], &["sh", "-c", TALKER]);
    for round in 0..rounds() {
        signal(server.pid(), Signal::SIGSTOP); // It can be asked, and does not answer.
        let next = spawn(command(&scratch, &server.address, &["--takeover"]));
        thread::sleep(Duration::from_micros(rng.below(20_000)));
        if rng.below(2) == 0 {
            signal(server.pid(), Signal::SIGCONT); // Or is just about to.
            thread::sleep(Duration::from_micros(rng.below(20_000)));
        }
        signal(server.pid(), Signal::SIGKILL);
        let next = started(next).unwrap_or_else(|said| panic!("round {round}: {said}"));
        assert_eq!(next.address, server.address);
        tcp(&next.address, "GET", "/api/session", "").unwrap();
        server = next;
        assert_eq!(holder(&scratch), server.pid());
    }
    fs::write(scratch.work().join("stop"), "").unwrap();
    assert_eq!(scratch.ended(id).state.summary.status.to_string(), "completed");
}

#[test]
fn connections_that_were_accepted_before_a_takeover_get_their_answers() {
    let scratch = Scratch::new(STEPFLOW);
    let mut server = serve(&scratch, &[]);
    let address = server.address.clone();
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    // More than go with one message.
    let silent: Vec<TcpStream> = (0..150).map(|_| connect()).collect();
    let socket = UnixStream::connect(scratch.storage.run_dir().join("server.sock")).unwrap();
    let metrics = || tcp(&address, "GET", "/api/health/metrics", "").unwrap();
    eventually("they are accepted", || {
        (151 <= metrics()["http"]["connections"].as_u64().unwrap()).then_some(())
    });
    let mut half = connect();
    half.write_all(b"GET /api/session HTTP/1.1\r\nHost: ").unwrap();
    // One that is kept for further requests is closed between two of them, not within one.
    let mut kept = connect();
    write!(kept, "GET /api/session HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut read = BufReader::new(kept.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(0 < read.read_line(&mut head).unwrap());
    }
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection: close"), "{head}");

    let next = successor(&scratch);
    server.says("handing over");
    write!(half, "{address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let next = started(next).unwrap();
    assert!(server.exited().success());
    let mut rest = Vec::new();
    read.read_to_end(&mut rest).unwrap(); // A body, and then the end: not a reset.
    for stream in silent {
        ask(stream, &address, "GET", "/api/session", "").unwrap();
    }
    ask(socket, "localhost", "GET", "/api/session", "").unwrap();
    assert_eq!(holder(&scratch), next.pid());
}

#[test]
fn sigusr2_starts_a_successor_and_the_service_manager_is_told() {
    let scratch = Scratch::new(STEPFLOW);
    let path = scratch.work().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut message = [0; 1024];
        let count = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..count].to_vec()).unwrap()
    };
    let pid_of = |message: &str| -> i32 {
        let pid = message.lines().find_map(|line| line.strip_prefix("MAINPID=")).unwrap();
        assert!(message.lines().any(|line| line == "READY=1"), "{message}");
        pid.parse().unwrap()
    };
    let mut command = command(&scratch, "127.0.0.1:0", &[]);
    command.env("NOTIFY_SOCKET", &path).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let mut server = started(spawn(command)).unwrap();
    assert_eq!(pid_of(&told()), server.pid());

    // One that cannot start changes nothing.
    let config = scratch.work().join("stepflow.toml");
    fs::write(&config, "no such line").unwrap();
    signal(server.pid(), Signal::SIGUSR2);
    assert!(told().contains("RELOADING=1\n"));
    assert_eq!(pid_of(&told()), server.pid());
    fs::remove_file(config).unwrap();

    let load = Load::usual(&scratch, &server.address);
    load.goes_on(8);
    signal(server.pid(), Signal::SIGUSR2);
    assert!(told().contains("RELOADING=1\n"));
    let next = pid_of(&told());
    assert_ne!(next, server.pid());
    assert!(server.exited().success());
    load.goes_on(8);
    assert_eq!(holder(&scratch), next);
    load.end();
    signal(next, Signal::SIGTERM);
    assert!(told().contains("STOPPING=1"), "only who is not followed says that it stops");
    eventually("it is gone", || (!stepflow_testkit::is_alive(next)).then_some(()));
}

#[test]
fn a_listener_that_was_passed_is_used_and_reaches_no_script() {
    let scratch = Scratch::new(STEPFLOW);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // As a service manager does it: descriptor 3, and the process id that is to have it.
    let exec = "import os, socket, sys\n\
                own = socket.socket(fileno=0)\n\
                os.dup2(own.fileno(), 3)\n\
                os.dup2(os.open('/dev/null', os.O_RDONLY), 0)\n\
                os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
                os.execv(sys.argv[1], sys.argv[1:])";
    let plain = command(&scratch, "127.0.0.1:1", &["--takeover"]);
    let mut passing = Command::new("python3");
    passing.args(["-c", exec, STEPFLOW]).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => passing.env(name, value),
            None => passing.env_remove(name),
        };
    }
    passing.current_dir(scratch.work()).stderr(Stdio::piped());
    passing.stdin(Stdio::from(OwnedFd::from(listener)));
    let server = started(Ended(passing.spawn().unwrap())).unwrap();
    drop(passing); // Its end of the listener.
    assert_eq!(server.address, address);
    let body = json!({"command": ["sh", "-c", "ls -l /proc/self/fd"]}).to_string();
    let made = tcp(&address, "POST", "/api/executions", &body).unwrap();
    let id = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(scratch.ended(id).state.summary.status.to_string(), "completed");
    let said = String::from_utf8(scratch.output_of(id)).unwrap();
    assert!(said.contains("->") && !said.contains("socket:"), "{said}");

    // It goes on to a successor, whatever that was told to listen on.
    let mut server = server;
    let next = started(successor(&scratch)).unwrap();
    assert_eq!(next.address, address);
    assert!(server.exited().success());
    tcp(&address, "GET", "/api/health", "").unwrap();
}
