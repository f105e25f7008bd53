//! Synced, and what waited for that.

use std::sync::atomic::Ordering;

use stepflow_model::ExecutionId;

use super::{Phase, Shard, Ticket};

impl Shard {
    pub(super) fn ask_sync(&mut self) {
        self.sync_at = None;
        if self.dirty.is_empty() {
            return;
        }
        let mut covered = Vec::with_capacity(self.dirty.len());
        for id in std::mem::take(&mut self.dirty) {
            self.close_entry(id);
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.dirty = false;
                let recorded = stream.inflow.as_ref().map_or(0, |inflow| inflow.position().bytes);
                covered.push((id, recorded));
            }
        }
        let number = self.next_ticket;
        self.next_ticket += 1;
        self.in_flight = true;
        if self.tickets.send(Ticket { number, covered, shard: self.jobs.clone() }).is_err() {
            self.in_flight = false; // The thread that syncs is gone: nothing is safe any more.
        }
    }

    pub(super) fn synced(
        &mut self,
        ticket: u64,
        covered: &[(ExecutionId, u64)],
        result: Result<(), String>,
    ) {
        self.in_flight = false;
        for (id, upto) in covered {
            let Some(stream) = self.streams.get_mut(id) else { continue };
            let Some(inflow) = &mut stream.inflow else { continue };
            match &result {
                Ok(()) if !stream.sync_failed => {
                    stream.safe = stream.safe.max(*upto);
                    stream.handle.set_safe_bytes(stream.safe);
                }
                // What a failed sync covered is unsafe for ever: `safe` stays where it is.
                Err(error) if !std::mem::replace(&mut stream.sync_failed, true) => {
                    inflow.sync_failed(stream.safe, error.clone());
                    self.written(*id);
                }
                Ok(()) | Err(_) => {}
            }
            self.let_go_on(*id);
            self.step_on(*id, ticket);
        }
    }

    /// What waited for this sync goes on.
    fn step_on(&mut self, id: ExecutionId, ticket: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let state = stream.state();
        for at in (0..stream.waiting.len()).rev() {
            if stream.waiting[at].0 <= ticket {
                let (_, reply) = stream.waiting.swap_remove(at);
                let _ = reply.send(Ok(state));
            }
        }
        match stream.phase {
            Phase::Closing(wanted) if wanted <= ticket => {
                stream.phase = Phase::Sealing;
                self.written(id);
            }
            Phase::Sealed(wanted) if wanted <= ticket => {
                stream.tell();
                stream.handle.poke.notify_one();
                for (_, reply) in stream.waiting.drain(..) {
                    let _ = reply.send(Ok(state));
                }
                self.files -= stream.files;
                self.streams.remove(&id);
                self.open.fetch_sub(1, Ordering::Relaxed);
                self.ended += 1;
            }
            _ => {}
        }
    }
}
