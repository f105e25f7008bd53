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
    /// While no server runs.
    RecorderAlone,
}

impl Victim {
    const ALL: [Self; 6] = [
        Self::Server,
        Self::Recorder,
        Self::Keeper,
        Self::Script,
        Self::ServerAndRecorder,
        Self::RecorderAlone,
    ];

    /// How often it is killed where servers are killed `kills` times.
    fn share(self, kills: u64) -> u64 {
        let share = match self {
            Self::Server => kills,
            Self::Recorder | Self::RecorderAlone => kills / 2,
            Self::ServerAndRecorder | Self::Script => kills / 4,
            Self::Keeper => kills / 8,
        };
        share.max(1)
    }

    /// How often in one round.
    fn at_once(self) -> usize {
        match self {
            Self::Server | Self::Recorder | Self::RecorderAlone => WRITERS,
            Self::Keeper | Self::Script | Self::ServerAndRecorder => 1,
        }
    }

    fn is_recorder(self) -> bool {
        matches!(self, Self::Recorder | Self::RecorderAlone | Self::ServerAndRecorder)
    }
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
    kills: [u64; 6],
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
    loop {
        let left = |victim: &Victim| count.kills[*victim as usize] < victim.share(options.kills);
        let open: Vec<Victim> = Victim::ALL.into_iter().filter(left).collect();
        if open.is_empty() {
            break;
        }
        let victim = open[random.below(open.len() as u64) as usize];
        round += 1;
        one(&scratch, &mark, victim, &mut server, &mut random, &mut count)
            .map_err(|found| format!("round {round}: {found}"))?;
    }
    let _ = server.kill();
    let _ = server.wait();
    let [servers, recorders, keepers, scripts, both, alone] = count.kills;
    Ok(Outcome::Held(format!(
        "{} kills in {round} rounds (server {servers}, recorder {recorders}, recorder while no server \
         runs {alone}, server and recorder {both}, keeper {keepers}, script {scripts}), {} lines: 0 \
         lost, 0 repeated, 0 changed, 0 seen and gone, 0 processes left; {} KiB in flight at most when \
         a recorder died, noticed within {:.2} s",
        count.kills.iter().sum::<u64>(),
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
    victim: Victim,
    server: &mut Child,
    random: &mut Rng,
    count: &mut Count,
) -> Result<(), String> {
    let _ = std::fs::remove_file(scratch.work().join("go"));
    let writers: Vec<Writer> =
        (0..WRITERS).map(|at| start(scratch, mark, at, victim)).collect::<Result<_, _>>()?;
    // Now they begin: none is at its end before the last one was started.
    std::fs::write(scratch.work().join("go"), "").map_err(|error| error.to_string())?;
    let first = random.below(WRITERS as u64) as usize;
    let mut untils: Vec<u64> = (0..victim.at_once()).map(|_| random.below(LINES / 2)).collect();
    untils.sort_unstable();
    let stop_server = |server: &mut Child| {
        let _ = server.kill();
        let _ = server.wait();
    };
    if victim == Victim::RecorderAlone {
        stop_server(server);
    }
    let mut killed = Instant::now();
    let mut hits = [false; WRITERS];
    for (number, until) in untils.into_iter().enumerate() {
        let at = (first + number) % WRITERS;
        hits[at] = true;
        let target = &writers[at];
        eventually("the victim writes", || {
            (oracle::printed(&target.progress) > until).then_some(())
        });
        killed = Instant::now();
        let (recorder, keeper, script) = target.pids;
        match victim {
            Victim::Recorder | Victim::RecorderAlone | Victim::ServerAndRecorder => kill(recorder),
            Victim::Keeper => kill(keeper),
            Victim::Script => kill(script),
            Victim::Server => {}
        }
        if matches!(victim, Victim::Server | Victim::ServerAndRecorder) {
            stop_server(server);
            *server = serve(scratch)?;
        }
        count.kills[victim as usize] += 1;
    }
    if victim == Victim::RecorderAlone {
        *server = serve(scratch)?;
    }
    for (number, writer) in writers.into_iter().enumerate() {
        let hit = hits[number];
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
        victim if victim.is_recorder() && at == 0 => "sleep 1000 >/dev/null 2>&1 & ",
        _ => "",
    };
    // Only a script that came to its end takes it along: of one that was lost, the keeper must.
    let finish = if beside.is_empty() { "" } else { " && kill %1" };
    let wait = "until [ -e go ]; do sleep 0.01; done; ";
    let script = if beside.is_empty() {
        format!("{wait}exec '{me}' oracle-write {at} 0 {LINES} 80 '{}'", progress.display())
    } else {
        format!(
            "{beside}{wait}'{me}' oracle-write {at} 0 {LINES} 80 '{}'{finish}",
            progress.display()
        )
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
    // On a busy machine a recorder may have recorded its end before it was hit.
    let too_late = printed == LINES && checker.lines == LINES && summary.exit_code == Some(0);
    let expected = match victim {
        victim if victim.is_recorder() && hit && !too_late => {
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
        Victim::Script if hit && !too_late => {
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
