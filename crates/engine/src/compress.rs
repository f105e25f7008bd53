//! Logs of ended executions are compressed, one at a time, by a thread that nobody notices.
//!
//! What is to be done stands in the storage as marks (`Storage::ended`), so that a start finds what
//! an earlier server left without looking at every record.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{self as std_mpsc, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use stepflow_model::ExecutionId;
use stepflow_record::{Compression, RecordError, Storage};
use stepflow_sys::priority;
use tokio::sync::mpsc;

use crate::core::{Core, blocking};

/// How often the marks are looked at, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// What became of one log.
struct Report {
    id: ExecutionId,
    outcome: Result<Compression, RecordError>,
}

/// Starts the thread, and the task that tells of what it does: the thread itself takes no lock that
/// anybody may wait for, because it may be kept waiting long.
pub(crate) fn start(core: &Arc<Core>, after: Duration) -> io::Result<()> {
    let (running, closing) = std_mpsc::channel::<()>();
    let (reports, mut reported) = mpsc::channel(16);
    let (storage, shutdown) = (core.storage.clone(), core.shutdown.clone());
    let thread = thread::Builder::new().name("compress".to_owned()).spawn(move || {
        if let Err(error) = priority::lowest() {
            tracing::debug!(%error, "logs are compressed at the usual priority");
        }
        let mut given_up = HashSet::new();
        let every = (after / 4).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        while closing.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let go_on = || !shutdown.is_cancelled();
            round(&storage, after, &go_on, &mut given_up, &mut |report| {
                let _ = reports.blocking_send(report);
            });
        }
    })?;
    let core = Arc::clone(core);
    core.tasks.clone().spawn(async move {
        loop {
            let report = tokio::select! {
                () = core.shutdown.cancelled() => break,
                report = reported.recv() => report,
            };
            let Some(report) = report else { break };
            core.note(report).await;
        }
        drop(running);
        drop(reported); // The thread waits for nobody.
        let _ = blocking(move || thread.join()).await;
    });
    Ok(())
}

/// Does what there is to do now.
fn round(
    storage: &Storage,
    after: Duration,
    go_on: &dyn Fn() -> bool,
    given_up: &mut HashSet<ExecutionId>,
    report: &mut dyn FnMut(Report),
) {
    let due = match storage.ended(after) {
        Ok(due) => due,
        Err(error) => {
            tracing::debug!(%error, "cannot list what has ended");
            return;
        }
    };
    for id in due {
        if !go_on() {
            return;
        }
        if given_up.contains(&id) {
            continue;
        }
        let outcome = storage.compress(id, Some(stepflow_view::filter), &mut || go_on());
        let is_over = match &outcome {
            Ok(Compression::Busy | Compression::Stopped) => continue, // The next look.
            // As long as there is none, none of the others has a chance either, but smaller ones.
            Ok(Compression::NoRoom { .. }) => false,
            Ok(_) | Err(RecordError::Missing { .. }) => true,
            Err(_) => {
                given_up.insert(id); // Until the next start.
                false
            }
        };
        if is_over && let Err(error) = storage.forget_ended(id) {
            tracing::debug!(%error, "cannot remove a mark");
            given_up.insert(id);
        }
        report(Report { id, outcome });
    }
}

impl Core {
    async fn note(self: &Arc<Self>, Report { id, outcome }: Report) {
        let counters = &self.counters;
        match outcome {
            Ok(Compression::Done { output_bytes, before, after }) => {
                counters.logs_compressed.fetch_add(1, Relaxed);
                counters.compressed_bytes.fetch_add(output_bytes, Relaxed);
                counters.freed_bytes.fetch_add(before.saturating_sub(after), Relaxed);
                let known = self.registry().recent(id);
                if let Some(handle) = known {
                    // What it holds open would keep the room.
                    blocking(move || handle.close_files()).await;
                }
                tracing::debug!(execution = %id, output_bytes, before, after, "compressed a log");
            }
            Ok(Compression::Flawed(flaw)) => {
                counters.logs_not_compressed.fetch_add(1, Relaxed);
                let (path, what) = (flaw.path.display(), flaw.what);
                tracing::warn!(execution = %id, %path, what, "a log that is not clean stays as it is");
            }
            Ok(Compression::NoRoom { needed, free }) => {
                tracing::debug!(execution = %id, needed, free, "no room to compress a log");
            }
            Ok(_) | Err(RecordError::Missing { .. }) => {}
            Err(error) => {
                counters.logs_not_compressed.fetch_add(1, Relaxed);
                tracing::warn!(execution = %id, %error, "cannot compress a log; the next start tries again");
            }
        }
    }
}
