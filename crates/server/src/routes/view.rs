//! What a log viewer asks for beside lines: how many, how grave, how high, how long.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_api::{
    ErrorLine, LevelCounts, LevelSource, LogDensity, LogError, LogErrors, LogGap, LogLevel,
    LogMeta, LogRows, StepLines, StepRange, Usual,
};
use stepflow_model::{ExecutionState, Reason};
use stepflow_view::{Counts, Filter, Finder, Level, PAGE_LINES, Tally};

use crate::{
    app::App,
    extract::{Id, Params},
    lines,
    problem::Problem,
    selection, usual as medians, views,
};

/// Most columns of a page, and most parts of a ruler.
const COLUMNS_MAX: u32 = 16_384;
const BUCKETS_MAX: usize = 4_096;
/// Errors of an answer unless asked otherwise, and at most.
const ERRORS_DEFAULT: usize = 200;
const ERRORS_MAX: usize = 1_000;
/// Characters of an error's text.
const ERROR_CHARS: usize = 300;

/// What is asked of the execution's state, before its log: what had ended then is whole now.
struct Steps {
    ended: bool,
    /// Bytes that a power cut cannot take, if that is known, once all are synced.
    safe: Option<u64>,
    gaps: Vec<LogGap>,
    /// The first line of each owner, and the owner; ascending.
    owners: Vec<(u64, Option<u32>)>,
}

impl Steps {
    fn of(state: &ExecutionState) -> Self {
        let owners = selection::owners(state);
        let lost = matches!(
            state.summary.reason,
            Some(Reason::RecorderLost | Reason::HostRestarted | Reason::NotStarted)
        );
        let ended = state.summary.status.is_end();
        let gap = |annotation: &stepflow_model::Annotation| LogGap {
            line: annotation.line,
            bytes: None,
            reason: annotation.code.clone(),
            message: annotation.message.clone(),
        };
        let dropped = state.dropped.map(|gone| LogGap {
            line: gone.lines_to + 1,
            bytes: Some(gone.bytes()),
            reason: "log_max_bytes".to_owned(),
            message: gone.to_string(),
        });
        let recovered = state.annotations.iter().filter(|a| a.code == "recovered").map(gap);
        let missing = state.losses.iter().map(|loss| LogGap {
            line: loss.line,
            bytes: Some(loss.bytes),
            reason: "output_lost".to_owned(),
            message: loss.message.clone(),
        });
        let mut gaps: Vec<LogGap> = recovered.chain(dropped).chain(missing).collect();
        gaps.sort_by_key(|gap| gap.line);
        let safe = (ended && !lost).then(|| state.safe_bytes(u64::MAX));
        Self { ended, safe, gaps, owners }
    }

    fn ranges(&self) -> Vec<StepRange> {
        let next = self.owners.iter().skip(1).map(|next| Some(next.0 - 1)).chain([None]);
        self.owners
            .iter()
            .zip(next)
            .map(|((first_line, step), last_line)| StepRange {
                step: *step,
                first_line: *first_line,
                last_line,
            })
            .collect()
    }
}

/// `GET /api/executions/{id}/log/meta`.
pub(crate) async fn meta(State(app): State<App>, Id(id): Id) -> Result<Json<LogMeta>, Problem> {
    let handle = app.engine.execution(id).await?;
    let mut steps = handle.read(Steps::of);
    if !steps.ended {
        // Nothing, until its recorder has said something.
        steps.safe = Some(handle.safe_bytes()).filter(|safe| *safe > 0);
    }
    let utc_offset_min = utc_offset_min(handle.read(|state| state.summary.created_us));
    let of_log = std::sync::Arc::clone(&handle);
    let meta = views::ask(&app, &handle, move |view, complete| {
        let (stored_bytes, compressed) = of_log.stored_log();
        let mut meta = LogMeta {
            lines: 0,
            bytes: 0,
            stored_bytes,
            compressed,
            scanned_lines: 0,
            complete,
            counts: LevelCounts::default(),
            stderr_lines: 0,
            first_error: None,
            steps: Vec::new(),
            ranges: steps.ranges(),
            gaps: steps.gaps,
            safe_bytes: None,
            ended: steps.ended,
            utc_offset_min,
        };
        let Some(view) = view else { return Ok(meta) };
        let (bytes, lines) = view.log().position()?;
        let totals = view.totals();
        let starts: Vec<u64> = steps.owners.iter().map(|owner| owner.0).collect();
        let mut by_step: Vec<(Option<u32>, Tally)> = Vec::new();
        for (tally, (_, step)) in view.tally(&starts)?.into_iter().zip(&steps.owners) {
            match by_step.iter_mut().find(|known| known.0 == *step) {
                Some(known) => merge(&mut known.1, tally),
                None => by_step.push((*step, tally)),
            }
        }
        by_step.sort_unstable_by_key(|known| known.0);
        meta.lines = if complete { totals.lines.max(lines) } else { lines };
        meta.bytes = bytes;
        meta.scanned_lines = totals.lines;
        meta.counts = counts(totals.counts);
        meta.stderr_lines = totals.stderr;
        meta.first_error = error(totals);
        meta.safe_bytes = steps.safe.map(|safe| safe.min(bytes));
        let of = |(step, tally): (Option<u32>, Tally)| StepLines {
            step,
            lines: tally.lines,
            counts: counts(tally.counts),
            first_error: error(tally),
        };
        meta.steps = by_step.into_iter().filter(|known| known.1.lines > 0).map(of).collect();
        Ok(meta)
    });
    meta.await.map(Json)
}

