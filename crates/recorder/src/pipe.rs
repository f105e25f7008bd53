//! A recorder whose source is its standard input: what somebody piped into `stepflow pipe`.
//!
//! There is no script: nothing is started, and nothing is signalled. It ends when the input does.

use std::{
    env,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use stepflow_model::{EventKind, LogFull, OnDiskFull, Spec};
use stepflow_record::Storage;
use stepflow_sys::{host::SocketDir, keeper};

use crate::{
    artifact::{Collecting, Collector},
    control::{Answer, Request},
    doorbell::Doorbell,
    durable::Durable,
    inflow::{End, Inflow},
    mask::Masker,
    ready::{Ready, readable},
    results::{Reading, Wanted},
    session::{GIVE_UP_US, READ_BYTES, RETRY_US, SessionError, limit_reached, system},
};

struct Pipe {
    spec: Spec,
    inflow: Inflow,
    /// `None`: nothing more is read.
    input: Option<File>,
    /// What the last wait found.
    ready: Ready,
    doorbell: Doorbell,
    link: Option<File>,
    signals: SignalFd,
    collector: Collecting,
    /// Where copies of artifacts are.
    artifacts: PathBuf,
    /// Files of test results, which are read at the end.
    reading: Reading,
    end: Option<End>,
    /// Somebody wants it to end: until then the input has time to.
    cut_at: Option<u64>,
    durable: Durable,
    retry_at: Option<u64>,
    /// The log is full and may not grow: the writer waits.
    holds: bool,
    /// Since when the disk refuses.
    blocked_since: Option<u64>,
}

/// Records standard input to its end. Standard output is the link to whoever started us.
pub(crate) fn record(storage: &Storage, spec: Spec, inherited: &[i32]) -> Result<(), SessionError> {
    Pipe::start(storage, spec, inherited)?.run();
    Ok(())
}

impl Pipe {
    fn start(storage: &Storage, spec: Spec, inherited: &[i32]) -> Result<Self, SessionError> {
        let dir = storage.record_dir(spec.id);
        let names = spec.mask_env.iter();
        let secrets: Vec<(&String, Vec<u8>)> =
            names.filter_map(|name| Some((name, env::var_os(name)?.into_vec()))).collect();
        let unused = spec.mask_env.iter().filter(|name| {
            let known = secrets.iter().find(|(known, _)| known == name);
            known.is_none_or(|(_, value)| Masker::is_too_short(value))
        });
        let unused: Vec<&String> = unused.collect();
        let masker = Masker::new(secrets.iter().map(|(_, value)| value.clone()));
        let mut inflow = Inflow::create_here(&dir, &spec, masker)?;
        for name in unused {
            let message = format!("`{name}` is not set, or too short to be masked");
            inflow.warn("mask_unused", message);
        }
        let run = SocketDir::open(&storage.run_dir()).map_err(system("open the run directory"))?;
        let listener =
            run.bind(&Storage::socket_name(spec.id)).map_err(system("bind the control socket"))?;
        let doorbell = Doorbell::new(listener).map_err(system("bind the control socket"))?;
        keeper::block_signals().map_err(system("block signals"))?;
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(system("take the input"))?;
        let link = io::stdout().as_fd().try_clone_to_owned().map_err(system("keep the link"))?;
        // Held open by us, the writing end of our own input would never end it.
        keeper::close_inherited(inherited);
        keeper::detach_standard_streams();
        let watched: SigSet =
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        let signals =
            SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
                .map_err(|errno| system("watch signals")(errno.into()))?;
        inflow.sync()?;
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(system("sync the record"))?;
        let mut link = File::from(link);
        let _ = link.write_all(b"started\n"); // Whoever started us may be gone already.

        let collector =
            Collector { cwd: PathBuf::from(&spec.cwd), target: storage.artifact_dir(spec.id) };
        let durable = Durable::new(spec.log_sync, spec.id);
        Ok(Self {
            artifacts: storage.artifact_dir(spec.id),
            reading: Reading::default(),
            spec,
            inflow,
            input: Some(File::from(input)),
            ready: Ready::default(),
            doorbell,
            link: Some(link),
            signals,
            collector: Collecting::new(collector),
            end: None,
            cut_at: None,
            durable,
            retry_at: None,
            holds: false,
            blocked_since: None,
        })
    }

    fn run(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        while !self.inflow.is_sealed() || self.inflow.is_blocked() {
            self.wait();
            let told = self.ready.has(&self.signals);
            while told && let Ok(Some(_)) = self.signals.read_signal() {
                self.cancel("SIGTERM", true);
            }
            self.hear_link();
            self.hear_callers();
            self.hear_workers();
            self.read(&mut buffer);
            self.tick();
            self.finish_if_due();
            self.ring();
        }
        // Nobody hears of the end before it is synced.
        self.inflow.sync_end(&mut self.durable);
        self.inflow.give_reserve_back();
        let position = self.position();
        self.doorbell.ring(&position);
    }

    fn now(&self) -> u64 {
        self.inflow.now_us()
    }

    fn may_read(&self) -> bool {
        self.input.is_some()
            && !self.inflow.waits_for_disk()
            && !self.holds
            && !self.durable.must_wait(self.inflow.position().bytes)
    }

    fn wait(&mut self) {
        let mut fds: Vec<BorrowedFd<'_>> = self.doorbell.fds();
        fds.push(self.signals.as_fd());
        fds.extend(self.durable.bell());
        fds.extend(self.collector.bell());
        fds.extend(self.reading.bell());
        fds.extend(self.link.as_ref().map(AsFd::as_fd));
        if self.may_read() {
            fds.extend(self.input.as_ref().map(AsFd::as_fd));
        }
        let entry = self.inflow.entry_due_us().filter(|_| !self.inflow.is_blocked());
        let cut = self.cut_at.filter(|_| self.may_read());
        let progress = self.inflow.progress_due_us().filter(|_| !self.inflow.is_blocked());
        let drop = self.inflow.drop_due_us();
        // Refused by the last that was done in a round: the next one decides when it is tried again.
        let retry = self.retry_at.or(self.inflow.is_blocked().then_some(0));
        let reading = self.reading.due_us();
        let due = [
            entry,
            progress,
            self.durable.due_us(),
            self.doorbell.due_us(),
            retry,
            cut,
            drop,
            reading,
        ];
        let due = due.into_iter().flatten().min();
        self.ready = Ready::wait(fds, None, due.map(|at| at.saturating_sub(self.now())));
    }

    /// The first time the input may go on to its end, within the grace period; then it is cut.
    fn cancel(&mut self, by: &str, at_once: bool) {
        if self.end.is_none() {
            self.inflow.note_cancel(by);
            self.end = Some(End::Cancelled { by: by.to_owned() });
        }
        let grace_us = if at_once { 0 } else { self.spec.grace_ms * 1_000 };
        let cut_at = self.now() + grace_us;
        self.cut_at = Some(self.cut_at.map_or(cut_at, |at| at.min(cut_at)));
    }

    fn hear_link(&mut self) {
        let Some(link) = &mut self.link else { return };
        if self.ready.has(&*link) && !matches!(link.read(&mut [0; 16]), Ok(count) if count > 0) {
            self.link = None;
            self.end.get_or_insert(End::ClientGone);
            self.cut_at = Some(self.now());
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
                Ok(Request::Cancel { by, kill, .. }) => {
                    let again = self.cut_at.is_some();
                    self.cancel(&by, kill || again);
                    // The wish is durable before it is answered, as far as the disk can.
                    let _ = self.inflow.sync();
                    Answer::Ok
                }
                Ok(_) => Answer::Error { error: "it has no script: it records a pipe".to_owned() },
                Err(error) => Answer::Error { error },
            };
            self.doorbell.answer(number, &answer);
        }
        self.doorbell.sweep();
    }

    fn hear_workers(&mut self) {
        for event in self.collector.take() {
            self.inflow.note(event);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        if !self.may_read() {
            return;
        }
        // Shared with whoever else has it, so it stays as it is, blocking: only read when ready.
        let Some(input) = self.input.as_mut().filter(|input| readable(input.as_fd())) else {
            return;
        };
        match input.read(buffer) {
            Ok(0) => {
                self.input = None;
                self.end.get_or_insert(End::Closed { exit_code: None });
            }
            Ok(count) => {
                self.inflow.take(&buffer[..count]);
                for (index, path) in self.inflow.take_artifacts() {
                    if let Some(problem) = self.collector.give(index, path) {
                        self.inflow.note(problem);
                    }
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => {
                self.input = None;
                let message = format!("the input cannot be read any more: {error}");
                self.end.get_or_insert(End::Lost { message });
            }
        }
    }

    /// Holds or ends the input whose log has reached its limit.
    fn mind_limit(&mut self) {
        let wanted = self.end.is_none() && self.input.is_some();
        let reached = self.inflow.reached().filter(|_| wanted);
        if let Some((LogFull::Stop, max)) = reached {
            self.end = Some(End::Full { message: limit_reached(max) });
            self.cut_at = Some(self.now());
        }
        if self.inflow.is_blocked() {
            // The disk is waited for first: when that is over, this is said anew.
            self.holds = false;
            return;
        }
        let holds = matches!(reached, Some((LogFull::Block, _)));
        if holds != std::mem::replace(&mut self.holds, holds) {
            self.inflow.note(match reached {
                Some((_, max)) if holds => EventKind::Paused { why: limit_reached(max) },
                _ => EventKind::Resumed {},
            });
        }
    }

    fn tick(&mut self) {
        self.mind_limit();
        let now = self.now();
        let due = [self.inflow.entry_due_us(), self.inflow.progress_due_us()];
        if due.into_iter().flatten().any(|due| due <= now) {
            self.inflow.close_entry();
        }
        if !self.inflow.is_blocked() {
            self.retry_at = None;
        } else if self.retry_at.is_none_or(|at| at <= now) {
            if self.retry_at.take().is_some() {
                self.inflow.retry();
            }
            self.retry_at = self.inflow.is_blocked().then_some(now + RETRY_US);
        }
        self.lose_patience(now);
        self.inflow.mind_drop();
        self.inflow.make_durable(&mut self.durable);
    }

    /// Ends the record if the disk has refused for long enough and the policy says so: whoever writes
    /// into the pipe learns it from the pipe.
    fn lose_patience(&mut self, now: u64) {
        if !self.inflow.is_blocked() {
            self.blocked_since = None;
            return;
        }
        let since = *self.blocked_since.get_or_insert(now);
        let given_up = self.inflow.has_given_up();
        if self.spec.on_disk_full == OnDiskFull::Kill && !given_up && now >= since + GIVE_UP_US {
            let refused = self.inflow.give_up((now - since) / 1_000_000);
            // Who was cancelled before stays cancelled.
            match &mut self.end {
                Some(End::Closed { .. }) | None => self.end = Some(refused),
                Some(_) => {}
            }
            self.input = None;
        }
    }

    fn finish_if_due(&mut self) {
        if self.cut_at.is_some_and(|at| at <= self.now()) && self.may_read() {
            // What is in the pipe already belongs to the record; the writer is not waited for.
            let mut rest = vec![0; READ_BYTES];
            let mut left = READ_BYTES; // A writer that never stops fills no more than this.
            while left > 0 && self.input.as_ref().is_some_and(|input| readable(input.as_fd())) {
                let before = self.inflow.received();
                self.read(&mut rest[..left]);
                left = left.saturating_sub((self.inflow.received() - before).max(1) as usize);
            }
            self.input = None;
        }
        if self.input.is_some() || !self.collector.is_idle() {
            return;
        }
        let Some(end) = self.end.clone() else { return };
        let (now, spec, artifacts) = (self.now(), &self.spec, &self.artifacts);
        let state = self.inflow.state();
        match self.reading.go_on(now, || Wanted::of(spec, state, artifacts)) {
            Some(told) => self.inflow.keep_results(told),
            None => return,
        }
        if !self.inflow.is_sealed() && self.inflow.end(end) {
            self.inflow.sync_output(&mut self.durable);
            self.inflow.seal();
        }
    }

    fn position(&self) -> Answer {
        let position = self.inflow.position();
        Answer::Position {
            bytes: position.bytes,
            lines: position.lines,
            seq: position.seq,
            safe: self.durable.safe(),
            ended: self.inflow.is_sealed() && !self.inflow.is_blocked(),
        }
    }

    fn ring(&mut self) {
        if self.inflow.is_sealed() {
            return self.doorbell.tell_no_more();
        }
        let position = self.position();
        self.doorbell.tell(&position, self.now());
    }
}
