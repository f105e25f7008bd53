//! Every route in words: what a row of the table takes and answers.
//!
//! Its permission, and the problems that follow from that, come from the table.

use serde_json::json;
use stepflow_api as api;

use super::{
    Schemas,
    examples::{self, Examples},
    operation::{Operation, operation},
    viewing,
};
use crate::routes::{artifacts, executions, find, ingest, log, logs, overview, statistics};

/// All of them, in the order of the table.
pub(crate) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let examples = Examples::new();
    let mut all = health(schemas);
    all.extend(documentation());
    all.extend(callers(schemas));
    all.extend(of_executions(schemas, &examples));
    all.extend(of_searches(schemas, &examples));
    all.extend(of_retention(schemas));
    all.extend(of_logs(schemas));
    all.extend(viewing::all(schemas));
    all.extend(of_ingest(schemas));
    all.extend(of_artifacts(schemas, &examples));
    all.push(
        operation(
            "GET",
            "/ws",
            "subscribe",
            "live",
            "Live updates over a WebSocket",
            "JSON text frames: the client sends `ClientMessage`, the server `ServerMessage`. Every \
             message carries the cursor after it, so that a client resumes after any break.",
        )
        .empty(101, "The connection is a WebSocket now.")
        .problems(&[400, 426]),
    );
    all
}

/// What an idempotency key is for.
const KEY: &str = "A text of the caller's own: sent again within 24 h, the request makes no second \
    execution; the answer is about the first one and has the header `Idempotent-Replayed`. With \
    another body it is refused (422).";

fn key() -> serde_json::Value {
    json!({"type": "string", "pattern": "^[!-~]{1,255}$"})
}

fn range_statistics() -> serde_json::Value {
    const DAY: &str = "2026-11-16T00:00:00.000000Z";
    let part = json!({"since": DAY, "runs": 46, "completed": 44, "failed": 2, "cancelled": 0,
        "median_seconds": 70.5, "p95_seconds": 560.0, "queue_seconds": 0.01, "bytes": 443_000_000});
    let step = json!({"execution": "nightly-build", "step": "Unit tests", "passed": 40, "failed": 2,
        "median_seconds": 48.0});
    let week = vec![vec![json!({"runs": 2, "failed": 0}); 24]; 7];
    json!({"since": DAY, "until": "2026-11-23T00:00:00.000000Z", "part_seconds": 86_400,
        "whole": part, "parts": [part], "reasons": {"exit_code": 2}, "week": week,
        "slowest_steps": [step], "flakiest_steps": [step], "step_executions": 46})
}

