//! What is known of a log as a whole, as the server says it.

use stepflow_api::{
    ErrorLine, LevelCounts, LevelSource, LogGap, LogLevel, LogMeta, StepLines, StepRange,
};
use stepflow_model::{ExecutionState, Reason};
use stepflow_view::{Counts, Finder, Level, Tally, View};

use crate::failure::Failure;

/// The first line of each owner, and the owner; ascending.
pub fn owners(state: &ExecutionState) -> Vec<(u64, Option<u32>)> {
    let mut owners: Vec<(u64, Option<u32>)> = vec![(1, None)];
    for (_, lines, owner) in &state.owners {
        // An owner without a line of its own gives way.
        match owners.last_mut() {
            Some(last) if last.0 > *lines => last.1 = *owner,
            Some(last) if last.1 == *owner => {}
            _ => owners.push((lines + 1, *owner)),
        }
    }
    owners
}

/// Everything; `complete`: the view has come to the end.
pub fn meta(
    state: &ExecutionState,
    view: Option<&View>,
    complete: bool,
    (stored_bytes, compressed): (u64, bool),
) -> Result<LogMeta, Failure> {
    let owners = owners(state);
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
    let next = owners.iter().skip(1).map(|next| Some(next.0 - 1)).chain([None]);
    let range = |((first_line, step), last_line): (&(u64, Option<u32>), Option<u64>)| StepRange {
        step: *step,
        first_line: *first_line,
        last_line,
    };
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
        ranges: owners.iter().zip(next).map(range).collect(),
        gaps,
        safe_bytes: None,
        ended,
        utc_offset_min: utc_offset_min(state.summary.created_us),
    };
    let Some(view) = view else { return Ok(meta) };
    let (bytes, lines) = view.log().position()?;
    let totals = view.totals();
    let starts: Vec<u64> = owners.iter().map(|owner| owner.0).collect();
    let mut by_step: Vec<(Option<u32>, Tally)> = Vec::new();
    for (tally, (_, step)) in view.tally(&starts)?.into_iter().zip(&owners) {
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
    meta.safe_bytes = (ended && !lost).then(|| state.safe_bytes(bytes));
    let of = |(step, tally): (Option<u32>, Tally)| StepLines {
        step,
        lines: tally.lines,
        counts: counts(tally.counts),
        first_error: error(tally),
    };
    meta.steps = by_step.into_iter().filter(|known| known.1.lines > 0).map(of).collect();
    Ok(meta)
}

/// How far this host's clocks are from UTC, then.
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
pub fn level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warning => LogLevel::Warning,
        Level::Notice => LogLevel::Notice,
        Level::Debug => LogLevel::Debug,
        Level::Other => LogLevel::Other,
    }
}

/// The wire's word for who found it.
pub fn source(finder: Finder) -> LevelSource {
    match finder {
        Finder::Marker => LevelSource::Marker,
        Finder::Detected => LevelSource::Detected,
    }
}
