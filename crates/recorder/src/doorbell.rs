//! The control socket: who asks, and who wants to be woken.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use stepflow_sys::host;

use crate::control::{Answer, REQUEST_BYTES_MAX, Request};

/// Most connections at once: a viewer has one, one that types has two. A further one is closed at
/// once and may come back.
const CONNECTIONS_MAX: usize = 32;

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
}

impl Doorbell {
    pub(crate) fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new() })
    }

    /// The descriptors to wait on: the listener first, then the callers.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds = vec![self.listener.as_fd()];
        fds.extend(self.connections.iter().map(|connection| connection.stream.as_fd()));
        fds
    }

    /// Takes what callers say, with the number of each one.
    pub(crate) fn requests(&mut self) -> Vec<(usize, Result<Request, String>)> {
        while let Ok((stream, _)) = self.listener.accept() {
            let welcome = self.connections.len() < CONNECTIONS_MAX
                && host::peer_is_owner(&stream)
                && stream.set_nonblocking(true).is_ok();
            if welcome {
                let inbox = Vec::new();
                self.connections.push(Connection { stream, inbox, subscribed: false, open: true });
            }
        }
        let mut requests = Vec::new();
        for (number, connection) in self.connections.iter_mut().enumerate() {
            for line in connection.lines() {
                requests.push((number, serde_json::from_slice(&line).map_err(|e| e.to_string())));
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

    /// Wakes every subscriber. Lossy: one whose buffer is full looks later.
    pub(crate) fn ring(&mut self, position: &Answer) {
        for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
            connection.send(position);
        }
    }

    pub(crate) fn has_subscribers(&self) -> bool {
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
                Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
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
