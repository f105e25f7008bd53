//! What `/ws` can be subscribed to. Each subscription is a task that pulls: it looks at the state
//! when the client has taken what came before, and holds nothing back for it.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, extract::ws::Utf8Bytes};

use stepflow_api::{Annotation, Artifact, Cursor, Execution, ServerMessage, Statistics, Step};
use stepflow_engine::{Changed, Engine, Handle, Mark, QueryError, Tick};
use stepflow_model::Position;
use stepflow_record::LogReader;
use stepflow_sys::clock;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    app::App,
    lines,
    problem::Problem,
    shared::{Batch, Recent},
};

/// Each execution is sent at most ten times a second.
const EXECUTIONS_EVERY: Duration = Duration::from_millis(100);
/// Statistics at most once a second.
const STATISTICS_EVERY: Duration = Duration::from_secs(1);
/// Wake-ups are merged in this time.
const COALESCE: Duration = Duration::from_millis(20);

/// What was written so little before is read at once, from the page cache: another thread would have
/// to be woken for it.
const NEAR_BYTES: u64 = 64 * 1024;

/// One message, or two that go out together, as they are sent: text takes less room than what it is
/// made of.
pub(crate) type Parcel = (Utf8Bytes, Option<Utf8Bytes>);

/// Where a subscription's messages go. An error: the client is gone.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(pub(crate) mpsc::Sender<Parcel>);

impl Outbox {
    async fn send(&self, message: &ServerMessage) -> Result<(), Over> {
        self.send_both(None, as_text(message)).await
    }

    async fn send_both(
        &self,
        first: Option<Utf8Bytes>,
        second: Option<Utf8Bytes>,
    ) -> Result<(), Over> {
        let parcel = match (first, second) {
            (Some(first), second) => (first, second),
            (None, Some(only)) => (only, None),
            (None, None) => return Ok(()),
        };
        self.0.send(parcel).await.map_err(|_| Over)
    }
}

fn as_text(message: &ServerMessage) -> Option<Utf8Bytes> {
    serde_json::to_string(message).ok().map(Utf8Bytes::from) // Not an error: it is made of text.
}

/// [`ServerMessage::Lines`] as text; `json`: the array of lines.
fn lines_message(sub: u64, cursor: Cursor, json: &[u8]) -> Utf8Bytes {
    let head = format!("{{\"op\":\"lines\",\"sub\":{sub},\"cursor\":\"{cursor}\",\"lines\":");
    let mut text = Vec::with_capacity(head.len() + json.len() + 1);
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(json);
    text.push(b'}');
    // What serde_json writes is UTF-8.
    Utf8Bytes::try_from(Bytes::from(text)).unwrap_or_default()
}

/// Statistics as they are sent.
pub(crate) async fn statistics(engine: &Engine) -> Result<Statistics, QueryError> {
    let counted = engine.statistics().await?;
    let by_status =
        counted.by_status.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
    Ok(Statistics::new(
        by_status,
        counted.completed_duration_us_sum,
        counted.completed_duration_count,
    ))
}

/// Topic `executions`: all that are active, then whatever changes.
pub(crate) async fn executions(app: App, sub: u64, out: Outbox) {
    let mut changes = app.engine.changes();
    // Before the first look, so that no change falls between the two.
    let mut version = app.engine.changes_since(u64::MAX - 1).version;
    let mut all = true;
    let mut statistics_at = Instant::now();
    let mut statistics_due = true;
    loop {
        let summaries = if std::mem::take(&mut all) {
            app.engine.active()
        } else {
            let news = app.engine.changes_since(version);
            version = news.version;
            all = news.incomplete;
            let entries = news.entries.into_iter();
            entries
                .filter_map(|entry| match entry.ended {
                    Some(ended) => Some((*ended).clone()),
                    None => app.engine.live_summary(entry.id),
                })
                .collect()
        };
        for summary in summaries {
            let execution = Box::new(Execution::new(&summary, clock::wall_us()));
            if out.send(&ServerMessage::Execution { sub, execution }).await.is_err() {
                return;
            }
        }
        if statistics_due && statistics_at <= Instant::now() {
            statistics_due = false;
            statistics_at = Instant::now() + STATISTICS_EVERY;
            if let Ok(statistics) = statistics(&app.engine).await
                && out.send(&ServerMessage::Statistics { sub, statistics }).await.is_err()
            {
                return;
            }
        }
        if all {
            continue;
        }
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                statistics_due = true;
                sleep(EXECUTIONS_EVERY).await;
            }
            () = sleep_until(statistics_at), if statistics_due => {}
        }
    }
}

/// Topic `execution`, from `cursor` on.
pub(crate) struct One {
    pub(crate) app: App,
    pub(crate) sub: u64,
    pub(crate) handle: Arc<Handle>,
    pub(crate) out: Outbox,
    pub(crate) cursor: Cursor,
    pub(crate) lines: bool,
}

/// The client is gone, or the record cannot be read.
pub(crate) struct Over;

impl One {
    pub(crate) async fn run(mut self) {
        if matches!(self.follow().await, Ok(Some(()))) {
            let cursor = self.cursor;
            let _ = self.out.send(&ServerMessage::End { sub: self.sub, cursor }).await;
        }
    }

