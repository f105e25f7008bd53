//! Only for tests: scratch storages, seeded randomness, waiting for facts.
//!
//! Panics are its way to fail a test, so it may `expect` what a program may not.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout, reason = "only for tests")]

pub mod original;
mod screen; // a person at a terminal
mod tmux; // a real terminal multiplexer

pub use crate::{screen::Screen, tmux::Tmux};

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{EventKind, ExecutionId};
use stepflow_record::{JournalReader, LogReader, RecordView, Storage};
use stepflow_sys::tree;

/// A fact that does not come true within this time never will.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks every few milliseconds until `fact` gives a value; fails the test when it never does.
pub fn eventually<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = fact() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        thread::sleep(Duration::from_millis(3));
    }
}

/// Pseudo-random numbers (xorshift64*), seeded; the seed is printed, so that a failure replays.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// From `STEPFLOW_TEST_SEED`, else from the clock.
    pub fn seeded() -> Self {
        let seed = std::env::var("STEPFLOW_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| stepflow_sys::clock::wall_ns() as u64) | 1;
        println!("seed: STEPFLOW_TEST_SEED={seed}");
        Self(seed)
    }

    /// From a number.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

/// Rounds of a seeded test: 20, or `STEPFLOW_TEST_ROUNDS`.
pub fn rounds() -> u64 {
    std::env::var("STEPFLOW_TEST_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(20)
}

/// A storage of its own, with the program under test.
#[derive(Debug)]
pub struct Scratch {
    dir: tempfile::TempDir,
    program: PathBuf,
    /// The storage.
    pub storage: Storage,
}

impl Scratch {
    /// A fresh storage for `program`.
    pub fn new(program: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let storage = Storage::open(&dir.path().join("storage")).expect("a storage");
        std::fs::create_dir(dir.path().join("work")).expect("a work directory");
        Self { dir, program: PathBuf::from(program), storage }
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same program and work directory with a storage elsewhere.
    #[must_use]
    pub fn at(&self, storage: &Path) -> Self {
        let mut other = Self::new(self.program.to_str().expect("UTF-8"));
        other.storage = Storage::open(storage).expect("a storage");
        other
    }

    /// The directory in which commands run.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// `stepflow --storage … ARGS`, in the work directory, without a terminal.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--storage")
            .arg(self.storage.root())
            .args(args)
            .current_dir(self.work())
            .env_remove("STEPFLOW_STORAGE_PATH")
            .env_remove("STEPFLOW_OUTPUT")
            .env_remove("LC_ALL")
            .env_remove("LC_MESSAGES")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Runs it to its end; standard output as text.
    pub fn text(&self, args: &[&str]) -> String {
        String::from_utf8(self.output(args).stdout).expect("UTF-8")
    }

    /// `stepflow run OPTIONS --detach -- COMMAND`; the id.
    pub fn detach(&self, options: &[&str], command: &[&str]) -> ExecutionId {
        let mut args = vec!["run", "--detach"];
        args.extend_from_slice(options);
        args.push("--");
        args.extend_from_slice(command);
        let output = self.output(&args);
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("no id: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The newest execution.
    pub fn newest(&self) -> ExecutionId {
        *self.storage.executions().expect("a list").last().expect("an execution")
    }

    /// A record.
    pub fn view(&self, id: ExecutionId) -> RecordView {
        RecordView::open(&self.storage, id).expect("a record")
    }

    /// Waits for the end of an execution, by looking at its record.
    pub fn ended(&self, id: ExecutionId) -> RecordView {
        eventually("the execution ends", || {
            let mut view = self.view(id);
            view.liveness().expect("a look");
            view.state.summary.status.is_end().then_some(view)
        })
    }

    /// Pids of recorder, keeper and script, once started.
    pub fn pids(&self, id: ExecutionId) -> (i32, i32, i32) {
        eventually("the execution starts", || {
            let mut journal = JournalReader::open(&self.storage.record_dir(id)).ok()??;
            journal.read_new().ok()?.into_iter().find_map(|event| match event.kind {
                EventKind::Started { pid, recorder_pid, keeper_pid, .. } => {
                    Some((recorder_pid, keeper_pid, pid))
                }
                _ => None,
            })
        })
    }

    /// The whole recorded output.
    pub fn output_of(&self, id: ExecutionId) -> Vec<u8> {
        let log = LogReader::open(&self.storage.record_dir(id)).expect("a log");
        let Some(log) = log else { return Vec::new() };
        if let Some(mut file) = log.output() {
            // What a crash left behind the last entry is output, too.
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).expect("readable output");
            return bytes;
        }
        let (end, _) = log.position().expect("a position");
        let mut bytes = vec![0; end as usize];
        log.read_at(&mut bytes, 0).expect("readable output");
        bytes
    }

    /// Waits until a process with this word in its command line is there; its pid.
    pub fn waits_for_process(&self, word: &str) -> i32 {
        eventually("the process is there", || find_process(word))
    }
}

impl Drop for Scratch {
    /// A test that failed half-way leaves nothing running.
    fn drop(&mut self) {
        let _ = self.command(&["cancel", "--all"]).output();
    }
}

/// A living process with this word in its command line.
pub fn find_process(word: &str) -> Option<i32> {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().into_string().ok()?;
        if pid == me {
            return None;
        }
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let pid = pid.parse().ok()?;
        (String::from_utf8_lossy(&line).contains(word) && is_alive(pid)).then_some(pid)
    })
}

/// How many living processes have this word in their command line or environment.
pub fn count_processes(word: &str) -> usize {
    marked_processes(word).len()
}

/// The living processes that have this word in their command line or environment.
pub fn marked_processes(word: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let me = std::process::id() as i32;
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().into_string().ok()?.parse().ok()?;
            let has = |file: &str| {
                std::fs::read(entry.path().join(file))
                    .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(word))
            };
            (pid != me && is_alive(pid) && (has("cmdline") || has("environ"))).then_some(pid)
        })
        .collect()
}

/// Whether this process lives; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    tree::info(pid).is_some_and(|info| info.state != 'Z')
}

/// Sends SIGKILL to a process that the test started.
pub fn kill(pid: i32) {
    use nix::{sys::signal, unistd::Pid};
    let _ = signal::kill(Pid::from_raw(pid), signal::Signal::SIGKILL);
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Ends a child when the test ends, however it ends.
#[derive(Debug)]
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A small file system in memory, gone when the test ends. Needs root, as CI has.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one of this size, as `mount` understands it.
    pub fn mount(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().expect("a temporary directory"));
        disk.call("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// `PROGRAM ARGS MOUNTPOINT`.
    pub fn call(&self, program: &str, args: &[&str]) {
        let status = Command::new(program).args(args).arg(self.path()).status();
        assert!(status.expect("the program starts").success(), "{program} {args:?} needs root");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// A compiled example of the same build as `program`.
pub fn example(program: &str, name: &str) -> PathBuf {
    Path::new(program).parent().expect("a directory").join("examples").join(name)
}
