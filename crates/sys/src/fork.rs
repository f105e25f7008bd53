//! A process that goes on with a copy of this one's memory, and what makes the copy its own.
//!
//! A copy shares every page that neither side writes to, and repeats nothing that its parent has
//! done: no program is loaded, linked or relocated. All of it needs a process with a single thread:
//! a lock that another thread holds would stay locked in the copy for ever.

use std::{
    env,
    ffi::{CStr, OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    ptr,
};

use nix::{
    libc,
    sys::{
        prctl,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    },
    unistd::{self, ForkResult},
};

use crate::keeper;

/// Which of the two processes goes on here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that called; the other's pid.
    Parent(i32),
    /// The new one.
    Child,
}

/// Forks this process.
///
/// # Errors
/// It has more than one thread, or what `fork` says.
pub fn fork() -> io::Result<Side> {
    alone()?;
    // SAFETY: there is no other thread, so the child may use everything, as if it had begun alone.
    Ok(match unsafe { unistd::fork() }? {
        ForkResult::Child => Side::Child,
        ForkResult::Parent { child } => Side::Parent(child.as_raw()),
    })
}

/// Children of this process leave nothing behind that must be reaped. One that waits for children
/// of its own calls [`reap_own_children`] first.
pub fn leave_no_zombies() -> io::Result<()> {
    dispose(Signal::SIGCHLD, SigHandler::SigIgn)
}

/// The end of a child is to be asked for again, as when a program begins.
pub fn reap_own_children() -> io::Result<()> {
    dispose(Signal::SIGCHLD, SigHandler::SigDfl)
}

fn dispose(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is involved: the kernel's own dispositions.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// A session of its own: what is sent to our terminal or group does not reach this process.
pub fn own_session() -> io::Result<()> {
    unistd::setsid()?;
    Ok(())
}

/// Puts `stdin`, `stdout` and `/dev/null` in the place of the standard three.
pub fn take_standard_streams(stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>) -> io::Result<()> {
    let null = fs::File::options().write(true).open("/dev/null")?;
    unistd::dup2_stdin(stdin)?;
    unistd::dup2_stdout(stdout)?;
    unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Takes what standard input is as a descriptor of its own, closes everything else that this process
/// was started with, and puts `/dev/null` in the place of the standard three. Call it once, before
/// anything is opened.
pub fn take_input() -> io::Result<OwnedFd> {
    let handed_down: Vec<_> = keeper::open_fds().into_iter().filter(|fd| *fd > 2).collect();
    keeper::close_inherited(&handed_down);
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    keeper::detach_standard_streams();
    Ok(input)
}

/// Makes `variables` the whole environment of this process, and of the programs that it becomes.
///
/// # Errors
/// A name that cannot be one, or a NUL byte; or there are other threads. Nothing is changed then.
pub fn replace_environment(variables: &[(OsString, OsString)]) -> io::Result<()> {
    alone()?;
    let is_sound = |(name, value): &(OsString, OsString)| {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0)
    };
    if !variables.iter().all(is_sound) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: there is no other thread that could read the environment meanwhile.
    unsafe {
        libc::clearenv();
        for (name, value) in variables {
            env::set_var(name, value);
        }
    }
    Ok(())
}

/// The words that this process was started with, as `ps` shows them: to be written over.
#[derive(Debug)]
pub struct Words {
    start: *mut u8,
    length: usize,
}

impl Words {
    /// Those of this process.
    ///
    /// # Errors
    /// There are other threads, or `/proc` cannot be read.
    pub fn of_this_process() -> io::Result<Self> {
        alone()?;
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The name in brackets may hold anything. Fields are numbered from 3 behind it; 48 and 49
        // are where the words begin and end. Source: proc_pid_stat(5).
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(45));
        let mut fields = fields.into_iter().flatten().map(str::parse::<usize>);
        match (fields.next(), fields.next()) {
            (Some(Ok(start)), Some(Ok(end))) if 0 < start && start < end => {
                Ok(Self { start: ptr::with_exposed_provenance_mut(start), length: end - start })
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Writes the words of `to` over those of `from`, which are as long together and follow each
    /// other. Returns whether they were there.
    pub fn replace(&mut self, from: &[&OsStr], to: &[&OsStr]) -> bool {
        let line = |words: &[&OsStr]| -> Vec<u8> {
            words.iter().flat_map(|word| [word.as_bytes(), b"\0"]).collect::<Vec<_>>().concat()
        };
        let (from, to) = (line(from), line(to));
        if from.len() != to.len() || from.is_empty() || alone().is_err() {
            return false;
        }
        // SAFETY: the kernel put the words there, on the first thread's stack, for the process to
        // use as it likes; they stay for its life. No other thread reads them meanwhile, and no
        // reference to them is kept: `env::args` copies. Each word stays as long as it was.
        let known = unsafe { std::slice::from_raw_parts_mut(self.start, self.length) };
        let at = known.windows(from.len()).position(|window| window == from);
        at.inspect(|at| known[*at..at + to.len()].copy_from_slice(&to)).is_some()
    }
}

/// Names this process in lists: at most 15 bytes of `name` count.
pub fn name(name: &CStr) {
    let _ = prctl::set_name(name);
}

/// Makes sure that this process has a single thread.
fn alone() -> io::Result<()> {
    // A directory for each thread, beside `.` and `..`.
    if fs::metadata("/proc/self/task")?.nlink() == 3 {
        Ok(())
    } else {
        Err(io::Error::other("this process has other threads"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_another_thread_nothing_is_forked_and_nothing_changes() {
        // Tests run in threads of their own, so there is always another.
        assert!(fork().is_err());
        assert!(replace_environment(&[("STEPFLOW_FORK_TEST".into(), "1".into())]).is_err());
        assert!(env::var_os("STEPFLOW_FORK_TEST").is_none() && env::var_os("PATH").is_some());
        assert!(Words::of_this_process().is_err());
    }
}
