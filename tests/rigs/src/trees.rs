//! Trees that do what they can to outlive their end are cancelled, or run out of time; and scripts
//! that end by themselves in the moment of a cancel.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use stepflow_model::{EventKind, ExecutionId, Reason, Status};
use stepflow_record::read_journal;
use stepflow_testkit::{Rng, Scratch, count_processes, eventually, kill};

use crate::{Options, Outcome, group::Group, stage::compiled};

/// Trees that live at the same time.
const AT_ONCE: u64 = 8;
const PROCESSES_MAX: u64 = 200;
const GRACE: Duration = Duration::from_millis(300);
/// Cancelled means gone within the grace period and this.
const GONE_WITHIN: Duration = Duration::from_secs(2);

struct Tree {
    id: ExecutionId,
    mark: PathBuf,
    processes: u64,
    times_out: bool,
    /// Recorder and keeper are killed in the same instant instead.
    beheaded: bool,
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = match compiled(dir.path(), "tree.c", &[]) {
        Ok(program) => program,
        Err(why) => return Ok(Outcome::NotRun(why)),
    };
    let group = match Group::make("stepflow-trees") {
        Ok(group) => group,
        Err(why) => return Ok(Outcome::NotRun(why)),
    };
    let scratch = Scratch::new(&options.program);
    let mut random = Rng::new(options.seed);
    let mut figures = Vec::new();
    for level in ["keeper", "cgroup"] {
        let (mut processes, mut slowest, mut beheaded) = (0, Duration::ZERO, 0);
        let trees = options.trees / 2;
        let mut done = 0;
        while done < trees {
            let some = AT_ONCE.min(trees - done);
            let batch: Vec<Tree> = (0..some)
                .map(|at| {
                    start(&scratch, &group, level, &program, dir.path(), done + at, &mut random)
                })
                .collect::<Result<_, _>>()?;
            for tree in &batch {
                processes += tree.processes;
                beheaded += u64::from(tree.beheaded);
                end(&scratch, tree)?;
            }
            for tree in &batch {
                let took = judge(&scratch, level, tree).map_err(|found| {
                    format!("level {level}, tree of {}: {found}", tree.mark.display())
                })?;
                slowest = slowest.max(took);
            }
            done += some;
        }
        let left = group.below();
        if !left.is_empty() {
            return Err(format!("level {level}: groups are left: {left:?}"));
        }
        figures.push(format!(
            "{level}: {trees} trees ({beheaded} beheaded), {processes} processes, 0 left, gone {:.2} s \
             after the wish at most",
            slowest.as_secs_f64()
        ));
    }
    let (cancelled, own) = races(&scratch, options.races, &mut random)?;
    figures.push(format!(
        "{} races of exit and cancel ({cancelled} cancelled, {own} ended)",
        options.races
    ));
    Ok(Outcome::Held(figures.join("; ")))
}

fn start(
    scratch: &Scratch,
    group: &Group,
    level: &str,
    program: &Path,
    dir: &Path,
    number: u64,
    random: &mut Rng,
) -> Result<Tree, String> {
    let mark = dir.join(format!("{level}-{number}-tree"));
    // Small ones and large ones: the square makes the large ones rare.
    let share = random.below(PROCESSES_MAX) + 1;
    let processes = (share * share / PROCESSES_MAX).max(1);
    let times_out = random.below(4) == 0;
    let beheaded = level == "cgroup" && !times_out && random.below(4) == 0;
    let grace = format!("{}ms", GRACE.as_millis());
    let mut command =
        scratch.command(&["run", "--detach", "--grace", &grace, "--containment", level]);
    if times_out {
        command.args(["--timeout", "2s"]);
    }
    command.arg("--").arg(program);
    command.args([random.number().to_string(), processes.to_string()]).arg(&mark);
    let output = group.inside(&command).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = text.trim().parse().map_err(|_| format!("no id: {output:?}"))?;
    Ok(Tree { id, mark, processes, times_out, beheaded })
}

