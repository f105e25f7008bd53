//! A cancel whose server is killed: between each two phases of it, and at random.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use stepflow_model::{EventKind, ExecutionId, Status};
use stepflow_record::read_journal;
use stepflow_testkit::{Rng, Scratch, eventually};

use crate::kill::serve;

/// What the journal says last when the server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of the cancel yet.
    Asked,
    /// The wish is recorded.
    Wished,
    /// SIGTERM has been sent.
    Term,
    /// The grace period is over, SIGKILL has been sent.
    Kill,
    /// The end.
    End,
    /// Some moment.
    Some,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Asked, Self::Wished, Self::Term, Self::Kill, Self::End, Self::Some];

    fn is_reached(self, scratch: &Scratch, id: ExecutionId) -> bool {
        let sent = |kind: &EventKind, wanted: Signal| matches!(kind, EventKind::SignalSent { signal, .. } if *signal == wanted as i32);
        let events = read_journal(&scratch.storage.record_dir(id)).unwrap_or_default();
        events.iter().any(|(_, event)| match self {
            Self::Asked | Self::Some => true,
            Self::Wished => matches!(event.kind, EventKind::CancelRequested { .. }),
            Self::Term => sent(&event.kind, Signal::SIGTERM),
            Self::Kill => sent(&event.kind, Signal::SIGKILL),
            Self::End => matches!(event.kind, EventKind::Exited { .. }),
        })
    }
}

/// The server is killed between each two phases of a cancel, and at random moments of it.
pub(super) fn phases(scratch: &Scratch, random: &mut Rng, rounds: u64) -> Result<String, String> {
    let rounds = rounds.max(Phase::ALL.len() as u64);
    let mut unheard = 0;
    for round in 0..rounds {
        let phase = Phase::ALL.get(round as usize).copied().unwrap_or(Phase::Some);
        let mut server = serve(scratch)?;
        let script = "trap '' TERM; while :; do sleep 0.1; done";
        let id = scratch.detach(&["--grace", "400ms"], &["sh", "-c", script]);
        scratch.pids(id);
        let socket = stepflow_client::Server::at(scratch.storage.run_dir().join("server.sock"));
        let asking = thread::spawn(move || {
            socket.post(&format!("/api/executions/{id}/cancel"), &serde_json::json!({})).is_ok()
        });
        if phase == Phase::Some {
            thread::sleep(Duration::from_micros(random.below(600_000)));
        } else {
            eventually("the cancel comes so far", || phase.is_reached(scratch, id).then_some(()));
        }
        let _ = server.kill();
        let _ = server.wait();
        let accepted = asking.join().unwrap_or(false);
        if phase != Phase::Asked && phase != Phase::Some {
            // The wish is recorded: what follows needs no server, accepted or not.
            let summary = scratch.ended(id).state.summary;
            if summary.status != Status::Cancelled {
                return Err(format!("killed at {phase:?}: it ended as {:?}", summary.status));
            }
        }
        let mut server = serve(scratch)?;
        if !accepted {
            unheard += 1;
            // Not accepted: it may have been heard all the same. Asked again it ends.
            let _ = scratch.output(&["cancel", &id.to_string()]);
        }
        let summary = scratch.ended(id).state.summary;
        let _ = server.kill();
        let _ = server.wait();
        if summary.status != Status::Cancelled {
            return Err(format!("round {round}: an accepted cancel ended as {:?}", summary.status));
        }
    }
    Ok(format!(
        "{rounds} cancels with a server killed between each two phases and at random: none lost \
         ({unheard} asked again)"
    ))
}
