use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use stepflow_api::{Health, rfc3339};
use stepflow_sys::clock;
use tokio::time::timeout;

use crate::{VERSION, app::App};

/// A catalog that answers later than this is no healthy one.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// `GET /api/health`: open, and therefore silent about everything else.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let answered = timeout(ANSWER_WITHIN, app.engine.statistics()).await;
    let healthy = matches!(answered, Ok(Ok(_)));
    let health = Health {
        status: if healthy { "healthy" } else { "unhealthy" }.to_owned(),
        service: "StepFlow Monitor".to_owned(),
        timestamp: rfc3339(clock::wall_us()),
        version: VERSION.to_owned(),
    };
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}
