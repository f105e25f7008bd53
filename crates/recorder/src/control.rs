//! What is said over `run/<id>.sock`: JSON lines, one request or answer each.
//!
//! The socket is a doorbell, never a proof: everything that matters is in the record, and a lost
//! line costs a look.

use serde::{Deserialize, Serialize};

/// Longest request line, in bytes; a longer one closes the connection.
pub const REQUEST_BYTES_MAX: usize = 4096;

/// Asked of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Answer with one [`Answer::Position`].
    Status,
    /// Answer with a [`Answer::Position`] now and after each change, merged to one in 20 ms.
    Subscribe,
    /// Stop the script: SIGTERM, grace, SIGKILL. Asked twice: SIGKILL at once.
    Cancel {
        /// Who asks, for the journal.
        #[serde(default)]
        by: String,
        /// Skip the grace period.
        #[serde(default)]
        kill: bool,
    },
    /// Send this signal to the whole tree.
    Signal {
        /// Its number.
        signal: i32,
    },
}

/// Said by a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Answer {
    /// How far the record is; look there.
    Position {
        /// Recorded bytes.
        bytes: u64,
        /// Ended lines.
        lines: u64,
        /// Last journal event.
        seq: u64,
        /// Bytes that a power cut cannot take.
        safe: u64,
        /// The end is recorded and synced.
        ended: bool,
    },
    /// Done (for a cancel: the wish is durable).
    Ok,
    /// Refused.
    Error {
        /// Why.
        error: String,
    },
}
