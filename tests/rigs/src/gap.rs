//! Viewers of a server across output that is gone by policy: what each of them is told adds up to all
//! that was printed, and nothing stands for what it is not.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
};

use serde_json::Value;
use stepflow_model::{Dropped, ExecutionId};
use stepflow_record::LogReader;
use stepflow_testkit::{PATIENCE, Rng, Scratch};

use crate::{
    served::{Served, ask},
    viewer::{Connection, Next, Way},
};

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// One viewer's account.
struct Account<'a> {
    all: &'a [u8],
    /// All before it is told, or said to be gone.
    at: u64,
    gaps: u64,
}

impl<'a> Account<'a> {
    fn new(all: &'a [u8], at: u64) -> Self {
        Self { all, at, gaps: 0 }
    }

    fn bytes(&mut self, offset: u64, bytes: &[u8]) -> Result<(), String> {
        if offset != self.at {
            return Err(format!("offset {offset} where {} was due", self.at));
        }
        if self.all.get(offset as usize..offset as usize + bytes.len()) != Some(bytes) {
            return Err(format!("other bytes at {offset}"));
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// A line as JSON has it.
    fn line(&mut self, line: &Value) -> Result<(), String> {
        let number = |value: &Value| value.as_u64().ok_or(format!("{line}"));
        let (offset, bytes) = (number(&line["offset"])?, number(&line["bytes"])?);
        if !line["dropped"].is_object() {
            let mut text = line["text"].as_str().unwrap_or_default().to_owned();
            // The one before a gap may have lost its end.
            if line["partial"] != true && (text.len() as u64) < bytes {
                text.push('\n');
            }
            if text.len() as u64 != bytes {
                return Err(format!("{line} has other bytes"));
            }
            return self.bytes(offset, text.as_bytes());
        }
        let (from, to) = (number(&line["dropped"]["from"])?, number(&line["dropped"]["to"])?);
        // Whoever goes on by number behind a line that is half gone comes into the gap.
        if from > self.at || offset > self.at || offset + bytes != to || to <= self.at {
            return Err(format!("at {}: {line}", self.at));
        }
        let gone = self.all.get(from as usize..to as usize).unwrap_or_default();
        let ends = line_feeds(gone);
        if number(&line["dropped"]["lines"])? != ends {
            return Err(format!("{line}, of {ends} line ends"));
        }
        (self.at, self.gaps) = (to, self.gaps + 1);
        Ok(())
    }

    /// A line of an export, which has no offsets: it stands behind the one before it.
    fn exported(&mut self, mut line: Value, gone: Dropped) -> Result<(), String> {
        let bytes = if line["dropped"].is_object() {
            line["dropped"]["to"].as_u64().unwrap_or_default().saturating_sub(self.at)
        } else {
            let text = line["text"].as_str().unwrap_or_default().len() as u64;
            let ends = line["partial"] != true && self.at + text != gone.from;
            text + u64::from(ends)
        };
        line["offset"] = self.at.into();
        line["bytes"] = bytes.into();
        self.line(&line)
    }
}

/// Follows to the end.
fn follow(
    address: &str,
    id: ExecutionId,
    way: Way,
    all: &[u8],
    from: u64,
) -> Result<(u64, u64), String> {
    let mut account = Account::new(all, from);
    let opened = Connection::open(address, id, way, from, PATIENCE);
    let mut connection = opened.map_err(|error| error.to_string())?;
    loop {
        match connection.next()? {
            Next::Bytes(offset, bytes) => account.bytes(offset, &bytes)?,
            Next::Gap(lines) => lines.iter().try_for_each(|line| account.line(line))?,
            Next::Nothing => {}
            Next::End => return Ok((account.at, account.gaps)),
            Next::Gone(why) => return Err(format!("{way:?} at {}: {why}", account.at)),
        }
    }
}

/// Status, the value of `Stepflow-Gap`, and body.
fn fetch(address: &str, path: &str, range: &str) -> Result<(u16, String, Vec<u8>), String> {
    let failed = |error: std::io::Error| format!("{path}: {error}");
    let mut socket = TcpStream::connect(address).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let range = if range.is_empty() { String::new() } else { format!("Range: {range}\r\n") };
    let head = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{range}\r\n");
    socket.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(failed)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.ok_or(format!("{path}: no answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    let gap = head.lines().find_map(|line| line.strip_prefix("stepflow-gap: "));
    Ok((status, gap.unwrap_or_default().to_owned(), answer.split_off(end + 4)))
}

/// Starts one whose log outgrows its limit while viewers follow it through a server, and looks at it
/// in every way when it has ended.
pub(crate) fn viewers(
    scratch: &Scratch,
    all: &Arc<Vec<u8>>,
    start: impl Fn() -> ExecutionId,
) -> Result<String, String> {
    let server = Served::start(scratch, &[])?;
    let id = start();
    scratch.pids(id);
    let bytes = all.len() as u64;
    let live: Vec<_> = [Way::WebSocket, Way::Events]
        .map(|way| {
            let (address, all) = (server.address.clone(), Arc::clone(all));
            thread::spawn(move || follow(&address, id, way, &all, 0))
        })
        .into();
    scratch.ended(id);
    let mut told = 0;
    for one in live {
        let (at, gaps) = one.join().map_err(|_| "a viewer panicked")??;
        if at != bytes {
            return Err(format!("a viewer came to byte {at} of {bytes}"));
        }
        told += gaps;
    }
    let log =
        LogReader::open(&scratch.storage.record_dir(id)).map_err(|error| error.to_string())?;
    let gone = log.ok_or("no log")?.dropped().map_err(|error| error.to_string())?;
    let gone = gone.ok_or("nothing was dropped")?;
    let views = ended(&server.address, id, all, gone)?;
    Ok(format!(
        "a server's viewers: two that followed were told of {told} gaps, {views} views of the end say \
         the same one"
    ))
}

/// Whether `body`, from offset `from`, is what was printed, and only filler where that is gone: zeros, and
/// line feeds that keep the numbers of lines.
fn filled(body: &[u8], from: u64, printed: &[u8], gone: Dropped) -> Result<(), String> {
    if body.len() != printed.len() {
        return Err(format!("{} bytes of {}", body.len(), printed.len()));
    }
    let pairs = (from..).zip(body.iter().zip(printed));
    for (at, (shown, printed)) in pairs {
        let fits = if gone.holds(at) { [0, b'\n'].contains(shown) } else { shown == printed };
        if !fits {
            return Err(format!(
                "byte {at} is {shown}, {printed} was printed, gone: {}",
                gone.holds(at)
            ));
        }
    }
    Ok(())
}

fn ended(address: &str, id: ExecutionId, all: &[u8], gone: Dropped) -> Result<u64, String> {
    let mut views = 0;
    let mut random = Rng::new(gone.from);
    let bytes = all.len() as u64;
    for from in [0, gone.from, gone.to] {
        for way in [Way::WebSocket, Way::Events] {
            let (at, gaps) = follow(address, id, way, all, from)
                .map_err(|found| format!("{way:?} from {from}: {found}"))?;
            if (at, gaps) != (bytes, u64::from(from < gone.to)) {
                return Err(format!("{way:?} from {from}: {at} of {bytes}, {gaps} gaps"));
            }
            views += 1;
        }
    }
    // By number, a page at a time.
    for view in ["", "&view=1"] {
        let mut account = Account::new(all, 0);
        let mut from = 1;
        while account.at < bytes {
            let path = format!("/api/executions/{id}/log?from_line={from}&limit=5000{view}");
            let (_, body) = ask(address, "GET", &path, None, None)?;
            let page: Value = serde_json::from_slice(&body).map_err(|e| format!("{path}: {e}"))?;
            let lines = page["lines"].as_array().filter(|lines| !lines.is_empty());
            let lines = lines.ok_or(format!("{path}: nothing behind byte {}", account.at))?;
            for line in lines {
                account.line(line).map_err(|found| format!("{path}: {found}"))?;
            }
            // Of what is gone that is the last number.
            let last = lines.last().map(|line| &line["n"]).and_then(Value::as_u64);
            from = last.ok_or(format!("{path}: no number"))? + 1;
        }
        if account.gaps != 1 {
            return Err(format!("by number: {} gaps", account.gaps));
        }
        views += 1;
    }
    let raw = |path: &str, from: u64, to: u64| -> Result<Vec<u8>, String> {
        let path = format!("/api/executions/{id}{path}");
        let range = if (from, to) == (0, bytes) {
            String::new()
        } else {
            format!("bytes={from}-{}", to - 1)
        };
        let (status, said, body) = fetch(address, &path, &range)?;
        let head = format!("{}-{}; reason=log_max_bytes", gone.from, gone.to - 1);
        if status != if range.is_empty() { 200 } else { 206 } || said != head {
            return Err(format!("{path} {range}: {status}, gap {said:?} where {head:?} was due"));
        }
        filled(&body, from, &all[from as usize..to as usize], gone)
            .map_err(|found| format!("{path} {range}: {found}"))?;
        Ok(body)
    };
    let whole = raw("/log/raw", 0, bytes)?;
    let feeds = line_feeds(&whole[gone.from as usize..gone.to as usize]);
    if feeds != gone.lines() {
        return Err(format!("raw: {feeds} line feeds stand for {} line ends", gone.lines()));
    }
    if raw("/log/download", 0, bytes)? != whole {
        return Err("a download is other bytes than raw".to_owned());
    }
    for edge in [gone.from, gone.to, 1000, bytes - 1000] {
        for _ in 0..4 {
            let from = edge.saturating_sub(random.below(2_000_000));
            let to = bytes.min(edge + 1 + random.below(2_000_000));
            if raw("/log/raw", from, to)? != whole[from as usize..to as usize] {
                return Err(format!("raw from {from} to {to} is other bytes than all of it"));
            }
            views += 1;
        }
    }
    let (_, _, body) =
        fetch(address, &format!("/api/executions/{id}/log/download?format=jsonl"), "")?;
    let mut account = Account::new(all, 0);
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        account.exported(line, gone).map_err(|found| format!("jsonl: {found}"))?;
    }
    if (account.at, account.gaps) != (bytes, 1) {
        return Err(format!("jsonl: {} of {bytes}, {} gaps", account.at, account.gaps));
    }
    let (_, body) = ask(address, "GET", &format!("/api/executions/{id}/log/meta"), None, None)?;
    let meta: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let gaps = meta["gaps"].as_array().map(Vec::as_slice).unwrap_or_default();
    match gaps {
        [one] if one["bytes"] == gone.bytes() && one["reason"] == "log_max_bytes" => {}
        _ => return Err(format!("meta: {}", meta["gaps"])),
    }
    Ok(views + 4)
}
