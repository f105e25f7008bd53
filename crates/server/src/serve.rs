//! A server's life: it starts, or takes over; it serves; it stops, or hands over.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use stepflow_engine::{Engine, EngineConfig};
use stepflow_record::Storage;
use stepflow_sys::host;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    Auth, ServeError, ServerConfig,
    accept::{CLOSE_WITHIN, Desk, Silent},
    app::App,
    credential::SESSION_IDLE_US,
    handover::{self, Given, Predecessor, Received, Successor},
    listeners::{self, Listeners, SOCKET, TAKEOVER},
    service::{self, Service, Stop},
};

/// Sessions that can no longer be used are removed this often.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);
/// Before a handover, answers in progress get this long; after it their bodies get the rest of
/// [`GONE_WITHIN`].
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// A server that handed over is gone within this time, if its successor serves by then.
const GONE_WITHIN: Duration = Duration::from_secs(9);

/// A predecessor that goes away when it is asked lets go of its port within this time.
const PORT_WITHIN: Duration = Duration::from_millis(1_500);

/// What a server is started with besides what it is told.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Everything is taken over from the server that runs on the storage, if one does.
    pub takeover: bool,
    /// A listener that is used instead of binding [`ServerConfig::listen`].
    pub listener: Option<StdTcpListener>,
}

/// Why a server stopped serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// Another process serves in its place.
    TakenOver {
        /// Its id.
        by: u32,
    },
}

/// A server that has its storage, its port and its socket, and serves once it is run.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    app: App,
    listeners: Listeners,
    local: SocketAddr,
    login_url: Option<String>,
    /// Connections that somebody else accepted for us.
    silent: Vec<Silent>,
    /// Waits until we serve.
    predecessor: Option<Predecessor>,
}

