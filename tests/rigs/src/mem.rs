//! Much output, little memory: a gigabyte through one recorder, half of it one line; many short lines
//! through a server to viewers.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use stepflow_testkit::{Ended, PATIENCE, Scratch, is_alive};

use crate::{Options, Outcome, stage::recorded};

/// Of a recorder's own, in KiB. What is mapped from its file is shared by all recorders and depends
/// on how the program was linked; both are told.
const RECORDER_ANONYMOUS_MAX: u64 = 4 * 1024;
/// Of its own and mapped, in KiB: 8 MiB, and what line tables add to a program built for tests.
const RECORDER_MAX: u64 = 10 * 1024;
const RECORDER_FILES_MAX: u64 = 24;
const VIEWERS: u64 = 20;
/// In KiB.
const SERVER_MAX: u64 = 96 * 1024 + VIEWERS * 256 + 64;

/// The most of some samples.
#[derive(Debug, Default)]
struct Most {
    anonymous: AtomicU64,
    resident: AtomicU64,
    files: AtomicU64,
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
    let server = server(&scratch, options.megabytes / 256)?;
    Ok(Outcome::Held(format!(
        "{} MiB through one recorder, half of it one line: {:.1} MiB resident at most, {:.1} of its \
         own, {} files; a server with {VIEWERS} viewers of {} MiB of short lines: {:.0} MiB",
        2 * half,
        recorder.1 as f64 / 1024.0,
        recorder.0 as f64 / 1024.0,
        recorder.2,
        options.megabytes / 256,
        server as f64 / 1024.0
    )))
}

/// The most memory of a server whose viewers get short lines, in KiB.
fn server(scratch: &Scratch, megabytes: u64) -> Result<u64, String> {
    let mut child = scratch
        .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let pid = child.id() as i32;
    let _server = Ended(child);
    let address = loop {
        let line = lines.next().ok_or("the server does not start")?.map_err(|e| e.to_string())?;
        if let Some(address) = line.strip_prefix("listening on http://") {
            break address.trim().to_owned();
        }
    };
    thread::spawn(move || lines.for_each(drop));
    let id = scratch.detach(&["--shell"], &[&format!("yes '' | head -c {megabytes}M")]);
    let most = Most::default();
    let seen: Vec<thread::JoinHandle<Result<u64, String>>> = (0..VIEWERS)
        .map(|_| {
            let (address, path) = (address.clone(), format!("/api/executions/{id}/events"));
            thread::spawn(move || view(&address, &path))
        })
        .collect();
    while seen.iter().any(|viewer| !viewer.is_finished()) {
        most.look(pid);
        thread::sleep(Duration::from_millis(5));
    }
    for viewer in seen {
        let lines = viewer.join().map_err(|_| "a viewer panicked")??;
        if lines == 0 {
            return Err("a viewer saw nothing".to_owned());
        }
    }
    let recorded = recorded(scratch, id)?.len() as u64;
    if recorded != megabytes << 20 {
        return Err(format!("{recorded} of {} bytes", megabytes << 20));
    }
    let (_, resident, _) = most.get();
    if resident > SERVER_MAX {
        return Err(format!("the server had {resident} KiB"));
    }
    Ok(resident)
}

/// Reads a stream of events to its end; how many bytes came.
fn view(address: &str, path: &str) -> Result<u64, String> {
    let mut socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
    let mut buffer = vec![0; 64 * 1024];
    let mut count = 0;
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(size) => count += size as u64,
            Err(error) => return Err(format!("after {count} bytes: {error}")),
        }
    }
}
