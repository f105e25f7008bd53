//! Starts a helper process that inherits chosen descriptors.

use std::{
    io,
    os::{fd::RawFd, unix::process::CommandExt},
    process::Command,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::SigSet,
    },
    unistd::{self},
};

use crate::host;

/// Lets the process that `command` starts keep `fds`, at the same numbers, without letting any
/// other process that is started meanwhile have them; and puts it into a session of its own, so
/// that what is sent to our terminal or group does not reach it. It gets the limit of open files
/// that we were started with: a soft limit above 1024 breaks programs that use `select`. With a `mask`
/// it has those signals blocked, whatever we block by now.
pub fn keep_fds_in_own_session(command: &mut Command, fds: Vec<RawFd>, mask: Option<SigSet>) {
    let files = host::fd_limit_before();
    let prepare = move || -> io::Result<()> {
        for fd in &fds {
            // SAFETY: `fcntl(F_SETFD)` on a number touches no memory; a bad number is EBADF.
            let result = unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) };
            Errno::result(result).map_err(io::Error::from)?;
        }
        if let Some(soft) = files {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
        }
        if let Some(mask) = &mask {
            mask.thread_set_mask()?;
        }
        unistd::setsid().map_err(io::Error::from)?;
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and calls only async-signal-safe functions
    // (fcntl, getrlimit, setrlimit, sigmask, setsid); it does not allocate: `io::Error::from(Errno)`
    // holds a number.
    unsafe { command.pre_exec(prepare) };
}
