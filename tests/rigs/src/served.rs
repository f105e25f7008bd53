//! A server that may die, and what is asked of it over HTTP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
};

use serde_json::{Value, json};
use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_testkit::{PATIENCE, Scratch};

use crate::oracle;

/// Lines of each of the three steps.
const LINES: u64 = 60;
/// The exit code of the script.
pub(crate) const CODE: i32 = 7;

/// A running server; killed with its value.
pub(crate) struct Served {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Served {
    /// Starts one, with more variables in its environment, and waits until it serves. An error says
    /// that it did not come so far: it may have been killed.
    pub(crate) fn start(scratch: &Scratch, env: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = scratch
            .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let _ = child.wait();
                return Err("the server did not come to serve".to_owned());
            };
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.trim().to_owned();
            }
        };
        thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
        Ok(Self { child, address })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether it has died.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One request; status and body. An error: the server went away.
pub(crate) fn ask(
    address: &str,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Result<(u16, Vec<u8>), String> {
    let error = |error: std::io::Error| format!("{method} {path}: {error}");
    let mut socket = TcpStream::connect(address).map_err(error)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(error)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{key}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).map_err(error)?;
    socket.write_all(body.as_bytes()).map_err(error)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(error)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.ok_or(format!("{method} {path}: no answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(format!("{method} {path}: {head}"))?;
    let mut body = answer.split_off(end + 4);
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body).ok_or(format!("{method} {path}: a cut answer"))?;
    } else if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: "))
        && length.trim().parse() != Ok(body.len())
    {
        return Err(format!("{method} {path}: a cut answer"));
    }
    Ok((status, body))
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// The id in the answer to a create: accepted.
pub(crate) fn accepted(answer: &(u16, Vec<u8>)) -> Result<ExecutionId, String> {
    let said = String::from_utf8_lossy(&answer.1).into_owned();
    let json: Value = serde_json::from_str(&said).map_err(|_| format!("{}: {said}", answer.0))?;
    let id = json["id"].as_str().and_then(|id| id.parse().ok());
    match (answer.0, id) {
        (201, Some(id)) => Ok(id),
        _ => Err(format!("not accepted: {} {said}", answer.0)),
    }
}

/// Records that say what to run. A server that dies as it makes one leaves an empty directory, of
/// which nobody has heard.
pub(crate) fn made(storage: &Storage) -> Result<Vec<ExecutionId>, String> {
    let all = storage.executions().map_err(|error| error.to_string())?;
    Ok(all.into_iter().filter(|id| storage.spec(*id).is_ok()).collect())
}

/// A script whose starts are counted in a file: three steps, an artifact, an exit code.
pub(crate) struct Job {
    /// A line for each start.
    pub(crate) starts: PathBuf,
    /// The body of its create.
    pub(crate) body: Value,
    /// All that it prints, from its first start.
    pub(crate) output: Vec<u8>,
}

impl Job {
    /// A new one, with files in `dir`; `mark` is in its environment.
    pub(crate) fn new(dir: &Path, name: &str, mark: &str) -> Result<Self, String> {
        let starts = dir.join(format!("starts-{name}"));
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut script = format!("echo started >> '{}'\n", starts.display());
        let mut output = Vec::new();
        for (at, step) in ["One", "Two", "Three"].iter().enumerate() {
            let from = at as u64 * LINES;
            script.push_str(&format!("echo STEP_START:{step}\n"));
            output.extend(format!("STEP_START:{step}\n").into_bytes());
            if at == 1 {
                script.push_str("echo data > out.txt; echo 'ARTIFACT:out.txt:the file'\n");
                output.extend(b"ARTIFACT:out.txt:the file\n");
            }
            script.push_str(&format!(
                "'{}' {} 0 {from} {LINES} 0\n",
                me.display(),
                oracle::COMMAND
            ));
            output.extend((from..from + LINES).flat_map(|n| oracle::line(0, n)));
            script.push_str(&format!("echo STEP_COMPLETE:{step}\n"));
            output.extend(format!("STEP_COMPLETE:{step}\n").into_bytes());
        }
        script.push_str(&format!("exit {CODE}\n"));
        let body = json!({"command": ["sh", "-c", script], "name": name,
            "working_directory": dir, "environment": {"STEPFLOW_RIG_MARK": mark}});
        Ok(Self { starts, body, output })
    }

    /// How often it was started.
    pub(crate) fn started(&self) -> usize {
        std::fs::read_to_string(&self.starts).unwrap_or_default().lines().count()
    }
}
