//! Output ten times as large as its log may be, under each policy, with readers that follow it and
//! recorders that are killed: what is shown is right, what is gone is said, and together they are all
//! of it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use stepflow_model::{Dropped, ExecutionId, NoteKind, Reason, Status, StepStatus};
use stepflow_record::{Line, LogReader, RecordView, read_notes};
use stepflow_sys::disk;
use stepflow_testkit::{Rng, Scratch, eventually, kill};

use crate::{Options, Outcome, gap, oracle};

/// The limit, and the output printed against it.
const MAX: u64 = 8 << 20;
const TIMES: u64 = 10;
/// Beyond the limit: one step of dropping, entries at both sides of the gap, one read.
const SLACK: u64 = (1 << 20) + 3 * 192 * 1024;

/// Of bytes that are wrong so many are printed.
const SAID_BYTES: usize = 80;

/// What the script prints, byte for byte, and how it is told to.
struct Script {
    all: Arc<Vec<u8>>,
    text: String,
}

impl Script {
    fn new() -> Result<Self, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
        let mut all = b"STEP_START:Before\n".to_vec();
        let mut lines = 0;
        while (all.len() as u64) < MAX * (TIMES - 1) {
            all.extend(oracle::line(1, lines));
            lines += 1;
        }
        let first = lines;
        all.extend(b"STEP_COMPLETE:Before\nSTEP_START:After\n");
        while (all.len() as u64) < MAX * TIMES {
            all.extend(oracle::line(1, lines));
            lines += 1;
        }
        all.extend(b"ARTIFACT:made.txt\nSTEP_COMPLETE:After\n");
        let text = format!(
            "echo STEP_START:Before; '{me}' oracle-write 1 0 {first} 0; echo STEP_COMPLETE:Before; \
             echo STEP_START:After; '{me}' oracle-write 1 {first} {} 0; echo made > made.txt; \
             echo ARTIFACT:made.txt; echo STEP_COMPLETE:After",
            lines - first
        );
        Ok(Self { all: Arc::new(all), text })
    }

    fn start(&self, scratch: &Scratch, full: &str) -> ExecutionId {
        let max = MAX.to_string();
        let options = ["--log-max-bytes", &max, "--log-full", full];
        scratch.detach(&options, &["sh", "-c", &self.text])
    }
}

/// Lines from `at` on: each true, or what stands for output that is gone. Returns where they end.
fn complete(lines: &[Line], all: &[u8], mut at: u64) -> Result<u64, String> {
    for line in lines {
        if line.offset != at {
            return Err(format!(
                "bytes {at} to {} are neither shown nor said to be gone",
                line.offset
            ));
        }
        at = line.end;
        match line.dropped {
            Some(gone) if gone.to == line.end && gone.holds(line.offset) => {}
            Some(gone) => return Err(format!("{gone:?} is said from {} to {at}", line.offset)),
            None => {
                let there = all.get(line.offset as usize..line.end as usize).unwrap_or_default();
                if there.strip_suffix(b"\n").unwrap_or(there) != line.text {
                    let text = &line.text[..line.text.len().min(SAID_BYTES)];
                    let text = String::from_utf8_lossy(text);
                    return Err(format!("other bytes are shown at {}: {text:?}", line.offset));
                }
            }
        }
    }
    Ok(at)
}

/// Follows a record until `enough`; returns where it came to and how often a gap was said.
fn follow(dir: &Path, all: &[u8], enough: &AtomicBool, slow: bool) -> Result<(u64, u64), String> {
    let (mut at, mut gaps) = (0, 0);
    let mut log = None;
    loop {
        let last = enough.load(Ordering::Acquire);
        if log.is_none() {
            log = LogReader::open(dir).map_err(|error| error.to_string())?;
        }
        let Some(log) = &log else {
            thread::yield_now();
            continue;
        };
        let some = log.some_from_offset(at, 64 * 1024, 400).map_err(|error| error.to_string())?;
        at = complete(&some, all, at)?;
        gaps += some.iter().filter(|line| line.dropped.is_some()).count() as u64;
        if some.is_empty() {
            if last {
                return Ok((at, gaps));
            }
            thread::yield_now();
        } else if slow {
            // What every reader of a page does meanwhile: from the beginning, by number.
            let from = log.lines(1, 2_000).map_err(|error| error.to_string())?;
            complete(&from, all, 0)?;
        }
    }
}

