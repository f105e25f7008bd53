//! The one thread that writes: group commit.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    CatalogError, Change, Options, apply,
    checkpointer::{Checkpointer, Due, RESTART_WAITS},
    counter::Delta,
    maintenance::{After, Maintained, MaintainedReply, Run},
    open,
    pool::{Fault, Pool},
    reader,
    replace::ReplacedReply,
    stats::Stats,
    waiting::{Sleepers, Waiting},
};

/// Most batches that wait for the writer; at it, [`Writer::submit`] waits for room.
pub const QUEUE_BATCHES_MAX: usize = 4096;

/// Once a transaction has this many changes it takes no further batch. One batch is never split.
pub const GROUP_CHANGES_MAX: usize = 512;

/// Once a transaction has worked this long it commits; what is left goes into the next one.
pub const GROUP_TIME_MAX: Duration = Duration::from_millis(5);

/// Readers are looked at this often while something is written.
const READERS_LOOK: Duration = Duration::from_millis(200);

/// An idle moment after this many changes is used for maintenance, and so is the first one after
/// [`MAINTAIN_EVERY`] with any change at all.
const MAINTAIN_CHANGES: u64 = 10_000;
const MAINTAIN_EVERY: Duration = Duration::from_secs(3_600);

/// Under steady writes a slice of maintenance that somebody waits for is done this often.
const SLICE_EVERY: Duration = Duration::from_millis(50);

/// Called once, on the writer thread, after the commit that holds the batch, or with the reason why
/// nothing of the batch was written. It must be short and must not wait for the catalog.
pub type Reply = Box<dyn FnOnce(Result<(), CatalogError>) + Send>;

/// Hands changes to the writer thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    pub(crate) sender: SyncSender<Message>,
    pub(crate) stats: Arc<Stats>,
}

impl Writer {
    /// Queues a batch, which is written whole or not at all, and returns; `reply` is told how it
    /// went. Batches of one caller are applied in the order they were submitted.
    ///
    /// Waits while [`QUEUE_BATCHES_MAX`] batches are queued.
    pub fn submit(&self, batch: Vec<Change>, reply: Reply) {
        // If the thread is gone, the message comes back, and dropping its answer says `Closed`.
        self.stats.queued.fetch_add(1, Relaxed);
        let _ = self.sender.send(Message::Batch(Batch::new(batch, reply.into())));
    }

    /// Makes the planner's statistics anew, gives free pages back and empties the WAL, in slices
    /// between which writes go on; `reply` is told what was done. A run that is under way counts
    /// for this call as well.
    ///
    /// Waits while [`QUEUE_BATCHES_MAX`] batches are queued.
    pub fn optimize(&self, reply: MaintainedReply) {
        let _ = self.sender.send(Message::Optimize(reply)); // A reply that comes back is dropped.
    }

    /// Puts another file in the place of one that is damaged or gone; see `Replaced`. `label` tells
    /// what is set aside from others, such as a time.
    ///
    /// Waits while [`QUEUE_BATCHES_MAX`] batches are queued.
    pub fn replace(&self, fault: Fault, label: String, reply: ReplacedReply) {
        let _ = self.sender.send(Message::Replace(fault, label, reply));
    }

    /// Writes a batch and waits for the commit that holds it.
    pub fn apply(&self, batch: Vec<Change>) -> Result<(), CatalogError> {
        self.stats.queued.fetch_add(1, Relaxed);
        self.ask(|answer| Message::Batch(Batch::new(batch, answer)))
    }

    pub(crate) fn ask(&self, message: impl FnOnce(Answer) -> Message) -> Result<(), CatalogError> {
        let waiting = Arc::new(Waiting::here());
        // Given in any case: an answer that is only dropped says `Closed`.
        let _ = self.sender.send(message(Answer::from(Arc::clone(&waiting))));
        waiting.told()
    }
}