fn health(schemas: &mut Schemas) -> Vec<Operation> {
    const TIME: &str = "2026-11-22T20:00:00.000001Z";
    let latency = json!({"count": 1200, "mean_seconds": 0.0004, "p50_seconds": 0.0005,
        "p95_seconds": 0.001, "p99_seconds": 0.0025, "over_5ms": 1});
    let file = json!({"database_bytes": 4_194_304, "page_bytes": 4096, "pages": 1024,
        "free_pages": 2, "free_ratio": 0.002, "wal_bytes": 0});
    let database = json!({"file": file, "queued": 0, "queue_max": 4096, "changes": 8400,
        "commit": latency, "write": latency, "read": latency, "commits_failed": 0,
        "reads_failed": 0, "busy": 0, "cache_hit_ratio": 0.998, "readers": 2, "readers_busy": 0,
        "checkpoints": 4, "checkpoints_blocked": 0, "maintenances": 1});
    let ok = |detail| json!({"status": "ok", "detail": detail});
    let mut with_findings = database.clone();
    with_findings["status"] = json!("degraded");
    with_findings["timestamp"] = json!(TIME);
    with_findings["journal_mode"] = json!("wal");
    with_findings["findings"] = json!([{"level": "warning", "what": "wal-large",
        "measured": 104_857_600, "threshold": 67_108_864, "unit": "bytes",
        "detail": "the write-ahead log has 100 MiB",
        "remedy": "a program reads the database for long: end it, then POST /api/health/optimize"}]);
    let health = |status: &str| {
        examples::of::<api::Health>(json!({"status": status, "service": "StepFlow Monitor",
            "timestamp": TIME, "version": crate::VERSION, "uptime_seconds": 86_400.5,
            "database": if status == "healthy" { "ok" } else { "failed" }, "websocket": "ok",
            "storage": "ok"}))
    };
    let parts = |status: &str| {
        examples::of::<api::HealthStatus>(json!({"status": status, "service": "StepFlow Monitor",
            "version": crate::VERSION, "timestamp": TIME, "uptime_seconds": 86_400.5,
            "components": {"database": if status == "healthy" { ok("1204 executions") } else {
                json!({"status": "unhealthy", "detail": "it does not answer"}) },
                "engine": ok("3 of 1000 places taken, 0 wait"),
                "storage": ok("81920 MiB free, 61.0 %"), "websocket": ok("2 clients")}}))
    };
    let metrics = json!({"timestamp": TIME, "uptime_seconds": 86_400.5,
        "process": {"pid": 4711, "resident_bytes": 31_457_280, "anonymous_bytes": 8_388_608,
            "open_fds": 41, "max_fds": 1_048_576, "threads": 5, "cpu_seconds": 12.5,
            "started_at": TIME},
        "executions": {"by_status": {"completed": 1200, "failed": 4}, "live": {"running": 3},
            "ended": {"completed": 20}, "waiting": 0, "running": 3, "running_max": 1000,
            "unsynced_bytes": 4096, "recorders": 3, "recorders_lost": 0},
        "http": {"requests": 5300, "server_errors": 0, "in_progress": 1, "latency": latency,
            "connections": 4, "connections_max": 8192},
        "viewers": {"websocket": 2, "sse": 0, "subscriptions": 3, "dropped": 0},
        "database": database});
    let history = json!({"every_seconds": 60, "full_in_seconds": null, "samples": [{
        "at_ms": 1_795_377_600_000_i64, "running": 3, "waiting": 0, "viewers": 2, "queued": 0,
        "unsynced_bytes": 4096, "resident_bytes": 25_165_824, "open_fds": 40,
        "database_bytes": 4_194_304, "free_bytes": 68_719_476_736_i64,
        "space_bytes": 274_877_906_944_i64, "commits": 12, "commit_seconds": 0.0004}]});
    let bundle = json!({"version": "0.1.0", "system": "Linux 6.18 x86_64", "processors": 2,
        "auth": true, "status": parts("healthy"), "metrics": metrics.clone(), "findings": [],
        "history": history.clone()});
    vec![
        operation(
            "GET",
            "/api/health",
            "getHealth",
            "health",
            "Whether the server works",
            "For load balancers and probes. Says nothing about what is run.",
        )
        .json(schemas, 200, "It works.", health("healthy"))
        .json(schemas, 503, "It does not.", health("unhealthy")),
        operation(
            "GET",
            "/api/health/status",
            "getHealthStatus",
            "health",
            "How each part is",
            "Database, engine, storage and live updates, each `ok`, `degraded` (it works, and \
             somebody should look) or `unhealthy`.",
        )
        .json(schemas, 200, "Healthy or degraded.", parts("healthy"))
        .json(schemas, 503, "A part does not work.", parts("unhealthy")),
        operation(
            "GET",
            "/api/health/metrics",
            "getHealthMetrics",
            "health",
            "Figures as JSON",
            "The most important figures of `/metrics`. Counters begin at the server's start.",
        )
        .json(schemas, 200, "The figures.", examples::of::<api::HealthMetrics>(metrics)),
        operation(
            "GET",
            "/api/health/database",
            "getHealthDatabase",
            "health",
            "Figures of the catalog, and what is beyond its threshold",
            "Thresholds: an operation should take 5 ms, the write-ahead log have 64 MiB, 90 % of \
             operations need nothing from the disk, a quarter of the pages hold nothing.",
        )
        .json(
            schemas,
            200,
            "Figures and findings, worst first.",
            examples::of::<api::HealthDatabase>(with_findings),
        ),
        operation(
            "GET",
            "/api/health/history",
            "getHealthHistory",
            "health",
            "The last 24 hours",
            "One sample a minute, kept in the server's memory since its start, and one of now; when \
             the disk is full if it goes on filling as it did.",
        )
        .json(schemas, 200, "The samples.", examples::of::<api::HealthHistory>(history.clone())),
        operation(
            "GET",
            "/api/health/bundle",
            "getSupportBundle",
            "health",
            "A file for somebody who helps",
            "Version, system, figures, findings and the last 24 hours. Nothing of any script is in \
             it: no name, command, environment, output, path or token.",
        )
        .json(schemas, 200, "The bundle.", examples::of::<api::SupportBundle>(bundle)),
        operation(
            "POST",
            "/api/health/optimize",
            "optimizeDatabase",
            "health",
            "Maintain the catalog now",
            "Makes the planner's statistics anew, gives free pages back (at most 64 MiB a call) \
             and empties the write-ahead log, in slices between which writes go on. A run that is \
             under way counts for this call as well. It also happens by itself when nothing is \
             written for a while.",
        )
        .json(
            schemas,
            200,
            "What was done.",
            examples::of::<api::Optimized>(json!({"status": "ok", "before": file, "after": file,
                "tables_analyzed": 6, "bytes_freed": 1_048_576, "wal_emptied": true, "slices": 14,
                "longest_slice_seconds": 0.004, "duration_seconds": 0.02})),
        ),
        operation(
            "GET",
            "/metrics",
            "getMetrics",
            "health",
            "Figures for Prometheus",
            "Text format 0.0.4. A scrape looks through no record. docs/operations.md has the \
             scrape configuration and alerts.",
        )
        .bytes(
            200,
            "The figures.",
            "text/plain",
            Some(
                "# HELP stepflow_catalog_up Whether the catalog answers: 1 or 0.\n\
                  # TYPE stepflow_catalog_up gauge\nstepflow_catalog_up 1\n",
            ),
        ),
    ]
}

