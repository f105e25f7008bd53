//! A disk that takes its time, or fails for good: each of the recorder's writes and syncs is slow, or
//! says EIO from some moment on.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_recorder::COMMAND;
use stepflow_testkit::{PATIENCE, Scratch, eventually};

use crate::{
    Options,
    fault::position,
    oracle::{self, Checker},
    served::{Served, ask},
    stage::{LIBRARY, compiled, recorded},
};

/// How long each write and each sync takes.
const DELAYS_MS: [u64; 3] = [50, 100, 200];
const LINES: u64 = 16_000;
/// What lies between a script and its record at most: a grown pipe, a read, and the writer's own
/// batch of lines.
const BETWEEN: u64 = (256 + 256 + 16) * 1024;
/// Others are measured this often, before and meanwhile.
const OTHERS: u32 = 12;
/// They may take so much longer than before on a machine that has other things to do.
const LONGER: Duration = Duration::from_millis(500);

/// A recorder needs no more memory for all that.
const ANONYMOUS_KIB: u64 = 8 * 1024;

/// Anonymous resident memory of a process.
fn anonymous_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Measured figures, for the rig's last line.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let preload = compiled(dir.path(), "preload.c", &LIBRARY)?;
    let mut waits = Vec::new();
    let mut worst = (Duration::ZERO, Duration::ZERO);
    for delay in DELAYS_MS {
        let place = |found| format!("each call {delay} ms slow: {found}");
        let one = slow(options, &preload, delay).map_err(place)?;
        waits.push(format!("{:.1} s at {delay} ms", one.0.as_secs_f64()));
        worst = (worst.0.max(one.1), worst.1.max(one.2));
    }
    for policy in ["block", "kill", "drop"] {
        failing(options, &preload, policy, dir.path())
            .map_err(|found| format!("EIO for good under {policy}: {found}"))?;
    }
    Ok(format!(
        "with slow writes and syncs the script waited ({}), 0 lines lost, others took {} ms at most \
         and {} ms before; a disk that fails for good: waited for, stopped, gone on without, never \
         successful with a hole",
        waits.join(", "),
        worst.1.as_millis(),
        worst.0.as_millis()
    ))
}

/// Starts an execution whose recorder is lied to, and waits for its first output.
fn start(
    scratch: &Scratch,
    preload: &Path,
    env: &[(&str, &str)],
    args: &[&str],
    progress: &Path,
) -> Result<(Child, ExecutionId), String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let before = scratch.storage.executions().map_err(|error| error.to_string())?;
    let lines = LINES.to_string();
    let progress = progress.display().to_string();
    let mut all = vec!["run", "--output", "quiet"];
    all.extend_from_slice(args);
    all.extend(["--", &me, oracle::COMMAND, "0", "0", &lines, "0", &progress]);
    if args.contains(&"drop") || args.contains(&"kill") || args.contains(&"block") {
        // Slow enough that the disk fails in the middle of it.
        let at = all.len() - 2;
        all[at] = "200";
    }
    let child = scratch
        .command(&all)
        .env("LD_PRELOAD", preload)
        .env("STEPFLOW_RIG_ROOT", scratch.storage.root().join("executions"))
        .env("STEPFLOW_RIG_ROLE", COMMAND)
        .envs(env.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let id = eventually("its record", || {
        let all = scratch.storage.executions().ok()?;
        all.into_iter().find(|id| !before.contains(id))
    });
    eventually("its first output", || position(scratch, id).ok().filter(|(bytes, _)| *bytes > 0));
    Ok((child, id))
}

