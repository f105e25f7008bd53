//! The thread that asks: the screen never waits for a disk or a network.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use stepflow_api::{ExecutionDetail, ExecutionList, Line, LogMeta};
use stepflow_model::ExecutionId;

use super::cache::Missing;
use crate::{
    commands::export::file_name,
    failure::Failure,
    source::{Find, From, Lines, Query, Source},
    text::why,
};

/// What is open is looked at again this often, while it runs.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The list is.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// Slices of a search backwards or forwards for one hit.
const SLICES_MAX: u32 = 400;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The list, now and again and again.
    List(Box<Query>),
    /// One execution by what was typed, now and again until it ends.
    Open(String),
    Lines {
        id: ExecutionId,
        levels: Option<String>,
        missing: Missing,
        generation: u64,
    },
    /// The next line of level error behind this one, or before it.
    Error {
        id: ExecutionId,
        from: u64,
        back: bool,
    },
    /// The next hit behind this line, or before it.
    Hit {
        id: ExecutionId,
        find: Find,
    },
    /// Counts all hits.
    Count {
        id: ExecutionId,
        find: Find,
    },
    /// The rank of a line among those of these levels.
    Rank {
        id: ExecutionId,
        levels: String,
        line: u64,
    },
    Cancel(Vec<ExecutionId>),
    /// The same again, on its own.
    Rerun(Vec<ExecutionId>),
    /// Where a page shows it.
    Page(ExecutionId),
    /// Its log, as recorded, in a file here.
    Save(ExecutionId),
}

/// An answer.
#[derive(Debug)]
pub enum Said {
    List(ExecutionList),
    Opened {
        detail: Box<ExecutionDetail>,
        meta: Box<LogMeta>,
        page: Option<String>,
    },
    Lines {
        id: ExecutionId,
        from: u64,
        lines: Vec<Line>,
        total: Option<u64>,
        generation: u64,
    },
    Error {
        id: ExecutionId,
        line: Option<u64>,
        wrapped: bool,
    },
    Hit {
        id: ExecutionId,
        line: Option<u64>,
        wrapped: bool,
    },
    Count {
        id: ExecutionId,
        text: String,
        lines: u64,
        complete: bool,
    },
    Rank {
        id: ExecutionId,
        rank: u64,
    },
    /// How many were asked to stop, how many had ended; and why it went no further.
    Cancelled {
        asked: usize,
        ended: usize,
        failed: Option<String>,
    },
    /// What was run again is this now; and why it went no further.
    Reran {
        ids: Vec<ExecutionId>,
        failed: Option<String>,
    },
    /// Where a page shows it, if there is one.
    Page(Option<String>),
    /// The file that a log is in now, and its size.
    Saved {
        file: String,
        bytes: u64,
    },
    Failed {
        text: String,
        away: bool,
    },
}

/// Asks until nobody wants answers.
pub fn work(mut source: Box<dyn Source>, asked: &Receiver<Ask>, said: &Sender<Said>) {
    let mut list: Option<Query> = None;
    let mut open: Option<(ExecutionId, bool)> = None;
    let mut count: Option<(ExecutionId, Find, u64)> = None;
    let mut looked = Instant::now();
    loop {
        let wait = if count.is_some() { Duration::ZERO } else { Duration::from_millis(50) };
        let answer = match asked.recv_timeout(wait) {
            Ok(Ask::List(query)) => {
                looked = Instant::now();
                let answer = source.list(&query).map(Said::List);
                (list, open, count) = (Some(*query), None, None);
                Some(answer)
            }
            Ok(Ask::Open(text)) => {
                looked = Instant::now();
                count = None;
                let opened = source.find(&text).and_then(|id| {
                    let said = look(&mut *source, id, true)?;
                    open = Some((id, false));
                    Ok(said)
                });
                Some(opened)
            }
            Ok(Ask::Count { id, find }) => {
                count = Some((id, find, 0));
                None
            }
            Ok(ask) => Some(one(&mut *source, ask)),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some((id, find, lines)) = count.take() {
                    let (answer, next) = counted(&mut *source, id, find, lines);
                    count = next;
                    Some(answer)
                } else if let Some((id, false)) = open
                    && looked.elapsed() >= LOOK_EVERY
                {
                    looked = Instant::now();
                    Some(look(&mut *source, id, false))
                } else if open.is_none()
                    && looked.elapsed() >= LIST_EVERY
                    && let Some(query) = &list
                {
                    looked = Instant::now();
                    Some(source.list(query).map(Said::List))
                } else {
                    None
                }
            }
        };
        let Some(answer) = answer else { continue };
        let answer = answer.unwrap_or_else(|failure| Said::Failed {
            text: failure.to_string(),
            away: source.is_away(),
        });
        if let (Said::Opened { detail, meta, .. }, Some((id, ended))) = (&answer, &mut open)
            && detail.execution.id == *id
        {
            *ended = meta.ended && meta.complete && detail.execution.completed_at.is_some();
        }
        if said.send(answer).is_err() {
            return;
        }
    }
}

fn look(source: &mut dyn Source, id: ExecutionId, first: bool) -> Result<Said, Failure> {
    // The log first: what is said of it is never more than what the steps know.
    let meta = source.meta(id)?;
    let detail = source.detail(id)?;
    let page = if first { source.page(id) } else { None };
    Ok(Said::Opened { detail: Box::new(detail), meta: Box::new(meta), page })
}

