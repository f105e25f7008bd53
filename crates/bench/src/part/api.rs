//! Requests over HTTP, beside a bare route that answers the same bytes.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::Run;
use crate::{
    BenchError,
    figure::{Figure, What},
    http::{self, Connection, Loaded},
    server,
};

const CONNECTIONS: [u64; 3] = [1, 2, 64];
/// Executions that start and end a second while lists are asked for.
const STARTS_A_SECOND: u64 = 50;
/// At most so many of them wait for their start to be answered.
const STARTS_WAITING: usize = 16;

/// A path, what it is, and with how many connections it is asked for.
const ASKED: [(What, &str, &[u64]); 4] = [
    (What::Health, "/api/health", &CONNECTIONS),
    (What::List, "/api/executions?limit=10", &CONNECTIONS),
    (What::ListOfStatus, "/api/executions?limit=10&status=failed", &[2]),
    (What::Statistics, "/api/executions/statistics", &[2]),
];

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let runtime = http::runtime()?;
    let storage = run.filled()?;
    let ours = server::serve(run.place, &storage)?;
    // The same bytes, from a server that does nothing else.
    let mut routes = Vec::new();
    for (number, (_, path, _)) in ASKED.iter().enumerate() {
        let body = runtime.block_on(body(ours.address, path))?;
        let file = run.place.dir().join(format!("body-{number}"));
        fs::write(&file, body).map_err(BenchError::io("write a file"))?;
        routes.push((["/0", "/1", "/2", "/3"][number], file));
    }
    let bare = server::bare(run.place, &routes)?;
    let during = run.sizes.request_time;
    let load = |to: SocketAddr, path: &str, connections: u64, during: Duration| {
        let request = http::get(to, path);
        runtime.block_on(http::load(to, &request, connections as usize, during))
    };
    for (number, (what, path, connections)) in ASKED.iter().enumerate() {
        for connections in *connections {
            let mut figure = Figure::new(*what, Some(*connections), vec![]);
            for _ in 0..run.options.runs {
                run.check()?;
                // Side by side: what else the machine does falls on both.
                let limit = load(bare.address, routes[number].0, *connections, during)?;
                figure.limits.push(limit.per_second);
                figure.runs.push(load(ours.address, path, *connections, during)?.per_second);
            }
            run.keep(figure);
        }
    }
    let starts = Starts::begin(ours.address)?;
    let (mut ours_busy, mut bare_busy, mut rates) = (vec![], vec![], vec![]);
    for _ in 0..run.options.runs {
        run.check()?;
        let (before, begun) = (starts.accepted.load(SeqCst), Instant::now());
        bare_busy.push(load(bare.address, routes[1].0, 2, 2 * during)?);
        ours_busy.push(load(ours.address, ASKED[1].1, 2, 2 * during)?);
        let accepted = starts.accepted.load(SeqCst) - before;
        rates.push(accepted as f64 / begun.elapsed().as_secs_f64());
    }
    starts.end();
    let of = |loaded: &[Loaded], take: fn(&Loaded) -> f64| loaded.iter().map(take).collect();
    for (what, take) in [
        (What::BusyListMedian, (|loaded| loaded.median_ms) as fn(&Loaded) -> f64),
        (What::BusyListSlow, |loaded| loaded.slow_ms),
    ] {
        let (runs, limits) = (of(&ours_busy, take), of(&bare_busy, take));
        run.keep(Figure { limits, ..Figure::new(what, Some(2), runs) });
    }
    run.keep(Figure::new(What::BusyStarts, Some(STARTS_A_SECOND), rates));
    Ok(())
}

async fn body(to: SocketAddr, path: &str) -> Result<Vec<u8>, BenchError> {
    let asked = async {
        let mut connection = Connection::open(to).await?;
        let (status, body) = connection.ask(&http::get(to, path)).await?;
        std::io::Result::Ok((status, body.to_vec()))
    };
    match asked.await.map_err(BenchError::io("ask the server"))? {
        (200, body) => Ok(body),
        (status, _) => Err(BenchError::Server(format!("{path}: status {status}"))),
    }
}

/// Executions that start and end all the time, from a thread of their own.
struct Starts {
    over: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Starts {
    fn begin(to: SocketAddr) -> Result<Self, BenchError> {
        let runtime = http::runtime()?;
        let (over, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (Arc::clone(&over), Arc::clone(&accepted));
        let work = async move {
            let request: Arc<[u8]> =
                http::post(to, "/api/executions", &json!({"command": ["true"]})).into();
            let room = Arc::new(tokio::sync::Semaphore::new(STARTS_WAITING));
            let mut tick = tokio::time::interval(Duration::from_secs(1) / STARTS_A_SECOND as u32);
            while !stop.load(SeqCst) {
                tick.tick().await;
                let Ok(turn) = Arc::clone(&room).acquire_owned().await else { return };
                let (request, count) = (Arc::clone(&request), Arc::clone(&count));
                tokio::spawn(async move {
                    if http::once(to, &request).await.is_ok() {
                        count.fetch_add(1, SeqCst);
                    }
                    drop(turn);
                });
            }
        };
        let thread = thread::spawn(move || runtime.block_on(work));
        Ok(Self { over, accepted, thread })
    }

    fn end(self) {
        self.over.store(true, SeqCst);
        let _ = self.thread.join();
    }
}
