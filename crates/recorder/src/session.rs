//! One recorder's life: start the keeper, wait in one place, act, end.

mod contain; // the control group of the tree
pub(crate) mod files; // what actions write their results to
mod finish; // the end: whole, synced, before anybody hears of it
mod hint; // a word to those whose script wanted a terminal
mod signal; // to the tree, and to those who hold the output
mod source; // where the output arrives
mod start; // from a spec to a released script
mod terminal; // what is typed, and the window's size

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::sys::{signal::Signal, signalfd::SignalFd};
use stepflow_model::{EventKind, ExecutionId, LogFull, OnDiskFull, Reason, Source as WayIn, Spec};
use stepflow_record::Storage;
use stepflow_sys::{
    cgroup::Cgroup,
    host::SocketDir,
    keeper::{self, Keeper, Message},
    lock::Lock,
    memory,
    tree::{self, Waited},
};

use crate::{
    artifact::Collecting,
    control::{Answer, Request, stdin_bytes},
    doorbell::Doorbell,
    durable::Durable,
    lifecycle::{Effect, Input, Lifecycle},
    pipe,
    ready::{Ready, readable},
    recording::Recording,
    results::{Reading, Wanted},
};
use signal::number;
use source::{Output, Source};
use terminal::Terminal;

/// Most bytes of one read: each is a write, and a round of everything else there is to look at.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// A disk that refused is asked again this often.
pub(crate) const RETRY_US: u64 = 250_000;

/// A disk that has refused for so long, under the policy to stop, is waited for no longer.
pub(crate) const GIVE_UP_US: u64 = 5_000_000;

