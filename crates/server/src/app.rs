//! What all routes share.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use axum::body::Bytes;
use stepflow_engine::{Engine, Remembered};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    base_path::BasePath,
    config::{Auth, Limits, ServerConfig},
    credential::{Digest, Keyring},
    health::Pulse,
    limits::Gate,
    lines::READS_AT_ONCE,
    login::Logins,
    metrics::Metrics,
    results::Kept,
    routes::SEARCHES_AT_ONCE,
    samples::Samples,
    service::Service,
    shared::Shared,
    table,
    views::Views,
};

/// Files that are received at the same time; further ones are refused.
const UPLOADS_AT_ONCE: usize = 32;

/// Answers to lists that are kept until something is committed.
const LISTS_MAX: usize = 32;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) auth: Auth,
    pub(crate) keyring: Keyring,
    /// Codes outlive an engine.
    pub(crate) logins: Arc<Logins>,
    pub(crate) limits: Limits,
    pub(crate) api_key: Option<Digest>,
    pub(crate) gate: Gate,
    /// Clients of the original's WebSocket.
    pub(crate) legacy_clients: AtomicUsize,
    /// Files that are being received.
    pub(crate) uploads: Semaphore,
    /// Lines that several viewers take.
    pub(crate) shared: Shared,
    /// Messages of live streams that are made from the log at once.
    reads: Semaphore,
    /// Searches over many logs.
    pub(crate) searches: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) samples: Samples,
    pub(crate) started: Instant,
    /// Lists as they were answered, by their query.
    pub(crate) lists: Remembered<String, Bytes>,
    /// Whether the catalog answers, as of a moment ago.
    pub(crate) pulse: Pulse,
    /// What we run in, once that is known.
    pub(crate) service: Arc<OnceLock<Service>>,
    /// What viewers know of logs.
    pub(crate) views: Views,
    /// Tests of executions that were asked for.
    pub(crate) results: Kept,
    /// Names under which we may be called, in lower case, besides loopback ones.
    pub(crate) hosts: Vec<String>,
    /// Stands before every path of the page.
    pub(crate) base_path: BasePath,
    /// Where browsers on this host find us: `http://127.0.0.1:8080`.
    pub(crate) base_url: String,
    /// Connections, streams, notes of use: everything that runs beside a request.
    pub(crate) tasks: TaskTracker,
    /// Requests whose answer has not begun, and new connections that are about to send one.
    pub(crate) answering: TaskTracker,
    /// Streams end when this is cancelled, and nothing more is accepted.
    pub(crate) closing: CancellationToken,
    /// The same to ask with each answer: the token would take a lock that all connections share.
    is_closing: AtomicBool,
    /// Answers in progress are given up when this is cancelled.
    pub(crate) over: CancellationToken,
}

impl App {
    pub(crate) fn new(engine: Engine, config: &ServerConfig, local: SocketAddr) -> Self {
        Self::with(engine, config, local, (Arc::default(), Arc::default()))
    }

    /// The same server with another engine: what was said to people stays true.
    pub(crate) fn again(&self, engine: Engine, config: &ServerConfig, local: SocketAddr) -> Self {
        let kept = (Arc::clone(&self.logins), Arc::clone(&self.service));
        Self::with(engine, config, local, kept)
    }

    fn with(
        engine: Engine,
        config: &ServerConfig,
        local: SocketAddr,
        (logins, service): (Arc<Logins>, Arc<OnceLock<Service>>),
    ) -> Self {
        let shown = if local.ip().is_unspecified() {
            SocketAddr::from(([127, 0, 0, 1], local.port()))
        } else {
            local
        };
        let mut hosts: Vec<String> =
            config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        if !local.ip().is_unspecified() {
            hosts.push(match local {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            });
        }
        Self(Arc::new(Inner {
            engine,
            auth: config.auth,
            limits: config.limits.clone(),
            api_key: config.api_key.map(|key| key.0),
            gate: Gate::new(&config.limits),
            legacy_clients: AtomicUsize::new(0),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            shared: Shared::default(),
            reads: Semaphore::new(READS_AT_ONCE),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            views: Views::default(),
            results: Kept::default(),
            keyring: Keyring::default(),
            logins,
            service,
            metrics: Arc::new(Metrics::new(table::routes().len())),
            samples: Samples::default(),
            started: Instant::now(),
            lists: Remembered::new(LISTS_MAX),
            pulse: Pulse::default(),
            hosts,
            base_url: format!("http://{shown}{}", config.base_path.as_str()),
            base_path: config.base_path.clone(),
            tasks: TaskTracker::new(),
            answering: TaskTracker::new(),
            closing: CancellationToken::new(),
            is_closing: AtomicBool::new(false),
            over: CancellationToken::new(),
        }))
    }

    /// Streams end now, connections once they have their answers, and nothing more is accepted.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, SeqCst);
        self.closing.cancel();
    }

    /// Whether that has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(SeqCst)
    }

    /// Runs what reads a log for a live stream on a blocking thread, a few at a time; `None`: it
    /// panicked, or the runtime is going away.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.reads.acquire().await.ok()?;
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// A link that logs a browser in, once; `None`: no randomness.
    pub(crate) fn login_url(&self) -> Option<String> {
        let code = self.logins.issue(stepflow_sys::clock::wall_us())?;
        // In the fragment: it reaches no server log and no referrer.
        Some(format!("{}/login#code={code}", self.base_url))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