fn documentation() -> Vec<Operation> {
    let of = |path, id, summary| {
        operation("GET", path, id, "documentation", summary, "Made from the code of this server.")
    };
    vec![
        of("/api/openapi.json", "getOpenapi", "This document")
            .bytes(200, "OpenAPI 3.1.", "application/json", None)
            .empty(304, "As before (`If-None-Match`)."),
        of("/api/docs", "getDocs", "A page that shows this document")
            .bytes(200, "The page; it needs no other host.", "text/html", None)
            .empty(304, "As before (`If-None-Match`)."),
        of("/api/docs/viewer.js", "getDocsScript", "The page's script")
            .bytes(200, "JavaScript.", "text/javascript", None)
            .empty(304, "As before (`If-None-Match`)."),
        of("/api/docs/viewer.css", "getDocsStyle", "The page's styles")
            .bytes(200, "CSS.", "text/css", None)
            .empty(304, "As before (`If-None-Match`)."),
    ]
}

fn callers(schemas: &mut Schemas) -> Vec<Operation> {
    let token = json!({"id": "5f3a0c9d1e2b4876", "name": "prometheus", "scope": "viewer",
        "prefix": "sfm_1a2b3c4d", "created_at": "2026-11-22T20:00:00.000001Z", "expires_at": null,
        "last_used_at": null, "revoked_at": null});
    let mut created = token.clone();
    created["token"] = json!(format!("sfm_{}", "1a2b3c4d".repeat(8)));
    vec![
        operation(
            "POST",
            "/api/login",
            "login",
            "login",
            "Log a browser in",
            "Takes the one-time code of the link that the server printed, or that `stepflow open` \
             prints.",
        )
        .body::<api::LoginRequest>(schemas, json!({"code": "0123456789abcdef"}))
        .empty(204, "Logged in: the answer sets the cookie.")
        .problems(&[401, 429]),
        operation(
            "POST",
            "/api/logout",
            "logout",
            "login",
            "End the login",
            "Of the cookie that the request carries. Without one, nothing happens.",
        )
        .empty(204, "Logged out."),
        operation(
            "GET",
            "/api/session",
            "getSession",
            "login",
            "Who one is",
            "How the caller is known.",
        )
        .json(
            schemas,
            200,
            "Known.",
            examples::of::<api::Session>(json!({"authenticated": true, "kind": "token"})),
        ),
        operation(
            "POST",
            "/api/login-code",
            "createLoginCode",
            "login",
            "Make a link that logs a browser in",
            "Answered on the Unix socket only: whoever reaches that may read our files anyway.",
        )
        .json(
            schemas,
            200,
            "The link, good once, for 10 minutes.",
            examples::of::<api::LoginUrl>(json!({"url": "http://127.0.0.1:8080/login#code=0123"})),
        ),
        operation(
            "GET",
            "/api/tokens",
            "listTokens",
            "tokens",
            "All tokens",
            "Oldest first, revoked ones too; never the tokens themselves.",
        )
        .json(
            schemas,
            200,
            "The tokens.",
            examples::of::<api::TokenList>(json!({"tokens": [token], "count": 1})),
        ),
        operation(
            "POST",
            "/api/tokens",
            "createToken",
            "tokens",
            "Make a token",
            "The answer is the one time that it is shown.",
        )
        .body::<api::TokenCreate>(
            schemas,
            json!({"name": "prometheus", "scope": "viewer", "expires_in_s": 31_536_000}),
        )
        .json(schemas, 201, "Made.", examples::of::<api::TokenCreated>(created)),
        operation(
            "DELETE",
            "/api/tokens/{id}",
            "revokeToken",
            "tokens",
            "Revoke a token",
            "From now on it opens nothing, and its streams end within 5 s.",
        )
        .path_parameter(
            "id",
            json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
            "The token's id.",
        )
        .empty(204, "Revoked.")
        .problems(&[404]),
    ]
}