impl Server {
    /// Opens the storage, finds running executions again, and listens.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        Self::inherit(config, Inheritance::default()).await
    }

    /// The same with what others hand to it.
    pub async fn inherit(config: ServerConfig, from: Inheritance) -> Result<Self, ServeError> {
        let given = from.listener.map(listeners::tcp_from).transpose();
        let refused = |source| ServeError::Listen { listen: config.listen, source };
        let given = given.map_err(refused)?;
        let listen = match &given {
            Some(given) => given.local_addr().map_err(refused)?,
            None => config.listen,
        };
        for listen in std::iter::once(listen).chain(config.legacy_ws) {
            if config.auth == Auth::Off && !listen.ip().is_loopback() {
                return Err(ServeError::OpenToAll { listen });
            }
        }
        host::raise_fd_limit();
        let mut asked = Asked { tcp: given, legacy: None };
        if from.takeover {
            let takeover = |source| ServeError::Takeover { source };
            let run = config.storage.run_dir();
            if let Some(mut predecessor) = handover::find(&run).await.map_err(takeover)? {
                // What it does not have must be there before it stops.
                if asked.tcp.is_none() && !serves(predecessor.listen, config.listen) {
                    asked.tcp = Some(listen_on(config.listen)?);
                }
                if let Some(legacy) = config.legacy_ws
                    && !serves(predecessor.legacy_ws, legacy)
                {
                    asked.legacy = Some(listen_on(legacy)?);
                }
                match predecessor.take(&config.storage).await {
                    Ok(Some(received)) => {
                        let succeeded = Self::succeed(config, received, asked).await;
                        return match succeeded {
                            Ok(server) => Ok(Self { predecessor: Some(predecessor), ..server }),
                            Err(error) => {
                                predecessor.keep_waiting();
                                Err(error)
                            }
                        };
                    }
                    // It has ended, or is just doing so.
                    Ok(None) => return Self::begin(config, asked, PORT_WITHIN).await,
                    Err(error) => {
                        predecessor.keep_waiting();
                        return Err(takeover(error));
                    }
                }
            }
        }
        let patience = if from.takeover { PORT_WITHIN } else { Duration::ZERO };
        Self::begin(config, asked, patience).await
    }

    /// Starts where nobody serves, or not much longer: the port is waited for.
    async fn begin(
        config: ServerConfig,
        asked: Asked,
        patience: Duration,
    ) -> Result<Self, ServeError> {
        // The port first: nothing is started by a server that nobody could reach.
        let tcp = match asked.tcp {
            Some(tcp) => tcp,
            None => listen_within(config.listen, patience)
                .await
                .map_err(|error| storage_first(&config.storage, error))?,
        };
        let legacy = match (asked.legacy, config.legacy_ws) {
            (Some(legacy), _) => Some(legacy),
            (None, Some(listen)) => Some(listen_within(listen, patience).await?),
            (None, None) => None,
        };
        let engine = Engine::open(engine_config(&config)).await?;
        let run = config.storage.run_dir();
        let bind = |name| listeners::bind_unix(&run, name);
        let (unix, takeover) = match bind(SOCKET).and_then(|unix| Ok((unix, bind(TAKEOVER)?))) {
            Ok(bound) => bound,
            Err((path, source)) => {
                engine.shutdown().await?;
                return Err(ServeError::Socket { path, source });
            }
        };
        let listeners = Listeners {
            tcp: Arc::new(tcp),
            legacy: legacy.map(Arc::new),
            unix: Arc::new(unix),
            takeover: Arc::new(takeover),
        };
        Self::ready(config, engine, listeners, Vec::new())
    }

    /// Starts with what another server had. Where both listen elsewhere, what was asked for counts.
    async fn succeed(
        config: ServerConfig,
        received: Received,
        asked: Asked,
    ) -> Result<Self, ServeError> {
        let Received { lock, tcp, legacy, unix, takeover, silent } = received;
        let legacy = asked.legacy.or(legacy.filter(|_| config.legacy_ws.is_some()));
        let engine = Engine::open_under(lock, engine_config(&config)).await?;
        let listeners = Listeners {
            tcp: Arc::new(asked.tcp.unwrap_or(tcp)),
            legacy: legacy.map(Arc::new),
            unix: Arc::new(unix),
            takeover: Arc::new(takeover),
        };
        Self::ready(config, engine, listeners, silent)
    }

    fn ready(
        config: ServerConfig,
        engine: Engine,
        listeners: Listeners,
        silent: Vec<Silent>,
    ) -> Result<Self, ServeError> {
        let refused = |source| ServeError::Listen { listen: config.listen, source };
        let local = listeners.tcp.local_addr().map_err(refused)?;
        let app = App::new(engine, &config, local);
        let login_url = if config.auth == Auth::On { app.login_url() } else { None };
        Ok(Self { config, app, listeners, local, login_url, silent, predecessor: None })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where clients of the original's WebSocket find it.
    pub fn legacy_ws(&self) -> Option<SocketAddr> {
        self.listeners.legacy.as_ref()?.local_addr().ok()
    }

    /// Where browsers on this host find it.
    pub fn base_url(&self) -> &str {
        &self.app.base_url
    }

    /// A link that logs a browser in, once, within ten minutes; `None` without authentication.
    pub fn login_url(&self) -> Option<&str> {
        self.login_url.as_deref()
    }

    /// The process whose place it takes.
    pub fn predecessor(&self) -> Option<u32> {
        self.predecessor.as_ref().map(|predecessor| predecessor.pid)
    }

    /// Serves until `shutdown` resolves, then stops within 5 s; or until a successor serves, then
    /// stops within 10 s of being asked by it. Executions go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, ServeError> {
        self.run_telling(shutdown, || {}).await
    }

    /// The same; calls `serving` when it is who serves: at the start, and again when a successor
    /// that was given everything is gone.
    pub async fn run_telling(
        mut self,
        shutdown: impl Future<Output = ()>,
        mut serving: impl FnMut(),
    ) -> Result<Ended, ServeError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let app = self.app.clone();
        // Nobody waits for it: systemd may not answer.
        tokio::task::spawn_blocking(move || note_service(&app));
        loop {
            // Before anything is accepted: what we would have accepted would end with us, should we
            // end before the predecessor knows. It waits with us.
            if let Some(predecessor) = self.predecessor.take() {
                predecessor.relieve().await;
            }
            let silent = std::mem::take(&mut self.silent);
            let desk = Desk::open(&self.app, self.local, &self.listeners, silent);
            self.app.tasks.spawn(purge(self.app.clone()));
            self.app.tasks.spawn(sample(self.app.clone()));
            serving();
            let successor = tokio::select! {
                () = shutdown.as_mut() => None,
                successor = handover::asked(&self.listeners) => Some(successor),
            };
            let Some(successor) = successor else {
                self.stop().await?;
                return Ok(Ended::Asked);
            };
            if let Some(ended) = self.hand_over(&desk, successor, shutdown.as_mut()).await? {
                return Ok(ended);
            }
        }
    }

    async fn stop(self) -> Result<(), ServeError> {
        let app = self.app;
        app.close();
        app.over.cancel();
        Listeners::remove(&self.config.storage.run_dir());
        app.tasks.close();
        if timeout(CLOSE_WITHIN * 2, app.tasks.wait()).await.is_err() {
            tracing::debug!(left = app.tasks.len(), "connections are cut off");
        }
        app.engine.shutdown().await?;
        Ok(())
    }

    /// Gives everything to `successor`. `None`: it is gone, and we serve again.
    async fn hand_over(
        &mut self,
        desk: &Desk,
        mut successor: Successor,
        shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Ended>, ServeError> {
        let by = successor.pid;
        let begun = Instant::now();
        tracing::info!(successor = by, "handing over");
        let app = self.app.clone();
        app.close();
        let mut silent = desk.close().await;
        app.answering.close();
        if timeout(ANSWER_WITHIN, app.answering.wait()).await.is_err() {
            tracing::warn!(left = app.answering.len(), "requests are not answered any more");
        }
        app.tasks.close();
        // Most answers are small: gone at once. Larger ones are sent on while the successor starts.
        let _ = timeout(CLOSE_WITHIN, app.tasks.wait()).await;
        let mut lock = app.engine.close().await?;
        let given = tokio::select! {
            given = successor.give(&mut lock, &self.listeners, &silent) => given,
            // The successor has everything, or will find that nobody has.
            () = shutdown => return Ok(Some(Ended::Asked)),
        };
        match given {
            Given::Taken => {
                drop((lock, silent));
                let _ = timeout_at(begun + GONE_WITHIN, app.tasks.wait()).await;
                app.over.cancel();
                Ok(Some(Ended::TakenOver { by }))
            }
            Given::Gone(error) => {
                tracing::warn!(successor = by, %error, "the successor is gone: serving again");
                app.over.cancel();
                let lock = lock.keep().map_err(|source| ServeError::Takeover { source })?;
                let engine = Engine::open_under(lock, engine_config(&self.config)).await?;
                self.app = app.again(engine, &self.config, self.local);
                self.silent.append(&mut silent);
                Ok(None)
            }
        }
    }
}

