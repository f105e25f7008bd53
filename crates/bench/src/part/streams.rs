//! Many scripts at once, each printing ten lines a second, each with a viewer of its own.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use super::Run;
use crate::{
    BenchError, HELPER,
    figure::{Figure, What, percentile_ms},
    fill, http,
    process::{self, Memory, Times},
    server,
    ws::{Viewer, op, printed},
};

const LINES_A_SECOND: u64 = 10;
/// Requests to start one that wait for their answer at once.
const CREATES_AT_ONCE: usize = 16;
/// Scripts that have not begun, or ended, by so long after they should have never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let (streams, lines) = (run.sizes.streams, LINES_A_SECOND * run.sizes.stream_time.as_secs());
    let mut kept: BTreeMap<&str, (What, Vec<f64>)> = BTreeMap::new();
    for _ in 0..run.options.runs {
        run.check()?;
        let storage = run.place.storage("streams");
        let once = one(run, &storage, streams, lines)?;
        for (what, value) in once {
            kept.entry(what.as_str()).or_insert((what, vec![])).1.push(value);
        }
        let _ = fs::remove_dir_all(&storage);
    }
    // In the order of the table.
    for what in What::ALL {
        if let Some((what, runs)) = kept.remove(what.as_str()) {
            run.keep(Figure::new(what, Some(streams), runs));
        }
    }
    Ok(())
}

fn one(
    run: &Run<'_>,
    storage: &Path,
    streams: u64,
    lines: u64,
) -> Result<Vec<(What, f64)>, BenchError> {
    let ours = server::serve(run.place, storage)?;
    let gate = Gate::new(run.place.dir())?;
    let request = print(run, &gate, ours.address, lines, LINES_A_SECOND);
    let during = run.sizes.stream_time;
    http::runtime()?.block_on(async {
        let ids = create(ours.address, &request, streams, CREATES_AT_ONCE).await?;
        let mut viewers = Viewers::open(ours.address, &ids).await?;
        let pids = Arc::new(process::naming(storage));
        gate.open()?;
        // While they print: not while they start, nor while they end. On other threads: the viewers
        // have this one.
        sleep(during / 5).await;
        let (before, from) = (times(&pids).await, Instant::now());
        let (named, within) = (Arc::clone(&pids), during * 2 / 5);
        let memory = spawn_blocking(move || Memory::of(&named, within));
        sleep(during * 3 / 5).await;
        let (after, seconds) = (times(&pids).await, from.elapsed().as_secs_f64());
        let memory = memory.await.unwrap_or_default();
        let mut seen = viewers.ended(streams as usize, during + PATIENCE).await?;
        let lost = streams * lines - seen.exact.min(streams * lines) + seen.wrong;
        Ok(vec![
            (What::StreamsLost, lost as f64),
            (What::StreamsMedian, percentile_ms(&mut seen.delays_us, 0.5)),
            (What::StreamsSlow, percentile_ms(&mut seen.delays_us, 0.99)),
            (What::StreamsCpu, after.percent_since(&before, seconds)),
            (What::StreamsMemory, memory.proportional_mb),
            (What::StreamMemory, memory.proportional_mb / streams as f64),
            (What::StreamsResident, memory.resident_mb),
        ])
    })
}

async fn times(pids: &Arc<Vec<u32>>) -> Times {
    let pids = Arc::clone(pids);
    let times = spawn_blocking(move || Times::of(&pids));
    times.await.unwrap_or_else(|_| Times::of(&[]))
}

/// A request to start a script that prints so many lines once the gate is open.
pub(super) fn print(run: &Run<'_>, gate: &Gate, to: SocketAddr, lines: u64, rate: u64) -> Vec<u8> {
    let command = json!([
        run.place.program(),
        HELPER,
        "print",
        lines.to_string(),
        rate.to_string(),
        &gate.path,
    ]);
    http::post(to, "/api/executions", &json!({"command": command, "name": "bench"}))
}

/// Sends the same request so often; the ids of what it made.
pub(super) async fn create(
    to: SocketAddr,
    request: &[u8],
    count: u64,
    at_once: usize,
) -> Result<Vec<String>, BenchError> {
    let mut set = JoinSet::new();
    let mut ids = Vec::new();
    let mut answered = |answer: Option<Result<Result<Value, BenchError>, _>>| {
        let Some(answer) = answer else { return Ok(()) };
        let lost = |error: tokio::task::JoinError| BenchError::Server(error.to_string());
        let answer = answer.map_err(lost)??;
        let id = answer["id"].as_str().ok_or_else(|| BenchError::Server("no id".to_owned()))?;
        ids.push(id.to_owned());
        Ok::<_, BenchError>(())
    };
    for _ in 0..count {
        if set.len() >= at_once {
            answered(set.join_next().await)?;
        }
        let request = request.to_vec();
        set.spawn(async move { http::once(to, &request).await });
    }
    while !set.is_empty() {
        answered(set.join_next().await)?;
    }
    Ok(ids)
}

