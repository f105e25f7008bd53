//! A disk that does not take what there is: said, waited for, given up, or gone on without.

use std::io::{self, ErrorKind};

use stepflow_markers::dialects::At;
use stepflow_model::{EventKind, Reason, Stream};
use stepflow_record::RecordError;
use stepflow_sys::disk;

use super::Recording;

/// Kept free behind the journal's end, so that a pause, its end, warnings and the execution's end
/// can be written while the disk is full.
const RESERVE: u64 = 64 * 1024;
/// And for everything that is open so much more: its end is written as well.
const RESERVE_EACH: u64 = 512;
/// And for the steps of output that is dropped, where it is.
const RESERVE_STEPS: u64 = 128 * 1024;

/// Output is dropped for at least this long; twice as long each time the disk is full again soon.
const DROP_US: u64 = 250_000;
const DROP_US_MAX: u64 = 4_000_000;
/// "Soon" is within this time.
const CALM_US: u64 = 10_000_000;
/// Free bytes without which it is not worth going on.
const ROOM_MIN: u64 = 256 * 1024;
/// Recording goes on where a line begins; one that does not end for so long is not waited for.
const LINE_WAIT: u64 = 64 * 1024;

/// Output that is not recorded, because the disk does not take it.
#[derive(Debug, Default)]
pub(super) struct Lost {
    bytes: u64,
    lines: u64,
    /// Markers in it that there was no room for either.
    markers: u64,
}

/// What the policy to drop is doing.
#[derive(Debug, Default)]
pub(super) struct Dropping {
    /// When it is looked whether there is room again.
    look_at: u64,
    /// How long output is dropped before that.
    wait_us: u64,
    /// When recording went on the last time.
    went_on_at: u64,
    /// There is room: recording goes on where the next line begins, or after so many bytes more.
    line_wait: Option<u64>,
    /// The last dropped byte ended a line.
    at_line_start: bool,
    /// Something was lost because the disk fails, not because it is full.
    failed: bool,
}

impl Recording {
    /// From now on keeps room on the disk for the end. A disk that has none is no reason not to start.
    pub(crate) fn reserve(&mut self) {
        self.reserving = true;
        self.writer.reserve();
        self.keep_reserve();
    }

    /// Room that the ends of all that is open now need.
    fn ends_need(&self) -> u64 {
        let files = self.state.artifacts.iter().filter(|file| !file.settled).count();
        let open = (self.state.open.len() + files) as u64;
        // In steps, so that it is not asked for with every one.
        (RESERVE + open * RESERVE_EACH).next_multiple_of(RESERVE)
    }