/// Listeners that this process brings itself.
struct Asked {
    tcp: Option<TcpListener>,
    legacy: Option<TcpListener>,
}

/// Whether who listens at `there` does so where `asked` says; port 0 is any.
fn serves(there: Option<SocketAddr>, asked: SocketAddr) -> bool {
    let any = asked.port() == 0;
    there.is_some_and(|there| there == asked || (any && there.ip() == asked.ip()))
}

fn listen_on(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    listeners::listen_on(listen).map_err(|source| ServeError::Listen { listen, source })
}

async fn listen_within(listen: SocketAddr, patience: Duration) -> Result<TcpListener, ServeError> {
    let begun = Instant::now();
    loop {
        match listen_on(listen) {
            Err(ServeError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < patience =>
            {
                sleep(Duration::from_millis(25)).await;
            }
            done => return done,
        }
    }
}

fn engine_config(config: &ServerConfig) -> EngineConfig {
    EngineConfig {
        storage: config.storage.clone(),
        max_running: config.max_running,
        catalog: config.catalog.clone(),
        ingest_resume: config.ingest_resume,
        log_sync: config.log_sync,
        usual: config.usual.clone(),
        retention: config.retention.clone(),
        compress_after: config.compress_after,
        disk_min_free: config.disk_min_free,
        program: config.program.clone(),
    }
}

/// The port is taken: by the server that holds this storage, or by somebody else?
fn storage_first(storage: &Storage, error: ServeError) -> ServeError {
    match stepflow_engine::WriterLock::try_take(storage) {
        Ok(None) => ServeError::Engine(stepflow_engine::OpenError::Locked {
            path: storage.root().to_owned(),
            holder: stepflow_engine::WriterLock::holder(storage),
        }),
        Ok(Some(_)) | Err(_) => error,
    }
}

/// Finds out what we run in, and says it if executions end with that.
fn note_service(app: &App) {
    match app.service.get_or_init(|| service::service(None)) {
        Service::None | Service::Unit { stop: Stop::Spares, .. } => {}
        Service::Unit { name, stop: Stop::Kills } => tracing::warn!(
            unit = name,
            "a stop of the unit kills running executions: set KillMode=process"
        ),
        Service::Unit { name, stop: Stop::Unknown } => tracing::warn!(
            unit = name,
            "running executions outlive the unit only with KillMode=process"
        ),
        Service::Container => {
            tracing::warn!("running executions end with the container, as with a host");
        }
    }
}

async fn sample(app: App) {
    loop {
        // A catalog that does not answer leaves a hole in the lines.
        if let Ok(database) = crate::health::database(&app).await {
            app.samples.keep(&app, &database);
        }
        tokio::select! {
            () = sleep(crate::samples::EVERY) => {}
            () = app.closing.cancelled() => return,
        }
    }
}

/// Removes sessions that can no longer be used.
async fn purge(app: App) {
    loop {
        let now = stepflow_sys::clock::wall_us();
        let purge = stepflow_catalog::Change::SessionPurge {
            expired_us: now,
            idle_us: now - SESSION_IDLE_US,
        };
        if let Err(error) = app.engine.apply(vec![purge]).await {
            tracing::debug!(%error, "old sessions were not removed");
        }
        tokio::select! {
            () = sleep(PURGE_EVERY) => {}
            () = app.closing.cancelled() => return,
        }
    }
}
