//! A server hands everything over to its successor, and a successor asks for it.
//!
//! Both talk over `run/takeover.sock`, in lines of JSON:
//!
//! ```text
//! successor                       predecessor
//! hello  ───────────────────────►            it serves on
//!        ◄───────────────────────  hello     where it listens
//! ready  ───────────────────────►            stops accepting, answers what it has, closes its engine
//!        ◄───────────────────────  descriptors: writer lock, listeners
//!        ◄───────────────────────  connections: accepted, nothing read
//!        ◄───────────────────────  done      it keeps its own descriptors of all of that
//! serving ──────────────────────►            exits
//! ```
//!
//! What connects meanwhile waits in the accept queue of a listener that never closes, and the lock
//! is never free. A successor that ends before it serves closes the connection, which it keeps until
//! nothing of it can write any more: then the predecessor goes on with what it kept.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stepflow_engine::WriterLock;
use stepflow_record::Storage;
use stepflow_sys::{
    fds,
    host::{self, SocketDir},
};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

use crate::{
    VERSION,
    accept::{Door, Silent},
    listeners::{self, Listeners, TAKEOVER},
};

/// What both sides speak.
const FORMAT: u16 = 1;
/// Longest line.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Descriptors that are waited for by one line, at most.
const FDS_PENDING_MAX: usize = 2 * fds::FDS_MAX;
/// A successor that has connected says what it wants within this time.
const SPEAKS_WITHIN: Duration = Duration::from_secs(10);
/// A predecessor answers within this time: another successor may be before us.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// After a failed accept, others get time to close some files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent as a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Lock,
    Tcp,
    Legacy,
    Unix,
    Takeover,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
enum Message {
    Hello {
        format: u16,
        pid: u32,
        version: String,
        /// Where a predecessor listens.
        listen: Option<SocketAddr>,
        legacy_ws: Option<SocketAddr>,
    },
    Ready {},
    /// With one descriptor for each.
    Descriptors {
        names: Vec<Name>,
    },
    /// The same, of connections.
    Connections {
        doors: Vec<Door>,
    },
    Done {},
    Serving {},
}

fn hello(listen: Option<SocketAddr>, legacy_ws: Option<SocketAddr>) -> Message {
    let (pid, version) = (std::process::id(), VERSION.to_owned());
    Message::Hello { format: FORMAT, pid, version, listen, legacy_ws }
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {message:?}"))
}

/// One end of the connection.
#[derive(Debug)]
struct Channel {
    socket: UnixStream,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Channel {
    fn new(socket: UnixStream) -> Self {
        Self { socket, bytes: Vec::new(), fds: VecDeque::new() }
    }

    async fn say(&self, message: &Message, mut with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut rest = &line[..];
        while !rest.is_empty() {
            let sent = || fds::send(&self.socket, rest, with);
            let count = self.socket.async_io(Interest::WRITABLE, sent).await?;
            rest = &rest[count..];
            with = &[]; // They went with the first byte.
        }
        Ok(())
    }

    /// The next line; `None`: the other side has closed.
    async fn hear(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if LINE_BYTES_MAX < self.bytes.len() || FDS_PENDING_MAX < self.fds.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Self { socket, bytes, fds } = self;
            let mut some = [0; 4096];
            let received = || fds::receive(socket, &mut some, fds);
            match socket.async_io(Interest::READABLE, received).await? {
                0 => return Ok(None),
                count => bytes.extend_from_slice(&some[..count]),
            }
        }
    }

    fn descriptor(&mut self) -> io::Result<OwnedFd> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "a descriptor is missing");
        self.fds.pop_front().ok_or_else(missing)
    }
}

/// A process that asks for everything, and can start.
#[derive(Debug)]
pub(crate) struct Successor {
    channel: Channel,
    pub(crate) pid: u32,
}

/// How a handover ended.
#[derive(Debug)]
pub(crate) enum Given {
    /// The successor serves.
    Taken,
    /// It is gone, and with it all that it was given.
    Gone(io::Error),
}

