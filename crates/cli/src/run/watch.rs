//! Shows a record until its end: waits in one place, hands on keys and signals.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
    time::Duration,
};

use nix::sys::{
    signal::{SigSet, Signal, raise},
    signalfd::{SfdFlags, SignalFd},
};
use stepflow_recorder::control::Request;

use super::{
    Display, FRAME,
    follow::Follower,
    keyboard::{Keyboard, Wish},
    look::Look,
    report::report,
    terminal::{self, RawMode},
};
use crate::{
    failure::Failure,
    text::{text, why},
};

/// What signals mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// The script is to stop.
    Cancel,
    /// What is piped in is to end; its writer, who hears of Ctrl-C as well, may say its last words.
    EndInput,
    /// We are to go; the script goes on.
    Leave,
}

/// Why the watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The execution has ended, and all is shown.
    Ended,
    /// Nobody reads what we show.
    Unread,
    /// The detach keys.
    Detached,
    /// A signal that means us.
    Signal(u32),
}

/// Somebody who looks at an execution.
pub struct Watch {
    pub follower: Follower,
    pub display: Box<dyn Display>,
    /// Where keys and sizes go, if the execution has a terminal.
    pub keyboard: Option<Keyboard>,
    /// Ours hands every key on while this lives.
    pub raw: Option<RawMode>,
    pub signals: Signals,
}

impl Watch {
    /// Watches until the execution has ended, or we are to go.
    pub fn until_the_end(&mut self) -> Result<Left, Failure> {
        let signals = block_signals(self.keyboard.is_some())?;
        let stdin = io::stdin();
        let mut asked = 0;
        loop {
            let keyboard = self.keyboard.as_ref();
            let mut others = vec![signals.as_fd()];
            others.extend(keyboard.map(|keys| keys.fds(&stdin)).into_iter().flatten());
            let wait = keyboard.and_then(Keyboard::waits).map_or(FRAME, |wait| wait.min(FRAME));
            self.follower.wait(wait, &others);
            while let Ok(Some(signal)) = signals.read_signal() {
                if signal.ssi_signo == Signal::SIGWINCH as u32 {
                    self.resized();
                } else if signal.ssi_signo == Signal::SIGUSR1 as u32 {
                    // What has come since is part of the answer. An end is seen below.
                    let _ = self.follower.look()?;
                    let look = Look::on(self.display.answers_on_terminal());
                    self.display.report(report(&look, &mut self.follower)?);
                } else if signal.ssi_signo == Signal::SIGTSTP as u32 {
                    self.suspend();
                } else if self.signals == Signals::Leave {
                    self.raw = None;
                    return Ok(Left::Signal(signal.ssi_signo));
                } else {
                    asked += 1;
                    self.cancel(signal.ssi_signo, asked > 1);
                }
            }
            if self.keyboard.as_mut().map(Keyboard::pump) == Some(Wish::Detach) {
                self.raw = None;
                return Ok(Left::Detached);
            }
            let ended = self.follower.look()?;
            if ended {
                break;
            }
            if let Err(failure) = self.display.update(&mut self.follower) {
                self.raw = None;
                return if failure.nobody_reads() { Ok(Left::Unread) } else { Err(failure) };
            }
        }
        if let Some(raw) = self.raw.take() {
            // What is left to show was made for a terminal in this state.
            let _ = self.display.update(&mut self.follower);
            match asked {
                0 => raw.end_in_order(),
                _ => drop(raw),
            }
        }
        match self.display.finish(&mut self.follower) {
            Ok(()) => Ok(Left::Ended),
            // Who has seen enough gets the script's own code all the same.
            Err(failure) if failure.nobody_reads() => Ok(Left::Ended),
            Err(failure) => Err(failure),
        }
    }

    /// Ctrl-Z: the script and its time limits stand still as long as we do.
    fn suspend(&mut self) {
        self.display.leave();
        let ours = self.signals == Signals::Cancel;
        if ours {
            self.follower.ask(&Request::Suspend {});
        }
        stand_still();
        if ours {
            self.follower.ask(&Request::Resume {});
        }
        self.display.again();
    }

    fn resized(&mut self) {
        self.display.again();
        if let (Some(keyboard), Some(size)) = (&mut self.keyboard, terminal::own_size()) {
            keyboard.resize(size);
        }
    }

    fn cancel(&mut self, signal: u32, kill: bool) {
        self.follower.cancel(name_of(signal), kill);
        let text = text();
        let grace = Duration::from_millis(self.follower.view.spec.grace_ms);
        match (self.signals, kill) {
            (Signals::EndInput, false) => self.display.say(text.ending_with_input),
            (Signals::EndInput, true) => self.display.say(text.ending),
            (_, false) => self.display.stopping(text.stopping_at_once, grace),
            (_, true) => self.display.say(text.killing),
        }
    }
}

/// Stops this process as Ctrl-Z does, until it is told to go on.
fn stand_still() {
    let stop: SigSet = [Signal::SIGTSTP].into_iter().collect();
    if raise(Signal::SIGTSTP).is_ok() {
        let _ = stop.thread_unblock(); // Here we stand, and here we go on.
        let _ = stop.thread_block();
    }
}

/// Blocks the signals that we read from a descriptor, which is returned. With `keys` every key is the
/// script's: Ctrl-Z as well, so SIGTSTP keeps its meaning for whoever sends it.
pub fn block_signals(keys: bool) -> Result<SignalFd, Failure> {
    let mut mask: SigSet =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGWINCH]
            .into_iter()
            .collect();
    if keys || io::stdout().is_terminal() {
        // It would end us with the terminal in a state that is no use to its owner.
        mask.add(Signal::SIGQUIT);
    }
    if !keys {
        mask.add(Signal::SIGTSTP);
    }
    mask.thread_block()
        .and_then(|()| SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK))
        .map_err(|errno| Failure::new(why::cannot_watch_signals(errno.desc())))
}

fn name_of(signal: u32) -> &'static str {
    match i32::try_from(signal).ok().and_then(|s| Signal::try_from(s).ok()) {
        Some(Signal::SIGINT) => "Ctrl-C",
        Some(Signal::SIGHUP) => "a hang-up of the terminal",
        Some(Signal::SIGQUIT) => "SIGQUIT",
        _ => "SIGTERM",
    }
}
