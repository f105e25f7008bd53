//! How the server is.

use std::sync::atomic::Ordering::Relaxed;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use stepflow_api::{
    Component, Components, Health, HealthDatabase, HealthHistory, HealthMetrics, HealthStatus,
    Optimized, SupportBundle, rfc3339,
};
use stepflow_catalog::Fault;
use stepflow_engine::{EngineFigures, Mended, QUEUED_MAX};
use stepflow_sys::{clock, host, process};

use crate::{
    VERSION,
    app::App,
    config::Auth,
    exposition::{CONTENT_TYPE, Exposition},
    health::{self, SPACE_BYTES_LEAST, SPACE_BYTES_LOW, SPACE_RATIO, Works},
    problem::Problem,
    prometheus,
    service::{Service, Stop},
};

const SERVICE: &str = "StepFlow Monitor";
/// Of all file descriptors; beyond it somebody should look.
const FDS_RATIO: f64 = 0.8;
/// A connection that could not be accepted is told of for so long, in seconds.
const TURNED_AWAY_S: u64 = 60;

fn ok_or_failed(good: bool) -> &'static str {
    if good { "ok" } else { "failed" }
}

/// `GET /api/health`: open, and therefore silent about everything else.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let up = app.started.elapsed();
    let Works { database, storage } = app.pulse.beats(&app, up).await;
    let healthy = database && storage;
    let health = Health {
        status: if healthy { "healthy" } else { "unhealthy" }.into(),
        service: SERVICE.into(),
        timestamp: rfc3339(clock::wall_us()),
        version: VERSION.into(),
        uptime_seconds: up.as_secs_f64(),
        database: ok_or_failed(database).into(),
        websocket: ok_or_failed(true).into(),
        storage: ok_or_failed(storage).into(),
    };
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

