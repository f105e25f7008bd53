//! Recorders that have ended leave no zombie, and their followers look at once.

use std::{process::Child, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;

/// Recorders that may wait to be taken over; a starter waits at it.
pub(crate) const QUEUE_MAX: usize = 64;
/// A look without a signal, should one have been lost.
const LOOK: Duration = Duration::from_secs(5);

/// Waits for every recorder that this process has started, until `shutdown`: they live on.
pub(crate) async fn reap(
    mut started: mpsc::Receiver<(Arc<Handle>, Child)>,
    shutdown: CancellationToken,
) {
    let mut signals = signal(SignalKind::child())
        .inspect_err(|error| tracing::warn!(%error, "cannot watch for ended recorders"))
        .ok();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut children: Vec<(Arc<Handle>, Child)> = Vec::new();
    loop {
        let child_ended = async {
            match &mut signals {
                Some(signals) => signals.recv().await.unwrap_or(()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = child_ended => {}
            _ = look.tick() => {}
            // It may have ended before it came here: looked at below.
            next = started.recv() => match next {
                Some(child) => children.push(child),
                None => return,
            },
        }
        children.retain_mut(|(handle, child)| {
            let runs = matches!(child.try_wait(), Ok(None));
            if !runs {
                handle.poke.notify_one();
            }
            runs
        });
    }
}
