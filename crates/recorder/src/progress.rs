//! Thins out what scripts say about their progress: a loop may say it a million times, and the
//! journal shall hold what people can follow.

use std::collections::BTreeMap;

use stepflow_model::EventKind;

/// At most one round of news about progress is recorded in this time.
pub(crate) const EVERY_US: u64 = 250_000;

/// What a script said last about one step, or about the whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) percent: Option<f64>,
    pub(crate) text: String,
    /// Where the line begins that said it.
    pub(crate) offset: u64,
    pub(crate) lines: u64,
}

impl Said {
    pub(crate) fn event(self, step: Option<u32>) -> EventKind {
        EventKind::Progress { step, percent: self.percent, text: self.text }
    }
}

/// What has been said and not recorded yet: the latest for each step, so no more than there are
/// open steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    waiting: BTreeMap<Option<u32>, Said>,
    recorded_at: Option<u64>,
}

impl Progress {
    /// Takes what was said about `step`.
    pub(crate) fn say(&mut self, step: Option<u32>, said: Said) {
        self.waiting.insert(step, said);
    }

    /// When what waits is to be recorded; `None`: nothing waits.
    pub(crate) fn due_us(&self) -> Option<u64> {
        let due = self.recorded_at.map_or(0, |at| at + EVERY_US);
        (!self.waiting.is_empty()).then_some(due)
    }

    /// All that waits, recorded at `now`.
    pub(crate) fn take_all(&mut self, now: u64) -> BTreeMap<Option<u32>, Said> {
        self.recorded_at = Some(now);
        std::mem::take(&mut self.waiting)
    }

    /// What waits about `step`, which is ending.
    pub(crate) fn take(&mut self, step: u32) -> Option<Said> {
        self.waiting.remove(&Some(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(percent: f64) -> Said {
        Said { percent: Some(percent), text: String::new(), offset: 0, lines: 0 }
    }

    #[test]
    fn the_first_is_due_at_once_then_the_latest_of_each_quarter_second() {
        let mut progress = Progress::default();
        assert_eq!(progress.due_us(), None);
        progress.say(None, said(1.0));
        assert_eq!(progress.due_us(), Some(0));
        assert_eq!(progress.take_all(1_000)[&None], said(1.0));
        for percent in 2..90 {
            progress.say(None, said(f64::from(percent)));
            progress.say(Some(3), said(f64::from(percent)));
        }
        assert_eq!(progress.due_us(), Some(1_000 + EVERY_US));
        assert_eq!(progress.take(3), Some(said(89.0)), "a step's last comes before its end");
        assert_eq!(progress.take_all(300_000), BTreeMap::from([(None, said(89.0))]));
        assert_eq!(progress.due_us(), None);
    }
}
