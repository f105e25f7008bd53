//! Threads for what must never hold up the read loop: syncing and copying.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// Stack of a worker: it copies and syncs, nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// A thread that does jobs in order, and a descriptor that becomes readable when one is done.
pub(crate) struct Worker<Job, Done> {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    bell: UnixStream,
    thread: thread::JoinHandle<()>,
    /// Jobs given and not yet taken back.
    pub(crate) pending: usize,
    /// Jobs taken back whose ring was not heard yet.
    unheard: usize,
}

impl<Job: Send + 'static, Done: Send + 'static> Worker<Job, Done> {
    pub(crate) fn start(
        name: &str,
        mut work: impl FnMut(Job) -> Done + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let (outbox, done) = channel();
        let (bell, mut ring) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || {
            for job in inbox {
                if outbox.send(work(job)).is_err() || ring.write_all(b"!").is_err() {
                    return; // The recorder is ending.
                }
            }
        })?;
        Ok(Self { jobs, done, bell, thread, pending: 0, unheard: 0 })
    }

    pub(crate) fn give(&mut self, job: Job) {
        // The thread ends only with its inbox, which is ours; a panic in it leaves the job pending.
        if self.jobs.send(job).is_ok() {
            self.pending += 1;
        }
    }

    /// What is done by now.
    pub(crate) fn take(&mut self) -> Vec<Done> {
        if self.pending == 0 && self.unheard == 0 {
            return Vec::new(); // Asked in every round, and idle in most.
        }
        let mut rung = [0; 64];
        let heard = (&self.bell).read(&mut rung).unwrap_or(0);
        let done: Vec<Done> = self.done.try_iter().collect();
        self.pending -= done.len();
        // A job is done before it is rung for: nothing is heard of one that was not taken.
        self.unheard = (self.unheard + done.len()).saturating_sub(heard);
        done
    }

    /// What is done when nothing is left to do.
    pub(crate) fn finish(&mut self) -> Vec<Done> {
        // A thread that panicked has hung up, and leaves its jobs undone.
        let done: Vec<Done> = self.done.iter().take(self.pending).collect();
        self.pending = 0;
        self.unheard += done.len();
        done
    }

    /// Whether the thread has ended with jobs undone: it panicked.
    pub(crate) fn is_gone(&self) -> bool {
        self.pending > 0 && self.thread.is_finished()
    }

    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Output, index and journal, to be synced in that order: what is announced is there first.
pub(crate) struct Files {
    output: File,
    index: File,
    journal: File,
    /// How long the journal was at its last sync.
    journal_synced: u64,
}

impl Files {
    pub(crate) fn new(output: File, index: File, journal: File) -> Self {
        Self { output, index, journal, journal_synced: 0 }
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.output.sync_data()?;
        self.index.sync_data()?;
        // It only ever grows, and asking for nothing makes the disk flush its cache all the same.
        let size = self.journal.metadata()?.len();
        if size != self.journal_synced {
            self.journal.sync_data()?;
            self.journal_synced = size;
        }
        Ok(())
    }
}