    /// Keeps room for the ends of all that is open now.
    pub(super) fn keep_reserve(&mut self) {
        if self.reserving {
            let ends = self.ends_need();
            // It is filled up again when half of it is used: the half that is left must do.
            let all = if self.dropping.is_some() { 2 * (ends + RESERVE_STEPS) } else { ends };
            self.journal.reserve(all);
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
        if self.dropping.is_none() && !std::mem::replace(&mut self.announced_trouble, true) {
            self.emit(EventKind::Paused { why });
        }
    }

    /// Waits for the disk no longer: what it has refused, and all output from now on, is lost, and
    /// counted. What happens is still journaled, in the room that was kept.
    ///
    /// Returns why, and a sentence for people.
    pub(crate) fn give_up(&mut self, waited_s: u64) -> (Reason, String) {
        self.hearing.dialects = None; // Nothing that is lost is looked at.
        self.lose_refused();
        let (reason, what) = Self::verdict_on_disk(self.failing);
        (reason, format!("{what} for {waited_s} s"))
    }

    /// What was refused is lost, and so is all output from now on.
    fn lose_refused(&mut self) {
        self.lost.get_or_insert_default();
        self.trouble = None;
        for (stream, bytes) in std::mem::take(&mut self.refused) {
            self.lose(stream, &bytes);
        }
        // The reserve takes what was held back.
        let flushed = self.journal.flush();
        self.note_trouble(flushed);
        self.close_entry();
    }

    /// Counts output that is not recorded, and takes down the steps in it as far as there is room.
    pub(super) fn lose(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(lost) = &mut self.lost else { return };
        let (appended, lines) = self.writer.appended();
        // Positions go on, so that markers have an order; what they lead to is put where the gap is.
        let base = appended + lost.bytes;
        lost.bytes += bytes.len() as u64;
        lost.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        if let Some(dropping) = &mut self.dropping {
            dropping.at_line_start = bytes.last() == Some(&b'\n');
        }
        let left_out = self.hear_lost(stream, bytes, At { offset: base, lines, floor: 0 });
        if let Some(lost) = &mut self.lost {
            lost.markers += left_out;
        }
    }

    /// Whether more can be taken down than the ends of what is open.
    pub(super) fn has_room_for_steps(&self) -> bool {
        !self.is_blocked() && self.journal.room() > self.ends_need()
    }

    /// Drops output from here on, if that is the policy and the disk does not take it.
    pub(super) fn drop_if_blocked(&mut self) {
        if self.lost.is_some() || self.dropping.is_none() {
            return;
        }
        let Some(why) = self.trouble.clone() else { return };
        let now = self.clock.at_us();
        let at_line_start = self.writer.is_at_line_start();
        if let Some(dropping) = &mut self.dropping {
            let again = now < dropping.went_on_at + CALM_US && dropping.wait_us > 0;
            dropping.wait_us =
                if again { (dropping.wait_us * 2).min(DROP_US_MAX) } else { DROP_US };
            dropping.look_at = now + dropping.wait_us;
            dropping.line_wait = None;
            dropping.at_line_start = at_line_start;
            dropping.failed |= self.failing;
        }
        self.lose_refused();
        let message = format!("{why}; output is dropped until the disk takes it again");
        let code = if self.failing { "disk_failing" } else { "disk_full" }.to_owned();
        self.emit(EventKind::Warning { code, message });
    }

    /// When [`Recording::mind_drop`] is to be called.
    pub(crate) fn drop_due_us(&self) -> Option<u64> {
        let dropping = self.dropping.as_ref().filter(|dropping| dropping.line_wait.is_none())?;
        self.lost.as_ref().map(|_| dropping.look_at)
    }

    /// Looks whether there is room again for output, if it is dropped and it is time.
    pub(crate) fn mind_drop(&mut self) {
        let now = self.clock.at_us();
        if self.drop_due_us().is_none_or(|due| now < due) {
            return;
        }
        if let Some(dropping) = &mut self.dropping {
            dropping.look_at = now + dropping.wait_us;
        }
        self.trouble = None;
        let flushed = self.journal.flush();
        self.note_trouble(flushed);
        self.close_entry();
        // A quota is not seen in the free bytes: what was kept must be whole again as well.
        let free = disk::free_bytes(self.writer.dir()).unwrap_or(u64::MAX);
        let refilled = self.journal.refill_reserve() && self.writer.refill_reserve();
        if self.is_blocked() || free < ROOM_MIN || !refilled {
            return;
        }
        if let Some(dropping) = &mut self.dropping {
            dropping.line_wait = Some(LINE_WAIT);
        }
        self.go_on_at_line_start();
    }

    /// How many of `bytes` are still dropped although there is room: those of a line that has begun.
    pub(super) fn before_next_line(&mut self, bytes: &[u8]) -> usize {
        let Some(dropping) = &mut self.dropping else { return bytes.len() };
        let Some(wait) = dropping.line_wait else { return bytes.len() };
        let limit = bytes.len().min(wait as usize);
        let count = memchr::memchr(b'\n', &bytes[..limit]).map_or(limit, |feed| feed + 1);
        dropping.line_wait = Some(wait - count as u64);
        count
    }

    /// Records again, if there is room and a line begins.
    pub(super) fn go_on_at_line_start(&mut self) {
        let now = self.clock.at_us();
        let Some(dropping) = &mut self.dropping else { return };
        // A line whose rest is recorded all the same is too long to be a marker.
        if dropping.line_wait.is_none_or(|wait| wait > 0 && !dropping.at_line_start) {
            return;
        }
        dropping.line_wait = None;
        dropping.went_on_at = now;
        self.tell_of_gap(true);
        self.lost = None;
        // A half line before the gap does not go on behind it.
        self.writer.end_half_line();
        let (base, _) = self.writer.appended();
        (self.run_start, self.line_start) = (base, base);
    }

    /// Says what was lost since this was said last. `goes_on`: output follows, and a half line before
    /// the gap is a line of its own.
    fn tell_of_gap(&mut self, goes_on: bool) {
        let Some(lost) = self.lost.as_mut().filter(|lost| lost.bytes > 0) else { return };
        let Lost { bytes, lines, markers } = std::mem::take(lost);
        let (at, ended) = self.writer.appended();
        let (_, why) = Self::verdict_on_disk(self.failing);
        let cuts_line = goes_on && !self.writer.is_at_line_start();
        let why = why.to_owned();
        self.emit_at(EventKind::OutputLost { bytes, lines, markers, cuts_line, why }, at, ended);
    }

    fn verdict_on_disk(failing: bool) -> (Reason, &'static str) {
        if failing {
            (Reason::DiskFailed, "the disk did not take the output")
        } else {
            (Reason::DiskFull, "the disk was full")
        }
    }

    /// Whether output has to wait for the disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.is_blocked() && self.dropping.is_none()
    }

    /// Whether the disk is waited for no longer.
    pub(crate) fn has_given_up(&self) -> bool {
        self.lost.is_some()
    }

    /// Says how much was lost. Returns what an execution has come to that lost output: whatever its
    /// script says, it is not complete. Whoever wished for that rather than wait has the script's own
    /// end, unless the disk failed.
    pub(crate) fn tell_of_loss(&mut self) -> Option<(Reason, String)> {
        self.tell_of_gap(false);
        let failed = match &self.dropping {
            Some(dropping) if dropping.failed => true,
            Some(_) => return None,
            None => self.failing,
        };
        if self.state.lost_bytes == 0 {
            return None;
        }
        let (reason, what) = Self::verdict_on_disk(failed);
        let lost = self.state.lost_bytes;
        Some((reason, format!("{what}: {lost} bytes of output are lost")))
    }
}
