//! From our standard input to the script's terminal, through the recorder's socket.

use std::{
    collections::VecDeque,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd,
};
use stepflow_model::{ExecutionId, TerminalSize};
use stepflow_record::Storage;
use stepflow_recorder::control::{Answer, Request, STDIN_BYTES_MAX};
use stepflow_sys::host::SocketDir;

use super::{
    follow::send,
    keys::{DetachKeys, KeyFilter},
};
use crate::failure::Failure;

/// What is typed ahead of the script is read up to here; then whoever types waits.
const TYPED_AHEAD_MAX: usize = 16 * 1024;
/// Longest that a script which reads slowly is left alone.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Longest answer of a recorder.
const ANSWER_BYTES_MAX: usize = 4096;

/// What is typed, and the window's size, on their way to the script.
pub struct Keyboard {
    run: SocketDir,
    name: String,
    socket: Option<UnixStream>,
    inbox: Vec<u8>,
    filter: KeyFilter,
    typed: VecDeque<u8>,
    sizes: VecDeque<TerminalSize>,
    /// Sent and not answered; one at a time, so that nothing overtakes.
    asked: Option<Asked>,
    not_before: Option<Instant>,
    /// Nothing more comes from standard input.
    ended: bool,
    /// The script is to hear of that.
    tell_end: bool,
    refused: bool,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Typed(usize),
    Size,
    End,
}

/// What the keys said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing to us.
    None,
    /// Leave.
    Detach,
}

impl Keyboard {
    /// With `detach`, those keys are for us. With `tell_end`, the end of our input is the end of
    /// the script's.
    pub fn new(
        storage: &Storage,
        id: ExecutionId,
        detach: Option<&DetachKeys>,
        tell_end: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            run: SocketDir::open(&storage.run_dir())?,
            name: Storage::socket_name(id),
            socket: None,
            inbox: Vec::new(),
            filter: KeyFilter::new(detach),
            typed: VecDeque::new(),
            sizes: VecDeque::new(),
            asked: None,
            not_before: None,
            ended: false,
            tell_end,
            refused: false,
        })
    }

    /// The window has this size now.
    pub fn resize(&mut self, size: TerminalSize) {
        // Only the newest matters, but for one that was sent to make a program draw anew.
        self.sizes.truncate(1);
        self.sizes.push_back(size);
    }

    /// What to wait on.
    pub fn fds<'a>(&'a self, stdin: &'a io::Stdin) -> Vec<BorrowedFd<'a>> {
        let mut fds = Vec::new();
        fds.extend(self.socket.as_ref().map(AsFd::as_fd));
        fds.extend(self.reads().then(|| stdin.as_fd()));
        fds
    }

    /// Whether something waits that no descriptor tells of.
    pub fn waits(&self) -> Option<Duration> {
        self.not_before.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Takes what there is and hands on what can be.
    pub fn pump(&mut self) -> Wish {
        let wish = self.read();
        self.hear();
        self.say();
        wish
    }

    fn reads(&self) -> bool {
        !self.ended && self.typed.len() < TYPED_AHEAD_MAX
    }

    fn read(&mut self) -> Wish {
        let stdin = io::stdin();
        if !self.reads() || !readable(stdin.as_fd()) {
            return Wish::None;
        }
        let mut buffer = [0; 2048];
        match unistd::read(&stdin, &mut buffer) {
            Ok(0) => self.no_more(),
            Ok(count) => {
                if self.filter.take(&buffer[..count], &mut self.typed) {
                    return Wish::Detach;
                }
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.no_more(), // The terminal is gone.
        }
        Wish::None
    }

    fn no_more(&mut self) {
        self.ended = true;
        self.filter.finish(&mut self.typed);
    }

    /// Takes the recorder's answers.
    fn hear(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(socket) = &mut self.socket {
            match socket.read(&mut buffer) {
                Ok(count) if count > 0 && self.inbox.len() < ANSWER_BYTES_MAX => {
                    self.inbox.extend_from_slice(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.hang_up(),
            }
        }
        while let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.inbox.drain(..=end).collect();
            let Some(asked) = self.asked.take() else { continue };
            match (serde_json::from_slice(&line), asked) {
                (Ok(Answer::Ok), Asked::Typed(count)) => drop(self.typed.drain(..count)),
                (Ok(Answer::Ok), Asked::Size) => drop(self.sizes.pop_front()),
                (Ok(Answer::Ok), Asked::End) => self.tell_end = false,
                (Ok(Answer::Full), _) => self.not_before = Some(Instant::now() + AGAIN_AFTER),
                // No terminal, or a recorder of another version: it takes no keys.
                _ => self.refused = true,
            }
        }
    }

    /// Says the next thing, if the last one was answered.
    fn say(&mut self) {
        if self.asked.is_some() || self.refused || self.waits().is_some_and(|wait| !wait.is_zero())
        {
            return;
        }
        self.not_before = None;
        let (request, asked) = if let Some(size) = self.sizes.front() {
            (Request::Resize { cols: size.cols, rows: size.rows }, Asked::Size)
        } else if !self.typed.is_empty() {
            let bytes: Vec<u8> = self.typed.iter().copied().take(STDIN_BYTES_MAX).collect();
            (Request::stdin(&bytes), Asked::Typed(bytes.len()))
        } else if self.ended && self.tell_end {
            (Request::StdinEnd {}, Asked::End)
        } else {
            return;
        };
        if self.socket.is_none() {
            self.socket = self.run.connect(&self.name).ok();
            if self.socket.as_ref().is_some_and(|socket| socket.set_nonblocking(true).is_err()) {
                self.socket = None;
            }
        }
        if self.socket.as_mut().is_some_and(|socket| send(socket, &request)) {
            self.asked = Some(asked);
        } else {
            // Not there yet, or no more: what is shown tells.
            self.hang_up();
            self.not_before = Some(Instant::now() + AGAIN_AFTER);
        }
    }

    fn hang_up(&mut self) {
        self.socket = None;
        self.inbox.clear();
        self.asked = None;
    }
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut waiting, PollTimeout::ZERO), Ok(count) if count > 0)
}
