//! What the dashboard asks for: the headline of a time range, and how names went lately.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{Overview, OverviewPart, Strip, StripEntry, StripList, rfc3339};
use stepflow_catalog::{CatalogError, Reader};
use stepflow_model::{ExecutionId, Status};
use stepflow_sys::clock;

use crate::{app::App, extract::Params, problem::Problem, usual};

/// Executions that one question about strips may name.
const STRIP_IDS_MAX: usize = 100;
/// Executions of a strip.
const STRIP_LENGTH: u32 = 20;
const HOUR_US: i64 = 3_600_000_000;

/// The query of an overview.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct OverviewParams {
    /// How far it goes back; `7d` unless asked otherwise.
    #[schemars(extend("enum" = ["", "24h", "7d", "30d"], "default" = "7d"))]
    range: Option<String>,
}

/// What is counted of a range, or of a part of it.
#[derive(Debug, Clone, Default)]
struct Tally {
    runs: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    bytes: u64,
    /// Of those that completed, in microseconds: eight bytes for each.
    durations: Vec<u64>,
}

impl Tally {
    fn success_ratio(&self) -> Option<f64> {
        let judged = self.completed + self.failed;
        (judged > 0).then(|| self.completed as f64 / judged as f64)
    }

    /// The least duration, in seconds, that the share `share` of them does not exceed.
    fn quantile(&mut self, share: f64) -> Option<f64> {
        let last = self.durations.len().checked_sub(1)?;
        let at = ((self.durations.len() as f64 * share).ceil() as usize).clamp(1, last + 1) - 1;
        let (_, found, _) = self.durations.select_nth_unstable(at);
        Some(*found as f64 / 1e6)
    }

    fn add(&mut self, part: &Tally) {
        self.runs += part.runs;
        self.completed += part.completed;
        self.failed += part.failed;
        self.cancelled += part.cancelled;
        self.bytes += part.bytes;
        self.durations.extend_from_slice(&part.durations);
    }
}

/// What was created from `since_us` on, in `count` parts of `length_us`.
fn tally(
    reader: &Reader,
    since_us: i64,
    length_us: i64,
    count: usize,
) -> Result<Vec<Tally>, CatalogError> {
    let mut parts = vec![Tally::default(); count];
    let end = since_us + length_us * count as i64;
    reader.overview(since_us..end, |row| {
        // The range is whole parts long, so that there is always one.
        let at = ((row.created_us - since_us) / length_us) as usize;
        let Some(part) = parts.get_mut(at) else { return };
        part.runs += 1;
        part.bytes += row.bytes;
        match row.status {
            Status::Completed => {
                part.completed += 1;
                part.durations.extend(row.duration_us);
            }
            Status::Failed => part.failed += 1,
            Status::Cancelled => part.cancelled += 1,
            Status::Pending | Status::Running => {}
        }
    })?;
    Ok(parts)
}

/// `GET /api/executions/overview`.
pub(crate) async fn overview(
    State(app): State<App>,
    Params(params): Params<OverviewParams>,
) -> Result<Json<Overview>, Problem> {
    let range = params.range.filter(|range| !range.is_empty()).unwrap_or_else(|| "7d".to_owned());
    let (hours, count) = match range.as_str() {
        "24h" => (1, 24),
        "7d" => (6, 28),
        "30d" => (24, 30),
        _ => return Err(Problem::bad_request("`range` must be 24h, 7d or 30d")),
    };
    let length_us = hours * HOUR_US;
    // Up to and including this very microsecond.
    let since_us = clock::wall_us() + 1 - length_us * count;
    let (mut whole, parts) = app
        .engine
        .query(move |reader| {
            let mut parts = tally(reader, since_us, length_us, count as usize)?;
            let mut whole = Tally::default();
            for part in &parts {
                whole.add(part);
            }
            let parts: Vec<OverviewPart> = (0..)
                .zip(&mut parts)
                .map(|(at, part)| OverviewPart {
                    since: rfc3339(since_us + at * length_us),
                    runs: part.runs,
                    success_ratio: part.success_ratio(),
                    median_seconds: part.quantile(0.5),
                    p95_seconds: part.quantile(0.95),
                    bytes: part.bytes,
                })
                .collect();
            Ok((whole, parts))
        })
        .await?;
    let active = app.engine.active();
    let running = active.iter().filter(|one| one.status == Status::Running).count() as u64;
    Ok(Json(Overview {
        since: rfc3339(since_us),
        range,
        runs: whole.runs,
        completed: whole.completed,
        failed: whole.failed,
        cancelled: whole.cancelled,
        success_ratio: whole.success_ratio(),
        median_seconds: whole.quantile(0.5),
        p95_seconds: whole.quantile(0.95),
        bytes: whole.bytes,
        running,
        queued: active.len() as u64 - running,
        parts,
    }))
}

/// The query of strips.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct StripParams {
    /// Ids of executions, with commas between them; at most 100. Unknown ones are passed over.
    ids: String,
}

/// `GET /api/executions/strips`.
pub(crate) async fn strips(
    State(app): State<App>,
    Params(params): Params<StripParams>,
) -> Result<Json<StripList>, Problem> {
    let ids: Vec<ExecutionId> = params
        .ids
        .split(',')
        .filter(|id| !id.is_empty())
        .take(STRIP_IDS_MAX + 1)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| Problem::bad_request("`ids` must be ids of executions, with commas"))?;
    if ids.len() > STRIP_IDS_MAX {
        let message = format!("`ids` names more than {STRIP_IDS_MAX} executions");
        return Err(Problem::bad_request(message));
    }
    let strips = app
        .engine
        .query(move |reader| {
            let mut named: Vec<(String, Vec<ExecutionId>)> = Vec::new();
            for id in ids {
                let Some(summary) = reader.execution(id)? else { continue };
                match named.iter_mut().find(|(name, _)| *name == summary.name) {
                    Some((_, ids)) => ids.push(id),
                    None => named.push((summary.name, vec![id])),
                }
            }
            named.into_iter().map(|(name, ids)| strip(reader, &name, ids)).collect()
        })
        .await?;
    Ok(Json(StripList { strips }))
}

fn strip(reader: &Reader, name: &str, ids: Vec<ExecutionId>) -> Result<Strip, CatalogError> {
    let mut passes = reader.pass_durations(name, usual::PASSES)?;
    let last = reader.strip(name, STRIP_LENGTH)?;
    Ok(Strip {
        ids,
        passes: passes.len() as u32,
        usual_seconds: usual::median(&mut passes),
        last: last
            .into_iter()
            .map(|one| StripEntry {
                id: one.id,
                status: one.status.to_string(),
                duration_seconds: one.duration_us.map(|us| us as f64 / 1e6),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_duration_that_was_measured() {
        let mut tally =
            Tally { durations: (1..=100).map(|s| s * 1_000_000).collect(), ..Tally::default() };
        assert_eq!((tally.quantile(0.5), tally.quantile(0.95)), (Some(50.0), Some(95.0)));
        tally.durations = vec![7_000_000];
        assert_eq!((tally.quantile(0.5), tally.quantile(0.95)), (Some(7.0), Some(7.0)));
        tally.durations.clear();
        assert_eq!((tally.quantile(0.5), tally.success_ratio()), (None, None));
    }
}
