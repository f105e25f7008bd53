//! One text in the logs of many executions: those that the catalog's conditions choose, newest first,
//! several at once, in bounded time and memory.
//!
//! One answer ends after some time or so many hits, and says where to go on: in the middle of a log,
//! if need be. What is found in a log is what a search in that log alone finds.

mod cursor; // where an answer goes on
mod look; // one log
mod queue; // a page of executions, taken in runs

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use stepflow_catalog::{CatalogError, LIST_LIMIT_MAX, ListQuery, Order, Reader};
use stepflow_model::{ExecutionId, Summary};
use stepflow_record::Storage;
use stepflow_view::Pattern;

pub use self::{
    cursor::SearchCursor,
    look::{CONTEXT_MAX, FoundLine, FoundStep},
};
use self::{
    look::{Looked, Looker},
    queue::Queue,
};

/// Logs that are looked at at once, at most; fewer where there are fewer processors.
const THREADS_MAX: usize = 4;
/// Logs that one thread takes at once, at most: what it brings of those without a hit is one message.
const RUN_MAX: usize = 16;
/// A run is short enough if it takes no longer than this; logs that take longer are taken one by one,
/// so that those behind them do not wait for one thread.
const RUN_WITHIN: Duration = Duration::from_millis(1);
/// How often it is said how far a search has come.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What is searched for, and where.
#[derive(Debug, Clone)]
pub struct Search {
    /// What.
    pub pattern: Pattern,
    /// Conditions for executions. Order, place and size of a page are not asked for.
    pub list: ListQuery,
    /// Only lines of steps with this name, upper and lower case of ASCII letters the same, and of the
    /// steps in them.
    pub step: Option<String>,
    /// Lines before and behind each hit, at most [`CONTEXT_MAX`].
    pub context: usize,
    /// Hits of one execution, at most: there may be more.
    pub each: Option<usize>,
    /// Hits of the answer, at most.
    pub limit: usize,
    /// Where an earlier answer says to go on.
    pub after: Option<SearchCursor>,
    /// Until when.
    pub until: Instant,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchProgress {
    /// Executions that the conditions choose, whatever an earlier answer has looked at.
    pub total: u64,
    /// Executions that this answer is done with.
    pub done: u64,
    /// Output bytes that were searched.
    pub scanned: u64,
    /// Output bytes of which filters said that they hold no match.
    pub skipped: u64,
    /// Hits of this answer.
    pub hits: u64,
}

/// What a search has to say.
#[derive(Debug)]
pub enum Found {
    /// Hits in the log of an execution, in order.
    Lines {
        /// The execution.
        summary: Box<Summary>,
        /// The hits.
        lines: Vec<FoundLine>,
        /// There may be more, and this answer and those that go on leave them out.
        more: bool,
    },
    /// A log could not be searched, or not all of it.
    Unreadable {
        /// The execution.
        id: ExecutionId,
        /// Why.
        why: String,
    },
    /// How far it is.
    Progress(SearchProgress),
    /// Everything has been searched: said by who goes on until then.
    Ended(SearchProgress),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchEnd {
    /// What it did.
    pub progress: SearchProgress,
    /// Where to go on; `None`: everything has been searched.
    pub next: Option<SearchCursor>,
}

/// Searches. `go_on` is asked from several threads, after every read; `sink` hears of executions
/// newest first.
///
/// An execution that is deleted meanwhile is not there; one whose log grows or is compressed is
/// searched as it was when its turn came.
///
/// # Errors
/// What the catalog cannot answer. A log that cannot be read is told, and the others are searched.
pub fn search(
    storage: &Storage,
    reader: &Reader,
    search: &Search,
    go_on: &(dyn Fn() -> bool + Sync),
    sink: &mut dyn FnMut(Found),
) -> Result<SearchEnd, CatalogError> {
    let all = ListQuery { before: None, offset: 0, order: Order::Newest, ..search.list.clone() };
    let total = reader.total(&all)?;
    let mut telling = Telling {
        progress: SearchProgress { total, ..SearchProgress::default() },
        told: Instant::now(),
        left: search.limit.max(1),
        sink,
    };
    (telling.sink)(Found::Progress(telling.progress));
    let until = search.until;
    let go_on = || go_on() && Instant::now() < until;
    thread::scope(|scope| {
        // Pages are listed ahead: while logs are read the catalog is.
        let (pages, listed) = mpsc::sync_channel(1);
        scope.spawn(move || list(reader, search, all, &pages));
        for page in listed {
            let looker = Looker { storage, search, go_on: &go_on };
            let next = telling.page(page?, &looker);
            if next.is_some() {
                return Ok(SearchEnd { progress: telling.progress, next });
            }
        }
        Ok(SearchEnd { progress: telling.progress, next: None })
    })
}

/// An execution, and the line that its search begins at.
type Turn = (Summary, u64);

/// Sends the executions that are to be searched, a page at a time, until nobody takes them.
fn list(
    reader: &Reader,
    search: &Search,
    all: ListQuery,
    pages: &mpsc::SyncSender<Result<Vec<Turn>, CatalogError>>,
) {
    let mut query = ListQuery { limit: LIST_LIMIT_MAX, ..all };
    if let Some(after) = &search.after {
        query.before = Some((after.created_us, after.id));
        // One that an earlier answer was in the middle of.
        if let Some(line) = after.line {
            let found = reader.execution(after.id);
            let page =
                found.map(|found| found.map(|summary| (summary, line)).into_iter().collect());
            if page.is_err() | pages.send(page).is_err() {
                return;
            }
        }
    }
    loop {
        let page = reader.list(&query);
        let (last, is_full) = match &page {
            Ok(page) => (page.last(), page.len() == LIST_LIMIT_MAX as usize),
            Err(_) => (None, false),
        };
        query.before = last.map(|last| (last.created_us, last.id));
        let page = page.map(|page| page.into_iter().map(|summary| (summary, 1)).collect());
        if pages.send(page).is_err() || !is_full {
            return;
        }
    }
}

/// What a thread brings of a log, or of several that follow each other.
enum Brought {
    /// All of them were searched, and none has a hit.
    Nothing { logs: usize, scanned: u64, skipped: u64 },
    /// Hits, an error, or a log that goes on with the next answer.
    Something(Box<Looked>),
}

/// Logs of a run without anything to tell that have not been brought yet.
struct Silent<'a> {
    first: usize,
    logs: usize,
    scanned: u64,
    skipped: u64,
    since: Instant,
    results: &'a mpsc::Sender<(usize, Brought)>,
}

impl<'a> Silent<'a> {
    /// None yet; the next log is number `first`.
    fn new(first: usize, results: &'a mpsc::Sender<(usize, Brought)>) -> Self {
        Self { first, logs: 0, scanned: 0, skipped: 0, since: Instant::now(), results }
    }

