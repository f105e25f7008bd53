//! The original's times: ISO 8601, local without an offset, or with one.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

/// The time zone in which times without an offset were written: the server's own.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this process: `TZ`, else the system's, as the original's Python had it.
    pub fn system() -> Self {
        Self(TimeZone::system())
    }

    /// A given zone.
    pub fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    /// What tells it from other zones, for people and for going on with an upgrade.
    pub(crate) fn label(&self) -> String {
        let tz = std::env::var("TZ").unwrap_or_default();
        let name = self.0.iana_name().unwrap_or_default();
        format!("{name} {tz}").trim().to_owned()
    }

    /// Microseconds UTC of a stored time; `None` if it is none.
    ///
    /// A local time that happened twice (clocks went back) is the first of the two, unless that
    /// lies before `not_before` and the second does not. One that never happened (clocks went
    /// forward) is taken as if they had not yet.
    pub fn instant(&self, text: &str, not_before: Option<i64>) -> Option<i64> {
        let text = text.trim();
        if text.len() > 64 {
            return None;
        }
        // A colon in the last six characters, or a basic offset, or Z: behind a time of day only.
        let clock = text.get(10..).unwrap_or_default();
        if clock.ends_with(['Z', 'z']) || clock.contains('+') || clock.contains('-') {
            return text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond);
        }
        let local: DateTime = text.parse().ok()?;
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        if let (AmbiguousOffset::Fold { .. }, Some(least)) = (ambiguous.offset(), not_before) {
            let earlier = ambiguous.earlier().ok()?.as_microsecond();
            let later = ambiguous.later().ok()?.as_microsecond();
            return Some(if earlier < least && least <= later { later } else { earlier });
        }
        ambiguous.compatible().ok().map(Timestamp::as_microsecond)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn us(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn berlin() -> Zone {
        Zone::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
    }

    #[test]
    fn a_time_without_offset_is_the_zones() {
        for (text, expected) in [
            ("2026-11-22T20:00:09.959359", "2026-11-22T19:00:09.959359Z"),
            ("2026-11-22T20:00:09", "2026-11-22T19:00:09Z"),
            ("2026-11-22 20:00:09.5", "2026-11-22T19:00:09.5Z"),
            ("2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
            ("2026-11-22T20:00:09.959359Z", "2026-11-22T20:00:09.959359Z"),
            ("2026-11-22T20:00:09+05:30", "2026-11-22T14:30:09Z"),
            ("2026-11-22T20:00:09-03:00", "2026-11-22T23:00:09Z"),
            (" 2026-11-22T20:00:09+00:00\n", "2026-11-22T20:00:09Z"),
        ] {
            assert_eq!(berlin().instant(text, None), Some(us(expected)), "{text}");
        }
        for text in ["", "INFO", "2026-11-22T25:00:00", "2026-13-01T00:00:00", "20:00:09", "12"] {
            assert_eq!(berlin().instant(text, None), None, "{text}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_goes_on_after_what_came_before() {
        let (first, second) = (us("2026-10-25T00:30:00Z"), us("2026-10-25T01:30:00Z"));
        let at = |not_before| berlin().instant("2026-10-25T02:30:00", not_before);
        assert_eq!(at(None), Some(first));
        assert_eq!(at(Some(first)), Some(first));
        assert_eq!(at(Some(us("2026-10-25T00:59:00Z"))), Some(second));
        assert_eq!(at(Some(us("2026-10-25T05:00:00Z"))), Some(first), "neither fits");
        // One that never was: 02:30 on the day when 02:00 became 03:00.
        assert_eq!(berlin().instant("2026-03-29T02:30:00", None), Some(us("2026-03-29T01:30:00Z")));
    }

    proptest! {
        #[test]
        fn what_python_wrote_comes_back(at in 0_i64..4_000_000_000_000_000) {
            let zone = berlin();
            let local = Timestamp::from_microsecond(at).unwrap().to_zoned(zone.0.clone()).datetime();
            let text = if at % 1_000_000 == 0 {
                local.strftime("%Y-%m-%dT%H:%M:%S").to_string()
            } else {
                format!("{}.{:06}", local.strftime("%Y-%m-%dT%H:%M:%S"), at % 1_000_000)
            };
            prop_assert_eq!(zone.instant(&text, Some(at)), Some(at), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) { let _ = berlin().instant(&text, Some(0)); }

        #[test]
        fn nothing_like_a_time_makes_it_panic(text in "[0-9:TZ.+ -]{0,40}") {
            let _ = berlin().instant(&text, None);
        }
    }
}
