//! What `--on-disk-full` and `--log-full` do together: every pair that can be asked for, with the disk
//! full before the log is, and after it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

use std::{
    fs::{self, File},
    io::Write,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{EventKind, ExecutionId, Reason, Status};
use stepflow_record::JournalReader;
use stepflow_testkit::{Ended, Scratch, SmallDisk, eventually};

const STEPFLOW: &str = env!("CARGO_BIN_EXE_stepflow");
const LIMIT: u64 = 4 << 20;
/// Prints numbers until it is told to stop, and says beside its output how far it is.
const COUNTS: &str = "i=1
while [ ! -e stop ]; do
  seq $i $((i + 4999)) || exit 3; i=$((i + 5000))
  echo $i > count.new; mv count.new count
  sleep 0.002
done
echo bye";
/// Longer than the policy to kill waits.
const LONG: Duration = Duration::from_secs(7);

/// What the script does while the disk is full.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Full {
    Waits,
    GoesOn,
    Ends(Reason),
}

/// What becomes of it when there is room again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// It prints on past the limit and ends by itself.
    Completes,
    /// It waits because its log is full, and says so.
    Holds,
    /// Its log is full: it is stopped.
    Stops,
    /// It has ended before.
    Nothing,
}

/// Whose output it is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// A script that was started.
    Script,
    /// What somebody pipes into `stepflow pipe`.
    Pipe,
}

struct Run {
    /// Whoever writes into the pipe.
    _writer: Option<Ended>,
    disk: SmallDisk,
    scratch: Scratch,
    id: ExecutionId,
}

impl Run {
    fn start(way: Way, disk_full: &str, log_full: &str) -> Self {
        let disk = SmallDisk::mount("16m");
        let scratch = Scratch::new(STEPFLOW).at(&disk.path().join("storage"));
        let limit = LIMIT.to_string();
        let options =
            ["--on-disk-full", disk_full, "--log-full", log_full, "--log-max-bytes", &limit];
        let (writer, id) = match way {
            Way::Script => (None, scratch.detach(&options, &["bash", "-c", COUNTS])),
            Way::Pipe => {
                let root = scratch.storage.root().display();
                let pipe = format!("{STEPFLOW} --storage {root} pipe --output quiet");
                let script = format!("{{ {COUNTS}; }} | {pipe} {}", options.join(" "));
                let mut command = std::process::Command::new("bash");
                command.args(["-c", &script]).current_dir(scratch.work()).stderr(Stdio::null());
                let writer = Ended(command.spawn().unwrap());
                let first = || scratch.storage.executions().ok()?.last().copied();
                (Some(writer), eventually("it is there", first))
            }
        };
        eventually("some output", || (scratch.output_of(id).len() > 50_000).then_some(()));
        Self { _writer: writer, disk, scratch, id }
    }

    /// Takes the last byte of the last page.
    fn fill(&self) {
        let mut file = File::create(self.disk.path().join("ballast")).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.disk.path().join("ballast")).unwrap();
    }

    fn counted(&self) -> u64 {
        let text = fs::read_to_string(self.scratch.work().join("count")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn paused(&self) -> bool {
        self.scratch.view(self.id).state.summary.paused
    }

    /// Why it said last that it waits.
    fn why(&self) -> String {
        let journal = JournalReader::open(&self.scratch.storage.record_dir(self.id));
        let events = journal.unwrap().unwrap().read_new().unwrap();
        let why = events.into_iter().rev().find_map(|event| match event.kind {
            EventKind::Paused { why } => Some(why),
            _ => None,
        });
        why.unwrap_or_default()
    }

    /// Whether it has printed nothing for longer than any policy is patient.
    fn stands_still(&self) {
        let mut last = (self.counted(), Instant::now());
        eventually("it stands still", || {
            let now = self.counted();
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > LONG).then_some(())
        });
        assert!(!self.scratch.view(self.id).state.summary.status.is_end());
    }

    fn meanwhile(&self, wanted: Full) {
        match wanted {
            Full::Waits => {
                eventually("it waits", || self.paused().then_some(()));
                assert!(self.why().starts_with("the disk is full"), "{}", self.why());
                self.stands_still();
            }
            Full::GoesOn => {
                let from = self.counted();
                eventually("it goes on", || (self.counted() > from + 50_000).then_some(()));
                assert!(!self.paused());
            }
            Full::Ends(reason) => {
                let view = self.scratch.ended(self.id);
                assert_eq!(view.state.summary.status, Status::Failed);
                assert_eq!(view.state.summary.reason, Some(reason));
            }
        }
    }

    fn afterwards(&self, wanted: Then, lost: bool) {
        let end = match wanted {
            Then::Completes => {
                let from = self.counted();
                eventually("it goes on", || (self.counted() > from + 50_000).then_some(()));
                let past = || self.scratch.view(self.id).state.dropped.is_some().then_some(());
                eventually("past its limit", past);
                fs::write(self.scratch.work().join("stop"), "").unwrap();
                (Status::Completed, None)
            }
            Then::Holds => {
                eventually("its log is full", || {
                    self.why().contains("log_max_bytes").then_some(())
                });
                eventually("it says that it waits", || self.paused().then_some(()));
                self.stands_still();
                assert!(self.paused());
                let id = self.id.to_string();
                assert!(self.scratch.output(&["cancel", &id]).status.success());
                (Status::Cancelled, Some(Reason::User))
            }
            Then::Stops => (Status::Failed, Some(Reason::OutputLimit)),
            Then::Nothing => {
                let summary = self.scratch.view(self.id).state.summary.clone();
                (summary.status, summary.reason)
            }
        };
        let view = self.scratch.ended(self.id);
        assert_eq!((view.state.summary.status, view.state.summary.reason), end);
        assert!(!view.state.summary.paused, "what has ended waits for nothing");
        assert_eq!(view.state.lost_bytes > 0, lost, "{:?}", view.state.losses);
        let proof = self.scratch.storage.verify(self.id).unwrap();
        assert!(proof.flaws.is_empty() && proof.sealed, "{proof:?}");
    }
}

