//! What a server is told, and why it may refuse.

use std::{fmt, io, net::SocketAddr, path::PathBuf, time::Duration};

use stepflow_engine::OpenError;
use stepflow_record::{MinFree, Storage};

use crate::{
    base_path::BasePath,
    credential::{self, Digest},
};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Only who shows a token or a login, or comes over the Unix socket.
    On,
    /// Everybody who can connect: loopback addresses only.
    Off,
}

/// A secret that a server is started with. Only its digest is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApiKey(pub(crate) Digest);

impl ApiKey {
    /// Fewest characters: a shorter one could be guessed.
    pub const CHARS_MIN: usize = 20;

    /// `None`: it is too short, or has white space.
    pub fn new(secret: &str) -> Option<Self> {
        let good = secret.len() >= Self::CHARS_MIN && secret.chars().all(|c| c.is_ascii_graphic());
        good.then(|| Self(credential::digest(secret)))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey") // A digest could confirm a guess.
    }
}

/// What one client may take. Callers over the Unix socket are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file that is uploaded, in bytes.
    pub upload_bytes: u64,
    /// Live streams of one token or login at once; 0: any number.
    pub streams: usize,
    /// Requests of one token or login a second; 0: any number.
    pub requests_per_s: u32,
    /// A connection whose client takes nothing for this long is cut off.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes: 1 << 30,
            streams: 50,
            requests_per_s: 100,
            stalled: Duration::from_secs(30),
        }
    }
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
    /// Under which path a proxy offers it.
    pub base_path: BasePath,
    /// Most executions that run at the same time.
    pub max_running: usize,
    /// Where clients of the original's WebSocket are served as well; `None`: nowhere.
    pub legacy_ws: Option<SocketAddr>,
    /// A token that lives outside the catalog, with the scope operator.
    pub api_key: Option<ApiKey>,
    /// What one client may take.
    pub limits: Limits,
    /// How the catalog is opened.
    pub catalog: stepflow_catalog::Options,
    /// How long a stream from elsewhere is waited for when its source, or the server, went away.
    pub ingest_resume: Duration,
    /// When output is made durable, of executions that do not say.
    pub log_sync: stepflow_model::LogSync,
    /// What else holds for executions that do not say.
    pub usual: stepflow_engine::Usual,
    /// What is kept, and for how long.
    pub retention: stepflow_engine::Policy,
    /// How long after the end of an execution its log is compressed; `None`: never.
    pub compress_after: Option<Duration>,
    /// What must be free on the disk before a new execution is accepted.
    pub disk_min_free: MinFree,
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
    /// A server runs on the storage, and did not give it.
    #[error("cannot take over from the server that runs on this storage")]
    Takeover {
        /// What went wrong.
        source: io::Error,
    },
    /// The engine could not be closed for a successor.
    #[error("cannot hand over to a successor")]
    HandOver(#[from] stepflow_engine::CloseError),
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
            Self::Takeover { .. } => {
                Some("stop that server (executions go on) and start this one without --takeover")
            }
            Self::Socket { .. } | Self::HandOver(_) => None,
            Self::Engine(error) => error.hint(),
            Self::Close(error) => error.hint(),
        }
    }
}
