use std::{
    io,
    path::{Path, PathBuf},
};

use stepflow_catalog::CatalogError;
use stepflow_record::RecordError;
use stepflow_sys::disk::User;

/// Why a storage was not upgraded. Whatever it is, the original's database and files are as they
/// were, and the next attempt goes on where this one stopped.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Somebody uses the database.
    #[error("`{path}` is in use by {}: it cannot be upgraded now", user_text(.user))]
    InUse {
        /// The database, or a file of it.
        path: PathBuf,
        /// Who.
        user: User,
    },
    /// It changed while it was copied.
    #[error("`{path}` changed while it was copied: something still writes it")]
    Changed {
        /// The database.
        path: PathBuf,
    },
    /// The original's database is damaged.
    #[error("the original's database `{path}` is damaged: {what}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file operation failed.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {doing} `{path}`")]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: rusqlite::Error,
    },
    /// The new catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn user_text(user: &User) -> String {
    match (&user.name, user.pid) {
        (Some(name), Some(pid)) => format!("process {pid} ({name})"),
        (None, Some(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

impl UpgradeError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } | Self::Changed { .. } => Some(
                "stop the original server, and whatever else has the database open, and try again",
            ),
            Self::Damaged { .. } => Some(
                "nothing was touched; `sqlite3 stepflow.db .recover | sqlite3 mended.db` saves what \
                 can be read: put that in its place and try again",
            ),
            _ if self.is_full() => Some(
                "free some space and try again: it goes on where it stopped, and the original is \
                 unchanged",
            ),
            Self::Catalog(error) => error.hint(),
            Self::Io { .. } | Self::Sql { .. } | Self::Record(_) => Some(
                "the original is unchanged; when the cause is gone, try again: it goes on where it \
                 stopped",
            ),
        }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        let full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Io { source, .. } | Self::Record(RecordError::Io { source, .. }) => full(source),
            Self::Catalog(CatalogError::Io { source, .. }) => full(source),
            Self::Catalog(CatalogError::Full { .. }) => true,
            Self::Sql { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn sql(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged { path, what: source.to_string() }
            }
            _ => Self::Sql { doing, path, source },
        }
    }
}