    fn add(&mut self, looked: &Looked) {
        self.logs += 1;
        self.scanned += looked.scanned;
        self.skipped += looked.skipped;
    }

    /// Brings them; `false`: nobody takes them any more.
    fn bring(&mut self) -> bool {
        let next = Self::new(self.first + self.logs, self.results);
        let Self { first, logs, scanned, skipped, .. } = std::mem::replace(self, next);
        logs == 0 || self.results.send((first, Brought::Nothing { logs, scanned, skipped })).is_ok()
    }

    /// Brings them, and the log behind them.
    fn bring_with(&mut self, looked: Looked) -> bool {
        let all = self.bring();
        self.first += 1;
        let something = Brought::Something(Box::new(looked));
        all && self.results.send((self.first - 1, something)).is_ok()
    }
}

/// Looks at logs until there are none, or nobody wants to know more.
fn work(
    queue: &Queue<Turn>,
    looker: &Looker<'_>,
    threads: usize,
    results: &mpsc::Sender<(usize, Brought)>,
) {
    let mut run_max = 1;
    while let Some(run) = queue.take(run_max, threads) {
        let begun = Instant::now();
        let mut silent = Silent::new(run.start, results);
        run_max = (2 * run_max).min(RUN_MAX);
        for number in run.clone() {
            let is_long = begun.elapsed() > RUN_WITHIN;
            if is_long {
                run_max = 1;
            }
            // Who waits, or lets others wait, has said what it knows: it may be what is waited for.
            if (is_long || queue.is_ahead(number)) && !silent.bring() {
                return;
            }
            if is_long && number > run.start {
                queue.give_back(number..run.end);
                break;
            }
            let Some((summary, from)) = queue.turn(number) else { return };
            let looked = looker.look(summary, from, &|| !queue.is_over());
            let goes_on = if looked.is_nothing() {
                silent.add(&looked);
                silent.since.elapsed() < TELL_EVERY || silent.bring()
            } else {
                silent.bring_with(looked)
            };
            if !goes_on {
                return;
            }
        }
        if !silent.bring() {
            return;
        }
    }
}

/// Puts what threads bring in order, and tells it.
struct Telling<'a> {
    progress: SearchProgress,
    told: Instant,
    /// Hits that this answer still has room for.
    left: usize,
    sink: &'a mut dyn FnMut(Found),
}

