//! What can go wrong, with the path it went wrong at.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Something about a record could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// A verb: `open`, `write`, …
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no such record.
    #[error("there is no record `{path}`")]
    Missing {
        /// Its directory.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error("`{path}` has format {found}; this build reads up to {supported}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        supported: u64,
    },
    /// The spec does not prove itself: it was changed or torn.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        why: String,
    },
}

impl RecordError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
