//! Connections: accepted, answered, and left in order.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use stepflow_sys::host;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tower::Service as _;

use crate::{
    app::App,
    auth::{Came, Transport},
    head_timer::HeadTimer,
    listeners::Listeners,
    metrics::Answering,
    problem::is_out_of_files,
    quiet::Quiet,
    security,
    stall::Stalling,
    table,
};

/// A request's head must be there within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A first request that had begun to arrive when the server was told to go is waited for this long.
const FIRST_WITHIN: Duration = Duration::from_secs(3);
/// Request line and headers together.
const HEAD_BYTES_MAX: usize = 24 * 1024;
/// Connections at once, at most; further ones wait to be accepted. Less where the limit of open
/// files is low: three of five may be connections.
const CONNECTIONS_MAX: u64 = 16_384;
/// A connection that has been silent this long is asked whether it is still there.
const SILENT: Duration = Duration::from_secs(60);
/// After a failed accept (no file descriptors left), others get time to close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// It is said in the log this often.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Answers in progress at the end get this long.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Connections there may be at once.
pub(crate) fn connections_max() -> u64 {
    CONNECTIONS_MAX.min(host::fd_limit() / 5 * 3).max(64)
}

/// Where a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Door {
    Tcp,
    /// For clients of the original's WebSocket.
    Legacy,
    Unix,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection of which nothing has been read: whoever has it can answer it.
#[derive(Debug)]
pub(crate) struct Silent {
    pub(crate) door: Door,
    stream: Stream,
}

impl Silent {
    /// From another process.
    pub(crate) fn received(door: Door, fd: OwnedFd) -> io::Result<Self> {
        let stream = match door {
            Door::Tcp | Door::Legacy => {
                let stream = std::net::TcpStream::from(fd);
                stream.set_nonblocking(true)?;
                Stream::Tcp(TcpStream::from_std(stream)?)
            }
            Door::Unix => {
                let stream = std::os::unix::net::UnixStream::from(fd);
                stream.set_nonblocking(true)?;
                Stream::Unix(UnixStream::from_std(stream)?)
            }
        };
        Ok(Self { door, stream })
    }

    /// Waits until there is something to read, or the end, and leaves it there.
    async fn speaks(&self) -> io::Result<()> {
        // `readable` of both may come true too early: the kernel is asked.
        match &self.stream {
            Stream::Tcp(stream) => {
                stream.async_io(Interest::READABLE, || host::can_be_read(stream)).await
            }
            Stream::Unix(stream) => {
                stream.async_io(Interest::READABLE, || host::can_be_read(stream)).await
            }
        }
    }
}

impl AsFd for Silent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Accepts connections and sees to them until the app is closing.
#[derive(Debug)]
pub(crate) struct Desk {
    app: App,
    page: Router,
    legacy: Router,
    /// Where the page is.
    port: u16,
    places: Arc<Semaphore>,
    /// A descriptor that is let go when there are no others, to turn away who waits.
    reserve: Mutex<Option<OwnedFd>>,
    said: Mutex<Option<Instant>>,
    /// Loops that accept, and connections of which nothing has been read.
    opening: TaskTracker,
    /// Those of the latter that were left when the app was closing.
    silent: Mutex<Vec<Silent>>,
}

impl Desk {
    /// Begins to accept, and takes connections that were accepted before.
    pub(crate) fn open(
        app: &App,
        local: SocketAddr,
        listeners: &Listeners,
        accepted: Vec<Silent>,
    ) -> Arc<Self> {
        let desk = Arc::new(Self {
            app: app.clone(),
            page: table::router(app),
            legacy: table::legacy_router(app),
            port: local.port(),
            places: Arc::new(Semaphore::new(connections_max() as usize)),
            reserve: Mutex::new(spare()),
            said: Mutex::default(),
            opening: TaskTracker::new(),
            silent: Mutex::default(),
        });
        for silent in accepted {
            // None is free only if there were more than there may be: they end soon.
            desk.admit(silent, Arc::clone(&desk.places).try_acquire_owned().ok());
        }
        let tcp = Some((&listeners.tcp, Door::Tcp));
        let legacy = listeners.legacy.as_ref().map(|legacy| (legacy, Door::Legacy));
        for (listener, door) in tcp.into_iter().chain(legacy) {
            let accept = Arc::clone(&desk).accept_tcp(Arc::clone(listener), door);
            app.tasks.spawn(desk.opening.track_future(accept));
        }
        let accept = Arc::clone(&desk).accept_unix(Arc::clone(&listeners.unix));
        app.tasks.spawn(desk.opening.track_future(accept));
        desk
    }

