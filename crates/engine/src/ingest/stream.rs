//! One stream, as its shard knows it.

use std::{sync::Arc, time::Instant};

use stepflow_model::Position;
use stepflow_recorder::inflow::{End, Inflow};

use super::{IngestState, Reply};
use crate::handle::Handle;

/// Past this much unsynced output the source waits for the disk.
const UNSYNCED_MAX: u64 = 64 << 20;

/// Where the end stands. A number is that of the sync it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// To be ended so, as soon as the disk takes it.
    Ending(End),
    /// Everything but the end itself is written.
    Closing(u64),
    /// That is synced.
    Sealing,
    /// The end is written.
    Sealed(u64),
}

pub(crate) struct Stream {
    pub(super) handle: Arc<Handle>,
    /// `None`: an earlier server left it open, and nobody has asked for it since.
    pub(super) inflow: Option<Inflow>,
    /// Which source sends now: an earlier one is not listened to.
    pub(super) epoch: u64,
    pub(super) attached: bool,
    /// It has been without a source that went away, not one that said it would come again.
    pub(super) was_lost: bool,
    /// Without a source until then, it is lost.
    pub(super) resume_by: Option<Instant>,
    /// A source that may not go on yet.
    pub(super) stuck: Option<Reply<()>>,
    pub(super) phase: Phase,
    /// Who waits for which sync.
    pub(super) waiting: Vec<(u64, Reply<IngestState>)>,
    pub(super) safe: u64,
    pub(super) sync_failed: bool,
    pub(super) dirty: bool,
    pub(super) touched: bool,
    /// Its open entry is to be closed.
    pub(super) entry_queued: bool,
    pub(super) told: Position,
    /// Descriptors in use, as counted last.
    pub(super) files: usize,
    /// When it was written last, in jobs of its shard.
    pub(super) used: u64,
}

impl Stream {
    pub(super) fn new(
        handle: Arc<Handle>,
        inflow: Option<Inflow>,
        resume_by: Option<Instant>,
    ) -> Self {
        Self {
            handle,
            was_lost: inflow.is_none(),
            inflow,
            epoch: 0,
            attached: false,
            resume_by,
            stuck: None,
            phase: Phase::Open,
            waiting: Vec::new(),
            safe: 0,
            sync_failed: false,
            dirty: false,
            touched: false,
            entry_queued: false,
            told: Position::default(),
            files: 0,
            used: 0,
        }
    }

    pub(super) fn state(&self) -> IngestState {
        IngestState {
            offset: self.inflow.as_ref().map_or(0, Inflow::offset),
            safe: self.safe,
            attached: self.attached,
        }
    }

    /// Whether its source may send more.
    pub(super) fn may_go_on(&self) -> bool {
        self.inflow.as_ref().is_some_and(|inflow| {
            let unsynced = inflow.position().bytes.saturating_sub(self.safe);
            !inflow.is_blocked() && (self.sync_failed || unsynced <= UNSYNCED_MAX)
        })
    }

    pub(super) fn open_files(&self) -> usize {
        self.inflow.as_ref().map_or(0, Inflow::open_files)
    }

    /// Tells viewers what is recorded, once it is.
    pub(super) fn tell(&mut self) {
        let Some(inflow) = &mut self.inflow else { return };
        let position = inflow.position();
        let events = inflow.take_events();
        if position != self.told || !events.is_empty() {
            self.told = position;
            self.handle.feed(&events, position);
            self.handle.poke.notify_one();
        }
    }
}
