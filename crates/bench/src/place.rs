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
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::BenchError;

/// A directory of the bench's own, and what runs in it.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    program: PathBuf,
    running: Mutex<Vec<Pid>>,
    storages: Mutex<Vec<PathBuf>>,
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
        let program = std::env::current_exe().map_err(BenchError::io("find this program"))?;
        let (running, storages) = (Mutex::default(), Mutex::default());
        let stopped = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { dir, program, running, storages, stopped })))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// A directory for a storage, which is the bench's to clean up.
    pub(crate) fn storage(&self, name: &str) -> PathBuf {
        let path = self.0.dir.join(name);
        let mut storages = self.0.storages.lock().unwrap_or_else(PoisonError::into_inner);
        if !storages.contains(&path) {
            storages.push(path.clone());
        }
        path
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
        let storages =
            std::mem::take(&mut *self.0.storages.lock().unwrap_or_else(PoisonError::into_inner));
        for storage in storages.iter().filter(|storage| storage.join("run").exists()) {
            let mut cancel = self.stepflow();
            cancel.arg("--storage").arg(storage).args(["cancel", "--all", "--json"]);
            let _ = cancel.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        for pid in
            std::mem::take(&mut *self.0.running.lock().unwrap_or_else(PoisonError::into_inner))
        {
            let _ = kill(pid, Signal::SIGKILL);
        }
        // What was just ended may still have made a file.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0.dir).is_ok() || !self.0.dir.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
