//! Starts a recorder process for a record that has just been made.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::SigSet;
use stepflow_model::ExecutionId;
use stepflow_record::{Created, Storage};
use stepflow_sys::spawn;

use crate::session::files;

/// First argument of the hidden command that makes a process a recorder.
pub const COMMAND: &str = "__record";

/// What a recorder is started with.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Where the record is.
    pub storage: &'a Storage,
    /// The program that understands [`COMMAND`]; `/proc/self/exe` for ourselves, even when the
    /// file has been replaced by an upgrade.
    pub program: PathBuf,
    /// The script's whole environment; `None`: this process's own.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// Becomes the script's standard input.
    pub stdin: Stdio,
    /// The signals that the script finds blocked; `None`: those that this thread has blocked.
    pub mask: Option<SigSet>,
}

/// A recorder that has been started.
#[derive(Debug)]
pub struct Launched {
    /// The process, to be reaped by whoever started it (it lives on without them); `None`: it is
    /// another's child.
    pub child: Option<Child>,
    /// Reads `started\n` once the script is released (or the start has failed, which the record
    /// tells); end of file: the recorder is gone. A recorder of a bound execution cancels when
    /// our end closes.
    pub link: UnixStream,
}

impl Launch<'_> {
    /// Starts the recorder in a session of its own; it inherits the claim.
    ///
    /// # Errors
    /// The system's answer; the claim is dropped then, and the record is unstarted.
    pub fn start(self, created: Created) -> io::Result<Launched> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command
            .arg0("stepflow-recorder")
            .arg(COMMAND)
            .arg(self.storage.root())
            .arg(created.id.to_string())
            .arg(created.claim.raw_fd().to_string())
            .stdin(self.stdin)
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::null());
        if let Some(env) = self.env {
            command.env_clear().envs(env);
        }
        command.envs(variables(self.storage, created.id));
        spawn::keep_fds_in_own_session(&mut command, vec![created.claim.raw_fd()], self.mask);
        let child = command.spawn()?;
        Ok(Launched { child: Some(child), link: ours })
    }
}

/// What the script's environment has beside what was declared for it.
pub(crate) fn variables(storage: &Storage, id: ExecutionId) -> Vec<(OsString, OsString)> {
    let Ok(spec) = storage.spec(id) else { return Vec::new() };
    let dir = storage.record_dir(id);
    let variables = files::variables(&std::path::absolute(&dir).unwrap_or(dir), &spec);
    variables.into_iter().map(|(name, path)| (name.into(), path.into())).collect()
}
