//! Hears signals, and that the terminal is gone, on a thread of its own.
//!
//! Reading keys from a terminal that is gone does not come back (crossterm asks again for ever),
//! and writing to one that is held by Ctrl-S does not either: whoever ends us is obeyed all the
//! same.

use std::{io, os::fd::AsFd, sync::mpsc::Sender, thread, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use ratatui::crossterm::terminal::disable_raw_mode;

use crate::{failure::Failure, text::why};

/// Whoever draws has this long to give the terminal back.
const GRACE: Duration = Duration::from_millis(500);

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// To stand still, as by Ctrl-Z.
    Suspend,
    /// To end, by this signal.
    End(u32),
}

/// Begins to listen. Called before any other thread is there: they inherit that signals are read
/// here alone.
pub fn listen(tell: Sender<Heard>) -> Result<(), Failure> {
    let mut ours = SigSet::empty();
    for signal in
        [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP]
    {
        ours.add(signal);
    }
    let signals = ours
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&ours, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
        .map_err(|errno: Errno| Failure::new(why::cannot_watch_signals(errno.desc())))?;
    thread::spawn(move || {
        let end = hear(&signals, &tell);
        if tell.send(Heard::End(end)).is_ok() {
            thread::sleep(GRACE);
        }
        // It could not: it hangs on a terminal that does not answer.
        let _ = disable_raw_mode();
        std::process::exit(128 + end as i32);
    });
    Ok(())
}

/// Hands on what is no end; returns the signal that is one.
fn hear(signals: &SignalFd, tell: &Sender<Heard>) -> u32 {
    let terminal = io::stdin();
    loop {
        // Of the terminal nothing is asked but whether it is there, which is always told.
        let mut fds = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.as_fd(), PollFlags::empty()),
        ];
        if poll(&mut fds, PollTimeout::NONE).is_err_and(|errno| errno != Errno::EINTR) {
            return Signal::SIGHUP as u32;
        }
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let hung_up = fds[1].revents().is_some_and(|events| events.intersects(gone));
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo != Signal::SIGTSTP as u32 {
                return signal.ssi_signo;
            }
            if tell.send(Heard::Suspend).is_err() {
                return Signal::SIGTERM as u32;
            }
        }
        if hung_up {
            return Signal::SIGHUP as u32;
        }
    }
}
