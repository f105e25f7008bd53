//! One source, sending.

use std::sync::Arc;

use stepflow_model::ExecutionId;
use stepflow_recorder::inflow::End;

use super::{IngestState, Job};
use crate::{core::Core, error::IngestError};

/// The right to append to a stream. Dropped without an end, it tells that the source went away.
#[derive(Debug)]
pub struct Attachment {
    core: Arc<Core>,
    id: ExecutionId,
    epoch: u64,
    at: u64,
    have: u64,
    finished: bool,
}

impl Attachment {
    pub(super) fn new(core: Arc<Core>, id: ExecutionId, epoch: u64, at: u64, have: u64) -> Self {
        Self { core, id, epoch, at, have, finished: false }
    }

    /// Bytes that were there when it began.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Appends the source's next bytes; those that are there already are passed over. Returns when
    /// the next ones may come: a full disk makes the source wait.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), IngestError> {
        let (id, epoch, at) = (self.id, self.epoch, self.at);
        self.at += bytes.len() as u64;
        let bytes = bytes.to_vec();
        self.core.ingest.ask(id, |reply| Job::Append { id, epoch, at, bytes, reply }).await
    }

    /// The source has said everything. Returns when the end is durable.
    pub async fn end(mut self, exit_code: Option<i32>) -> Result<IngestState, IngestError> {
        self.finished = true;
        let (id, epoch) = (self.id, Some(self.epoch));
        let end = End::Closed { exit_code };
        let job = |reply| Job::End { id, epoch, end, reply: Some(reply) };
        self.core.ingest.ask(id, job).await
    }

    /// This is all for now: the source will come again. Returns when everything is durable.
    pub async fn rest(mut self) -> Result<IngestState, IngestError> {
        self.finished = true;
        let (id, epoch) = (self.id, self.epoch);
        self.core.ingest.ask(id, |reply| Job::Rest { id, epoch, reply }).await
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.finished {
            self.core.ingest.send(self.id, Job::Detach { id: self.id, epoch: self.epoch });
        }
    }
}