/// A named pipe that all scripts open for reading, and which lets them pass when we open it too.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) path: PathBuf,
}

impl Gate {
    pub(super) fn new(dir: &Path) -> Result<Self, BenchError> {
        let path = dir.join(format!("gate-{}", fill::now_us()));
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| BenchError::io("make a named pipe")(error.into()))?;
        Ok(Self { path })
    }

    /// Opens it until the runtime ends: whoever is late passes as well.
    pub(super) fn open(&self) -> Result<(), BenchError> {
        // Both ways, so that it opens at once even where nobody waits; closed when we end.
        let opened = fs::OpenOptions::new().read(true).write(true).open(&self.path);
        let held = opened.map_err(BenchError::io("open a named pipe"))?;
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What viewers saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Lines that came in their order.
    pub(super) exact: u64,
    /// Lines that did not.
    pub(super) wrong: u64,
    /// From each print to its viewer.
    pub(super) delays_us: Vec<u64>,
}

/// A viewer for each execution.
pub(super) struct Viewers {
    done: mpsc::UnboundedReceiver<std::io::Result<Seen>>,
    /// Viewers that stop reading wait for this.
    _over: watch::Sender<()>,
}

impl Viewers {
    /// All of them, once each has been told how its execution stands.
    pub(super) async fn open(to: SocketAddr, ids: &[String]) -> Result<Self, BenchError> {
        Self::open_some(to, ids, 0).await
    }

    /// The last `stopped` of them read nothing more after that.
    pub(super) async fn open_some(
        to: SocketAddr,
        ids: &[String],
        stopped: usize,
    ) -> Result<Self, BenchError> {
        let (send, done) = mpsc::unbounded_channel();
        let (over, wait) = watch::channel(());
        for (number, id) in ids.iter().enumerate() {
            let mut viewer =
                Viewer::open(to, id).await.map_err(BenchError::io("follow a script"))?;
            let first = timeout(PATIENCE, told(&mut viewer)).await;
            first
                .map_err(|_| BenchError::Server("a viewer is told nothing".to_owned()))?
                .map_err(BenchError::io("follow a script"))?;
            let (send, mut wait) = (send.clone(), wait.clone());
            if number + stopped >= ids.len() {
                tokio::spawn(async move {
                    let _ = wait.changed().await;
                    drop(viewer);
                });
            } else {
                tokio::spawn(async move { drop(send.send(follow(viewer).await)) });
            }
        }
        Ok(Self { done, _over: over })
    }

    /// What they saw once so many of them have seen the end.
    pub(super) async fn ended(
        &mut self,
        count: usize,
        within: Duration,
    ) -> Result<Seen, BenchError> {
        let mut all = Seen::default();
        let gathered = async {
            for _ in 0..count {
                let Some(seen) = self.done.recv().await else { break };
                let seen = seen.map_err(BenchError::io("follow a script"))?;
                all.exact += seen.exact;
                all.wrong += seen.wrong;
                all.delays_us.extend(seen.delays_us);
            }
            Ok::<_, BenchError>(())
        };
        let late = |_| BenchError::Server("some scripts do not end for their viewers".to_owned());
        timeout(within, gathered).await.map_err(late)??;
        Ok(all)
    }
}

async fn told(viewer: &mut Viewer) -> std::io::Result<()> {
    while let Some(message) = viewer.next().await? {
        if op(message) == b"state" {
            return Ok(());
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

async fn follow(mut viewer: Viewer) -> std::io::Result<Seen> {
    let mut seen = Seen::default();
    let mut expected = 1;
    while let Some(message) = viewer.next().await? {
        match op(message) {
            b"lines" => {
                let now_us = fill::now_us();
                for (number, time_us) in printed(message) {
                    if number == expected {
                        seen.exact += 1;
                    } else {
                        seen.wrong += 1;
                    }
                    expected = number + 1;
                    seen.delays_us.push((now_us - time_us).max(0) as u64);
                }
            }
            b"end" => return Ok(seen),
            _ => {}
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