/// A search over many logs.
fn of_finding(schemas: &mut Schemas, examples: &Examples) -> Operation {
    let found = examples.execution().map(|execution| {
        let line = json!({"line": 88, "offset": 4_212, "step": 0, "step_name": "Compile",
            "matches": 1, "text": "src/a.c:3:4: error: no", "spans": [[13, 18]],
            "cut_before": false, "cut_after": false});
        json!({"kind": "found", "execution": execution, "lines": [line], "more": false})
    });
    operation(
        "GET",
        "/api/search",
        "search",
        "executions",
        "Search the logs of many executions",
        "Text or a regular expression, in all that the conditions choose, newest first. Hits come \
         while it is searched, and lines that say how far it is. The last line is `end`: with a \
         `cursor` if there is more, after 5 s or `limit` hits; without that line the answer broke \
         off. Two searches run at once; others wait for 3 s at most.",
    )
    .query::<find::FindParams>(schemas)
    .json_lines(schemas, "What was found.", found.and_then(examples::of::<api::SearchEvent>))
    .problems(&[400, 429])
}

fn of_searches(schemas: &mut Schemas, examples: &Examples) -> Vec<Operation> {
    let of = |method, path, id, summary, description| {
        operation(method, path, id, "executions", summary, description)
    };
    let name = json!({"type": "string", "minLength": 1, "maxLength": 256});
    let search = json!({"name": "Broken nights", "query": "status:failed tag:nightly",
        "saved_at": "2026-11-22T20:00:00.000001Z"});
    vec![
        of_finding(schemas, examples),
        of(
            "GET",
            "/api/searches",
            "listSearches",
            "Searches saved for everybody",
            "By name. Whoever may look at executions sees them.",
        )
        .json(
            schemas,
            200,
            "The searches.",
            examples::of::<api::SavedSearchList>(json!({"searches": [search]})),
        ),
        of(
            "PUT",
            "/api/searches/{name}",
            "saveSearch",
            "Save a search for everybody",
            "Replaces the one of that name.",
        )
        .path_parameter("name", name.clone(), "The search's name.")
        .body::<api::SavedSearchRequest>(schemas, json!({"query": "status:failed tag:nightly"}))
        .json(schemas, 200, "Saved.", examples::of::<api::SavedSearch>(search))
        .problems(&[409]),
        of(
            "DELETE",
            "/api/searches/{name}",
            "forgetSearch",
            "Forget a saved search",
            "It is gone for everybody.",
        )
        .path_parameter("name", name, "The search's name.")
        .empty(204, "Forgotten.")
        .problems(&[404]),
    ]
}

