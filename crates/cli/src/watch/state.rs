//! What is on the screen. Pure: no terminal, no clock, no questions asked here; what has to be asked
//! is put on a list.

use stepflow_api::{Execution, ExecutionDetail, LogMeta};
use stepflow_model::ExecutionId;
use stepflow_view::Pattern;

use super::{
    cache::Cache,
    marks::{Deed, Marks},
    mouse::Spot,
    worker::{Ask, Said},
};
use crate::{args::TimeMode, source::Query, text::say};

/// Rows of the list that are held.
pub const ROWS_MAX: u32 = 1_000;
/// Levels that `v` goes through.
pub const LEVELS: [Option<&str>; 4] =
    [None, Some("error"), Some("error,warning"), Some("error,warning,notice")];
/// Times that `m` goes through.
pub const TIMES: [TimeMode; 6] = [
    TimeMode::Off,
    TimeMode::Relative,
    TimeMode::Step,
    TimeMode::Delta,
    TimeMode::Local,
    TimeMode::Utc,
];

/// Text that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub text: String,
    pub regex: bool,
}

/// What it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    Search,
    Line,
    Name,
    /// Whether the execution is to be stopped, or run again: `s`, `r`.
    Act,
    /// That it is meant, for many.
    Sure(Deed),
}

/// Which part of one execution is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Log,
    Timeline,
}

/// What is searched for.
#[derive(Debug)]
pub struct Search {
    pub text: String,
    pub regex: bool,
    pub pattern: Option<Pattern>,
    pub lines: u64,
    pub complete: bool,
}

/// One execution.
#[derive(Debug)]
pub struct One {
    pub id: ExecutionId,
    pub detail: ExecutionDetail,
    pub meta: LogMeta,
    pub page: Option<String>,
    pub cache: Cache,
    /// Answers about another document are thrown away.
    pub generation: u64,
    /// Place of the first line that is shown, from 1.
    pub top: u64,
    /// Place of the line that keys are about.
    pub cursor: u64,
    pub left: u16,
    pub follow: bool,
    pub wrap: bool,
    pub time: usize,
    pub level: usize,
    /// Lines that the filter lets through, with one.
    pub filtered: u64,
    pub step: usize,
    pub folded: Vec<u32>,
    pub tab: Tab,
    pub wide: bool,
    pub search: Option<Search>,
}

impl One {
    /// Lines of the document.
    pub fn total(&self) -> u64 {
        if self.level == 0 { self.meta.lines } else { self.filtered }
    }

    /// Words of the levels that are let through.
    pub fn levels(&self) -> Option<String> {
        LEVELS[self.level].map(str::to_owned)
    }

    pub fn time_mode(&self) -> TimeMode {
        TIMES[self.time]
    }

    /// Number of the line that keys are about.
    pub fn line(&self) -> u64 {
        let known = self.cache.line(self.cursor).map(|line| line.n);
        known.unwrap_or(if self.level == 0 { self.cursor } else { 0 })
    }

    /// Steps that are shown: those of folded ones are not.
    pub fn steps(&self) -> Vec<usize> {
        let hidden = |index: usize| {
            let mut at = self.detail.steps[index].parent;
            while let Some(parent) = at {
                if self.folded.contains(&parent) {
                    return true;
                }
                at = self.detail.steps.get(parent as usize).and_then(|step| step.parent);
            }
            false
        };
        (0..self.detail.steps.len()).filter(|index| !hidden(*index)).collect()
    }

    pub fn go_to(&mut self, line: u64, height: u64) -> Option<Ask> {
        self.follow = false;
        if let Some(levels) = self.levels() {
            return Some(Ask::Rank { id: self.id, levels, line });
        }
        self.place(line, height);
        None
    }

    /// Makes `place` the line that keys are about, and visible with some lines above it.
    fn place(&mut self, place: u64, height: u64) {
        self.cursor = place.clamp(1, self.total().max(1));
        if self.cursor < self.top || self.cursor >= self.top + height {
            self.top = self.cursor.saturating_sub(height / 3).max(1);
        }
    }

    pub fn scroll(&mut self, by: i64, height: u64) {
        let total = self.total().max(1);
        self.cursor = self.cursor.saturating_add_signed(by).clamp(1, total);
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        if self.cursor >= self.top + height {
            self.top = self.cursor + 1 - height;
        }
        // Reaching the end is asking for what follows.
        self.follow = by > 0 && self.cursor == total && !self.meta.ended;
    }