/// The server's time zone at `us`, in minutes east of UTC.
fn utc_offset_min(us: i64) -> i32 {
    let at = jiff::Timestamp::from_microsecond(us).unwrap_or_default();
    jiff::tz::TimeZone::system().to_offset(at).seconds() / 60
}

fn merge(sum: &mut Tally, more: Tally) {
    sum.lines += more.lines;
    sum.stderr += more.stderr;
    for (sum, more) in sum.counts.iter_mut().zip(more.counts) {
        *sum += more;
    }
    sum.first_error = sum.first_error.or(more.first_error);
}

fn error(tally: Tally) -> Option<ErrorLine> {
    tally.first_error.map(|(line, finder)| ErrorLine { line, source: source(finder) })
}

fn counts(counts: Counts) -> LevelCounts {
    let of = |level: Level| counts[level.index()];
    LevelCounts {
        error: of(Level::Error),
        warning: of(Level::Warning),
        notice: of(Level::Notice),
        debug: of(Level::Debug),
        other: of(Level::Other),
    }
}

/// The wire's word for a level.
pub(crate) fn level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warning => LogLevel::Warning,
        Level::Notice => LogLevel::Notice,
        Level::Debug => LogLevel::Debug,
        Level::Other => LogLevel::Other,
    }
}

/// The wire's word for who found it.
pub(crate) fn source(finder: Finder) -> LevelSource {
    match finder {
        Finder::Marker => LevelSource::Marker,
        Finder::Detected => LevelSource::Detected,
    }
}