fn of_retention(schemas: &mut Schemas) -> Vec<Operation> {
    let of = |method, path, id, summary, description| {
        operation(method, path, id, "executions", summary, description)
    };
    let swept = json!({"dry_run": false, "at": "2026-11-22T20:00:00.000001Z", "looked_at": 12_000,
        "deleted": 340, "bytes_freed": 5_368_709_120_u64, "busy": 0, "unreadable": 0,
        "seconds": 4.2, "stopped": false});
    let rules = json!([{"tag": "release"}, {"max_age_seconds": 2_592_000, "max_count": 10_000}]);
    vec![
        of(
            "GET",
            "/api/retention",
            "getRetention",
            "What is kept, and for how long",
            "The rules of `stepflow.toml`, and what the last sweep of this server did.",
        )
        .json(
            schemas,
            200,
            "The rules.",
            examples::of::<api::Retention>(json!({"rules": rules, "last": swept})),
        ),
        of(
            "POST",
            "/api/retention/sweep",
            "sweepRetention",
            "Delete what the rules let go of",
            "Ended, unpinned executions over a limit go, whole, the oldest first. It is cut off \
             after some seconds, which the answer says: ask again for the rest.",
        )
        .optional_body::<api::RetentionSweepRequest>(schemas, json!({"dry_run": true}))
        .json(schemas, 200, "What was done.", examples::of::<api::RetentionSwept>(swept)),
    ]
}

