//! Sources come, send, and go.

use std::time::Instant;

use stepflow_model::ExecutionId;

use super::{IngestState, Phase, Reply, Shard};
use crate::error::IngestError;

impl Shard {
    pub(super) fn attach(
        &mut self,
        id: ExecutionId,
        offset: u64,
        secrets: Vec<Vec<u8>>,
    ) -> Result<(u64, u64), IngestError> {
        if self.stopping {
            return Err(IngestError::Closing);
        }
        let stream = self.find(id)?;
        let Some(inflow) = &mut stream.inflow else { return Err(IngestError::Gone(id)) };
        if stream.phase != Phase::Open {
            return Err(IngestError::Ended { offset: inflow.offset() });
        }
        if inflow.offset() < offset {
            // Whoever sends now is not disturbed by somebody who knows less.
            return Err(IngestError::Ahead { have: inflow.offset() });
        }
        inflow.rewind(secrets)?;
        let have = inflow.offset();
        if have < offset {
            return Err(IngestError::Ahead { have });
        }
        if stream.was_lost {
            inflow.warn("source_back", format!("the source goes on at byte {have}"));
        }
        stream.was_lost = false;
        stream.epoch += 1;
        stream.attached = true;
        if let Some(stuck) = stream.stuck.take() {
            let _ = stuck.send(Err(IngestError::Superseded));
        }
        let epoch = stream.epoch;
        if let Some(resume_by) = stream.resume_by.take() {
            self.deadlines.remove(&(resume_by, id));
        }
        self.written(id);
        Ok((epoch, have))
    }

    pub(super) fn append(
        &mut self,
        id: ExecutionId,
        epoch: u64,
        at: u64,
        bytes: &[u8],
        reply: Reply<()>,
    ) {
        let used = self.used;
        let closing = self.stopping;
        let taken = self.find(id).and_then(|stream| {
            if closing {
                return Err(IngestError::Closing);
            }
            if stream.epoch != epoch || !stream.attached {
                return Err(match stream.phase {
                    Phase::Open => IngestError::Superseded,
                    _ => IngestError::Ended { offset: stream.state().offset },
                });
            }
            let Some(inflow) = &mut stream.inflow else { return Err(IngestError::Gone(id)) };
            let received = inflow.received();
            if received < at {
                return Err(IngestError::Ahead { have: inflow.offset() });
            }
            let known = bytes.len().min((received - at) as usize);
            if known > 0
                && let Some(differs) = inflow.first_difference(at, &bytes[..known])?
            {
                return Err(IngestError::Differs { at: differs });
            }
            stream.used = used;
            inflow.take(&bytes[known..]);
            Ok(())
        });
        match taken {
            Ok(()) => {
                self.written(id);
                if let Some(stream) = self.streams.get_mut(&id) {
                    if stream.may_go_on() {
                        let _ = reply.send(Ok(()));
                    } else {
                        stream.stuck = Some(reply);
                    }
                }
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// The source has gone without a word.
    pub(super) fn detach(&mut self, id: ExecutionId, epoch: u64) {
        let window = self.window;
        let Ok(stream) = self.find(id) else { return };
        if stream.epoch != epoch || !stream.attached || stream.phase != Phase::Open {
            return;
        }
        stream.was_lost = true;
        if let Some(inflow) = &mut stream.inflow {
            inflow.forget();
            inflow.warn(
                "source_gone",
                format!(
                    "the source went away at byte {}; it has {} s to come back",
                    inflow.offset(),
                    window.as_secs_f64()
                ),
            );
        }
        self.wait_for_source(id);
        self.written(id);
    }

    fn wait_for_source(&mut self, id: ExecutionId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let resume_by = Instant::now() + self.window;
        stream.attached = false;
        stream.stuck = None;
        stream.resume_by = Some(resume_by);
        self.deadlines.insert((resume_by, id));
    }

    pub(super) fn rest(&mut self, id: ExecutionId, epoch: u64, reply: Reply<IngestState>) {
        let ticket = self.next_ticket;
        match self.find(id) {
            Ok(stream) if stream.epoch == epoch && stream.phase == Phase::Open => {
                // A mask's beginning at the end of a part: the next part says what becomes of it.
                if let Some(inflow) = &mut stream.inflow {
                    inflow.forget();
                }
                stream.waiting.push((ticket, reply));
                self.wait_for_source(id);
                self.written(id);
                self.sync_soon();
            }
            Ok(_) => drop(reply.send(Err(IngestError::Superseded))),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}
