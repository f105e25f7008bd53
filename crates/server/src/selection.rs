//! Which lines of a log are taken away: all, those of a step, those that a filter lets through; in
//! order, a few at a time.

use std::collections::VecDeque;

use stepflow_model::{Dropped, ExecutionState};
use stepflow_record::Line;
use stepflow_view::{Filter, View, ViewError};

/// Numbers that a filter is asked for at once, and lines that are read at once.
const NUMBERS: usize = 8_192;
const LINES: usize = 256;

/// Lines that are still to come. Holds some numbers, however long the log is.
#[derive(Debug)]
pub(crate) struct Selection {
    /// First and last line of each range, ascending.
    ranges: VecDeque<(u64, u64)>,
    filter: Option<Filter>,
    /// What the filter has let through already.
    found: VecDeque<u64>,
    /// Where the filter goes on.
    next: u64,
    last: u64,
    /// The gap that was said last.
    said: Option<Dropped>,
}

/// The ranges of lines that `step` and the steps in it own; `None`: there is no such step.
pub(crate) fn of_step(state: &ExecutionState, step: u32) -> Option<Vec<(u64, u64)>> {
    state.steps.iter().find(|one| one.index == step)?;
    let mut wanted = vec![step];
    // A parent comes before its children.
    for one in &state.steps {
        if one.parent.is_some_and(|parent| wanted.contains(&parent)) {
            wanted.push(one.index);
        }
    }
    let ranges = owners(state);
    let mut own = Vec::new();
    for (at, (first, owner)) in ranges.iter().enumerate() {
        let last = ranges.get(at + 1).map_or(u64::MAX, |next| next.0 - 1);
        if owner.is_some_and(|owner| wanted.contains(&owner)) {
            own.push((*first, last));
        }
    }
    Some(own)
}

/// The first line of each owner, and the owner; ascending.
pub(crate) fn owners(state: &ExecutionState) -> Vec<(u64, Option<u32>)> {
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

impl Selection {
    /// Lines `from` to `to` that lie in one of `ranges` and that `filter` lets through.
    pub(crate) fn new(ranges: Vec<(u64, u64)>, filter: Option<Filter>, from: u64, to: u64) -> Self {
        let cut = |(first, last): (u64, u64)| (first.max(from), last.min(to));
        let ranges: VecDeque<_> =
            ranges.into_iter().map(cut).filter(|(first, last)| first <= last).collect();
        let last = ranges.back().map_or(0, |range| range.1);
        let next = ranges.front().map_or(1, |range| range.0);
        Self { ranges, filter, found: VecDeque::new(), next, last, said: None }
    }

    /// Whether it is all there is, as it is.
    pub(crate) fn ranges_alone(&self) -> Option<&VecDeque<(u64, u64)>> {
        self.filter.is_none().then_some(&self.ranges)
    }

    /// The next lines, which follow one another as the log has them; empty: that was all. Blocks.
    pub(crate) fn next(&mut self, view: &View) -> Result<Vec<Line>, ViewError> {
        loop {
            let Some((first, count)) = self.next_run(view)? else { return Ok(Vec::new()) };
            let mut lines = view.log().lines(first, count)?;
            if lines.is_empty() {
                // The log ends here.
                self.ranges.clear();
                self.found.clear();
                continue;
            }
            // What stands for output that is gone is one line with many numbers: what is read behind
            // it may be further on than what is wanted.
            let last = first + count as u64 - 1;
            lines.retain(|line| line.number <= last || line.dropped.is_some());
            self.go_on(lines.last().map_or(last, |line| line.number) + 1);
            // Whoever goes on behind a gap that ends inside of a line comes into it once more.
            lines.retain(|line| line.dropped.is_none() || line.dropped != self.said);
            self.said = lines.iter().rev().find_map(|line| line.dropped).or(self.said);
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }

    /// Whatever has a number below `next` is done.
    fn go_on(&mut self, next: u64) {
        while self.found.front().is_some_and(|number| *number < next) {
            self.found.pop_front();
        }
        while self.ranges.front().is_some_and(|range| range.1 < next) {
            self.ranges.pop_front();
        }
        if let Some(range) = self.ranges.front_mut() {
            range.0 = range.0.max(next);
        }
    }

    /// The first line that is to be read, and how many behind it.
    fn next_run(&mut self, view: &View) -> Result<Option<(u64, usize)>, ViewError> {
        let Some(filter) = self.filter else {
            let run = self.ranges.front();
            return Ok(
                run.map(|(first, last)| (*first, (last - first + 1).min(LINES as u64) as usize))
            );
        };
        while self.found.is_empty() {
            if self.next > self.last || self.ranges.is_empty() {
                return Ok(None);
            }
            let found = view.filter(filter, self.next, 0, NUMBERS)?;
            self.next = match found.lines.last() {
                Some(last) if found.lines.len() == NUMBERS => last.0 + 1,
                _ => u64::MAX,
            };
            for (line, _) in found.lines {
                while self.ranges.front().is_some_and(|range| range.1 < line) {
                    self.ranges.pop_front();
                }
                if self.ranges.front().is_some_and(|range| range.0 <= line) {
                    self.found.push_back(line);
                }
            }
        }
        let first = self.found[0];
        let run = self.found.iter().zip(first..).take_while(|(line, at)| **line == *at);
        Ok(Some((first, run.take(LINES).count())))
    }
}
