//! Facts about this host and about who is at the other end of a socket.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use nix::{
    fcntl::{OFlag, open},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{
            MsgFlags, getsockopt, recv, setsockopt,
            sockopt::{self, PeerCredentials},
        },
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

/// The soft limit of open files before [`raise_fd_limit`].
static FD_LIMIT_BEFORE: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files to the hard one. Returns the limit now in force. Programs
/// started through [`crate::spawn`] get the limit that was in force before.
pub fn raise_fd_limit() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => {
                let _ = FD_LIMIT_BEFORE.set(soft); // Raised twice: the first one counts.
                hard
            }
            Err(_) => soft,
        },
        Ok((soft, _)) => soft,
        Err(_) => 0,
    }
}

/// The soft limit of open files before it was raised; `None`: it was not.
pub(crate) fn fd_limit_before() -> Option<u64> {
    FD_LIMIT_BEFORE.get().copied()
}

/// Whether something can be read from `socket`, or its end: nothing is taken.
///
/// # Errors
/// `WouldBlock`: not yet.
pub fn can_be_read(socket: &impl AsFd) -> io::Result<()> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_fd().as_raw_fd(), &mut [0], flags)?;
    Ok(())
}

/// Lets the kernel find out when the other end of a silent TCP connection is gone: after `idle` it
/// asks, every 10 s, three times.
pub fn keep_alive(socket: &impl AsFd, idle: Duration) -> io::Result<()> {
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &(idle.as_secs().max(1) as u32))?;
    setsockopt(socket, sockopt::TcpKeepInterval, &10)?;
    setsockopt(socket, sockopt::TcpKeepCount, &3)?;
    Ok(())
}

/// Makes everything that was written to the file system of `file` durable, with one call for any
/// number of files. An error tells that something on it was not, since `file` was opened.
pub fn sync_file_system(file: &impl AsFd) -> io::Result<()> {
    Ok(nix::unistd::syncfs(file)?)
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

    /// Binds `name` for our user alone, replacing a socket that is left over. In a directory of
    /// 0700 there is no moment in which others could connect.
    pub fn bind(&self, name: &str) -> io::Result<UnixListener> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Connects to `name`.
    pub fn connect(&self, name: &str) -> io::Result<UnixStream> {
        UnixStream::connect(self.path(name))
    }
}
