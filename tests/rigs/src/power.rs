//! The power is cut: an ext4 file system stops without writing what waits, and is mounted again.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, Status};
use stepflow_record::RecordView;
use stepflow_testkit::{Rng, Scratch, eventually, is_alive, kill};

use crate::{
    Options, Outcome,
    fault::position,
    oracle::{self, Checker},
    stage::{compiled, recorded},
};

/// Where programs for file systems are, which a user's search path may lack.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Output older than this is safe, and one sync in flight may take as long again.
const AGE_MAX: Duration = Duration::from_secs(4);
const MODES: [&str; 3] = ["interval", "always", "never"];

/// A file system in a file.
pub(crate) struct Disk {
    _dir: tempfile::TempDir,
    image: PathBuf,
    mount: PathBuf,
    shutdown: PathBuf,
}

fn call(program: &str, args: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program)
        .args(args)
        .env("PATH", PATH)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Disk {
    pub(crate) fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let shutdown = compiled(dir.path(), "shutdown.c", &[])?;
        let (image, mount) = (dir.path().join("image"), dir.path().join("mnt"));
        fs::create_dir(&mount).map_err(|error| error.to_string())?;
        let file = fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(256 << 20).map_err(|error| error.to_string())?;
        call("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_ref()])?;
        let disk = Self { _dir: dir, image, mount, shutdown };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        call("mount", &["-o".as_ref(), "loop".as_ref(), self.image.as_ref(), self.mount.as_ref()])
    }

    /// Where a storage may be.
    pub(crate) fn root(&self) -> PathBuf {
        self.mount.join("storage")
    }

    /// Nothing more is written.
    pub(crate) fn cut(&self) -> Result<(), String> {
        call(&self.shutdown.display().to_string(), &[self.mount.as_ref()])
    }

    /// As after the power is back.
    pub(crate) fn again(&self) -> Result<(), String> {
        let begun = Instant::now();
        while let Err(error) = call("umount", &[self.mount.as_ref()]) {
            if begun.elapsed() > stepflow_testkit::PATIENCE {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5)); // Whoever was killed is still closing files.
        }
        // A mount name space that somebody else made meanwhile has a copy of the mount. While it lives so
        // does the file system, without power, and to mount the image is to mount that one again.
        while self.is_attached()? {
            if begun.elapsed() > stepflow_testkit::PATIENCE {
                return Err("its loop device stays: another mount name space holds it".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.mount()
    }

    /// Whether a loop device still has the image.
    fn is_attached(&self) -> Result<bool, String> {
        let output = Command::new("losetup")
            .arg("--associated")
            .arg(&self.image)
            .env("PATH", PATH)
            .output()
            .map_err(|error| format!("losetup: {error}"))?;
        if !output.status.success() {
            return Err(format!("losetup: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(!output.stdout.is_empty())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = call("umount", &["-l".as_ref(), self.mount.as_ref()]);
    }
}

/// What somebody saw before the cut.
#[derive(Default)]
struct Seen {
    /// When, recorded bytes.
    recorded: Vec<(Instant, u64)>,
    safe: u64,
    ended: bool,
}

#[derive(Default)]
struct Count {
    after_the_end: u64,
    lost_bytes: [u64; 3],
    age: Duration,
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return Ok(Outcome::NotRun(why)),
    };
    let mut random = Rng::new(options.seed);
    let mut count = Count::default();
    for number in 0..options.cuts {
        let mode = (number % 3) as usize;
        cut(options, &disk, mode, &mut random, &mut count)
            .map_err(|found| format!("cut {number}, {}: {found}", MODES[mode]))?;
    }
    if count.after_the_end == 0 || count.lost_bytes[0] == 0 {
        return Err("not a sweep: no cut after an end, or none that lost anything".to_owned());
    }
    let compressions = (options.cuts / 10).max(5);
    let mut inside = 0;
    // How long a compression lives at most; it follows what the machine needs for one.
    let mut window = 120_000;
    for number in 0..compressions {
        let hit = while_compressing(options, &disk, random.below(window))
            .map_err(|found| format!("cut {number} of a compression: {found}"))?;
        window = if hit { window * 9 / 8 } else { window * 3 / 4 }.max(2_000);
        inside += u64::from(hit);
    }
    if inside * 5 < compressions {
        return Err(format!("not a sweep: {inside} of {compressions} cuts hit a compression"));
    }
    let kib = count.lost_bytes.map(|bytes| bytes / 1024);
    Ok(Outcome::Held(format!(
        "{} cuts, {} of them after the end: what was said to be safe is there, unchanged; recorded and \
         lost at most: {} KiB and nothing older than {:.2} s (interval), {} KiB (always), {} KiB (never); {compressions} cuts while a log was compressed ({inside} of them before its end): \
         every log whole, in one form or the other",
        options.cuts,
        count.after_the_end,
        kib[0],
        count.age.as_secs_f64(),
        kib[1],
        kib[2]
    )))
}

fn cut(
    options: &Options,
    disk: &Disk,
    mode: usize,
    random: &mut Rng,
    count: &mut Count,
) -> Result<(), String> {
    let root = disk.root();
    let scratch = Scratch::new(&options.program).at(&root);
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    // One of four ends before the cut; one of five lives long enough to see the interval go round.
    let short = random.below(4) == 0;
    let lines = if short { 50 + random.below(200) } else { 1_000_000 };
    let pause = 20 + random.below(200);
    let words = [lines.to_string(), pause.to_string()];
    let program = me.display().to_string();
    let id = scratch.detach(
        &["--log-sync", MODES[mode]],
        &[&program, oracle::COMMAND, "0", "0", &words[0], &words[1]],
    );
    let (recorder, keeper, script) = scratch.pids(id);
    let wait = match random.below(5) {
        0 if !short => 1_000 + random.below(800),
        _ => 10 + random.below(250),
    };
    let seen = watch(&scratch, id, Duration::from_millis(wait), short);
    disk.cut()?;
    let at = Instant::now();
    for pid in [recorder, keeper, script] {
        kill(pid);
    }
    eventually("they are gone", || {
        [recorder, keeper, script].iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    disk.again()?;
    let result = judge(&scratch, id, &seen, mode, lines, at, count);
    drop(scratch);
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    result
}

/// The power is cut while an ended log is compressed: it is there, every byte, and can be compressed
/// again. Returns whether the cut, `after_us` behind its beginning, came before its end.
fn while_compressing(options: &Options, disk: &Disk, after_us: u64) -> Result<bool, String> {
    let root = disk.mount.join("storage");
    let scratch = Scratch::new(&options.program).at(&root);
    let script = "echo STEP_START:One; seq 150000; echo STEP_COMPLETE:One";
    let run = scratch.output(&["run", "--output", "quiet", "--", "sh", "-c", script]);
    if !run.status.success() {
        return Err(format!("undisturbed: {}", String::from_utf8_lossy(&run.stderr)));
    }
    let id = scratch.newest();
    let before = recorded(&scratch, id)?;
    let mut child = scratch
        .command(&["compress", &id.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    // Its beginning reads and proves; what is written and renamed comes in the middle and at the end.
    thread::sleep(Duration::from_micros(after_us));
    let inside = matches!(child.try_wait(), Ok(None));
    disk.cut()?;
    let _ = child.kill();
    let _ = child.wait();
    disk.again()?;
    let whole = |when: &str| -> Result<(), String> {
        if recorded(&scratch, id)? != before {
            return Err(format!("{when}: the log is not what it was"));
        }
        let proof = scratch.storage.verify(id).map_err(|error| format!("{when}: {error}"))?;
        if !proof.flaws.is_empty() || !proof.sealed {
            return Err(format!("{when}: {proof:?}"));
        }
        Ok(())
    };
    whole("after the cut")?;
    let again = scratch.output(&["compress", &id.to_string()]);
    if !again.status.success() {
        return Err(format!("compressed again: {}", String::from_utf8_lossy(&again.stderr)));
    }
    whole("compressed again")?;
    if !scratch.storage.stored_log(id).1 {
        return Err("compressed again, it is not compressed".to_owned());
    }
    drop(scratch);
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    Ok(inside)
}

/// Looks at the recorder until `wait` has passed; with `to_the_end`, until it says that it has ended.
fn watch(scratch: &Scratch, id: ExecutionId, wait: Duration, to_the_end: bool) -> Seen {
    let mut seen = Seen::default();
    let begun = Instant::now();
    while (to_the_end || begun.elapsed() < wait) && begun.elapsed() < stepflow_testkit::PATIENCE {
        if let Ok((bytes, safe)) = position(scratch, id) {
            seen.recorded.push((Instant::now(), bytes));
            seen.safe = seen.safe.max(safe);
        } else {
            // Its socket goes with the recorder, which goes when the end is told.
            seen.ended = RecordView::open(&scratch.storage, id)
                .is_ok_and(|view| view.state.summary.status.is_end());
            if seen.ended {
                break;
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    seen
}

fn judge(
    scratch: &Scratch,
    id: ExecutionId,
    seen: &Seen,
    mode: usize,
    lines: u64,
    at: Instant,
    count: &mut Count,
) -> Result<(), String> {
    let shown = scratch.output(&["show", &id.to_string(), "--json"]);
    if !shown.status.success() {
        return Err(format!("show: {}", String::from_utf8_lossy(&shown.stderr)));
    }
    let view = RecordView::open(&scratch.storage, id).map_err(|error| error.to_string())?;
    let bytes = recorded(scratch, id)?;
    let there = bytes.len() as u64;
    if there < seen.safe {
        return Err(format!("{} bytes were said to be safe, {there} are there", seen.safe));
    }
    let mut checker = Checker::default();
    checker.take(&bytes)?;
    checker.finish()?;
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    let status = view.state.summary.status;
    if !status.is_end() {
        return Err(format!("it is {status}"));
    }
    if seen.ended {
        count.after_the_end += 1;
        if status != Status::Completed || checker.lines != lines {
            return Err(format!("its end was told: {status}, {} of {lines} lines", checker.lines));
        }
    } else if status == Status::Completed && checker.lines != lines {
        return Err(format!("completed, with {} of {lines} lines", checker.lines));
    }
    let most = seen.recorded.last().map_or(0, |last| last.1);
    let lost = most.saturating_sub(there);
    count.lost_bytes[mode] = count.lost_bytes[mode].max(lost);
    let first_lost = seen.recorded.iter().find(|look| look.1 > there);
    match (MODES[mode], first_lost) {
        ("always", Some(_)) => return Err(format!("{lost} recorded bytes are lost")),
        ("interval", Some((when, _))) => {
            let age = at.duration_since(*when);
            count.age = count.age.max(age);
            if age > AGE_MAX {
                return Err(format!("lost what was recorded {age:?} before"));
            }
        }
        _ => {}
    }
    Ok(())
}
