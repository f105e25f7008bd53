//! Why not, per question.

use std::{io, path::PathBuf};

use stepflow_catalog::CatalogError;
use stepflow_model::ExecutionId;
use stepflow_original::UpgradeError;
use stepflow_record::{NoRoom, RecordError};

use crate::{ProjectError, RequestError};

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
    /// Its database would be on a network file system, which does not keep SQLite's locks and its
    /// shared memory true between hosts.
    #[error(
        "storage `{path}` is on a network file system ({kind}), where its catalog would be damaged"
    )]
    Network {
        /// The storage.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A storage of the original StepFlow Monitor could not be upgraded.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
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
            Self::Network { .. } => Some(
                "put the storage on a local file system, or serve it on the host that has the disk",
            ),
            Self::Catalog(error) => error.hint(),
            Self::Upgrade(error) => error.hint(),
            Self::Record(_) | Self::System { .. } => None,
        }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

impl From<ProjectError> for OpenError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Catalog(error) => Self::Catalog(error),
            ProjectError::Record(error) => Self::Record(error),
        }
    }
}

/// An engine could not hand back its lock.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A disk that does not answer, most likely.
    #[error("something is still being written")]
    Busy,
}

/// A record was not changed: nothing deleted, no file added or removed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such execution.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// There is no such artifact.
    #[error("there is no such artifact")]
    ArtifactUnknown,
    /// The execution has no such step.
    #[error("the execution has no step {0}")]
    StepUnknown(u32),
    /// It waits or runs.
    #[error("execution {0} has not ended")]
    NotEnded(ExecutionId),
    /// Its last processes are just going away, or its copy is being made.
    #[error("execution {0} is still being ended")]
    Busy(ExecutionId),
    /// The file is being copied.
    #[error("the artifact is still being copied")]
    Copying,
    /// Past the limit.
    #[error("at most {max} artifacts can be uploaded to one execution")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// What was asked for is too long, or too much.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The record refused.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused. What was asked for is recorded, or will be done at the next try.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
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
    /// Too little is free on the disk.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The record could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Not a key.
    #[error("an idempotency key has 1 to {} visible ASCII characters", crate::KEY_BYTES_MAX)]
    KeyInvalid,
    /// The key was used for something else.
    #[error("the idempotency key was used within 24 h for another request: execution {0}")]
    KeyReused(ExecutionId),
    /// What the key was used for has been deleted.
    #[error("the idempotency key was used within 24 h for execution {0}, which was deleted")]
    KeyOfDeleted(ExecutionId),
    /// Too many keys are kept.
    #[error("{} idempotency keys of the last 24 h are kept: no more are taken", crate::KEYS_MAX)]
    TooManyKeys,
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
}

impl CreateError {
    /// The execution of a key could not be looked at.
    pub(crate) fn from_query(error: QueryError) -> Self {
        match error {
            QueryError::Unknown(id) => Self::KeyOfDeleted(id),
            QueryError::Record(error) => Self::Record(error),
            QueryError::Catalog(error) => Self::Catalog(error),
            QueryError::Closing => Self::Closing,
        }
    }
}

/// An execution was not repeated.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// There is no such execution.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// It is output that came from elsewhere.
    #[error("execution {0} has no command that could be run again")]
    NoCommand(ExecutionId),
    /// It was run with secrets, whose values no record holds.
    #[error(
        "execution {of} was run with secrets, whose values are not recorded: {}",
        names(missing)
    )]
    SecretsMissing {
        /// What was to be repeated.
        of: ExecutionId,
        /// Their names.
        missing: Vec<String>,
    },
    /// What was given is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Its record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The new one was not accepted.
    #[error(transparent)]
    Create(#[from] CreateError),
}

impl RerunError {
    pub(crate) fn closing() -> Self {
        Self::Create(CreateError::Closing)
    }
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
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

/// A stream was not taken, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// What it says of itself is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is no such execution.
    #[error("there is no execution {0}")]
    Unknown(ExecutionId),
    /// It was there a moment ago: look again.
    #[error("execution {0} is just ending")]
    Gone(ExecutionId),
    /// It was started, not sent: it takes no bytes.
    #[error("execution {0} takes no output from elsewhere")]
    NotIngested(ExecutionId),
    /// Its end stands.
    #[error("the execution has ended, with {offset} bytes")]
    Ended {
        /// All that it has.
        offset: u64,
    },
    /// Bytes between are missing.
    #[error("there are {have} bytes: what comes next begins there")]
    Ahead {
        /// Where to go on.
        have: u64,
    },
    /// What is sent again is not what was sent before.
    #[error("byte {at} is not what was sent there before")]
    Differs {
        /// The first one.
        at: u64,
    },
    /// Another source has taken its place.
    #[error("another source sends this stream now")]
    Superseded,
    /// It was begun with masks.
    #[error("this stream was begun with masks: they are not kept, and must come with every part")]
    MasksMissing,
    /// Too many are open.
    #[error("too many streams are open")]
    TooMany,
    /// Too little is free on the disk.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The record could not be made, read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine is being closed.
    #[error("the server is stopping")]
    Closing,
}

impl From<QueryError> for IngestError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unknown(id) => Self::Unknown(id),
            QueryError::Record(error) => Self::Record(error),
            QueryError::Catalog(error) => Self::Catalog(error),
            QueryError::Closing => Self::Closing,
        }
    }
}
