//! The control socket: who asks, and who wants to be woken.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use stepflow_sys::host;

use crate::{
    control::{Answer, REQUEST_BYTES_MAX, Request},
    ready::Ready,
};

/// Most connections at once: a viewer has one, one that types has two. A further one is closed at
/// once and may come back.
const CONNECTIONS_MAX: usize = 32;

/// Wake-ups are merged to one in this time.
const RING_US: u64 = 20_000;
/// That more is safe, and nothing else, is told so long after the wake-up before: as a rule with the
/// next line.
const SAFE_US: u64 = 250_000;

/// One caller.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    subscribed: bool,
    open: bool,
}

/// The listening end and its callers.
#[derive(Debug)]
pub(crate) struct Doorbell {
    listener: UnixListener,
    connections: Vec<Connection>,
    /// What was told last: bytes and events, and safe bytes.
    rung: Option<((u64, u64), u64)>,
    rung_at_us: u64,
    due_us: Option<u64>,
}

impl Doorbell {
    pub(crate) fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new(), rung: None, rung_at_us: 0, due_us: None })
    }

    /// The descriptors to wait on: the listener first, then the callers.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds = vec![self.listener.as_fd()];
        fds.extend(self.connections.iter().map(|connection| connection.stream.as_fd()));
        fds
    }

    /// Takes what callers say, with the number of each one. Who has just come is heard the next time.
    pub(crate) fn requests(&mut self, ready: &Ready) -> Vec<(usize, Result<Request, String>)> {
        let mut requests = Vec::new();
        for (number, connection) in self.connections.iter_mut().enumerate() {
            if !ready.has(&connection.stream) {
                continue;
            }
            for line in connection.lines() {
                requests.push((number, serde_json::from_slice(&line).map_err(|e| e.to_string())));
            }
        }
        let knocks = ready.has(&self.listener);
        while knocks && let Ok((stream, _)) = self.listener.accept() {
            let welcome = self.connections.len() < CONNECTIONS_MAX
                && host::peer_is_owner(&stream)
                && stream.set_nonblocking(true).is_ok();
            if welcome {
                let inbox = Vec::new();
                self.connections.push(Connection { stream, inbox, subscribed: false, open: true });
            }
        }
        requests
    }

    pub(crate) fn subscribe(&mut self, number: usize) {
        self.connections[number].subscribed = true;
    }

    pub(crate) fn answer(&mut self, number: usize, answer: &Answer) {
        self.connections[number].send(answer);
    }

    /// Wakes every subscriber if `position` says something new, or sees to it that they will be:
    /// [`Doorbell::due_us`].
    pub(crate) fn tell(&mut self, position: &Answer, now_us: u64) {
        let Answer::Position { bytes, seq, safe, .. } = position else { return };
        let here = ((*bytes, *seq), *safe);
        self.due_us = None;
        if self.rung == Some(here) || !self.has_subscribers() {
            return;
        }
        let same = self.rung.is_some_and(|rung| rung.0 == here.0);
        let from_us = self.rung_at_us + if same { SAFE_US } else { RING_US };
        if now_us < from_us {
            self.due_us = Some(from_us);
            return;
        }
        self.ring(position);
        self.rung = Some(here);
        self.rung_at_us = now_us;
    }

    /// What is still to be told is not: the end tells it.
    pub(crate) fn tell_no_more(&mut self) {
        self.due_us = None;
    }

    /// When to call [`Doorbell::tell`] at the latest, by the recorder's clock.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.due_us
    }

    /// Wakes every subscriber. Lossy: one whose buffer is full looks later.
    pub(crate) fn ring(&mut self, position: &Answer) {
        for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
            connection.send(position);
        }
    }

    fn has_subscribers(&self) -> bool {
        self.connections.iter().any(|connection| connection.subscribed)
    }

    /// Forgets callers that have gone. Numbers change: call it after all answers.
    pub(crate) fn sweep(&mut self) {
        self.connections.retain(|connection| connection.open);
    }
}

impl Connection {
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 1024];
        while self.open {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    self.inbox.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        break; // That was all; what comes now is heard the next time.
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
            if self.inbox.len() > REQUEST_BYTES_MAX {
                self.open = false;
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
            line.pop();
            lines.push(line);
        }
        lines
    }

    fn send(&mut self, answer: &Answer) {
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        match self.stream.write(&line) {
            Ok(count) if count == line.len() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {} // It has a wake-up waiting.
            // Half a line cannot be taken back: the caller reconnects.
            _ => self.open = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_together_is_told_once_and_what_is_safe_with_the_next_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bell");
        let mut bell = Doorbell::new(UnixListener::bind(&path).unwrap()).unwrap();
        let mut caller = UnixStream::connect(&path).unwrap();
        let ready = || Ready::wait([bell.listener.as_fd()], None, None);
        let ready = ready();
        assert!(bell.requests(&ready).is_empty());
        let at = |bytes, safe| Answer::Position { bytes, lines: 0, seq: 0, safe, ended: false };
        bell.tell(&at(1, 0), 1);
        assert_eq!(bell.due_us(), None, "nobody wants to know");
        bell.subscribe(0);
        bell.tell(&at(1, 0), 100_000);
        assert_eq!(bell.due_us(), None, "told at once");
        bell.tell(&at(2, 0), 100_001);
        assert_eq!(bell.due_us(), Some(100_000 + RING_US));
        bell.tell(&at(3, 0), 100_000 + RING_US);
        assert_eq!(bell.due_us(), None);
        bell.tell(&at(3, 3), 200_000);
        assert_eq!(bell.due_us(), Some(100_000 + RING_US + SAFE_US));
        bell.tell(&at(4, 3), 200_001);
        assert_eq!(bell.due_us(), None, "with what came");
        bell.tell(&at(5, 3), 200_002);
        assert!(bell.due_us().is_some());
        bell.tell_no_more();
        assert_eq!(bell.due_us(), None, "nobody waits for what is not told");
        drop(bell);
        let mut told = String::new();
        caller.read_to_string(&mut told).unwrap();
        assert_eq!(told.lines().count(), 3, "{told}");
    }
}
