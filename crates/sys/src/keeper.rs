//! The keeper: a tiny process between the recorder and the script.
//!
//! It starts the script in a session of its own, is a child subreaper, and so becomes the parent of
//! every orphan of the tree. It watches a pipe whose other end only the recorder holds: when the
//! recorder dies the keeper kills the whole tree and ends. When the keeper dies instead, the
//! recorder, a subreaper too, inherits its children and their exit status. Both share the open file
//! description of the claim, so a free claim proves that neither is left.

use std::{
    convert::Infallible,
    ffi::{CString, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{
            SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
        },
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{self, ForkResult, Pid, pipe2},
};

use crate::{
    pty,
    tree::{self, Waited},
};

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The argument vector; the first is looked up in `PATH`.
    pub argv: Vec<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Becomes standard input.
    pub stdin: OwnedFd,
    /// Becomes standard output.
    pub stdout: OwnedFd,
    /// Becomes standard error.
    pub stderr: OwnedFd,
    /// Standard input is a terminal that shall control the script.
    pub terminal: bool,
    /// Descriptors that keeper and recorder hold for life: the claim.
    pub held: Vec<RawFd>,
    /// The signal mask that the script gets.
    pub mask: SigSet,
    /// Where the script's pid is written before anything of it runs: its control group.
    pub door: Option<File>,
}

/// What the keeper says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The script's first process ended, with this raw wait status.
    Exited(i32),
    /// No process of the tree is left.
    Empty,
}

/// Why the script could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// What was tried: `chdir` or `exec`.
    pub step: &'static str,
    /// The system's answer.
    pub errno: i32,
}

/// The recorder's end of a keeper, with the script held back.
#[derive(Debug)]
pub struct Keeper {
    /// The keeper's pid.
    pub pid: i32,
    /// The script's first process, waiting to be released.
    pub script_pid: i32,
    /// The script is in the control group it was to be put into.
    pub grouped: bool,
    life: File,
    messages: File,
    go: Option<File>,
    failure: File,
}

fn pipe() -> io::Result<(File, File)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((File::from(read), File::from(write)))
}

fn cstring(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an argument holds a NUL byte"))
}

/// Blocks the signals that recorder and keeper read from descriptors. Returns the mask before.
pub fn block_signals() -> io::Result<SigSet> {
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        blocked.add(signal);
    }
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut before))?;
    Ok(before)
}

/// Makes this process the parent of every orphan below it.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Forks the keeper, which forks the script; the script waits for [`Keeper::release`].
///
/// The caller has no other thread, has called [`block_signals`] and [`become_subreaper`].
pub fn start(launch: Launch) -> io::Result<Keeper> {
    let argv: Vec<CString> = launch.argv.into_iter().map(cstring).collect::<io::Result<_>>()?;
    let cwd = cstring(launch.cwd.into_os_string())?;
    let (life_read, life_write) = pipe()?;
    let (messages_read, messages_write) = pipe()?;
    let (go_read, go_write) = pipe()?;
    let (failure_read, failure_write) = pipe()?;
    let mut script = Some(Script {
        argv,
        cwd,
        stdin: launch.stdin,
        stdout: launch.stdout,
        stderr: launch.stderr,
        terminal: launch.terminal,
        mask: launch.mask,
        go: go_read,
        failure: failure_write,
    });

    // SAFETY: the caller has a single thread, so the child may allocate and use everything.
    match unsafe { unistd::fork() }? {
        ForkResult::Child => {
            drop((life_write, messages_read, go_write, failure_read));
            let code = match script.take() {
                Some(script) => keep(script, life_read, messages_write, &launch.held, launch.door),
                None => 125,
            };
            exit_now(code)
        }
        ForkResult::Parent { child } => {
            drop((life_read, messages_write, launch.door));
            drop(script); // The script's ends of the pipes; else their readers would never see an end.
            let mut keeper = Keeper {
                pid: child.as_raw(),
                script_pid: 0,
                grouped: false,
                life: life_write,
                messages: messages_read,
                go: Some(go_write),
                failure: failure_read,
            };
            let mut first = [0; 5];
            keeper.messages.read_exact(&mut first)?;
            keeper.script_pid = number(first);
            keeper.grouped = first[0] == b'C';
            if first[0] != b'P' && !keeper.grouped {
                return Err(io::Error::from_raw_os_error(keeper.script_pid));
            }
            Ok(keeper)
        }
    }
}

impl Keeper {
    /// Lets the script go; waits until it is executed or has failed to be.
    pub fn release(&mut self) -> io::Result<Result<(), StartFailure>> {
        if let Some(mut go) = self.go.take() {
            // A child that was killed meanwhile has closed its end: its exit tells the story.
            let _ = go.write_all(b"G");
        }
        let mut answer = Vec::with_capacity(5);
        self.failure.read_to_end(&mut answer)?;
        Ok(match <[u8; 5]>::try_from(answer.as_slice()) {
            Ok(bytes) => Err(StartFailure {
                step: if bytes[0] == b'D' { "chdir" } else { "exec" },
                errno: number(bytes),
            }),
            Err(_) => Ok(()),
        })
    }