    /// `Ok(Some)`: the execution has ended and everything was sent.
    async fn follow(&mut self) -> Result<Option<()>, Over> {
        let mut ticks = self.handle.subscribe();
        let mut mark = Mark::default();
        let mut sent_version = None;
        let mut sent_position: Option<(Position, bool)> = None;
        let mut log: Option<LogReader> = None;
        let mut sent_at: Option<Instant> = None;
        let recent = self.app.shared.of(self.handle.id());
        loop {
            let tick = *ticks.borrow_and_update();
            if !self.lines {
                // Nothing else moves it: the client reads lines when it wants them.
                self.cursor = Cursor { offset: tick.position.bytes, seq: tick.position.seq };
            }
            self.cursor.seq = tick.position.seq;
            if sent_version != Some(tick.version) {
                let changed = self.handle.changes(&mut mark);
                let message = self.state(changed, sent_version.is_none());
                self.send(message).await?;
                sent_version = Some(tick.version);
            }
            let mut caught_up = true;
            let mut lines = None;
            if self.lines {
                let read;
                (read, log) = self.read(log.take(), tick, &recent).await?;
                if let Some((text, cursor)) = read {
                    self.cursor = cursor;
                    lines = Some(text);
                    caught_up = cursor.offset >= tick.position.bytes;
                }
            }
            let mut position = None;
            if sent_position != Some((tick.position, tick.ended)) {
                sent_position = Some((tick.position, tick.ended));
                let Position { bytes, lines, seq } = tick.position;
                let (sub, cursor, ended) = (self.sub, self.cursor, tick.ended);
                let message = ServerMessage::Position { sub, lines, bytes, seq, cursor, ended };
                position = as_text(&message);
            }
            if lines.is_some() || position.is_some() {
                self.out.send_both(lines, position).await?;
                sent_at = Some(Instant::now());
            }
            if caught_up {
                if tick.ended {
                    return Ok(Some(()));
                }
                if ticks.changed().await.is_err() {
                    return Ok(None);
                }
                // What comes after a pause is sent at once, what follows it together.
                if let Some(sent_at) = sent_at.filter(|at| at.elapsed() < COALESCE) {
                    sleep_until(sent_at + COALESCE).await;
                }
            }
        }
    }

    async fn send(&self, message: ServerMessage) -> Result<(), Over> {
        self.out.send(&message).await
    }

    fn state(&self, changed: Changed, first: bool) -> ServerMessage {
        let (sub, cursor, now) = (self.sub, self.cursor, clock::wall_us());
        let id = changed.summary.id;
        let execution = Box::new(Execution::new(&changed.summary, now));
        let steps = changed.steps.iter().map(|step| Step::new(id, step, now)).collect();
        let artifacts = changed.artifacts.iter().map(|file| Artifact::new(id, file)).collect();
        let annotations = changed.annotations.iter().map(Annotation::from).collect();
        if first {
            ServerMessage::State { sub, cursor, execution, steps, artifacts, annotations }
        } else {
            ServerMessage::Update { sub, cursor, execution, steps, artifacts, annotations }
        }
    }

    /// One message's worth of lines from the cursor on, and the cursor behind them.
    async fn read(
        &self,
        log: Option<LogReader>,
        tick: Tick,
        recent: &Arc<Recent>,
    ) -> Result<(Option<(Utf8Bytes, Cursor)>, Option<LogReader>), Over> {
        let (handle, at, sub) = (Arc::clone(&self.handle), self.cursor, self.sub);
        let message = move |batch: &Batch| {
            let cursor = Cursor { offset: batch.to, ..at };
            (lines_message(sub, cursor, &batch.json), cursor)
        };
        // We hold it, and who else watches.
        let is_shared = Arc::strong_count(recent) > 1 && !tick.ended;
        if is_shared && let Some(batch) = recent.at(at.offset) {
            return Ok((Some(message(&batch)), log));
        }
        let behind = tick.position.bytes.saturating_sub(at.offset);
        if behind == 0 && !tick.ended {
            return Ok((None, log));
        }
        let near = log.is_some() && !tick.ended && behind <= NEAR_BYTES;
        let recent = is_shared.then(|| Arc::clone(recent));
        let read = move || {
            let Some(log) = log.map_or_else(|| handle.log(), |log| Ok(Some(log)))? else {
                return Ok((None, None));
            };
            // Where all viewers were told that it is, they meet.
            let to = if tick.ended { u64::MAX } else { tick.position.bytes };
            let (pieces, to) = lines::of_message(&log, at.offset, to, tick.ended)?;
            if pieces.is_empty() {
                return Ok((None, Some(log)));
            }
            let mut json = Vec::new();
            lines::write_json(pieces, &handle, &mut json);
            let batch = Batch { from: at.offset, to, json: json.into() };
            let message = message(&batch);
            if let Some(recent) = recent {
                recent.keep(batch);
            }
            Ok::<_, stepflow_record::RecordError>((Some(message), Some(log)))
        };
        match if near { Some(read()) } else { self.app.reading(read).await } {
            Some(Ok(read)) => Ok(read),
            Some(Err(error)) => {
                let problem = Problem::internal(&error).body("");
                tracing::warn!(execution = %self.handle.id(), %error, "a live stream broke off");
                let message = ServerMessage::Error { sub: Some(self.sub), problem };
                let _ = self.out.send(&message).await;
                Err(Over)
            }
            None => Err(Over),
        }
    }
}
