//! One log.

use std::path::Path;

use stepflow_model::{ExecutionState, Summary};
use stepflow_record::{LogReader, RecordError, RecordView, Storage};
use stepflow_view::{Bounds, Cursor, Excerpt, Hit, beginning, excerpt, search_skipping};

use super::Search;

/// Lines before and behind a hit, at most.
pub const CONTEXT_MAX: usize = 10;
/// Characters of a line that are given.
const LINE_CHARS_MAX: usize = 400;
/// Text of one log in an answer, about; a search goes on behind it with the next answer. Logs that
/// wait for an earlier one hold no more than this each.
const TEXT_BYTES_MAX: usize = 512 * 1024;

/// A line with a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// Its number.
    pub line: u64,
    /// Output offset of its first byte.
    pub offset: u64,
    /// The step that it belongs to.
    pub step: Option<FoundStep>,
    /// Matches in it.
    pub matches: u64,
    /// What stands around the first of them.
    pub excerpt: Excerpt,
    /// Lines before it, the first one first: number and beginning.
    pub before: Vec<(u64, Excerpt)>,
    /// Lines behind it.
    pub after: Vec<(u64, Excerpt)>,
}

/// A step of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStep {
    /// Its number within the execution, from 0.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// What came of a log.
pub(super) struct Looked {
    pub(super) summary: Summary,
    pub(super) lines: Vec<FoundLine>,
    /// There may be more hits than were asked for.
    pub(super) more: bool,
    /// It goes on at this line with the next answer.
    pub(super) halted: Option<u64>,
    pub(super) scanned: u64,
    pub(super) skipped: u64,
    pub(super) unreadable: Option<String>,
}

impl Looked {
    /// All of it was searched, and there is nothing to tell.
    pub(super) fn is_nothing(&self) -> bool {
        self.lines.is_empty() && self.halted.is_none() && self.unreadable.is_none()
    }
}

/// Looks at logs.
pub(super) struct Looker<'a> {
    pub(super) storage: &'a Storage,
    pub(super) search: &'a Search,
    pub(super) go_on: &'a (dyn Fn() -> bool + Sync),
}

