//! Facts about this host and about who is at the other end of a socket.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{getsockopt, sockopt::PeerCredentials},
        stat::Mode,
    },
    unistd::{Uid, gethostname},
};

/// The kernel's boot id: another one means that the host restarted. Empty if it cannot be read.
///
/// `STEPFLOW_TEST_BOOT_ID` is not honoured: liveness is a kernel fact.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The host's name; empty if it cannot be read.
pub fn name() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Raises the soft limit of open files to the hard one. Returns the limit now in force.
pub fn raise_fd_limit() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        Ok((soft, _)) => soft,
        Err(_) => 0,
    }
}

/// The soft limit of open files.
pub fn fd_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |limits| limits.0)
}

/// Whether the process at the other end of `socket` runs as our user or as root.
pub fn peer_is_owner(socket: &impl AsFd) -> bool {
    getsockopt(&socket.as_fd(), PeerCredentials)
        .is_ok_and(|peer| peer.uid() == Uid::effective().as_raw() || peer.uid() == 0)
}

/// Whether we run as root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// A directory held open, through which sockets of any path length are bound and reached.
///
/// A Unix socket's path holds at most 107 bytes; `/proc/self/fd/N/name` is always short.
#[derive(Debug)]
pub struct SocketDir(OwnedFd);

impl SocketDir {
    /// Opens `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(dir, flags, Mode::empty())?))
    }

    /// A short path to `name` in the directory, valid while `self` lives.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    /// Binds `name`, replacing a socket that is left over.
    pub fn bind(&self, name: &str) -> io::Result<UnixListener> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    }

    /// Connects to `name`.
    pub fn connect(&self, name: &str) -> io::Result<UnixStream> {
        UnixStream::connect(self.path(name))
    }
}
