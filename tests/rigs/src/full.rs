//! The disk is full for a while: a small file system in memory, filled to the last page and freed.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{EventKind, ExecutionId, Reason, Status};
use stepflow_record::JournalReader;
use stepflow_testkit::{PATIENCE, Rng, Scratch, SmallDisk};

use crate::{
    Options, Outcome,
    fault::position,
    oracle::{self, Checker},
    stage::recorded,
};

const LINES: u64 = 4_000;
/// Steps that are open when the disk stays full: their ends are journaled as well, which are more than
/// what is left of the journal's last page.
const OPEN: usize = 60;

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let Ok(disk) = std::panic::catch_unwind(|| SmallDisk::mount("16m")) else {
        return Ok(Outcome::NotRun("cannot mount a tmpfs: it needs root".to_owned()));
    };
    let mut random = Rng::new(options.seed);
    let mut pauses = 0;
    for number in 0..options.fills {
        pauses += fill(options, disk.path(), &mut random)
            .map_err(|found| format!("fill {number}: {found}"))?;
    }
    if pauses * 2 < options.fills {
        return Err(format!("not a sweep: {pauses} pauses in {} fills", options.fills));
    }
    // Each waits for the patience of the recorder.
    let stopped = (options.fills / 25).max(1);
    let mut cut = 0;
    for number in 0..stopped {
        cut += stay_full(options, disk.path(), &mut random)
            .map_err(|found| format!("disk that stays full {number}: {found}"))?;
    }
    let mut gaps = 0;
    for number in 0..stopped * 3 {
        gaps += goes_on(options, disk.path(), &mut random)
            .map_err(|found| format!("disk that is full under drop {number}: {found}"))?;
    }
    if gaps < stopped {
        return Err(format!("not a sweep: {gaps} gaps"));
    }
    Ok(Outcome::Held(format!(
        "{} fills, {pauses} times the script was paused and went on by itself; {} lines, 0 lost, \
         repeated or changed, every end and exit code recorded; {stopped} times the disk stayed full \
         and the script was stopped: every end written meanwhile, {cut} lines before it whole, \
         nothing new accepted; {} times it was full under drop: the script never waited, {gaps} gaps, \
         recorded and lost bytes are what was printed",
        options.fills,
        options.fills * LINES,
        stopped * 3
    )))
}

