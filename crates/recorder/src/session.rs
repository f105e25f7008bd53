//! One recorder's life: start the keeper, wait in one place, act, end.

mod finish; // the end: whole, synced, before anybody hears of it
mod start; // from a spec to a released script

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{signal::Signal, signalfd::SignalFd},
};
use stepflow_model::{EventKind, ExecutionId, Reason, Spec, Stream};
use stepflow_record::Storage;
use stepflow_sys::{
    host::SocketDir,
    keeper::{self, Keeper, Message},
    lock::Lock,
    tree::{self, Waited},
};

use crate::{
    artifact::Job,
    control::{Answer, Request},
    doorbell::Doorbell,
    lifecycle::{Effect, Input, Lifecycle, Sig},
    recording::Recording,
    worker::{Files, Worker},
};

/// Most bytes of one read.
const READ_BYTES: usize = 128 * 1024;
/// A pipe that brings at least this much, [`FULL_READS`] times running, is grown once, to
/// [`PIPE_BYTES`]: its writer is faster than 64 KiB at a time lets it be. (Waiting to see it quite
/// full would miss most of them: the reader takes while the writer fills.)
const BUSY_BYTES: usize = 16 * 1024;
const FULL_READS: u32 = 4;
const PIPE_BYTES: i32 = 256 * 1024;
/// Output is safe at the latest this long after it was recorded, plus the sync in flight.
const SYNC_US: u64 = 1_000_000;
/// Or when this much is unsynced, whichever is first.
const SYNC_BYTES: u64 = 4 << 20;
/// Past this much unsynced output the script waits for the disk.
const UNSYNCED_MAX: u64 = 64 << 20;
/// Wake-ups are merged to one in this time.
const RING_US: u64 = 20_000;
/// A disk that refused is asked again this often.
const RETRY_US: u64 = 250_000;

/// Where one of the script's streams arrives.
struct Source {
    stream: Stream,
    pipe: File,
    inode: u64,
    full_reads: u32,
    ended: bool,
}

struct Session {
    spec: Spec,
    dir: PathBuf,
    recording: Recording,
    keeper: Keeper,
    keeper_gone: bool,
    main_status: Option<i32>,
    main_exited: bool,
    life: Lifecycle,
    sources: Vec<Source>,
    doorbell: Doorbell,
    link: Option<File>,
    signals: SignalFd,
    syncer: Option<Worker<u64, (u64, io::Result<()>)>>,
    collector: Option<Worker<Job, EventKind>>,
    safe: u64,
    sync_asked: u64,
    sync_due: Option<u64>,
    sync_failed: bool,
    rung: (u64, u64),
    rung_at: u64,
    ring_due: Option<u64>,
    retry_at: Option<u64>,
    finishing: bool,
    leftover: Vec<String>,
}

