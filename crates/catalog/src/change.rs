use std::fmt;

use stepflow_model::{Artifact, ExecutionId, Step, Summary};

use crate::TestRun;

/// One thing to write. A batch of them is applied whole or not at all.
///
/// All are idempotent: applied twice, they leave what they left the first time. Steps and artifacts
/// come after their execution, in the same batch or an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds or replaces an execution's row.
    ///
    /// A replay never undoes an end: an ended row stays unless what comes has come further
    /// (`position.seq`): a running one must have a higher one, another end the same or a higher one.
    Execution(Box<Summary>),
    /// Adds or replaces a step. An ended step never becomes open again.
    Step(ExecutionId, Box<Step>),
    /// Adds or replaces an artifact. A settled one never becomes unsettled again.
    Artifact(ExecutionId, Box<Artifact>),
    /// Removes an artifact.
    ArtifactRemoved(ExecutionId, u32),
    /// Adds or replaces how the tests of an execution ended; those of the oldest of its name go, past
    /// [`TEST_RUNS_MAX`](crate::TEST_RUNS_MAX).
    Tests(Box<TestRun>),
    /// Removes an execution with its steps and artifacts. Synced before it is answered: its record
    /// is gone and could not say so again.
    Delete(ExecutionId),
    /// Adds a token. Synced before it is answered.
    TokenCreate(Box<Token>),
    /// Revokes a token, and ends the sessions opened with it. Synced before it is answered.
    TokenRevoke {
        /// The token's id.
        id: String,
        /// When; the first revocation counts.
        at_us: i64,
    },
    /// Notes a token's use; may be lost in a crash of the host.
    TokenUsed {
        /// The token's id.
        id: String,
        /// When; the latest use counts.
        at_us: i64,
    },
    /// Saves a search for everybody, or replaces the one of that name. Synced before it is answered.
    SearchSave(Box<SavedSearch>),
    /// Forgets the saved search of this name. Synced before it is answered.
    SearchForget(String),
    /// Adds a session. Synced before it is answered.
    SessionCreate(Box<Session>),
    /// Notes a session's use; may be lost in a crash of the host.
    SessionSeen {
        /// The session.
        digest: [u8; 32],
        /// When; the latest use counts.
        at_us: i64,
    },
    /// Ends a session. Synced before it is answered.
    SessionDelete {
        /// The session.
        digest: [u8; 32],
    },
    /// Removes sessions that can no longer be used.
    SessionPurge {
        /// Those that expire at or before this time.
        expired_us: i64,
        /// Those last seen at or before this time.
        idle_us: i64,
    },
}

impl Change {
    /// Whether no record can say it again, so that it is synced to disk before it is answered.
    pub fn is_durable(&self) -> bool {
        match self {
            Self::TokenCreate(_)
            | Self::TokenRevoke { .. }
            | Self::SessionCreate(_)
            | Self::SessionDelete { .. }
            | Self::SearchSave(_)
            | Self::SearchForget(_)
            | Self::Delete(_) => true,
            Self::Execution(_)
            | Self::Step(..)
            | Self::Artifact(..)
            | Self::ArtifactRemoved(..)
            | Self::Tests(_)
            | Self::TokenUsed { .. }
            | Self::SessionSeen { .. }
            | Self::SessionPurge { .. } => false,
        }
    }
}

impl Change {
    /// Whether lists, figures or details may show something else after it.
    pub(crate) fn is_seen(&self) -> bool {
        match self {
            Self::Execution(_)
            | Self::Step(..)
            | Self::Artifact(..)
            | Self::ArtifactRemoved(..)
            | Self::Tests(_)
            | Self::Delete(_) => true,
            Self::TokenCreate(_)
            | Self::TokenRevoke { .. }
            | Self::TokenUsed { .. }
            | Self::SearchSave(_)
            | Self::SearchForget(_)
            | Self::SessionCreate(_)
            | Self::SessionSeen { .. }
            | Self::SessionDelete { .. }
            | Self::SessionPurge { .. } => false,
        }
    }
}

/// What is kept of a token: never the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// A name for it in URLs and lists; no secret.
    pub id: String,
    /// Its first characters, for finding it.
    pub prefix: String,
    /// SHA-256 of the whole.
    pub digest: [u8; 32],
    /// What it is for, for people.
    pub name: String,
    /// What it allows.
    pub scope: String,
    /// Made.
    pub created_us: i64,
    /// Useless from then on.
    pub expires_us: Option<i64>,
    /// Last used, about.
    pub last_used_us: Option<i64>,
    /// Useless since then.
    pub revoked_us: Option<i64>,
}

/// What is kept of a login: never its cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the cookie's value.
    pub digest: [u8; 32],
    /// The token it was opened with.
    pub token_id: Option<String>,
    /// What it allows.
    pub scope: String,
    /// Opened.
    pub created_us: i64,
    /// Last used, about.
    pub last_seen_us: i64,
    /// Useless from then on, however much it is used.
    pub expires_us: i64,
}

/// A query of the list that somebody saved for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSearch {
    /// Its name; no two are the same.
    pub name: String,
    /// As written in the page's query line.
    pub query: String,
    /// Saved, microseconds UTC.
    pub created_us: i64,
}

// Digests stay out of logs: with one, a stolen log could confirm a guess.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}