/// The disk is full and stays so, under the policy to stop. Returns the lines that were recorded.
fn stay_full(options: &Options, disk: &Path, random: &mut Rng) -> Result<u64, String> {
    let root = disk.join("storage");
    let scratch = Scratch::new(&options.program).at(&root);
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let steps: Vec<String> =
        (0..OPEN).map(|n| format!("STEP_START:Step {n} [id=s{n}]\n")).collect();
    let steps = steps.concat();
    let begin = scratch.work().join("begin");
    fs::write(&begin, &steps).map_err(|error| error.to_string())?;
    let script =
        format!("cat '{}'; exec '{me}' {} 0 0 1000000 50", begin.display(), oracle::COMMAND);
    let id = scratch.detach(&["--on-disk-full", "kill"], &["sh", "-c", &script]);
    let from = steps.len() as u64 + random.below(150_000);
    until("some output", || position(&scratch, id).map(|(bytes, _)| bytes > from))?;
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).map_err(|error| error.to_string())?;
    // To the last byte of the last page: not one is left that is not kept.
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
    drop(file);
    let refused = scratch.output(&["run", "--", "true"]);
    if refused.status.code() != Some(125) {
        return Err(format!("a full disk takes a new execution: {}", refused.status));
    }
    let state = {
        let begun = Instant::now();
        loop {
            let state = scratch.view(id).state;
            if state.summary.status.is_end() {
                break state;
            }
            if begun.elapsed() > PATIENCE {
                return Err("no end is written while the disk is full".to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
    };
    let (status, reason) = (state.summary.status, state.summary.reason);
    if (status, reason) != (Status::Failed, Some(Reason::DiskFull)) {
        return Err(format!("it ended as {status} {reason:?}"));
    }
    if !state.annotations.iter().any(|warning| warning.code == "output_lost") {
        return Err("nothing is said of what is lost".to_owned());
    }
    if state.steps.len() != OPEN || !state.open.is_empty() {
        return Err(format!("{} steps, {} of them open", state.steps.len(), state.open.len()));
    }
    let mut checker = Checker::default();
    let bytes = recorded(&scratch, id)?;
    checker.take(bytes.strip_prefix(steps.as_bytes()).ok_or("the steps are not recorded")?)?;
    checker.finish()?;
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    until("the recorder is gone", || {
        scratch.storage.is_alive(id).map(|alive| !alive).map_err(|e| e.to_string())
    })?;
    drop(scratch);
    fs::remove_file(&ballast).map_err(|error| error.to_string())?;
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    Ok(checker.lines)
}

/// The disk is full for a while, a few times, under the policy to drop. Returns the gaps.
fn goes_on(options: &Options, disk: &Path, random: &mut Rng) -> Result<u64, String> {
    /// Printed in two seconds, whatever the disk does.
    const LINES: u64 = 20_000;
    let root = disk.join("storage");
    let scratch = Scratch::new(&options.program).at(&root);
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let progress = scratch.work().join("progress").display().to_string();
    let lines = LINES.to_string();
    let writer = [&me, oracle::COMMAND, "0", "0", &lines, "50", &progress];
    let id = scratch.detach(&["--on-disk-full", "drop"], &writer);
    let printed = || oracle::printed(Path::new(&progress));
    let ballast = disk.join("ballast");
    for _ in 0..=random.below(3) {
        let from = printed() + random.below(2_000);
        until("some output", || Ok(printed() >= from.min(LINES)))?;
        let mut file = File::create(&ballast).map_err(|error| error.to_string())?;
        while file.write_all(&[1; 4096]).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
        drop(file);
        let full = printed();
        // Not a byte is free: who waits would stand still here.
        until("it goes on", || Ok(printed() >= (full + 3_000).min(LINES)))?;
        if random.below(4) == 0 {
            until("it prints its last", || Ok(printed() == LINES))?; // It ends on the full disk.
            break;
        }
        fs::remove_file(&ballast).map_err(|error| error.to_string())?;
    }
    let view = scratch.ended(id);
    let _ = fs::remove_file(&ballast);
    let state = &view.state;
    if state.summary.status != Status::Completed || state.summary.exit_code != Some(0) {
        return Err(format!("it ended as {} {:?}", state.summary.status, state.summary.reason));
    }
    let log = recorded(&scratch, id)?;
    let all: Vec<Vec<u8>> = (0..LINES).map(|n| oracle::line(0, n)).collect();
    let printed: usize = all.iter().map(Vec::len).sum();
    if log.len() as u64 + state.lost_bytes != printed as u64 {
        let lost = state.lost_bytes;
        return Err(format!("{} recorded and {lost} lost bytes, {printed} printed", log.len()));
    }
    // Between two gaps stands a run of what was printed; after one it begins with a line.
    let cuts = state.losses.iter().map(|loss| loss.offset as usize).chain([log.len()]);
    let (mut from, mut next) = (0, 0);
    for to in cuts {
        let mut rest = &log[from..to];
        let first = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let known = all[next..].iter().position(|line| line.starts_with(first));
        next += known.ok_or(format!("what stands at byte {from} is no line's beginning"))?;
        while !rest.is_empty() {
            let line = all.get(next).ok_or("more lines than were printed")?;
            let part = &line[..line.len().min(rest.len())];
            if !rest.starts_with(part) {
                return Err(format!("line {next} is not what was printed"));
            }
            rest = &rest[part.len()..];
            next += 1;
        }
        from = to;
    }
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    let gaps = state.losses.len() as u64;
    drop(scratch);
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    Ok(gaps)
}

fn fill(options: &Options, disk: &Path, random: &mut Rng) -> Result<u64, String> {
    let root = disk.join("storage");
    let scratch = Scratch::new(&options.program).at(&root);
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let lines = LINES.to_string();
    let id = scratch.detach(&[], &[&me, oracle::COMMAND, "0", "0", &lines, "50"]);
    let from = random.below(150_000);
    until("some output", || position(&scratch, id).map(|(bytes, _)| bytes > from))?;
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).map_err(|error| error.to_string())?;
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    // It stands still, or the rest fitted into what was allocated already.
    let (mut last, mut still) = (0, 0);
    until("it stands still", || {
        let Ok((bytes, _)) = position(&scratch, id) else { return Ok(true) };
        still = if bytes == last { still + 1 } else { 0 };
        last = bytes;
        Ok(still >= 8)
    })?;
    // More room goes as fast as it comes, a few times.
    for _ in 0..random.below(3) {
        let size = fs::metadata(&ballast).map_err(|error| error.to_string())?.len();
        let file = File::options().write(true).open(&ballast).map_err(|error| error.to_string())?;
        file.set_len(size - 4096 * (1 + random.below(4))).map_err(|error| error.to_string())?;
        thread::sleep(Duration::from_millis(random.below(300)));
    }
    fs::remove_file(&ballast).map_err(|error| error.to_string())?;
    let view = scratch.ended(id);
    let summary = &view.state.summary;
    let mut checker = Checker::default();
    checker.take(&recorded(&scratch, id)?)?;
    if summary.status != Status::Completed || summary.exit_code != Some(0) {
        return Err(format!("it ended as {} {:?}", summary.status, summary.reason));
    }
    if checker.lines != LINES {
        return Err(format!("{} of {LINES} lines", checker.lines));
    }
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    let paused = paused(&scratch, id)?;
    drop(scratch);
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    Ok(paused)
}

/// Whether the journal tells of a pause; one that is told of is told to be over.
fn paused(scratch: &Scratch, id: ExecutionId) -> Result<u64, String> {
    let journal = JournalReader::open(&scratch.storage.record_dir(id));
    let mut journal = journal.map_err(|error| error.to_string())?.ok_or("no journal")?;
    let events = journal.read_new().map_err(|error| error.to_string())?;
    let count =
        |wanted: fn(&EventKind) -> bool| events.iter().filter(|event| wanted(&event.kind)).count();
    let paused = count(|kind| matches!(kind, EventKind::Paused { .. }));
    let resumed = count(|kind| matches!(kind, EventKind::Resumed {}));
    if paused != resumed {
        return Err(format!("{paused} pauses and {resumed} ends of one"));
    }
    Ok(u64::from(paused > 0))
}

fn until(what: &str, mut fact: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let begun = Instant::now();
    while !fact()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("never came true: {what}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
