//! Server, recorder, keeper and script are killed at random moments, in a loop, while scripts write
//! and viewers read.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_record::{LogReader, RecordView};
use stepflow_testkit::{Rng, Scratch, count_processes, eventually, kill};

use crate::{
    Options, Outcome,
    oracle::{self, Checker},
    stage::recorded,
};

const LINES: u64 = 1_500;
/// Executions of one round.
const WRITERS: usize = 3;
/// Output that may be in a pipe or in the recorder's memory when it dies.
const IN_FLIGHT_MAX: u64 = 512 * 1024;
/// A dead recorder is noticed within 2 s while a server runs; four times that is a failure here.
const NOTICED_WITHIN: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Recorder,
    Keeper,
    Script,
    ServerAndRecorder,
}

struct Writer {
    id: ExecutionId,
    progress: PathBuf,
    pids: (i32, i32, i32),
    viewer: JoinHandle<Result<Vec<u8>, String>>,
    enough: Arc<AtomicBool>,
}

#[derive(Default)]
struct Count {
    kills: [u64; 5],
    lines: u64,
    in_flight: u64,
    noticed: Duration,
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scratch = Scratch::new(&options.program);
    let mark = format!("stepflow-kill-rig-{}", std::process::id());
    let mut random = Rng::new(options.seed);
    let mut count = Count::default();
    let mut server = serve(&scratch)?;
    let mut round = 0;
    while count.kills.iter().sum::<u64>() < options.kills {
        round += 1;
        one(&scratch, &mark, &mut server, &mut random, &mut count)
            .map_err(|found| format!("round {round}: {found}"))?;
    }
    let _ = server.kill();
    let _ = server.wait();
    let [servers, recorders, keepers, scripts, both] = count.kills;
    if count.kills.contains(&0) {
        return Err(format!("not a sweep: {:?}", count.kills));
    }
    Ok(Outcome::Held(format!(
        "{} kills in {round} rounds (server {servers}, recorder {recorders}, keeper {keepers}, script \
         {scripts}, server and recorder {both}), {} lines: 0 lost, 0 repeated, 0 changed, 0 seen and \
         gone, 0 processes left; {} KiB in flight at most when a recorder died, noticed within {:.2} s",
        options.kills,
        count.lines,
        count.in_flight / 1024,
        count.noticed.as_secs_f64()
    )))
}

pub(crate) fn serve(scratch: &Scratch) -> Result<Child, String> {
    let mut server = scratch
        .command(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(server.stderr.take().ok_or("no standard error")?).lines();
    loop {
        let line = lines.next().ok_or("the server does not start")?.map_err(|e| e.to_string())?;
        if line.starts_with("listening on ") {
            break;
        }
    }
    thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
    Ok(server)
}

fn one(
    scratch: &Scratch,
    mark: &str,
    server: &mut Child,
    random: &mut Rng,
    count: &mut Count,
) -> Result<(), String> {
    let victim = match random.below(10) {
        0..3 => Victim::Server,
        3..6 => Victim::Recorder,
        6 => Victim::Keeper,
        7 | 8 => Victim::Script,
        _ => Victim::ServerAndRecorder,
    };
    let writers: Vec<Writer> =
        (0..WRITERS).map(|at| start(scratch, mark, at, victim)).collect::<Result<_, _>>()?;
    let at = random.below(WRITERS as u64) as usize;
    let target = &writers[at];
    let until = random.below(LINES * 3 / 4);
    eventually("the victim writes", || (oracle::printed(&target.progress) > until).then_some(()));
    let killed = Instant::now();
    let (recorder, keeper, script) = target.pids;
    let mut kill_server = || {
        let _ = server.kill();
        let _ = server.wait();
        serve(scratch).map(|again| *server = again)
    };
    match victim {
        Victim::Server => kill_server()?,
        Victim::Recorder => kill(recorder),
        Victim::Keeper => kill(keeper),
        Victim::Script => kill(script),
        Victim::ServerAndRecorder => {
            kill(recorder);
            kill_server()?;
        }
    }
    count.kills[victim as usize] += 1;
    for (number, writer) in writers.into_iter().enumerate() {
        let hit = number == at;
        let what =
            format!("{victim:?} killed, {} writer {number}", if hit { "hit" } else { "other" });
        judge(scratch, writer, victim, hit, killed, count)
            .map_err(|found| format!("{what}: {found}"))?;
    }
    // The silent process beside a lost script's writer is of its tree, and dies with it.
    eventually("no process of a tree is left", || (count_processes(mark) == 0).then_some(()));
    Ok(())
}

fn start(scratch: &Scratch, mark: &str, at: usize, victim: Victim) -> Result<Writer, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let progress = scratch.work().join(format!("progress-{at}"));
    let _ = std::fs::remove_file(&progress);
    let beside = match victim {
        Victim::Recorder | Victim::ServerAndRecorder if at == 0 => "sleep 1000 >/dev/null 2>&1 & ",
        _ => "",
    };
    let finish = if beside.is_empty() { "" } else { "; kill %1" };
    let script = if beside.is_empty() {
        format!("exec '{me}' oracle-write {at} 0 {LINES} 80 '{}'", progress.display())
    } else {
        format!("{beside}'{me}' oracle-write {at} 0 {LINES} 80 '{}'{finish}", progress.display())
    };
    let output = scratch
        .command(&["run", "--detach", "--", "bash", "-c", &script])
        .env("STEPFLOW_RIG_MARK", mark)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let id: ExecutionId = text.trim().parse().map_err(|_| format!("no id: {output:?}"))?;
    let pids = scratch.pids(id);
    let enough = Arc::new(AtomicBool::new(false));
    let viewer = thread::spawn({
        let (dir, enough) = (scratch.storage.record_dir(id), Arc::clone(&enough));
        move || view(&dir, &enough)
    });
    Ok(Writer { id, progress, pids, viewer, enough })
}