/// Why a recorder gave up before its record could tell.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The hidden command was called by hand.
    #[error("`{0}` is started by stepflow itself, with a storage, an id and a claim")]
    Usage(&'static str),
    /// The record refused.
    #[error(transparent)]
    Record(#[from] stepflow_record::RecordError),
    /// The system refused.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> SessionError {
    move |source| SessionError::System { what, source }
}

/// Records one script from start to end. `args`: storage directory, execution id, claim descriptor.
///
/// Must be called before anything in this process has started a thread; it needs nothing that
/// `main` has set up. Standard input becomes the script's; standard output is the link to whoever
/// started us.
pub fn record(args: &[OsString]) -> Result<(), SessionError> {
    let usage = || SessionError::Usage(crate::COMMAND);
    let [root, id, claim] = args else { return Err(usage()) };
    let id: ExecutionId = id.to_str().and_then(|id| id.parse().ok()).ok_or_else(usage)?;
    let fd: i32 = claim.to_str().and_then(|fd| fd.parse().ok()).ok_or_else(usage)?;
    let claim = Lock::inherited(fd).map_err(system("take over the claim"))?;
    // What the caller handed down is the script's, not ours.
    let inherited: Vec<i32> =
        keeper::open_fds().into_iter().filter(|at| *at > 2 && *at != fd && is_open(*at)).collect();

    let storage = Storage::open(Path::new(root))?;
    let spec = storage.spec(id)?;
    let mut session = Session::start(&storage, spec, &claim, &inherited)?;
    session.run();
    drop(session);
    let run = SocketDir::open(&storage.run_dir()).map_err(system("open the run directory"))?;
    let _ = std::fs::remove_file(run.path(&Storage::socket_name(id)));
    drop(claim);
    Ok(())
}

fn is_open(fd: i32) -> bool {
    // The directory that listed the descriptors is gone by now.
    std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok()
}

impl Session {
    /// Waits in one place until the end is recorded.
    fn run(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        while !self.ended() {
            self.wait();
            self.hear_signals();
            self.hear_keeper();
            self.hear_link();
            self.hear_callers();
            self.hear_workers();
            if !self.recording.is_blocked() && !self.waits_for_sync() {
                self.read(&mut buffer);
            }
            self.tick();
            self.carry_wishes();
            if self.finishing && self.workers_idle() && !self.recording.is_blocked() {
                self.end(&self.outcome());
            }
            self.ring();
        }
        // Subscribers hear of the end only now, after it is synced.
        let position = self.position();
        self.doorbell.ring(&position);
        self.keeper.dismiss();
    }

    fn ended(&self) -> bool {
        self.recording.state.summary.status.is_end()
    }

    fn now(&self) -> u64 {
        self.recording.clock.at_us()
    }

    fn waits_for_sync(&self) -> bool {
        let (recorded, _) = self.recording.writer.recorded();
        !self.sync_failed && recorded.saturating_sub(self.safe) > UNSYNCED_MAX
    }

    fn wait(&self) {
        let reading = !self.recording.is_blocked() && !self.waits_for_sync();
        let mut fds: Vec<BorrowedFd<'_>> = self.doorbell.fds();
        fds.push(self.signals.as_fd());
        if !self.keeper_gone {
            fds.push(self.keeper.messages());
        }
        if reading {
            fds.extend(self.sources.iter().filter(|s| !s.ended).map(|s| s.pipe.as_fd()));
        }
        fds.extend(self.syncer.as_ref().map(Worker::bell));
        fds.extend(self.collector.as_ref().map(Worker::bell));
        if self.spec.bound {
            fds.extend(self.link.as_ref().map(AsFd::as_fd));
        }
        let mut waiting: Vec<_> =
            fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let due = [
            self.recording.writer.entry_due_us().filter(|_| reading),
            self.life.next_tick(),
            self.sync_due,
            self.ring_due,
            self.retry_at,
        ];
        let timeout = match due.into_iter().flatten().min() {
            // Rounded up: a tick that comes too early would only spin.
            Some(at) => {
                let wait = Duration::from_micros(at.saturating_sub(self.now()) + 999);
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let _ = poll(&mut waiting, timeout); // EINTR: everything is looked at anyway.
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                let message = "the recorder was told to stop (SIGTERM)".to_owned();
                self.input(Input::Stop { reason: Reason::User, message, kill: false });
            }
        }
        if !self.keeper_gone {
            return;
        }
        // The keeper's children are ours now.
        loop {
            match tree::wait_any() {
                Waited::Reaped(pid, status) if pid == self.keeper.script_pid => {
                    self.main_status = Some(status);
                    self.main_ended();
                }
                Waited::Reaped(..) => {}
                Waited::NoneYet => break,
                Waited::NoChildren => {
                    self.main_ended(); // Reaped by a keeper that could not tell: status unknown.
                    self.input(Input::TreeEmpty);
                    break;
                }
            }
        }
    }

    fn main_ended(&mut self) {
        if !std::mem::replace(&mut self.main_exited, true) {
            self.input(Input::MainExited);
        }
    }

    fn hear_keeper(&mut self) {
        while !self.keeper_gone && readable(self.keeper.messages()) {
            match self.keeper.read_message() {
                Ok(Some(Message::Exited(status))) => {
                    self.main_status = Some(status);
                    self.main_ended();
                }
                Ok(Some(Message::Empty)) => self.input(Input::TreeEmpty),
                Ok(None) | Err(_) => {
                    self.keeper_gone = true;
                    self.recording.emit(EventKind::Warning {
                        code: "keeper_lost".to_owned(),
                        message: "the keeper died: the recorder has taken over its children"
                            .to_owned(),
                    });
                    self.hear_signals();
                }
            }
        }
    }

    fn hear_link(&mut self) {
        let gone = match &mut self.link {
            Some(link) if self.spec.bound && readable(link.as_fd()) => {
                !matches!(link.read(&mut [0; 16]), Ok(count) if count > 0)
            }
            _ => false,
        };
        if gone {
            self.link = None;
            let message = "the terminal or client that started it went away".to_owned();
            self.input(Input::Stop { reason: Reason::ClientGone, message, kill: false });
        }
    }

    fn hear_callers(&mut self) {
        for (number, request) in self.doorbell.requests() {
            let answer = match request {
                Ok(Request::Status) => self.position(),
                Ok(Request::Subscribe) => {
                    self.doorbell.subscribe(number);
                    self.position()
                }
                Ok(Request::Cancel { by, kill }) => {
                    let message = if by.is_empty() {
                        "cancelled".to_owned()
                    } else {
                        format!("cancelled by {by}")
                    };
                    self.input(Input::Stop { reason: Reason::User, message, kill });
                    Answer::Ok
                }
                Ok(Request::Signal { signal }) => {
                    self.signal_tree(signal);
                    Answer::Ok
                }
                Err(error) => Answer::Error { error },
            };
            self.doorbell.answer(number, &answer);
        }
        self.doorbell.sweep();
    }

    fn hear_workers(&mut self) {
        if let Some(collector) = &mut self.collector {
            for event in collector.take() {
                self.recording.emit(event);
                self.recording.wants.sync = true;
            }
        }
        let Some(syncer) = &mut self.syncer else { return };
        for (upto, result) in syncer.take() {
            match result {
                Ok(()) if !self.sync_failed => self.safe = self.safe.max(upto),
                Ok(()) => {}
                Err(error) => {
                    // What a failed sync covered is unsafe for ever: `safe` stays where it is.
                    if !std::mem::replace(&mut self.sync_failed, true) {
                        self.recording.emit(EventKind::Warning {
                            code: "sync_failed".to_owned(),
                            message: format!(
                                "the disk failed to make output durable ({error}): output after byte {} may not survive a power cut",
                                self.safe
                            ),
                        });
                    }
                }
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        for at in 0..self.sources.len() {
            let source = &mut self.sources[at];
            if source.ended {
                continue;
            }
            match source.pipe.read(buffer) {
                Ok(0) => {
                    source.ended = true;
                    let stream = source.stream;
                    self.recording.end_stream(stream);
                    if self.sources.iter().all(|source| source.ended) {
                        self.input(Input::OutputEnded);
                    }
                }
                Ok(count) => {
                    source.grow_if_full(count);
                    let stream = source.stream;
                    self.recording.take(stream, &buffer[..count]);
                }
                // Nothing there now, or interrupted: the next wait tells.
                Err(_) => {}
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        if self.recording.writer.entry_due_us().is_some_and(|due| due <= now)
            && !self.recording.is_blocked()
        {
            self.recording.close_entry();
        }
        if self.recording.is_blocked() && self.retry_at.is_none_or(|at| at <= now) {
            if self.retry_at.take().is_some() {
                self.recording.retry();
            }
            // Refused again, or for the first time: there is always a next look.
            self.retry_at = self.recording.is_blocked().then_some(now + RETRY_US);
        } else if !self.recording.is_blocked() {
            self.retry_at = None;
        }
        if self.life.next_tick().is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
        let (recorded, _) = self.recording.writer.recorded();
        if recorded > self.sync_asked && self.sync_due.is_none() {
            self.sync_due = Some(now + SYNC_US);
        }
        let due = self.sync_due.is_some_and(|due| due <= now);
        let much = recorded.saturating_sub(self.sync_asked) >= SYNC_BYTES;
        if due || much || std::mem::take(&mut self.recording.wants.sync) {
            self.ask_sync();
        }
    }

    fn ask_sync(&mut self) {
        self.sync_due = None;
        self.recording.close_entry();
        if self.syncer.is_none() {
            let Ok((output, index)) = self.recording.writer.handles() else { return };
            let Ok(journal) = self.recording.journal.handle() else { return };
            let files = Files { output, index, journal };
            self.syncer = Worker::start("sync", move |upto| (upto, files.sync())).ok();
        }
        let (recorded, _) = self.recording.writer.recorded();
        if let Some(syncer) = &mut self.syncer {
            // One in flight and one waiting cover everything: more would only queue.
            if syncer.pending < 2 {
                syncer.give(recorded);
                self.sync_asked = recorded;
            } else {
                self.sync_due = Some(self.recording.clock.at_us() + SYNC_US / 20);
            }
        }
    }

    fn carry_wishes(&mut self) {
        for (index, path) in std::mem::take(&mut self.recording.wants.artifacts) {
            match &mut self.collector {
                Some(collector) => collector.give(Job { index, path }),
                None => self.recording.emit(EventKind::ArtifactStored {
                    artifact: index,
                    sha256: None,
                    size: 0,
                    changed: false,
                    problem: Some("no thread could be started to copy it".to_owned()),
                }),
            }
        }
        if let Some(message) = self.recording.wants.stop.take() {
            self.input(Input::Stop { reason: Reason::StepError, message, kill: false });
        }
    }

    fn workers_idle(&self) -> bool {
        self.collector.as_ref().is_none_or(|worker| worker.pending == 0)
    }

    fn input(&mut self, input: Input) {
        let by = match &input {
            Input::Stop { message, .. } => message.clone(),
            _ => String::new(),
        };
        for effect in self.life.apply(self.now(), input) {
            match effect {
                Effect::RecordWish(reason) => {
                    self.recording.emit(EventKind::CancelRequested { reason, by: by.clone() });
                    // Durable before the first signal; a disk that cannot is no reason not to stop.
                    let _ = self.recording.journal.sync();
                }
                Effect::Signal(sig) => self.signal_tree(number(sig)),
                Effect::SignalHolders(sig) => self.signal_holders(number(sig)),
                Effect::Finish => self.finishing = true,
            }
        }
    }

    fn root(&self) -> i32 {
        if self.keeper_gone { keeper::this_pid() } else { self.keeper.pid }
    }

    fn signal_tree(&mut self, signal: i32) {
        let processes = tree::signal_descendants(self.root(), signal);
        if processes > 0 {
            self.recording.emit(EventKind::SignalSent { signal, processes });
        }
    }

    /// Signals what holds the script's output; a daemon that holds none of it is left alone.
    fn signal_holders(&mut self, signal: i32) {
        let mut hit = 0;
        for process in tree::descendants(self.root()) {
            let holds =
                self.sources.iter().any(|s| !s.ended && tree::holds_pipe(process.pid, s.inode));
            if holds && tree::signal_if_unchanged(&process, signal) {
                hit += 1;
                let name = format!("{} ({})", process.name, process.pid);
                if !self.leftover.contains(&name) {
                    self.leftover.push(name);
                }
            }
        }
        if hit > 0 {
            self.recording.emit(EventKind::SignalSent { signal, processes: hit });
        }
    }

    fn position(&self) -> Answer {
        let (bytes, lines) = self.recording.writer.recorded();
        let seq = self.recording.state.summary.position.seq;
        Answer::Position { bytes, lines, seq, safe: self.safe, ended: self.ended() }
    }

    fn ring(&mut self) {
        let here = (self.recording.writer.recorded().0, self.recording.state.summary.position.seq);
        self.ring_due = None;
        if here == self.rung || !self.doorbell.has_subscribers() {
            return;
        }
        let now = self.now();
        if now < self.rung_at + RING_US {
            self.ring_due = Some(self.rung_at + RING_US);
            return;
        }
        let position = self.position();
        self.doorbell.ring(&position);
        self.rung = here;
        self.rung_at = now;
    }
}

impl Source {
    fn grow_if_full(&mut self, count: usize) {
        if count < BUSY_BYTES {
            self.full_reads = 0;
            return;
        }
        self.full_reads += 1;
        if self.full_reads == FULL_READS {
            // EPERM: this user's share of pipe memory is used up; the pipe stays as it is.
            let _ = fcntl(&self.pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        }
    }
}

fn number(sig: Sig) -> i32 {
    match sig {
        Sig::Term => Signal::SIGTERM as i32,
        Sig::Kill => Signal::SIGKILL as i32,
    }
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut waiting, PollTimeout::ZERO), Ok(count) if count > 0)
}