impl Looker<'_> {
    /// Searches the log of an execution from line `from` on.
    pub(super) fn look(&self, summary: Summary, from: u64, wanted: &dyn Fn() -> bool) -> Looked {
        let mut looked = Looked {
            summary,
            lines: Vec::new(),
            more: false,
            halted: None,
            scanned: 0,
            skipped: 0,
            unreadable: None,
        };
        let dir = self.storage.record_dir(looked.summary.id);
        if !(self.go_on)() {
            looked.halted = Some(from);
        } else if let Err(error) = self.look_into(&dir, &mut looked, from, wanted) {
            if dir.exists() {
                looked.unreadable = Some(told(&error));
            } else {
                looked.lines.clear(); // Deleted meanwhile.
            }
        }
        looked
    }

    fn look_into(
        &self,
        dir: &Path,
        looked: &mut Looked,
        from: u64,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), RecordError> {
        let id = looked.summary.id;
        // The catalog may not know yet what has ended: then a half line at the end is one.
        let mut view = None;
        if !looked.summary.status.is_end() {
            let opened = RecordView::open(self.storage, id)?;
            looked.summary = opened.state.summary.clone();
            view = Some(opened);
        }
        let ended = looked.summary.status.is_end();
        let Some(log) = LogReader::open(dir)? else { return Ok(()) };
        let at = if from <= 1 {
            Cursor { offset: 0, line: 1 }
        } else {
            let line = from.min(log.position()?.1 + 1);
            Cursor { offset: log.line_start(line)?, line }
        };
        let cap = self.search.each.unwrap_or(usize::MAX).min(self.search.limit).max(1);
        let mut hits: Vec<Hit> = Vec::new();
        // The first one that has no room.
        let mut over = None;
        let mut failed = None;
        let mut tally = stepflow_view::Looked::default();
        let enough = std::cell::Cell::new(false);
        let mut go_on = || !enough.get() && wanted() && (self.go_on)();
        let mut take = |hit: Hit| {
            if over.is_some() || failed.is_some() {
                return;
            }
            if let Some(step) = &self.search.step {
                let state = match &view {
                    Some(view) => &view.state,
                    None => match RecordView::open(self.storage, id) {
                        Ok(opened) => &view.insert(opened).state,
                        Err(error) => {
                            failed = Some(error);
                            enough.set(true);
                            return;
                        }
                    },
                };
                if !is_within(state, state.owner_of(hit.offset), step) {
                    return;
                }
            }
            if hits.len() < cap {
                hits.push(hit);
            } else {
                over = Some(hit.line);
                enough.set(true);
            }
        };
        let bounds = Bounds { until: u64::MAX, half: ended };
        let found = search_skipping(
            &log,
            &self.search.pattern,
            at,
            bounds,
            &mut tally,
            &mut go_on,
            &mut take,
        );
        (looked.scanned, looked.skipped) = (tally.scanned, tally.skipped);
        let is_cut_by_each = over.is_some() && self.search.each.is_some_and(|each| each <= cap);
        match (over, &found) {
            (Some(_), _) if is_cut_by_each => looked.more = true,
            (Some(line), _) => looked.halted = Some(line),
            (None, Ok((next, false))) => looked.halted = Some(next.line),
            (None, _) => {}
        }
        if !hits.is_empty() && view.is_none() {
            view = Some(RecordView::open(self.storage, id)?);
        }
        if let Some(view) = &view {
            self.show(&log, &view.state, &hits, looked)?;
        }
        found.map(|_| ())?;
        failed.map_or(Ok(()), Err)
    }

    /// Hits in words.
    fn show(
        &self,
        log: &LogReader,
        state: &ExecutionState,
        hits: &[Hit],
        looked: &mut Looked,
    ) -> Result<(), RecordError> {
        let mut bytes = 0;
        for hit in hits {
            if bytes >= TEXT_BYTES_MAX {
                (looked.halted, looked.more) = (Some(hit.line), false);
                return Ok(());
            }
            let excerpt = excerpt(log, &self.search.pattern, *hit, LINE_CHARS_MAX)?;
            let (before, after) = self.around(log, hit.line)?;
            let texts = before.iter().chain(&after).map(|line| line.1.text.len());
            bytes += excerpt.text.len() + texts.sum::<usize>();
            let step = state.owner_of(hit.offset).and_then(|index| {
                let step = state.steps.iter().find(|step| step.index == index)?;
                Some(FoundStep { index, name: step.name.clone() })
            });
            looked.lines.push(FoundLine {
                line: hit.line,
                offset: hit.offset,
                step,
                matches: hit.matches,
                excerpt,
                before,
                after,
            });
        }
        Ok(())
    }

    /// The lines before and behind a line.
    #[expect(clippy::type_complexity, reason = "two of the same")]
    fn around(
        &self,
        log: &LogReader,
        line: u64,
    ) -> Result<(Vec<(u64, Excerpt)>, Vec<(u64, Excerpt)>), RecordError> {
        let count = self.search.context.min(CONTEXT_MAX) as u64;
        if count == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let first = line.saturating_sub(count).max(1);
        let lines = log.lines(first, (line - first + 1 + count) as usize)?;
        let shown = |text: &stepflow_record::Line| {
            (
                text.number,
                beginning(text.text.strip_suffix(b"\n").unwrap_or(&text.text), LINE_CHARS_MAX),
            )
        };
        let (before, rest): (Vec<_>, Vec<_>) = lines.iter().partition(|one| one.number < line);
        let behind = rest.into_iter().filter(|one| one.number > line && one.number <= line + count);
        Ok((before.into_iter().map(shown).collect(), behind.map(shown).collect()))
    }
}

/// Whether a step, or one that it is in, has the name.
fn is_within(state: &ExecutionState, owner: Option<u32>, name: &str) -> bool {
    let mut at = owner;
    // A parent has a smaller number: this ends.
    while let Some(step) = at.and_then(|at| state.steps.iter().find(|step| step.index == at)) {
        if step.name.eq_ignore_ascii_case(name) {
            return true;
        }
        at = step.parent.filter(|parent| *parent < step.index);
    }
    false
}

/// An error with its causes, in one line.
fn told(error: &RecordError) -> String {
    let mut text = error.to_string();
    let mut at = std::error::Error::source(error);
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text
}
