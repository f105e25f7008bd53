//! Search over a whole log: one answer searches for a moment and says where to go on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{LogSearch, SearchHit, StepHits};
use stepflow_engine::Handle;
use stepflow_view::{Bounds, Cursor, Hit, Pattern, PatternError, Syntax};

use crate::{
    app::App,
    extract::{Flag, Id, Params},
    problem::Problem,
};

/// One answer searches no longer than this.
const SEARCH_WITHIN: Duration = Duration::from_millis(250);
/// Hits of an answer unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 200;
const LIMIT_MAX: usize = 2_000;
const BUCKETS_MAX: usize = 4_096;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SearchParams {
    /// What is searched for. Required.
    q: String,
    /// It is a regular expression, not text.
    #[serde(default)]
    regex: Flag,
    /// `A` is not `a`.
    #[serde(default)]
    case: Flag,
    /// Only in what this step owns.
    step: Option<u32>,
    /// From this line on.
    from: Option<u64>,
    /// Where an earlier answer says to go on.
    cursor: Option<String>,
    /// Backwards from the line before this one.
    before: Option<u64>,
    /// At most so many hits are listed, 200 unless asked otherwise, never over 2,000.
    limit: Option<usize>,
    /// Counts hits in so many parts of the log, at most 4,096.
    density: Option<usize>,
}

/// `GET /api/executions/{id}/log/search`.
pub(crate) async fn search(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<SearchParams>,
) -> Result<Json<LogSearch>, Problem> {
    let starts = [params.from.is_some(), params.cursor.is_some(), params.before.is_some()];
    if starts.iter().filter(|given| **given).count() > 1 {
        return Err(Problem::bad_request("one of `from`, `cursor` and `before`"));
    }
    if params.density.is_some_and(|buckets| buckets > BUCKETS_MAX) {
        return Err(Problem::bad_request(format!("`density` is at most {BUCKETS_MAX}")));
    }
    let syntax = Syntax { regex: params.regex.0, case: params.case.0 };
    let pattern = Pattern::new(&params.q, syntax).map_err(explain)?;
    let handle = app.engine.execution(id).await?;
    let search = tokio::task::spawn_blocking(move || run(&handle, &params, &pattern));
    search.await.unwrap_or_else(|_| Err(Problem::closing())).map(Json)
}

pub(super) fn explain(error: PatternError) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "pattern-invalid", error.to_string());
    match error {
        PatternError::Syntax { at, .. } => {
            problem.hint(format!("at character {}; or search for text", at.0 + 1))
        }
        _ => problem,
    }
}

/// What one answer counts.
struct Counting<'a> {
    owners: &'a [(u64, Option<u32>)],
    step: Option<u32>,
    total_lines: u64,
    limit: usize,
    hits: Vec<Hit>,
    lines: u64,
    matches: u64,
    steps: BTreeMap<Option<u32>, u64>,
    density: Vec<u32>,
}

impl Counting<'_> {
    fn owner(&self, offset: u64) -> Option<u32> {
        let after = self.owners.partition_point(|owner| owner.0 <= offset);
        after.checked_sub(1).and_then(|at| self.owners[at].1)
    }

    fn take(&mut self, hit: Hit) {
        let owner = self.owner(hit.offset);
        if self.step.is_some() && self.step != owner {
            return;
        }
        self.lines += 1;
        self.matches += hit.matches;
        *self.steps.entry(owner).or_default() += 1;
        let buckets = self.density.len() as u64;
        let bucket = (hit.line - 1) * buckets / self.total_lines.max(1);
        if let Some(count) = self.density.get_mut(bucket.min(buckets.saturating_sub(1)) as usize) {
            *count += 1;
        }
        if self.hits.len() < self.limit {
            self.hits.push(hit);
        }
    }
}

fn run(handle: &Handle, params: &SearchParams, pattern: &Pattern) -> Result<LogSearch, Problem> {
    let (ended, owners) = handle.read(|state| {
        let owners: Vec<_> =
            state.owners.iter().map(|(offset, _, step)| (*offset, *step)).collect();
        (state.summary.status.is_end(), owners)
    });
    let mut answer = LogSearch {
        hits: Vec::new(),
        lines: 0,
        matches: 0,
        steps: Vec::new(),
        density: vec![0; params.density.unwrap_or(0)],
        from_line: 1,
        next_line: 1,
        total_lines: 0,
        cursor: "0.1".to_owned(),
        complete: true,
        ended,
    };
    let Some(log) = handle.log()? else { return Ok(answer) };
    let (bytes, lines) = log.position()?;
    let half = u64::from(ended && bytes > log.line_start(lines + 1)?);
    let mut counting = Counting {
        owners: &owners,
        step: params.step,
        total_lines: lines + half,
        limit: params.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
        hits: Vec::new(),
        lines: 0,
        matches: 0,
        steps: BTreeMap::new(),
        density: std::mem::take(&mut answer.density),
    };
    let until = Instant::now() + SEARCH_WITHIN;
    let mut go_on = || Instant::now() < until;
    if let Some(before) = params.before {
        let before = before.min(lines + 1 + half);
        answer.from_line = before;
        answer.next_line = before;
        // A step may own few of the hits: backwards until there are some of its own.
        while counting.hits.is_empty() && answer.next_line > 1 && go_on() {
            let (hits, next) = stepflow_view::search_back(
                &log,
                pattern,
                answer.next_line,
                counting.limit.max(1),
                &mut go_on,
            )?;
            for hit in hits {
                counting.take(hit);
            }
            answer.next_line = next;
        }
        answer.complete = answer.next_line <= 1;
        answer.cursor = format!("0.{}", answer.next_line);
    } else {
        let from = start(params, &log, lines)?;
        let bounds = Bounds { until: u64::MAX, half: ended };
        let (next, complete) =
            stepflow_view::search(&log, pattern, from, bounds, &mut go_on, &mut |hit| {
                counting.take(hit);
            })?;
        answer.from_line = from.line;
        answer.next_line = next.line;
        answer.cursor = format!("{}.{}", next.offset, next.line);
        answer.complete = complete;
    }
    let found = std::mem::take(&mut counting.hits);
    for hit in found {
        answer.hits.push(SearchHit {
            line: hit.line,
            step: counting.owner(hit.offset),
            matches: hit.matches,
            spans: stepflow_view::spans(&log, pattern, hit)?,
        });
    }
    answer.lines = counting.lines;
    answer.matches = counting.matches;
    answer.steps =
        counting.steps.into_iter().map(|(step, lines)| StepHits { step, lines }).collect();
    answer.density = counting.density;
    answer.total_lines = counting.total_lines;
    Ok(answer)
}

/// Where a search forwards begins.
fn start(
    params: &SearchParams,
    log: &stepflow_record::LogReader,
    lines: u64,
) -> Result<Cursor, Problem> {
    let wrong = || Problem::bad_request("`cursor` must be one of an earlier answer");
    if let Some(text) = params.cursor.as_deref().filter(|text| !text.is_empty()) {
        let (offset, line) = text.split_once('.').ok_or_else(wrong)?;
        let cursor = Cursor {
            offset: offset.parse().map_err(|_| wrong())?,
            line: line.parse().map_err(|_| wrong())?,
        };
        // A cursor that was made up would give lines wrong numbers.
        let known =
            (1..=lines + 1).contains(&cursor.line) && log.line_start(cursor.line)? == cursor.offset;
        return if known { Ok(cursor) } else { Err(wrong()) };
    }
    let line = params.from.unwrap_or(1).clamp(1, lines + 1);
    Ok(Cursor { offset: log.line_start(line)?, line })
}
