//! What a server is told, and why it may refuse.

use std::{io, net::SocketAddr, path::PathBuf};

use stepflow_engine::OpenError;
use stepflow_record::Storage;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Only who shows a token or a login, or comes over the Unix socket.
    On,
    /// Everybody who can connect: loopback addresses only.
    Off,
}

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What it serves.
    pub storage: Storage,
    /// Where it listens; port 0: any free one.
    pub listen: SocketAddr,
    /// Who may call.
    pub auth: Auth,
    /// Names, besides loopback ones, under which it may be called.
    pub hosts: Vec<String>,
    /// Most executions that run at the same time.
    pub max_running: usize,
    /// The program that understands the recorder's hidden command.
    pub program: PathBuf,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Everybody could run commands.
    #[error("`--auth off` is possible on a loopback address only, not on {listen}")]
    OpenToAll {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {listen}")]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot listen on `{path}`")]
    Socket {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The storage refused.
    #[error(transparent)]
    Engine(#[from] OpenError),
    /// The catalog could not be closed in order; the next start repairs it.
    #[error(transparent)]
    Close(#[from] stepflow_catalog::CatalogError),
}

impl ServeError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OpenToAll { .. } => {
                Some("leave authentication on, or use --listen 127.0.0.1:8080")
            }
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    Some("another program has the port: pass --listen ADDR")
                }
                io::ErrorKind::PermissionDenied => {
                    Some("ports below 1024 need a privilege: use a higher one")
                }
                _ => None,
            },
            Self::Socket { .. } => None,
            Self::Engine(error) => error.hint(),
            Self::Close(error) => error.hint(),
        }
    }
}
