//! Wall and monotonic time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC, as the wall clock says now.
pub fn wall_us() -> i64 {
    wall_ns() / 1_000
}

/// Nanoseconds since 1970 UTC, as the wall clock says now.
pub fn wall_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Stamps that never go backwards, with the monotonic time since the clock was made.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// What an earlier clock, which this one goes on, had counted.
    before_us: u64,
    last_ns: i64,
    /// What wall and monotonic clock said at the last look.
    seen: Option<(i64, u64)>,
}

/// One look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970 UTC; never less than in an earlier stamp.
    pub wall_ns: i64,
    /// Microseconds since the clock was made, by `CLOCK_MONOTONIC`.
    pub at_us: u64,
    /// The wall clock went back since the last stamp, by this many nanoseconds.
    pub went_back_ns: i64,
    /// It went forward by this many nanoseconds more than time has passed since the last stamp.
    pub went_on_ns: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), before_us: 0, last_ns: 0, seen: None }
    }
}

impl Clock {
    /// Goes on where another process's clock stood at `at_us` when the wall clock said `wall_ns`.
    /// The time between is the wall clock's: nobody else has counted it.
    pub fn resume(at_us: u64, wall_ns: i64) -> Self {
        Self::resume_at(at_us, wall_ns, self::wall_ns())
    }

    /// No stamp is earlier than `wall_ns`.
    #[must_use]
    pub fn not_before(mut self, wall_ns: i64) -> Self {
        self.last_ns = self.last_ns.max(wall_ns);
        self
    }

    fn resume_at(at_us: u64, wall_ns: i64, now_ns: i64) -> Self {
        let between_us = u64::try_from((now_ns - wall_ns) / 1_000).unwrap_or(0);
        Self { start: Instant::now(), before_us: at_us + between_us, last_ns: wall_ns, seen: None }
    }

    /// Now.
    pub fn stamp(&mut self) -> Stamp {
        self.stamp_at(wall_ns())
    }

    /// Now, when the wall clock says `wall`.
    fn stamp_at(&mut self, wall: i64) -> Stamp {
        let went_back_ns = (self.last_ns - wall).max(0);
        self.last_ns = self.last_ns.max(wall);
        let at_us = self.at_us();
        let went_on_ns = self.seen.replace((wall, at_us)).map_or(0, |(before, at)| {
            let passed = i64::try_from(at_us - at).unwrap_or(i64::MAX).saturating_mul(1_000);
            wall.saturating_sub(before).saturating_sub(passed).max(0)
        });
        Stamp { wall_ns: self.last_ns, at_us, went_back_ns, went_on_ns }
    }

    /// Microseconds since the clock was made.
    pub fn at_us(&self) -> u64 {
        self.before_us + self.start.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_clock_goes_on_and_never_back() {
        let mut clock = Clock::resume_at(5_000_000, 10_000_000_000, 12_000_000_000);
        let stamp = clock.stamp_at(12_000_000_000);
        assert!((7_000_000..60_000_000).contains(&stamp.at_us), "two seconds lie between");
        let mut clock = Clock::resume_at(5_000_000, 10_000_000_000, 1_000_000_000);
        let stamp = clock.stamp_at(1_000_000_000);
        assert!(stamp.at_us >= 5_000_000 && stamp.wall_ns == 10_000_000_000);
    }

    #[test]
    fn a_clock_that_jumps_moves_no_stamp_back_and_no_duration() {
        let day = 86_400_000_000_000;
        let mut clock = Clock::default();
        let stamps: Vec<Stamp> =
            [10 * day, 9 * day, 9 * day + 5, 375 * day, 11 * day].map(|w| clock.stamp_at(w)).into();
        let walls: Vec<i64> = stamps.iter().map(|stamp| stamp.wall_ns).collect();
        assert_eq!(walls, [10 * day, 10 * day, 10 * day, 375 * day, 375 * day]);
        assert_eq!((stamps[1].went_back_ns, stamps[2].went_back_ns), (day, day - 5));
        assert_eq!(stamps[3].went_back_ns, 0);
        assert!(stamps[3].went_on_ns > 365 * day && stamps[1].went_on_ns == 0, "{stamps:?}");
        assert_eq!(stamps[0].went_on_ns, 0, "the first look has nothing to compare with");
        assert!(stamps.is_sorted_by_key(|stamp| stamp.at_us));
        assert!(stamps[4].at_us < 60_000_000, "monotonic time knows nothing of the jump");
    }
}
