//! A process that recorders are forked from, so that hundreds of them share what one has loaded.
//!
//! A program of this size costs 0.7 MB and milliseconds each time that it is executed: its
//! relocations are written into pages of its own. A fork shares them. The zygote is a child of a
//! server, has a single thread, and knows nothing: all that it is ever handed are descriptors. What
//! a recorder is to do, secrets included, goes from the server to the recorder itself, so that
//! nothing of one execution is in the memory of the next.
//!
//! ```text
//! server ── one byte; claim, link, stdin (SCM_RIGHTS) ──► zygote ── fork ──► recorder
//!        ◄─────────────────── "h" over the link ────────────────────────────┘
//!        ─── what to do: id and environment, over the link ────────────────►
//!        ◄── "started\n", as from a recorder that was executed ─────────────
//! ```
//!
//! Until it has been told what to do, a recorder touches nothing. So whoever has not told it yet may
//! start another in its place: no zygote, one that is gone or one that does not answer costs an
//! execution nothing but the memory. When the server goes, the zygote goes; its recorders stay.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            net::UnixStream,
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use stepflow_markers::dialects::{Dialects, Selection};
use stepflow_model::ExecutionId;
use stepflow_record::{Created, Storage};
use stepflow_sys::{
    fds,
    fork::{self, Side, Words},
    lock::Lock,
    memory, spawn,
};

use crate::{
    launch::{self, Launch, Launched},
    session::{SessionError, record_under, system},
};

/// First argument of the hidden command that makes a process a zygote. As long as that of a
/// recorder, which is written over it.
pub const ZYGOTE: &str = "__zygote";
/// Stands in a zygote's command line where the execution's id stands in a recorder's.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// What a recorder says when it is there.
const HERE: u8 = b'h';
/// A recorder is there, and takes what it is told, within this time; or another is started.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// A zygote that did not live as long is not made again at once.
const MADE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The environment of a script is smaller: the kernel takes no more than 6 MiB of it.
const TOLD_BYTES_MAX: u32 = 64 << 20;

/// Makes this process a zygote, until its server goes; returns in each recorder that is forked from
/// it as well, when that has ended. `args`: storage directory, and room for an id.
///
/// Must be called before anything in this process has started a thread; standard input is the
/// socket to the server.
pub fn zygote(args: &[OsString]) -> Result<(), SessionError> {
    let usage = || SessionError::Usage(ZYGOTE);
    let [root, nobody] = args else { return Err(usage()) };
    if nobody != NOBODY {
        return Err(usage());
    }
    memory::be_frugal();
    let socket = UnixStream::from(fork::take_input().map_err(system("take the socket"))?);
    let storage = Storage::at(Path::new(root))?;
    let words = Words::of_this_process().map_err(system("find the command line"))?;
    fork::name(c"stepflow-zygote");
    fork::leave_no_zombies().map_err(system("leave no zombies"))?;
    // What nearly all of them look for in lines is made here once, and shared.
    drop(Dialects::new(&Selection::default()));
    loop {
        let mut handed = Vec::new();
        match fds::receive(&socket, &mut [0], &mut handed) {
            Ok(0) | Err(_) => return Ok(()), // The server is gone, or will make another.
            Ok(_) => {}
        }
        let Ok([claim, link, stdin]) = <[OwnedFd; 3]>::try_from(handed) else { continue };
        // One that cannot be forked is missed by the server: its link has closed.
        if matches!(fork::fork(), Ok(Side::Child)) {
            drop(socket);
            return become_recorder(&storage, root, words, claim, UnixStream::from(link), stdin);
        }
    }
}

fn become_recorder(
    storage: &Storage,
    root: &OsStr,
    mut words: Words,
    claim: OwnedFd,
    mut link: UnixStream,
    stdin: OwnedFd,
) -> Result<(), SessionError> {
    fork::reap_own_children().map_err(system("wait for children"))?;
    fork::own_session().map_err(system("begin a session"))?;
    let claim = Lock::inherited(claim.into_raw_fd()).map_err(system("take over the claim"))?;
    // Not told, not begun: whoever was to tell has started another.
    let Some((id, environment)) = link.write_all(&[HERE]).ok().and_then(|()| hear(&mut link))
    else {
        return Ok(());
    };
    let (zygote, recorder) = (OsStr::new(ZYGOTE), OsStr::new(crate::COMMAND));
    let name = OsString::from(id.to_string());
    words.replace(&[zygote, root, OsStr::new(NOBODY)], &[recorder, root, &name]);
    fork::name(c"stepflow-record");
    fork::take_standard_streams(stdin.as_fd(), link.as_fd()).map_err(system("take stdin"))?;
    drop((stdin, link));
    fork::replace_environment(&environment).map_err(system("take over the environment"))?;
    drop(environment);
    record_under(storage, id, claim, &[])
}