    /// Once the app is closing: no loop accepts any more. The connections of which nothing was read.
    pub(crate) async fn close(&self) -> Vec<Silent> {
        self.opening.close();
        self.opening.wait().await;
        std::mem::take(&mut *self.silent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn accept_tcp(self: Arc<Self>, listener: Arc<TcpListener>, door: Door) {
        loop {
            let Some(place) = self.place().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.app.closing.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.app.metrics.connections_accepted.fetch_add(1, Relaxed);
                    self.admit(Silent { door, stream: Stream::Tcp(stream) }, Some(place));
                }
                Err(error) => {
                    if self.lets_one_in(&error)
                        && let Ok(Ok((stream, _))) =
                            timeout(Duration::ZERO, listener.accept()).await
                        && let Ok(stream) = stream.into_std()
                    {
                        turn_away(stream);
                    }
                    self.pause().await;
                }
            }
        }
    }

    async fn accept_unix(self: Arc<Self>, listener: Arc<UnixListener>) {
        loop {
            let Some(place) = self.place().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.app.closing.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.app.metrics.connections_accepted.fetch_add(1, Relaxed);
                    let stream = Stream::Unix(stream);
                    self.admit(Silent { door: Door::Unix, stream }, Some(place));
                }
                Err(error) => {
                    if self.lets_one_in(&error)
                        && let Ok(Ok((stream, _))) =
                            timeout(Duration::ZERO, listener.accept()).await
                        && let Ok(stream) = stream.into_std()
                    {
                        turn_away(stream);
                    }
                    self.pause().await;
                }
            }
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.ok(),
            () = self.app.closing.cancelled() => None,
        }
    }

    /// A connection could not be accepted. Whether the descriptor that was kept for this moment has
    /// been let go, so that one can be, to be turned away: better than to leave all waiting.
    fn lets_one_in(&self, error: &io::Error) -> bool {
        self.app.metrics.accept_errors.fetch_add(1, Relaxed);
        self.app.metrics.accept_failed_s.store(self.app.started.elapsed().as_secs() + 1, Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!(%error, "connections cannot be accepted");
        }
        is_out_of_files(error)
            && self.reserve.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// Gives others time to close something, and keeps a descriptor again.
    async fn pause(&self) {
        self.keep_spare();
        sleep(ACCEPT_PAUSE).await;
    }

    fn keep_spare(&self) {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        if reserve.is_none() {
            *reserve = spare();
        }
    }

    fn admit(self: &Arc<Self>, connection: Silent, place: Option<OwnedSemaphorePermit>) {
        let counted = match &connection.stream {
            Stream::Tcp(stream) => {
                let _ = stream.set_nodelay(true); // Only later, not wrong, without.
                let _ = host::keep_alive(stream, SILENT); // The same.
                self.app.metrics.counted(|metrics| &metrics.connections_tcp)
            }
            Stream::Unix(stream) if !host::peer_is_owner(stream) => {
                tracing::warn!("another user was refused at the Unix socket");
                return;
            }
            Stream::Unix(_) => self.app.metrics.counted(|metrics| &metrics.connections_unix),
        };
        let (desk, opening) = (Arc::clone(self), self.opening.token());
        self.app.tasks.spawn(async move {
            desk.attend(connection, opening).await;
            drop((place, counted));
        });
    }

    /// Sees to one connection until it ends, or until the app is closing and it has its answer.
    async fn attend(&self, connection: Silent, opening: TaskTrackerToken) {
        tokio::select! {
            biased;
            () = self.app.closing.cancelled() => {
                self.silent.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                return;
            }
            speaks = connection.speaks() => if speaks.is_err() {
                return;
            },
            () = sleep(HEAD_WITHIN) => return,
        }
        let answering = self.app.answering.token();
        drop(opening);
        let (router, page_port) = match connection.door {
            Door::Tcp | Door::Unix => (&self.page, None),
            Door::Legacy => (&self.legacy, Some(self.port)),
        };
        let transport = match &connection.stream {
            Stream::Tcp(stream) => match stream.peer_addr() {
                Ok(peer) => Transport::Tcp(peer),
                Err(_) => return, // It is gone already.
            },
            Stream::Unix(_) => Transport::Socket,
        };
        let came = Came { transport, answering: Arc::new(Answering::default()) };
        let served = Arc::new(Served {
            app: self.app.clone(),
            router: Mutex::new(router.clone()),
            page_port,
            came,
            expected: Mutex::new(Some(answering)),
            arrived: Notify::new(),
        });
        match connection.stream {
            Stream::Tcp(stream) => serve(served, stream).await,
            Stream::Unix(stream) => serve(served, stream).await,
        }
    }
}

