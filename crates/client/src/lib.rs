//! A client of a server on this host: HTTP over its Unix socket, no token needed.
//!
//! The server knows the caller by the socket's peer: the storage's owner, or root.
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

use std::{io, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

/// A server on this host answers within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A request could not be made, or was refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No server listens on this storage.
    #[error("no server runs on this storage")]
    NoServer {
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
    },
    /// Something here failed: a runtime, an answer that is too large or no JSON.
    #[error("cannot read the server's answer: {0}")]
    Unreadable(String),
}

/// A server on this host.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
}

impl Server {
    /// The server that listens on this socket.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&Method::GET, path, None)
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(&Method::POST, path, Some(body))
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ClientError::Unreadable(error.to_string()))?;
        runtime.block_on(async {
            timeout(ANSWER_WITHIN, self.exchange(method, path, body))
                .await
                .unwrap_or(Err(ClientError::TimedOut))
        })
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::NoServer { source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| ClientError::Unreadable(error.to_string()))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| ClientError::Unreadable(error.to_string()))?
            .to_bytes();
        connection.abort();
        let json: Value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| ClientError::Unreadable(error.to_string()))?
        };
        if status.is_success() {
            return Ok(json);
        }
        let detail = json["error"].as_str().unwrap_or("the server refused").to_owned();
        Err(ClientError::Refused { status: status.as_u16(), detail })
    }
}