/// `error,warning`: which levels.
pub(crate) fn levels(text: &str) -> Result<[bool; 5], Problem> {
    let mut levels = [false; 5];
    for word in text.split(',').map(str::trim) {
        let level = Level::ALL.iter().find(|level| level.as_str() == word).ok_or_else(|| {
            Problem::bad_request(format!(
                "`level` is a list of error, warning, notice, debug, other; not `{word}`"
            ))
        })?;
        levels[level.index()] = true;
    }
    Ok(levels)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct RowsParams {
    /// Columns of the page, from 1 to 16,384. Required.
    columns: u32,
    /// The first page that is wanted, from 0.
    from_page: Option<u64>,
}

/// `GET /api/executions/{id}/log/rows`.
pub(crate) async fn rows(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<RowsParams>,
) -> Result<Json<LogRows>, Problem> {
    let columns = params.columns;
    if columns == 0 || columns > COLUMNS_MAX {
        return Err(Problem::bad_request(format!("`columns` is from 1 to {COLUMNS_MAX}")));
    }
    let handle = app.engine.execution(id).await?;
    let ended = handle.read(|state| state.summary.status.is_end());
    let from_page = params.from_page.unwrap_or(0);
    let rows = views::ask(&app, &handle, move |view, complete| {
        let (mut rows, scanned_lines) = match view {
            Some(view) => (view.rows(columns)?, view.lines()),
            None => (stepflow_view::Rows::default(), 0),
        };
        rows.pages.drain(..(from_page.min(rows.pages.len() as u64)) as usize);
        Ok(LogRows {
            columns,
            page_lines: PAGE_LINES as u32,
            from_page,
            pages: rows.pages,
            total_rows: rows.total,
            scanned_lines,
            complete,
            ended,
        })
    });
    rows.await.map(Json)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DensityParams {
    /// Parts, from 1 to 4,096. Required.
    buckets: usize,
}

/// `GET /api/executions/{id}/log/density`.
pub(crate) async fn density(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<DensityParams>,
) -> Result<Json<LogDensity>, Problem> {
    let buckets = params.buckets;
    if buckets == 0 || buckets > BUCKETS_MAX {
        return Err(Problem::bad_request(format!("`buckets` is from 1 to {BUCKETS_MAX}")));
    }
    let handle = app.engine.execution(id).await?;
    let ended = handle.read(|state| state.summary.status.is_end());
    let density = views::ask(&app, &handle, move |view, complete| {
        let (density, scanned_lines) = match view {
            Some(view) => (view.density(buckets)?, view.lines()),
            None => (vec![Counts::default(); buckets], 0),
        };
        let buckets = density.into_iter().map(counts).collect();
        Ok(LogDensity { buckets, scanned_lines, complete, ended })
    });
    density.await.map(Json)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ErrorsParams {
    /// Levels, separated by commas: `error`, `warning`, `notice`, `debug`, `other`.
    level: Option<String>,
    /// The first line that is wanted.
    from: Option<u64>,
    /// Backwards from the line before this one: the last ones, the last one first.
    before: Option<u64>,
    /// At most so many, 200 unless asked otherwise, never over 1,000.
    limit: Option<usize>,
}

/// `GET /api/executions/{id}/log/errors`.
pub(crate) async fn errors(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<ErrorsParams>,
) -> Result<Json<LogErrors>, Problem> {
    let levels = levels(params.level.as_deref().unwrap_or("error"))?;
    let from = params.from.unwrap_or(1);
    let limit = params.limit.unwrap_or(ERRORS_DEFAULT).min(ERRORS_MAX);
    let handle = app.engine.execution(id).await?;
    let ended = handle.read(|state| state.summary.status.is_end());
    let owner = std::sync::Arc::clone(&handle);
    if params.before.is_some() && params.from.is_some() {
        return Err(Problem::bad_request("either `from` or `before`, not both"));
    }
    let errors = views::ask(&app, &handle, move |view, complete| {
        let mut answer = LogErrors { errors: Vec::new(), total: 0, next: None, complete, ended };
        let Some(view) = view else { return Ok(answer) };
        let filter = Filter { levels, ..Filter::default() };
        let mut found = match params.before {
            None => {
                // One more tells whether there is more.
                let mut found = view.filter(filter, from, 0, limit + 1)?;
                answer.next = found.lines.get(limit).map(|line| line.0);
                found.lines.truncate(limit);
                found
            }
            Some(before) => {
                let tally = view.tally(&[1, before.max(1)])?;
                let counts = tally.first().map(|tally| tally.counts).unwrap_or_default();
                let there = Level::ALL.iter().filter(|level| levels[level.index()]);
                let there: u64 = there.map(|level| counts[level.index()]).sum();
                let count = if before <= 1 { 0 } else { there.min(limit as u64) };
                let mut found = view.filter(filter, 1, there - count, count as usize)?;
                found.lines.reverse();
                // `before` of the next request.
                answer.next = found.lines.last().map(|line| line.0).filter(|_| count < there);
                found
            }
        };
        answer.total = found.total;
        let mut text = 0;
        for (number, _) in std::mem::take(&mut found.lines) {
            if text > lines::TEXT_BYTES_MAX {
                answer.next = Some(number);
                break;
            }
            let lines = view.log().lines(number, 1)?;
            text += lines.iter().map(|line| line.text.len() as u64).sum::<u64>();
            for (line, dressed) in lines.iter().zip(view.dress_plain(&lines)?) {
                answer.errors.push(LogError {
                    line: number,
                    step: owner.read(|state| state.owner_of(line.offset)),
                    level: level(dressed.verdict.level),
                    source: source(dressed.verdict.finder),
                    text: dressed.drawn.text.trim().chars().take(ERROR_CHARS).collect(),
                });
            }
        }
        Ok(answer)
    });
    errors.await.map(Json)
}

/// `GET /api/executions/{id}/usual`.
pub(crate) async fn usual(State(app): State<App>, Id(id): Id) -> Result<Json<Usual>, Problem> {
    let handle = app.engine.execution(id).await?;
    let (name, created_us, steps) = handle
        .read(|state| (state.summary.name.clone(), state.summary.created_us, state.steps.clone()));
    let before = (created_us, id);
    let passes =
        app.engine.query(move |reader| reader.passes(&name, before, medians::PASSES)).await?;
    Ok(Json(medians::usual(&passes, &steps)))
}
