//! Figures, thresholds, findings: what the health routes and `GET /metrics` say.

use std::{
    io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use nix::sys::statvfs::statvfs;
use stepflow_api::{
    DatabaseFile, DatabaseMetrics, ExecutionMetrics, Finding, HealthMetrics, HttpMetrics, Latency,
    Optimized, ProcessMetrics, ViewerMetrics, rfc3339,
};
use stepflow_catalog::{
    CatalogError, Durations, Figures, FileFigures, Maintained, QUEUE_BATCHES_MAX, Reader,
    Statistics,
};
use stepflow_engine::QueryError;
use stepflow_sys::{clock, host, process};
use tokio::time::timeout;

use crate::{accept::connections_max, app::App};

/// A catalog that answers later than this is no healthy one.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The target for every operation of the database.
const SLOW_US: u64 = 5_000;
/// A write-ahead log beyond this was kept from being moved: a reader is in the way.
const WAL_BYTES: u64 = 64 << 20;
/// Operations that should need nothing from the disk.
const CACHE_HIT_RATIO: f64 = 0.9;
/// Pages that hold nothing, of all pages; smaller files do not matter.
const FREE_RATIO: f64 = 0.25;
const FREE_PAGES: u64 = 1_024;
/// Ratios and quantiles of fewer operations say nothing.
const OPERATIONS_LEAST: u64 = 100;
/// Below this share of free space, or this many bytes, somebody should look; below the last,
/// scripts are about to be paused.
pub(crate) const SPACE_RATIO: f64 = 0.05;
pub(crate) const SPACE_BYTES_LOW: u64 = 1 << 30;
pub(crate) const SPACE_BYTES_LEAST: u64 = 64 << 20;

/// What the catalog says of itself, within [`ANSWER_WITHIN`].
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) statistics: Statistics,
    pub(crate) file: FileFigures,
}

/// Asks the catalog; `None`: it does not answer, or not in time.
pub(crate) async fn database(app: &App) -> Result<Database, QueryError> {
    let asked = app.engine.query(|reader| {
        Ok::<_, CatalogError>(Database { statistics: reader.statistics()?, file: reader.file()? })
    });
    timeout(ANSWER_WITHIN, asked).await.unwrap_or(Err(QueryError::Closing))
}

/// How old what is said may be. To look takes many times as long as to say so, and load balancers ask
/// often.
const PULSE_EVERY: Duration = Duration::from_millis(100);

/// What works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Works {
    /// The catalog answers.
    pub(crate) database: bool,
    /// The storage is where it was.
    pub(crate) storage: bool,
}

/// What worked when somebody last looked.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The moment since when that is too old, in microseconds after the server's start, and below it
    /// two bits: read without a lock, which every request would take.
    kept: AtomicU64,
    asking: tokio::sync::Mutex<()>,
}

impl Pulse {
    /// What works, or did at most [`PULSE_EVERY`] ago. Who comes while somebody looks waits for that
    /// answer. `up`: how long the server has been there.
    pub(crate) async fn beats(&self, app: &App, up: Duration) -> Works {
        if let Some(works) = self.kept(up) {
            return works;
        }
        let _turn = self.asking.lock().await;
        if let Some(works) = self.kept(app.started.elapsed()) {
            return works;
        }
        let asked = app.engine.query(Reader::statistics);
        let database = timeout(ANSWER_WITHIN, asked).await.is_ok_and(|answer| answer.is_ok());
        // Whether it is there: how much room it has is told by `/api/health/status`.
        let works = Works { database, storage: app.engine.storage().root().is_dir() };
        self.keep(app.started.elapsed(), works);
        works
    }

    fn keep(&self, up: Duration, works: Works) {
        let until = (up + PULSE_EVERY).as_micros() as u64;
        let bits = u64::from(works.database) << 1 | u64::from(works.storage);
        self.kept.store(until << 2 | bits, Relaxed);
    }

    fn kept(&self, up: Duration) -> Option<Works> {
        let kept = self.kept.load(Relaxed);
        let works = Works { database: kept & 2 != 0, storage: kept & 1 != 0 };
        ((up.as_micros() as u64) < kept >> 2).then_some(works)
    }
}

