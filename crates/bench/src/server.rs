//! Programs that answer requests: a server of ours, and a bare one beside it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{BenchError, HELPER, place::Place};

/// A server stops within this time when asked.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// A process that listens on loopback.
#[derive(Debug)]
pub(crate) struct Listening {
    place: Place,
    child: Child,
    pub(crate) address: SocketAddr,
}

/// A server of ours on this storage; `legacy`: further arguments.
pub(crate) fn serve(place: &Place, storage: &Path) -> Result<Listening, BenchError> {
    let mut command = place.stepflow();
    command.arg("--storage").arg(storage).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--auth",
        "off",
        "--requests-per-second",
        "0",
        "--streams-per-caller",
        "0",
        "--max-running",
        "100000",
        "--disk-min-free",
        "0",
    ]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(BenchError::io("start a server"))?;
    place.runs(child.id());
    let mut heard = String::new();
    let mut lines = BufReader::new(child.stderr.take().ok_or_else(|| silent(""))?);
    let address = loop {
        let from = heard.len();
        let read = lines.read_line(&mut heard).map_err(BenchError::io("hear the server"))?;
        if read == 0 {
            return Err(silent(&heard));
        }
        if let Some(url) = heard[from..].trim().strip_prefix("listening on http://") {
            break url.parse().map_err(|_| silent(&heard))?;
        }
    };
    // A pipe that nobody reads would stop it one day.
    std::thread::spawn(move || {
        let mut rest = [0; 4096];
        while lines.read(&mut rest).is_ok_and(|read| read > 0) {}
    });
    Ok(Listening { place: place.clone(), child, address })
}

/// A bare server that answers each path with the bytes of a file, as axum does at its fastest.
pub(crate) fn bare(place: &Place, routes: &[(&str, PathBuf)]) -> Result<Listening, BenchError> {
    let mut command = place.stepflow();
    command.args([HELPER, "bare"]);
    for (path, file) in routes {
        command.arg(path).arg(file);
    }
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(BenchError::io("start a bare server"))?;
    place.runs(child.id());
    let mut heard = String::new();
    let out = child.stdout.take().ok_or_else(|| silent(""))?;
    BufReader::new(out).read_line(&mut heard).map_err(BenchError::io("hear the bare server"))?;
    let address = heard.trim().parse().map_err(|_| silent(&heard))?;
    Ok(Listening { place: place.clone(), child, address })
}

fn silent(heard: &str) -> BenchError {
    let heard = heard.trim();
    let said = if heard.is_empty() { "it said nothing and ended" } else { heard };
    BenchError::Server(said.to_owned())
}

impl Listening {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As if it had crashed.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn stop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let _ = kill(pid, Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < STOPS_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
        self.place.ran(self.child.id());
    }
}
