//! What is kept, and for how long.

use std::time::Duration;

use axum::{Json, extract::State};
use stepflow_api::{Retention, RetentionRule, RetentionSweepRequest, RetentionSwept, rfc3339};
use stepflow_engine::{Policy, Rule, Swept};

use crate::{app::App, extract, problem::Problem};

/// A sweep that somebody waits for is cut off after this: clients do not wait for ever, and whoever
/// wants more asks again.
const SWEEP_WITHIN: Duration = Duration::from_secs(4);

/// `GET /api/retention`.
pub(crate) async fn retention(State(app): State<App>) -> Json<Retention> {
    let (policy, last) = app.engine.retention();
    let rules = policy.rules().iter().map(shown).collect();
    Json(Retention { rules, last: last.map(swept) })
}

/// `POST /api/retention/sweep`.
pub(crate) async fn sweep(
    State(app): State<App>,
    extract::JsonOrNone(request): extract::JsonOrNone<RetentionSweepRequest>,
) -> Result<Json<RetentionSwept>, Problem> {
    let policy = match request.rules {
        None => app.engine.retention().0,
        Some(rules) => Policy::new(rules.into_iter().map(taken).collect())
            .map_err(|error| Problem::bad_request(error.to_string()))?,
    };
    Ok(Json(swept(app.engine.sweep(policy, request.dry_run, SWEEP_WITHIN).await?)))
}

fn shown(rule: &Rule) -> RetentionRule {
    let Rule { tag, name, max_age, max_count, max_bytes } = rule.clone();
    let max_age_seconds = max_age.map(|age| age.as_secs());
    RetentionRule { tag, name, max_age_seconds, max_count, max_bytes }
}

fn taken(rule: RetentionRule) -> Rule {
    let RetentionRule { tag, name, max_age_seconds, max_count, max_bytes } = rule;
    Rule { tag, name, max_age: max_age_seconds.map(Duration::from_secs), max_count, max_bytes }
}

fn swept(swept: Swept) -> RetentionSwept {
    RetentionSwept {
        dry_run: swept.dry_run,
        at: rfc3339(swept.at_us),
        looked_at: swept.looked_at,
        deleted: swept.deleted,
        bytes_freed: swept.bytes_freed,
        busy: swept.busy,
        unreadable: swept.unreadable,
        seconds: swept.took.as_secs_f64(),
        stopped: swept.stopped,
    }
}