/// Free and all bytes of the file system that holds `path`, as its owner may use them.
pub(crate) fn space(path: &Path) -> io::Result<(u64, u64)> {
    let found = statvfs(path)?;
    let size = found.fragment_size();
    Ok((found.blocks_available() * size, found.blocks() * size))
}

pub(crate) fn latency(durations: &Durations) -> Latency {
    Latency {
        count: durations.count(),
        mean_seconds: durations.mean_s(),
        p50_seconds: durations.quantile_s(0.5),
        p95_seconds: durations.quantile_s(0.95),
        p99_seconds: durations.quantile_s(0.99),
        over_5ms: durations.longer_than(SLOW_US),
    }
}

pub(crate) fn database_file(file: &FileFigures) -> DatabaseFile {
    let free_ratio = if file.pages == 0 { 0.0 } else { file.free_pages as f64 / file.pages as f64 };
    DatabaseFile {
        database_bytes: file.pages * file.page_bytes,
        page_bytes: file.page_bytes,
        pages: file.pages,
        free_pages: file.free_pages,
        free_ratio,
        wal_bytes: file.wal_bytes,
    }
}

pub(crate) fn database_metrics(figures: &Figures, file: &FileFigures) -> DatabaseMetrics {
    DatabaseMetrics {
        file: database_file(file),
        queued: figures.queued,
        queue_max: QUEUE_BATCHES_MAX as u64,
        changes: figures.changes,
        commit: latency(&figures.commit),
        write: latency(&figures.write),
        read: latency(&figures.read),
        commits_failed: figures.commits_failed,
        reads_failed: figures.reads_failed,
        busy: figures.busy,
        cache_hit_ratio: figures.cache_hit_ratio(),
        readers: figures.readers_open,
        readers_busy: figures.readers_lent,
        checkpoints: figures.checkpoints,
        checkpoints_blocked: figures.checkpoints_blocked,
        maintenances: figures.maintenances,
    }
}

pub(crate) fn optimized(done: &Maintained) -> Optimized {
    Optimized {
        status: "ok".to_owned(),
        before: database_file(&done.before),
        after: database_file(&done.after),
        tables_analyzed: done.analyzed,
        bytes_freed: done.pages_freed * done.before.page_bytes,
        wal_emptied: !done.checkpoint_blocked,
        slices: done.slices,
        longest_slice_seconds: done.longest_slice.as_secs_f64(),
        duration_seconds: done.took.as_secs_f64(),
    }
}

/// Everything, as `GET /api/health/metrics` says it. Reads no record.
pub(crate) fn metrics(app: &App, database: &Database) -> HealthMetrics {
    let engine = app.engine.figures();
    let figures = app.engine.catalog_figures();
    let usage = process::usage();
    let counters = &app.metrics;
    let mut took = Durations::default();
    let (mut requests, mut server_errors) = (0, 0);
    for route in counters.routes() {
        for (all, of_route) in took.buckets.iter_mut().zip(route.took.buckets) {
            *all += of_route;
        }
        took.sum_us += route.took.sum_us;
        for (status, count) in route.by_status {
            requests += count;
            server_errors += if status >= 500 { count } else { 0 };
        }
    }
    let words = |map: &std::collections::BTreeMap<&'static str, u64>| {
        map.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    };
    HealthMetrics {
        timestamp: rfc3339(clock::wall_us()),
        uptime_seconds: app.started.elapsed().as_secs_f64(),
        process: ProcessMetrics {
            pid: std::process::id(),
            resident_bytes: usage.resident_bytes,
            anonymous_bytes: usage.anonymous_bytes,
            open_fds: usage.open_fds,
            max_fds: host::fd_limit(),
            threads: usage.threads,
            cpu_seconds: usage.cpu_s,
            started_at: rfc3339((usage.started_s * 1e6) as i64),
        },
        executions: ExecutionMetrics {
            by_status: words(&database.statistics.by_status),
            live: words(&engine.live),
            ended: words(&engine.ended),
            waiting: engine.waiting,
            running: engine.running,
            running_max: engine.running_max,
            unsynced_bytes: engine.unsynced_bytes,
            recorders: engine.recorders_connected,
            recorders_lost: engine.verdicts,
        },
        http: HttpMetrics {
            requests,
            server_errors,
            in_progress: counters.in_progress.load(Relaxed),
            latency: latency(&took),
            connections: counters.connections_tcp.load(Relaxed)
                + counters.connections_unix.load(Relaxed),
            connections_max: connections_max(),
        },
        viewers: ViewerMetrics {
            websocket: counters.websockets.load(Relaxed),
            sse: counters.event_streams.load(Relaxed),
            subscriptions: counters.subscriptions.load(Relaxed),
            dropped: counters.viewers_dropped.load(Relaxed),
        },
        database: database_metrics(&figures, &database.file),
    }
}

