//! Many viewers of one script that prints a thousand lines a second, some of which stop reading.

use std::fs;

use super::{
    Run,
    streams::{Gate, Seen, Viewers, create, print},
};
use crate::{
    BenchError,
    figure::{Figure, What, percentile_ms},
    http, server,
};

const LINES_A_SECOND: u64 = 1_000;
/// One of so many viewers stops reading.
const STOPPED_OF: u64 = 10;

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let [mut lost, mut medians, mut slow, mut cost] = [vec![], vec![], vec![], vec![]];
    let viewers = run.sizes.viewers.max(STOPPED_OF);
    let stopped = viewers / STOPPED_OF;
    let lines = LINES_A_SECOND * run.sizes.stream_time.as_secs().div_ceil(2);
    for _ in 0..run.options.runs {
        run.check()?;
        // As many read each time; those that are stopped come on top.
        let mut alone = one(run, viewers - stopped, 0, lines)?;
        let mut beside = one(run, viewers - stopped, stopped, lines)?;
        let expected = 2 * (viewers - stopped) * lines;
        lost.push(
            (expected - (alone.exact + beside.exact).min(expected) + alone.wrong + beside.wrong)
                as f64,
        );
        let median = percentile_ms(&mut beside.delays_us, 0.5);
        cost.push(median / percentile_ms(&mut alone.delays_us, 0.5).max(0.001));
        medians.push(median);
        slow.push(percentile_ms(&mut beside.delays_us, 0.99));
    }
    for (what, runs) in [
        (What::FanoutLost, lost),
        (What::FanoutMedian, medians),
        (What::FanoutSlow, slow),
        (What::FanoutStopped, cost),
    ] {
        run.keep(Figure::new(what, Some(viewers), runs));
    }
    Ok(())
}

fn one(run: &Run<'_>, reading: u64, stopped: u64, lines: u64) -> Result<Seen, BenchError> {
    let storage = run.place.storage("fanout");
    let ours = server::serve(run.place, &storage)?;
    let gate = Gate::new(run.place.dir())?;
    let request = print(run, &gate, ours.address, lines, LINES_A_SECOND);
    let seen = http::runtime()?.block_on(async {
        let ids = create(ours.address, &request, 1, 1).await?;
        let ids = vec![ids[0].clone(); (reading + stopped) as usize];
        let mut viewers = Viewers::open_some(ours.address, &ids, stopped as usize).await?;
        gate.open()?;
        let within = std::time::Duration::from_secs(60 + lines / LINES_A_SECOND);
        viewers.ended(reading as usize, within).await
    })?;
    drop(ours);
    let _ = fs::remove_dir_all(&storage);
    Ok(seen)
}
