//! A thread that records many streams: it alone has their state, and it waits in one place.
//!
//! Its inbox has no bound of its own: a source sends its next piece only after the answer to the
//! last one, so that it never holds more than a piece per connection.

mod durable; // synced, and what waited for that
mod source; // sources come, send, and go

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use stepflow_model::ExecutionId;
use stepflow_record::RecordError;
use stepflow_recorder::inflow::{End, Inflow};
use stepflow_sys::memory;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    IngestState, Job, Reply,
    stream::{Phase, Stream},
    sync::Ticket,
};
use crate::error::IngestError;

/// Output is safe at the latest this long after it was recorded, plus the sync in flight.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Or when this much of one stream is unsynced, whichever is first.
const SYNC_BYTES: u64 = 4 << 20;
/// What comes within this time shares an index entry.
const ENTRY_AGE: Duration = Duration::from_millis(5);
/// A disk that refused is asked again this often.
const RETRY: Duration = Duration::from_millis(250);
/// Nothing to do: a look all the same.
const IDLE: Duration = Duration::from_secs(60);
/// After so many ends, memory is given back.
const ENDED_MANY: usize = 512;
/// Jobs taken before what is due is looked at.
const JOBS_AT_ONCE: usize = 256;

pub(super) struct Shard {
    inbox: Receiver<Job>,
    jobs: Sender<Job>,
    tickets: Sender<Ticket>,
    expired: UnboundedSender<ExecutionId>,
    open: Arc<AtomicUsize>,
    window: Duration,
    files_max: usize,
    files: usize,
    /// Boxed: the table itself moves, and has room to spare, while thousands come and go.
    streams: HashMap<ExecutionId, Box<Stream>>,
    /// Streams that have something to tell.
    touched: Vec<ExecutionId>,
    dirty: Vec<ExecutionId>,
    entries: VecDeque<(Instant, ExecutionId)>,
    blocked: BTreeSet<ExecutionId>,
    retry_at: Option<Instant>,
    deadlines: BTreeSet<(Instant, ExecutionId)>,
    sync_at: Option<Instant>,
    /// The number of the sync that will be asked for next.
    next_ticket: u64,
    in_flight: bool,
    used: u64,
    /// Streams that ended since memory was given back.
    ended: usize,
    stopping: bool,
}

impl Shard {
    pub(super) fn new(
        inbox: Receiver<Job>,
        jobs: Sender<Job>,
        tickets: Sender<Ticket>,
        expired: UnboundedSender<ExecutionId>,
        open: Arc<AtomicUsize>,
        window: Duration,
        files_max: usize,
    ) -> Self {
        Self {
            inbox,
            jobs,
            tickets,
            expired,
            open,
            window,
            files_max,
            files: 0,
            streams: HashMap::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            entries: VecDeque::new(),
            blocked: BTreeSet::new(),
            retry_at: None,
            deadlines: BTreeSet::new(),
            sync_at: None,
            next_ticket: 1,
            in_flight: false,
            used: 0,
            ended: 0,
            stopping: false,
        }
    }

