//! Server, recorder, or both are killed at random moments of the start, while the same request is sent
//! twice at once and then again: one execution comes of it, started at most once.

use std::{
    thread,
    time::{Duration, Instant},
};

use stepflow_model::{ExecutionId, Reason, Status};
use stepflow_record::RecordView;
use stepflow_testkit::{Rng, Scratch, count_processes, eventually, kill};

use crate::{
    Options, Outcome,
    served::{CODE, Job, Served, accepted, ask, made},
    stage::recorded,
};

/// The server dies at most this long after the request, in microseconds: past it the script has ended.
const WITHIN_US: u64 = 25_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Recorder,
    Both,
}

#[derive(Debug, Default)]
struct Count {
    kills: [u64; 3],
    /// Nothing was heard of the request before the kill.
    unanswered: u64,
    whole: u64,
    lost: u64,
    refused: u64,
    started: u64,
}

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let scratch = Scratch::new(&options.program);
    let mark = format!("stepflow-start-rig-{}", std::process::id());
    let mut random = Rng::new(options.seed);
    let mut count = Count::default();
    let mut server = Served::start(&scratch, &[])?;
    for number in 0..options.starts {
        one(&scratch, &mark, number, &mut server, &mut random, &mut count)
            .map_err(|found| format!("start {number}: {found}"))?;
    }
    let Count { kills, unanswered, whole, lost, refused, started } = count;
    // All of them: before it was accepted, before and after its start, none of it.
    if kills.contains(&0) || unanswered == 0 || lost == 0 || started == options.starts {
        return Err(format!("not a sweep: {count:?}"));
    }
    let records = made(&scratch.storage)?.len() as u64;
    if records != options.starts {
        return Err(format!("{records} executions came of {} requests", options.starts));
    }
    Ok(Outcome::Held(format!(
        "{} crashes on the way from request to start (server {}, recorder {}, both {}), {unanswered} of \
         them before the answer, each request sent three times: {} executions, {started} scripts \
         started, none twice; {whole} whole, {lost} lost, {refused} never started, as the counted \
         starts say; 0 ids gone, 0 processes left",
        options.starts, kills[0], kills[1], kills[2], options.starts
    )))
}

fn one(
    scratch: &Scratch,
    mark: &str,
    number: u64,
    server: &mut Served,
    random: &mut Rng,
    count: &mut Count,
) -> Result<(), String> {
    let victim = match random.below(4) {
        0 | 1 => Victim::Server,
        2 => Victim::Recorder,
        _ => Victim::Both,
    };
    let delay = Duration::from_micros(random.below(WITHIN_US));
    let name = format!("start-{number}");
    let job = Job::new(&scratch.work(), &name, mark)?;
    let create =
        |address: &str| ask(address, "POST", "/api/executions", Some(&name), Some(&job.body));
    let address = server.address.clone();
    let (first, second) = thread::scope(|scope| {
        let begun = Instant::now();
        let two = [scope.spawn(|| create(&address)), scope.spawn(|| create(&address))];
        if victim == Victim::Server {
            thread::sleep(delay);
        } else {
            // Its recorder is there after a while, if the request is not done before.
            let recorder = loop {
                match recorder(server.pid()) {
                    None if begun.elapsed() < Duration::from_millis(500) => {
                        thread::sleep(Duration::from_micros(200));
                    }
                    found => break found,
                }
            };
            thread::sleep(delay / 4);
            recorder.into_iter().for_each(kill);
        }
        if victim != Victim::Recorder {
            server.kill();
        }
        let [first, second] = two.map(|thread| thread.join().map_err(|_| "a panic".to_owned()));
        (first.and_then(|first| first), second.and_then(|second| second))
    });
    count.kills[victim as usize] += 1;
    if victim != Victim::Recorder {
        *server = Served::start(scratch, &[])?;
    }
    let mut heard = Vec::new();
    for answer in [&first, &second].into_iter().flatten() {
        heard.push(accepted(answer)?);
    }
    count.unanswered += u64::from(heard.is_empty());
    let id = accepted(&create(&server.address)?)?;
    if heard.iter().any(|heard| *heard != id) {
        return Err(format!("{victim:?} killed: accepted as {heard:?}, asked again as {id}"));
    }
    eventually("it ends", || {
        let view = RecordView::open(&scratch.storage, id).ok()?;
        view.state.summary.status.is_end().then_some(())
    });
    judge(scratch, &job, id, victim, count)
        .map_err(|found| format!("{victim:?} killed after {delay:?}: {found}"))?;
    eventually("no process of it is left", || (count_processes(mark) == 0).then_some(()));
    Ok(())
}

fn judge(
    scratch: &Scratch,
    job: &Job,
    id: ExecutionId,
    victim: Victim,
    count: &mut Count,
) -> Result<(), String> {
    let view = RecordView::open(&scratch.storage, id).map_err(|error| error.to_string())?;
    let summary = &view.state.summary;
    let starts = job.started();
    count.started += starts as u64;
    let bytes = recorded(scratch, id)?;
    if starts > 1 || !job.output.starts_with(&bytes) {
        return Err(format!("{starts} starts, {} bytes", bytes.len()));
    }
    match (summary.status, summary.reason) {
        (Status::Failed, Some(Reason::ExitCode)) => {
            if summary.exit_code != Some(CODE) || starts != 1 || bytes != job.output {
                let (have, due) = (bytes.len(), job.output.len());
                return Err(format!("it ended, with {starts} starts and {have} of {due} bytes"));
            }
            count.whole += 1;
        }
        (Status::Failed, Some(Reason::RecorderLost)) if victim != Victim::Server => {
            count.lost += 1;
        }
        (Status::Failed, Some(Reason::NotStarted | Reason::StartFailed)) if starts == 0 => {
            count.refused += 1;
        }
        other => return Err(format!("it ended as {other:?}, with {starts} starts")),
    }
    let flaws = scratch.storage.verify(id).map_err(|error| error.to_string())?.flaws;
    if flaws.is_empty() { Ok(()) } else { Err(format!("verify: {flaws:?}")) }
}

/// A recorder that this server has started, and not yet reaped.
fn recorder(server: i32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let mut threads = std::fs::read_dir(format!("/proc/{server}/task")).ok()?.flatten();
    let of_threads = threads.find_map(|thread| {
        let children = std::fs::read_to_string(thread.path().join("children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    });
    let of_main = children.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    of_main.or(of_threads)
}