/// What a recorder is told: id, then names and values of the environment.
fn hear(link: &mut UnixStream) -> Option<(ExecutionId, Vec<(OsString, OsString)>)> {
    let mut size = [0; 4];
    link.read_exact(&mut size).ok()?;
    let size = u32::from_le_bytes(size);
    if size > TOLD_BYTES_MAX {
        return None;
    }
    let mut told = vec![0; size as usize];
    link.read_exact(&mut told).ok()?;
    let mut rest = told.as_slice();
    let mut next = || {
        let (size, behind) = rest.split_first_chunk()?;
        let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        rest = behind;
        Some(OsString::from_vec(text.to_vec()))
    };
    let id = next()?.to_str()?.parse().ok()?;
    let mut environment = Vec::new();
    while let Some(name) = next() {
        environment.push((name, next()?));
    }
    Some((id, environment))
}

fn told(id: ExecutionId, environment: &[(OsString, OsString)]) -> io::Result<Vec<u8>> {
    let mut told = vec![0; 4];
    let mut add = |text: &OsStr| {
        told.extend_from_slice(&(text.len() as u32).to_le_bytes());
        told.extend_from_slice(text.as_bytes());
    };
    add(OsStr::new(&id.to_string()));
    for (name, value) in environment {
        add(name);
        add(value);
    }
    let size = u32::try_from(told.len() - 4).ok().filter(|size| *size <= TOLD_BYTES_MAX);
    told[..4].copy_from_slice(&size.ok_or(io::ErrorKind::InvalidInput)?.to_le_bytes());
    Ok(told)
}

/// Starts recorders for a server, by a zygote that is made when it is needed first, and again when
/// it is gone.
#[derive(Debug)]
pub struct Starter {
    program: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    zygote: Option<(UnixStream, Child)>,
    made: Option<Instant>,
}

impl Starter {
    /// `program` understands [`crate::COMMAND`] and [`ZYGOTE`]; `/proc/self/exe` for ourselves, even
    /// when the file has been replaced by an upgrade.
    pub fn new(program: PathBuf) -> Self {
        Self { program, state: Mutex::default() }
    }

    /// Starts the recorder of `created` in a session of its own; it holds the claim, and its script
    /// gets `environment` and nothing else, and an empty standard input. Blocks until the recorder
    /// is there, not until it has started the script.
    ///
    /// # Errors
    /// The system's answer; the claim is dropped then, and the record is unstarted.
    pub fn start(
        &self,
        storage: &Storage,
        created: Created,
        mut environment: Vec<(OsString, OsString)>,
    ) -> io::Result<Launched> {
        environment.extend(launch::variables(storage, created.id));
        if let Some(link) = self.recorder(storage, &created, &environment) {
            return Ok(Launched { child: None, link });
        }
        let launch = Launch {
            storage,
            program: self.program.clone(),
            env: Some(environment),
            stdin: Stdio::null(),
            mask: None,
        };
        launch.start(created)
    }

    /// A recorder of `created` that has been told what to do; its link. `None`: there is none, and
    /// there will be none; nothing has begun.
    fn recorder(
        &self,
        storage: &Storage,
        created: &Created,
        environment: &[(OsString, OsString)],
    ) -> Option<UnixStream> {
        let stdin = File::open("/dev/null").ok()?;
        let told = told(created.id, environment).ok()?;
        let (mut link, theirs) = UnixStream::pair().ok()?;
        self.hand_over(storage, &[created.claim.as_fd(), theirs.as_fd(), stdin.as_fd()])?;
        drop(theirs);
        let mut tell = || {
            link.set_read_timeout(Some(ANSWERS_WITHIN))?;
            link.set_write_timeout(Some(ANSWERS_WITHIN))?;
            let mut here = [0];
            link.read_exact(&mut here)?;
            // Cut short, it is as if nothing had been said.
            link.write_all(&told)
        };
        if let Err(error) = tell() {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.forget(); // It stands still. One that is gone is found out by the next.
            }
            return None;
        }
        // Told: whatever happens from here on, no other may be started.
        let _ = link.set_read_timeout(None).and_then(|()| link.set_write_timeout(None));
        Some(link)
    }

    fn hand_over(&self, storage: &Storage, handed: &[BorrowedFd<'_>]) -> Option<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            if state.zygote.is_none() {
                if state.made.is_some_and(|made| made.elapsed() < MADE_AGAIN_AFTER) {
                    return None;
                }
                state.made = Some(Instant::now());
                state.zygote = Some(self.make(storage).ok()?);
            }
            let (socket, _) = state.zygote.as_ref()?;
            if fds::send(socket, b"r", handed).is_ok() {
                return Some(());
            }
            state.forget();
        }
        None
    }

    fn make(&self, storage: &Storage) -> io::Result<(UnixStream, Child)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(ANSWERS_WITHIN))?;
        let mut command = Command::new(&self.program);
        command
            .arg0("stepflow-recorder")
            .arg(ZYGOTE)
            .arg(storage.root())
            .arg(NOBODY)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        spawn::keep_fds_in_own_session(&mut command, Vec::new(), None);
        Ok((ours, command.spawn()?))
    }

    fn forget(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

impl State {
    /// It is gone, or will go: its socket closes.
    fn forget(&mut self) {
        if let Some((socket, mut child)) = self.zygote.take() {
            drop(socket);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget();
    }
}
