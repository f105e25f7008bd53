use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ErrorCode;
use stepflow_model::ExecutionId;

/// Why the catalog could not be opened, read or written.
///
/// Cloneable, since one failed commit answers every caller whose changes were in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The file or its directory.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// SQLite, in a way that has no variant of its own.
    #[error("cannot {doing} in catalog `{path}`")]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// The catalog.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// Another process held the write lock for longer than the busy timeout. Nothing was written.
    #[error("cannot {doing}: another process is writing catalog `{path}`")]
    Busy {
        /// What was tried.
        doing: &'static str,
        /// The catalog.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// It was ended: it kept the write-ahead log from being emptied for too long.
    #[error("reading catalog `{path}` took too long and was ended, so that it can be written")]
    Ended {
        /// The catalog.
        path: PathBuf,
    },
    /// All connections that read were in use for too long.
    #[error("too many read catalog `{path}` at once")]
    Crowded {
        /// The catalog.
        path: PathBuf,
    },
    /// Somebody else's reader kept the write-ahead log from being emptied, and it has reached its
    /// limit. Nothing was written.
    #[error(
        "another process reads catalog `{path}` and keeps its write-ahead log of {bytes} bytes from being emptied"
    )]
    WalHeld {
        /// The catalog.
        path: PathBuf,
        /// Size of the log.
        bytes: u64,
    },
    /// The disk is full. Nothing was written.
    #[error("cannot {doing}: no space left for catalog `{path}`")]
    Full {
        /// What was tried.
        doing: &'static str,
        /// The catalog.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// The file is damaged, or no database at all.
    #[error("catalog `{path}` is damaged: {what}")]
    Corrupt {
        /// The catalog.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A row holds what this build cannot read, such as an unknown word.
    #[error("catalog `{path}` holds a row that this build cannot read")]
    BadRow {
        /// The catalog.
        path: PathBuf,
        /// The cause.
        source: Arc<rusqlite::Error>,
    },
    /// A newer release has written the file.
    #[error("catalog `{path}` has version {found}; this build reads up to {supported}")]
    TooNew {
        /// The catalog.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// An older release has written the file, and a reader may not upgrade it.
    #[error("catalog `{path}` has version {found} and must be upgraded to {needed} before reading")]
    Behind {
        /// The catalog.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        needed: u32,
    },
    /// A database of the original StepFlow Monitor. It was not touched.
    #[error("`{path}` is a database of the original StepFlow Monitor and must be upgraded first")]
    Original {
        /// The file.
        path: PathBuf,
    },
    /// A database of something else. It was not touched.
    #[error("`{path}` is a database, but not a StepFlow catalog (application id {application_id})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The application id in its header.
        application_id: u32,
    },
    /// There is no file, and a reader creates none.
    #[error("there is no catalog `{path}`")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The SQLite that was linked has a known bug which damages files in WAL mode.
    #[error("SQLite {found} is too old: {needed} or newer is needed")]
    SqliteTooOld {
        /// Its version number.
        found: i32,
        /// The least.
        needed: i32,
    },
    /// The file system cannot share memory between processes, which WAL mode needs.
    #[error("catalog `{path}` cannot use WAL mode: its journal mode stays `{found}`")]
    NoWal {
        /// The catalog.
        path: PathBuf,
        /// The mode it stayed in.
        found: String,
    },
    /// A step or an artifact came before its execution.
    #[error("execution {id} is not in the catalog")]
    UnknownExecution {
        /// The execution.
        id: ExecutionId,
    },
    /// A token with this id exists and has another digest.
    #[error("a token with id `{id}` exists already")]
    TokenExists {
        /// The id.
        id: String,
    },
    /// The writer thread has ended.
    #[error("the catalog is closed")]
    Closed,
}

impl CatalogError {
    /// A way out, for people, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("wait for the other process, or ask the running server"),
            Self::Ended { .. } => Some("ask for less at once: a shorter time, a smaller page"),
            Self::Crowded { .. } => Some("try again in a moment"),
            Self::WalHeld { .. } => {
                Some("end the program that reads the catalog; all output is recorded meanwhile")
            }
            Self::Full { .. } => Some("free some space; nothing is lost, the records have it all"),
            Self::Corrupt { .. } => Some(
                "run `stepflow reindex`, or start the server: the file is set aside, and the records \
                 hold everything but tokens",
            ),
            Self::TooNew { .. } | Self::BadRow { .. } => {
                Some("use the release that wrote it, or a newer one")
            }
            Self::Behind { .. } => Some("start the server once, or run a command that writes"),
            Self::Original { .. } => Some(
                "`stepflow upgrade` upgrades it in place, as does every command that writes; if that is \
                 going on just now, wait for its end",
            ),
            Self::Foreign { .. } => Some("use another directory with --storage"),
            Self::Missing { .. } => Some("run a script first, or check --storage"),
            Self::NoWal { .. } => Some("put the storage on a local file system"),
            Self::Io { .. }
            | Self::Sql { .. }
            | Self::SqliteTooOld { .. }
            | Self::UnknownExecution { .. }
            | Self::TokenExists { .. }
            | Self::Closed => None,
        }
    }

    /// Whether the file is damaged, so that only a rebuild helps.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    /// Sorts an error of SQLite by what a caller can do about it.
    pub(crate) fn sql(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let path = path.to_owned();
        if matches!(
            source,
            E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::InvalidColumnType(..)
                | E::Utf8Error(..)
        ) {
            return Self::BadRow { path, source: Arc::new(source) };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { doing, path, source: Arc::new(source) }
            }
            Some(ErrorCode::OperationInterrupted) => Self::Ended { path },
            Some(ErrorCode::DiskFull) => Self::Full { doing, path, source: Arc::new(source) },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path, what: source.to_string() }
            }
            _ => Self::Sql { doing, path, source: Arc::new(source) },
        }
    }
}
