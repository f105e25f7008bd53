//! What is known of one log: built in one pass, extended as the log grows, asked in many ways.

use std::{path::Path, sync::Arc};

use stepflow_record::{Line, LogReader};

use crate::{
    ViewError,
    draw::{Drawn, Source, draw},
    level::{Candidates, Finder, Level, Verdict, odd_begin, verdict},
    page::{Counts, LineInfo, PAGE_LINES, Page},
    scan::{Place, Scan, Step, with_source},
    store::{BATCH, Store},
    style::Style,
};

/// The view of one log. See the crate's front page.
#[derive(Debug)]
pub struct View {
    log: LogReader,
    store: Store,
    candidates: Arc<Candidates>,
    scan: Scan,
    /// The page that is being filled.
    page: Page,
    /// The half line behind it.
    half: Option<LineInfo>,
    /// What the pages of the store hold together.
    totals: Tally,
}

/// What a range of lines holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Lines.
    pub lines: u64,
    /// Of each level.
    pub counts: Counts,
    /// Lines from standard error.
    pub stderr: u64,
    /// The first line that is an error.
    pub first_error: Option<(u64, Finder)>,
}

/// Rows on a page of some columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// Rows of each [`PAGE_LINES`] lines; a half line at the end counts as a line.
    pub pages: Vec<u32>,
    /// Of all.
    pub total: u64,
}

/// Which lines are asked for. The default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// By [`Level::index`].
    pub levels: [bool; 5],
    /// Lines from standard error alone.
    pub stderr_only: bool,
    /// This many lines before and after each are asked for as well.
    pub context: u64,
}

/// Lines that a filter lets through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filtered {
    /// Their numbers, in order; `true`: the line itself, not one around it.
    pub lines: Vec<(u64, bool)>,
    /// How many there are in the whole log, context included.
    pub total: u64,
    /// How many of them are not context.
    pub matches: u64,
}

/// How a page shows a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dressed {
    /// The style it begins in; `None`: the scan has not come so far yet.
    pub style: Option<Style>,
    /// Its picture.
    pub drawn: Drawn,
    /// Its level.
    pub verdict: Verdict,
}

impl View {
    /// Opens the view of the log in the record `dir`, kept in the file `cache`; `None` before the
    /// recorder has made a log. Nothing is scanned yet.
    pub fn open(dir: &Path, cache: &Path) -> Result<Option<Self>, ViewError> {
        let Some(log) = LogReader::open(dir)? else { return Ok(None) };
        let candidates = Arc::new(Candidates::new());
        let mut view = Self {
            log,
            store: Store::open(cache),
            scan: Scan::new(Place::BEGIN, &candidates),
            candidates,
            page: Page::new(0, Style::PLAIN),
            half: None,
            totals: Tally::default(),
        };
        view.resume()?;
        Ok(Some(view))
    }

    /// Goes on behind the last page that proves itself and stands where the log has its line.
    fn resume(&mut self) -> Result<(), ViewError> {
        let mut good = 0;
        let mut totals = Tally::default();
        let mut at = 0;
        let mut place = Place::BEGIN;
        let (recorded, lines) = self.log.position()?;
        let count = self.store.len();
        each_page(&self.store, 0, count, &mut |number, page| {
            let lines_here = (number + 1) * PAGE_LINES as u64;
            if page.start != at || page.end > recorded || lines_here > lines {
                return false;
            }
            add(&mut totals, &page, number);
            at = page.end;
            good = number + 1;
            true
        })?;
        self.store.cut(good);
        // The checksums prove the pages, not that they are of this log: their end does.
        let line = good * PAGE_LINES as u64 + 1;
        if good > 0 && self.log.line_start(line)? != at {
            self.store.cut(0);
            good = 0;
            totals = Tally::default();
        }
        if good > 0
            && let Some(last) = self.store.page(good - 1)?
        {
            // Its lines lead to the style that the next page begins in.
            let first = (good - 1) * PAGE_LINES as u64 + 1;
            let from = Place { offset: last.start, line: first, style: last.style };
            let mut scan = Scan::new(from, &self.candidates);
            while scan.step(&self.log, line, &mut |_, _| {})? == Step::On {}
            place = scan.place;
        }
        self.page = Page::new(place.offset, place.style);
        self.scan = Scan::new(place, &self.candidates);
        self.totals = totals;
        Ok(())
    }

