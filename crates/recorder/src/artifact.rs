//! Copies declared files into the storage, in a thread of its own.
//!
//! A file is opened once, beneath the working directory, without following links or blocking;
//! everything is judged by that handle and copied from it.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::BorrowedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::Mode,
};
use sha2::{Digest, Sha256};
use stepflow_model::EventKind;

use crate::worker::Worker;

/// Largest artifact, in bytes: 1 GiB.
pub const ARTIFACT_BYTES_MAX: u64 = 1 << 30;

/// One declared file.
#[derive(Debug)]
pub struct Job {
    /// The artifact's number.
    pub index: u32,
    /// The path as written.
    pub path: String,
}

/// Where files come from and where their copies go.
#[derive(Debug, Clone)]
pub struct Collector {
    /// The script's working directory, absolute.
    pub cwd: PathBuf,
    /// The execution's artifact directory.
    pub target: PathBuf,
}

/// A thread that copies, once there is something to copy: most scripts declare no files.
pub(crate) struct Collecting {
    collector: Collector,
    worker: Option<Worker<Job, EventKind>>,
}

impl Collecting {
    pub(crate) fn new(collector: Collector) -> Self {
        Self { collector, worker: None }
    }

    /// Has a file copied. Returns what became of it if that is known at once.
    pub(crate) fn give(&mut self, index: u32, path: String) -> Option<EventKind> {
        if self.worker.is_none() {
            let collector = self.collector.clone();
            self.worker = Worker::start("artifacts", move |job: Job| collector.collect(&job)).ok();
        }
        match &mut self.worker {
            Some(worker) => {
                worker.give(Job { index, path });
                None
            }
            None => Some(EventKind::ArtifactStored {
                artifact: index,
                sha256: None,
                size: 0,
                changed: false,
                problem: Some("no thread could be started to copy it".to_owned()),
            }),
        }
    }

    /// What is done by now.
    pub(crate) fn take(&mut self) -> Vec<EventKind> {
        self.worker.as_mut().map(Worker::take).unwrap_or_default()
    }

    /// Whether nothing is being copied.
    pub(crate) fn is_idle(&self) -> bool {
        self.worker.as_ref().is_none_or(|worker| worker.pending == 0)
    }

    /// Readable when a file is copied.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.worker.as_ref().map(Worker::bell)
    }
}

impl Collector {
    /// Copies one file; whatever goes wrong becomes the event's `problem`.
    pub fn collect(&self, job: &Job) -> EventKind {
        match self.copy(job, ARTIFACT_BYTES_MAX) {
            Ok((sha256, size, changed)) => EventKind::ArtifactStored {
                artifact: job.index,
                sha256: Some(sha256),
                size,
                changed,
                problem: None,
            },
            Err(problem) => EventKind::ArtifactStored {
                artifact: job.index,
                sha256: None,
                size: 0,
                changed: false,
                problem: Some(problem),
            },
        }
    }

    fn copy(&self, job: &Job, limit: u64) -> Result<(String, u64, bool), String> {
        let path = &job.path;
        let mut file = self.open(path)?;
        let look =
            |file: &File| file.metadata().map_err(|e| format!("`{path}` cannot be read: {e}"));
        let before = look(&file)?;
        if !before.is_file() {
            let kind = if before.is_dir() { "a directory" } else { "not a regular file" };
            return Err(format!("`{path}` is {kind}: only regular files are collected"));
        }
        if before.len() > limit {
            return Err(format!(
                "`{path}` has {} bytes, more than the limit of {limit}",
                before.len()
            ));
        }
        let (name, size) = self
            .store(&mut file, job.index, limit)
            .map_err(|error| format!("`{path}` cannot be copied: {error}"))?;
        let after = look(&file)?;
        let stamp = |meta: &fs::Metadata| (meta.len(), meta.mtime(), meta.mtime_nsec());
        Ok((name, size, stamp(&before) != stamp(&after) || size != after.len()))
    }

