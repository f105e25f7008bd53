//! Waits for a record to change: the recorder's socket rings, the record tells.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signalfd::SignalFd,
};
use stepflow_engine::WriterLock;
use stepflow_model::{Event, ExecutionId, NoteKind, Reason};
use stepflow_record::{Liveness, RecordView, Storage};
use stepflow_recorder::control::Request;
use stepflow_sys::host::SocketDir;

use crate::failure::Failure;

/// Without a socket to wait on, the record is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Whoever holds the writer lock has this long to give the verdict on a lost execution.
const VERDICT_WITHIN: Duration = Duration::from_secs(5);

/// One record, followed from outside.
pub struct Follower {
    storage: Storage,
    id: ExecutionId,
    run: SocketDir,
    socket: Option<UnixStream>,
    lost_since: Option<Instant>,
    /// Its state.
    pub view: RecordView,
    /// Events since they were last taken.
    pub events: Vec<Event>,
}

impl Follower {
    pub fn open(storage: &Storage, id: ExecutionId) -> Result<Self, Failure> {
        let run = SocketDir::open(&storage.run_dir())?;
        let view = RecordView::open(storage, id)?;
        let mut follower = Self {
            storage: storage.clone(),
            id,
            run,
            socket: None,
            lost_since: None,
            view,
            events: Vec::new(),
        };
        follower.connect();
        Ok(follower)
    }

    /// Waits until something may have changed, a signal came, or `timeout` has passed.
    pub fn wait(&mut self, timeout: Duration, signals: Option<&SignalFd>) {
        if self.socket.is_none() {
            self.connect();
        }
        let timeout = if self.socket.is_some() { timeout } else { timeout.min(LOOK_EVERY) };
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        fds.extend(signals.map(AsFd::as_fd));
        fds.extend(self.socket.as_ref().map(AsFd::as_fd));
        let mut waiting: Vec<_> =
            fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut waiting, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        // What it says only means "look again".
        let mut buffer = [0; 4096];
        while let Some(socket) = &mut self.socket {
            match socket.read(&mut buffer) {
                Ok(0) => self.socket = None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.socket = None,
            }
        }
    }

    /// Looks at the record. Returns whether it has ended.
    pub fn look(&mut self) -> Result<bool, Failure> {
        self.events.extend(self.view.refresh()?);
        if self.view.state.summary.status.is_end() {
            return Ok(true);
        }
        if self.socket.is_some() {
            return Ok(false);
        }
        match self.view.liveness()? {
            Liveness::Ended => Ok(true),
            Liveness::Alive => {
                self.lost_since = None;
                Ok(false)
            }
            Liveness::Lost | Liveness::Unstarted => self.lost(),
        }
    }

    /// Nobody writes any more and there is no end: the verdict is the writer's to give.
    fn lost(&mut self) -> Result<bool, Failure> {
        if let Some(_lock) = WriterLock::try_take(&self.storage)? {
            return Ok(self.view.settle(|| NoteKind::NotStarted {
                reason: Reason::NotStarted,
                message: "everything went away before the start".to_owned(),
            })?);
        }
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() > VERDICT_WITHIN {
            return Err(Failure::new("the recorder is gone and the server has not said so yet")
                .hint(format!("look again with `stepflow show {}`", self.id))
                .code(crate::failure::OWN));
        }
        Ok(false)
    }

    /// Asks the recorder to stop the script.
    pub fn cancel(&mut self, by: &str, kill: bool) {
        let request = Request::Cancel { by: by.to_owned(), kill };
        let sent = self.socket.as_mut().is_some_and(|socket| send(socket, &request));
        if !sent && let Ok(mut socket) = self.run.connect(&Storage::socket_name(self.id)) {
            send(&mut socket, &request);
        }
    }

    fn connect(&mut self) {
        let Ok(mut socket) = self.run.connect(&Storage::socket_name(self.id)) else { return };
        if send(&mut socket, &Request::Subscribe) && socket.set_nonblocking(true).is_ok() {
            self.socket = Some(socket);
        }
    }
}

/// Sends one request to a recorder.
pub fn send(socket: &mut UnixStream, request: &Request) -> bool {
    let Ok(mut line) = serde_json::to_vec(request) else { return false };
    line.push(b'\n');
    socket.write_all(&line).is_ok()
}
