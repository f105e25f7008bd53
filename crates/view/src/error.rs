use std::{io, path::PathBuf};

use stepflow_record::RecordError;

/// Why a view cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The log itself cannot be read.
    #[error("cannot read the log")]
    Record(#[from] RecordError),
    /// The file of the view cannot be read.
    #[error("cannot read `{path}`: it can be deleted at any time, and is built anew")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written, and too much is known to keep it in memory.
    #[error("cannot write `{path}`, and the log has too many lines to go on without it")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
