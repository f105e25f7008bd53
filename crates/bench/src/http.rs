//! Requests as cheap as they can be made, so that it is the server that is measured.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

use crate::{BenchError, figure::percentile_ms};

/// An answer takes no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One thread for all connections: two cores should be the server's as far as possible.
pub(crate) fn runtime() -> Result<Runtime, BenchError> {
    Builder::new_current_thread().enable_all().build().map_err(BenchError::io("start a runtime"))
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// The status of the answer to `request`, and its body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, from, until) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < until {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((status, &self.buffer[from..until]))
    }
}

/// Status, and where the body begins and ends; `None`: the head is not whole yet.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no answer that has a length");
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or_else(wrong)?;
    let status = status.parse().map_err(|_| wrong())?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let length = length.ok_or_else(wrong)?;
    Ok(Some((status, end + 4, end + 4 + length)))
}

/// A GET, as bytes.
pub(crate) fn get(to: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n").into_bytes()
}

/// A POST of JSON, as bytes.
pub(crate) fn post(to: SocketAddr, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One request over a connection of its own; anything but 2xx is an error.
pub(crate) async fn once(to: SocketAddr, request: &[u8]) -> Result<Value, BenchError> {
    let ask = async {
        let mut connection = Connection::open(to).await?;
        let (status, body) = connection.ask(request).await?;
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        io::Result::Ok((status, body))
    };
    let late = |_| BenchError::Server("no answer within a minute".to_owned());
    let (status, body) = timeout(ANSWER_WITHIN, ask)
        .await
        .map_err(late)?
        .map_err(BenchError::io("ask the server"))?;
    if !(200..300).contains(&status) {
        return Err(BenchError::Server(format!("status {status}: {body}")));
    }
    Ok(body)
}

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) per_second: f64,
    pub(crate) median_ms: f64,
    pub(crate) slow_ms: f64,
}

/// The same request over so many connections, each sending the next when it has its answer.
pub(crate) async fn load(
    to: SocketAddr,
    request: &[u8],
    connections: usize,
    during: Duration,
) -> Result<Loaded, BenchError> {
    let broken = || BenchError::io("ask under load");
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(to).await.map_err(broken())?);
    }
    let begun = Instant::now();
    let mut set = JoinSet::new();
    for mut connection in open {
        let request = request.to_vec();
        set.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < during {
                let asked = Instant::now();
                let (status, _) = connection.ask(&request).await?;
                if status != 200 {
                    return Err(io::Error::other(format!("status {status}")));
                }
                times.push(asked.elapsed().as_micros() as u64);
            }
            io::Result::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = set.join_next().await {
        let done = done.map_err(|error| BenchError::Server(error.to_string()))?;
        times.extend(done.map_err(broken())?);
    }
    let took = begun.elapsed().as_secs_f64();
    Ok(Loaded {
        per_second: times.len() as f64 / took,
        median_ms: percentile_ms(&mut times, 0.5),
        slow_ms: percentile_ms(&mut times, 0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 201 Created\r\nX: y\r\ncontent-LENGTH: 3\r\n\r\nabc";
        for cut in 0..answer.len() - 3 {
            assert_eq!(head(&answer[..cut]).unwrap(), None, "{cut}");
        }
        let (status, from, until) = head(answer).unwrap().unwrap();
        assert_eq!((status, &answer[from..until]), (201, &b"abc"[..]));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "without a length it has no end");
    }
}
