//! The other end of a recorder's control socket: wake-ups, and requests.

use std::{io, path::Path, time::Duration};

use stepflow_recorder::control::{Answer, Request};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::UnixStream,
    time::timeout,
};

/// A recorder that lives answers within this time, unless it is stopped or its disk hangs.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A subscription to wake-ups.
#[derive(Debug)]
pub(crate) struct Bell(Lines<BufReader<UnixStream>>);

async fn open(path: &Path, request: &Request) -> io::Result<Lines<BufReader<UnixStream>>> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(BufReader::new(stream).lines())
}

impl Bell {
    /// Subscribes at the socket `path`.
    pub(crate) async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, &Request::Subscribe).await?))
    }

    /// Waits for a wake-up; `false`: the recorder is gone. Safe to cancel.
    pub(crate) async fn ring(&mut self) -> bool {
        // What the line says does not matter: it says "look", and we look.
        matches!(self.0.next_line().await, Ok(Some(_)))
    }
}

/// Asks a recorder for one thing.
pub(crate) async fn ask(path: &Path, request: &Request) -> io::Result<Answer> {
    let answer = async {
        let mut lines = open(path, request).await?;
        let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    };
    timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