    /// Moves what is shown, and the line that keys are about only as far as it has to.
    pub fn wheel(&mut self, by: i64, height: u64) {
        let total = self.total().max(1);
        let last = (total + 1).saturating_sub(height).max(1);
        self.top = self.top.saturating_add_signed(by).clamp(1, last.max(self.top.min(total)));
        let bottom = (self.top + height.max(1) - 1).min(total);
        self.cursor = self.cursor.clamp(self.top.min(bottom), bottom);
        if self.wrap && by < 0 {
            // How many lines there is room for is only known once they are drawn.
            self.cursor = self.top;
        }
        self.follow = by > 0 && bottom == total && !self.meta.ended;
    }

    pub fn other_document(&mut self) {
        self.cache.clear();
        self.generation += 1;
        (self.top, self.cursor, self.filtered) = (1, 1, 0);
    }

    /// Where it is first looked at: the end of what runs, the first error of what failed.
    fn begin(&mut self, height: u64) {
        if self.detail.execution.completed_at.is_none() {
            self.follow = true;
        } else if self.detail.execution.status == "failed"
            && let Some(error) = self.meta.first_error
        {
            self.place(error.line, height);
        }
        let failed = self.detail.steps.iter().rposition(|step| step.status == "failed");
        let running = self.detail.steps.iter().rposition(|step| step.status == "running");
        let step = running.or(failed).unwrap_or(0);
        self.step = self.steps().iter().position(|index| *index == step).unwrap_or(0);
    }
}

/// Everything.
#[derive(Debug)]
pub struct App {
    pub executions: Vec<Execution>,
    pub total: u64,
    pub loaded: bool,
    pub selected: usize,
    pub marks: Marks,
    pub query: Query,
    pub one: Option<One>,
    /// An execution was asked for and has not come yet.
    pub opening: bool,
    /// There is a list to go back to.
    pub has_list: bool,
    pub prompt: Option<Prompt>,
    pub message: Option<String>,
    pub away: bool,
    pub help: bool,
    pub quit: bool,
    pub suspend: bool,
    /// What goes to the clipboard.
    pub copy: Option<String>,
    /// The page that is to be opened in a browser.
    pub browse: Option<String>,
    /// What the rows of the screen show, for the mouse.
    pub spots: Vec<Spot>,
    pub asks: Vec<Ask>,
    /// Rows of the log on the screen.
    pub height: u64,
    pub colour: bool,
}

impl App {
    /// With the list, or with the execution that `open` names.
    pub fn new(open: Option<&str>, colour: bool) -> Self {
        let query = Query { limit: 200, ..Query::default() };
        let ask = match open {
            Some(id) => Ask::Open(id.to_owned()),
            None => Ask::List(Box::new(query.clone())),
        };
        Self {
            executions: Vec::new(),
            total: 0,
            loaded: false,
            selected: 0,
            marks: Marks::default(),
            query,
            one: None,
            opening: open.is_some(),
            has_list: open.is_none(),
            prompt: None,
            message: None,
            away: false,
            help: false,
            quit: false,
            suspend: false,
            copy: None,
            browse: None,
            spots: Vec::new(),
            asks: vec![ask],
            height: 20,
            colour,
        }
    }

