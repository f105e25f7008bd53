use std::{io, path::PathBuf};

/// Why a bench could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk has too little room.
    #[error("{} needs {needed_mb} MB free, {free_mb} MB are", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What it takes.
        needed_mb: u64,
        /// What there is.
        free_mb: u64,
    },
    /// The catalog refused something.
    #[error("the catalog of the bench does not work")]
    Catalog(#[from] stepflow_catalog::CatalogError),
    /// SQLite itself refused something.
    #[error("SQLite does not work")]
    Sql(#[from] rusqlite::Error),
    /// Our own server, or what stands beside it, did not do its part.
    #[error("the server of the bench does not work: {0}")]
    Server(String),
    /// A program that was to be measured failed.
    #[error("`{command}` failed: {said}")]
    Program {
        /// Which.
        command: String,
        /// What it said.
        said: String,
    },
    /// Ctrl-C.
    #[error("stopped")]
    Stopped,
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// What can be done about it; `None`: nothing is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRoom { .. } => Some("free some space, or name another directory with --dir"),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("name a directory that you may write to with --dir")
            }
            Self::Io { source, .. } if source.raw_os_error() == Some(nix::libc::EMFILE) => {
                Some("raise the limit of open files (`ulimit -n`), or measure less at once")
            }
            Self::Catalog(error) => error.hint(),
            Self::Io { .. }
            | Self::Sql(_)
            | Self::Server(_)
            | Self::Program { .. }
            | Self::Stopped => None,
        }
    }
}
