//! Much output, little memory: a gigabyte through one recorder, half of it one line; many short lines
//! through a server to viewers.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use stepflow_testkit::{PATIENCE, Scratch, eventually, is_alive};

use crate::{
    Options, Outcome,
    served::{Served, accepted, ask},
    viewer::{Connection, Next, Transcript, Way},
};

/// Of a recorder's own, in KiB. What is mapped from its file is shared by all recorders and depends
/// on how the program was linked; both are told.
const RECORDER_ANONYMOUS_MAX: u64 = 4 * 1024;
/// Of its own and mapped, in KiB: 8 MiB, and what line tables add to a program built for tests.
const RECORDER_MAX: u64 = 10 * 1024;
const RECORDER_FILES_MAX: u64 = 24;
/// Of a server, its viewers and its live executions, in KiB.
const SERVER: u64 = 128 * 1024;
const A_VIEWER: u64 = 256;
const AN_EXECUTION: u64 = 64;
/// Live executions beside the one that is viewed.
const EXECUTIONS: u64 = 200;
/// Files: of a server; of a viewer (its connection, output and index, and the journal while it begins);
/// of a live execution (two sockets to its recorder, output, index, journal).
const SERVER_FILES: u64 = 64;
const VIEWER_FILES: u64 = 4;
const EXECUTION_FILES: u64 = 5;
/// Lines that each viewer reads.
const LINES_EACH: u64 = 16 * 1024;
/// Threads, however many viewers and executions there are: `serve` starts 128 for what blocks.
const THREADS_MAX: u64 = 128 + 32;

/// The most of some samples.
#[derive(Debug, Default)]
struct Most {
    anonymous: AtomicU64,
    resident: AtomicU64,
    files: AtomicU64,
    threads: AtomicU64,
}

impl Most {
    fn look(&self, pid: i32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        };
        self.anonymous.fetch_max(kib("RssAnon:").unwrap_or(0), Ordering::Relaxed);
        self.resident.fetch_max(kib("VmRSS:").unwrap_or(0), Ordering::Relaxed);
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        let threads = threads.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        self.threads.fetch_max(threads, Ordering::Relaxed);
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.files.fetch_max(files as u64, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64, u64) {
        let get = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (get(&self.anonymous), get(&self.resident), get(&self.files))
    }
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scratch = Scratch::new(&options.program);
    let half = options.megabytes / 2;
    let mut recorder = (0, 0, 0);
    for (what, script) in [
        ("one line", format!("head -c {half}M /dev/zero | tr '\\0' x")),
        ("short lines", format!("yes | head -c {half}M")),
    ] {
        let most = Most::default();
        let id = scratch.detach(&["--shell"], &[&script]);
        let (pid, ..) = scratch.pids(id);
        while is_alive(pid) {
            most.look(pid);
            thread::sleep(Duration::from_millis(10));
        }
        let view = scratch.ended(id);
        let bytes = view.state.summary.position.bytes;
        if bytes != half << 20 || view.state.summary.exit_code != Some(0) {
            return Err(format!("{what}: {bytes} of {} bytes", half << 20));
        }
        let (anonymous, resident, files) = most.get();
        if anonymous > RECORDER_ANONYMOUS_MAX || resident > RECORDER_MAX {
            return Err(format!("{what}: the recorder had {resident} KiB, {anonymous} of its own"));
        }
        if files > RECORDER_FILES_MAX {
            return Err(format!("{what}: the recorder had {files} files open"));
        }
        recorder = (recorder.0.max(anonymous), recorder.1.max(resident), recorder.2.max(files));
        // What is not looked at again makes room.
        let _ = scratch.output(&["prune", "--max-age", "0s"]);
    }
    drop(scratch);
    let server = server(options)?;
    Ok(Outcome::Held(format!(
        "{} MiB through one recorder, half of it one line: {:.1} MiB resident at most, {:.1} of its \
         own, {} files; {server}",
        2 * half,
        recorder.1 as f64 / 1024.0,
        recorder.0 as f64 / 1024.0,
        recorder.2,
    )))
}

/// The most that a server needs whose viewers get short lines while executions run.
fn server(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let served = Served::start(&scratch, &[])?;
    for number in 0..EXECUTIONS {
        let body = json!({"name": format!("live-{number}"), "command": ["sleep", "600"],
            "working_directory": scratch.work()});
        accepted(&ask(&served.address, "POST", "/api/executions", None, Some(&body))?)?;
    }
    let live = |count: u64| {
        let metrics = ask(&served.address, "GET", "/metrics", None, None).unwrap_or_default().1;
        let text = String::from_utf8_lossy(&metrics).into_owned();
        let connected =
            text.lines().find_map(|line| line.strip_prefix("stepflow_recorders_connected "));
        connected.and_then(|word| word.parse::<f64>().ok()).is_some_and(|n| n as u64 >= count)
    };
    eventually("all executions run", || live(EXECUTIONS).then_some(()));
    // Far more lines than messages may hold, and a part of them for each viewer, so that it ends.
    let bytes = options.megabytes.min(1024) * 2048;
    let script = format!("yes '' | head -c {bytes}");
    let id = scratch.detach(&["--shell"], &[&script]);
    scratch.ended(id);
    let (most, viewers) = (Most::default(), options.viewers);
    let seen: Vec<thread::JoinHandle<Result<(), String>>> = (0..options.viewers)
        .map(|number| {
            let (address, record) = (served.address.clone(), scratch.storage.record_dir(id));
            thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                let mut transcript = Transcript::new(&record)?;
                let way = if number % 2 == 0 { Way::WebSocket } else { Way::Events };
                let from = number * bytes / viewers;
                transcript.at = from;
                let opened = Connection::open(&address, id, way, from, PATIENCE);
                let mut connection = opened.map_err(|error| format!("connect: {error}"))?;
                while transcript.at < bytes.min(from + LINES_EACH) {
                    match connection.next()? {
                        Next::Bytes(offset, bytes) => transcript.take(offset, &bytes)?,
                        Next::Nothing => {}
                        Next::Gap(_) => return Err("a gap where nothing is gone".to_owned()),
                        Next::End => return Err(format!("{} of {bytes} bytes", transcript.at)),
                        Next::Gone(why) => return Err(format!("at {}: {why}", transcript.at)),
                    }
                }
                Ok(())
            })
        })
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    while seen.iter().any(|viewer| !viewer.is_finished()) {
        most.look(served.pid());
        thread::sleep(Duration::from_millis(5));
    }
    for (number, viewer) in seen.into_iter().enumerate() {
        let saw = viewer.join().map_err(|_| "a viewer panicked")?;
        saw.map_err(|why| format!("viewer {number}: {why}"))?;
    }
    let (anonymous, _, files) = most.get();
    let threads = most.threads.load(Ordering::Relaxed);
    let allowed = SERVER + viewers * A_VIEWER + (EXECUTIONS + 1) * AN_EXECUTION;
    let said = format!(
        "a server with {EXECUTIONS} live executions and {viewers} viewers of {bytes} empty lines: \
         {:.0} MiB of {:.0} allowed, {files} files, {threads} threads",
        anonymous as f64 / 1024.0,
        allowed as f64 / 1024.0,
    );
    let files_max = SERVER_FILES + viewers * VIEWER_FILES + EXECUTIONS * EXECUTION_FILES;
    if anonymous > allowed || files > files_max || threads > THREADS_MAX {
        return Err(format!("{said}; {files_max} files and {THREADS_MAX} threads are allowed"));
    }
    Ok(said)
}