    /// Takes an answer.
    pub fn take(&mut self, said: Said) {
        if !matches!(said, Said::Failed { .. }) {
            self.away = false;
        }
        match said {
            Said::List(list) => {
                let chosen = self.executions.get(self.selected).map(|one| one.id);
                self.total = list.total_count;
                self.executions = list.executions;
                self.executions.truncate(ROWS_MAX as usize);
                self.marks.keep(&self.executions);
                self.loaded = true;
                // What was chosen stays so, whatever came above it.
                let still = self.executions.iter().position(|one| Some(one.id) == chosen);
                self.selected =
                    still.unwrap_or(self.selected).min(self.executions.len().saturating_sub(1));
            }
            Said::Opened { detail, meta, page } => self.opened(*detail, *meta, page),
            Said::Lines { id, from, lines, total, generation } => {
                if let Some(one) = self.one.as_mut().filter(|one| one.id == id)
                    && one.generation == generation
                {
                    one.cache.take(from, lines, one.meta.ended);
                    one.filtered = total.unwrap_or(one.filtered);
                }
            }
            Said::Error { id, line, wrapped } => self.found(id, line, wrapped, say::no_error),
            Said::Hit { id, line, wrapped } => self.found(id, line, wrapped, say::not_found),
            Said::Rank { id, rank } => {
                let height = self.height;
                if let Some(one) = self.one.as_mut().filter(|one| one.id == id) {
                    one.place(rank + 1, height);
                }
            }
            Said::Count { id, text, lines, complete } => {
                if let Some(search) = self
                    .one
                    .as_mut()
                    .filter(|one| one.id == id)
                    .and_then(|one| one.search.as_mut())
                    .filter(|search| search.text == text)
                {
                    (search.lines, search.complete) = (lines, complete);
                }
            }
            Said::Reran { ids, failed } => {
                self.message = match (ids.as_slice(), failed) {
                    (ids, Some(why)) => Some(say::partly(ids.len(), why)),
                    ([id], None) => Some(say::runs_again(id)),
                    (ids, None) => Some(say::run_again(ids.len())),
                };
                if self.one.is_none() {
                    self.asks.push(Ask::List(Box::new(self.query.clone())));
                }
            }
            Said::Cancelled { asked, ended, failed } => {
                self.message = Some(match (asked, ended, failed) {
                    (asked, _, Some(why)) => say::partly(asked, why),
                    (1, 0, None) => say::stop_asked(),
                    (0, 1, None) => say::ended_already(),
                    (asked, ended, None) => say::stops_asked(asked, ended),
                });
            }
            Said::Page(Some(url)) => {
                let one = self.one.as_ref().filter(|one| url.ends_with(&one.id.to_string()));
                let line = one.map(|one| format!("#L{}", one.line().max(1)));
                self.browse = Some(url + &line.unwrap_or_default());
            }
            Said::Saved { file, bytes } => {
                self.message = Some(say::saved(file, stepflow_api::human_size(bytes)));
            }
            Said::Page(None) => self.message = Some(say::no_page()),
            Said::Failed { text, away } => {
                self.away = away;
                self.message = Some(text);
                if let Some(one) = &mut self.one {
                    one.cache.ask_again();
                } else if self.opening && !self.has_list && !away {
                    self.quit = true;
                }
                self.opening &= away;
            }
        }
    }

    fn opened(&mut self, detail: ExecutionDetail, meta: LogMeta, page: Option<String>) {
        let height = self.height;
        let id = detail.execution.id;
        match self.one.as_mut().filter(|one| one.id == id) {
            Some(one) => {
                if !one.meta.ended {
                    one.cache.ask_again();
                }
                (one.detail, one.meta) = (detail, meta);
            }
            None if self.opening => {
                let mut one = One {
                    id,
                    detail,
                    meta,
                    page,
                    cache: Cache::default(),
                    generation: 0,
                    top: 1,
                    cursor: 1,
                    left: 0,
                    follow: false,
                    wrap: false,
                    time: 0,
                    level: 0,
                    filtered: 0,
                    step: 0,
                    folded: Vec::new(),
                    tab: Tab::Log,
                    wide: false,
                    search: None,
                };
                one.begin(height);
                self.one = Some(one);
                self.opening = false;
            }
            // An answer about what has been left.
            None => {}
        }
    }

    fn found(
        &mut self,
        id: ExecutionId,
        line: Option<u64>,
        wrapped: bool,
        nothing: fn() -> String,
    ) {
        let height = self.height;
        let Some(one) = self.one.as_mut().filter(|one| one.id == id) else { return };
        let Some(line) = line else {
            self.message = Some(nothing());
            return;
        };
        self.message = wrapped.then(say::other_end);
        self.asks.extend(one.go_to(line, height));
    }

    /// What has to be asked so that all rows can be shown; called before drawing.
    pub fn settle(&mut self) {
        let Some(one) = &mut self.one else { return };
        let total = one.total();
        if one.follow {
            one.cursor = total.max(1);
            one.top = (total + 1).saturating_sub(self.height).max(1);
            if one.meta.ended {
                one.follow = false;
            }
        } else if one.cursor < one.top || one.cursor >= one.top + self.height.max(1) {
            // The window has another height than when the line was chosen.
            one.top = one.cursor.saturating_sub(self.height / 3).max(1);
        }
        // The first answer says how many a filter lets through.
        let known = if one.level > 0 { total.max(1) } else { total };
        let levels = one.levels();
        for missing in one.cache.missing(one.top, one.top + self.height, known) {
            let (id, generation) = (one.id, one.generation);
            self.asks.push(Ask::Lines { id, levels: levels.clone(), missing, generation });
        }
    }

    /// The name of what keys are about.
    pub fn named(&self) -> Option<&str> {
        let one = self.one.as_ref().map(|one| &one.detail.execution);
        one.or_else(|| self.executions.get(self.selected)).map(|one| one.name.as_str())
    }
}