    /// The descriptor that becomes readable when the keeper says something, or is gone.
    pub fn messages(&self) -> BorrowedFd<'_> {
        self.messages.as_fd()
    }

    /// One message; `None` when the keeper is gone.
    pub fn read_message(&mut self) -> io::Result<Option<Message>> {
        let mut bytes = [0; 5];
        match self.messages.read_exact(&mut bytes) {
            Ok(()) if bytes[0] == b'X' => Ok(Some(Message::Exited(number(bytes)))),
            Ok(()) => Ok(Some(Message::Empty)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the keeper that the execution has ended: it goes, and leaves what still runs alone.
    pub fn dismiss(&mut self) {
        let _ = self.life.write_all(b"Q"); // Gone already: nothing to dismiss.
    }
}

fn number(message: [u8; 5]) -> i32 {
    i32::from_le_bytes([message[1], message[2], message[3], message[4]])
}

fn message(tag: u8, number: i32) -> [u8; 5] {
    let [a, b, c, d] = number.to_le_bytes();
    [tag, a, b, c, d]
}

fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process at once; nothing of the parent's is flushed or dropped twice.
    unsafe { libc::_exit(code) }
}

struct Script {
    argv: Vec<CString>,
    cwd: CString,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    terminal: bool,
    mask: SigSet,
    go: File,
    failure: File,
}

/// The keeper's life. Returns its exit code.
fn keep(script: Script, life: File, mut messages: File, held: &[RawFd], door: Option<File>) -> i32 {
    let _ = prctl::set_name(c"stepflow-keeper");
    if let Err(error) = become_subreaper() {
        let _ = messages.write_all(&message(b'F', error.raw_os_error().unwrap_or(0)));
        return 125;
    }
    // SAFETY: this process has a single thread, as its parent had at the fork.
    let script_pid = match unsafe { unistd::fork() } {
        Ok(ForkResult::Child) => {
            let Err((tag, errno)) = become_script(&script);
            let mut failure = &script.failure;
            let _ = failure.write_all(&message(tag, errno as i32));
            // As a shell says it: 126 found but not executable, 127 not found.
            exit_now(if errno == Errno::ENOENT { 127 } else { 126 })
        }
        Ok(ForkResult::Parent { child }) => child.as_raw(),
        Err(errno) => {
            let _ = messages.write_all(&message(b'F', errno as i32));
            return 125;
        }
    };
    drop(script);
    // Held back and not reaped, so the pid is the script's; all that it forks is born inside.
    let grouped =
        door.is_some_and(|mut door| door.write_all(script_pid.to_string().as_bytes()).is_ok());
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    let Ok(children) = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
    else {
        let _ = messages.write_all(&message(b'F', Errno::last() as i32));
        tree::kill_and_reap_all();
        return 125;
    };
    let mut ours = vec![life.as_raw_fd(), messages.as_raw_fd(), children.as_raw_fd()];
    ours.extend_from_slice(held);
    close_all_but(&ours);
    detach_standard_streams();
    let _ = messages.write_all(&message(if grouped { b'C' } else { b'P' }, script_pid));

    loop {
        let mut waiting = [
            PollFd::new(life.as_fd(), PollFlags::POLLIN),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => break,
        }
        let told = waiting[0].revents().is_some_and(|events| !events.is_empty());
        while matches!(children.read_signal(), Ok(Some(_))) {}
        loop {
            match tree::wait_any() {
                Waited::Reaped(pid, status) if pid == script_pid => {
                    let _ = messages.write_all(&message(b'X', status));
                }
                Waited::Reaped(..) => {}
                Waited::NoneYet => break,
                Waited::NoChildren => {
                    let _ = messages.write_all(&message(b'E', 0));
                    break;
                }
            }
        }
        if told {
            let mut byte = [0];
            match (&life).read(&mut byte) {
                Ok(1) => return 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break, // The recorder is gone.
            }
        }
    }
    tree::kill_and_reap_all();
    0
}

/// Turns this process into the script. Returns only on failure.
fn become_script(script: &Script) -> Result<Infallible, (u8, Errno)> {
    let exec = |errno| (b'E', errno);
    unistd::setsid().map_err(exec)?;
    let mut go = [0];
    let released = loop {
        match (&script.go).read(&mut go) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break matches!(other, Ok(1)),
        }
    };
    if !released {
        exit_now(125); // The recorder is gone before the start: never start.
    }
    unistd::dup2_stdin(&script.stdin).map_err(exec)?;
    unistd::dup2_stdout(&script.stdout).map_err(exec)?;
    unistd::dup2_stderr(&script.stderr).map_err(exec)?;
    if script.terminal {
        pty::control(&script.stdin).map_err(exec)?;
    }
    unistd::chdir(script.cwd.as_c_str()).map_err(|errno| (b'D', errno))?;
    // Rust ignores SIGPIPE; a script that inherits that behaves differently (`yes | head`).
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sets a default disposition, no handler of ours is involved.
    unsafe { sigaction(Signal::SIGPIPE, &default) }.map_err(exec)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&script.mask), None).map_err(exec)?;
    unistd::execvp(&script.argv[0], &script.argv).map_err(exec)
}

/// Closes every descriptor of this process but `keep` and the standard three.
fn close_all_but(keep: &[RawFd]) {
    for fd in open_fds() {
        if fd > 2 && !keep.contains(&fd) {
            let _ = unistd::close(fd);
        }
    }
}

/// Points standard input, output and error at `/dev/null`: ours are the script's, or a client's.
pub fn detach_standard_streams() {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = unistd::dup2_stdin(&null);
        let _ = unistd::dup2_stdout(&null);
        let _ = unistd::dup2_stderr(&null);
    }
}

/// The descriptors that are open in this process.
pub fn open_fds() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Closes descriptors that this process inherited for the script alone, so that it does not keep
/// other people's pipes open. The caller owns none of `fds` by a value.
pub fn close_inherited(fds: &[RawFd]) {
    for fd in fds {
        let _ = unistd::close(*fd);
    }
}

/// The process to look below for the tree when the keeper is gone: ourselves.
pub fn this_pid() -> i32 {
    Pid::this().as_raw()
}
