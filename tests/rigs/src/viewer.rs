//! Viewers of an execution, over WebSocket, event stream and ranges, without any library that would
//! mend what it is sent: every byte is held against the log.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use stepflow_model::ExecutionId;

/// How a viewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    WebSocket,
    Events,
    Range,
}

impl Way {
    pub(crate) fn of(number: u64) -> Self {
        [Self::WebSocket, Self::Events, Self::Range][(number % 3) as usize]
    }
}

/// What a connection brought.
#[derive(Debug)]
pub(crate) enum Next {
    /// Output that begins at this offset.
    Bytes(u64, Vec<u8>),
    /// Lines, some of which stand for output that is gone: as they came.
    Gap(Vec<serde_json::Value>),
    /// Something else, or nothing yet.
    Nothing,
    /// The execution has ended, and this was all of it.
    End,
    /// The connection is gone, or silent for too long.
    Gone(String),
}

#[derive(Deserialize)]
struct Line {
    offset: u64,
    bytes: u64,
    text: String,
    partial: bool,
}

#[derive(Deserialize)]
struct Message {
    op: Option<String>,
    #[serde(default)]
    lines: serde_json::Value,
}

/// One connection, from an offset on.
pub(crate) struct Connection {
    socket: TcpStream,
    way: Way,
    /// What came and has not been understood yet.
    raw: Vec<u8>,
    /// Of an event stream: without the chunks' frames.
    body: Vec<u8>,
    headed: bool,
    /// Of a range: where the next byte belongs, and how many are still to come.
    at: u64,
    left: Option<u64>,
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

impl Connection {
    /// Connects and asks for everything from `offset` on.
    pub(crate) fn open(
        address: &str,
        id: ExecutionId,
        way: Way,
        offset: u64,
        silent: Duration,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(silent))?;
        socket.set_write_timeout(Some(silent))?;
        let head = match way {
            Way::WebSocket => format!(
                "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            Way::Events => format!(
                "GET /api/executions/{id}/events HTTP/1.1\r\nHost: {address}\r\n\
                 Last-Event-ID: {offset}.0\r\n\r\n"
            ),
            Way::Range => format!(
                "GET /api/executions/{id}/log/raw HTTP/1.1\r\nHost: {address}\r\n\
                 Range: bytes={offset}-\r\nConnection: close\r\n\r\n"
            ),
        };
        socket.write_all(head.as_bytes())?;
        if way == Way::WebSocket {
            let said = format!(
                "{{\"op\":\"subscribe\",\"sub\":1,\"topic\":\"execution\",\"id\":\"{id}\",\
                 \"cursor\":\"{offset}.0\",\"lines\":true}}"
            );
            // Masked with zeros, which a mask may be.
            let mut frame = vec![0x81, 0x80 | 0x7e];
            frame.extend((said.len() as u16).to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(said.into_bytes());
            socket.write_all(&frame)?;
        }
        let (raw, body) = (Vec::new(), Vec::new());
        Ok(Self { socket, way, raw, body, headed: false, at: offset, left: None })
    }