    /// Records until it is stopped and everything is synced.
    pub(super) fn run(mut self) {
        loop {
            let now = Instant::now();
            let due = [
                self.entries.front().map(|entry| entry.0),
                self.retry_at,
                self.deadlines.first().map(|deadline| deadline.0),
                self.sync_at.filter(|_| !self.in_flight),
            ];
            let due = due.into_iter().flatten().min();
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(now));
            match self.inbox.recv_timeout(wait) {
                Ok(job) => {
                    self.job(job);
                    for _ in 1..JOBS_AT_ONCE {
                        let Ok(job) = self.inbox.try_recv() else { break };
                        self.job(job);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tick(Instant::now());
            self.tell();
            self.spare_files();
            if self.ended >= ENDED_MANY && self.ended >= self.streams.len() {
                self.ended = 0;
                memory::give_back();
            }
            if self.stopping && !self.in_flight && self.dirty.is_empty() {
                return;
            }
        }
    }

    fn job(&mut self, job: Job) {
        self.used += 1;
        match job {
            Job::Adopt(stream) => self.adopt(stream),
            Job::Dormant(id, reply) => {
                let dormant = self.streams.get(&id).filter(|stream| stream.inflow.is_none());
                let _ = reply.send(Ok(dormant.map(|stream| Arc::clone(&stream.handle))));
            }
            Job::Woken(id, woken) => self.woken(id, woken),
            Job::Attach { id, offset, secrets, reply } => {
                let _ = reply.send(self.attach(id, offset, secrets));
            }
            Job::Append { id, epoch, at, bytes, reply } => {
                self.append(id, epoch, at, &bytes, reply);
            }
            Job::Detach { id, epoch } => self.detach(id, epoch),
            Job::Rest { id, epoch, reply } => self.rest(id, epoch, reply),
            Job::End { id, epoch, end, reply } => self.end(id, epoch, end, reply),
            Job::Look(id, reply) => {
                let _ = reply.send(self.find(id).map(|stream| stream.state()));
            }
            Job::Synced { ticket, covered, result } => self.synced(ticket, &covered, result),
            Job::Stop => {
                self.stopping = true;
                self.sync_at = Some(Instant::now());
            }
        }
    }

    fn find(&mut self, id: ExecutionId) -> Result<&mut Stream, IngestError> {
        match self.streams.get_mut(&id) {
            Some(stream) if stream.inflow.is_some() => Ok(stream),
            // Being read again by somebody, who has not come back: it asks again.
            Some(_) => Err(IngestError::Superseded),
            None => Err(IngestError::Gone(id)),
        }
    }

    fn adopt(&mut self, mut stream: Box<Stream>) {
        let id = stream.handle.id();
        if let Some(resume_by) = stream.resume_by {
            self.deadlines.insert((resume_by, id));
        }
        let fresh = stream.inflow.is_some();
        stream.used = self.used;
        self.streams.insert(id, stream);
        if fresh {
            self.written(id);
            self.sync_soon(); // Its spec and its marker are to be there after a power cut.
        }
    }

    fn woken(&mut self, id: ExecutionId, woken: Result<Box<Inflow>, RecordError>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match woken {
            Ok(inflow) => {
                stream.told = inflow.position();
                if inflow.is_sealed() {
                    stream.phase = Phase::Sealed(self.next_ticket);
                }
                stream.inflow = Some(*inflow);
                self.written(id);
                self.sync_soon();
                if let Some(resume_by) = self.streams.get(&id).and_then(|stream| stream.resume_by) {
                    self.deadlines.insert((resume_by, id)); // It may have passed meanwhile.
                }
            }
            Err(error) => {
                // It stays as it is: the next start tries again.
                tracing::error!(execution = %id, %error, "cannot go on with a stream's record");
                self.streams.remove(&id);
                self.open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn end(
        &mut self,
        id: ExecutionId,
        epoch: Option<u64>,
        end: End,
        reply: Option<Reply<IngestState>>,
    ) {
        let refused = match self.find(id) {
            Err(error) => error,
            Ok(stream) if epoch.is_some_and(|epoch| epoch != stream.epoch) => {
                IngestError::Superseded
            }
            Ok(stream) if stream.phase != Phase::Open => {
                IngestError::Ended { offset: stream.state().offset }
            }
            Ok(stream) => {
                if let (End::Cancelled { by }, Some(inflow)) = (&end, &mut stream.inflow) {
                    inflow.note_cancel(by);
                }
                stream.phase = Phase::Ending(end);
                stream.attached = false;
                if let Some(stuck) = stream.stuck.take() {
                    let offset = stream.state().offset;
                    let _ = stuck.send(Err(IngestError::Ended { offset }));
                }
                // Whoever waits hears when the end is there, not at the next sync.
                stream.waiting.extend(reply.map(|reply| (u64::MAX, reply)));
                if let Some(resume_by) = stream.resume_by.take() {
                    self.deadlines.remove(&(resume_by, id));
                }
                return self.written(id);
            }
        };
        if let Some(reply) = reply {
            let _ = reply.send(Err(refused));
        }
    }

    /// Something was written to a stream, or should be: what follows from it.
    fn written(&mut self, id: ExecutionId) {
        let now = Instant::now();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(inflow) = &mut stream.inflow else { return };
        let mut urgent = inflow.take_urgency();
        if let Phase::Ending(end) = &stream.phase
            && inflow.end(end.clone())
        {
            stream.phase = Phase::Closing(self.next_ticket);
            urgent = true;
        }
        if stream.phase == Phase::Sealing && inflow.seal() {
            stream.phase = Phase::Sealed(self.next_ticket);
            urgent = true;
        }
        if inflow.entry_due_us().is_some() && !stream.entry_queued {
            stream.entry_queued = true;
            self.entries.push_back((now + ENTRY_AGE, id));
        }
        if inflow.is_blocked() && self.blocked.insert(id) {
            self.retry_at.get_or_insert(now + RETRY);
        }
        let much = inflow.offset().saturating_sub(stream.safe) >= SYNC_BYTES;
        // A stream that syncs without end, because a sync failed, is not synced all the time.
        urgent |= much && !stream.sync_failed && !self.in_flight;
        if !stream.dirty {
            stream.dirty = true;
            self.dirty.push(id);
        }
        if !stream.touched {
            stream.touched = true;
            self.touched.push(id);
        }
        let sync_at = if urgent { now } else { now + SYNC_EVERY };
        self.sync_at = Some(self.sync_at.map_or(sync_at, |at| at.min(sync_at)));
        self.count_files(id);
    }

    fn count_files(&mut self, id: ExecutionId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let now = stream.open_files();
            self.files = self.files + now - std::mem::replace(&mut stream.files, now);
        }
    }

    fn sync_soon(&mut self) {
        self.sync_at = Some(Instant::now());
    }

    fn tick(&mut self, now: Instant) {
        while self.entries.front().is_some_and(|entry| entry.0 <= now) {
            let Some((_, id)) = self.entries.pop_front() else { break };
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.entry_queued = false;
                self.close_entry(id);
            }
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for id in std::mem::take(&mut self.blocked) {
                if let Some(inflow) = self.streams.get_mut(&id).and_then(|s| s.inflow.as_mut()) {
                    inflow.retry();
                    self.written(id);
                    self.let_go_on(id);
                }
            }
        }
        while self.deadlines.first().is_some_and(|deadline| deadline.0 <= now) {
            let Some((at, id)) = self.deadlines.pop_first() else { break };
            self.expire(id, at);
        }
        if !self.in_flight && self.sync_at.is_some_and(|at| at <= now) {
            self.ask_sync();
        }
    }

    fn close_entry(&mut self, id: ExecutionId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(inflow) = &mut stream.inflow else { return };
        inflow.close_entry();
        if inflow.is_blocked() && self.blocked.insert(id) {
            self.retry_at.get_or_insert(Instant::now() + RETRY);
        }
        if !stream.touched {
            stream.touched = true;
            self.touched.push(id);
        }
        self.count_files(id);
    }

    fn let_go_on(&mut self, id: ExecutionId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.may_go_on()
            && let Some(stuck) = stream.stuck.take()
        {
            let _ = stuck.send(Ok(()));
        }
    }

    fn expire(&mut self, id: ExecutionId, at: Instant) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.resume_by != Some(at) {
            return;
        }
        if stream.inflow.is_none() {
            let _ = self.expired.send(id); // It comes back, read again, and is past its time.
            return;
        }
        let offset = stream.state().offset;
        let window = self.window.as_secs_f64();
        let message = format!(
            "the source went away at byte {offset} and did not come back within {window} s"
        );
        self.end(id, None, End::Lost { message }, None);
    }

    /// Tells viewers. Nobody hears of an end before it is synced.
    fn tell(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.touched = false;
                if !matches!(stream.phase, Phase::Sealed(_)) {
                    stream.tell();
                }
            }
        }
    }

    /// Closes files of the streams that were idle longest, a quarter of what may be open at once.
    fn spare_files(&mut self) {
        if self.files <= self.files_max {
            return;
        }
        let mut open: Vec<&mut Box<Stream>> =
            self.streams.values_mut().filter(|stream| stream.files > 0).collect();
        open.sort_unstable_by_key(|stream| stream.used);
        for stream in open {
            if self.files <= self.files_max * 3 / 4 {
                break;
            }
            self.files -= std::mem::take(&mut stream.files);
            if let Some(inflow) = &mut stream.inflow {
                inflow.close_files();
            }
        }
    }
}