    /// Opens a file beneath the working directory, as it may be collected.
    pub(crate) fn open(&self, path: &str) -> Result<File, String> {
        let inside = self.relative(Path::new(path));
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let cwd = open(&self.cwd, directory, Mode::empty())
            .map_err(|errno| format!("the working directory cannot be opened: {}", errno.desc()))?;
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
            .resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS,
            );
        openat2(&cwd, &inside, how).map(File::from).map_err(|errno| match errno {
            Errno::ENOENT => format!("`{path}` does not exist"),
            Errno::EXDEV => format!("`{path}` is outside the working directory"),
            Errno::ELOOP => format!("`{path}` is, or passes through, a symbolic link"),
            Errno::ENXIO => {
                format!("`{path}` is not a regular file: only regular files are collected")
            }
            errno => format!("`{path}` cannot be opened: {}", errno.desc()),
        })
    }

    /// An absolute path that lies below the working directory, as one relative to it.
    pub(crate) fn relative(&self, path: &Path) -> PathBuf {
        if path.is_relative() {
            return path.to_owned();
        }
        if let Ok(inside) = path.strip_prefix(&self.cwd) {
            return inside.to_owned();
        }
        match fs::canonicalize(&self.cwd) {
            Ok(cwd) => path.strip_prefix(cwd).unwrap_or(path).to_owned(),
            Err(_) => path.to_owned(),
        }
    }

    /// Copies to a temporary name, digests the copy, names it by its digest.
    fn store(&self, file: &mut File, index: u32, limit: u64) -> io::Result<(String, u64)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.target)?;
        let temporary = self.target.join(format!("incoming-{index}"));
        let mut copy = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        // `io::copy` uses copy_file_range where the file systems can; a growing file is bounded.
        let size = io::copy(&mut file.take(limit + 1), &mut copy)?;
        if size > limit {
            let _ = fs::remove_file(&temporary);
            return Err(io::Error::other("it grew past the limit while it was copied"));
        }
        copy.sync_all()?;
        drop(copy);
        let mut copy = File::open(&temporary)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match copy.read(&mut buffer)? {
                0 => break,
                count => digest.update(&buffer[..count]),
            }
        }
        let name = digest.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        fs::rename(&temporary, self.target.join(&name))?;
        File::open(&self.target)?.sync_all()?;
        Ok((name, size))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn collect(collector: &Collector, path: &str) -> Result<(String, u64, bool), String> {
        collector.copy(&Job { index: 0, path: path.to_owned() }, ARTIFACT_BYTES_MAX)
    }

    #[test]
    fn the_largest_artifact_is_copied_and_one_byte_more_is_refused() {
        const SCALED: u64 = 64 * 1024;
        let root = tempfile::tempdir().unwrap();
        let cwd = root.path().to_owned();
        let collector = Collector { cwd: cwd.clone(), target: root.path().join("artifacts") };
        for (limit, size, fits) in [
            (SCALED, 0, true),
            (SCALED, SCALED - 1, true),
            (SCALED, SCALED, true),
            (SCALED, SCALED + 1, false),
            (SCALED, SCALED * 100, false),
            // Without a byte on the disk, and without one that is read.
            (ARTIFACT_BYTES_MAX, ARTIFACT_BYTES_MAX + 1, false),
            (ARTIFACT_BYTES_MAX, ARTIFACT_BYTES_MAX * 100, false),
        ] {
            File::create(cwd.join("file")).unwrap().set_len(size).unwrap();
            let job = Job { index: 0, path: "file".to_owned() };
            match collector.copy(&job, limit) {
                Ok((_, copied, changed)) => {
                    assert_eq!((fits, copied, changed), (true, size, false));
                }
                Err(problem) => {
                    assert!(!fits && problem.contains("more than the limit"), "{size}: {problem}");
                }
            }
            let left = fs::read_dir(&collector.target).into_iter().flatten().flatten();
            let left =
                left.filter(|file| file.file_name().to_string_lossy().starts_with("incoming"));
            assert_eq!(left.count(), 0, "half a copy of {size}");
        }
    }

    #[test]
    fn only_regular_files_below_the_working_directory_are_collected() {
        let root = tempfile::tempdir().unwrap();
        let cwd = root.path().join("work");
        fs::create_dir_all(cwd.join("sub")).unwrap();
        fs::write(root.path().join("outside"), "secret").unwrap();
        fs::write(cwd.join("sub/report.txt"), "report").unwrap();
        symlink("/etc/passwd", cwd.join("link")).unwrap();
        symlink("/etc", cwd.join("dirlink")).unwrap();
        nix::unistd::mkfifo(&cwd.join("fifo"), Mode::S_IRWXU).unwrap();
        let collector = Collector { cwd: cwd.clone(), target: root.path().join("artifacts") };

        let (sha256, size, changed) = collect(&collector, "sub/report.txt").unwrap();
        assert_eq!((size, changed), (6, false));
        assert_eq!(fs::read(collector.target.join(&sha256)).unwrap(), b"report");
        let absolute = cwd.join("sub/report.txt");
        assert_eq!(collect(&collector, absolute.to_str().unwrap()).unwrap().0, sha256);

        for (path, why) in [
            ("missing", "does not exist"),
            ("sub", "directory"),
            ("fifo", "regular file"),
            ("link", "symbolic link"),
            ("dirlink/passwd", "symbolic link"),
            ("../outside", "outside"),
            ("/etc/passwd", "outside"),
            ("sub/../../outside", "outside"),
        ] {
            let problem = collect(&collector, path).unwrap_err();
            assert!(problem.contains(why), "{path}: {problem}");
        }
    }
}