/// All of them at once: they wait most of the time.
fn each<T: Copy + Send + Sync + std::fmt::Debug>(table: &[T], one: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        let runs: Vec<_> = table.iter().map(|row| (row, scope.spawn(|| one(*row)))).collect();
        for (row, run) in runs {
            assert!(run.join().is_ok(), "{row:?}");
        }
    });
}

fn disk_first(way: Way) {
    const DISK: Reason = Reason::DiskFull;
    let table = [
        ("block", "keep-ends", Full::Waits, Then::Completes, false),
        ("block", "block", Full::Waits, Then::Holds, false),
        ("block", "stop", Full::Waits, Then::Stops, false),
        ("kill", "keep-ends", Full::Ends(DISK), Then::Nothing, true),
        ("kill", "block", Full::Ends(DISK), Then::Nothing, true),
        ("kill", "stop", Full::Ends(DISK), Then::Nothing, true),
        ("drop", "keep-ends", Full::GoesOn, Then::Completes, true),
        ("drop", "block", Full::GoesOn, Then::Holds, true),
        ("drop", "stop", Full::GoesOn, Then::Stops, true),
    ];
    each(&table, |(disk_full, log_full, meanwhile, then, lost)| {
        let run = Run::start(way, disk_full, log_full);
        run.fill();
        run.meanwhile(meanwhile);
        run.free();
        run.afterwards(then, lost);
    });
}

fn log_first(way: Way) {
    let held = [("block", "block", false), ("kill", "block", true), ("drop", "block", true)];
    let table = [
        ("block", "keep-ends", Full::Waits, Then::Completes, false),
        ("kill", "keep-ends", Full::Ends(Reason::DiskFull), Then::Nothing, true),
        ("drop", "keep-ends", Full::GoesOn, Then::Completes, true),
    ];
    // A script that waits for its log prints nothing that a disk could refuse: nobody loses patience.
    let held = held.map(|(disk, log, lost)| (disk, log, Full::Waits, Then::Holds, lost));
    each(&[&table[..], &held[..]].concat(), |(disk_full, log_full, meanwhile, then, lost)| {
        let run = Run::start(way, disk_full, log_full);
        if log_full == "block" {
            eventually("its log is full", || run.paused().then_some(()));
            run.fill();
            run.stands_still();
            assert!(run.paused() && run.why().contains("log_max_bytes"), "{}", run.why());
            // Cancelled on the full disk, what is in its pipe is waited for, or lost and counted.
            if disk_full == "block" {
                run.free();
            }
            return run.afterwards(then, lost);
        }
        let dropped = || run.scratch.view(run.id).state.dropped.is_some().then_some(());
        eventually("past its limit", dropped);
        run.fill();
        run.meanwhile(meanwhile);
        run.free();
        run.afterwards(then, lost);
    });
}

#[test]
fn a_scripts_disk_is_full_before_its_log_is() {
    disk_first(Way::Script);
}

#[test]
fn a_pipes_disk_is_full_before_its_log_is() {
    disk_first(Way::Pipe);
}

#[test]
fn a_scripts_log_is_full_before_its_disk_is() {
    log_first(Way::Script);
}

#[test]
fn a_pipes_log_is_full_before_its_disk_is() {
    log_first(Way::Pipe);
}
