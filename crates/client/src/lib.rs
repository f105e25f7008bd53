//! A client of a server: HTTP over its Unix socket (no token needed: the server knows the caller by
//! the socket's peer), or over TCP, with TLS for `https`.
//!
//! One connection is kept and used again; one that the server has closed meanwhile is made anew.
//!
//! ```no_run
//! # fn main() -> Result<(), stepflow_client::ClientError> {
//! let server = stepflow_client::Server::at("storage/run/server.sock");
//! let health = server.get("/api/health")?;
//! assert_eq!(health["status"], "healthy");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod connect; // sockets, TCP, TLS
mod target; // which server

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::SendRequest,
    header,
};
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};

pub use crate::target::{Target, TargetError};

/// A server answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The next bytes of a body that is streamed come within this time.
const BYTES_WITHIN: Duration = Duration::from_secs(30);
/// Largest answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A server that says "too many requests" is asked again this often.
const BUSY_TRIES: u32 = 20;

/// A request could not be made, or was refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No server listens there.
    #[error("no server answers at {at}")]
    NoServer {
        /// Where it should be.
        at: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The connection broke, or the answer is no HTTP.
    #[error("the server does not answer as it should")]
    Broken(#[from] hyper::Error),
    /// The answer did not come in time.
    #[error("the server did not answer within {} s", ANSWER_WITHIN.as_secs())]
    TimedOut,
    /// The server refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the server says.
        detail: String,
        /// What it says can be done.
        hint: Option<String>,
    },
    /// Something here failed: a runtime, an answer that is too large or no JSON.
    #[error("cannot read the server's answer: {0}")]
    Unreadable(String),
    /// What the answer was to be written to took it no longer.
    #[error("cannot write what the server sends")]
    Write(#[source] io::Error),
}

impl ClientError {
    /// Whether the same request may do better in a moment: nobody there, a broken connection.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoServer { .. } | Self::Broken(_) | Self::TimedOut => true,
            Self::Refused { status, .. } => [429, 502, 503, 504].contains(status),
            Self::Unreadable(_) | Self::Write(_) => false,
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// A server.
#[derive(Debug)]
pub struct Server {
    target: Target,
    token: Option<String>,
    kept: Mutex<Kept>,
}

/// What is made at the first request.
#[derive(Debug, Default)]
struct Kept {
    runtime: Option<Runtime>,
    sender: Option<Sender>,
    tls: Option<connect::Tls>,
}

impl Server {
    /// The server that listens on this Unix socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self::new(Target::Socket(socket.into()), None)
    }

    /// The server at `target`; `token` says who asks.
    pub fn new(target: Target, token: Option<String>) -> Self {
        Self { target, token, kept: Mutex::default() }
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&Method::GET, path, None)
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(&Method::POST, path, Some(body))
    }

    /// `GET path`, the bytes from `from` on, written to `out` as they come. Returns how many.
    pub fn copy(&self, path: &str, from: u64, out: &mut dyn Write) -> Result<u64, ClientError> {
        let range = (from > 0).then(|| format!("bytes={from}-"));
        self.with_runtime(async |kept| {
            let answer = self.answer(kept, &Method::GET, path, None, range.as_deref()).await?;
            if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE && range.is_some() {
                return Ok(0); // Nothing more is there.
            }
            if !answer.status().is_success() {
                return Err(refusal(answer).await?);
            }
            let mut body = answer.into_body();
            let mut count = 0;
            while let Some(frame) =
                timeout(BYTES_WITHIN, body.frame()).await.map_err(|_| ClientError::TimedOut)?
            {
                if let Ok(bytes) = frame?.into_data() {
                    out.write_all(&bytes).map_err(ClientError::Write)?;
                    count += bytes.len() as u64;
                }
            }
            Ok(count)
        })
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        self.with_runtime(async |kept| {
            let whole = async {
                let answer = self.answer(kept, method, path, body, None).await?;
                if !answer.status().is_success() {
                    return Err(refusal(answer).await?);
                }
                json(answer).await
            };
            whole.await
        })
    }

    fn with_runtime<T>(
        &self,
        work: impl AsyncFnOnce(&mut Kept) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match kept.runtime.take() {
            Some(runtime) => runtime,
            None => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| ClientError::Unreadable(error.to_string()))?,
        };
        let done = runtime.block_on(work(&mut kept));
        if done.is_err() {
            // What is left of an answer must not become the beginning of the next.
            kept.sender = None;
        }
        kept.runtime = Some(runtime);
        done
    }

    /// Asks until there is an answer that is not "too many requests".
    async fn answer(
        &self,
        kept: &mut Kept,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut tries = 0;
        loop {
            let asked = timeout(ANSWER_WITHIN, self.ask(kept, method, path, body, range)).await;
            let answer = asked.unwrap_or(Err(ClientError::TimedOut))?;
            tries += 1;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS || tries == BUSY_TRIES {
                return Ok(answer);
            }
            let after = answer.headers().get(header::RETRY_AFTER);
            let seconds = after.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(1);
            tokio::time::sleep(Duration::from_secs(seconds).min(ANSWER_WITHIN)).await;
            kept.sender = None;
        }
    }

    async fn ask(
        &self,
        kept: &mut Kept,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let text = body.map(ToString::to_string).unwrap_or_default();
        let request = || {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("{}{path}", self.target.base_path()))
                .header(header::HOST, self.target.host())
                .header(header::CONTENT_TYPE, "application/json");
            if let Some(token) = &self.token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            request
                .body(Full::new(Bytes::from(text.clone())))
                .map_err(|error| ClientError::Unreadable(error.to_string()))
        };
        // A kept connection may have been closed by the server since: then a new one is tried, if
        // the request had not been sent or changes nothing.
        if let Some(mut sender) = kept.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.send_request(request()?).await {
                Ok(answer) => {
                    kept.sender = Some(sender);
                    return Ok(answer);
                }
                Err(error) if *method != Method::GET && !error.is_canceled() => {
                    return Err(error.into());
                }
                Err(_) => {}
            }
        }
        let mut sender = connect::connect(&self.target, &mut kept.tls).await?;
        let answer = sender.send_request(request()?).await?;
        kept.sender = Some(sender);
        Ok(answer)
    }
}

async fn bytes(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
    let read = timeout(BYTES_WITHIN, read).await.map_err(|_| ClientError::TimedOut)?;
    Ok(read.map_err(|error| ClientError::Unreadable(error.to_string()))?.to_bytes())
}

async fn json(answer: Response<Incoming>) -> Result<Value, ClientError> {
    let bytes = bytes(answer).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|_| {
        ClientError::Unreadable("it is no JSON: is that a StepFlow server?".to_owned())
    })
}

/// What a refusal says.
async fn refusal(answer: Response<Incoming>) -> Result<ClientError, ClientError> {
    let status = answer.status();
    let json: Value = serde_json::from_slice(&bytes(answer).await?).unwrap_or_default();
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let detail = text("error").unwrap_or_else(|| format!("the server answers {status}"));
    Ok(ClientError::Refused { status: status.as_u16(), detail, hint: text("hint") })
}
