//! What is done about output that outgrows its limit.

use stepflow_model::{EventKind, LogFull, Spec};
use stepflow_record::RecordError;

use super::Recording;

/// The middle goes in pieces of at least this: each costs a sync and a line of the journal.
const STEP_MIN: u64 = 1 << 20;

/// The limit of one log.
pub(super) struct Limit {
    max: u64,
    full: LogFull,
    /// Output that stays when the middle goes.
    keep: u64,
    /// The log is looked at when this much is appended.
    due: u64,
}

impl Limit {
    /// A stream that comes from elsewhere has nobody to stop.
    pub(super) fn new(spec: &Spec) -> Option<Self> {
        let max = spec.log_max_bytes;
        // Who is told to stop may say why, and cannot flood the disk meanwhile.
        let keep = match spec.log_full {
            LogFull::KeepEnds | LogFull::Block => max,
            LogFull::Stop => max.saturating_mul(2),
        };
        (max > 0).then(|| Self { max, full: spec.log_full, keep, due: keep + step(keep) })
    }
}

fn step(keep: u64) -> u64 {
    (keep / 64).max(STEP_MIN)
}

impl Recording {
    /// Whether the output has reached its limit, and what is to be done then.
    pub(crate) fn reached(&self) -> Option<(LogFull, u64)> {
        let limit = self.limit.as_ref()?;
        (self.writer.appended().0 >= limit.max).then_some((limit.full, limit.max))
    }

    /// Drops the middle of the output if it is time.
    pub(super) fn mind_limit(&mut self) {
        let appended = self.writer.appended().0;
        let Some(limit) = &mut self.limit else { return };
        if appended < limit.due || self.trouble.is_some() {
            return;
        }
        let keep = limit.keep;
        limit.due = appended + step(keep);
        match self.drop_middle(keep) {
            Ok(true) => {}
            Ok(false) => {
                self.limit = None;
                self.not_dropped("this file system cannot give back the middle of a file");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(": {s}"));
                self.not_dropped(&format!("{error}{}", cause.unwrap_or_default()));
            }
        }
    }

    fn not_dropped(&mut self, why: &str) {
        if !std::mem::replace(&mut self.told_not_dropped, true) {
            self.emit(EventKind::Warning {
                code: "output_not_dropped".to_owned(),
                message: format!("log_max_bytes is reached, and the whole output is kept: {why}"),
            });
        }
    }

    /// Told first, then marked, then dropped. `false`: the file system cannot.
    fn drop_middle(&mut self, keep: u64) -> Result<bool, RecordError> {
        if !self.writer.can_drop()? {
            return Ok(false);
        }
        self.close_entry();
        if self.is_blocked() {
            return Ok(true);
        }
        let Some(dropped) = self.writer.excess(keep)? else { return Ok(true) };
        if let Err(error) = self.writer.sync() {
            // The kernel says it once: whoever counts what is safe must hear of it.
            self.sync_error = Some(error);
            return Ok(true);
        }
        let reason = "log_max_bytes".to_owned();
        self.emit(EventKind::OutputDropped { dropped, reason });
        if self.is_blocked() {
            return Ok(true); // The next round tells of it again.
        }
        if let Err(error) = self.journal.sync() {
            self.sync_error = Some(error);
            return Ok(true);
        }
        self.writer.drop_output(dropped)
    }
}
