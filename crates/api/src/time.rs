//! Times on the wire: RFC 3339, UTC, microseconds and `Z`, always.

use jiff::Timestamp;

/// Microseconds since 1970 as `2026-11-22T20:00:00.000001Z`. A time outside the years -9999 to
/// 9999 is shown as the nearest that is inside.
pub fn rfc3339(us: i64) -> String {
    let nearest = if us < 0 { Timestamp::MIN } else { Timestamp::MAX };
    format!("{:.6}", Timestamp::from_microsecond(us).unwrap_or(nearest))
}

/// Nanoseconds since 1970, cut to microseconds.
pub fn rfc3339_ns(ns: i64) -> String {
    rfc3339(ns.div_euclid(1_000))
}

pub(crate) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_always_has_six_digits_and_z() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(1_795_377_600_000_001), "2026-11-22T20:00:00.000001Z");
        assert_eq!(rfc3339_ns(1_500), "1970-01-01T00:00:00.000001Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-12-30"));
    }
}