fn of_executions(schemas: &mut Schemas, examples: &Examples) -> Vec<Operation> {
    let of = |method, path, id, summary, description| {
        operation(method, path, id, "executions", summary, description)
    };
    vec![
        of(
            "GET",
            "/api/executions",
            "listExecutions",
            "List executions",
            "Newest first. Live ones are shown as they are now. Go on with `before`, which costs \
             the same on every page.",
        )
        .query::<executions::ListParams>(schemas)
        .json(schemas, 200, "One page.", Some(examples.list())),
        of(
            "POST",
            "/api/executions",
            "createExecution",
            "Start an execution",
            "Accepted when it is on the disk: from then on it reaches exactly one end. A command \
             of one text is split by shell quoting; one that needs a shell (an unquoted \
             `| & ; < >`, back-tick, `$(` or line break) is refused unless `shell` is set. A \
             program that cannot be started gives an execution that has failed.",
        )
        .query::<executions::CreateParams>(schemas)
        .body::<api::CreateRequest>(
            schemas,
            json!({"command": ["bash", "build.sh"], "name": "nightly build",
                "working_directory": "/srv/project", "environment": {"MODE": "release"},
                "tags": ["nightly"], "timeout": 600.0}),
        )
        .header("Idempotency-Key", key(), KEY)
        .json(schemas, 201, "Accepted; with `wait`, ended.", examples.created())
        .problems(&[409, 422]),
        of(
            "POST",
            "/api/executions/{id}/rerun",
            "rerunExecution",
            "Run an execution again",
            "The same command, directory, declared environment, name, tags, metadata and limits, as \
             a new execution with `rerun_of`. Values that were masked are not kept: they must be \
             given again.",
        )
        .execution()
        .query::<executions::CreateParams>(schemas)
        .optional_body::<api::RerunRequest>(schemas, json!({"environment": {"MODE": "debug"}}))
        .header("Idempotency-Key", key(), KEY)
        .json(schemas, 201, "Accepted; with `wait`, ended.", examples.created())
        .problems(&[409, 422]),
        of(
            "GET",
            "/api/executions/active",
            "listActive",
            "What runs or waits",
            "Newest first, all of it.",
        )
        .json(schemas, 200, "All that have not ended.", Some(examples.active())),
        of(
            "GET",
            "/api/executions/statistics",
            "getStatistics",
            "How many, how good, how long",
            "Of all executions; kept, not counted.",
        )
        .json(
            schemas,
            200,
            "The statistics.",
            Some(api::Statistics::new([("completed".to_owned(), 1)].into(), 1_250_000, 1)),
        ),
        of(
            "GET",
            "/api/statistics",
            "getRangeStatistics",
            "A time range in figures",
            "By hour (up to three days) or day: how many, how they ended, how long they took and \
             waited, how much they printed; reasons of failures; hours of the week; the slowest and \
             the flakiest steps of the newest 5,000 executions. Quantiles are exact. Counted when \
             asked: right at once after a delete or an import.",
        )
        .query::<statistics::StatisticsParams>(schemas)
        .json(
            schemas,
            200,
            "The figures.",
            examples::of::<api::RangeStatistics>(range_statistics()),
        ),
        of(
            "GET",
            "/api/executions/overview",
            "getOverview",
            "The headline of a time range",
            "How many, how good, how long, how much, of those created in the range; the same for \
             parts of it. Counted when asked: right at once after a delete or an import.",
        )
        .query::<overview::OverviewParams>(schemas)
        .json(
            schemas,
            200,
            "The figures.",
            examples::of::<api::Overview>(json!({"range": "7d", "since": "2026-11-16T08:00:00.000000Z",
                "runs": 1_284, "completed": 1_230, "failed": 50, "cancelled": 4,
                "success_ratio": 0.961, "median_seconds": 72.0, "p95_seconds": 580.0,
                "bytes": 12_400_000_000_u64, "running": 3, "queued": 2,
                "parts": [{"since": "2026-11-16T08:00:00.000000Z", "runs": 46,
                    "success_ratio": 0.95, "median_seconds": 70.5, "p95_seconds": 560.0,
                    "bytes": 443_000_000}]})),
        ),
        of(
            "GET",
            "/api/executions/strips",
            "getStrips",
            "How names went lately",
            "For each name that the given executions have: its last 20 executions, and how long \
             its last passes took.",
        )
        .query::<overview::StripParams>(schemas)
        .json(
            schemas,
            200,
            "One strip for each name.",
            examples::of::<api::StripList>(json!({"strips": [{
                "ids": ["0198c2aa-7a10-7000-8000-000000000001"], "passes": 1, "usual_seconds": 58.2,
                "last": [{"id": "0198c2aa-7a10-7000-8000-000000000001", "status": "completed",
                    "duration_seconds": 58.2}]}]})),
        ),
        of(
            "GET",
            "/api/executions/{id}",
            "getExecution",
            "One execution",
            "With its steps, artifacts and annotations. The lines of the steps are streamed from \
             the record; a long log makes a long answer, which `logs=0` avoids.",
        )
        .execution()
        .query::<executions::DetailParams>(schemas)
        .json(schemas, 200, "All of it.", examples.detail()),
        of(
            "PATCH",
            "/api/executions/{id}",
            "labelExecution",
            "Name, tag or pin an execution",
            "Running or ended. What the body leaves out stays as it is. It stands in the record, so \
             that a rebuilt catalog knows it.",
        )
        .execution()
        .body::<api::LabelRequest>(schemas, json!({"tags": ["nightly", "release"], "pinned": true}))
        .json(schemas, 200, "The execution as it is now.", examples.execution()),
        of(
            "DELETE",
            "/api/executions/{id}",
            "deleteExecution",
            "Delete an execution",
            "Its log, its artifacts and all that is known of it, for good. One that has not ended \
             is refused: cancel it first.",
        )
        .execution()
        .json(
            schemas,
            200,
            "Deleted.",
            Some(Examples::deleted(
                "0198c2aa-0000-7000-8000-000000000001",
                "Execution deleted",
            )),
        )
        .problems(&[409]),
        of(
            "POST",
            "/api/executions/{id}/cancel",
            "cancelExecution",
            "Stop an execution",
            "SIGTERM to everything it started, a grace period, SIGKILL. A second call skips the \
             grace period. The wish is durable when this is answered.",
        )
        .execution()
        .json(
            schemas,
            202,
            "Asked to stop, or, if it had not begun, cancelled.",
            examples.cancelled(),
        )
        .problems(&[409]),
    ]
}

