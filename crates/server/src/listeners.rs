//! Where a server listens.

use std::{
    fs, io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use stepflow_sys::host::SocketDir;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Name of the Unix socket in the storage's run directory.
pub(crate) const SOCKET: &str = "server.sock";
/// Name of the one at which a successor asks for everything.
pub(crate) const TAKEOVER: &str = "takeover.sock";
/// Connections that may wait to be accepted: when a server comes back, all its clients do.
const BACKLOG: u32 = 4_096;

/// All that clients, and a successor, connect to. It is never closed while somebody serves: a
/// successor gets these same ones.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) tcp: Arc<TcpListener>,
    pub(crate) legacy: Option<Arc<TcpListener>>,
    pub(crate) unix: Arc<UnixListener>,
    pub(crate) takeover: Arc<UnixListener>,
}

impl Listeners {
    /// Removes the names of the Unix sockets; nobody serves there any more.
    pub(crate) fn remove(run: &Path) {
        for name in [SOCKET, TAKEOVER] {
            let _ = fs::remove_file(run.join(name)); // Gone already if somebody cleaned up.
        }
    }
}

pub(crate) fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?; // A server that was killed may come back at once.
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds `name` in the run directory; the path comes with the error.
pub(crate) fn bind_unix(run: &Path, name: &str) -> Result<UnixListener, (PathBuf, io::Error)> {
    let bind = || {
        let listener = SocketDir::open(run)?.bind(name)?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    bind().map_err(|error| (run.join(name), error))
}

pub(crate) fn tcp_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

pub(crate) fn tcp_received(fd: OwnedFd) -> io::Result<TcpListener> {
    let listener = tcp_from(fd.into())?;
    listener.local_addr()?; // It is one.
    Ok(listener)
}

pub(crate) fn unix_received(fd: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    listener.local_addr()?;
    UnixListener::from_std(listener)
}
