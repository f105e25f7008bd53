//! A time range in figures.

use std::collections::{BTreeMap, HashMap};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{
    RangeStatistics, StatisticsPart, StepStatistics, WeekHour, Zone, parse_time, rfc3339,
};
use stepflow_catalog::{CatalogError, Reader};
use stepflow_model::{Status, StepStatus};
use stepflow_sys::clock;

use crate::{app::App, extract::Params, problem::Problem};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// A range of this length or shorter is told by the hour.
const HOURLY_US: i64 = 3 * DAY_US;
const RANGE_MAX_US: i64 = 400 * DAY_US;
/// Steps are looked at in so many executions, and so many of them at most.
const STEP_EXECUTIONS: u32 = 5_000;
const STEPS: u32 = 200_000;
const NAMES: usize = 20_000;
const SHOWN: usize = 20;
/// Fewer passes say nothing of a median or a rate.
const LEAST: usize = 3;

/// The query of statistics.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct StatisticsParams {
    /// Where the range begins, RFC 3339; a week ago unless asked otherwise.
    since: Option<String>,
    /// Where it ends, RFC 3339; now unless asked otherwise. At most 400 days behind `since`.
    until: Option<String>,
    /// The reader's time zone, minutes east of UTC: days, weekdays and hours are told in it.
    #[schemars(range(min = -1_080, max = 1_080))]
    utc_offset_min: Option<i64>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    runs: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    bytes: u64,
    durations: Vec<u64>,
    queued: Vec<u64>,
}

impl Tally {
    fn part(&mut self, since_us: i64) -> StatisticsPart {
        StatisticsPart {
            since: rfc3339(since_us),
            runs: self.runs,
            completed: self.completed,
            failed: self.failed,
            cancelled: self.cancelled,
            median_seconds: quantile(&mut self.durations, 0.5),
            p95_seconds: quantile(&mut self.durations, 0.95),
            queue_seconds: quantile(&mut self.queued, 0.5),
            bytes: self.bytes,
        }
    }

    fn add(&mut self, part: &Tally) {
        self.runs += part.runs;
        self.completed += part.completed;
        self.failed += part.failed;
        self.cancelled += part.cancelled;
        self.bytes += part.bytes;
        self.durations.extend_from_slice(&part.durations);
        self.queued.extend_from_slice(&part.queued);
    }
}

/// The least value, in seconds, that the share `share` of them does not exceed.
fn quantile(values: &mut [u64], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, last + 1) - 1;
    let (_, found, _) = values.select_nth_unstable(at);
    Some(*found as f64 / 1e6)
}

#[derive(Debug, Default)]
struct Steps {
    passed: Vec<u64>,
    failed: u64,
}

/// Microseconds, all of them.
struct Range {
    since: i64,
    until: i64,
    /// The reader's zone, east of UTC.
    offset: i64,
    part: i64,
}

/// `GET /api/statistics`.
pub(crate) async fn statistics(
    State(app): State<App>,
    Params(params): Params<StatisticsParams>,
) -> Result<Json<RangeStatistics>, Problem> {
    let now_us = clock::wall_us();
    let time = |name: &str, text: Option<String>, otherwise: i64| match text {
        Some(text) if !text.is_empty() => parse_time(&text, now_us, Zone::Utc)
            .map_err(|error| Problem::bad_request(format!("`{name}`: {error}"))),
        _ => Ok(otherwise),
    };
    let until_us = time("until", params.until, now_us + 1)?;
    let since_us = time("since", params.since, until_us.saturating_sub(7 * DAY_US))?;
    let length = until_us.saturating_sub(since_us);
    if length <= 0 || length > RANGE_MAX_US {
        return Err(Problem::bad_request("`until` must be behind `since`, by at most 400 days"));
    }
    let offset = params.utc_offset_min.unwrap_or(0);
    if !(-1_080..=1_080).contains(&offset) {
        return Err(Problem::bad_request("`utc_offset_min` must be from -1080 to 1080"));
    }
    let range = Range {
        since: since_us,
        until: until_us,
        offset: offset * 60_000_000,
        part: if length <= HOURLY_US { HOUR_US } else { DAY_US },
    };
    Ok(Json(app.engine.query(move |reader| count(reader, &range)).await?))
}