fn of_logs(schemas: &mut Schemas) -> Vec<Operation> {
    let of =
        |path, id, summary, description| operation("GET", path, id, "logs", summary, description);
    let line = json!({"n": 1, "t": "2026-11-22T20:00:00.000001Z", "stream": "stdout", "offset": 0,
        "bytes": 6, "text": "hello", "partial": false, "continued": false, "lossy": false,
        "rest": 0, "step": 0});
    vec![
        of(
            "/api/executions/{id}/log",
            "getLog",
            "A range of lines",
            "By number, or the last ones. While the execution runs there is more to come: go on at \
             `cursor` with the events.",
        )
        .execution()
        .query::<log::RangeParams>(schemas)
        .json(
            schemas,
            200,
            "The lines that are there.",
            examples::of::<api::LogRange>(json!({"from_line": 1, "lines": [line],
                "total_lines": 1, "total_bytes": 6, "cursor": "6.3", "ended": false})),
        ),
        of(
            "/api/executions/{id}/logs",
            "getLogEntries",
            "The log as entries",
            "As the original documented it: each line with its step. Streamed from the record, \
             however long it is; lines of markers that had an effect are left out.",
        )
        .execution()
        .query::<logs::LogsParams>(schemas)
        .json(
            schemas,
            200,
            "The entries.",
            examples::of::<api::LogEntries>(json!({
                "execution_id": "0198c2aa-0000-7000-8000-000000000001",
                "logs": [{"timestamp": "2026-11-22T20:00:00.000001Z", "content": "hello",
                    "level": "info", "message": "hello", "step_id": null, "step_name": null,
                    "line": 1, "stream": "stdout"}],
                "count": 1, "has_more": false, "next_cursor": "6", "status": 200})),
        ),
        of(
            "/api/executions/{id}/log/raw",
            "getRawLog",
            "The recorded bytes",
            "As the script wrote them, with `Range`.",
        )
        .execution()
        .header("Range", json!({"type": "string"}), "One range of bytes: `bytes=0-99`.")
        .bytes(200, "All that is recorded now.", "text/plain", Some("hello\n"))
        .bytes(206, "The range.", "text/plain", Some("ell"))
        .problems(&[416]),
        of(
            "/api/executions/{id}/events",
            "getEvents",
            "Lines and events as they come",
            "Server-sent events: `lines`, `event`, `state`, and `end` at the end. Every id is a \
             cursor: a client that comes again with `Last-Event-ID`, or `cursor`, misses nothing.",
        )
        .execution()
        .query::<log::EventParams>(schemas)
        .header("Last-Event-ID", json!({"type": "string"}), "A cursor; it wins over `cursor`.")
        .events(
            "A stream that ends with the execution.",
            &["lines", "event", "state", "end"],
            &json!({"event": "lines", "id": "6.3", "data": "{\"cursor\":\"6.3\",\"lines\":[]}"}),
        ),
    ]
}

fn of_artifacts(schemas: &mut Schemas, examples: &Examples) -> Vec<Operation> {
    let of = |path, id, summary, description| {
        operation("GET", path, id, "artifacts", summary, description)
    };
    vec![
        of("/api/artifacts", "listArtifacts", "All artifacts", "Of all executions, newest first.")
            .query::<artifacts::ListParams>(schemas)
            .json(schemas, 200, "One page.", Some(examples.artifact_list()))
            .problems(&[404]),
        of(
            "/api/artifacts/execution/{id}",
            "listArtifactsOfExecution",
            "The artifacts of one execution",
            "In order of declaration, all of them.",
        )
        .execution()
        .json(schemas, 200, "The artifacts.", Some(examples.artifact_list())),
        operation(
            "POST",
            "/api/artifacts",
            "uploadArtifact",
            "artifacts",
            "Add a file to an execution",
            "A form with one file (`multipart/form-data`), whose fields may stand in the query as \
             well; or, with any other content type, the file's bytes alone. It is kept like a file \
             that a script declared.",
        )
        .query::<artifacts::UploadParams>(schemas)
        .file_body(&["execution_id", "step_id", "name", "description"])
        .json(schemas, 201, "Kept.", examples.artifact())
        .problems(&[404]),
        operation(
            "DELETE",
            "/api/artifacts/{aid}",
            "deleteArtifact",
            "artifacts",
            "Delete an artifact",
            "The file is removed unless another artifact of the execution has the same bytes.",
        )
        .artifact()
        .json(
            schemas,
            200,
            "Deleted.",
            Some(Examples::deleted("0198c2aa-0000-7000-8000-000000000001-a0", "Artifact deleted")),
        )
        .problems(&[409]),
        of("/api/artifacts/{aid}", "getArtifact", "One artifact", "What is known of it.")
            .artifact()
            .json(schemas, 200, "The artifact.", examples.artifact()),
        of(
            "/api/artifacts/{aid}/content",
            "showArtifact",
            "An artifact to be shown in place",
            "Images, audio and video with their type, for a page to show; an HTML document under \
             a policy that gives it an opaque origin, no network and no script (`scripts=1`: its \
             own inline scripts). Anything else is 415.",
        )
        .artifact()
        .query::<artifacts::ContentParams>(schemas)
        .header("Range", json!({"type": "string"}), "One range of bytes: `bytes=0-99`.")
        .bytes(200, "The bytes.", "*/*", None)
        .bytes(206, "The range.", "*/*", None)
        .problems(&[415, 416]),
        of(
            "/api/artifacts/{aid}/download",
            "downloadArtifact",
            "The bytes of an artifact",
            "Always as an attachment, never as a page: a type that browsers run is sent as \
             `application/octet-stream`.",
        )
        .artifact()
        .header("Range", json!({"type": "string"}), "One range of bytes: `bytes=0-99`.")
        .bytes(200, "The bytes.", "*/*", None)
        .bytes(206, "The range.", "*/*", None)
        .problems(&[416]),
    ]
}

