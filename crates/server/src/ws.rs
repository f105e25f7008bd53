//! `/ws`: one connection, many subscriptions.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed, time::Duration};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{
            CloseFrame, Message, Utf8Bytes, WebSocket, close_code,
            rejection::WebSocketUpgradeRejection,
        },
    },
    response::{IntoResponse, Response},
};
use futures_util::SinkExt as _;
use serde::Deserialize;
use stepflow_api::{ClientMessage, Cursor, ServerMessage, Topic};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    VERSION,
    app::App,
    auth::{self, Caller},
    extract::Params,
    legacy,
    limits::Place,
    problem::Problem,
    sse::RECHECK,
    topics::{One, Outbox, Parcel, executions},
};

/// Longest message of a client.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most subscriptions of one connection.
const SUBS_MAX: usize = 64;
/// Messages that wait to be sent. Subscriptions pull: one that is sent and one that waits keep the
/// wire busy, and are all that a client that takes nothing makes us hold.
const OUTBOX: usize = 1;
/// What is read at once, and what is gathered before it is written. A client sends little.
const READ_BYTES: usize = 4 * 1024;
const WRITE_BYTES: usize = 4 * 1024;

#[derive(Debug, Deserialize)]
pub(crate) struct WsParams {
    /// `legacy`: the original's messages from the first one on.
    protocol: Option<String>,
}

/// `GET /ws`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<WsParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if params.protocol.as_deref() == Some("legacy") {
        return legacy::upgrade(State(app), caller, upgrade).await;
    }
    let place = match app.gate.stream(&caller) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .on_upgrade(move |socket| {
                let tasks = app.tasks.clone();
                tasks.track_future(Connection::new(app, caller, socket).run(place))
            }),
        Err(rejection) => Problem::bad_request(rejection.body_text()).into_response(),
    }
}

struct Connection {
    app: App,
    caller: Caller,
    socket: WebSocket,
    out: Outbox,
    inbox: mpsc::Receiver<Parcel>,
    subs: HashMap<u64, AbortHandle>,
    tasks: JoinSet<()>,
    /// The client has not spoken our protocol yet.
    unspoken: bool,
}

/// Why a connection is closed.
enum Over {
    Gone,
    Close(u16, &'static str),
    /// It goes on as one of the original's: the client said this.
    Legacy(String),
}

impl Connection {
    fn new(app: App, caller: Caller, socket: WebSocket) -> Self {
        let (out, inbox) = mpsc::channel(OUTBOX);
        let (subs, tasks) = (HashMap::new(), JoinSet::new());
        Self { app, caller, socket, out: Outbox(out), inbox, subs, tasks, unspoken: true }
    }

    async fn run(mut self, place: Place) {
        let counted = self.app.metrics.counted(|metrics| &metrics.websockets);
        let over = self.serve().await;
        if let Err(Over::Legacy(first)) = over {
            drop(counted); // It is counted there.
            let Self { app, caller, socket, .. } = self;
            return legacy::serve(app, caller, socket, place, Some(first)).await;
        }
        if let Err(Over::Close(code, reason)) = over {
            let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            let _ = timeout(Duration::from_secs(1), self.socket.send(close)).await;
        }
        // Dropping the set ends the subscriptions.
    }

