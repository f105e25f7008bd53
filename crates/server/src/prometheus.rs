//! What `GET /metrics` shows. Figures are read, not made: a scrape looks through no record.

use std::sync::atomic::Ordering::Relaxed;

use stepflow_catalog::QUEUE_BATCHES_MAX;
use stepflow_engine::QUEUED_MAX;
use stepflow_sys::{host, process};

use crate::{
    VERSION,
    accept::connections_max,
    app::App,
    exposition::Exposition,
    health::{self, Database},
    table,
};

/// All families. `database`: `None`, the catalog does not answer.
pub(crate) fn write(app: &App, database: Option<&Database>, text: &mut Exposition) {
    text.gauge("stepflow_build_info", "The program; always 1.").with(&[("version", VERSION)], 1);
    text.gauge("stepflow_uptime_seconds", "Since the server was started.")
        .value(app.started.elapsed().as_secs_f64());
    executions(app, database, text);
    catalog(app, database, text);
    storage(app, text);
    http(app, text);
    own_process(text);
}

fn executions(app: &App, database: Option<&Database>, text: &mut Exposition) {
    let engine = app.engine.figures();
    if let Some(database) = database {
        let mut family = text.gauge("stepflow_executions", "Executions in the catalog, by status.");
        for (status, count) in &database.statistics.by_status {
            family.with(&[("status", status)], count);
        }
    }
    let mut family =
        text.gauge("stepflow_executions_live", "Executions that have not ended, by status.");
    for (status, count) in &engine.live {
        family.with(&[("status", status)], count);
    }
    let mut family = text.counter(
        "stepflow_executions_ended_total",
        "Executions whose end was committed since the start, by status.",
    );
    for (status, count) in &engine.ended {
        family.with(&[("status", status)], count);
    }
    for (name, help, value) in [
        ("stepflow_executions_waiting", "Executions that wait for a place.", engine.waiting),
        (
            "stepflow_executions_waiting_max",
            "How many may wait; beyond it they are refused.",
            QUEUED_MAX as u64,
        ),
        ("stepflow_executions_running", "Places that are taken.", engine.running),
        ("stepflow_executions_running_max", "Places there are.", engine.running_max),
        (
            "stepflow_output_unsynced_bytes",
            "Output of live executions that is recorded and not yet synced.",
            engine.unsynced_bytes,
        ),
        (
            "stepflow_recorders_connected",
            "Recorders whose control socket is connected.",
            engine.recorders_connected,
        ),
    ] {
        text.gauge(name, help).value(value);
    }
    for (name, help, value) in [
        ("stepflow_executions_accepted_total", "Executions that were accepted.", engine.accepted),
        ("stepflow_executions_refused_total", "Executions that were refused.", engine.refused),
        (
            "stepflow_logs_compressed_total",
            "Logs of ended executions that were compressed.",
            engine.logs_compressed,
        ),
        (
            "stepflow_logs_not_compressed_total",
            "Logs that stay as they are: they are not clean, or the disk refused.",
            engine.logs_not_compressed,
        ),
        (
            "stepflow_logs_compressed_output_bytes_total",
            "Output in the logs that were compressed.",
            engine.compressed_bytes,
        ),
        (
            "stepflow_logs_compressed_freed_bytes_total",
            "What these logs take up less on the disk than before.",
            engine.freed_bytes,
        ),
        (
            "stepflow_recorders_started_total",
            "Recorders that were started.",
            engine.recorders_started,
        ),
        (
            "stepflow_recorders_failed_total",
            "Recorders that could not be started.",
            engine.recorders_failed,
        ),
        (
            "stepflow_recorders_lost_total",
            "Executions whose recorder was gone without an end.",
            engine.verdicts,
        ),
    ] {
        text.counter(name, help).value(value);
    }
}

fn catalog(app: &App, database: Option<&Database>, text: &mut Exposition) {
    let figures = app.engine.catalog_figures();
    text.gauge("stepflow_catalog_up", "Whether the catalog answers: 1 or 0.")
        .value(u8::from(database.is_some()));
    if let Some(Database { file, .. }) = database {
        for (name, help, value) in [
            (
                "stepflow_catalog_database_bytes",
                "Size of the database.",
                file.pages * file.page_bytes,
            ),
            (
                "stepflow_catalog_free_bytes",
                "Pages of the database that hold nothing.",
                file.free_pages * file.page_bytes,
            ),
            ("stepflow_catalog_wal_bytes", "Size of the write-ahead log.", file.wal_bytes),
        ] {
            text.gauge(name, help).value(value);
        }
    }
    for (name, help, value) in [
        ("stepflow_catalog_queue_batches", "Batches that wait for the writer.", figures.queued),
        (
            "stepflow_catalog_queue_batches_max",
            "How many may wait; beyond it writers wait.",
            QUEUE_BATCHES_MAX as u64,
        ),
        ("stepflow_catalog_readers", "Connections that read.", figures.readers_open),
        ("stepflow_catalog_readers_busy", "Of them in use.", figures.readers_lent),
    ] {
        text.gauge(name, help).value(value);
    }
    if let Some(ratio) = figures.cache_hit_ratio() {
        text.gauge(
            "stepflow_catalog_cache_hit_ratio",
            "Share of operations that needed nothing from the disk, since the start.",
        )
        .value(ratio);
    }
    for (name, help, value) in [
        (
            "stepflow_catalog_cache_hits_total",
            "Operations that needed nothing from the disk.",
            figures.from_memory,
        ),
        (
            "stepflow_catalog_cache_misses_total",
            "Operations that waited for the disk to read.",
            figures.from_disk,
        ),
        ("stepflow_catalog_commits_total", "Transactions.", figures.commits),
        (
            "stepflow_catalog_commits_durable_total",
            "Of them synced before they were answered.",
            figures.commits_durable,
        ),
        (
            "stepflow_catalog_commits_failed_total",
            "Transactions that failed.",
            figures.commits_failed,
        ),
        (
            "stepflow_catalog_changes_total",
            "Rows and what belongs to them, written.",
            figures.changes,
        ),
        ("stepflow_catalog_batches_total", "Batches that were answered.", figures.batches),
        (
            "stepflow_catalog_batches_failed_total",
            "Of them refused: nothing was written.",
            figures.batches_failed,
        ),
        ("stepflow_catalog_reads_failed_total", "Questions that failed.", figures.reads_failed),
        (
            "stepflow_catalog_busy_total",
            "Times another process held the lock for too long.",
            figures.busy,
        ),
        (
            "stepflow_catalog_checkpoints_total",
            "Times the write-ahead log was moved into the database.",
            figures.checkpoints,
        ),
        (
            "stepflow_catalog_checkpoints_blocked_total",
            "Of them kept from moving everything by a reader.",
            figures.checkpoints_blocked,
        ),
        ("stepflow_catalog_maintenances_total", "Runs of the maintenance.", figures.maintenances),
    ] {
        text.counter(name, help).value(value);
    }
    for (name, help, durations) in [
        (
            "stepflow_catalog_commit_duration_seconds",
            "A transaction, from its begin to the end of its commit.",
            &figures.commit,
        ),
        (
            "stepflow_catalog_write_duration_seconds",
            "A batch, from the moment it was handed over to the commit that holds it.",
            &figures.write,
        ),
        (
            "stepflow_catalog_read_duration_seconds",
            "A question, waiting for a connection included.",
            &figures.read,
        ),
    ] {
        text.histogram(name, help).durations(&[], durations);
    }
}