/// The longest of several executions of somebody else, and of as many requests.
fn others(scratch: &Scratch, address: &str) -> Result<Duration, String> {
    let mut longest = Duration::ZERO;
    for _ in 0..OTHERS {
        let begun = Instant::now();
        let other = scratch.output(&["run", "--output", "quiet", "--", "seq", "1000"]);
        if !other.status.success() {
            return Err(format!("another execution: {}", other.status));
        }
        longest = longest.max(begun.elapsed());
        let begun = Instant::now();
        let (status, _) = ask(address, "GET", "/api/executions?limit=5", None, None)?;
        if status != 200 {
            return Err(format!("the server answers {status}"));
        }
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

fn slow(
    options: &Options,
    preload: &Path,
    delay: u64,
) -> Result<(Duration, Duration, Duration), String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let before = others(&scratch, &server.address)?;
    let progress = scratch.work().join("progress");
    let delay = delay.to_string();
    let begun = Instant::now();
    let env = [("STEPFLOW_RIG_DELAY", delay.as_str())];
    let (mut child, id) = start(&scratch, preload, &env, &[], &progress)?;
    let mut sizes = vec![0];
    for n in 0..LINES {
        sizes.push(sizes[n as usize] + oracle::line(0, n).len() as u64);
    }
    let (recorder, ..) = scratch.pids(id);
    // Nothing piles up between the script and the record: it waits as with a slow terminal.
    let watch = thread::scope(|scope| {
        let during = scope.spawn(|| others(&scratch, &server.address));
        let mut looks = 0_u64;
        loop {
            let printed = sizes[oracle::printed(&progress).min(LINES) as usize];
            // Asked afterwards: what it has is more by then, not less.
            let Ok((bytes, _)) = position(&scratch, id) else { break };
            looks += 1;
            if printed > bytes + BETWEEN {
                return Err(format!("{printed} bytes are printed and {bytes} recorded"));
            }
            let memory = anonymous_kib(recorder);
            if memory > ANONYMOUS_KIB {
                return Err(format!("its recorder has {memory} KiB"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let during = during.join().map_err(|_| "a panic beside it".to_owned())??;
        Ok((during, looks))
    });
    let (during, looks) = watch?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let took = begun.elapsed();
    if looks < 5 || took < Duration::from_millis(20 * delay.parse::<u64>().unwrap_or(0)) {
        return Err(format!("not slow: {took:?}, {looks} looks"));
    }
    if during > before * 4 + LONGER {
        return Err(format!("others took {during:?}, and {before:?} before"));
    }
    let mut checker = Checker::default();
    checker.take(&recorded(&scratch, id)?)?;
    checker.finish()?;
    if !status.success() || checker.lines != LINES {
        return Err(format!("{status}, {} of {LINES} lines", checker.lines));
    }
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    Ok((took, before, during))
}

/// Every write and sync says EIO from some moment on, until the disk is well again: long after the
/// policy has decided what becomes of the script.
fn failing(options: &Options, preload: &Path, policy: &str, dir: &Path) -> Result<(), String> {
    let scratch = Scratch::new(&options.program);
    let file = |name: &str| -> PathBuf { dir.join(format!("{policy}-{name}")) };
    let (armed, heal, progress) = (file("armed"), file("heal"), file("progress"));
    let texts = [armed.display().to_string(), heal.display().to_string()];
    let env = [
        ("STEPFLOW_RIG_ARMED", texts[0].as_str()),
        ("STEPFLOW_RIG_HEAL", texts[1].as_str()),
        ("STEPFLOW_RIG_AT", "1"),
        ("STEPFLOW_RIG_ON", "1"),
        ("STEPFLOW_RIG_DO", "5"),
    ];
    let args = ["--on-disk-full", policy];
    let (mut child, id) = start(&scratch, preload, &env, &args, &progress)?;
    eventually("more output", || (oracle::printed(&progress) > 500).then_some(()));
    std::fs::write(&armed, "").map_err(|error| error.to_string())?;
    let (_, _, script) = scratch.pids(id);
    let is_gone = || !stepflow_testkit::is_alive(script);
    match policy {
        // It waits: what it prints stands still.
        "block" => {
            let mut last = (0, Instant::now());
            eventually("it waits", || {
                let printed = oracle::printed(&progress);
                if printed != last.0 {
                    last = (printed, Instant::now());
                }
                // Longer than the other policy waits before it stops a script.
                (last.1.elapsed() > Duration::from_secs(7)).then_some(())
            });
            if is_gone() {
                return Err("the script is gone".to_owned());
            }
        }
        "kill" => eventually("it is stopped", || is_gone().then_some(())),
        _ => eventually("it comes to its own end", || {
            (is_gone() && oracle::printed(&progress) == LINES).then_some(())
        }),
    }
    std::fs::write(&heal, "").map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let state = loop {
        let state = scratch.view(id).state;
        if state.summary.status.is_end() {
            break state;
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("no end is written: {}", state.summary.status));
        }
        thread::sleep(Duration::from_millis(10));
    };
    let status = child.wait().map_err(|error| error.to_string())?;
    let log = recorded(&scratch, id)?;
    let mut checker = Checker::default();
    checker.take(&log)?;
    let end = (state.summary.status, state.summary.reason);
    if policy == "block" {
        if end != (Status::Completed, None) || checker.lines != LINES || !status.success() {
            return Err(format!("{end:?}, {status}, {} of {LINES} lines", checker.lines));
        }
    } else if end != (Status::Failed, Some(Reason::DiskFailed)) || status.success() {
        return Err(format!("it ended as {end:?}, {status}"));
    } else if state.lost_bytes == 0 {
        return Err("nothing is said of what is lost".to_owned());
    }
    if policy == "drop" {
        let printed: u64 = (0..LINES).map(|n| oracle::line(0, n).len() as u64).sum();
        if log.len() as u64 + state.lost_bytes != printed {
            let recorded = log.len();
            return Err(format!("{recorded} and {} of {printed} bytes", state.lost_bytes));
        }
    }
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    Ok(())
}