    async fn serve(&mut self) -> Result<(), Over> {
        self.send(&ServerMessage::Hello { version: VERSION.to_owned() }).await?;
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = self.app.closing.clone();
        loop {
            tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => self.hear(text.as_str()).await?,
                    Some(Ok(Message::Binary(_))) => {
                        return Err(Over::Close(close_code::UNSUPPORTED, "text frames only"));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Gone),
                },
                Some((first, second)) = self.inbox.recv() => {
                    if let Some(second) = second {
                        let first = self.socket.feed(Message::Text(first)).await;
                        first.map_err(|_| Over::Gone)?;
                        self.send_text(second).await?;
                    } else {
                        self.send_text(first).await?;
                    }
                }
                Some(_) = self.tasks.join_next() => {
                    self.subs.retain(|_, task| !task.is_finished());
                }
                _ = recheck.tick() => if !auth::still_valid(&self.app, &self.caller).await {
                    self.app.metrics.viewers_dropped.fetch_add(1, Relaxed);
                    return Err(Over::Close(close_code::POLICY, "the login has ended"));
                },
                () = closing.cancelled() => {
                    return Err(Over::Close(close_code::RESTART, "the server is stopping"));
                }
            }
        }
    }

    async fn send(&mut self, message: &ServerMessage) -> Result<(), Over> {
        let Ok(text) = serde_json::to_string(message) else { return Ok(()) };
        self.send_text(text.into()).await
    }

    /// Waits as long as the client takes something: one that does not is cut off below us
    /// (`stall.rs`), and resumes by its cursor.
    async fn send_text(&mut self, text: Utf8Bytes) -> Result<(), Over> {
        self.socket.send(Message::Text(text)).await.map_err(|_| Over::Gone)
    }

    async fn refuse(&mut self, sub: Option<u64>, problem: &Problem) -> Result<(), Over> {
        self.send(&ServerMessage::Error { sub, problem: problem.body("") }).await
    }

    async fn hear(&mut self, text: &str) -> Result<(), Over> {
        let heard = serde_json::from_str(text);
        self.unspoken &= heard.is_err();
        match heard {
            Ok(ClientMessage::Ping {}) => self.send(&ServerMessage::Pong {}).await,
            Ok(ClientMessage::Unsubscribe { sub }) => {
                if let Some(task) = self.subs.remove(&sub) {
                    task.abort();
                }
                Ok(())
            }
            Ok(ClientMessage::Subscribe { sub, topic, id, cursor, lines }) => {
                // Permission at every subscription, not only when the connection was opened.
                if !auth::still_valid(&self.app, &self.caller).await {
                    return Err(Over::Close(close_code::POLICY, "the login has ended"));
                }
                if self.subs.get(&sub).is_some_and(|task| !task.is_finished()) {
                    let problem = Problem::bad_request("this `sub` is in use");
                    return self.refuse(Some(sub), &problem).await;
                }
                if self.subs.len() >= SUBS_MAX {
                    let problem = Problem::bad_request(format!("at most {SUBS_MAX} subscriptions"));
                    return self.refuse(Some(sub), &problem).await;
                }
                match topic {
                    Topic::Executions => {
                        let (app, out) = (self.app.clone(), self.out.clone());
                        self.start(sub, executions(app, sub, out));
                        Ok(())
                    }
                    Topic::Execution => self.subscribe_one(sub, id, cursor, lines).await,
                }
            }
            // Before anything of ours was said: a client that was written for the original.
            Err(_) if self.unspoken && legacy::is_legacy(text) => {
                Err(Over::Legacy(text.to_owned()))
            }
            Err(error) => {
                let sub = serde_json::from_str::<serde_json::Value>(text)
                    .ok()
                    .and_then(|value| value.get("sub")?.as_u64());
                self.refuse(sub, &Problem::bad_request(error)).await
            }
        }
    }

    async fn subscribe_one(
        &mut self,
        sub: u64,
        id: Option<stepflow_model::ExecutionId>,
        cursor: Option<Cursor>,
        lines: bool,
    ) -> Result<(), Over> {
        let Some(id) = id else {
            let problem = Problem::bad_request("the topic `execution` needs an `id`");
            return self.refuse(Some(sub), &problem).await;
        };
        match self.app.engine.execution(id).await {
            Ok(handle) => {
                let cursor = cursor.unwrap_or_default();
                let app = self.app.clone();
                let one = One { app, sub, handle, out: self.out.clone(), cursor, lines };
                self.start(sub, one.run());
                Ok(())
            }
            Err(error) => self.refuse(Some(sub), &error.into()).await,
        }
    }

    fn start(&mut self, sub: u64, task: impl Future<Output = ()> + Send + 'static) {
        let counted = self.app.metrics.counted(|metrics| &metrics.subscriptions);
        let task = async move {
            task.await;
            drop(counted);
        };
        self.subs.insert(sub, self.tasks.spawn(task));
    }
}
