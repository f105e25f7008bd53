//! Scripts that end at once: how many a second, and very many requests in the same moment.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{Run, streams::create};
use crate::{
    BenchError,
    figure::{Figure, What},
    http, server,
};

/// Requests that wait for their answer at once, where the rate is measured.
const AT_ONCE: usize = 16;
/// Executions that do not end in this time never will.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let count = run.sizes.streams;
    let (mut rates, mut failed) = (vec![], vec![]);
    for _ in 0..run.options.runs {
        run.check()?;
        let storage = run.place.storage("start");
        let ours = server::serve(run.place, &storage)?;
        let to = ours.address;
        let request = http::post(to, "/api/executions", &json!({"command": ["true"]}));
        http::runtime()?.block_on(async {
            let begun = Instant::now();
            create(to, &request, count, AT_ONCE).await?;
            ended(to, count).await?;
            rates.push(count as f64 / begun.elapsed().as_secs_f64());
            let mut set = JoinSet::new();
            for _ in 0..count {
                let request = request.clone();
                set.spawn(async move { http::once(to, &request).await.is_ok() });
            }
            let mut accepted = 0;
            while let Some(done) = set.join_next().await {
                accepted += u64::from(done.unwrap_or(false));
            }
            failed.push((count - accepted) as f64);
            ended(to, count + accepted).await
        })?;
        drop(ours);
        let _ = fs::remove_dir_all(&storage);
    }
    run.keep(Figure::new(What::Start, Some(count), rates));
    run.keep(Figure::new(What::StartFailed, Some(count), failed));
    Ok(())
}

/// Waits until so many have completed.
async fn ended(to: SocketAddr, count: u64) -> Result<(), BenchError> {
    let asked = Instant::now();
    let request = http::get(to, "/api/executions/statistics");
    while asked.elapsed() < PATIENCE {
        let statistics = http::once(to, &request).await?;
        if statistics["by_status"]["completed"].as_u64() >= Some(count) {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err(BenchError::Server("executions of `true` do not end".to_owned()))
}
