//! The original's WebSocket, for clients that were written for it.
//!
//! Every client gets every message, unless it subscribes to some executions. What it gets is read
//! from the journal and the log of each record, at the client's own pace: there is no queue that a
//! client which stops reading could fill, and nobody who waits for it. The messages:
//! `docs/reference/compatibility.md`.

mod follow; // one execution -> messages
mod message; // the messages' shapes

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use serde_json::Value;
use stepflow_model::{ExecutionId, Summary};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::{
    app::App,
    auth::{self, Caller},
    limits::Place,
    problem::Problem,
    sse::RECHECK,
};
use follow::{Followed, Round};

/// Longest message of a client.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most executions that one client subscribes to.
const WANTED_MAX: usize = 1_024;
/// Changes are looked at this often: log lines come in batches.
const ROUND_EVERY: Duration = Duration::from_millis(100);

/// A connection to the port that serves nothing else.
pub(crate) async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let place = match app.gate.stream(&caller) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            .on_upgrade(move |socket| {
                let tasks = app.tasks.clone();
                tasks.track_future(serve(app, caller, socket, place, None))
            }),
        Err(rejection) => Problem::bad_request(rejection.body_text()).into_response(),
    }
}

/// Whether a message is one of the original's: it says `type` where ours say `op`.
pub(crate) fn is_legacy(text: &str) -> bool {
    let message = serde_json::from_str::<Value>(text).ok();
    message.is_some_and(|message| message.get("type").is_some() && message.get("op").is_none())
}

