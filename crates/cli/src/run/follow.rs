//! Waits for a record to change: the recorder's socket rings, the record tells.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use stepflow_engine::WriterLock;
use stepflow_model::{Event, ExecutionId, NoteKind, Reason, Source};
use stepflow_record::{Liveness, RecordView, Storage};
use stepflow_recorder::control::{Answer, Request};
use stepflow_sys::host::SocketDir;

use crate::{failure::Failure, text::why};

/// Without a socket to wait on, the record is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A recorder answers within this time, or not at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Whoever holds the writer lock has this long to give the verdict on a lost execution.
const VERDICT_WITHIN: Duration = Duration::from_secs(5);

/// One record, followed from outside.
pub struct Follower {
    storage: Storage,
    id: ExecutionId,
    run: SocketDir,
    socket: Option<UnixStream>,
    told: Told,
    lost_since: Option<Instant>,
    /// Its state.
    pub view: RecordView,
    /// Events since they were last taken.
    pub events: Vec<Event>,
}

impl Follower {
    pub fn open(storage: &Storage, id: ExecutionId) -> Result<Self, Failure> {
        let run = SocketDir::open(&storage.run_dir())?;
        let view = RecordView::open_unread(storage, id)?;
        let mut follower = Self {
            storage: storage.clone(),
            id,
            run,
            socket: None,
            told: Told::default(),
            lost_since: None,
            view,
            events: Vec::new(),
        };
        follower.connect();
        Ok(follower)
    }

    /// Waits until something may have changed, one of `others` can be read, or `timeout` has passed.
    pub fn wait(&mut self, timeout: Duration, others: &[BorrowedFd<'_>]) {
        if self.socket.is_none() {
            self.connect();
        }
        let timeout = if self.socket.is_some() { timeout } else { timeout.min(LOOK_EVERY) };
        let mut fds = others.to_vec();
        fds.extend(self.socket.as_ref().map(AsFd::as_fd));
        let mut waiting: Vec<_> =
            fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut waiting, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        let mut buffer = [0; 4096];
        while let Some(socket) = &mut self.socket {
            match socket.read(&mut buffer) {
                Ok(0) => self.socket = None,
                Ok(count) => self.told.take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.socket = None,
            }
        }
    }

    /// Up to which output all events are known once [`Follower::look`] has looked: the recorder may
    /// have recorded lines behind a marker, and be about to say what the marker means.
    /// Bytes, and ended lines.
    pub fn settled(&self) -> (u64, u64) {
        if self.socket.is_none() || self.view.state.summary.status.is_end() {
            return (u64::MAX, u64::MAX);
        }
        self.told.position
    }

    /// Asks how far it is, where there is output beyond [`Follower::settled`]: a wake-up that found
    /// no room in the socket does not come again.
    pub fn ask_settled(&mut self) {
        if !self.told.asked
            && let Some(socket) = &mut self.socket
        {
            self.told.asked = send(socket, &Request::Status);
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
        // Reads what came since the look above: an end, and what was said before it.
        let (liveness, fresh) = self.view.look()?;
        self.events.extend(fresh);
        match liveness {
            Liveness::Ended => Ok(true),
            Liveness::Alive => {
                self.lost_since = None;
                Ok(false)
            }
            // Its source, and a server for it, may come back: the next server decides.
            Liveness::Lost | Liveness::Unstarted if self.view.spec.source == Source::Ingest => {
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
            return Err(Failure::new(why::recorder_gone())
                .hint(why::look_again(self.id))
                .code(crate::failure::OWN));
        }
        Ok(false)
    }

    /// Asks the recorder to stop the script.
    pub fn cancel(&mut self, by: &str, kill: bool) {
        let request = Request::Cancel { by: by.to_owned(), kill, noted: false };
        let sent = self.socket.as_mut().is_some_and(|socket| send(socket, &request));
        if !sent && let Ok(mut socket) = self.run.connect(&Storage::socket_name(self.id)) {
            send(&mut socket, &request);
        }
    }

    /// Asks the recorder for something and waits until it is done, but not for ever.
    pub fn ask(&self, request: &Request) {
        let Ok(mut socket) = self.run.connect(&Storage::socket_name(self.id)) else { return };
        let _ = socket.set_read_timeout(Some(ANSWER_WITHIN));
        if send(&mut socket, request) {
            let _ = socket.read(&mut [0; 256]);
        }
    }

    fn connect(&mut self) {
        let Ok(mut socket) = self.run.connect(&Storage::socket_name(self.id)) else { return };
        if send(&mut socket, &Request::Subscribe) && socket.set_nonblocking(true).is_ok() {
            self.socket = Some(socket);
            // What an earlier socket began to say nobody ends.
            self.told = Told { position: self.told.position, ..Told::default() };
        }
    }
}

/// What the recorder says of its position.
#[derive(Default)]
struct Told {
    /// Bytes and ended lines whose events it has journaled.
    position: (u64, u64),
    /// It was asked, and has not answered.
    asked: bool,
    half: Vec<u8>,
}

impl Told {
    fn take(&mut self, said: &[u8]) {
        self.half.extend_from_slice(said);
        let Some(end) = memchr::memrchr(b'\n', &self.half) else { return };
        for line in self.half[..end].split(|byte| *byte == b'\n') {
            if let Ok(Answer::Position { bytes, lines, .. }) = serde_json::from_slice(line) {
                self.position = self.position.max((bytes, lines));
                self.asked = false;
            }
        }
        self.half.drain(..=end);
    }
}

/// Sends one request to a recorder.
pub fn send(socket: &mut UnixStream, request: &Request) -> bool {
    let Ok(mut line) = serde_json::to_vec(request) else { return false };
    line.push(b'\n');
    socket.write_all(&line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_taken_from_whole_lines_however_they_arrive() {
        let line = |bytes: u64| {
            format!(
                r#"{{"op":"position","bytes":{bytes},"lines":1,"seq":1,"safe":0,"ended":false}}"#
            ) + "\n"
        };
        let said = format!("{}{{\"op\":\"ok\"}}\n?\n{}", line(7), line(12));
        for cut in 0..=said.len() {
            let mut told = Told { asked: true, ..Told::default() };
            told.take(&said.as_bytes()[..cut]);
            assert!([0, 7, 12].contains(&told.position.0), "{cut}");
            told.take(&said.as_bytes()[cut..]);
            assert_eq!((told.position, told.asked, told.half.len()), ((12, 1), false, 0), "{cut}");
        }
    }
}