/// Waits until a successor asks. Those that go away before that change nothing.
pub(crate) async fn asked(listeners: &Listeners) -> Successor {
    loop {
        match listeners.takeover.accept().await {
            Ok((socket, _)) if !host::peer_is_owner(&socket) => {
                tracing::warn!("another user was refused at the takeover socket");
            }
            Ok((socket, _)) => match timeout(SPEAKS_WITHIN, meet(listeners, socket)).await {
                Ok(Ok(successor)) => return successor,
                Ok(Err(error)) => tracing::warn!(%error, "a successor did not get to asking"),
                Err(_) => tracing::warn!("a successor did not ask in time"),
            },
            Err(error) => {
                tracing::warn!(%error, "a successor could not be heard");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn meet(listeners: &Listeners, socket: UnixStream) -> io::Result<Successor> {
    let mut channel = Channel::new(socket);
    let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let pid = match channel.hear().await?.ok_or_else(gone)? {
        Message::Hello { pid, .. } => pid,
        other => return Err(unexpected(&other)),
    };
    let legacy = listeners.legacy.as_ref().and_then(|legacy| legacy.local_addr().ok());
    channel.say(&hello(Some(listeners.tcp.local_addr()?), legacy), &[]).await?;
    // One that speaks another format leaves it at that.
    match channel.hear().await?.ok_or_else(gone)? {
        Message::Ready {} => Ok(Successor { channel, pid }),
        other => Err(unexpected(&other)),
    }
}

impl Successor {
    /// Sends everything and waits, as long as it lives, until it serves.
    pub(crate) async fn give(
        &mut self,
        lock: &mut WriterLock,
        listeners: &Listeners,
        silent: &[Silent],
    ) -> Given {
        match self.try_give(lock, listeners, silent).await {
            Ok(()) => Given::Taken,
            Err(error) => Given::Gone(error),
        }
    }

    async fn try_give(
        &mut self,
        lock: &mut WriterLock,
        listeners: &Listeners,
        silent: &[Silent],
    ) -> io::Result<()> {
        let mut names = vec![Name::Lock, Name::Tcp, Name::Unix, Name::Takeover];
        let mut with = vec![
            lock.give(),
            listeners.tcp.as_fd(),
            listeners.unix.as_fd(),
            listeners.takeover.as_fd(),
        ];
        if let Some(legacy) = &listeners.legacy {
            names.push(Name::Legacy);
            with.push(legacy.as_fd());
        }
        self.channel.say(&Message::Descriptors { names }, &with).await?;
        for some in silent.chunks(fds::FDS_MAX) {
            let doors = some.iter().map(|connection| connection.door).collect();
            let with: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
            self.channel.say(&Message::Connections { doors }, &with).await?;
        }
        self.channel.say(&Message::Done {}, &[]).await?;
        match self.channel.hear().await? {
            Some(Message::Serving {}) => Ok(()),
            Some(other) => Err(unexpected(&other)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A server that is asked for everything.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: Channel,
    pub(crate) pid: u32,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) legacy_ws: Option<SocketAddr>,
}

/// What it gave.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) lock: WriterLock,
    pub(crate) tcp: tokio::net::TcpListener,
    pub(crate) legacy: Option<tokio::net::TcpListener>,
    pub(crate) unix: UnixListener,
    pub(crate) takeover: UnixListener,
    pub(crate) silent: Vec<Silent>,
}

/// Looks for a server that can be asked; `None`: there is none, or it is just going away.
pub(crate) async fn find(run: &Path) -> io::Result<Option<Predecessor>> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    let dir = SocketDir::open(run)?;
    let met = async {
        let socket = UnixStream::connect(dir.path(TAKEOVER)).await?;
        if !host::peer_is_owner(&socket) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut channel = Channel::new(socket);
        channel.say(&hello(None, None), &[]).await?;
        match channel.hear().await? {
            None => Ok(None),
            Some(Message::Hello { format: FORMAT, pid, listen, legacy_ws, .. }) => {
                Ok(Some(Predecessor { channel, pid, listen, legacy_ws }))
            }
            Some(Message::Hello { version, .. }) => {
                let why = format!("the one of version {version} does it in another way");
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
            Some(other) => Err(unexpected(&other)),
        }
    };
    match timeout(ANSWERS_WITHIN, met).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => match error.kind() {
            NotFound | ConnectionRefused | ConnectionReset | BrokenPipe => Ok(None),
            _ => Err(error),
        },
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl Predecessor {
    /// Asks for everything; `None`: it went away, and nobody has anything.
    pub(crate) async fn take(&mut self, storage: &Storage) -> io::Result<Option<Received>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match timeout(ANSWERS_WITHIN, self.try_take(storage)).await {
            Ok(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(None),
            Ok(taken) => taken,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn try_take(&mut self, storage: &Storage) -> io::Result<Option<Received>> {
        self.channel.say(&Message::Ready {}, &[]).await?;
        let (mut lock, mut tcp, mut legacy) = (None, None, None);
        let (mut unix, mut takeover, mut silent) = (None, None, Vec::new());
        loop {
            let Some(message) = self.channel.hear().await? else { return Ok(None) };
            match message {
                Message::Descriptors { names } => {
                    for name in names {
                        let fd = self.channel.descriptor()?;
                        match name {
                            Name::Lock => lock = Some(WriterLock::receive(storage, fd)?),
                            Name::Tcp => tcp = Some(listeners::tcp_received(fd)?),
                            Name::Legacy => legacy = Some(listeners::tcp_received(fd)?),
                            Name::Unix => unix = Some(listeners::unix_received(fd)?),
                            Name::Takeover => takeover = Some(listeners::unix_received(fd)?),
                        }
                    }
                }
                Message::Connections { doors } => {
                    for door in doors {
                        let fd = self.channel.descriptor()?;
                        silent.extend(Silent::received(door, fd).ok()); // Gone meanwhile.
                    }
                }
                Message::Done {} => break,
                other => return Err(unexpected(&other)),
            }
        }
        match (lock, tcp, unix, takeover) {
            (Some(lock), Some(tcp), Some(unix), Some(takeover)) => {
                Ok(Some(Received { lock, tcp, legacy, unix, takeover, silent }))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a descriptor is missing")),
        }
    }

    /// Tells it that it may go.
    pub(crate) async fn relieve(self) {
        if let Err(error) = self.channel.say(&Message::Serving {}, &[]).await {
            tracing::debug!(%error, "the predecessor is gone already");
        }
    }

    /// Keeps the connection until this process ends, whatever else of it still runs then: the
    /// predecessor goes on only when nothing here can write any more.
    pub(crate) fn keep_waiting(self) {
        std::mem::forget(self);
    }
}