impl Telling<'_> {
    /// Searches a page; where to go on, if the answer ends here.
    fn page(&mut self, page: Vec<Turn>, looker: &Looker<'_>) -> Option<SearchCursor> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        let threads = threads.min(page.len());
        let queue = Queue::new(page);
        thread::scope(|scope| {
            let (results, done) = mpsc::channel();
            for _ in 0..threads {
                let (results, queue) = (results.clone(), &queue);
                scope.spawn(move || work(queue, looker, threads, &results));
            }
            drop(results);
            let next = self.in_order(&done, &queue);
            queue.end();
            next
        })
    }

    fn in_order(
        &mut self,
        done: &mpsc::Receiver<(usize, Brought)>,
        queue: &Queue<Turn>,
    ) -> Option<SearchCursor> {
        let mut waiting = BTreeMap::new();
        let mut number = 0;
        loop {
            let wait = TELL_EVERY.saturating_sub(self.told.elapsed());
            match done.recv_timeout(wait) {
                Ok((number, brought)) => {
                    waiting.insert(number, brought);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            while let Some(brought) = waiting.remove(&number) {
                let next = match brought {
                    Brought::Nothing { logs, scanned, skipped } => {
                        number += logs;
                        queue.tell(number);
                        self.progress.done += logs as u64;
                        self.progress.scanned += scanned;
                        self.progress.skipped += skipped;
                        None
                    }
                    Brought::Something(looked) => {
                        number += 1;
                        queue.tell(number);
                        self.tell(*looked)
                    }
                };
                if next.is_some() {
                    return next;
                }
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.told = Instant::now();
                (self.sink)(Found::Progress(self.progress));
            }
            if number == queue.len() {
                return None;
            }
        }
    }

    /// Tells of one log; where to go on, if the answer ends with it.
    fn tell(&mut self, mut looked: Looked) -> Option<SearchCursor> {
        let cursor = |line| SearchCursor {
            created_us: looked.summary.created_us,
            id: looked.summary.id,
            line,
        };
        let mut next = looked.halted.map(|line| cursor(Some(line)));
        if looked.lines.len() > self.left {
            next = Some(cursor(Some(looked.lines[self.left].line)));
            looked.lines.truncate(self.left);
            looked.more = false;
        }
        let progress = &mut self.progress;
        progress.done += u64::from(next.is_none());
        progress.scanned += looked.scanned;
        progress.skipped += looked.skipped;
        progress.hits += looked.lines.len() as u64;
        self.left -= looked.lines.len();
        let behind = cursor(None);
        let (id, more) = (looked.summary.id, looked.more);
        if !looked.lines.is_empty() {
            let (summary, lines) = (Box::new(looked.summary), looked.lines);
            (self.sink)(Found::Lines { summary, lines, more });
        }
        if let Some(why) = looked.unreadable {
            (self.sink)(Found::Unreadable { id, why });
        }
        if next.is_none() && self.left == 0 {
            next = Some(behind);
        }
        next
    }
}