/// Serves one client until it goes away. `first`: what it has said already.
pub(crate) async fn serve(
    app: App,
    caller: Caller,
    socket: WebSocket,
    place: Place,
    first: Option<String>,
) {
    static CLIENTS: AtomicU64 = AtomicU64::new(1);
    let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
    app.legacy_clients.fetch_add(1, Ordering::Relaxed);
    let clients = app.clone();
    let _counted = clients.metrics.counted(|metrics| &metrics.websockets);
    let mut client = Client {
        version: app.engine.changes_since(u64::MAX - 1).version,
        app,
        caller,
        socket,
        wanted: HashSet::new(),
        known: HashSet::new(),
        followed: HashMap::new(),
    };
    let over = client.run(number, first).await;
    if let Err(Over::Close(code, reason)) = over {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(Duration::from_secs(1), client.socket.send(close)).await;
    }
    clients.legacy_clients.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

/// Why a connection is closed.
enum Over {
    Gone,
    Close(u16, &'static str),
}

struct Client {
    app: App,
    caller: Caller,
    socket: WebSocket,
    /// The executions it wants; none: all.
    wanted: HashSet<ExecutionId>,
    /// What ran already when it came, or changed what it wants: of these it gets what comes from
    /// then on, of all others everything.
    known: HashSet<ExecutionId>,
    followed: HashMap<ExecutionId, Followed>,
    /// Changes up to here have been looked at.
    version: u64,
}

impl Client {
    async fn run(&mut self, number: u64, first: Option<String>) -> Result<(), Over> {
        let clients = self.app.legacy_clients.load(Ordering::Relaxed);
        self.send(message::connection_established(number, clients)).await?;
        if let Some(first) = first {
            self.hear(&first).await?;
        }
        let mut changes = self.app.engine.changes();
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = self.app.closing.clone();
        self.follow_active().await;
        let mut due: Option<Instant> = Some(Instant::now());
        loop {
            let round_at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => self.hear(text.as_str()).await?,
                    Some(Ok(Message::Binary(_))) => {
                        self.send(message::error("text frames only")).await?;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Gone),
                },
                changed = changes.changed(), if due.is_none() => {
                    if changed.is_err() {
                        return Err(Over::Gone);
                    }
                    due = Some(Instant::now() + ROUND_EVERY);
                }
                () = sleep_until(round_at), if due.is_some() => {
                    changes.mark_unchanged();
                    due = self.round().await?.then(|| Instant::now() + ROUND_EVERY);
                }
                _ = recheck.tick() => if !auth::still_valid(&self.app, &self.caller).await {
                    return Err(Over::Close(close_code::POLICY, "the login has ended"));
                },
                () = closing.cancelled() => {
                    return Err(Over::Close(close_code::RESTART, "the server is stopping"));
                }
            }
        }
    }

    /// Of what runs already, and is not followed yet, what comes from now on is sent.
    async fn follow_active(&mut self) {
        let active = self.app.engine.active();
        self.known = active.iter().map(|summary| summary.id).collect();
        for summary in active {
            self.notice(&summary).await;
        }
    }

    fn wants(&self, id: ExecutionId) -> bool {
        self.wanted.is_empty() || self.wanted.contains(&id)
    }

    /// Begins to follow what is wanted and not followed yet.
    async fn notice(&mut self, summary: &Summary) {
        let id = summary.id;
        if !self.wants(id) || self.followed.contains_key(&id) {
            return;
        }
        let new = !self.known.contains(&id);
        let handle = match self.app.engine.live(id) {
            Some(handle) => handle,
            None => match self.app.engine.execution(id).await {
                Ok(handle) => handle,
                Err(_) => return, // Deleted since.
            },
        };
        let followed = tokio::task::spawn_blocking(move || Followed::new(handle, new)).await;
        match followed {
            Ok(Ok(followed)) => drop(self.followed.insert(id, followed)),
            Ok(Err(error)) => tracing::warn!(execution = %id, %error, "cannot follow a record"),
            Err(_) => {}
        }
    }

    /// Sends what is new of everything. Returns whether there will be more without a change.
    async fn round(&mut self) -> Result<bool, Over> {
        let news = self.app.engine.changes_since(self.version);
        self.version = news.version;
        if news.incomplete {
            self.follow_active().await;
        }
        for entry in news.entries {
            let summary = match entry.ended {
                Some(ended) => Some((*ended).clone()),
                None => self.app.engine.live_summary(entry.id),
            };
            if let Some(summary) = summary {
                self.notice(&summary).await;
            }
        }
        let mut more = false;
        let ids: Vec<ExecutionId> = self.followed.keys().copied().collect();
        for id in ids {
            more |= self.advance(id).await?;
        }
        Ok(more)
    }

    /// Sends what is new of one execution. Returns whether there will be more without a change.
    async fn advance(&mut self, id: ExecutionId) -> Result<bool, Over> {
        let Some(mut followed) = self.followed.remove(&id) else { return Ok(false) };
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let round = followed.round();
                (followed, round)
            });
            let Ok((back, round)) = read.await else { return Ok(false) };
            followed = back;
            match round {
                Ok(Round { messages, state }) => {
                    for message in messages {
                        self.send(message).await?;
                    }
                    match state {
                        follow::State::More => {}
                        follow::State::Over => return Ok(false),
                        follow::State::Waits { soon } => {
                            self.followed.insert(id, followed);
                            return Ok(soon);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(execution = %id, %error, "cannot read a record");
                    return Ok(false);
                }
            }
        }
    }

    /// Waits as long as the client takes something: one that does not is cut off below us.
    async fn send(&mut self, text: String) -> Result<(), Over> {
        self.socket.send(Message::Text(text.into())).await.map_err(|_| Over::Gone)
    }

    async fn hear(&mut self, text: &str) -> Result<(), Over> {
        let Ok(Value::Object(said)) = serde_json::from_str(text) else {
            return self.send(message::error("a message is a JSON object")).await;
        };
        let kind = said.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "ping" => self.send(message::pong()).await,
            "get_status" => {
                let clients = self.app.legacy_clients.load(Ordering::Relaxed);
                self.send(message::server_status(clients)).await
            }
            "subscribe" | "subscribe_execution" | "unsubscribe" => {
                let data = said.get("data").and_then(|data| data.get("execution_id"));
                let id = data.or_else(|| said.get("execution_id")).and_then(Value::as_str);
                let parsed = id.and_then(|id| id.parse::<ExecutionId>().ok());
                match (kind, id, parsed) {
                    ("unsubscribe", None, _) => self.unsubscribe(None).await,
                    ("unsubscribe", _, Some(id)) => self.unsubscribe(Some(id)).await,
                    (_, _, Some(id)) if self.wanted.len() < WANTED_MAX => self.subscribe(id).await,
                    (_, _, Some(_)) => {
                        let why = format!("at most {WANTED_MAX} executions can be subscribed to");
                        self.send(message::error(&why)).await?;
                    }
                    (_, _, None) => {
                        let why = "`execution_id`, in `data` or beside `type`, must be the id of \
                                   an execution";
                        self.send(message::error(why)).await?;
                    }
                }
                Ok(())
            }
            _ => {
                let shown: String = kind.chars().take(80).collect();
                self.send(message::error(&format!("there is no message type `{shown}`"))).await
            }
        }
    }

    async fn subscribe(&mut self, id: ExecutionId) {
        self.wanted.insert(id);
        self.followed.retain(|followed, _| self.wanted.contains(followed));
        self.follow_active().await;
    }

    async fn unsubscribe(&mut self, id: Option<ExecutionId>) {
        match id {
            Some(id) => drop(self.wanted.remove(&id)),
            None => self.wanted.clear(),
        }
        if !self.wanted.is_empty() {
            self.followed.retain(|followed, _| self.wanted.contains(followed));
        }
        self.follow_active().await;
    }
}