fn storage(app: &App, text: &mut Exposition) {
    if let Ok((free, all)) = health::space(app.engine.storage().root()) {
        text.gauge("stepflow_storage_free_bytes", "Free space of the storage's file system.")
            .value(free);
        text.gauge("stepflow_storage_size_bytes", "Size of the storage's file system.").value(all);
    }
}

fn http(app: &App, text: &mut Exposition) {
    let metrics = &app.metrics;
    let rows = table::routes();
    let routes = metrics.routes();
    let name = |at: usize| rows.get(at).map_or(("", "other"), |row| (row.method, row.path));
    let mut family = text.counter(
        "stepflow_http_requests_total",
        "Answers, by route and status; `other` is what is no route.",
    );
    for (at, route) in routes.iter().enumerate() {
        let (method, path) = name(at);
        for (status, count) in &route.by_status {
            let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
            family.with(&[("method", method), ("route", path), ("status", &status)], count);
        }
    }
    let mut family = text.histogram(
        "stepflow_http_request_duration_seconds",
        "From a request's head to the answer's; the body of a stream may take much longer.",
    );
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| route.took.count() > 0) {
        let (method, path) = name(at);
        family.durations(&[("method", method), ("route", path)], &route.took);
    }
    for (name, help, value) in [
        (
            "stepflow_http_requests_in_progress",
            "Requests whose answer has not begun.",
            metrics.in_progress.load(Relaxed),
        ),
        (
            "stepflow_http_connections_max",
            "Connections there may be; further ones wait.",
            connections_max(),
        ),
        (
            "stepflow_viewer_subscriptions",
            "Subscriptions of WebSocket clients.",
            metrics.subscriptions.load(Relaxed),
        ),
    ] {
        text.gauge(name, help).value(value);
    }
    text.gauge("stepflow_http_connections", "Open connections, by transport.")
        .with(&[("transport", "tcp")], metrics.connections_tcp.load(Relaxed))
        .with(&[("transport", "unix")], metrics.connections_unix.load(Relaxed));
    text.gauge("stepflow_viewers", "Clients of live streams, by kind.")
        .with(&[("kind", "websocket")], metrics.websockets.load(Relaxed))
        .with(&[("kind", "sse")], metrics.event_streams.load(Relaxed));
    for (name, help, value) in [
        (
            "stepflow_viewers_dropped_total",
            "Viewers that were cut off: they took nothing for 30 s, or their login ended.",
            metrics.viewers_dropped.load(Relaxed),
        ),
        (
            "stepflow_http_connections_accepted_total",
            "Connections that were accepted.",
            metrics.connections_accepted.load(Relaxed),
        ),
        (
            "stepflow_http_accept_errors_total",
            "Connections that could not be accepted.",
            metrics.accept_errors.load(Relaxed),
        ),
    ] {
        text.counter(name, help).value(value);
    }
}

/// The names that all Prometheus clients use.
fn own_process(text: &mut Exposition) {
    let usage = process::usage();
    text.counter("process_cpu_seconds_total", "Time on processors, user and system.")
        .value(usage.cpu_s);
    text.gauge("process_start_time_seconds", "When the process was started, since 1970.")
        .value(usage.started_s);
    for (name, help, value) in [
        ("process_open_fds", "Open file descriptors.", usage.open_fds),
        ("process_max_fds", "File descriptors that may be open.", host::fd_limit()),
        ("process_resident_memory_bytes", "Resident memory.", usage.resident_bytes),
        (
            "stepflow_process_anonymous_memory_bytes",
            "Resident memory without mapped files.",
            usage.anonymous_bytes,
        ),
        ("process_virtual_memory_bytes", "Virtual memory.", usage.virtual_bytes),
        ("stepflow_process_threads", "Threads.", usage.threads),
    ] {
        text.gauge(name, help).value(value);
    }
}