    /// What comes next.
    pub(crate) fn next(&mut self) -> Result<Next, String> {
        loop {
            if let Some(next) = self.understand()? {
                return Ok(next);
            }
            let mut some = [0; 16 * 1024];
            match self.socket.read(&mut some) {
                Ok(0) => return Ok(Next::Gone("closed".to_owned())),
                Ok(count) => self.raw.extend_from_slice(&some[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Next::Gone(error.to_string())),
            }
        }
    }

    fn understand(&mut self) -> Result<Option<Next>, String> {
        if !self.headed {
            let Some(end) = find(&self.raw, b"\r\n\r\n") else { return Ok(None) };
            let head: Vec<u8> = self.raw.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            self.headed = true;
            let status = head.get(9..12).unwrap_or_default();
            match (self.way, status) {
                (Way::WebSocket, "101") | (Way::Events, "200") => {}
                (Way::Range, "206" | "200") => {
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    self.left = length.and_then(|length| length.trim().parse().ok());
                }
                // Nothing more is there yet, or the server is just going.
                (Way::Range, "416") | (_, "503") => return Ok(Some(Next::Gone(status.to_owned()))),
                _ => return Err(format!("{:?} was answered {head}", self.way)),
            }
        }
        match self.way {
            Way::WebSocket => self.frame(),
            Way::Events => self.event(),
            Way::Range => {
                if self.left == Some(0) {
                    return Ok(Some(Next::Gone("all of a range".to_owned())));
                }
                if self.raw.is_empty() {
                    return Ok(None);
                }
                let bytes = std::mem::take(&mut self.raw);
                let offset = self.at;
                self.at += bytes.len() as u64;
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                Ok(Some(Next::Bytes(offset, bytes)))
            }
        }
    }

    fn frame(&mut self) -> Result<Option<Next>, String> {
        let raw = &self.raw;
        let [kind, short, ..] = raw[..] else { return Ok(None) };
        let (size, at) = match short {
            126 if raw.len() >= 4 => (u64::from(u16::from_be_bytes([raw[2], raw[3]])), 4),
            127 if raw.len() >= 10 => {
                (raw[2..10].iter().fold(0, |size, byte| size << 8 | u64::from(*byte)), 10)
            }
            126 | 127 => return Ok(None),
            size => (u64::from(size), 2),
        };
        let end = at + size as usize;
        if raw.len() < end {
            return Ok(None);
        }
        let payload = self.raw[at..end].to_vec();
        self.raw.drain(..end);
        match kind {
            0x81 => said(&payload),
            0x88 => Ok(Some(Next::Gone("closed by the server".to_owned()))),
            _ => Ok(Some(Next::Nothing)),
        }
    }

    fn event(&mut self) -> Result<Option<Next>, String> {
        // Whole chunks become body.
        while let Some(end) = find(&self.raw, b"\r\n") {
            let size = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            let size = usize::from_str_radix(&size, 16).map_err(|_| format!("chunk {size:?}"))?;
            let all = end + 2 + size + 2;
            if self.raw.len() < all {
                break;
            }
            self.body.extend_from_slice(&self.raw[end + 2..end + 2 + size]);
            self.raw.drain(..all);
            if size == 0 {
                break;
            }
        }
        let Some(end) = find(&self.body, b"\n\n") else { return Ok(None) };
        let event: Vec<u8> = self.body.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        match field("event: ") {
            Some("lines") => said(field("data: ").unwrap_or_default().as_bytes()),
            Some("end") => Ok(Some(Next::End)),
            _ => Ok(Some(Next::Nothing)),
        }
    }
}

/// A message with lines, as the bytes that they are.
fn said(json: &[u8]) -> Result<Option<Next>, String> {
    let text = || String::from_utf8_lossy(&json[..json.len().min(200)]).into_owned();
    let message: Message = serde_json::from_slice(json).map_err(|e| format!("{e}: {}", text()))?;
    match message.op.as_deref() {
        None | Some("lines") => {}
        Some("end") => return Ok(Some(Next::End)),
        Some("error") => return Err(format!("the server says {}", text())),
        Some(_) => return Ok(Some(Next::Nothing)),
    }
    if let Some(lines) = message.lines.as_array()
        && lines.iter().any(|line| line["dropped"].is_object())
    {
        return Ok(Some(Next::Gap(lines.clone())));
    }
    let lines: Vec<Line> =
        serde_json::from_value(message.lines).map_err(|e| format!("{e}: {}", text()))?;
    let Some(first) = lines.first().map(|line| line.offset) else { return Ok(Some(Next::Nothing)) };
    let mut bytes = Vec::new();
    for line in lines {
        if line.offset != first + bytes.len() as u64 {
            return Err(format!(
                "a line at {} where {} was due",
                line.offset,
                first + bytes.len() as u64
            ));
        }
        let before = bytes.len();
        bytes.extend(line.text.into_bytes());
        // The one before a gap may have lost its end.
        if !line.partial && ((bytes.len() - before) as u64) < line.bytes {
            bytes.push(b'\n');
        }
        if (bytes.len() - before) as u64 != line.bytes {
            return Err(format!(
                "a line at {} of {} bytes that has others",
                line.offset, line.bytes
            ));
        }
    }
    Ok(Some(Next::Bytes(first, bytes)))
}

/// What a viewer has seen, held against the log byte by byte.
pub(crate) struct Transcript {
    log: File,
    /// All before it was seen, once.
    pub(crate) at: u64,
}

impl Transcript {
    pub(crate) fn new(record: &Path) -> Result<Self, String> {
        let log = File::open(record.join("output.log")).map_err(|error| error.to_string())?;
        Ok(Self { log, at: 0 })
    }

    /// Takes what comes next.
    pub(crate) fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<(), String> {
        if offset != self.at {
            return Err(format!("offset {offset} where {} was due", self.at));
        }
        self.same(offset, bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Whether the log says the same.
    pub(crate) fn same(&self, offset: u64, bytes: &[u8]) -> Result<(), String> {
        let mut recorded = vec![0; bytes.len()];
        self.log
            .read_exact_at(&mut recorded, offset)
            .map_err(|error| format!("shown at {offset} before it was recorded: {error}"))?;
        if recorded == bytes { Ok(()) } else { Err(format!("changed bytes at {offset}")) }
    }
}
