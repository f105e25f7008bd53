//! Why not, per question.

use std::{io, path::PathBuf};

use stepflow_catalog::CatalogError;
use stepflow_model::ExecutionId;
use stepflow_record::RecordError;

use crate::RequestError;

/// The engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else writes this storage.
    #[error("storage `{path}` is in use by {}", holder_text(*.holder))]
    Locked {
        /// The storage.
        path: PathBuf,
        /// The process that holds it, if known.
        holder: Option<u32>,
    },
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A record refused.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system refused.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenError {
    /// A way out, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => {
                Some("one server per storage: stop the other one, or pass another --storage")
            }
            Self::Catalog(error) => error.hint(),
            Self::Record(_) | Self::System { .. } => None,
        }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// An execution was not accepted: nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The request is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many wait already.
    #[error("{waiting} executions are waiting to be started: no more are accepted")]
    QueueFull {
        /// How many.
        waiting: usize,
    },
    /// The record could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such execution.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// Its record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
}

/// An execution was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such execution.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// Its end stands.
    #[error("execution {0} has already ended")]
    Finished(ExecutionId),
    /// Its recorder lives and does not answer.
    #[error("the recorder of execution {0} does not answer")]
    Unresponsive(ExecutionId),
    /// Its recorder refused.
    #[error("the recorder refused: {0}")]
    Refused(String),
    /// Its record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
}

impl From<QueryError> for CancelError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unknown(id) => Self::Unknown(id),
            QueryError::Record(error) => Self::Record(error),
            QueryError::Catalog(error) => Self::Catalog(error),
            QueryError::Closing => Self::Closing,
        }
    }
}
