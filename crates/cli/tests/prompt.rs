//! G22: output without a line feed reaches a viewer of the server as soon as any.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stepflow_testkit::{Ended, PATIENCE, Scratch, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const BYTES: usize = 100;
/// Four times the promise: a machine that runs tests has other things to do.
const WITHIN: Duration = Duration::from_secs(1);
/// Says when it is about to print each byte.
const SCRIPT: &str = "while [ ! -e go ]; do sleep 0.01; done
for ((i = 0; i < 100; i++)); do echo ${EPOCHREALTIME/,/.} >> times; printf x; sleep 0.05; done";

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[test]
fn bytes_without_a_line_feed_reach_a_viewer_within_the_time_of_any_line() {
    let scratch = Scratch::new(STEPFLOW);
    let mut command = scratch.command(&["serve", "--auth", "off", "--listen", "127.0.0.1:0"]);
    let mut server = Ended(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let mut said = lines.by_ref().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("listening on ")), "it listens");
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));

    let id = scratch.detach(&[], &["bash", "-c", SCRIPT]);
    let socket = scratch.storage.run_dir().join("server.sock");
    let viewer = eventually("a stream of events", || {
        let socket = UnixStream::connect(&socket).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let path = format!("/api/executions/{id}/events");
        (&socket)
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .ok()?;
        let mut events = BufReader::new(socket).lines();
        events.next()?.ok()?.contains(" 200 ").then_some(events)
    });
    fs::write(scratch.work().join("go"), "").unwrap();
    // When each byte was there: a cursor behind it came.
    let mut seen: Vec<Duration> = Vec::new();
    for line in viewer.map_while(Result::ok) {
        let Some(cursor) = line.strip_prefix("id: ") else { continue };
        let offset: usize = cursor.split('.').next().unwrap().parse().unwrap();
        seen.resize(offset.max(seen.len()), now());
        if seen.len() >= BYTES {
            break;
        }
    }
    let times = fs::read_to_string(scratch.work().join("times")).unwrap();
    let printed = times.lines().map(|time| Duration::from_secs_f64(time.parse().unwrap()));
    let mut took: Vec<Duration> =
        seen.iter().zip(printed).map(|(seen, printed)| seen.saturating_sub(printed)).collect();
    assert_eq!(took.len(), BYTES);
    took.sort();
    let slow = took[BYTES * 99 / 100 - 1];
    assert!(slow <= WITHIN, "99 of 100 within {slow:?}; half within {:?}", took[BYTES / 2]);
}
