//! Everything made durable with one call: a sync per stream and second would take the whole disk.

use std::{
    fs::File,
    io,
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use stepflow_model::ExecutionId;
use stepflow_record::Storage;
use stepflow_sys::host;

use super::Job;

/// Between two syncs: ends and steps of many streams come together meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// A shard's wish: what it covers, and where to say that it is done.
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) covered: Vec<(ExecutionId, u64)>,
    pub(super) shard: Sender<Job>,
}

/// A thread that syncs the storage's file system when asked.
pub(super) struct Syncer(Sender<Ticket>);

impl Syncer {
    pub(super) fn start(storage: &Storage) -> io::Result<Self> {
        // One descriptor for life: the kernel tells through it of every write that failed since.
        let root = File::open(storage.root())?;
        let (tickets, inbox) = channel::<Ticket>();
        thread::Builder::new().name("ingest-sync".to_owned()).spawn(move || {
            while let Ok(first) = inbox.recv() {
                let mut tickets = vec![first];
                tickets.extend(inbox.try_iter());
                let result = host::sync_file_system(&root).map_err(|error| error.to_string());
                for Ticket { number, covered, shard } in tickets {
                    let result = result.clone();
                    // A shard that is gone has stopped.
                    let _ = shard.send(Job::Synced { ticket: number, covered, result });
                }
                thread::sleep(PAUSE);
            }
        })?;
        Ok(Self(tickets))
    }

    pub(super) fn tickets(&self) -> Sender<Ticket> {
        self.0.clone()
    }
}
