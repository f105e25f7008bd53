//! What is said over `run/<id>.sock`: JSON lines, one request or answer each.
//!
//! The socket is a doorbell, never a proof: everything that matters is in the record, and a lost
//! line costs a look.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// Longest request line, in bytes; a longer one closes the connection.
pub const REQUEST_BYTES_MAX: usize = 4096;
/// Most bytes of one [`Request::Stdin`]: in base64 they fit into a request.
pub const STDIN_BYTES_MAX: usize = 2048;

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
        /// A wish from the notes: it does not count as a second one.
        #[serde(default)]
        noted: bool,
    },
    /// Stop the tree (SIGSTOP) and with it every wait for it: the time limit, the grace period.
    /// Answered with [`Answer::Ok`] when nothing of the tree runs.
    Suspend {},
    /// The tree goes on, and what was waited for as well.
    Resume {},
    /// Send this signal to the whole tree.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Type this into the script's terminal. Answered with [`Answer::Ok`] when it is taken, with
    /// [`Answer::Full`] when the script reads too slowly: then say it again later.
    Stdin {
        /// At most [`STDIN_BYTES_MAX`] bytes, in base64.
        bytes: String,
    },
    /// Nothing more is typed: a script that reads lines gets the end of its input (Ctrl-D).
    StdinEnd {},
    /// The window of the script's terminal has this size now.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
}

impl Request {
    /// Types `bytes`, at most [`STDIN_BYTES_MAX`].
    pub fn stdin(bytes: &[u8]) -> Self {
        Self::Stdin { bytes: BASE64_STANDARD.encode(bytes) }
    }
}

/// The bytes of a [`Request::Stdin`].
pub(crate) fn stdin_bytes(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("`bytes` is not base64: {error}"))
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
    /// Not taken, for there is no room: say it again later.
    Full,
    /// Refused.
    Error {
        /// Why.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_input_fits_into_a_request() {
        let typed: Vec<u8> = (0..STDIN_BYTES_MAX).map(|at| at as u8).collect();
        let request = Request::stdin(&typed);
        assert!(serde_json::to_vec(&request).unwrap().len() < REQUEST_BYTES_MAX);
        let Request::Stdin { bytes } = request else { panic!("stdin") };
        assert_eq!(stdin_bytes(&bytes), Ok(typed));
        assert!(stdin_bytes("*").is_err());
    }
}
