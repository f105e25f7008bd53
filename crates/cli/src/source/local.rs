//! A storage on this host: the records answer. With a server on it as well, for it only reads the
//! same files; what has to be changed is asked of the recorder, or of that server.

mod draw; // lines as a page shows them

use std::{
    fs::{self, File},
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use stepflow_api::{
    Annotation, Artifact, Cursor, Execution, ExecutionDetail, ExecutionList, FilteredLines,
    LogMeta, LogRange, LogSearch, SearchEvent, SearchHit, Step, StepHits, TestList,
};
use stepflow_catalog::{LIST_LIMIT_MAX, ListQuery, Order, Reader};
use stepflow_engine::Search;
use stepflow_model::{ExecutionId, Status};
use stepflow_record::{RecordView, Storage};
use stepflow_server::{Seen, TestQuery, Whose};
use stepflow_sys::clock;
use stepflow_view::{Bounds, Filter, Hit, Pattern, Syntax, View};

use self::draw::{dress, levels, read};
use super::{Find, FindAll, From, Lines, Query, Source, html, meta};
use crate::{
    commands::{self, cancel, look, rerun},
    failure::Failure,
    run::{follow::Follower, known},
    text::{found, why},
};

/// One answer scans no longer than this; what is known then is the answer.
const SCAN_WITHIN: Duration = Duration::from_millis(150);
/// One answer searches no longer than this.
const SEARCH_WITHIN: Duration = Duration::from_millis(250);
/// Hits of a search over many logs that are gathered before it goes on.
const HITS_AT_ONCE: usize = 1_000;
/// Nobody else waits for a search here: it has all the time that it takes.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Most text of one answer, about.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Lines that are read at once.
const BATCH: usize = 256;

/// The storage, and the record that was asked about last.
pub struct Local {
    storage: Storage,
    caught_up: bool,
    reader: Option<Reader>,
    open: Option<Open>,
    /// The tests that were asked for last.
    tests: Option<(ExecutionId, Seen)>,
}

struct Open {
    id: ExecutionId,
    follower: Follower,
    view: Option<View>,
    /// It had ended when the view was opened.
    ended: bool,
}

impl Local {
    pub fn new(storage: Storage) -> Self {
        Self { storage, caught_up: false, reader: None, open: None, tests: None }
    }

    /// The record, with what is new in it.
    fn record(&mut self, id: ExecutionId) -> Result<&mut Open, Failure> {
        let mut open = if let Some(open) = self.open.take().filter(|open| open.id == id) {
            open
        } else {
            let follower = Follower::open(&self.storage, id)?;
            Open { id, follower, view: None, ended: false }
        };
        let ended = open.follower.look()?;
        open.follower.events.clear();
        // A record may have been mended when its end was written: it is looked at as it is now.
        if open.view.is_none() || (ended && !open.ended) {
            open.view = view(&self.storage, id)?;
            open.ended = ended;
        }
        Ok(self.open.insert(open))
    }

    fn reader(&mut self) -> Result<&Reader, Failure> {
        if !self.caught_up {
            look::catch_up(&self.storage)?;
            self.caught_up = true;
        }
        if self.reader.is_none() {
            self.reader = Some(look::open(&self.storage)?);
        }
        self.reader
            .as_ref()
            .ok_or_else(|| Failure::new(why::catalog_unreadable()).hint(why::doctor_looks()))
    }
}

/// A view of our own: a server may be writing the one in the cache. What that one knows already is
/// taken over; the copy has no name, so nothing is left of it.
fn view(storage: &Storage, id: ExecutionId) -> Result<Option<View>, Failure> {
    let own = storage.cache_dir().join(format!("{id}.{}.view", uuid::Uuid::now_v7().simple()));
    let _ = fs::copy(storage.view_cache(id), &own);
    let view = View::open(&storage.record_dir(id), &own);
    let _ = fs::remove_file(&own);
    view.map_err(|error| Failure::from_error(&error))
}

fn scan(view: &mut View, within: Duration) -> Result<bool, Failure> {
    let until = Instant::now() + within;
    view.advance(&mut || Instant::now() < until).map_err(|error| Failure::from_error(&error))
}

impl Source for Local {
    fn find(&mut self, text: &str) -> Result<ExecutionId, Failure> {
        commands::find(&self.storage, text)
    }

    fn list(&mut self, query: &Query) -> Result<ExecutionList, Failure> {
        // What began and ended since is to be on every list.
        self.caught_up = false;
        let limit = query.limit.min(LIST_LIMIT_MAX);
        let before = query.before.as_deref().map(|text| {
            let parts = text.split_once('.');
            parts.and_then(|(us, id)| Some((us.parse().ok()?, id.parse().ok()?)))
        });
        if before == Some(None) {
            return Err(Failure::new(why::wrong_cursor()).hint(why::next_before()));
        }
        let asked = ListQuery { before: before.flatten(), limit, ..conditions(query) };
        let reader = self.reader()?;
        let total = reader.total(&asked).map_err(|error| Failure::from_error(&error))?;
        // What is nowhere need not be looked for a second time.
        let mut found = match total {
            0 => Vec::new(),
            _ => reader
                .list(&ListQuery { limit: limit + 1, ..asked })
                .map_err(|error| Failure::from_error(&error))?,
        };
        // The reader's own limit hides the one more; the last page then says more by mistake.
        let full = limit == LIST_LIMIT_MAX && found.len() == limit as usize;
        let has_more = limit > 0 && (found.len() > limit as usize || full);
        found.truncate(limit as usize);
        let last = found.last().map(|last| {
            let value = match query.order {
                Order::Newest => last.created_us,
                Order::Longest | Order::Shortest => last.duration_us.unwrap_or(0) as i64,
            };
            format!("{value}.{}", last.id)
        });
        for summary in found.iter_mut().filter(|summary| summary.status == Status::Running) {
            if let Ok(view) = RecordView::open(&self.storage, summary.id) {
                summary.unresponsive = view.is_stopped();
                // The catalog on a full disk may not have learnt of it.
                summary.paused = view.state.summary.paused;
            }
        }
        let now = clock::wall_us();
        let executions: Vec<Execution> =
            found.iter().map(|summary| Execution::new(summary, now)).collect();
        Ok(ExecutionList {
            limit,
            offset: 0,
            count: executions.len(),
            total_count: total,
            has_more,
            next_before: last.filter(|_| has_more),
            executions,
            status: 200,
        })
    }

    fn tests(&mut self, id: ExecutionId, query: &TestQuery) -> Result<TestList, Failure> {
        let whose = Whose::of(&self.record(id)?.follower.view.state);
        // Without a catalog the tests are what they are, and nothing is known of their past.
        let mut seen = match self.tests.take().filter(|(of, _)| *of == id) {
            Some((_, seen)) => seen,
            None => Seen::new(&self.storage, id),
        };
        let refreshed = match self.reader() {
            Ok(reader) => seen.refresh(&whose, Some(reader)),
            Err(_) => seen.refresh(&whose, None),
        };
        refreshed.map_err(|error| Failure::from_error(&error))?;
        let list = seen.list(&whose, query);
        self.tests = Some((id, seen));
        Ok(list)
    }

    fn detail(&mut self, id: ExecutionId) -> Result<ExecutionDetail, Failure> {
        let (stored_bytes, compressed) = self.storage.stored_log(id);
        let view = &mut self.record(id)?.follower.view;
        view.state.summary.unresponsive = view.is_stopped();
        let state = &view.state;
        let now = clock::wall_us();
        Ok(ExecutionDetail {
            execution: Execution::new(&state.summary, now),
            steps: state.steps.iter().map(|step| Step::new(id, step, now)).collect(),
            artifacts: state.artifacts.iter().map(|file| Artifact::new(id, file)).collect(),
            annotations: state.annotations.iter().map(Annotation::from).collect(),
            told: stepflow_api::Told::of(state),
            logs: Vec::new(),
            stored_bytes,
            compressed,
            status: 200,
        })
    }

    fn lines(&mut self, id: ExecutionId, lines: &Lines) -> Result<LogRange, Failure> {
        let Open { follower, view, .. } = self.record(id)?;
        let state = &follower.view.state;
        let (ended, seq) = (state.summary.status.is_end(), state.summary.position.seq);
        let mut range = LogRange {
            from_line: lines.from,
            lines: Vec::new(),
            total_lines: 0,
            total_bytes: 0,
            cursor: Cursor { offset: 0, seq },
            ended,
            filtered: None,
        };
        let Some(view) = view else { return Ok(range) };
        let complete = scan(view, SCAN_WITHIN)?;
        (range.total_bytes, range.total_lines) = view.log().position()?;
        match &lines.levels {
            None => {
                let read = read(view, lines.from, lines.limit)?;
                range.lines = dress(view, read, |offset| state.owner_of(offset))?;
            }
            Some(words) => {
                let filter = Filter { levels: levels(words)?, stderr_only: false, context: 0 };
                let found = view
                    .filter(filter, lines.from, lines.skip, lines.limit)
                    .map_err(|error| Failure::from_error(&error))?;
                range.filtered =
                    Some(FilteredLines { total: found.total, matches: found.matches, complete });
                let mut text = 0;
                for run in found.lines.chunk_by(|a, b| a.0 + 1 == b.0) {
                    if text > TEXT_BYTES_MAX {
                        break;
                    }
                    let read = read(view, run[0].0, run.len())?;
                    text += read.iter().map(|line| line.text.len() as u64).sum::<u64>();
                    range.lines.extend(dress(view, read, |offset| state.owner_of(offset))?);
                }
            }
        }
        let last = range.lines.last();
        range.cursor.offset = last.map_or(range.total_bytes, |line| line.offset + line.bytes);
        Ok(range)
    }

    fn meta(&mut self, id: ExecutionId) -> Result<LogMeta, Failure> {
        let stored = self.storage.stored_log(id);
        let Open { follower, view, .. } = self.record(id)?;
        let complete = match view {
            Some(view) => scan(view, SCAN_WITHIN)?,
            None => true,
        };
        meta::meta(&follower.view.state, view.as_ref(), complete, stored)
    }

    fn search(&mut self, id: ExecutionId, find: &Find) -> Result<LogSearch, Failure> {
        let pattern = Pattern::new(&find.text, Syntax { regex: find.regex, case: find.case })
            .map_err(|error| Failure::from_error(&error))?;
        let Open { follower, .. } = self.record(id)?;
        let ended = follower.view.state.summary.status.is_end();
        let owners: Vec<_> =
            follower.view.state.owners.iter().map(|(offset, _, step)| (*offset, *step)).collect();
        let owner = |offset: u64| {
            let after = owners.partition_point(|owner| owner.0 <= offset);
            after.checked_sub(1).and_then(|at| owners[at].1)
        };
        let mut answer = LogSearch {
            hits: Vec::new(),
            lines: 0,
            matches: 0,
            steps: Vec::new(),
            density: Vec::new(),
            from_line: 1,
            next_line: 1,
            total_lines: 0,
            cursor: "0.1".to_owned(),
            complete: true,
            ended,
        };
        let Some(log) = follower.view.log()? else { return Ok(answer) };
        let (bytes, lines) = log.position()?;
        let half = u64::from(ended && bytes > log.line_start(lines + 1)?);
        answer.total_lines = lines + half;
        let until = Instant::now() + SEARCH_WITHIN;
        let mut go_on = || Instant::now() < until;
        let mut hits: Vec<Hit> = Vec::new();
        let mut steps = std::collections::BTreeMap::<Option<u32>, u64>::new();
        let mut take = |hit: Hit| {
            answer.lines += 1;
            answer.matches += hit.matches;
            *steps.entry(owner(hit.offset)).or_default() += 1;
            if hits.len() < find.limit {
                hits.push(hit);
            }
        };
        if let From::Before(before) = &find.from {
            let before = (*before).min(lines + 1 + half);
            let limit = find.limit.max(1);
            let (found, next) =
                stepflow_view::search_back(log, &pattern, before, limit, &mut go_on)?;
            found.into_iter().for_each(&mut take);
            (answer.from_line, answer.next_line) = (before, next);
            answer.complete = next <= 1;
            answer.cursor = format!("0.{next}");
        } else {
            let from = match &find.from {
                From::Cursor(text) => {
                    cursor(text).ok_or_else(|| Failure::new(why::wrong_cursor()))?
                }
                From::Line(line) => {
                    let line = (*line).clamp(1, lines + 1);
                    stepflow_view::Cursor { offset: log.line_start(line)?, line }
                }
                From::Before(_) => stepflow_view::Cursor { offset: 0, line: 1 },
            };
            let bounds = Bounds { until: u64::MAX, half: ended };
            let (next, complete) =
                stepflow_view::search(log, &pattern, from, bounds, &mut go_on, &mut take)?;
            (answer.from_line, answer.next_line) = (from.line, next.line);
            answer.cursor = format!("{}.{}", next.offset, next.line);
            answer.complete = complete;
        }
        for hit in hits {
            answer.hits.push(SearchHit {
                line: hit.line,
                step: owner(hit.offset),
                matches: hit.matches,
                spans: stepflow_view::spans(log, &pattern, hit)?,
            });
        }
        answer.steps = steps.into_iter().map(|(step, lines)| StepHits { step, lines }).collect();
        Ok(answer)
    }

    fn search_all(
        &mut self,
        all: &FindAll,
        sink: &mut dyn FnMut(SearchEvent) -> bool,
    ) -> Result<(), Failure> {
        let syntax = Syntax { regex: all.regex, case: all.case };
        let pattern =
            Pattern::new(&all.text, syntax).map_err(|error| Failure::from_error(&error))?;
        self.caught_up = false;
        let reader = self.reader()?.clone();
        let mut search = Search {
            pattern,
            list: conditions(&all.query),
            step: all.step.clone(),
            context: all.context,
            each: all.each,
            limit: HITS_AT_ONCE,
            after: None,
            until: Instant::now() + FOR_EVER,
        };
        let enough = AtomicBool::new(false);
        loop {
            let mut take = |event| {
                if !enough.load(Relaxed) && !sink(event) {
                    enough.store(true, Relaxed);
                }
            };
            let ended = stepflow_engine::search(
                &self.storage,
                &reader,
                &search,
                &|| !enough.load(Relaxed),
                &mut |found| take(stepflow_server::search_event(found)),
            )
            .map_err(|error| Failure::from_error(&error))?;
            if enough.load(Relaxed) {
                return Ok(());
            }
            search.after = ended.next;
            if search.after.is_none() {
                let end = stepflow_engine::Found::Ended(ended.progress);
                take(stepflow_server::search_event(end));
                return Ok(());
            }
        }
    }

    fn raw(&mut self, id: ExecutionId, from: u64, out: &mut dyn Write) -> Result<u64, Failure> {
        let Open { follower, .. } = self.record(id)?;
        let Some(log) = follower.view.log()? else { return Ok(0) };
        let (end, _) = log.position()?;
        let mut missing = |gone: stepflow_model::Dropped| {
            writeln!(io::stderr(), "{}", found::dropped(gone.bytes(), gone.from, gone.to))
        };
        Ok(log.copy_kept(from, end, out, &mut missing)?)
    }

    fn artifact(&mut self, artifact: &str, out: &mut dyn Write) -> Result<u64, Failure> {
        let unknown = || Failure::new(why::no_artifact(artifact));
        let execution = artifact.rsplit_once("-a").and_then(|(id, _)| id.parse().ok());
        let Some(id): Option<ExecutionId> = execution else {
            return Err(unknown().hint(why::artifacts_ls_lists()));
        };
        let record = RecordView::open(&self.storage, id)?;
        let found = record.state.artifacts.iter().find(|one| Artifact::new(id, one).id == artifact);
        let digest = found
            .and_then(|one| one.sha256.as_deref())
            .ok_or_else(|| unknown().hint(why::still_copied()))?;
        let path = self.storage.artifact_dir(id).join(digest);
        let mut file = File::open(&path)
            .map_err(|error| Failure::new(why::cannot_read(path.display(), error)))?;
        Ok(io::copy(&mut file, out)?)
    }

    fn html(&mut self, id: ExecutionId, out: &mut dyn Write) -> Result<(), Failure> {
        let detail = self.detail(id)?;
        let Open { follower, view, .. } = self.record(id)?;
        let owners = meta::owners(&follower.view.state);
        if let Some(view) = view {
            view.advance(&mut || true).map_err(|error| Failure::from_error(&error))?;
        }
        html::write(&detail, owners, view.as_ref(), out)
    }

    fn cancel(&mut self, id: ExecutionId) -> Result<bool, Failure> {
        cancel::one(&self.storage, id)
    }

    fn rerun(&mut self, id: ExecutionId) -> Result<ExecutionId, Failure> {
        rerun::detached(&self.storage, id)
    }

    fn active(&mut self) -> Result<Vec<ExecutionId>, Failure> {
        Ok(self.storage.open_executions()?)
    }

    fn page(&self, id: ExecutionId) -> Option<String> {
        Some(format!("{}/executions/{id}", known::address(&self.storage)?))
    }

    fn wait(&mut self, id: ExecutionId, timeout: Duration) -> Result<(), Failure> {
        let open = self.record(id)?;
        if !open.ended {
            open.follower.wait(timeout, &[]);
        }
        Ok(())
    }
}

/// What a query asks the catalog.
fn conditions(query: &Query) -> ListQuery {
    ListQuery {
        status: query.status.as_deref().and_then(Status::from_word),
        user: query.user.clone(),
        name: query.name.clone(),
        name_contains: query.name_contains.clone(),
        tag: query.tag.clone(),
        exit_code: query.exit_code,
        source: query.source.as_deref().and_then(stepflow_model::Source::from_word),
        longer_than_us: query.longer_than.map(micros),
        shorter_than_us: query.shorter_than.map(micros),
        without: query.without.clone(),
        since_us: query.since_us,
        until_us: query.until_us,
        pinned: query.pinned,
        order: query.order,
        ..ListQuery::default()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn cursor(text: &str) -> Option<stepflow_view::Cursor> {
    let (offset, line) = text.split_once('.')?;
    Some(stepflow_view::Cursor { offset: offset.parse().ok()?, line: line.parse().ok()? })
}