struct Session {
    spec: Spec,
    dir: PathBuf,
    recording: Recording,
    keeper: Keeper,
    keeper_gone: bool,
    /// The control group of the tree, if it has one.
    group: Option<Cgroup>,
    /// Recorder and keeper have no child left, and the group is looked at again at this time.
    emptied_at: Option<u64>,
    main_status: Option<i32>,
    main_exited: bool,
    life: Lifecycle,
    sources: Vec<Source>,
    terminal: Option<Terminal>,
    /// What the last wait found.
    ready: Ready,
    doorbell: Doorbell,
    link: Option<File>,
    signals: SignalFd,
    collector: Collecting,
    /// Where copies of artifacts are.
    artifacts: PathBuf,
    /// Files of test results, which are read at the end, and what they say.
    reading: Reading,
    results: Vec<EventKind>,
    durable: Durable,
    retry_at: Option<u64>,
    /// The log is full and may not grow: the script waits.
    holds: bool,
    /// Since when the disk refuses.
    blocked_since: Option<u64>,
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

pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> SessionError {
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
    memory::be_frugal();
    let claim = Lock::inherited(fd).map_err(system("take over the claim"))?;
    // What the caller handed down is the script's, not ours.
    let inherited: Vec<i32> =
        keeper::open_fds().into_iter().filter(|at| *at > 2 && *at != fd && is_open(*at)).collect();
    record_under(&Storage::open(Path::new(root))?, id, claim, &inherited)
}

/// The same under a claim that this process has; `inherited`: descriptors that are the script's.
pub(crate) fn record_under(
    storage: &Storage,
    id: ExecutionId,
    claim: Lock,
    inherited: &[i32],
) -> Result<(), SessionError> {
    let spec = storage.spec(id)?;
    if spec.source == WayIn::Pipe {
        pipe::record(storage, spec, inherited)?;
    } else {
        let mut session = Session::start(storage, spec, &claim, inherited)?;
        session.run();
    }
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
            if let Some(terminal) = &mut self.terminal {
                terminal.feed();
            }
            if self.may_read() {
                self.read(&mut buffer);
            }
            self.tick();
            self.carry_wishes();
            if self.finishing
                && self.workers_idle()
                && !self.recording.is_blocked()
                && self.results_are_read()
            {
                self.end(&self.outcome());
            }
            self.ring();
        }
        // Subscribers hear of the end only now, after it is synced.
        let position = self.position();
        self.doorbell.ring(&position);
        self.keeper.dismiss();
        self.leave_group();
    }

    fn ended(&self) -> bool {
        self.recording.state.summary.status.is_end()
    }

    fn now(&self) -> u64 {
        self.recording.clock.at_us()
    }

    fn waits_for_sync(&self) -> bool {
        let (recorded, _) = self.recording.writer.recorded();
        self.durable.must_wait(recorded)
    }

    fn may_read(&self) -> bool {
        !self.recording.waits_for_disk() && !self.holds && !self.waits_for_sync()
    }

    /// Holds or stops the script whose log has reached its limit; one that is ending anyway is read
    /// to its end.
    fn mind_limit(&mut self) {
        let wanted = self.life.stopped().is_none() && !self.main_exited;
        let reached = self.recording.reached().filter(|_| wanted);
        if let Some((LogFull::Stop, max)) = reached {
            let message = limit_reached(max);
            self.input(Input::Stop { reason: Reason::OutputLimit, message, kill: false });
        }
        if self.recording.is_blocked() {
            // The disk is waited for first: when that is over, this is said anew.
            self.holds = false;
            return;
        }
        let holds = matches!(reached, Some((LogFull::Block, _)));
        if holds != std::mem::replace(&mut self.holds, holds) {
            self.recording.emit(match reached {
                Some((_, max)) if holds => EventKind::Paused { why: limit_reached(max) },
                _ => EventKind::Resumed {},
            });
            self.recording.wants.sync = true;
        }
    }

    fn wait(&mut self) {
        let reading = self.may_read();
        let mut fds: Vec<BorrowedFd<'_>> = self.doorbell.fds();
        fds.push(self.signals.as_fd());
        if !self.keeper_gone {
            fds.push(self.keeper.messages());
        }
        if reading {
            let open = self.sources.iter().filter(|s| !s.ended && s.again_at.is_none());
            fds.extend(open.map(|s| s.file.as_fd()));
        }
        fds.extend(self.durable.bell());
        fds.extend(self.collector.bell());
        fds.extend(self.reading.bell());
        if self.spec.bound {
            fds.extend(self.link.as_ref().map(AsFd::as_fd));
        }
        let typed = self.terminal.as_ref().and_then(Terminal::waits_for_room);
        let due = [
            self.recording.writer.entry_due_us().filter(|_| reading),
            self.life.next_tick(),
            self.durable.due_us(),
            self.doorbell.due_us(),
            // Refused by the last that was done in a round: the next one decides when it is tried again.
            self.retry_at.or(self.recording.is_blocked().then_some(0)),
            self.emptied_at,
            self.reading.due_us(),
            self.recording.progress_due_us(),
            self.recording.drop_due_us(),
            self.sources.iter().filter(|s| reading && !s.ended).filter_map(|s| s.again_at).min(),
        ];
        let due = due.into_iter().flatten().min();
        self.ready = Ready::wait(fds, typed, due.map(|at| at.saturating_sub(self.now())));
    }

    fn hear_signals(&mut self) {
        let told = self.ready.has(&self.signals);
        while told && let Ok(Some(signal)) = self.signals.read_signal() {
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
                    self.tree_emptied();
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
        let mut told = !self.keeper_gone && self.ready.has(self.keeper.messages());
        while told {
            match self.keeper.read_message() {
                Ok(Some(Message::Exited(status))) => {
                    self.main_status = Some(status);
                    self.main_ended();
                }
                Ok(Some(Message::Empty)) => self.tree_emptied(),
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
            told = !self.keeper_gone && readable(self.keeper.messages());
        }
    }

    fn hear_link(&mut self) {
        let gone = match &mut self.link {
            Some(link) if self.spec.bound && self.ready.has(&*link) => {
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
        for (number, request) in self.doorbell.requests(&self.ready) {
            let answer = match request {
                Ok(Request::Status) => self.position(),
                Ok(Request::Subscribe) => {
                    self.doorbell.subscribe(number);
                    self.position()
                }
                // The wish was noted because an answer to it was not heard: it may be known.
                Ok(Request::Cancel { noted: true, .. }) if self.life.stopped().is_some() => {
                    Answer::Ok
                }
                Ok(Request::Cancel { by, kill, .. }) => {
                    let message = if by.is_empty() {
                        "cancelled".to_owned()
                    } else {
                        format!("cancelled by {by}")
                    };
                    self.input(Input::Stop { reason: Reason::User, message, kill });
                    Answer::Ok
                }
                Ok(Request::Suspend {}) => {
                    self.input(Input::Suspend);
                    Answer::Ok
                }
                Ok(Request::Resume {}) => {
                    self.input(Input::Resume);
                    Answer::Ok
                }
                Ok(Request::Signal { signal }) => {
                    self.signal_tree(signal);
                    Answer::Ok
                }
                Ok(Request::Stdin { bytes }) => self.typed(stdin_bytes(&bytes)),
                Ok(Request::StdinEnd {}) => self.typed_all(),
                Ok(Request::Resize { cols, rows }) => self.resized(cols, rows),
                Err(error) => Answer::Error { error },
            };
            self.doorbell.answer(number, &answer);
        }
        self.doorbell.sweep();
    }

    fn hear_workers(&mut self) {
        for event in self.collector.take() {
            self.recording.emit(event);
            self.recording.wants.sync = true;
        }
    }

    fn tick(&mut self) {
        self.mind_limit();
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
        self.lose_patience(now);
        self.recording.mind_drop();
        if self.recording.progress_due_us().is_some_and(|due| due <= now) {
            self.recording.tell_progress();
        }
        if self.emptied_at.is_some_and(|at| at <= now) {
            self.tree_emptied();
        }
        if self.life.next_tick().is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
        self.recording.make_durable(&mut self.durable);
    }

    /// Stops the script if the disk has refused for long enough and the policy says so.
    fn lose_patience(&mut self, now: u64) {
        if !self.recording.is_blocked() {
            self.blocked_since = None;
            return;
        }
        let since = *self.blocked_since.get_or_insert(now);
        if self.spec.on_disk_full == OnDiskFull::Kill
            && !self.recording.has_given_up()
            && now >= since + GIVE_UP_US
        {
            let (reason, message) = self.recording.give_up((now - since) / 1_000_000);
            self.input(Input::Stop { reason, message, kill: false });
        }
    }

    fn carry_wishes(&mut self) {
        for (index, path) in std::mem::take(&mut self.recording.wants.artifacts) {
            if let Some(problem) = self.collector.give(index, path) {
                self.recording.emit(problem);
            }
        }
        if let Some(message) = self.recording.wants.stop.take() {
            self.input(Input::Stop { reason: Reason::StepError, message, kill: false });
        }
    }

    /// Reads files of test results; whether that is done, or given up.
    fn results_are_read(&mut self) -> bool {
        let now = self.now();
        let (spec, state, artifacts) = (&self.spec, &self.recording.state, &self.artifacts);
        match self.reading.go_on(now, || Wanted::of(spec, state, artifacts)) {
            Some(told) => {
                self.results.extend(told);
                true
            }
            None => false,
        }
    }

    fn workers_idle(&self) -> bool {
        self.collector.is_idle()
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
                Effect::Suspend => self.suspend_tree(),
                Effect::Resume => self.signal_tree(Signal::SIGCONT as i32),
                Effect::Finish => self.finishing = true,
            }
        }
    }

    fn position(&self) -> Answer {
        let (bytes, lines) = self.recording.writer.recorded();
        let seq = self.recording.state.summary.position.seq;
        Answer::Position { bytes, lines, seq, safe: self.durable.safe(), ended: self.ended() }
    }

    fn ring(&mut self) {
        let position = self.position();
        self.doorbell.tell(&position, self.now());
    }
}

/// Why a script waits, or was stopped.
pub(crate) fn limit_reached(max: u64) -> String {
    format!("the output has reached log_max_bytes ({max} bytes)")
}