    /// Scans what is recorded and not yet known. `go_on` is asked after every block; returns
    /// whether all that was recorded at the end is known.
    pub fn advance(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<bool, ViewError> {
        loop {
            let (recorded, _) = self.log.position()?;
            let (page, store, totals) = (&mut self.page, &mut self.store, &mut self.totals);
            let mut failed = None;
            let step = self.scan.step(&self.log, u64::MAX, &mut |line, place| {
                page.push(line, place.offset);
                if page.is_full() && failed.is_none() {
                    add(totals, page, store.len());
                    failed = store.push(page).err();
                    *page = Page::new(place.offset, place.style);
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if step == Step::End {
                self.half = self.scan.half(&self.log, recorded)?;
                return Ok(true);
            }
            self.half = None;
            if !go_on() {
                return Ok(false);
            }
        }
    }

    /// Lines that are known, a half line at the end included.
    pub fn lines(&self) -> u64 {
        self.scan.place.line - 1 + u64::from(self.half.is_some())
    }

    /// The log.
    pub fn log(&self) -> &LogReader {
        &self.log
    }

    /// What all lines hold.
    pub fn totals(&self) -> Tally {
        let mut totals = self.totals;
        add(&mut totals, &self.last(), self.store.len());
        totals
    }

    /// What each range of lines holds. Ranges begin at the lines `starts`, ascending, and end
    /// where the next one begins, the last one at the end of the log.
    pub fn tally(&self, starts: &[u64]) -> Result<Vec<Tally>, ViewError> {
        let mut tallies = vec![Tally::default(); starts.len()];
        let mut at = 0;
        self.each_page(0, &mut |number, page| {
            let first = number * PAGE_LINES as u64 + 1;
            let behind = first + page.len() as u64;
            while at + 1 < starts.len() && starts[at + 1] <= first {
                at += 1;
            }
            let whole = starts.get(at).is_some_and(|start| *start <= first)
                && starts.get(at + 1).is_none_or(|next| behind <= *next);
            if whole {
                add(&mut tallies[at], &page, number);
                return true;
            }
            for (line, info) in (first..).zip(page.lines()) {
                while at + 1 < starts.len() && starts[at + 1] <= line {
                    at += 1;
                }
                if starts.get(at).is_some_and(|start| *start <= line) {
                    add_line(&mut tallies[at], info, line);
                }
            }
            true
        })?;
        Ok(tallies)
    }

    /// Lines of each level in `buckets` parts of equal size.
    pub fn density(&self, buckets: usize) -> Result<Vec<Counts>, ViewError> {
        let starts = bucket_starts(self.lines(), buckets);
        Ok(self.tally(&starts)?.into_iter().map(|tally| tally.counts).collect())
    }

    /// Rows of every page for so many columns.
    pub fn rows(&self, columns: u32) -> Result<Rows, ViewError> {
        let mut rows = Rows::default();
        self.each_page(0, &mut |_, page| {
            let count = page.rows(columns);
            if page.len() > 0 {
                rows.pages.push(count as u32);
                rows.total += count;
            }
            true
        })?;
        Ok(rows)
    }

    /// At most `limit` of the lines that `filter` lets through, from number `from` on, but for the
    /// first `skip` of them. Counts all.
    pub fn filter(
        &self,
        filter: Filter,
        from: u64,
        skip: u64,
        limit: usize,
    ) -> Result<Filtered, ViewError> {
        let mut found = Filtered::default();
        let mut skipped = 0;
        let mut add = |found: &mut Filtered, line: u64, hit: bool| {
            found.total += 1;
            if line >= from {
                if skipped < skip {
                    skipped += 1;
                } else if found.lines.len() < limit {
                    found.lines.push((line, hit));
                }
            }
        };
        // The last line that was let through, and the last one that a hit before lets through.
        let (mut last, mut until) = (0, 0);
        self.each_page(0, &mut |number, page| {
            let first = number * PAGE_LINES as u64 + 1;
            let none =
                Level::ALL.iter().all(|level| !filter.levels[level.index()] || !page.has(*level))
                    || (filter.stderr_only && page.stderr() == 0);
            if none && until < first {
                return true;
            }
            for (line, info) in (first..).zip(page.lines()) {
                let hit = filter.levels[info.verdict.level.index()]
                    && (!filter.stderr_only || info.stderr);
                if hit {
                    for before in (last + 1).max(line.saturating_sub(filter.context))..line {
                        add(&mut found, before, false);
                    }
                    until = line + filter.context;
                    found.matches += 1;
                }
                if hit || line <= until {
                    add(&mut found, line, hit);
                    last = line;
                }
            }
            true
        })?;
        Ok(found)
    }

    /// What is known of line `number`; `None`: nothing yet.
    pub fn verdict(&self, number: u64) -> Result<Option<Verdict>, ViewError> {
        let Some(at) = number.checked_sub(1).filter(|_| number <= self.lines()) else {
            return Ok(None);
        };
        let mut found = None;
        self.each_page(at / PAGE_LINES as u64, &mut |_, page| {
            let at = (at % PAGE_LINES as u64) as usize;
            found = (at < page.len()).then(|| page.line(at).verdict);
            false
        })?;
        Ok(found)
    }

    /// How a page shows `lines`, which follow one another as the log has them.
    pub fn dress(&self, lines: &[Line]) -> Result<Vec<Dressed>, ViewError> {
        let Some(first) = lines.first() else { return Ok(Vec::new()) };
        self.dress_from(lines, self.style_at(first)?)
    }

    /// The same without their styles: cheap for lines here and there.
    pub fn dress_plain(&self, lines: &[Line]) -> Result<Vec<Dressed>, ViewError> {
        self.dress_from(lines, None)
    }

    fn dress_from(
        &self,
        lines: &[Line],
        mut style: Option<Style>,
    ) -> Result<Vec<Dressed>, ViewError> {
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        let mut dressed = Vec::with_capacity(lines.len());
        for line in lines {
            if line.dropped.is_some() {
                // What stands in the place of lines: it has no style and no level of theirs.
                let mut at = Style::default();
                let drawn = draw(Source::Whole(&line.text), &mut at);
                let begins = style.map(|_| Style::default());
                dressed.push(Dressed { style: begins, verdict: Verdict::OTHER, drawn });
                continue;
            }
            let begins = style;
            let mut at = style.unwrap_or_default();
            let end = line.offset + line.text.len() as u64 + line.rest;
            let drawn = if line.rest == 0 {
                draw(Source::Whole(&line.text), &mut at)
            } else {
                with_source(&self.log, line.offset, end, &mut head, &mut tail, |source| {
                    draw(source, &mut at)
                })?
            };
            style = style.map(|_| at);
            // As the scan decides, so that a line's level is the one that is counted.
            let looked = line.rest > 0
                || odd_begin(drawn.text.as_bytes())
                || self.candidates.has(&line.text);
            let verdict = if looked { verdict(&drawn.text) } else { Verdict::OTHER };
            dressed.push(Dressed { style: begins, verdict, drawn });
        }
        Ok(dressed)
    }

    /// The style that a line begins in; `None`: the scan has not come so far.
    pub(crate) fn style_at(&self, line: &Line) -> Result<Option<Style>, ViewError> {
        if line.number > self.scan.place.line {
            return Ok(None);
        }
        let number = (line.number - 1) / PAGE_LINES as u64;
        let page = if number < self.store.len() {
            self.store.page(number)?
        } else {
            Some(self.page.clone())
        };
        let Some(page) = page else { return Ok(None) };
        let first = number * PAGE_LINES as u64 + 1;
        let from = Place { offset: page.start, line: first, style: page.style };
        let mut scan = Scan::new(from, &self.candidates);
        while scan.step(&self.log, line.number, &mut |_, _| {})? == Step::On {}
        Ok((scan.place.line == line.number).then_some(scan.place.style))
    }

    /// The page that is being filled, with the half line.
    fn last(&self) -> Page {
        let mut page = self.page.clone();
        if let Some(half) = self.half {
            page.push(half, page.end);
        }
        page
    }

    /// Shows the pages from `from` on, the unfinished one last, while `show` wants more.
    fn each_page(
        &self,
        from: u64,
        show: &mut dyn FnMut(u64, Page) -> bool,
    ) -> Result<(), ViewError> {
        let count = self.store.len();
        let mut wanted = true;
        let mut shown = from;
        each_page(&self.store, from, count, &mut |number, page| {
            wanted = show(number, page);
            shown = number + 1;
            wanted
        })?;
        // A page that was damaged behind our back ends the view: it is built anew when it is
        // opened again.
        if wanted && shown == count.max(from) {
            show(count, self.last());
        }
        Ok(())
    }
}

/// Shows stored pages while they prove themselves and `show` wants more.
fn each_page(
    store: &Store,
    from: u64,
    to: u64,
    show: &mut dyn FnMut(u64, Page) -> bool,
) -> Result<(), ViewError> {
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to {
        let count = BATCH.min(to - at);
        store.read(at, count, &mut bytes)?;
        for page in bytes.chunks_exact(crate::page::PAGE_BYTES) {
            let Some(page) = Page::decode(page, at) else { return Ok(()) };
            if !show(at, page) {
                return Ok(());
            }
            at += 1;
        }
    }
    Ok(())
}

/// The first lines of `buckets` parts of equal size (but for one line) of a log of `lines`.
pub fn bucket_starts(lines: u64, buckets: usize) -> Vec<u64> {
    let buckets = buckets as u64;
    (0..buckets).map(|at| at * lines / buckets + 1).collect()
}

fn add(tally: &mut Tally, page: &Page, number: u64) {
    tally.lines += page.len() as u64;
    tally.stderr += page.stderr();
    for (sum, count) in tally.counts.iter_mut().zip(page.counts()) {
        *sum += count;
    }
    if tally.first_error.is_none() && page.has(Level::Error) {
        let first = number * PAGE_LINES as u64 + 1;
        tally.first_error = (first..)
            .zip(page.lines())
            .find(|(_, info)| info.verdict.level == Level::Error)
            .map(|(line, info)| (line, info.verdict.finder));
    }
}

fn add_line(tally: &mut Tally, info: LineInfo, line: u64) {
    tally.lines += 1;
    tally.stderr += u64::from(info.stderr);
    tally.counts[info.verdict.level.index()] += 1;
    if info.verdict.level == Level::Error {
        tally.first_error.get_or_insert((line, info.verdict.finder));
    }
}
