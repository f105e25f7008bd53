//! A viewer: one WebSocket that follows one execution. As little of the protocol as it takes, since
//! hundreds of them share a thread with nothing else to do.

use std::{io, net::SocketAddr};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Messages are no longer; a longer one is no message of ours.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

#[derive(Debug)]
pub(crate) struct Viewer {
    stream: BufReader<TcpStream>,
    message: Vec<u8>,
}

impl Viewer {
    /// Follows the lines of `id` from the first on.
    pub(crate) async fn open(to: SocketAddr, id: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        // The key is for proxies that would answer from a cache: there is none.
        let ask = format!(
            "GET /ws HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await?;
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        let subscribe =
            json!({"op": "subscribe", "sub": 1, "topic": "execution", "id": id, "lines": true});
        let payload = subscribe.to_string();
        // Masked, as a client must; with zeros, which change nothing.
        let mut frame = vec![0x80 | TEXT];
        match u8::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 + 126);
                frame.extend((payload.len() as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload.as_bytes());
        stream.write_all(&frame).await?;
        Ok(Self { stream, message: Vec::new() })
    }

    /// The next message; `None`: the server closed the connection.
    pub(crate) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let first = self.stream.read_u8().await?;
            let length = match self.stream.read_u8().await? & 0x7f {
                126 => u64::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await?,
                short => u64::from(short),
            };
            if length > MESSAGE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of no length"));
            }
            self.message.resize(length as usize, 0);
            self.stream.read_exact(&mut self.message).await?;
            match first & 0x0f {
                TEXT => return Ok(Some(&self.message)),
                CLOSE => return Ok(None),
                _ => {} // Pings: it has long ended when they would matter.
            }
        }
    }
}

/// The word behind `"op":`, with which every message begins.
pub(crate) fn op(message: &[u8]) -> &[u8] {
    let Some(rest) = message.strip_prefix(b"{\"op\":\"") else { return b"" };
    &rest[..memchr::memchr(b'"', rest).unwrap_or(0)]
}

/// What [`crate::helper`]'s printer says of each line in a message: its number and when it was printed.
pub(crate) fn printed(message: &[u8]) -> impl Iterator<Item = (u64, i64)> {
    const BEFORE: &[u8] = b"\"text\":\"line ";
    memchr::memmem::find_iter(message, BEFORE).filter_map(|at| {
        let (number, rest) = digits(&message[at + BEFORE.len()..])?;
        let (time_us, _) = digits(rest.strip_prefix(b" at ")?)?;
        Some((number, time_us as i64))
    })
}

fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_a_message() {
        let message = br#"{"op":"lines","sub":1,"lines":[{"n":1,"text":"line 7 at 1234 padding"},{"n":2,"text":"line 8 at 99 p"},{"text":"line 9"}]}"#;
        assert_eq!(op(message), b"lines");
        assert_eq!(printed(message).collect::<Vec<_>>(), [(7, 1234), (8, 99)]);
        assert_eq!(op(b"{}"), b"");
    }
}
