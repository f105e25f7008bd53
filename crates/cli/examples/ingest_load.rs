//! Many streams to `PUT /api/ingest/{id}` at once, and a check of what came of them.
//!
//! `ingest_load ADDR STREAMS LINES INTERVAL_MS`: each stream sends a line in each interval, over a
//! connection of its own, and goes on by offset when that breaks: the server may be killed and
//! started again meanwhile. At the end every log is read back and compared byte for byte.
//!
//! Prints one line of figures; exits with 1 if a byte is missing, twice, or changed.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

use std::{
    env, io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use uuid::Uuid;

/// A stream that does not come through in this time after its last line never will.
const PATIENCE: Duration = Duration::from_secs(60);

struct Load {
    address: String,
    lines: u64,
    interval: Duration,
    begun: Instant,
    breaks: AtomicU64,
}

fn line(stream: usize, number: u64) -> String {
    if number == 1 {
        return format!("STEP_START:Stream {stream}\n");
    }
    let body = format!("stream {stream} line {number}");
    let sum = body.bytes().fold(0_u32, |s, b| s.wrapping_mul(31).wrapping_add(u32::from(b)));
    format!("{body} sum {sum:08x}\n")
}

/// Status and body of one short request.
async fn ask(address: &str, request: String) -> io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

fn number(json: &str, field: &str) -> Option<u64> {
    let rest = json.split_once(&format!("\"{field}\":"))?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

impl Load {
    fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n",
            self.address
        )
    }

    /// How many bytes the server has; 0 where it does not know the stream.
    async fn offset(&self, id: Uuid) -> io::Result<u64> {
        let request = self.head("GET", &format!("/api/ingest/{id}"), "");
        match ask(&self.address, request).await? {
            (200, body) => number(&body, "offset").ok_or(io::ErrorKind::InvalidData.into()),
            (404, _) => Ok(0),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Sends what is due from `offset` on, until everything is; the server's answer.
    async fn send(&self, stream: usize, id: Uuid, offset: u64) -> io::Result<(u16, String)> {
        let mut socket = TcpStream::connect(&self.address).await?;
        let path = format!("/api/ingest/{id}?offset={offset}&name=load&tag=load");
        let head = self.head("PUT", &path, "Transfer-Encoding: chunked\r\n");
        socket.write_all(head.as_bytes()).await?;
        let mut at = 0;
        for number in 1..=self.lines {
            let text = line(stream, number);
            let from = offset.saturating_sub(at).min(text.len() as u64) as usize;
            at += text.len() as u64;
            if from == text.len() {
                continue;
            }
            // All streams send within one interval, none at the same moment as all others.
            let phase = self.interval.mul_f64((stream % 1000) as f64 / 1000.0);
            let due = self.begun + phase + self.interval * (number - 1) as u32;
            let mut early = [0; 512];
            tokio::select! {
                () = sleep_until(due.into()) => {}
                // An answer before the end of the body is a refusal, or the connection is gone.
                read = socket.read(&mut early) => {
                    read?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
            let text = &text[from..];
            socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
        }
        socket.write_all(b"0\r\n\r\n").await?;
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer)).await??;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        Ok((status.ok_or(io::ErrorKind::UnexpectedEof)?, body.unwrap_or_default()))
    }

    async fn stream(self: Arc<Self>, stream: usize) -> Result<Uuid, String> {
        let id = Uuid::now_v7();
        let give_up = self.begun + self.interval * self.lines as u32 + PATIENCE;
        let mut offset = 0;
        loop {
            match self.send(stream, id, offset).await {
                Ok((200 | 201, body)) if body.contains("\"status\":\"completed\"") => {
                    return Ok(id);
                }
                Ok((status, body)) if !matches!(status, 409 | 503) => {
                    return Err(format!("stream {stream}: {status} {body}"));
                }
                broken if env::var_os("INGEST_LOAD_VERBOSE").is_some() => {
                    eprintln!("stream {stream}: {broken:?}");
                }
                Ok(_) | Err(_) => {}
            }
            self.breaks.fetch_add(1, Ordering::Relaxed);
            offset = loop {
                if give_up < Instant::now() {
                    return Err(format!("stream {stream} {id}: no server any more"));
                }
                sleep(Duration::from_millis(100 + stream as u64 % 100)).await;
                if let Ok(offset) = self.offset(id).await {
                    break offset;
                }
            };
        }
    }

    async fn check(&self, stream: usize, id: Uuid) -> Result<(), String> {
        let path = format!("/api/executions/{id}/log/raw");
        let request = self.head("GET", &path, "");
        let (_, log) = ask(&self.address, request).await.map_err(|error| error.to_string())?;
        let expected: String = (1..=self.lines).map(|number| line(stream, number)).collect();
        if log != expected {
            return Err(format!("stream {stream} {id}: the log is not what was sent"));
        }
        let request = self.head("GET", &format!("/api/executions/{id}?logs=0"), "");
        let (_, detail) = ask(&self.address, request).await.map_err(|error| error.to_string())?;
        if number(&detail, "total_steps") != Some(1) || number(&detail, "lines") != Some(self.lines)
        {
            return Err(format!("stream {stream} {id}: {detail}"));
        }
        Ok(())
    }
}

async fn run(address: String, streams: usize, lines: u64, interval: Duration) -> ExitCode {
    let begun = Instant::now();
    let load = Arc::new(Load { address, lines, interval, begun, breaks: AtomicU64::new(0) });
    let mut sending = JoinSet::new();
    for stream in 0..streams {
        let load = Arc::clone(&load);
        sending.spawn(async move { (stream, load.stream(stream).await) });
        if stream % 100 == 99 {
            sleep(Duration::from_millis(5)).await; // A listener's queue is finite.
        }
    }
    let (mut done, mut wrong) = (Vec::new(), Vec::new());
    while let Some(sent) = sending.join_next().await {
        match sent {
            Ok((stream, Ok(id))) => done.push((stream, id)),
            Ok((_, Err(error))) => wrong.push(error),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    let took = begun.elapsed();
    let mut checked = 0;
    for (stream, id) in done {
        match load.check(stream, id).await {
            Ok(()) => checked += 1,
            Err(error) => wrong.push(error),
        }
    }
    for error in wrong.iter().take(10) {
        eprintln!("{error}");
    }
    println!(
        "{checked} of {streams} streams whole, {} lines, {} breaks, {:.1} s",
        checked * lines,
        load.breaks.load(Ordering::Relaxed),
        took.as_secs_f64()
    );
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    stepflow_sys::host::raise_fd_limit();
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, streams, lines, interval] = args.as_slice() else {
        eprintln!("usage: ingest_load ADDR STREAMS LINES INTERVAL_MS");
        return ExitCode::FAILURE;
    };
    let (Ok(streams), Ok(lines), Ok(interval)) = (streams.parse(), lines.parse(), interval.parse())
    else {
        eprintln!("STREAMS, LINES and INTERVAL_MS are numbers");
        return ExitCode::FAILURE;
    };
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            runtime.block_on(run(address.clone(), streams, lines, Duration::from_millis(interval)))
        }
        Err(error) => {
            eprintln!("cannot start threads: {error}");
            ExitCode::FAILURE
        }
    }
}
