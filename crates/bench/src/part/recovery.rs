//! A server that is killed while scripts print, and one that starts over many executions.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Run,
    streams::{Gate, create, print},
};
use crate::{
    BenchError,
    figure::{Figure, What},
    http, process, server,
};

const LINES_A_SECOND: u64 = 10;
/// Nothing is down for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The server that is killed has seen this much of each script.
const LINES_BEFORE: u64 = 10;
/// How long nobody serves.
const DOWN: Duration = Duration::from_millis(500);

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let [mut serving, mut caught_up, mut lost] = [vec![], vec![], vec![]];
    for _ in 0..run.options.runs {
        run.check()?;
        let once = killed(run)?;
        serving.push(once.0);
        caught_up.push(once.1);
        lost.push(once.2);
    }
    let streams = Some(run.sizes.streams);
    run.keep(Figure::new(What::Serving, streams, serving));
    run.keep(Figure::new(What::CaughtUp, streams, caught_up));
    run.keep(Figure::new(What::RecoveryLost, streams, lost));
    let storage = run.filled()?;
    let (mut cold, mut idle) = (vec![], vec![]);
    for _ in 0..run.options.runs {
        run.check()?;
        let begun = Instant::now();
        let ours = server::serve(run.place, &storage)?;
        http::runtime()?.block_on(health(ours.address))?;
        cold.push(begun.elapsed().as_secs_f64());
        idle.push(process::anonymous_mb(ours.pid()));
    }
    let executions = Some(run.sizes.executions);
    run.keep(Figure::new(What::ColdStart, executions, cold));
    run.keep(Figure::new(What::Idle, executions, idle));
    Ok(())
}

/// Seconds until it serves again; until it is where the scripts are; how many scripts are missing.
fn killed(run: &Run<'_>) -> Result<(f64, f64, f64), BenchError> {
    let storage = run.place.storage("recovery");
    let ours = server::serve(run.place, &storage)?;
    let gate = Gate::new(run.place.dir())?;
    let streams = run.sizes.streams;
    // They print until they are cancelled.
    let request = print(run, &gate, ours.address, 1_000_000, LINES_A_SECOND);
    let runtime = http::runtime()?;
    let measured = runtime.block_on(async {
        create(ours.address, &request, streams, 16).await?;
        gate.open()?;
        position(ours.address, streams, LINES_BEFORE).await?;
        ours.kill();
        sleep(DOWN).await;
        let begun = Instant::now();
        let again = server::serve(run.place, &storage)?;
        health(again.address).await?;
        let serving = begun.elapsed().as_secs_f64();
        // All it has not seen: at least what was printed meanwhile.
        let lines = LINES_BEFORE + (DOWN.as_millis() as u64 * LINES_A_SECOND / 1_000);
        let found = position(again.address, streams, lines).await?;
        Ok::<_, BenchError>((
            again,
            serving,
            begun.elapsed().as_secs_f64(),
            streams.saturating_sub(found),
        ))
    })?;
    let (again, serving, caught_up, lost) = measured;
    let mut cancel = run.place.stepflow();
    cancel.arg("--storage").arg(&storage).args(["cancel", "--all", "--json"]);
    cancel.output().map_err(BenchError::io("cancel the scripts"))?;
    runtime.block_on(none_active(again.address))?;
    drop(again);
    let _ = fs::remove_dir_all(&storage);
    Ok((serving, caught_up, lost as f64))
}

async fn health(to: SocketAddr) -> Result<(), BenchError> {
    http::once(to, &http::get(to, "/api/health")).await.map(drop)
}

/// Waits until the server has seen so many lines of so many scripts, or has none left that could get
/// there; how many are at least there.
async fn position(to: SocketAddr, streams: u64, lines: u64) -> Result<u64, BenchError> {
    let asked = Instant::now();
    let request = http::get(to, "/api/executions/active");
    loop {
        let active = http::once(to, &request).await?;
        let active = active["executions"].as_array().cloned().unwrap_or_default();
        let there = active.iter().filter(|one| one["lines"].as_u64() >= Some(lines)).count() as u64;
        if there >= streams || asked.elapsed() > PATIENCE {
            return Ok(there);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn none_active(to: SocketAddr) -> Result<(), BenchError> {
    let asked = Instant::now();
    let request = http::get(to, "/api/executions/active");
    while asked.elapsed() < PATIENCE {
        let active = http::once(to, &request).await?;
        if active["executions"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(BenchError::Server("cancelled scripts do not end".to_owned()))
}
