//! What a wait found: only that is looked at. One line of a script costs a few calls of the system,
//! not one for each descriptor that a recorder has.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The descriptors on which something happened.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    fds: Vec<RawFd>,
    /// The wait was broken off: anything may have happened.
    anything: bool,
}

impl Ready {
    /// Waits until one of `readable` is, or has hung up, or `writable` has room; at most for
    /// `for_us`, in microseconds.
    pub(crate) fn wait<'a>(
        readable: impl IntoIterator<Item = BorrowedFd<'a>>,
        writable: Option<BorrowedFd<'a>>,
        for_us: Option<u64>,
    ) -> Self {
        let mut waiting: Vec<_> =
            readable.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        waiting.extend(writable.map(|fd| PollFd::new(fd, PollFlags::POLLOUT)));
        let timeout = match for_us {
            Some(0) => PollTimeout::ZERO,
            // Rounded up: a wait that is over too early would only spin.
            Some(us) => {
                let wait = Duration::from_micros(us.saturating_add(999));
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut waiting, timeout) {
            Ok(_) => {
                let happened = |one: &&PollFd<'_>| one.any() != Some(false);
                let ready = waiting.iter().filter(happened);
                Self { fds: ready.map(|one| one.as_fd().as_raw_fd()).collect(), anything: false }
            }
            Err(_) => Self { fds: Vec::new(), anything: true },
        }
    }

    /// Whether to look at `fd`.
    pub(crate) fn has(&self, fd: impl AsFd) -> bool {
        self.anything || self.fds.contains(&fd.as_fd().as_raw_fd())
    }
}

/// Whether something can be read from `fd` right now.
pub(crate) fn readable(fd: BorrowedFd<'_>) -> bool {
    Ready::wait([fd], None, Some(0)).has(fd)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn only_what_happened_is_ready() {
        let (quiet, _held) = UnixStream::pair().unwrap();
        let (said, mut says) = UnixStream::pair().unwrap();
        let (hung, gone) = UnixStream::pair().unwrap();
        says.write_all(b"!").unwrap();
        drop(gone);
        let fds = || [quiet.as_fd(), said.as_fd(), hung.as_fd()];
        let ready = Ready::wait(fds(), None, None);
        assert!(!ready.has(&quiet) && ready.has(&said) && ready.has(&hung));
        let ready = Ready::wait([quiet.as_fd()], Some(says.as_fd()), None);
        assert!(!ready.has(&quiet) && ready.has(&says), "there is room");
        assert!(!readable(quiet.as_fd()) && readable(said.as_fd()));
    }
}