/// What the thread is asked for.
pub(crate) enum Message {
    Batch(Batch),
    /// Moves the WAL into the database, waiting for readers up to the busy timeout.
    Checkpoint(Answer),
    /// Maintenance, everything there is to do.
    Optimize(MaintainedReply),
    /// Puts another file in the place of one that is damaged or gone.
    Replace(Fault, String, ReplacedReply),
    /// Empties everything that records can give back.
    ResetProjection(Answer),
    /// Everything before it is written; nothing after it is.
    Close(Answer),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Batch(_) => "Batch",
            Self::Checkpoint(_) => "Checkpoint",
            Self::Optimize(_) => "Optimize",
            Self::Replace(..) => "Replace",
            Self::ResetProjection(_) => "ResetProjection",
            Self::Close(_) => "Close",
        })
    }
}

pub(crate) struct Batch {
    changes: Vec<Change>,
    answer: Answer,
    submitted: Instant,
}

impl Batch {
    fn new(changes: Vec<Change>, answer: Answer) -> Self {
        Self { changes, answer, submitted: Instant::now() }
    }
}

/// Who is told how it went.
enum Asker {
    Reply(Reply),
    Waiting(Arc<Waiting>),
}

/// A reply that is given even when it is only dropped: no caller waits for ever.
pub(crate) struct Answer(Option<Asker>);

impl Answer {
    fn give(mut self, result: Result<(), CatalogError>) {
        self.tell(result, &mut Sleepers::default());
    }

    /// The same; a thread that waits for it is woken with the others.
    fn tell(&mut self, result: Result<(), CatalogError>, sleepers: &mut Sleepers) {
        match self.0.take() {
            Some(Asker::Reply(reply)) => reply(result),
            Some(Asker::Waiting(waiting)) => sleepers.add(waiting, result),
            None => {}
        }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self(Some(Asker::Reply(reply)))
    }
}

