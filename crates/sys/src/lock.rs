//! Open-file-description locks (`F_OFD_SETLK`): held as long as any process has the open file.
//!
//! Unlike `flock` a look ([`is_held`]) takes nothing, so a prober cannot make a starter fail; unlike
//! POSIX record locks a close elsewhere in the process does not drop it. Source: Linux `fcntl(2)`.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use crate::fds;

/// A lock that is held: by this value, and by every process that inherits its descriptor.
#[derive(Debug)]
pub struct Lock(File);

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0, // Must be 0 for OFD locks.
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

impl Lock {
    /// Takes the lock on `path`, creating the file; `Ok(None)` if somebody else holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(Some(Self(file))),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes over a lock whose descriptor `fd` this process was started with, and keeps it from
    /// the programs that this process starts. Call it once, before anything else is opened.
    ///
    /// # Errors
    /// `fd` is not open, or is one of the standard three.
    pub fn inherited(fd: RawFd) -> io::Result<Self> {
        if fd <= 2 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: `fcntl(F_SETFD)` on a number touches no memory; a bad number is EBADF.
        Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: the descriptor is open, came from outside, and nothing in this process owns it.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Takes a lock on `path` that another process has handed over, which goes on holding it too.
    ///
    /// # Errors
    /// `InvalidInput`: the descriptor is not that file, or does not hold its lock.
    pub fn received(fd: OwnedFd, path: &Path) -> io::Result<Self> {
        let file = File::from(fd);
        let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
        let same = (ours.dev(), ours.ino()) == (there.dev(), there.ino());
        // Held by somebody, and by nobody else: then by this descriptor.
        if !same || !is_held(path)? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES | Errno::EBADF) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Err(errno) => return Err(errno.into()),
        }
        fds::close_on_exec(&file)?;
        Ok(Self(file))
    }

    /// The lock's descriptor.
    pub fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The file, for what its holder wants to write into it.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether anybody holds the lock on `path`. A missing file is not held.
pub fn is_held(path: &Path) -> io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut ask = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut ask))?;
    Ok(libc::c_int::from(ask.l_type) != libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_without_being_taken_and_goes_with_its_last_descriptor() {
        let dir = std::env::temp_dir().join(format!("stepflow-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("claim");
        assert!(!is_held(&path).unwrap());
        let lock = Lock::try_take(&path).unwrap().unwrap();
        assert!(is_held(&path).unwrap());
        assert!(Lock::try_take(&path).unwrap().is_none(), "an open file of its own conflicts");
        let second = lock.as_fd().try_clone_to_owned().unwrap();
        drop(lock);
        assert!(is_held(&path).unwrap(), "a duplicate shares the open file description");
        drop(second);
        assert!(!is_held(&path).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
    #[test]
    fn only_the_descriptor_that_holds_a_lock_is_received() {
        let dir = std::env::temp_dir().join(format!("stepflow-received-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, other) = (dir.join("lock"), dir.join("other"));
        let lock = Lock::try_take(&path).unwrap().unwrap();
        let elsewhere = Lock::try_take(&other).unwrap().unwrap();
        let refused = |fd: OwnedFd| Lock::received(fd, &path).unwrap_err().kind();
        let copy = |lock: &Lock| lock.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(refused(copy(&elsewhere)), io::ErrorKind::InvalidInput, "another file");
        let opened = open(&path).unwrap();
        assert_eq!(refused(opened.into()), io::ErrorKind::InvalidInput, "does not hold it");
        let received = Lock::received(copy(&lock), &path).unwrap();
        drop(lock);
        assert!(is_held(&path).unwrap(), "it was never free");
        let opened = open(&path).unwrap();
        drop(received);
        assert_eq!(refused(opened.into()), io::ErrorKind::InvalidInput, "nobody holds it");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
