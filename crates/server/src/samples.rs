//! How the server was over the last day, in memory: one sample a minute, in a ring.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use stepflow_api::{HealthHistory, HealthSample};
use stepflow_sys::{clock, process};

use crate::{
    app::App,
    health::{self, Database},
};

/// Time between two samples.
pub(crate) const EVERY: Duration = Duration::from_secs(60);
const KEPT: usize = 24 * 60;
/// A forecast needs this many samples: half an hour.
const FORECAST_LEAST: usize = 30;
/// Nobody plans for longer: 10 years.
const FORECAST_MAX_S: f64 = 10.0 * 365.0 * 86_400.0;

/// The samples, and what the last one counted from.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    samples: VecDeque<HealthSample>,
    commits: u64,
    commit_us: u64,
}

impl Samples {
    /// Takes one and keeps it.
    pub(crate) fn keep(&self, app: &App, database: &Database) {
        let figures = app.engine.catalog_figures();
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = sample(app, database, &ring);
        ring.commits = figures.commit.count();
        ring.commit_us = figures.commit.sum_us;
        if ring.samples.len() == KEPT {
            ring.samples.pop_front();
        }
        ring.samples.push_back(sample);
    }

    /// All of them, and one of now.
    pub(crate) fn history(&self, app: &App, database: &Database) -> HealthHistory {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples: Vec<HealthSample> = ring.samples.iter().copied().collect();
        samples.push(sample(app, database, &ring));
        drop(ring);
        HealthHistory {
            every_seconds: EVERY.as_secs(),
            full_in_seconds: forecast(&samples),
            samples,
        }
    }
}

fn sample(app: &App, database: &Database, ring: &Ring) -> HealthSample {
    let engine = app.engine.figures();
    let figures = app.engine.catalog_figures();
    let usage = process::usage();
    let (free, all) = health::space(app.engine.storage().root()).unwrap_or_default();
    let commits = figures.commit.count().saturating_sub(ring.commits);
    let took_us = figures.commit.sum_us.saturating_sub(ring.commit_us);
    HealthSample {
        at_ms: clock::wall_us() / 1_000,
        running: engine.running,
        waiting: engine.waiting,
        viewers: app.metrics.websockets.load(Relaxed) + app.metrics.event_streams.load(Relaxed),
        queued: figures.queued,
        unsynced_bytes: engine.unsynced_bytes,
        resident_bytes: usage.resident_bytes,
        open_fds: usage.open_fds,
        database_bytes: database.file.pages * database.file.page_bytes + database.file.wal_bytes,
        free_bytes: free,
        space_bytes: all,
        commits,
        commit_seconds: (commits > 0).then(|| took_us as f64 / 1e6 / commits as f64),
    }
}

/// Seconds until nothing is free, by the least-squares line through the free bytes.
fn forecast(samples: &[HealthSample]) -> Option<f64> {
    if samples.len() < FORECAST_LEAST {
        return None;
    }
    let last = samples.last()?;
    let count = samples.len() as f64;
    let point = |sample: &HealthSample| {
        ((sample.at_ms - last.at_ms) as f64 / 1e3, sample.free_bytes as f64)
    };
    let (mut sum_x, mut sum_y, mut sum_xx, mut sum_xy) = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in samples.iter().map(point) {
        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_xy += x * y;
    }
    let spread = count * sum_xx - sum_x * sum_x;
    if spread <= 0.0 {
        return None;
    }
    let slope = (count * sum_xy - sum_x * sum_y) / spread; // Bytes a second.
    let seconds = last.free_bytes as f64 / -slope;
    (slope < 0.0 && seconds < FORECAST_MAX_S).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(free: impl Fn(i64) -> u64) -> Vec<HealthSample> {
        (0..120)
            .map(|minute| HealthSample {
                at_ms: minute * 60_000,
                running: 0,
                waiting: 0,
                viewers: 0,
                queued: 0,
                unsynced_bytes: 0,
                resident_bytes: 0,
                open_fds: 0,
                database_bytes: 0,
                free_bytes: free(minute),
                space_bytes: 1 << 40,
                commits: 0,
                commit_seconds: None,
            })
            .collect()
    }

    #[test]
    fn a_disk_that_fills_is_full_when_the_line_says_so() {
        // One MiB a minute: at the last sample 1,881 MiB are left.
        let full = forecast(&samples(|minute| (2_000 - minute as u64) << 20)).unwrap();
        assert!((full / 60.0 - 1_881.0).abs() < 1.0, "{full}");
        assert_eq!(forecast(&samples(|_| 1 << 30)), None, "it does not fill");
        assert_eq!(forecast(&samples(|minute| (minute as u64 + 1) << 20)), None, "it empties");
        assert_eq!(forecast(&samples(|minute| 2_000 - minute as u64)[..10]), None, "too short");
    }
}
