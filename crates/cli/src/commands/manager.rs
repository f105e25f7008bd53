//! What a service manager hands to a server and is told by it, and how a server starts its successor.
//! Without one, nothing of this does anything.

use std::{
    env, io,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The TCP listener that the manager has opened for us (`LISTEN_FDS`); others are left alone.
pub fn listener() -> io::Result<Option<TcpListener>> {
    let mut passed = ListenFd::from_env();
    for at in 0..passed.len() {
        if let Ok(Some(listener)) = passed.take_tcp_listener(at) {
            return Ok(Some(listener));
        }
    }
    match passed.len() {
        0 => Ok(None),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "none of LISTEN_FDS is a TCP socket")),
    }
}

/// We serve, and are who is to be stopped.
pub fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

/// A successor is being started.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Starts a successor: the program that is now where ours was, with the same command line. It takes
/// over, or ends and says why; then we go on.
pub fn start_successor() {
    let mut args = env::args_os();
    let name = args.next().map(PathBuf::from).filter(|name| name.components().nth(1).is_some());
    // Of a bare name nobody knows which directory it was found in; of a file that was replaced
    // Linux says so behind its path.
    let found = name.map_or_else(env::current_exe, Ok).map(|path| {
        let text = path.to_string_lossy();
        text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from)
    });
    let mut command = match found {
        Ok(program) => Command::new(program),
        Err(error) => {
            tracing::error!(%error, "no successor was started");
            return;
        }
    };
    command.args(args).stdin(Stdio::null()).env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
    if !env::args_os().any(|arg| arg == "--takeover") {
        command.arg("--takeover");
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%error, "no successor was started");
            ready();
            return;
        }
    };
    // When it takes over, this process ends first.
    thread::spawn(move || {
        let status = child.wait().map(|status| status.to_string());
        tracing::error!(?status, "the successor has ended: this server goes on");
        ready();
    });
}