type Follower = JoinHandle<Result<(u64, u64), String>>;

fn followers(
    scratch: &Scratch,
    id: ExecutionId,
    script: &Script,
) -> (Vec<Follower>, Arc<AtomicBool>) {
    let enough = Arc::new(AtomicBool::new(false));
    let follower = |slow| {
        let (dir, all) = (scratch.storage.record_dir(id), Arc::clone(&script.all));
        let enough = Arc::clone(&enough);
        thread::spawn(move || follow(&dir, &all, &enough, slow))
    };
    (vec![follower(false), follower(true)], enough)
}

/// Lets the followers come to the end; says how many gaps they were told of.
fn come_to_end(followers: Vec<Follower>, enough: &AtomicBool, bytes: u64) -> Result<u64, String> {
    enough.store(true, Ordering::Release);
    let mut gaps = 0;
    for follower in followers {
        let (at, told) = follower.join().map_err(|_| "a follower panicked".to_owned())??;
        if at != bytes {
            return Err(format!("a follower came to byte {at} of {bytes}"));
        }
        gaps += told;
    }
    Ok(gaps)
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// A record that has ended: whole but for what is said to be gone. Returns that.
fn whole(scratch: &Scratch, id: ExecutionId, all: &[u8]) -> Result<Option<Dropped>, String> {
    let dir = scratch.storage.record_dir(id);
    let log = LogReader::open(&dir).map_err(|error| error.to_string())?.ok_or("no log")?;
    let (bytes, lines) = log.position().map_err(|error| error.to_string())?;
    let read = log.lines_from_offset(0, u64::MAX).map_err(|error| error.to_string())?;
    if complete(&read, all, 0)? != bytes {
        return Err("the log ends before its end".to_owned());
    }
    if lines != newlines(&all[..bytes as usize]) {
        return Err(format!("it counts {lines} lines"));
    }
    let gone = log.dropped().map_err(|error| error.to_string())?;
    let said: Vec<Dropped> = read.iter().filter_map(|line| line.dropped).collect();
    if said != Vec::from_iter(gone) {
        return Err(format!("{gone:?} is gone, said is {said:?}"));
    }
    let state = RecordView::open(&scratch.storage, id).map_err(|error| error.to_string())?.state;
    if state.dropped != gone {
        return Err(format!("the journal says {:?}, the mark {gone:?}", state.dropped));
    }
    if let Some(gone) = gone {
        let there = &all[gone.from as usize..gone.to as usize];
        if gone.lines() != newlines(there) {
            return Err(format!("{gone:?} counts {} line ends", newlines(there)));
        }
    }
    let proof = scratch.storage.verify(id).map_err(|error| error.to_string())?;
    if !proof.flaws.is_empty() {
        return Err(format!("verify: {:?}", proof.flaws));
    }
    if proof.bytes + proof.dropped_bytes != bytes
        || proof.dropped_bytes != gone.map_or(0, |gone| gone.bytes())
    {
        return Err(format!(
            "verify counts {} and {} of {bytes}",
            proof.bytes, proof.dropped_bytes
        ));
    }
    Ok(gone)
}

/// What the program's own reader shows of it, by `logs --json`.
fn told(scratch: &Scratch, id: ExecutionId, all: &[u8]) -> Result<(), String> {
    let (mut at, mut gaps) = (0, 0);
    for line in scratch.text(&["logs", &id.to_string(), "--json"]).lines() {
        let line: serde_json::Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        // Whoever goes on by number behind a line that is half gone comes into the gap.
        let from = line["dropped"]["from"].as_u64().unwrap_or(number("offset"));
        if from > at || (from < at && !line["dropped"].is_object()) {
            return Err(format!("logs: byte {at} is missing, {line} follows"));
        }
        let end = number("offset") + number("bytes");
        if line["dropped"].is_object() {
            gaps += 1;
        } else {
            let there = String::from_utf8_lossy(&all[at as usize..end as usize]);
            if line["text"].as_str() != Some(there.trim_end_matches('\n')) {
                return Err(format!("logs: {line} is not {there:?}"));
            }
        }
        at = end;
    }
    if (at, gaps) == (all.len() as u64, 1) {
        return Ok(());
    }
    Err(format!("logs: {at} of {} bytes, {gaps} gaps", all.len()))
}

fn keeps_ends(scratch: &Scratch, script: &Script) -> Result<(Dropped, u64, u64), String> {
    let all = &script.all[..];
    let id = script.start(scratch, "keep-ends");
    let (readers, enough) = followers(scratch, id, script);
    let view = scratch.ended(id);
    let gaps = come_to_end(readers, &enough, all.len() as u64)?;
    let state = &view.state;
    if state.summary.status != Status::Completed {
        return Err(format!("it ended as {:?}", state.summary.reason));
    }
    let steps: Vec<_> = state.steps.iter().map(|step| (step.name.as_str(), step.status)).collect();
    if steps != [("Before", StepStatus::Completed), ("After", StepStatus::Completed)]
        || !state.artifacts.iter().any(|file| file.sha256.is_some())
    {
        return Err(format!("markers behind the limit: {steps:?}, {:?}", state.artifacts));
    }
    let gone = whole(scratch, id, all)?.ok_or("nothing was dropped")?;
    let kept = all.len() as u64 - gone.bytes();
    if gone.from < MAX / 2 || all.len() as u64 - gone.to < MAX / 2 || kept > MAX + SLACK {
        return Err(format!("of {} bytes {gone:?} went", all.len()));
    }
    let taken = disk::blocks_of(&scratch.storage.record_dir(id).join("output.log"));
    if taken > MAX + SLACK + 64 * 1024 {
        return Err(format!("{kept} bytes take {taken} bytes of the disk"));
    }
    told(scratch, id, all)?;
    let raw = scratch.output(&["logs", &id.to_string(), "--raw"]);
    let ends = [&all[..gone.from as usize], &all[gone.to as usize..]].concat();
    let said = String::from_utf8_lossy(&raw.stderr);
    if raw.stdout != ends || !said.contains(&gone.from.to_string()) {
        return Err(format!("logs --raw: {} bytes, {said:?}", raw.stdout.len()));
    }
    let packed = scratch.output(&["compress", &id.to_string()]);
    if !packed.status.success() || scratch.storage.record_dir(id).join("output.log").exists() {
        return Err(format!("compress: {}", String::from_utf8_lossy(&packed.stderr)));
    }
    if whole(scratch, id, all)? != Some(gone) {
        return Err("compressed, something else is gone".to_owned());
    }
    told(scratch, id, all)?;
    Ok((gone, kept, gaps))
}

fn blocks(scratch: &Scratch, script: &Script) -> Result<u64, String> {
    let id = script.start(scratch, "block");
    let position = || {
        let log = LogReader::open(&scratch.storage.record_dir(id)).ok()??;
        log.position().ok()
    };
    eventually("it waits", || scratch.view(id).state.summary.paused.then_some(()));
    let (held, _) = eventually("a position", position);
    if !(MAX..=MAX + SLACK).contains(&held) {
        return Err(format!("block: it waits at byte {held}"));
    }
    // Whoever asks it something gets an answer, and not a byte more comes.
    scratch.text(&["show", &id.to_string()]);
    if position().map(|at| at.0) != Some(held) {
        return Err("block: the log grows on".to_owned());
    }
    scratch.text(&["cancel", &id.to_string()]);
    let view = scratch.ended(id);
    if view.state.summary.status != Status::Cancelled {
        return Err(format!("block: it ended as {:?}", view.state.summary.status));
    }
    match whole(scratch, id, &script.all)? {
        None => Ok(held),
        Some(gone) => Err(format!("block: {gone:?}")),
    }
}

fn stops(scratch: &Scratch, script: &Script) -> Result<u64, String> {
    let id = script.start(scratch, "stop");
    let view = scratch.ended(id);
    let summary = &view.state.summary;
    if summary.reason != Some(Reason::OutputLimit) {
        return Err(format!("stop: it ended as {:?} {:?}", summary.status, summary.reason));
    }
    let bytes = summary.position.bytes;
    if bytes < MAX {
        return Err(format!("stop: at byte {bytes}"));
    }
    whole(scratch, id, &script.all)?;
    Ok(bytes)
}

/// A recorder dies while it drops: what it left is whole, and says what is gone.
fn killed(scratch: &Scratch, script: &Script, random: &mut Rng) -> Result<Option<Dropped>, String> {
    let id = script.start(scratch, "keep-ends");
    let (recorder, ..) = scratch.pids(id);
    let (readers, enough) = followers(scratch, id, script);
    let until = random.below(MAX * (TIMES - 1));
    eventually("it has printed that much", || {
        let log = LogReader::open(&scratch.storage.record_dir(id)).ok()??;
        (log.position().ok()?.0 >= until).then_some(())
    });
    kill(recorder);
    eventually("whoever looks notes the end", || {
        scratch.text(&["show", &id.to_string()]);
        scratch.view(id).state.summary.status.is_end().then_some(())
    });
    let log = LogReader::open(&scratch.storage.record_dir(id)).map_err(|e| e.to_string())?;
    let (bytes, _) = log.ok_or("no log")?.position().map_err(|error| error.to_string())?;
    come_to_end(readers, &enough, bytes)?;
    // A hole proves nothing: whoever recovers the record must know that nothing is to be proven there.
    let notes = read_notes(&scratch.storage.record_dir(id)).map_err(|error| error.to_string())?;
    for note in notes {
        if let NoteKind::Recovered { damaged_bytes: damaged @ 1.., .. } = note.kind {
            return Err(format!("{damaged} bytes that went by policy are said to be damaged"));
        }
    }
    whole(scratch, id, &script.all)
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scratch = Scratch::new(&options.program);
    let probe = scratch.work().join("probe");
    let file = std::fs::File::create(probe).map_err(|error| error.to_string())?;
    if !disk::can_punch_hole(&file).map_err(|error| error.to_string())? {
        return Ok(Outcome::NotRun("this file system cannot give back parts of a file".to_owned()));
    }
    let script = Script::new()?;
    let (gone, kept, gaps) = keeps_ends(&scratch, &script)?;
    let viewers = gap::viewers(&scratch, &script.all, || script.start(&scratch, "keep-ends"))?;
    let held = blocks(&scratch, &script)?;
    let stopped = stops(&scratch, &script)?;
    let mut random = Rng::new(options.seed);
    let kills = (options.kills / 20).max(4);
    let mut dropping = 0;
    for number in 0..kills {
        let gone = killed(&scratch, &script, &mut random)
            .map_err(|found| format!("kill {number}: {found}"))?;
        dropping += u64::from(gone.is_some());
    }
    if dropping * 3 < kills {
        return Err(format!("not a sweep: {dropping} of {kills} recorders had dropped anything"));
    }
    Ok(Outcome::Held(format!(
        "of {} bytes {kept} are kept, {} with {} line ends are said to be gone ({gaps} times to two \
         readers that followed), compressed as well; {viewers}; block waits at byte {held}, stop ends at byte \
         {stopped}; {kills} recorders killed, {dropping} of them past the limit: 0 bytes wrong, 0 \
         unsaid",
        script.all.len(),
        gone.bytes(),
        gone.lines(),
    )))
}
