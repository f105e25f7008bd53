//! One task per open record: fold, wake, project, and write the verdict when nobody is left.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use stepflow_catalog::Change;
use stepflow_model::{NoteKind, Reason, Source};
use stepflow_record::Liveness;
use stepflow_recorder::control::Request;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    admit,
    bell::{self, Bell, Ring, Said},
    core::{Core, blocking},
    handle::{Handle, Mark},
    project,
};

/// How soon a socket that is not there is tried again; doubled up to [`RETRY_LAST`].
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_secs(1);
/// A look without a wake-up, should one have been lost.
const LOOK: Duration = Duration::from_secs(5);
/// Its files are read at least this often while it prints, even if its recorder tells of nothing that
/// stands there but more output.
const READ_EVERY: Duration = Duration::from_secs(1);
/// What nobody watches is looked at no more often than this: lists are no fresher than that.
const UNWATCHED_EVERY: Duration = Duration::from_millis(100);
/// The catalog learns of changes at most this often, of start and end at once.
const PROJECT_EVERY: Duration = Duration::from_millis(250);
/// Viewers hear of the end once the catalog knows, or after this time.
const END_WITHIN: Duration = Duration::from_secs(2);
/// A catalog that refused is asked again after this time.
const CATALOG_RETRY: Duration = Duration::from_secs(1);

struct Follower {
    core: Arc<Core>,
    handle: Arc<Handle>,
    /// What the catalog knows.
    mark: Mark,
    projected_seq: Option<u64>,
    project_at: Option<Instant>,
    /// When its files were read last.
    read_at: Option<Instant>,
    /// How its tests ended, once it has.
    tests: Option<Change>,
    /// The question that its recorder has not answered yet, and when the next one is due.
    asking: Option<JoinHandle<()>>,
    ask_at: Option<Instant>,
}

/// Counts a recorder whose socket is connected, for as long as it lives.
struct Connected(Arc<Core>);

impl Connected {
    fn new(core: &Arc<Core>) -> Self {
        core.counters.recorders_connected.fetch_add(1, Relaxed);
        Self(Arc::clone(core))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.counters.recorders_connected.fetch_sub(1, Relaxed);
    }
}

/// Follows one record until the catalog has committed its end, or until shutdown: the next engine
/// goes on from the record.
pub(crate) async fn follow(core: Arc<Core>, handle: Arc<Handle>) {
    let shutdown = core.shutdown.clone();
    let follower = Follower {
        core,
        handle,
        mark: Mark::default(),
        projected_seq: None,
        project_at: None,
        read_at: None,
        tests: None,
        asking: None,
        ask_at: None,
    };
    tokio::select! {
        () = follower.run() => {}
        () = shutdown.cancelled() => {}
    }
}

impl Follower {
    async fn run(self) {
        let id = self.handle.id();
        self.core.feed.changed(id, None); // It is there: lists learn of it, whatever it does next.
        if self.handle.is_fed() {
            self.run_fed().await;
        } else {
            // Boxed: it takes much more memory, and there may be thousands of the others.
            Box::pin(self.run_heard()).await;
        }
    }

