//! The other end of a recorder's control socket: wake-ups, and requests.

use std::{io, path::Path, time::Duration};

use stepflow_recorder::control::{Answer, Request};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

/// A recorder that lives answers within this time, unless it is stopped or its disk hangs.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Wake-ups that are taken at once: many say no more than one.
const RINGS_BYTES: usize = 4096;

/// A subscription to wake-ups.
#[derive(Debug)]
pub(crate) struct Bell(UnixStream);

async fn open(path: &Path, request: &Request) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(stream)
}

impl Bell {
    /// Subscribes at the socket `path`.
    pub(crate) async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, &Request::Subscribe).await?))
    }

    /// Waits for wake-ups; `false`: the recorder is gone. Safe to cancel.
    pub(crate) async fn ring(&mut self) -> bool {
        // What they say does not matter: they say "look", and we look.
        let mut rings = [0; RINGS_BYTES];
        matches!(self.0.read(&mut rings).await, Ok(count) if count > 0)
    }
}

/// Asks a recorder for one thing.
pub(crate) async fn ask(path: &Path, request: &Request) -> io::Result<Answer> {
    let answer = async {
        let mut lines = BufReader::new(open(path, request).await?).lines();
        let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    };
    timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
