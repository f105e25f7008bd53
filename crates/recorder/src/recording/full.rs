//! A disk that does not take what there is: said, waited for, or given up.

use std::io::{self, ErrorKind};

use stepflow_model::{EventKind, Reason};
use stepflow_record::RecordError;

use super::Recording;

/// Kept free behind the journal's end, so that a pause, its end, warnings and the execution's end
/// can be written while the disk is full.
const RESERVE: u64 = 64 * 1024;
/// And for everything that is open so much more: its end is written as well.
const RESERVE_EACH: u64 = 512;

impl Recording {
    /// From now on keeps room on the disk for the end. A disk that has none is no reason not to start.
    pub(crate) fn reserve(&mut self) {
        self.reserving = true;
        self.writer.reserve();
        self.keep_reserve();
    }

    /// Keeps room for the ends of all that is open now.
    pub(super) fn keep_reserve(&mut self) {
        if self.reserving {
            let files = self.state.artifacts.iter().filter(|file| !file.settled).count();
            let open = (self.state.open.len() + files) as u64;
            // In steps, so that it is not asked for with every one.
            self.journal.reserve((RESERVE + open * RESERVE_EACH).next_multiple_of(RESERVE));
        }
    }

    /// Gives the room back: the end is written.
    pub(crate) fn give_reserve_back(&mut self) {
        self.writer.give_reserve_back();
        self.journal.give_reserve_back();
    }

    pub(super) fn note_trouble(&mut self, result: Result<(), RecordError>) {
        let Err(error) = result else { return };
        if self.trouble.is_some() {
            return;
        }
        let source = std::error::Error::source(&error);
        let system = source.and_then(|source| source.downcast_ref::<io::Error>());
        // Nobody must look for space on a disk that is broken, or mounted read-only.
        self.failing = !system.is_some_and(|error| {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        });
        let what = if self.failing { "the disk fails" } else { "the disk is full" };
        let cause = source.map(|source| format!(": {source}")).unwrap_or_default();
        let why = format!("{what}: {error}{cause}");
        self.trouble = Some(why.clone());
        if !std::mem::replace(&mut self.announced_trouble, true) {
            self.emit(EventKind::Paused { why });
        }
    }

    /// Waits for the disk no longer: what it has refused, and all output from now on, is lost, and
    /// counted. What happens is still journaled, in the room that was kept.
    ///
    /// Returns why, and a sentence for people.
    pub(crate) fn give_up(&mut self, waited_s: u64) -> (Reason, String) {
        let refused = std::mem::take(&mut self.refused);
        let refused: usize = refused.iter().map(|(_, bytes)| bytes.len()).sum();
        self.lost = Some(self.lost.unwrap_or(0) + refused as u64);
        self.trouble = None;
        self.hearing.dialects = None; // Nothing that is lost is looked at.
        // The reserve takes what was held back; a disk that refuses even this is waited for.
        let flushed = self.journal.flush();
        self.note_trouble(flushed);
        self.close_entry();
        let (reason, what) = self.verdict_on_disk();
        (reason, format!("{what} for {waited_s} s"))
    }

    fn verdict_on_disk(&self) -> (Reason, &'static str) {
        if self.failing {
            (Reason::DiskFailed, "the disk did not take the output")
        } else {
            (Reason::DiskFull, "the disk was full")
        }
    }

    /// Whether the disk is waited for no longer.
    pub(crate) fn has_given_up(&self) -> bool {
        self.lost.is_some()
    }

    /// Says how much was lost. Returns what an execution has come to that lost output: whatever its
    /// script says, it is not complete.
    pub(crate) fn tell_of_loss(&mut self) -> Option<(Reason, String)> {
        let lost = self.lost.filter(|lost| *lost > 0)?;
        let (at, _) = self.writer.appended();
        let (reason, what) = self.verdict_on_disk();
        let message = format!("{what}: {lost} bytes of output behind byte {at} are lost");
        if !std::mem::replace(&mut self.loss_told, true) {
            let code = "output_lost".to_owned();
            self.emit(EventKind::Warning { code, message: message.clone() });
        }
        Some((reason, message))
    }
}