fn end(scratch: &Scratch, tree: &Tree) -> Result<(), String> {
    if tree.times_out {
        return Ok(());
    }
    eventually("the tree has grown", || {
        let grown = fs::metadata(&tree.mark).map_or(0, |file| file.len());
        (grown >= tree.processes).then_some(())
    });
    if tree.beheaded {
        let (recorder, keeper, _) = scratch.pids(tree.id);
        // Stopped first, so that neither outlives the other.
        for pid in [keeper, recorder] {
            stepflow_testkit::signal(pid, nix::sys::signal::Signal::SIGSTOP);
        }
        for pid in [keeper, recorder] {
            kill(pid);
        }
        return Ok(());
    }
    let asked = scratch.output(&["cancel", &tree.id.to_string()]);
    if asked.status.success() { Ok(()) } else { Err(format!("cancel: {asked:?}")) }
}

/// How long it took from the wish to the end.
fn judge(scratch: &Scratch, level: &str, tree: &Tree) -> Result<Duration, String> {
    if tree.beheaded {
        eventually("the claim is free", || {
            matches!(scratch.storage.is_alive(tree.id), Ok(false)).then_some(())
        });
        let _ = scratch.output(&["show", &tree.id.to_string(), "--json"]);
    }
    let view = scratch.ended(tree.id);
    // Now, not in a while: it has said that it is gone.
    let left = count_processes(&tree.mark.display().to_string());
    if left > 0 {
        return Err(format!("it has ended, and {left} processes of it live"));
    }
    let summary = &view.state.summary;
    if summary.containment != level {
        return Err(format!("it is contained by `{}`", summary.containment));
    }
    let expected = if tree.beheaded {
        (Status::Failed, Some(Reason::RecorderLost))
    } else if tree.times_out {
        (Status::Failed, Some(Reason::TimedOut))
    } else {
        (Status::Cancelled, Some(Reason::User))
    };
    if (summary.status, summary.reason) != expected {
        return Err(format!("it is {:?} {:?}", summary.status, summary.reason));
    }
    let dir = scratch.storage.record_dir(tree.id);
    let events: Vec<_> = read_journal(&dir)
        .map_err(|error| error.to_string())?
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let wish = events.iter().find(|event| matches!(event.kind, EventKind::CancelRequested { .. }));
    let last = events.last().map_or(0, |event| event.at_us);
    let Some(wish) = wish else {
        return if tree.beheaded {
            Ok(Duration::ZERO)
        } else {
            Err("no wish is recorded".to_owned())
        };
    };
    let took = Duration::from_micros(last - wish.at_us);
    if took > GRACE + GONE_WITHIN {
        return Err(format!("it took {took:?}"));
    }
    Ok(took)
}

/// A script ends by itself while it is cancelled: one of both wins, whole.
fn races(scratch: &Scratch, races: u64, random: &mut Rng) -> Result<(u64, u64), String> {
    let (mut cancelled, mut own) = (0, 0);
    for race in 0..races {
        let script = format!("sleep 0.0{:02}; exit 3", random.below(80));
        let id = scratch.detach(&["--grace", "200ms"], &["sh", "-c", &script]);
        scratch.pids(id);
        thread::sleep(Duration::from_millis(random.below(60)));
        let _ = scratch.output(&["cancel", &id.to_string()]); // It may have ended.
        let summary = scratch.ended(id).state.summary;
        match (summary.status, summary.reason, summary.exit_code) {
            (Status::Cancelled, Some(Reason::User), _) => cancelled += 1,
            (Status::Failed, Some(Reason::ExitCode), Some(3)) => own += 1,
            other => return Err(format!("race {race}: it ended as {other:?}")),
        }
    }
    if races >= 50 && (cancelled == 0 || own == 0) {
        return Err(format!("not a race: {cancelled} cancelled, {own} ended by themselves"));
    }
    Ok((cancelled, own))
}