    /// Its recorder is a process of its own, heard through its socket.
    async fn run_heard(mut self) {
        let id = self.handle.id();
        let mut bell: Option<(Bell, Connected)> = None;
        let mut retry = RETRY_FIRST;
        let mut said = None;
        loop {
            if self.look(said.take()) {
                self.finish().await;
                return;
            }
            if bell.is_none() {
                match Bell::connect(&self.core.socket(id)).await {
                    Ok(connected) => {
                        retry = RETRY_FIRST;
                        bell = Some((connected, Connected::new(&self.core)));
                        continue; // It may have gone on between the look and the connection.
                    }
                    Err(_) if self.nobody_is_left().await => {
                        if self.ended() {
                            self.finish().await;
                            return;
                        }
                    }
                    Err(_) => {}
                }
            }
            self.project_if_due().await;
            self.ask_if_due(bell.is_some());
            let look_at = Instant::now() + if bell.is_some() { LOOK } else { retry };
            let wake_at = self.project_at.map_or(look_at, |at| at.min(look_at));
            let connected = bell.is_some();
            let rung = async {
                match &mut bell {
                    Some((bell, _)) => bell.ring().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = rung => match heard {
                    Ring::Look(heard) => {
                        if let Some(heard) = heard {
                            self.handle.set_safe_bytes(heard.safe);
                        }
                        said = heard;
                        self.pause().await;
                    }
                    Ring::Gone => {
                        bell = None;
                        retry = RETRY_FIRST;
                    }
                },
                () = self.handle.poke.notified() => retry = RETRY_FIRST,
                () = sleep_until(wake_at) => if !connected && wake_at == look_at {
                    retry = (retry * 2).min(RETRY_LAST);
                },
            }
        }
    }

    /// Asks the recorder, once in a while and apart from everything else, whether it is there; and
    /// for what somebody wished for in vain.
    fn ask_if_due(&mut self, connected: bool) {
        let busy = self.asking.as_ref().is_some_and(|asking| !asking.is_finished());
        if busy || self.ask_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let wish = self.handle.wish();
        if !connected && wish.is_none() {
            return;
        }
        self.ask_at = Some(Instant::now() + LOOK);
        let request = match wish {
            Some(by) => Request::Cancel { by, kill: false, noted: true },
            None => Request::Status,
        };
        let (core, handle) = (Arc::clone(&self.core), Arc::clone(&self.handle));
        self.asking = Some(self.core.tasks.spawn(async move {
            let socket = core.socket(handle.id());
            let answer = tokio::select! {
                answer = bell::ask(&socket, &request) => answer,
                () = core.shutdown.cancelled() => return,
            };
            // Refused or gone is an answer: its process, or the claim, tells the rest.
            let silent = answer.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
            handle.set_unresponsive(silent);
            handle.poke.notify_one();
        }));
    }

    /// Its writer is in this process: there is no socket, and no claim to look at.
    async fn run_fed(mut self) {
        while !self.look(None) {
            self.project_if_due().await;
            let due = async {
                match self.project_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.handle.poke.notified() => self.pause().await,
                () = due => {}
            }
        }
        Box::pin(self.finish()).await; // It takes more memory than all before it.
    }

    /// Lets wake-ups come together while nobody watches; the recorder's exit ends it.
    async fn pause(&self) {
        if !self.handle.is_watched() {
            let _ = timeout(UNWATCHED_EVERY, self.handle.poke.notified()).await;
        }
    }

    fn ended(&self) -> bool {
        self.handle.read(|state| state.summary.status.is_end())
    }

    /// Folds what is new and wakes who watches. `said`: how far its recorder says it is. Returns
    /// whether the end has been read.
    fn look(&mut self, said: Option<Said>) -> bool {
        let is_fresh = self.read_at.is_some_and(|at| at.elapsed() < READ_EVERY);
        // What is fed is folded already, and who writes a note folds it as well.
        let is_known = self.handle.is_fed()
            || is_fresh && said.is_some_and(|said| self.handle.go_on(said.position));
        if !is_known {
            self.read_at = Some(Instant::now());
            if let Err(error) = self.handle.refresh() {
                tracing::warn!(execution = %self.handle.id(), %error, "cannot read a record");
            }
        }
        let (ended, seq) =
            self.handle.read(|state| (state.summary.status.is_end(), state.summary.position.seq));
        if self.projected_seq != Some(seq) && self.project_at.is_none() {
            let wait =
                if self.projected_seq.unwrap_or(0) == 0 { Duration::ZERO } else { PROJECT_EVERY };
            self.project_at = Some(Instant::now() + wait);
        }
        if !ended {
            self.announce();
        }
        ended
    }

    fn announce(&self) {
        let before = self.handle.tick();
        self.handle.publish();
        if self.handle.tick() != before {
            self.core.feed.changed(self.handle.id(), None);
        }
    }

    /// Nobody is at the socket. If nobody holds the claim either, writes the verdict, or starts
    /// what was never started. Returns whether nobody was left.
    async fn nobody_is_left(&mut self) -> bool {
        let handle = Arc::clone(&self.handle);
        let unstarted = match blocking(move || handle.liveness()).await {
            Some(Ok(Liveness::Lost)) => project::not_started(), // Not used: it has started.
            Some(Ok(Liveness::Unstarted)) => self.why_unstarted(),
            Some(Ok(Liveness::Ended)) => return true,
            Some(Ok(Liveness::Alive)) | None => return false,
            Some(Err(error)) => {
                tracing::warn!(execution = %self.handle.id(), %error, "cannot look at a claim");
                return false;
            }
        };
        admit::settle(&self.core, &self.handle, unstarted).await
    }

    fn why_unstarted(&self) -> NoteKind {
        match self.handle.start_problem() {
            Some(message) => NoteKind::NotStarted { reason: Reason::StartFailed, message },
            None => project::not_started(),
        }
    }

    async fn project_if_due(&mut self) {
        if self.project_at.is_some_and(|at| at <= Instant::now()) {
            self.project().await;
        }
    }

    /// Writes what the catalog does not know yet. Returns whether it knows everything now.
    async fn project(&mut self) -> bool {
        let mut mark = self.mark;
        let changed = self.handle.changes(&mut mark);
        let seq = changed.summary.position.seq;
        let mut rows = project::changed_rows(changed);
        rows.extend(self.tests.clone());
        match self.core.write(rows).await {
            Ok(()) => {
                self.mark = mark;
                self.projected_seq = Some(seq);
                self.project_at = None;
                true
            }
            Err(error) => {
                tracing::error!(execution = %self.handle.id(), %error, "cannot write the catalog");
                self.project_at = Some(Instant::now() + CATALOG_RETRY);
                false
            }
        }
    }

    /// Removes the copies of artifacts that were removed while it ran.
    async fn remove_copies(&self) {
        if self.handle.read(|state| state.removed.is_empty()) {
            return;
        }
        let _turn = self.core.changing.lock().await;
        let (core, handle) = (Arc::clone(&self.core), Arc::clone(&self.handle));
        let removed = blocking(move || handle.read(|state| core.storage.remove_copies(state)));
        if let Some(Err(error)) = removed.await {
            let id = self.handle.id();
            tracing::warn!(execution = %id, %error, "cannot remove the copy of an artifact");
        }
    }

    /// Reads how its tests ended, which the state only counts.
    async fn read_tests(&mut self) {
        if self.handle.read(|state| state.tests.is_empty()) {
            return;
        }
        let (core, handle) = (Arc::clone(&self.core), Arc::clone(&self.handle));
        let read = blocking(move || handle.read(|state| project::tests(&core.storage, state)));
        match read.await {
            Some(Ok(tests)) => self.tests = tests,
            Some(Err(error)) => {
                let id = self.handle.id();
                tracing::warn!(execution = %id, %error, "cannot read how tests ended");
            }
            None => {}
        }
    }

    /// Commits the end, tells everybody, and removes the marker.
    async fn finish(&mut self) {
        let id = self.handle.id();
        self.read_tests().await;
        let mut committed = timeout(END_WITHIN, self.project()).await.unwrap_or(false);
        self.handle.publish();
        let summary = Arc::new(self.handle.summary());
        self.core.counters.ended(summary.status);
        if !committed {
            self.core.feed.changed(id, None);
        }
        if summary.source == Source::Server {
            self.core.leave(id);
        }
        while !committed {
            tokio::time::sleep(CATALOG_RETRY).await;
            committed = self.project().await;
        }
        self.remove_copies().await;
        if let Err(error) = self.core.storage.close_execution(id) {
            tracing::warn!(execution = %id, %error, "cannot remove an open marker");
        }
        // A recorder removes its socket itself, unless it was killed. Nobody else has this name.
        let _ = std::fs::remove_file(self.core.socket(id));
        self.core.registry().ended(&self.handle);
        if self.handle.is_behind(self.mark) {
            // A file was added or removed in this moment: what was written last may not have it.
            self.project().await;
        }
        self.core.feed.changed(id, Some(summary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the task of such a future takes.
    fn size<A, B, T>(_: impl Fn(A, B) -> T) -> usize {
        size_of::<T>()
    }

    #[test]
    fn ten_thousand_followers_fit_into_ten_megabytes() {
        let size = size(follow);
        assert!(size <= 1_000, "{size} bytes");
    }
}
