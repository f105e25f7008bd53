//! `GET /api/executions/{id}/events`: the cursor that waits at the end instead of stopping.
//!
//! Pulled by the connection: a client that does not read costs nothing but its place.

use std::{
    collections::VecDeque,
    fmt::Write,
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use serde::Serialize;
use stepflow_api::{Cursor, Execution};
use stepflow_engine::{Handle, Tick};
use stepflow_record::{JournalReader, LogReader, RecordError};
use stepflow_sys::clock;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    app::App, auth, auth::Caller, limits::Place, lines, metrics::Counted, problem::Problem,
};

/// A comment is sent after this long without an event, so that nobody on the way gives up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");
/// Permission is checked again this often.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

struct Events {
    app: App,
    caller: Caller,
    handle: Arc<Handle>,
    ticks: watch::Receiver<Tick>,
    cursor: Cursor,
    log: Option<LogReader>,
    journal: Option<JournalReader>,
    /// Made, not yet taken: at most one read's worth.
    queue: VecDeque<Bytes>,
    state_version: Option<u64>,
    done: bool,
    _counted: Counted,
    alive_at: Instant,
    check_at: Instant,
    /// Given back when the stream ends.
    _place: Place,
}

/// The answer, from `cursor` on.
pub(crate) fn answer(
    app: App,
    caller: Caller,
    handle: Arc<Handle>,
    cursor: Cursor,
) -> Result<Response, Problem> {
    let place = app.gate.stream(&caller)?;
    let now = Instant::now();
    let events = Events {
        ticks: handle.subscribe(),
        _counted: app.metrics.counted(|metrics| &metrics.event_streams),
        app,
        caller,
        handle,
        cursor,
        log: None,
        journal: None,
        queue: VecDeque::new(),
        state_version: None,
        done: false,
        alive_at: now + KEEP_ALIVE,
        check_at: now + RECHECK,
        _place: place,
    };
    let chunks = stream::unfold(events, |mut events| async move {
        let chunk = events.next().await?;
        Some((Ok::<_, io::Error>(chunk), events))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn event(kind: &str, id: Cursor, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {kind}\nid: {id}\ndata: ");
    // JSON has no line breaks, so that one `data:` line holds it.
    text.push_str(&serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned()));
    let _ = write!(text, "\n\n");
    text.into()
}

/// The event that brings `lines`, behind which `cursor` stands.
fn lines_event(lines: Vec<stepflow_record::Line>, cursor: Cursor, handle: &Handle) -> Bytes {
    let mut text =
        format!("event: lines\nid: {cursor}\ndata: {{\"cursor\":\"{cursor}\",\"lines\":")
            .into_bytes();
    lines::write_json(lines, handle, &mut text);
    text.extend_from_slice(b"}\n\n");
    text.into()
}

#[derive(Serialize)]
struct State {
    cursor: Cursor,
    execution: Execution,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.queue.pop_front() {
                self.alive_at = Instant::now() + KEEP_ALIVE;
                return Some(text);
            }
            if self.done {
                return None;
            }
            let tick = *self.ticks.borrow_and_update();
            if self.state_version.is_none() {
                self.push_state(tick);
                continue;
            }
            // A tick that says "ended" came after everything was recorded: one more read has it all.
            if self.read(tick).await.is_err() {
                return None; // Said in the log; the client comes again with its cursor.
            }
            if !self.queue.is_empty() {
                continue;
            }
            if self.state_version != Some(tick.version) {
                self.push_state(tick);
                continue;
            }
            if tick.ended {
                self.queue.push_back(event("end", self.cursor, &self.state()));
                self.done = true;
                continue;
            }
            let closing = self.app.closing.clone();
            tokio::select! {
                changed = self.ticks.changed() => if changed.is_err() {
                    self.done = true;
                },
                () = closing.cancelled() => self.done = true,
                () = sleep_until(self.alive_at) => self.queue.push_back(ALIVE),
                () = sleep_until(self.check_at) => {
                    self.check_at = Instant::now() + RECHECK;
                    self.done = !auth::still_valid(&self.app, &self.caller).await;
                    self.app.metrics.viewers_dropped.fetch_add(u64::from(self.done), Relaxed);
                }
            }
        }
    }

    fn push_state(&mut self, tick: Tick) {
        self.state_version = Some(tick.version);
        self.queue.push_back(event("state", self.cursor, &self.state()));
    }

    fn state(&self) -> State {
        let execution = Execution::new(&self.handle.summary(), clock::wall_us());
        State { cursor: self.cursor, execution }
    }

    /// Reads what is new, one message's worth of lines, then all new events.
    async fn read(&mut self, tick: Tick) -> Result<(), ()> {
        let behind =
            self.cursor.offset < tick.position.bytes || self.cursor.seq < tick.position.seq;
        if !behind && !tick.ended {
            return Ok(());
        }
        let (handle, cursor) = (Arc::clone(&self.handle), self.cursor);
        let (log, journal) = (self.log.take(), self.journal.take());
        let read = self.app.reading(move || Batch::read(&handle, cursor, log, journal, tick.ended));
        match read.await {
            Some(Ok(batch)) => {
                self.log = batch.log;
                self.journal = batch.journal;
                self.cursor = batch.cursor;
                self.queue.extend(batch.texts);
                Ok(())
            }
            Some(Err(error)) => {
                tracing::warn!(execution = %self.handle.id(), %error, "an event stream broke off");
                Err(())
            }
            None => Err(()),
        }
    }
}

struct Batch {
    log: Option<LogReader>,
    journal: Option<JournalReader>,
    cursor: Cursor,
    texts: Vec<Bytes>,
}

impl Batch {
    fn read(
        handle: &Handle,
        mut cursor: Cursor,
        log: Option<LogReader>,
        journal: Option<JournalReader>,
        ended: bool,
    ) -> Result<Self, RecordError> {
        let log = log.map_or_else(|| handle.log(), |log| Ok(Some(log)))?;
        let mut journal = journal.map_or_else(|| handle.journal(), |journal| Ok(Some(journal)))?;
        let mut texts = Vec::new();
        if let Some(log) = &log {
            let (pieces, next) = lines::of_message(log, cursor.offset, u64::MAX, ended)?;
            if !pieces.is_empty() {
                cursor.offset = next;
                texts.push(lines_event(pieces, cursor, handle));
            }
        }
        if let Some(journal) = &mut journal {
            for event_read in journal.read_new()? {
                if event_read.seq <= cursor.seq {
                    continue;
                }
                cursor.seq = event_read.seq;
                if event_read.kind != stepflow_model::EventKind::Unknown {
                    texts.push(event("event", cursor, &event_read));
                }
            }
        }
        Ok(Self { log, journal, cursor, texts })
    }
}