/// A descriptor that stands for one that will be needed.
fn spare() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}

/// Tells a client that there is no descriptor for it, as far as it takes that at once.
fn turn_away(mut stream: impl Read + Write) {
    let body = r#"{"type":"about:blank#out-of-files","title":"Service Unavailable","status":503,"detail":"the server has no file descriptors left","error":"the server has no file descriptors left","hint":"try again in a moment"}"#;
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
                Retry-After: 1\r\nConnection: close\r\nContent-Length: ";
    let _ = stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes());
    // What was sent and not read would make the kernel take the answer back.
    let _ = stream.read(&mut [0; 4096]);
}

/// One connection, as its requests need it. What all connections share is changed as seldom as can be:
/// two processors that count in the same place wait for each other.
struct Served {
    app: App,
    /// Its own, used for a moment with each request: a copy for each would count.
    router: Mutex<Router>,
    /// Where the page is, if this is for clients of the original's WebSocket.
    page_port: Option<u16>,
    came: Came,
    /// Counts the connection until its first request has come: the server waits with its end.
    expected: Mutex<Option<TaskTrackerToken>>,
    arrived: Notify,
}

impl Served {
    fn is_first_expected(&self) -> bool {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    async fn answer(&self, mut request: Request) -> Response {
        match self.page_port {
            Some(page_port) => security::as_legacy(page_port, &mut request),
            None => self.app.base_path.strip(&mut request),
        }
        let route = |request| {
            let mut router = self.router.lock().unwrap_or_else(PoisonError::into_inner);
            router.call(request)
        };
        let next = |request| async {
            let Ok(response) = route(request).await;
            response
        };
        let mut response = security::front(&self.app, self.came.clone(), request, next).await;
        if self.app.is_closing() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Serves a connection, of which something can be read.
async fn serve<S>(served: Arc<Served>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = &served.app;
    let stream = Stalling::new(stream, app.limits.stalled, Arc::clone(&app.metrics));
    let of_service = Arc::clone(&served);
    let service = service_fn(move |request: Request<Incoming>| {
        let served = Arc::clone(&of_service);
        let counted = served.app.answering.token();
        if served.expected.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            served.arrived.notify_one();
        }
        async move {
            let response = served.answer(request.map(Body::new)).await;
            drop(counted);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer::default())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // How a connection ends (reset, half a request, too large a head) concerns only its client.
    let mut closing = Quiet::new(app.closing.clone().cancelled_owned());
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = &mut closing => {}
    }
    // A request on a new connection is answered, even if all of it is not here yet.
    if served.is_first_expected() {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = served.arrived.notified() => {}
            () = sleep(FIRST_WITHIN) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = async { app.over.cancelled().await; sleep(CLOSE_WITHIN).await } => {}
    }
}
