//! Where it all happens: a directory of its own, removed whatever happens.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{BenchError, process};

/// What is ended, or removed, is looked at this often, so many times: five seconds.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 250;

/// A directory of the bench's own, and what runs in it.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    program: PathBuf,
    running: Mutex<Vec<Pid>>,
    stopped: AtomicBool,
}

impl Place {
    /// Makes one in `parent`, with room for so many bytes.
    pub(crate) fn new(parent: &Path, room: u64) -> Result<Self, BenchError> {
        let space = nix::sys::statvfs::statvfs(parent).map_err(|error| {
            BenchError::io(format!("look at {}", parent.display()))(error.into())
        })?;
        let free = space.blocks_available() * space.fragment_size();
        if free < room {
            let (needed_mb, free_mb) = (room / 1_000_000, free / 1_000_000);
            return Err(BenchError::NoRoom { path: parent.to_owned(), needed_mb, free_mb });
        }
        let dir = parent.join(format!(".stepflow-bench-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(BenchError::io(format!("make {}", dir.display())))?;
        // Absolute: servers run in it.
        let dir = fs::canonicalize(&dir).map_err(BenchError::io("find the directory again"))?;
        // Ourselves, even when the file has been replaced by an upgrade.
        let program = PathBuf::from("/proc/self/exe");
        let running = Mutex::default();
        let stopped = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { dir, program, running, stopped })))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// A directory for a storage.
    pub(crate) fn storage(&self, name: &str) -> PathBuf {
        self.0.dir.join(name)
    }

    /// This program, in this directory, with none of the caller's settings.
    pub(crate) fn stepflow(&self) -> Command {
        let mut command = Command::new(&self.0.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STEPFLOW") {
                command.env_remove(name);
            }
        }
        // No `stepflow.toml` is here, and what is said is read by a program.
        command.current_dir(&self.0.dir).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    pub(crate) fn program(&self) -> &Path {
        &self.0.program
    }

    /// Ends with the place, if not before.
    pub(crate) fn runs(&self, pid: u32) {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Pid::from_raw(pid as i32));
    }

    /// Has ended.
    pub(crate) fn ran(&self, pid: u32) {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|known| *known != Pid::from_raw(pid as i32));
    }

    /// Whether somebody pressed Ctrl-C.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        if self.0.stopped.load(SeqCst) { Err(BenchError::Stopped) } else { Ok(()) }
    }

    /// Ends what runs and removes everything.
    pub(crate) fn clear(&self) {
        self.0.stopped.store(true, SeqCst);
        // First the servers, which would start more; then recorders, whose keepers end their scripts.
        let servers =
            std::mem::take(&mut *self.0.running.lock().unwrap_or_else(PoisonError::into_inner));
        for pid in servers {
            let _ = kill(pid, Signal::SIGKILL);
        }
        for _ in 0..LOOKS {
            let left = process::naming(&self.0.dir);
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            }
            std::thread::sleep(LOOK);
        }
        // What was just ended may still have made a file.
        for _ in 0..LOOKS {
            if fs::remove_dir_all(&self.0.dir).is_ok() || !self.0.dir.exists() {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
