//! Starts a helper process that inherits chosen descriptors.

use std::{
    io,
    os::{fd::RawFd, unix::process::CommandExt},
    process::Command,
};

use nix::{
    errno::Errno,
    libc,
    unistd::{self},
};

/// Lets the process that `command` starts keep `fds`, at the same numbers, without letting any
/// other process that is started meanwhile have them; and puts it into a session of its own, so
/// that what is sent to our terminal or group does not reach it.
pub fn keep_fds_in_own_session(command: &mut Command, fds: Vec<RawFd>) {
    let prepare = move || -> io::Result<()> {
        for fd in &fds {
            // SAFETY: `fcntl(F_SETFD)` on a number touches no memory; a bad number is EBADF.
            let result = unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) };
            Errno::result(result).map_err(io::Error::from)?;
        }
        unistd::setsid().map_err(io::Error::from)?;
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec and calls only async-signal-safe functions
    // (fcntl, setsid); it does not allocate: `io::Error::from(Errno)` holds a number.
    unsafe { command.pre_exec(prepare) };
}
