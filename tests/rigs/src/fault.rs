//! Each of the recorder's calls fails once, or from then on until the disk is well again; and a disk
//! that takes no sync stops the script before 64 MiB are at risk.

use std::{
    thread,
    time::{Duration, Instant},
};

use stepflow_model::ExecutionId;
use stepflow_recorder::control::{Answer, Request};
use stepflow_testkit::{PATIENCE, Scratch, eventually};

use crate::{
    Options, Outcome,
    oracle::Checker,
    slow,
    stage::{End, Lie, Scenario, recorded},
};

/// What a call can say, and how it is called.
const FAULTS: [(&str, &str); 5] =
    [("28", "ENOSPC"), ("5", "EIO"), ("24", "EMFILE"), ("4", "EINTR"), ("short", "short write")];
/// What a disk says for a while.
const FOR_A_WHILE: [(&str, &str); 2] = [("28", "ENOSPC"), ("5", "EIO")];
/// Most unsynced output, and what one read and the open entry may add.
const UNSYNCED_MAX: u64 = (64 << 20) + (256 << 10);

#[derive(Default)]
struct Count {
    whole: u64,
    refused: u64,
    unsafe_for_ever: u64,
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scenario = match Scenario::new(&options.program) {
        Ok(scenario) => scenario,
        Err(why) if why.starts_with("no C compiler") => return Ok(Outcome::NotRun(why)),
        Err(found) => return Err(found),
    };
    let mut count = Count::default();
    let once = FAULTS.map(|fault| (fault, false));
    let until_healed = FOR_A_WHILE.map(|fault| (fault, true));
    for at in 1..=scenario.calls.len() {
        for ((what, name), goes_on) in once.into_iter().chain(until_healed) {
            let lie = Lie { at, what: what.to_owned(), goes_on };
            let from = if goes_on { "from call" } else { "at call" };
            one(&scenario, &lie, &mut count)
                .map_err(|found| format!("{name} {from} {at} ({}): {found}", scenario.calls))?;
        }
    }
    if count.unsafe_for_ever == 0 || count.refused == 0 {
        return Err(format!(
            "not a sweep: {} unsafe, {} refused",
            count.unsafe_for_ever, count.refused
        ));
    }
    let at_risk = slow_disk(&scenario)?;
    let slow = slow::run(options)?;
    Ok(Outcome::Held(format!(
        "{} faults at {} calls: {} whole, {} refused at the start, {} of the whole marked unsafe for \
         ever; {:.1} MiB at risk at most on a disk that takes no sync; {slow}",
        count.whole + count.refused,
        scenario.calls.len(),
        count.whole,
        count.refused,
        count.unsafe_for_ever,
        at_risk as f64 / f64::from(1 << 20)
    )))
}

fn one(scenario: &Scenario, lie: &Lie, count: &mut Count) -> Result<(), String> {
    let mut run = scenario.start(lie);
    if lie.goes_on {
        // Until it has met the fault three times, or was refused.
        let begun = Instant::now();
        while run.calls().len() < lie.at + 3
            && begun.elapsed() < PATIENCE
            && run.child.try_wait().map_err(|error| error.to_string())?.is_none()
        {
            thread::sleep(Duration::from_millis(1));
        }
        run.heal();
    }
    let status = run.ended()?;
    let calls = run.calls();
    let (end, state) = scenario.judge(&run)?;
    let failed_sync =
        calls.as_bytes().get(lie.at - 1) == Some(&b's') && lie.what != "4" && lie.what != "short";
    match end {
        End::Whole => {
            count.whole += 1;
            let artifact_failed = state.artifacts.iter().any(|file| file.problem.is_some());
            match state.unsafe_from {
                Some(from) if from > scenario.output.len() as u64 => {
                    return Err(format!("unsafe from {from}, beyond the output"));
                }
                Some(_) => {
                    count.unsafe_for_ever += 1;
                    if !state.annotations.iter().any(|note| note.code == "sync_failed") {
                        return Err("a failed sync, and no warning".to_owned());
                    }
                }
                None if failed_sync && !artifact_failed => {
                    return Err("a sync failed, and the record says that all is safe".to_owned());
                }
                None => {}
            }
        }
        End::Refused => {
            count.refused += 1;
            if status.code() != Some(125) {
                return Err(format!("refused with {status}"));
            }
        }
        End::Lost => return Err("the recorder is gone".to_owned()),
    }
    Ok(())
}

/// Most output that was unsynced while the disk took no sync.
fn slow_disk(scenario: &Scenario) -> Result<u64, String> {
    let scratch = &scenario.scratch;
    let well = scratch.work().join("well");
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let lines = 1_000_000;
    let script = format!("'{}' oracle-write 0 0 {lines} 0", me.display());
    let mut child = scratch
        .command(&["run", "--output", "quiet", "--", "sh", "-c", &script])
        .env("LD_PRELOAD", &scenario.preload)
        .env("STEPFLOW_RIG_ROOT", scratch.storage.root().join("executions"))
        .env("STEPFLOW_RIG_ROLE", stepflow_recorder::COMMAND)
        .env("STEPFLOW_RIG_SLOW", &well)
        .spawn()
        .map_err(|error| error.to_string())?;
    // The start is synced as well: only then does the disk become slow.
    std::fs::write(&well, "").map_err(|error| error.to_string())?;
    let before = scratch.storage.executions().map_err(|error| error.to_string())?.len();
    let id = eventually("a new execution", || {
        let all = scratch.storage.executions().ok()?;
        all.get(before)
            .or(all.last())
            .copied()
            .filter(|id| scratch.storage.is_alive(*id).is_ok_and(|a| a))
    });
    eventually("the script prints", || position(scratch, id).ok().filter(|(bytes, _)| *bytes > 0));
    std::fs::remove_file(&well).map_err(|error| error.to_string())?;
    let (mut most, mut still, mut last) = (0, 0, 0);
    let begun = Instant::now();
    // It stands still when 20 looks in a row find no new byte.
    while still < 20 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("the script is not stopped, {most} bytes are unsynced"));
        }
        let (bytes, safe) = position(scratch, id)?;
        most = most.max(bytes - safe);
        still = if bytes == last && bytes - safe > UNSYNCED_MAX / 2 { still + 1 } else { 0 };
        last = bytes;
        thread::sleep(Duration::from_millis(25));
    }
    std::fs::write(&well, "").map_err(|error| error.to_string())?;
    if most > UNSYNCED_MAX {
        return Err(format!("{most} bytes were at risk"));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let mut checker = Checker::default();
    checker.take(&recorded(scratch, id)?)?;
    if !status.success() || checker.lines != lines {
        return Err(format!("{status}, {} of {lines} lines", checker.lines));
    }
    Ok(most)
}

/// Recorded and safe bytes, as the recorder says them.
pub(crate) fn position(scratch: &Scratch, id: ExecutionId) -> Result<(u64, u64), String> {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixStream,
    };
    let path = scratch.storage.run_dir().join(stepflow_record::Storage::socket_name(id));
    let ask = || -> std::io::Result<Answer> {
        let mut socket = UnixStream::connect(&path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(&[serde_json::to_vec(&Request::Status)?, b"\n".to_vec()].concat())?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    };
    match ask().map_err(|error| format!("its socket: {error}"))? {
        Answer::Position { bytes, safe, .. } => Ok((bytes, safe)),
        other => Err(format!("its socket said {other:?}")),
    }
}
