//! Half of the viewers are stopped: neither the script nor the others take longer for it.

use std::{
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use stepflow_model::ExecutionId;
use stepflow_testkit::{Ended, PATIENCE, Scratch, is_alive, signal};

use super::{VIEW, figure};
use crate::{
    Options, net,
    served::Served,
    viewer::{Connection, Next, Transcript, Way},
};

/// The contract: stopped viewers cost the script and the others no more than this.
const COSTS_MAX: f64 = 0.05;
/// A machine that is busy shows more; what stopped viewers cost shows each time.
const PAIRS_MAX: usize = 6;

/// How long the script took, and the viewers that were not stopped.
#[derive(Debug, Clone, Copy)]
struct Took {
    script: Duration,
    others: Duration,
}

impl Took {
    /// The best of both: what a busy machine adds comes and goes, what viewers cost stays.
    fn best(all: &[Self]) -> Option<Self> {
        let script = all.iter().map(|took| took.script).min()?;
        let others = all.iter().map(|took| took.others).min()?;
        Some(Self { script, others })
    }

    /// How much longer each took than in `other`, as a share of that.
    fn more_than(&self, other: &Self) -> (f64, f64) {
        let more = |this: Duration, other: Duration| this.as_secs_f64() / other.as_secs_f64() - 1.0;
        (more(self.script, other.script), more(self.others, other.others))
    }
}

/// F15: half of the viewers are stopped.
pub(super) fn stopped(options: &Options) -> Result<String, String> {
    let half = options.viewers / 2;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut dropped = 0.0;
    let (mut script, mut others) = (f64::MAX, f64::MAX);
    while (script > COSTS_MAX || others > COSTS_MAX) && with.len() < PAIRS_MAX {
        without.push(viewed(options, half, false, &mut dropped)?);
        with.push(viewed(options, half, true, &mut dropped)?);
        if let (Some(none), Some(some)) = (Took::best(&without), Took::best(&with)) {
            (script, others) = some.more_than(&none);
        }
    }
    let pairs = with.len();
    if script > COSTS_MAX || others > COSTS_MAX {
        return Err(format!(
            "stopped viewers cost {:.1} % and {:.1} %, the best of {pairs} times",
            script * 1e2,
            others * 1e2
        ));
    }
    Ok(format!(
        "{half} of {} viewers stopped: script {:+.1} %, the others {:+.1} % (the best of {pairs}); \
         {dropped} cut after 30 s, all resumed and saw every byte once",
        options.viewers,
        script * 1e2,
        others * 1e2
    ))
}

/// One script with two halves of viewers, one of them stopped or not. The first time that it is, it
/// stays so until the server has cut it off.
fn viewed(options: &Options, half: u64, stop: bool, dropped: &mut f64) -> Result<Took, String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let me = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let id = scratch.detach(&[], &[&me, net::PACE, "2000000", "8000000"]);
    let (_, _, script) = scratch.pids(id);
    let begun = Instant::now();
    let record = scratch.storage.record_dir(id).display().to_string();
    let view = || -> Result<Ended, String> {
        let child = Command::new(&me)
            .args([VIEW, &server.address, &id.to_string(), &record, &half.to_string()])
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Ended(child))
    };
    let (mut one, mut other) = (view()?, view()?);
    thread::sleep(Duration::from_millis(300));
    let stopped = Instant::now();
    if stop {
        signal(one.0.id() as i32, Signal::SIGSTOP);
    }
    while is_alive(script) {
        thread::sleep(Duration::from_millis(5));
    }
    let script = begun.elapsed();
    finished(&mut other)?;
    let took = Took { script, others: begun.elapsed() };
    if stop {
        if *dropped == 0.0 {
            *dropped = cut_off(&server, half, stopped)?;
        }
        signal(one.0.id() as i32, Signal::SIGCONT);
    }
    finished(&mut one)?;
    Ok(took)
}

/// Waits until all of them are cut off, which is not before its time.
fn cut_off(server: &Served, half: u64, stopped: Instant) -> Result<f64, String> {
    let name = "stepflow_viewers_dropped_total";
    let asked = Instant::now();
    loop {
        let dropped = figure(&server.address, name).unwrap_or(0.0);
        if dropped > 0.0 && stopped.elapsed() < Duration::from_secs(30) {
            return Err(format!("cut after {:?}", stopped.elapsed()));
        }
        if dropped >= half as f64 {
            return Ok(dropped);
        }
        if asked.elapsed() > Duration::from_secs(60) {
            return Err(format!("{dropped} stopped viewers were cut off"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn finished(viewers: &mut Ended) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match viewers.0.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("viewers: {status}")),
            _ if begun.elapsed() > PATIENCE * 6 => return Err("viewers do not end".to_owned()),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// `view ADDRESS ID RECORD COUNT`: viewers that read to the end, coming again when they are cut off.
pub(crate) fn view(args: &[String]) -> ExitCode {
    let [address, id, record, count] = args else { return ExitCode::from(2) };
    let (Ok(id), Ok(count)) = (id.parse::<ExecutionId>(), count.parse::<u64>()) else {
        return ExitCode::from(2);
    };
    let viewers: Vec<_> = (0..count)
        .map(|number| {
            let (address, record) = (address.clone(), record.clone());
            thread::spawn(move || -> Result<(), String> {
                let mut transcript = Transcript::new(record.as_ref())?;
                let way = if number % 2 == 0 { Way::WebSocket } else { Way::Events };
                loop {
                    let opened = Connection::open(&address, id, way, transcript.at, PATIENCE * 4);
                    let mut connection = opened.map_err(|error| error.to_string())?;
                    loop {
                        match connection.next()? {
                            Next::Bytes(offset, bytes) => transcript.take(offset, &bytes)?,
                            Next::Nothing => {}
                            Next::Gap(_) => return Err("a gap where nothing is gone".to_owned()),
                            Next::End => return Ok(()),
                            Next::Gone(_) => break,
                        }
                    }
                }
            })
        })
        .collect();
    let mut code = ExitCode::SUCCESS;
    for viewer in viewers {
        match viewer.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                println!("a viewer: {why}");
                code = ExitCode::FAILURE;
            }
            Err(_) => code = ExitCode::FAILURE,
        }
    }
    code
}