struct Check {
    is_error: bool,
    what: &'static str,
    measured: f64,
    threshold: f64,
    unit: &'static str,
    detail: String,
    remedy: &'static str,
}

/// What is beyond its threshold, worst first.
pub(crate) fn findings(figures: &Figures, file: &FileFigures) -> Vec<Finding> {
    let mut checks = Vec::new();
    let ms = |seconds: f64| format!("{} ms", seconds * 1e3);
    for (what, name, durations) in [
        ("slow-commits", "transactions", &figures.commit),
        ("slow-reads", "questions", &figures.read),
    ] {
        let Some(p99) = durations.quantile_s(0.99) else { continue };
        let threshold = SLOW_US as f64 / 1e6;
        if OPERATIONS_LEAST <= durations.count() && threshold < p99 {
            checks.push(Check {
                is_error: false,
                what,
                measured: p99,
                threshold,
                unit: "seconds",
                detail: format!(
                    "1 of 100 {name} took {} or more; {} of {} took more than {}",
                    ms(p99),
                    durations.longer_than(SLOW_US),
                    durations.count(),
                    ms(threshold)
                ),
                remedy: "look at the disk (`stepflow doctor` measures it) and at who shares it; \
                         POST /api/health/optimize makes the planner's statistics anew",
            });
        }
    }
    if WAL_BYTES < file.wal_bytes {
        checks.push(Check {
            is_error: false,
            what: "wal-large",
            measured: file.wal_bytes as f64,
            threshold: WAL_BYTES as f64,
            unit: "bytes",
            detail: format!("the write-ahead log has {} MiB", file.wal_bytes >> 20),
            remedy: "a program reads the database for long and keeps it from being moved: end it \
                     (`fuser database/stepflow.db` names it), then POST /api/health/optimize",
        });
    }
    if let Some(ratio) = figures.cache_hit_ratio()
        && ratio < CACHE_HIT_RATIO
        && OPERATIONS_LEAST <= figures.from_memory + figures.from_disk
    {
        checks.push(Check {
            is_error: false,
            what: "cache-hit-ratio",
            measured: ratio,
            threshold: CACHE_HIT_RATIO,
            unit: "ratio",
            detail: format!("only {:.1} % of operations needed nothing from the disk", ratio * 1e2),
            remedy: "normal for the first minutes after a start; else give the host more memory",
        });
    }
    let free = database_file(file).free_ratio;
    if FREE_PAGES < file.free_pages && FREE_RATIO < free {
        checks.push(Check {
            is_error: false,
            what: "fragmentation",
            measured: free,
            threshold: FREE_RATIO,
            unit: "ratio",
            detail: format!("{:.0} % of the database's pages hold nothing", free * 1e2),
            remedy: "POST /api/health/optimize gives them back; it also happens by itself when \
                     nothing is written for a while",
        });
    }
    if QUEUE_BATCHES_MAX as u64 / 2 < figures.queued {
        checks.push(Check {
            is_error: true,
            what: "queue",
            measured: figures.queued as f64,
            threshold: QUEUE_BATCHES_MAX as f64 / 2.0,
            unit: "count",
            detail: format!("{} batches wait to be written", figures.queued),
            remedy: "the disk does not keep up, or another process holds the database's lock",
        });
    }
    for (is_error, what, count, remedy) in [
        (
            true,
            "commits-failed",
            figures.commits_failed,
            "the server's log says why: a full disk, or damage. Nothing is lost: the records hold \
             everything, and what failed is written again",
        ),
        (
            false,
            "busy",
            figures.busy,
            "another program writes to the database: only StepFlow may (readers do no harm)",
        ),
    ] {
        if count > 0 {
            checks.push(Check {
                is_error,
                what,
                measured: count as f64,
                threshold: 0.0,
                unit: "count",
                detail: format!("{count} since the server was started"),
                remedy,
            });
        }
    }
    checks.sort_by_key(|check| !check.is_error);
    let finding = |check: Check| Finding {
        level: if check.is_error { "error" } else { "warning" }.to_owned(),
        what: check.what.to_owned(),
        measured: check.measured,
        threshold: check.threshold,
        unit: check.unit.to_owned(),
        detail: check.detail,
        remedy: check.remedy.to_owned(),
    };
    checks.into_iter().map(finding).collect()
}

