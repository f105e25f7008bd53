//! The other end of a recorder's control socket: wake-ups, and requests.

use std::{io, path::Path, time::Duration};

use stepflow_model::Position;
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

/// What a ring told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    /// Look. With what it said last, if that could be read.
    Look(Option<Said>),
    /// The recorder is gone.
    Gone,
}

/// How far a recorder is: what it says is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) position: Position,
    /// Bytes that a power cut cannot take.
    pub(crate) safe: u64,
}

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

    /// Waits for wake-ups. Safe to cancel.
    pub(crate) async fn ring(&mut self) -> Ring {
        let mut rings = [0; RINGS_BYTES];
        match self.0.read(&mut rings).await {
            Ok(count) if count > 0 => Ring::Look(said_in(&rings[..count])),
            _ => Ring::Gone,
        }
    }
}

/// What the newest whole line says; a cut one is no loss: they say "look", and we can.
fn said_in(rings: &[u8]) -> Option<Said> {
    rings.split(|byte| *byte == b'\n').rev().find_map(|line| {
        match serde_json::from_slice::<Answer>(line) {
            Ok(Answer::Position { bytes, lines, seq, safe, .. }) => {
                Some(Said { position: Position { bytes, lines, seq }, safe })
            }
            _ => None,
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_line_tells_how_far_it_is() {
        let line = |safe: u64| {
            format!(
                r#"{{"op":"position","bytes":9,"lines":1,"seq":1,"safe":{safe},"ended":false}}"#
            )
        };
        let safe = |rings: &[u8]| said_in(rings).map(|said| said.safe);
        let two = format!("{}\n{}\n", line(1), line(5));
        assert_eq!(safe(two.as_bytes()), Some(5));
        assert_eq!(safe(&two.as_bytes()[..two.len() - 9]), Some(1), "a cut line is left out");
        assert_eq!(safe(b"?\n"), None);
    }
}
