//! Listeners and connections.

use std::{
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use stepflow_engine::{Engine, EngineConfig};
use stepflow_sys::host::{self, SocketDir};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, UnixListener},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tower::ServiceExt;

use crate::{
    Auth, ServeError, ServerConfig, app::App, auth::Transport, credential::SESSION_IDLE_US,
    stall::Stalling, table,
};

/// Name of the Unix socket in the storage's run directory.
const SOCKET: &str = "server.sock";
/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Request line and headers together.
const HEAD_BYTES_MAX: usize = 24 * 1024;
/// Connections at once, at most; further ones wait to be accepted. Less where the limit of open
/// files is low: three of five may be connections.
const CONNECTIONS_MAX: u64 = 16_384;
/// A connection that has been silent this long is asked whether it is still there.
const SILENT: Duration = Duration::from_secs(60);
/// Connections that may wait to be accepted: when a server comes back, all its clients do.
const BACKLOG: u32 = 4_096;
/// After a failed accept (no file descriptors left), others get time to close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Answers in progress at the shutdown get this long.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// Sessions that can no longer be used are removed this often.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// A server that has its storage, its port and its socket, and serves once it is run.
#[derive(Debug)]
pub struct Server {
    app: App,
    router: Router,
    tcp: TcpListener,
    unix: UnixListener,
    socket: PathBuf,
    local: SocketAddr,
    legacy: Option<TcpListener>,
    login_url: Option<String>,
}

impl Server {
    /// Opens the storage, finds running executions again, and listens.
    pub async fn bind(config: ServerConfig) -> Result<Self, ServeError> {
        for listen in std::iter::once(config.listen).chain(config.legacy_ws) {
            if config.auth == Auth::Off && !listen.ip().is_loopback() {
                return Err(ServeError::OpenToAll { listen });
            }
        }
        host::raise_fd_limit();
        // The port first: nothing is started by a server that nobody could reach.
        let listen = config.listen;
        let refused = |source| ServeError::Listen { listen, source };
        let tcp = match listen_on(listen) {
            Ok(tcp) => tcp,
            Err(source) => return Err(storage_first(&config.storage, refused(source))),
        };
        let local = tcp.local_addr().map_err(refused)?;
        let legacy = match config.legacy_ws {
            None => None,
            Some(listen) => Some(
                TcpListener::bind(listen)
                    .await
                    .map_err(|source| ServeError::Listen { listen, source })?,
            ),
        };
        let engine = Engine::open(EngineConfig {
            storage: config.storage.clone(),
            max_running: config.max_running,
            catalog: config.catalog.clone(),
            ingest_resume: config.ingest_resume,
            retention: config.retention.clone(),
            program: config.program.clone(),
        })
        .await?;
        let socket = config.storage.run_dir().join(SOCKET);
        let unix = match bind_unix(&config.storage.run_dir()) {
            Ok(unix) => unix,
            Err(source) => {
                engine.shutdown().await?;
                return Err(ServeError::Socket { path: socket, source });
            }
        };
        let app = App::new(engine, &config, local);
        let login_url = if config.auth == Auth::On { app.login_url() } else { None };
        let router = config.base_path.strip(table::router(&app));
        Ok(Self { app, router, tcp, unix, socket, local, legacy, login_url })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where clients of the original's WebSocket find it.
    pub fn legacy_ws(&self) -> Option<SocketAddr> {
        self.legacy.as_ref()?.local_addr().ok()
    }

    /// Where browsers on this host find it.
    pub fn base_url(&self) -> &str {
        &self.app.base_url
    }

    /// A link that logs a browser in, once, within ten minutes; `None` without authentication.
    pub fn login_url(&self) -> Option<&str> {
        self.login_url.as_deref()
    }

    /// Serves until `shutdown` resolves, then stops within 5 s. Executions go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { app, router, tcp, unix, socket, local, legacy, .. } = self;
        let places = Arc::new(Semaphore::new(connections_max() as usize));
        app.tasks.spawn(accept_tcp(app.clone(), router.clone(), tcp, Arc::clone(&places)));
        if let Some(legacy) = legacy {
            let router = table::legacy_router(&app, local.port());
            app.tasks.spawn(accept_tcp(app.clone(), router, legacy, Arc::clone(&places)));
        }
        app.tasks.spawn(accept_unix(app.clone(), router, unix, places));
        app.tasks.spawn(purge(app.clone()));
        app.tasks.spawn(sample(app.clone()));
        shutdown.await;
        app.closing.cancel();
        let _ = fs::remove_file(&socket); // Gone already if somebody cleaned up.
        app.tasks.close();
        if timeout(CLOSE_WITHIN * 2, app.tasks.wait()).await.is_err() {
            tracing::debug!(left = app.tasks.len(), "connections are cut off");
        }
        app.engine.shutdown().await?;
        Ok(())
    }
}