/// The word for a list of findings.
pub(crate) fn word(findings: &[Finding]) -> &'static str {
    match findings.first() {
        None => "ok",
        Some(worst) if worst.level == "error" => "unhealthy",
        Some(_) => "degraded",
    }
}

#[cfg(test)]
mod tests {
    use stepflow_catalog::Histogram;

    use super::*;

    #[test]
    fn a_pulse_is_kept_for_a_while() {
        let (pulse, now) = (Pulse::default(), Duration::from_secs(7));
        assert_eq!(pulse.kept(now), None);
        for (database, storage) in [(true, false), (false, true), (true, true), (false, false)] {
            let works = Works { database, storage };
            pulse.keep(now, works);
            assert_eq!(pulse.kept(now), Some(works));
            assert_eq!(pulse.kept(now + PULSE_EVERY), None, "it is too old");
        }
    }

    fn figures() -> Figures {
        let histogram = Histogram::default();
        for _ in 0..200 {
            histogram.observe(Duration::from_micros(300));
        }
        let good = histogram.snapshot();
        Figures {
            queued: 0,
            batches: 200,
            batches_failed: 0,
            changes: 200,
            commits: 200,
            commits_durable: 0,
            commits_failed: 0,
            busy: 0,
            commit: good,
            write: good,
            reads_failed: 0,
            readers_ended: 0,
            read: good,
            from_memory: 400,
            from_disk: 0,
            readers_open: 1,
            readers_lent: 0,
            checkpoints: 0,
            checkpoints_blocked: 0,
            maintenances: 0,
        }
    }

    fn found(figures: &Figures, file: &FileFigures) -> Vec<(String, String)> {
        let all = findings(figures, file);
        assert!(all.iter().all(|f| !f.detail.is_empty() && !f.remedy.is_empty()));
        all.into_iter().map(|finding| (finding.level, finding.what)).collect()
    }

    #[test]
    fn every_threshold_has_its_finding_and_a_healthy_catalog_none() {
        let file = FileFigures { page_bytes: 4096, pages: 10_000, free_pages: 10, wal_bytes: 0 };
        assert_eq!(found(&figures(), &file), []);
        let slow = Histogram::default();
        for us in [300, 300, 9_000] {
            for _ in 0..100 {
                slow.observe(Duration::from_micros(us));
            }
        }
        let slow = slow.snapshot();
        let warning = |what: &str| ("warning".to_owned(), what.to_owned());
        let error = |what: &str| ("error".to_owned(), what.to_owned());
        let cases = [
            (Figures { commit: slow, ..figures() }, file, warning("slow-commits")),
            (Figures { read: slow, ..figures() }, file, warning("slow-reads")),
            (figures(), FileFigures { wal_bytes: 65 << 20, ..file }, warning("wal-large")),
            (figures(), FileFigures { free_pages: 4_000, ..file }, warning("fragmentation")),
            (Figures { from_disk: 100, ..figures() }, file, warning("cache-hit-ratio")),
            (Figures { queued: 3_000, ..figures() }, file, error("queue")),
            (Figures { commits_failed: 1, ..figures() }, file, error("commits-failed")),
            (Figures { busy: 1, ..figures() }, file, warning("busy")),
        ];
        for (figures, file, expected) in cases {
            assert_eq!(found(&figures, &file), [expected]);
        }
        let both = Figures { busy: 1, commits_failed: 1, ..figures() };
        assert_eq!(found(&both, &file), [error("commits-failed"), warning("busy")], "worst first");
        assert_eq!(word(&findings(&both, &file)), "unhealthy");
    }

    #[test]
    fn a_few_slow_operations_are_no_finding() {
        let few = Histogram::default();
        few.observe(Duration::from_secs(1));
        let file = FileFigures::default();
        assert_eq!(found(&Figures { commit: few.snapshot(), ..figures() }, &file), []);
    }
}