fn component<const N: usize>(
    status: &str,
    what: &str,
    figures: [(&str, f64); N],
    detail: impl Into<String>,
) -> Component {
    Component {
        status: status.to_owned(),
        detail: detail.into(),
        what: what.to_owned(),
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// `GET /api/health/status`: part by part; 503 if one of them does not work.
pub(crate) async fn status(State(app): State<App>) -> (StatusCode, Json<HealthStatus>) {
    let database = match health::database(&app).await {
        Ok(found) => {
            let findings = health::findings(&app.engine.catalog_figures(), &found.file);
            let word = health::word(&findings);
            let total = found.statistics.total;
            // First what explains the rest: writes that failed meanwhile are findings as well.
            match (app.engine.mended(), findings.first()) {
                (Some(mended), _) => mended_component(mended),
                (None, None) => {
                    let figures = [("executions", total as f64)];
                    component(word, "executions", figures, format!("{total} executions"))
                }
                (None, Some(worst)) => {
                    let figures = [("measured", worst.measured), ("threshold", worst.threshold)];
                    let detail = format!("{}: {}", worst.what, worst.detail);
                    component(word, &worst.what, figures, detail)
                }
            }
        }
        Err(error) => {
            component("unhealthy", "no-answer", [], format!("it does not answer: {error}"))
        }
    };
    let viewers = app.metrics.websockets.load(Relaxed);
    let components = Components {
        database,
        engine: engine(&app.engine.figures(), app.service.get(), turned_away_lately(&app)),
        storage: storage(&app),
        websocket: component(
            "ok",
            "clients",
            [("clients", viewers as f64)],
            format!("{viewers} clients"),
        ),
    };
    let words = [
        &components.database.status,
        &components.engine.status,
        &components.storage.status,
        &components.websocket.status,
    ];
    let worst = ["unhealthy", "degraded"].into_iter().find(|word| words.iter().any(|w| w == word));
    let status = HealthStatus {
        status: worst.unwrap_or("healthy").to_owned(),
        service: SERVICE.to_owned(),
        version: VERSION.to_owned(),
        timestamp: rfc3339(clock::wall_us()),
        uptime_seconds: app.started.elapsed().as_secs_f64(),
        components,
    };
    let code = match worst {
        Some("unhealthy") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (code, Json(status))
}

/// A catalog that was replaced since the start: nothing else tells that tokens are gone.
fn mended_component(mended: Mended) -> Component {
    let figures =
        [("executions", mended.executions as f64), ("lost", f64::from(mended.credentials_lost))];
    let was = match mended.fault {
        Fault::Damaged => "was damaged",
        Fault::Gone => "was gone",
    };
    let aside = mended.aside.map_or_else(String::new, |aside| {
        format!("; what stood there is `{}` now", aside.display())
    });
    let lost = if mended.credentials_lost { "; tokens must be made anew" } else { "" };
    match (mended.problem, mended.done) {
        (Some(problem), _) => {
            let detail = format!("the file {was} and cannot be replaced: {problem}");
            component("unhealthy", "catalog-broken", figures, detail)
        }
        (None, false) => {
            let detail = format!("the file {was} and is being rebuilt from the records{aside}");
            component("degraded", "catalog-rebuilding", figures, detail)
        }
        (None, true) => {
            let detail = format!("the file {was} and has been rebuilt{aside}{lost}");
            component("degraded", "catalog-rebuilt", figures, detail)
        }
    }
}

/// Whether connections could not be accepted in the last minute.
fn turned_away_lately(app: &App) -> bool {
    let failed = app.metrics.accept_failed_s.load(Relaxed);
    failed > 0 && app.started.elapsed().as_secs() < failed + TURNED_AWAY_S
}

fn engine(figures: &EngineFigures, service: Option<&Service>, turned_away: bool) -> Component {
    let fds = process::usage().open_fds as f64 / host::fd_limit().max(1) as f64;
    let running = format!(
        "{} of {} places taken, {} wait",
        figures.running, figures.running_max, figures.waiting
    );
    let failed = figures.recorders_failed;
    let (status, what, detail) = if figures.waiting as usize >= QUEUED_MAX {
        ("unhealthy", "queue-full", format!("{running}: further executions are refused"))
    } else if turned_away {
        let detail =
            "connections could not be accepted in the last minute: no file descriptors left";
        ("degraded", "turned-away", detail.to_owned())
    } else if fds > FDS_RATIO {
        ("degraded", "files", format!("{:.0} % of the file descriptors are used", fds * 1e2))
    } else if failed > 0 {
        let detail = format!("{failed} recorders could not be started; {running}");
        ("degraded", "recorders-failed", detail)
    } else {
        match service {
            Some(Service::Unit { name, stop: Stop::Kills }) => {
                let detail = format!("a stop of the unit kills executions: {name}");
                ("degraded", "ends-with-unit", detail)
            }
            // Nothing is wrong with it, and nobody can change it.
            Some(Service::Container) => (
                "ok",
                "ends-with-container",
                format!("{running}; executions end with the container"),
            ),
            _ => ("ok", "places", running),
        }
    };
    let said = [
        ("running", figures.running as f64),
        ("running_max", figures.running_max as f64),
        ("waiting", figures.waiting as f64),
        ("failed", failed as f64),
        ("ratio", fds),
    ];
    component(status, what, said, detail)
}

fn storage(app: &App) -> Component {
    match health::space(app.engine.storage().root()) {
        Err(error) => {
            let detail = format!("the storage directory cannot be read: {error}");
            component("unhealthy", "unreadable", [], detail)
        }
        Ok((free, all)) => {
            let ratio = free as f64 / all.max(1) as f64;
            let detail = format!("{} MiB free, {:.1} %", free >> 20, ratio * 1e2);
            let least = app.engine.disk_min_free(all);
            let figures =
                [("free_bytes", free as f64), ("ratio", ratio), ("min_free_bytes", least as f64)];
            if free < least {
                let detail =
                    format!("{detail}: below {} MiB new executions are refused", least >> 20);
                component("unhealthy", "space-refused", figures, detail)
            } else if free < SPACE_BYTES_LEAST {
                let detail = format!("{detail}: scripts are paused when it is full");
                component("unhealthy", "space-out", figures, detail)
            } else if free < SPACE_BYTES_LOW || ratio < SPACE_RATIO {
                component("degraded", "space-low", figures, detail)
            } else {
                component("ok", "space", figures, detail)
            }
        }
    }
}

/// `GET /api/health/metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Json<HealthMetrics>, Problem> {
    let database = health::database(&app).await?;
    Ok(Json(health::metrics(&app, &database)))
}

/// `GET /api/health/database`.
pub(crate) async fn database(State(app): State<App>) -> Result<Json<HealthDatabase>, Problem> {
    let found = health::database(&app).await?;
    let figures = app.engine.catalog_figures();
    let findings = health::findings(&figures, &found.file);
    Ok(Json(HealthDatabase {
        status: health::word(&findings).to_owned(),
        timestamp: rfc3339(clock::wall_us()),
        journal_mode: "wal".to_owned(), // A catalog in another mode is refused when it is opened.
        metrics: health::database_metrics(&figures, &found.file),
        findings,
    }))
}

/// `GET /api/health/history`.
pub(crate) async fn history(State(app): State<App>) -> Result<Json<HealthHistory>, Problem> {
    let database = health::database(&app).await?;
    Ok(Json(app.samples.history(&app, &database)))
}

/// `GET /api/health/bundle`: everything above in one file, for somebody who helps.
pub(crate) async fn bundle(State(app): State<App>) -> Result<Response, Problem> {
    let database = health::database(&app).await?;
    let (_, Json(status)) = self::status(State(app.clone())).await;
    let bundle = SupportBundle {
        version: VERSION.to_owned(),
        system: format!("{} {}", process::kernel(), std::env::consts::ARCH),
        processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        auth: app.auth == Auth::On,
        status,
        metrics: health::metrics(&app, &database),
        findings: health::findings(&app.engine.catalog_figures(), &database.file),
        history: app.samples.history(&app, &database),
    };
    let name = HeaderValue::from_static("attachment; filename=\"stepflow-support.json\"");
    Ok(([(header::CONTENT_DISPOSITION, name)], Json(bundle)).into_response())
}

/// `POST /api/health/optimize`: maintenance now, in slices; answered when it is done.
pub(crate) async fn optimize(State(app): State<App>) -> Result<Json<Optimized>, Problem> {
    Ok(Json(health::optimized(&app.engine.optimize().await?)))
}

/// `GET /metrics`.
pub(crate) async fn prometheus(State(app): State<App>) -> Response {
    // A catalog that does not answer is a figure too.
    let database = health::database(&app).await.ok();
    let mut text = Exposition::default();
    prometheus::write(&app, database.as_ref(), &mut text);
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], text.finish())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_takes_executions_with_it_is_told_unless_something_worse_is() {
        let told = |figures: &EngineFigures, service: Option<Service>| {
            let part = engine(figures, service.as_ref(), false);
            (part.status, part.what, part.detail)
        };
        let unit = |stop| Some(Service::Unit { name: "a.service".to_owned(), stop });
        let figures = EngineFigures::default();
        let (status, what, detail) = told(&figures, unit(Stop::Kills));
        assert_eq!((status.as_str(), what.as_str()), ("degraded", "ends-with-unit"));
        assert!(detail.ends_with(": a.service"), "{detail}");
        for fine in [None, Some(Service::None), unit(Stop::Spares), unit(Stop::Unknown)] {
            assert_eq!(told(&figures, fine).1, "places");
        }
        let (status, what, _) = told(&figures, Some(Service::Container));
        assert_eq!((status.as_str(), what.as_str()), ("ok", "ends-with-container"));
        let failed = EngineFigures { recorders_failed: 1, ..figures };
        assert_eq!(told(&failed, unit(Stop::Kills)).1, "recorders-failed");
    }
}
