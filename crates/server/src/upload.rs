//! A file that a client sends: written to disk and hashed as it comes, never held in memory.

use std::{
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::body::Bytes;
use axum::http::StatusCode;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use stepflow_record::Storage;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    credential::{hex, random_hex},
    problem::Problem,
};

/// A client that sends nothing for this long is given up.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// A file that has been received and synced; it is removed unless somebody moved it away.
#[derive(Debug)]
pub(crate) struct Received {
    path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

impl Received {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // Moved away, usually.
    }
}

/// Receives `chunks`, at most `bytes_max` bytes of them.
pub(crate) async fn receive<E: std::fmt::Display>(
    storage: &Storage,
    bytes_max: u64,
    mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Received, Problem> {
    let name =
        random_hex(16).ok_or_else(|| Problem::internal(&io::Error::other("no randomness")))?;
    let storage = storage.clone();
    let path = tokio::task::spawn_blocking(move || storage.new_upload(&name));
    let path = path.await.map_err(|_| Problem::closing())??;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = tokio::fs::OpenOptions::from(options).open(&path).await.map_err(|e| refused(&e))?;
    // From here on the file goes when this is dropped.
    let mut received = Received { path, sha256: String::new(), size: 0 };
    let mut file = tokio::io::BufWriter::with_capacity(256 * 1024, file);
    let mut digest = Sha256::new();
    loop {
        let next = timeout(NEXT_WITHIN, chunks.next()).await.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "upload-stalled",
                format!("nothing came for {} s", NEXT_WITHIN.as_secs()),
            )
        })?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|error| {
            Problem::bad_request(format!("the file could not be received: {error}"))
        })?;
        received.size += chunk.len() as u64;
        if received.size > bytes_max {
            return Err(too_large(bytes_max));
        }
        digest.update(&chunk);
        file.write_all(&chunk).await.map_err(|e| refused(&e))?;
    }
    file.flush().await.map_err(|e| refused(&e))?;
    file.get_ref().sync_all().await.map_err(|e| refused(&e))?;
    received.sha256 = hex(&digest.finalize());
    Ok(received)
}

pub(crate) fn too_large(bytes_max: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "upload-too-large",
        format!("the file is larger than the limit of {bytes_max} bytes"),
    )
}

fn refused(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", "the disk is full")
                .hint("free some space; running scripts wait for it")
        }
        _ => Problem::internal(error),
    }
}