/// Everything that a reader saw, from the first byte to the end.
fn view(dir: &std::path::Path, enough: &AtomicBool) -> Result<Vec<u8>, String> {
    let mut seen = Vec::new();
    loop {
        // Once more after there is enough: nothing comes behind that.
        let last = enough.load(Ordering::Acquire);
        if let Some(log) = LogReader::open(dir).map_err(|error| error.to_string())? {
            let (bytes, _) = log.position().map_err(|error| error.to_string())?;
            let mut new =
                vec![0; (bytes as usize).checked_sub(seen.len()).ok_or("the log shrank")?];
            log.read_at(&mut new, seen.len() as u64).map_err(|error| error.to_string())?;
            seen.extend(new);
        }
        if last {
            return Ok(seen);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn judge(
    scratch: &Scratch,
    writer: Writer,
    victim: Victim,
    hit: bool,
    killed: Instant,
    count: &mut Count,
) -> Result<(), String> {
    let id = writer.id;
    // The server gives the verdict; nobody else looks.
    eventually("it ends", || {
        let view = RecordView::open(&scratch.storage, id).ok()?;
        view.state.summary.status.is_end().then_some(())
    });
    let noticed = killed.elapsed();
    writer.enough.store(true, Ordering::Release);
    let seen = writer.viewer.join().map_err(|_| "the viewer panicked")??;
    let view = RecordView::open(&scratch.storage, id).map_err(|error| error.to_string())?;
    let summary = &view.state.summary;
    let bytes = recorded(scratch, id)?;
    if !bytes.starts_with(&seen) {
        return Err(format!("{} bytes were seen, {} are recorded", seen.len(), bytes.len()));
    }
    let mut checker = Checker::default();
    checker.take(&bytes)?;
    checker.finish()?;
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if !flaws.is_empty() {
        return Err(format!("verify: {flaws:?}"));
    }
    let printed = oracle::printed(&writer.progress);
    let expected = match victim {
        Victim::Recorder | Victim::ServerAndRecorder if hit => {
            let number = *checker.next.keys().next().unwrap_or(&0);
            let missing: usize =
                (checker.lines..printed).map(|n| oracle::line(number, n).len()).sum();
            count.in_flight = count.in_flight.max(missing as u64);
            if missing as u64 > IN_FLIGHT_MAX {
                return Err(format!("{missing} printed bytes are missing"));
            }
            count.noticed = count.noticed.max(noticed);
            if noticed > NOTICED_WITHIN {
                return Err(format!("noticed after {noticed:?}"));
            }
            (Status::Failed, Some(Reason::RecorderLost))
        }
        Victim::Script if hit => {
            if checker.lines < printed || summary.signal != Some(9) {
                let lines = checker.lines;
                return Err(format!("{printed} printed, {lines} recorded, {:?}", summary.signal));
            }
            (Status::Failed, Some(Reason::Signal))
        }
        _ if checker.lines < LINES => {
            return Err(format!("{} of {LINES} lines", checker.lines));
        }
        _ => (Status::Completed, None),
    };
    count.lines += checker.lines;
    if (summary.status, summary.reason) != expected {
        return Err(format!("it is {:?} {:?}", summary.status, summary.reason));
    }
    Ok(())
}