/// Connections there may be at once.
pub(crate) fn connections_max() -> u64 {
    CONNECTIONS_MAX.min(host::fd_limit() / 5 * 3).max(64)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?; // A server that was killed may come back at once.
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The port is taken: by the server that holds this storage, or by somebody else?
fn storage_first(storage: &stepflow_record::Storage, error: ServeError) -> ServeError {
    match stepflow_engine::WriterLock::try_take(storage) {
        Ok(None) => ServeError::Engine(stepflow_engine::OpenError::Locked {
            path: storage.root().to_owned(),
            holder: stepflow_engine::WriterLock::holder(storage),
        }),
        Ok(Some(_)) | Err(_) => error,
    }
}

fn bind_unix(run: &std::path::Path) -> io::Result<UnixListener> {
    let dir = SocketDir::open(run)?;
    let listener = dir.bind(SOCKET)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept_tcp(app: App, router: Router, listener: TcpListener, places: Arc<Semaphore>) {
    loop {
        let Some(place) = place(&app, &places).await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true); // Only later, not wrong, without.
                let _ = host::keep_alive(&stream, SILENT); // The same.
                let served = serve(app.clone(), router.clone(), stream, Transport::Tcp(peer));
                let counted = app.metrics.counted(|metrics| &metrics.connections_tcp);
                app.metrics.connections_accepted.fetch_add(1, Relaxed);
                app.tasks.spawn(async move {
                    served.await;
                    drop((place, counted));
                });
            }
            Err(error) => pause(&app, &error).await,
        }
    }
}

async fn accept_unix(app: App, router: Router, listener: UnixListener, places: Arc<Semaphore>) {
    loop {
        let Some(place) = place(&app, &places).await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) if host::peer_is_owner(&stream) => {
                let served = serve(app.clone(), router.clone(), stream, Transport::Socket);
                let counted = app.metrics.counted(|metrics| &metrics.connections_unix);
                app.metrics.connections_accepted.fetch_add(1, Relaxed);
                app.tasks.spawn(async move {
                    served.await;
                    drop((place, counted));
                });
            }
            Ok(_) => tracing::warn!("another user was refused at the Unix socket"),
            Err(error) => pause(&app, &error).await,
        }
    }
}

async fn place(app: &App, places: &Arc<Semaphore>) -> Option<tokio::sync::OwnedSemaphorePermit> {
    tokio::select! {
        place = Arc::clone(places).acquire_owned() => place.ok(),
        () = app.closing.cancelled() => None,
    }
}

async fn pause(app: &App, error: &io::Error) {
    app.metrics.accept_errors.fetch_add(1, Relaxed);
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(ACCEPT_PAUSE).await;
}

/// Serves one connection until it ends, or until the shutdown and the answer in progress.
async fn serve<S>(app: App, router: Router, stream: S, transport: Transport)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let within = app.limits.stalled;
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(transport);
            let Ok(response) = router.oneshot(request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Stalling::new(stream, within)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // How a connection ends (reset, half a request, too large a head) concerns only its client.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = app.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(CLOSE_WITHIN, connection).await;
        }
    }
}

/// Removes sessions that can no longer be used.
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