fn of_ingest(schemas: &mut Schemas) -> Vec<Operation> {
    const BODY: &str = "The body is recorded while it comes, as it comes, however long it is and \
        goes on. Its end is the end of the stream, unless `more` is set; a connection that breaks \
        is not: the stream waits for its source to go on. Answered when everything is durable.";
    let answer = |status: &str| {
        examples::of::<api::IngestAnswer>(json!({
            "id": "0198c2aa-0000-7000-8000-000000000001", "name": "build", "status": status,
            "reason": null, "offset": 63, "safe": 63, "bytes": 63, "lines": 4, "attached": false,
            "url": "http://127.0.0.1:8080/executions/0198c2aa-0000-7000-8000-000000000001",
        }))
    };
    let mask = json!({"type": "string", "minLength": 6});
    let send = |method, path, id, summary, schemas: &mut Schemas| {
        operation(method, path, id, "ingest", summary, BODY)
            .query::<ingest::SendParams>(schemas)
            .header("X-StepFlow-Mask", mask.clone(), "A value that never reaches the record.")
            .stream_body()
            .json(schemas, 201, "A new stream, durable.", answer("completed"))
            .problems(&[400, 409, 415, 507])
    };
    let stream = |operation: Operation| {
        let schema = json!({"type": "string", "format": "uuid"});
        operation.path_parameter("id", schema, "The execution's id; of your choice if it is new.")
    };
    let known = |operation: Operation, schemas: &mut Schemas| {
        stream(operation)
            .json(schemas, 200, "A known stream, durable.", answer("running"))
            .problems(&[404])
    };
    let put = send("PUT", "/api/ingest/{id}", "putStream", "Begin a stream, or go on", schemas);
    let post = send("POST", "/api/ingest/{id}", "postStream", "The same as PUT", schemas);
    vec![
        send("PUT", "/api/ingest", "putNewStream", "Make an execution of a stream", schemas),
        send("POST", "/api/ingest", "postNewStream", "The same as PUT", schemas),
        known(put, schemas),
        known(post, schemas),
        stream(operation(
            "GET",
            "/api/ingest/{id}",
            "getStream",
            "ingest",
            "How far a stream is",
            "`offset`, also in the header `Upload-Offset`, is where its source goes on.",
        ))
        .json(schemas, 200, "Its state.", answer("running"))
        .problems(&[404, 409]),
        stream(operation(
            "POST",
            "/api/ingest/{id}/end",
            "endStream",
            "ingest",
            "End a stream",
            "There will be no more. May be said twice.",
        ))
        .query::<ingest::EndParams>(schemas)
        .json(schemas, 200, "Ended, durable.", answer("completed"))
        .problems(&[400, 404, 409]),
    ]
}