impl From<Arc<Waiting>> for Answer {
    fn from(waiting: Arc<Waiting>) -> Self {
        Self(Some(Asker::Waiting(waiting)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.0.is_some() {
            Self(self.0.take()).give(Err(CatalogError::Closed));
        }
    }
}

/// The thread's own.
pub(crate) struct WriterThread {
    /// Who moves the WAL beside this thread; `None`: each commit that finds it long. Comes first: it
    /// must have let go of the file when the connection is closed.
    pub(crate) checkpointer: Option<Checkpointer>,
    pub(crate) db: Connection,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    /// Whether the connection syncs at every commit now.
    pub(crate) full_sync: bool,
    /// Those who read beside it; `None`: nobody does.
    pub(crate) pool: Option<Arc<Pool>>,
    /// When readers were last looked at.
    looked: Instant,
    /// Something was committed since the last checkpoint.
    pub(crate) dirty: bool,
    pub(crate) stats: Arc<Stats>,
    /// Maintenance that is under way.
    pub(crate) run: Option<Run>,
    sliced: Instant,
    /// Changes since the last maintenance, and when that was.
    changes: u64,
    maintained: Instant,
}

/// A transaction that waits for its commit.
#[derive(Default)]
struct Written {
    applied: Vec<Batch>,
    counters: Delta,
    changes: u64,
    /// The transaction is gone, with everything in it.
    lost: Option<CatalogError>,
}

/// What the thread turns to.
enum Turn {
    Message(Message),
    Maintenance,
    /// Nobody is left who could send.
    Over,
}

impl WriterThread {
    pub(crate) fn new(db: Connection, path: PathBuf, options: Options, stats: Arc<Stats>) -> Self {
        Self {
            checkpointer: None,
            db,
            path,
            options,
            full_sync: false,
            pool: None,
            looked: Instant::now(),
            dirty: false,
            stats,
            run: None,
            sliced: Instant::now(),
            changes: 0,
            maintained: Instant::now(),
        }
    }

    /// The same beside these readers.
    pub(crate) fn beside(self, pool: Arc<Pool>) -> Self {
        pool.opened();
        Self { pool: Some(pool), ..self }
    }

    /// The same with a thread that moves the WAL beside it.
    pub(crate) fn beside_checkpoints(mut self) -> Result<Self, CatalogError> {
        let Self { db, path, options, stats, .. } = &mut self;
        self.checkpointer = Checkpointer::start(db, path, options, stats)?;
        Ok(self)
    }

    /// Works until it is told to close, or every [`Writer`] is gone.
    pub(crate) fn run(mut self, receiver: &Receiver<Message>) {
        let mut held_back = None; // Came after the batches of a group and is no batch.
        loop {
            let turn = held_back.take().map_or_else(|| self.wait(receiver), Turn::Message);
            let message = match turn {
                Turn::Message(message) => message,
                Turn::Maintenance => {
                    self.slice();
                    continue;
                }
                Turn::Over => break,
            };
            match message {
                Message::Batch(first) => {
                    let mut changes = first.changes.len();
                    let mut group = VecDeque::from([first]);
                    while changes < GROUP_CHANGES_MAX {
                        match receiver.try_recv() {
                            Ok(Message::Batch(batch)) => {
                                changes += batch.changes.len();
                                group.push_back(batch);
                            }
                            Ok(other) => {
                                held_back = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    let taken = group.len() as u64;
                    let _ = self.stats.queued.fetch_update(Relaxed, Relaxed, |queued| {
                        Some(queued.saturating_sub(taken))
                    });
                    while !group.is_empty() {
                        self.write(&mut group);
                    }
                    if self.run.is_some() && self.sliced.elapsed() >= SLICE_EVERY {
                        self.slice(); // Steady writes must not keep it waiting for ever.
                    }
                }
                Message::Optimize(reply) => self.maintain(Some(reply)),
                Message::Replace(fault, label, reply) => {
                    let replaced = self.replace(fault, &label);
                    self.stats.seen();
                    reply(replaced);
                }
                Message::Checkpoint(answer) => answer.give(self.checkpoint().map(drop)),
                Message::ResetProjection(answer) => {
                    let reset = self.reset_projection();
                    self.stats.seen();
                    answer
                        .give(reset.map_err(|error| CatalogError::sql("empty", &self.path, error)));
                }
                Message::Close(answer) => {
                    self.checkpointer = None;
                    let checkpointed = self.checkpoint().map(drop);
                    drop(self.db);
                    answer.give(checkpointed);
                    return;
                }
            }
        }
        self.checkpointer = None;
        let _ = self.checkpoint(); // Nobody is left to be told.
    }

    /// What to do next; waits if that is nothing.
    fn wait(&mut self, receiver: &Receiver<Message>) -> Turn {
        if self.run.is_some() {
            return match receiver.try_recv() {
                Ok(message) => Turn::Message(message),
                Err(TryRecvError::Empty) => Turn::Maintenance,
                Err(TryRecvError::Disconnected) => Turn::Over,
            };
        }
        let message = |message: Option<Message>| message.map_or(Turn::Over, Turn::Message);
        let Some(idle) = self.options.idle_checkpoint.filter(|_| self.dirty) else {
            return message(receiver.recv().ok());
        };
        match receiver.recv_timeout(idle) {
            Ok(message) => Turn::Message(message),
            Err(RecvTimeoutError::Disconnected) => Turn::Over,
            Err(RecvTimeoutError::Timeout) => {
                self.checkpoint_unless_read();
                self.dirty = false; // If a reader was in the way: after the next commit.
                let due = MAINTAIN_CHANGES <= self.changes
                    || (0 < self.changes && MAINTAIN_EVERY <= self.maintained.elapsed());
                if due {
                    self.maintain(None);
                    return Turn::Maintenance;
                }
                message(receiver.recv().ok())
            }
        }
    }

    /// Begins a maintenance, or joins the one that is under way.
    fn maintain(&mut self, reply: Option<MaintainedReply>) {
        if self.run.is_none() {
            match reader::file_figures(&self.db, &self.path) {
                Ok(before) => self.run = Some(Run::new(before, reply.is_some())),
                Err(error) => {
                    let error = CatalogError::sql("look at", &self.path, error);
                    if let Some(reply) = reply {
                        reply(Err(error));
                    }
                    return;
                }
            }
        }
        if let (Some(run), Some(reply)) = (&mut self.run, reply) {
            run.replies.push(reply);
        }
    }

    /// Does one slice of the maintenance, and ends it after the last.
    fn slice(&mut self) {
        let Some(mut run) = self.run.take() else { return };
        let ended = match run.slice(&self.db) {
            Ok(After::Slice) => {
                self.sliced = Instant::now();
                self.run = Some(run);
                return;
            }
            Ok(After::Checkpoint) => {
                let begun = Instant::now();
                run.done.checkpoint_blocked = !self.checkpoint_unless_read();
                run.note(begun.elapsed());
                reader::file_figures(&self.db, &self.path)
                    .map(|after| Maintained { after, ..run.done })
            }
            Err(error) => Err(error),
        };
        self.stats.maintenances.fetch_add(1, Relaxed);
        (self.changes, self.maintained) = (0, Instant::now());
        let ended = ended.map_err(|error| CatalogError::sql("maintain", &self.path, error));
        for reply in run.replies {
            reply(ended.clone());
        }
    }

    /// Writes batches from the front of `group` in one transaction and answers their callers.
    fn write(&mut self, group: &mut VecDeque<Batch>) {
        let durable = group.iter().any(|batch| batch.changes.iter().any(Change::is_durable));
        let stats = Arc::clone(&self.stats);
        let watch = stats.watch();
        let since = group.front().map_or_else(Instant::now, |oldest| oldest.submitted);
        let mut guarded = false;
        let Written { applied, counters, changes, lost } = loop {
            if let Err(error) = self.begin(durable, since) {
                return self.not_begun(group, &error);
            }
            match self.apply(group, guarded) {
                Some(written) => break written,
                // Seldom: once more, so that only who is at fault is refused.
                None => guarded = true,
            }
        };
        let seen = applied.iter().any(|batch| batch.changes.iter().any(Change::is_seen));
        let result = lost.map_or_else(|| self.commit(&counters), Err);
        if let Err(error) = &result {
            stats.note(error);
        }
        stats.commit.observe(watch.over());
        if result.is_ok() {
            self.changes += changes;
            stats.committed(changes, durable);
            if seen {
                stats.seen();
            }
            self.look_at_readers();
        } else {
            stats.commits_failed.fetch_add(1, Relaxed);
        }
        let mut sleepers = Sleepers::default();
        for mut batch in applied {
            stats.answered(batch.submitted, result.is_ok());
            batch.answer.tell(result.clone(), &mut sleepers);
        }
        drop(sleepers);
        // Nobody of this group waits for it.
        self.look_at_wal();
    }

    /// Has the WAL moved that has grown long, and lets one begin anew that has become very long.
    fn look_at_wal(&mut self) {
        let Some(checkpointer) = &mut self.checkpointer else { return };
        if checkpointer.committed() == Due::Nothing {
            return;
        }
        checkpointer.pause();
        let set = |db: &Connection, wait| db.busy_timeout(wait);
        let begun = set(&self.db, RESTART_WAITS)
            .and_then(|()| checkpoint(&self.db, "RESTART", &self.stats));
        let _ = set(&self.db, self.options.busy_timeout); // Cannot fail on an open connection.
        match begun {
            Ok(true) => checkpointer.begun_anew(),
            Ok(false) => checkpointer.held(),
            Err(error) => {
                checkpointer.held();
                self.stats.note(&CatalogError::sql("checkpoint", &self.path, error));
            }
        }
    }

    /// No transaction could be begun: who has waited for as long as anybody waits is told so.
    fn not_begun(&self, group: &mut VecDeque<Batch>, error: &CatalogError) {
        self.stats.note(error);
        let patient = match error {
            CatalogError::Busy { .. } => {
                self.stats.busy.fetch_add(1, Relaxed);
                true
            }
            CatalogError::WalHeld { .. } => true,
            _ => false,
        };
        // Whoever came later has not waited for its time yet, and is tried once more.
        let within = self.options.busy_timeout;
        let mut first = true;
        group.retain_mut(|batch| {
            let wait = patient && !first && batch.submitted.elapsed() < within;
            first = false;
            if !wait {
                self.stats.answered(batch.submitted, false);
                std::mem::replace(&mut batch.answer, Answer(None)).give(Err(error.clone()));
            }
            wait
        });
    }

    /// Applies batches from the front of `group` in the transaction that has begun, until it has worked
    /// for long enough. `guarded`: one that is refused is told so, and the others go on. Without that
    /// nothing is copied to take a batch back by, and when one is refused all of the transaction is taken
    /// back: `None`, and `group` is as it was.
    fn apply(&self, group: &mut VecDeque<Batch>, guarded: bool) -> Option<Written> {
        let started = Instant::now();
        let mut written = Written::default();
        while let Some(batch) = group.pop_front() {
            let apply = if guarded { apply::batch } else { apply::unguarded };
            match apply(&self.db, &self.path, &batch.changes, &mut written.counters) {
                Ok(()) => {
                    written.changes += batch.changes.len() as u64;
                    written.applied.push(batch);
                }
                Err(error) if self.db.is_autocommit() => {
                    written.applied.push(batch);
                    written.lost = Some(error);
                    break;
                }
                Err(error) if guarded => {
                    self.stats.note(&error);
                    self.stats.answered(batch.submitted, false);
                    batch.answer.give(Err(error));
                }
                Err(_) => {
                    let _ = self.db.execute_batch("ROLLBACK"); // Else the next one cannot begin.
                    group.push_front(batch);
                    for batch in written.applied.into_iter().rev() {
                        group.push_front(batch);
                    }
                    return None;
                }
            }
            if GROUP_TIME_MAX <= started.elapsed() {
                break;
            }
        }
        Some(written)
    }

    /// Begins a transaction, waiting for others until the busy timeout after `since`: however many
    /// wait in the queue, none of them waits longer.
    fn begin(&mut self, durable: bool, since: Instant) -> Result<(), CatalogError> {
        let left = self.options.busy_timeout.saturating_sub(since.elapsed());
        self.make_room(left)?;
        let begun = (|| {
            // The setting cannot change inside a transaction.
            if self.full_sync != durable {
                let level = if durable { "FULL" } else { "NORMAL" };
                self.db.pragma_update(None, "synchronous", level)?;
                self.full_sync = durable;
            }
            self.db.busy_timeout(left)?;
            let begun = self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
            self.db.busy_timeout(self.options.busy_timeout)?;
            begun
        })();
        begun.map_err(|error| CatalogError::sql("begin a transaction", &self.path, error))?;
        Ok(())
    }

    fn commit(&mut self, counters: &Delta) -> Result<(), CatalogError> {
        let committed = counters.write(&self.db).and_then(|()| {
            self.db.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        });
        if let Err(error) = committed {
            if !self.db.is_autocommit() {
                let _ = self.db.execute_batch("ROLLBACK"); // Fails only if it has happened already.
            }
            return Err(CatalogError::sql("commit", &self.path, error));
        }
        self.dirty = true;
        Ok(())
    }

    /// A WAL that has grown too large is moved into the database before anything is added to it, and
    /// whoever keeps it from that is ended, or waited for until `left` is over.
    fn make_room(&mut self, left: Duration) -> Result<(), CatalogError> {
        let file = open::beside(&self.path, "-wal");
        let wal = || fs::metadata(&file).map_or(0, |wal| wal.len());
        if wal() <= self.options.wal_bytes_max || self.checkpoint_within(Duration::ZERO) {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            if let Some(pool) = &self.pool {
                pool.end_older(self.options.reader_within);
            }
            let left = left.saturating_sub(begun.elapsed());
            if self.checkpoint_within(left.min(READERS_LOOK / 4)) {
                return Ok(());
            }
            if left.is_zero() {
                break;
            }
        }
        let bytes = wal();
        if bytes <= self.options.wal_bytes_max {
            return Ok(());
        }
        Err(CatalogError::WalHeld { path: self.path.clone(), bytes })
    }

    /// Now and then: who has read for too long is ended.
    fn look_at_readers(&mut self) {
        if READERS_LOOK <= self.looked.elapsed()
            && let Some(pool) = &self.pool
        {
            self.looked = Instant::now();
            pool.end_older(self.options.reader_within);
        }
    }

    /// Moves the WAL into the database and empties it. `Ok(false)`: a reader was in the way.
    fn checkpoint(&mut self) -> Result<bool, CatalogError> {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.pause(); // Two at once: the second does nothing.
        }
        let emptied = checkpoint(&self.db, "TRUNCATE", &self.stats)
            .map_err(|error| CatalogError::sql("checkpoint", &self.path, error))?;
        self.dirty = false;
        if let Some(checkpointer) = &mut self.checkpointer
            && emptied
        {
            checkpointer.begun_anew();
        }
        Ok(emptied)
    }

    /// A checkpoint that waits for nobody: callers may come at any moment. Returns whether the WAL
    /// is empty; if not, the next one, or the close, does it.
    fn checkpoint_unless_read(&mut self) -> bool {
        self.checkpoint_within(Duration::ZERO)
    }

    /// The same, waiting so long.
    fn checkpoint_within(&mut self, wait: Duration) -> bool {
        let set = |db: &Connection, wait| db.busy_timeout(wait);
        let emptied = set(&self.db, wait).is_ok() && self.checkpoint().unwrap_or_default();
        let _ = set(&self.db, self.options.busy_timeout); // Cannot fail on an open connection.
        emptied
    }

    fn reset_projection(&mut self) -> rusqlite::Result<()> {
        // Without foreign keys SQLite drops whole tables' pages, instead of row after row. The
        // setting cannot change inside a transaction.
        self.db.pragma_update(None, "foreign_keys", false)?;
        let emptied = (|| {
            let transaction =
                self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute_batch(
                "DELETE FROM test_run;
                 DELETE FROM artifact;
                 DELETE FROM step;
                 DELETE FROM execution_tag;
                 DELETE FROM execution;
                 DELETE FROM counter;
                 INSERT INTO counter (id) VALUES (1);",
            )?;
            transaction.commit()
        })();
        self.db.pragma_update(None, "foreign_keys", true)?;
        self.dirty = true;
        emptied
    }
}

/// Moves the WAL into the database. `Ok(false)`: a reader was in the way.
fn checkpoint(db: &Connection, mode: &str, stats: &Stats) -> rusqlite::Result<bool> {
    // One row: whether a reader was in the way, pages in the WAL, pages moved. A reader only
    // delays it: what is not moved now stays in the WAL, and nothing is lost.
    let blocked: i64 =
        db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
    stats.checkpoints.fetch_add(1, Relaxed);
    if blocked != 0 {
        stats.checkpoints_blocked.fetch_add(1, Relaxed);
    }
    Ok(blocked == 0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use stepflow_model::{ExecutionId, Source, Spec, Status};

    use super::*;
    use crate::{Reader, Role};

    fn id(number: usize) -> ExecutionId {
        format!("0198c2aa-0000-7000-8000-{number:012x}").parse().unwrap()
    }

    fn execution(number: usize, name_bytes: usize) -> Change {
        let spec = Spec {
            name: "x".repeat(name_bytes),
            command: vec!["true".to_owned()],
            cwd: "/".to_owned(),
            grace_ms: 0,
            drain_ms: 0,
            ..Spec::new(id(number), Source::Cli, 1)
        };
        Change::Execution(Box::new(stepflow_model::ExecutionState::new(&spec).summary))
    }

    /// Runs the thread here, on messages that all wait already, so that they form one group.
    fn run(thread: WriterThread, batches: Vec<Vec<Change>>) -> Vec<Result<(), CatalogError>> {
        let (sender, receiver) = mpsc::sync_channel(batches.len());
        let (replies, results) = mpsc::channel();
        for changes in batches {
            let replies = replies.clone();
            let reply: Reply = Box::new(move |result| replies.send(result).unwrap());
            sender.send(Message::Batch(Batch::new(changes, reply.into()))).unwrap();
        }
        drop((sender, replies));
        thread.run(&receiver);
        results.iter().collect()
    }

    #[test]
    fn on_a_full_disk_an_answer_still_says_what_is_in_the_catalog() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let options = Options::from(Role::Command);
        let db = open::writing(&path, &options).unwrap();
        db.query_row("PRAGMA max_page_count = 60", [], |_| Ok(())).unwrap();
        // The 5th does not fit at all; the others do until the pages run out.
        let batches =
            (0..40).map(|n| vec![execution(n, if n == 5 { 1 << 20 } else { 2_000 })]).collect();
        let results = run(WriterThread::new(db, path.clone(), options, Arc::default()), batches);
        assert_eq!(results.len(), 40);
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(!failures.is_empty());
        for failure in failures {
            assert!(matches!(failure, CatalogError::Full { .. }), "{failure}");
        }
        let reader = Reader::open_existing(&path).unwrap();
        let there = (0..40).filter(|n| reader.execution(id(*n)).unwrap().is_some()).count();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), there);
        assert_eq!(reader.statistics().unwrap().count(Status::Pending), there as u64);
        reader.integrity().unwrap();
    }

    #[test]
    fn who_is_at_fault_in_a_group_is_refused_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let options = Options::from(Role::Command);
        let db = open::writing(&path, &options).unwrap();
        let thread = WriterThread::new(db, path.clone(), options, Arc::default());
        let token = |digest: u8| {
            Change::TokenCreate(Box::new(crate::Token {
                id: "t".to_owned(),
                prefix: "t".to_owned(),
                digest: [digest; 32],
                name: String::new(),
                scope: "admin".to_owned(),
                created_us: 1,
                expires_us: None,
                last_used_us: None,
                revoked_us: None,
            }))
        };
        // The third is refused in its second change: the first goes with it, and no other batch.
        let batches = vec![
            vec![execution(1, 1)],
            vec![token(1)],
            vec![execution(2, 1), token(2)],
            vec![execution(3, 1)],
        ];
        let (good, refused): (Vec<_>, Vec<_>) =
            run(thread, batches).into_iter().partition(Result::is_ok);
        assert!(matches!(refused[..], [Err(CatalogError::TokenExists { .. })]), "{refused:?}");
        assert_eq!(good.len(), 3);
        let reader = Reader::open_existing(&path).unwrap();
        let there = |number| reader.execution(id(number)).unwrap().is_some();
        assert!(there(1) && !there(2) && there(3));
        assert_eq!(reader.statistics().unwrap().count(Status::Pending), 2);
    }

    #[test]
    fn a_lock_held_elsewhere_fails_the_group_and_not_the_thread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let options = Options { busy_timeout: Duration::ZERO, ..Role::Command.into() };
        let db = open::writing(&path, &options).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut thread = WriterThread::new(db, path, options, Arc::default());
        let (sender, receiver) = mpsc::channel();
        let mut write = |number| {
            let sender = sender.clone();
            let reply: Reply = Box::new(move |result| sender.send(result).unwrap());
            let changes = vec![execution(number, 1)];
            thread.write(&mut VecDeque::from([Batch::new(changes, reply.into())]));
            receiver.try_recv().unwrap()
        };
        assert!(matches!(write(1), Err(CatalogError::Busy { .. })));
        other.execute_batch("ROLLBACK").unwrap();
        write(1).unwrap();
    }

    #[test]
    fn only_what_lives_only_here_is_synced_at_each_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let options = Options::from(Role::Command);
        let db = open::writing(&path, &options).unwrap();
        let mut thread = WriterThread::new(db, path, options, Arc::default());
        let mut level = |changes| {
            let reply: Reply = Box::new(|result| result.unwrap());
            thread.write(&mut VecDeque::from([Batch::new(changes, reply.into())]));
            thread.db.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(level(vec![execution(1, 1)]), 1);
        assert_eq!(level(vec![Change::SessionDelete { digest: [0; 32] }, execution(1, 1)]), 2);
        assert_eq!(level(vec![execution(2, 1)]), 1);
    }
}