fn count(reader: &Reader, range: &Range) -> Result<RangeStatistics, CatalogError> {
    let Range { since: since_us, until: until_us, offset: offset_us, part: part_us } = *range;
    // Parts begin at full hours or days of the reader's zone.
    let first = (since_us + offset_us).div_euclid(part_us);
    let last = (until_us - 1 + offset_us).div_euclid(part_us);
    let mut tallies = vec![Tally::default(); (last - first + 1) as usize];
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let mut week = vec![vec![WeekHour::default(); 24]; 7];
    reader.times(since_us..until_us, |row| {
        let local = row.created_us + offset_us;
        let Some(part) = tallies.get_mut((local.div_euclid(part_us) - first) as usize) else {
            return;
        };
        part.runs += 1;
        part.bytes += row.bytes;
        if let Some(started) = row.started_us {
            part.queued.push(started.saturating_sub(row.created_us).max(0) as u64);
        }
        // The first of January 1970 was a Thursday.
        let day = (local.div_euclid(DAY_US) + 3).rem_euclid(7) as usize;
        let hour = local.rem_euclid(DAY_US) / HOUR_US;
        let cell = &mut week[day][hour as usize];
        cell.runs += 1;
        match row.status {
            Status::Completed => {
                part.completed += 1;
                part.durations.extend(row.duration_us);
            }
            Status::Failed => {
                part.failed += 1;
                cell.failed += 1;
            }
            Status::Cancelled => part.cancelled += 1,
            Status::Pending | Status::Running => {}
        }
        if row.status != Status::Completed
            && let Some(reason) = row.reason
        {
            match reasons.get_mut(reason) {
                Some(count) => *count += 1,
                None => _ = reasons.insert(reason.to_owned(), 1),
            }
        }
    })?;
    let mut whole = Tally::default();
    for part in &tallies {
        whole.add(part);
    }
    let (slowest_steps, flakiest_steps) = steps(reader, since_us..until_us)?;
    let parts = (first..).zip(&mut tallies);
    Ok(RangeStatistics {
        since: rfc3339(since_us),
        until: rfc3339(until_us),
        part_seconds: (part_us / 1_000_000) as u64,
        parts: parts.map(|(at, part)| part.part(at * part_us - offset_us)).collect(),
        step_executions: whole.runs.min(u64::from(STEP_EXECUTIONS)),
        whole: whole.part(since_us),
        reasons,
        week,
        slowest_steps,
        flakiest_steps,
    })
}

/// The slowest and the flakiest steps.
fn steps(
    reader: &Reader,
    times: std::ops::Range<i64>,
) -> Result<(Vec<StepStatistics>, Vec<StepStatistics>), CatalogError> {
    let mut named: HashMap<String, HashMap<String, Steps>> = HashMap::new();
    let mut names = 0;
    reader.step_times(times, STEP_EXECUTIONS, STEPS, |row| {
        let of_execution = match named.get_mut(row.execution) {
            Some(found) => found,
            None => named.entry(row.execution.to_owned()).or_default(),
        };
        let steps = match of_execution.get_mut(row.name) {
            Some(found) => found,
            // Names that are never the same twice would fill the memory, and say nothing.
            None if names >= NAMES => return,
            None => {
                names += 1;
                of_execution.entry(row.name.to_owned()).or_default()
            }
        };
        match row.status {
            StepStatus::Completed => steps.passed.extend(row.duration_us),
            StepStatus::Failed => steps.failed += 1,
            _ => {}
        }
    })?;
    let mut all: Vec<StepStatistics> = Vec::new();
    for (execution, steps) in named {
        for (step, mut counted) in steps {
            if counted.passed.len() + (counted.failed as usize) < LEAST {
                continue;
            }
            all.push(StepStatistics {
                execution: execution.clone(),
                step,
                passed: counted.passed.len() as u64,
                failed: counted.failed,
                median_seconds: quantile(&mut counted.passed, 0.5),
            });
        }
    }
    let key = |one: &StepStatistics| (one.execution.clone(), one.step.clone());
    let rate = |one: &StepStatistics| one.failed as f64 / (one.failed + one.passed) as f64;
    let mut flaky: Vec<StepStatistics> =
        all.iter().filter(|one| one.passed > 0 && one.failed > 0).cloned().collect();
    flaky.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then_with(|| key(a).cmp(&key(b))));
    flaky.truncate(SHOWN);
    let seconds = |one: &StepStatistics| one.median_seconds.unwrap_or(0.0);
    all.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)).then_with(|| key(a).cmp(&key(b))));
    all.retain(|one| one.passed > 0);
    all.truncate(SHOWN);
    Ok((all, flaky))
}