fn one(source: &mut dyn Source, ask: Ask) -> Result<Said, Failure> {
    match ask {
        Ask::Lines { id, levels, missing, generation } => {
            let filtered = levels.is_some();
            let lines = match levels {
                None => Lines { from: missing.from, limit: missing.count, ..Lines::default() },
                Some(levels) => Lines {
                    from: 1,
                    skip: missing.from - 1,
                    limit: missing.count,
                    levels: Some(levels),
                },
            };
            let range = source.lines(id, &lines)?;
            let total = range.filtered.filter(|_| filtered).map(|found| found.total);
            Ok(Said::Lines { id, from: missing.from, lines: range.lines, total, generation })
        }
        Ask::Error { id, from, back } => {
            let (line, wrapped) = error(source, id, from, back)?;
            Ok(Said::Error { id, line, wrapped })
        }
        Ask::Hit { id, find } => {
            let (line, wrapped) = hit(source, id, find)?;
            Ok(Said::Hit { id, line, wrapped })
        }
        Ask::Rank { id, levels, line } => {
            let (rank, _) = rank(source, id, &levels, line)?;
            Ok(Said::Rank { id, rank })
        }
        Ask::Cancel(ids) => {
            let (mut asked, mut ended, mut failed) = (0, 0, None);
            for id in ids {
                match source.cancel(id) {
                    Ok(true) => asked += 1,
                    Ok(false) => ended += 1,
                    Err(failure) => {
                        failed = Some(failure.to_string());
                        break;
                    }
                }
            }
            Ok(Said::Cancelled { asked, ended, failed })
        }
        Ask::Rerun(ids) => {
            let (mut again, mut failed) = (Vec::new(), None);
            for id in ids {
                match source.rerun(id) {
                    Ok(id) => again.push(id),
                    Err(failure) => {
                        failed = Some(failure.to_string());
                        break;
                    }
                }
            }
            Ok(Said::Reran { ids: again, failed })
        }
        Ask::Page(id) => Ok(Said::Page(source.page(id))),
        Ask::Save(id) => save(source, id),
        Ask::List(_) | Ask::Open(_) | Ask::Count { .. } => Err(Failure::new("asked elsewhere")),
    }
}

/// Writes the log into a file of the working directory that is not there yet.
fn save(source: &mut dyn Source, id: ExecutionId) -> Result<Said, Failure> {
    let path = file_name(&source.detail(id)?, "log");
    let file = path.display().to_string();
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(why::is_there(&file)),
        _ => Failure::new(why::cannot_write(&file, error)),
    };
    let mut out = BufWriter::new(File::create_new(&path).map_err(cannot)?);
    let bytes = source.raw(id, 0, &mut out)?;
    out.flush().map_err(cannot)?;
    Ok(Said::Saved { file, bytes })
}

/// How many lines of these levels come before `line`, and how many there are.
fn rank(
    source: &mut dyn Source,
    id: ExecutionId,
    levels: &str,
    line: u64,
) -> Result<(u64, u64), Failure> {
    let mut at = |skip: u64| {
        let levels = Some(levels.to_owned());
        source.lines(id, &Lines { from: 1, skip, limit: 1, levels })
    };
    let total = at(0)?.filtered.map_or(0, |found| found.total);
    let (mut low, mut high) = (0, total);
    while low < high {
        let middle = low + (high - low) / 2;
        match at(middle)?.lines.first() {
            Some(found) if found.n < line => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok((low, total))
}

fn error(
    source: &mut dyn Source,
    id: ExecutionId,
    from: u64,
    back: bool,
) -> Result<(Option<u64>, bool), Failure> {
    let levels = || Some("error".to_owned());
    if !back {
        let next = Lines { from: from + 1, limit: 1, levels: levels(), skip: 0 };
        if let Some(line) = source.lines(id, &next)?.lines.first() {
            return Ok((Some(line.n), false));
        }
        let first = source.lines(id, &Lines { from: 1, limit: 1, levels: levels(), skip: 0 })?;
        return Ok((first.lines.first().map(|line| line.n), true));
    }
    let (before, total) = rank(source, id, "error", from)?;
    let (at, wrapped) = if before > 0 { (before, false) } else { (total, true) };
    if at == 0 {
        return Ok((None, wrapped));
    }
    let found = source.lines(id, &Lines { from: 1, skip: at - 1, limit: 1, levels: levels() })?;
    Ok((found.lines.first().map(|line| line.n), wrapped))
}

fn hit(
    source: &mut dyn Source,
    id: ExecutionId,
    mut find: Find,
) -> Result<(Option<u64>, bool), Failure> {
    let back = matches!(find.from, From::Before(_));
    let mut wrapped = false;
    for _ in 0..SLICES_MAX {
        let answer = source.search(id, &find)?;
        if let Some(hit) = answer.hits.first() {
            return Ok((Some(hit.line), wrapped));
        }
        find.from = match (answer.complete, wrapped) {
            (true, true) => return Ok((None, true)),
            (true, false) => {
                wrapped = true;
                if back { From::Before(u64::MAX >> 1) } else { From::Line(1) }
            }
            (false, _) if back => From::Before(answer.next_line),
            (false, _) => From::Cursor(answer.cursor),
        };
    }
    Ok((None, wrapped))
}

/// Counts one slice on; returns what goes on with it.
type Counting = Option<(ExecutionId, Find, u64)>;

fn counted(
    source: &mut dyn Source,
    id: ExecutionId,
    mut find: Find,
    before: u64,
) -> (Result<Said, Failure>, Counting) {
    match source.search(id, &find) {
        Err(failure) => (Err(failure), None),
        Ok(answer) => {
            let lines = before + answer.lines;
            let text = find.text.clone();
            let said = Said::Count { id, text, lines, complete: answer.complete };
            find.from = From::Cursor(answer.cursor);
            (Ok(said), (!answer.complete).then_some((id, find, lines)))
        }
    }
}
