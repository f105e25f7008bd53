//! Times on the wire: RFC 3339, UTC, microseconds and `Z`, always.

use jiff::{Timestamp, Zoned, civil, tz::TimeZone};

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

/// A text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time: write 2026-11-22, 2026-11-22T20:00:00Z, or 12h, 7d, 2w for so long ago"
)]
pub struct TimeError(String);

/// Where a time without an offset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The time zone of this machine.
    System,
}

/// A point in time as people write it, in microseconds since 1970.
///
/// `2026-11-22T20:00:00Z` (or with an offset); `2026-11-22T20:00` and `2026-11-22`, its first moment,
/// in `zone`; `90s`, `30m`, `12h`, `7d`, `2w`: so long before `now_us`, a day being 24 hours.
pub fn parse_time(text: &str, now_us: i64, zone: Zone) -> Result<i64, TimeError> {
    let zone = match zone {
        Zone::Utc => TimeZone::UTC,
        Zone::System => TimeZone::system(),
    };
    parse_in(text, now_us, zone)
}

fn parse_in(text: &str, now_us: i64, zone: TimeZone) -> Result<i64, TimeError> {
    let text = text.trim();
    let wrong = || TimeError(text.chars().take(64).collect());
    if let Some(ago) = parse_ago(text) {
        return now_us.checked_sub(ago).ok_or_else(wrong);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_microsecond());
    }
    if text.contains('[') {
        return Err(wrong()); // A zone of its own is more than we promise to understand.
    }
    let civil: civil::DateTime = text.parse().map_err(|_| wrong())?;
    let zoned: Zoned = civil.to_zoned(zone).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_microsecond())
}

fn parse_ago(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..unit_at].parse().ok()?;
    let unit: i64 = match &text[unit_at..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    count.checked_mul(unit)?.checked_mul(1_000_000)
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

    #[test]
    fn times_are_read_as_people_write_them() {
        const HOUR: i64 = 3_600_000_000;
        let now = 1_795_377_600_000_000; // 2026-11-22T20:00:00Z
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, expected) in [
            ("2026-11-22T20:00:00Z", now),
            ("2026-11-22T21:00:00.000001+01:00", now + 1),
            (" 2026-11-22T20:00 ", now - HOUR),
            ("2026-11-22", now - 21 * HOUR),
            ("0s", now),
            ("12h", now - 12 * HOUR),
            ("7d", now - 7 * 24 * HOUR),
            ("1w", now - 7 * 24 * HOUR),
        ] {
            assert_eq!(parse_in(text, now, zone.clone()), Ok(expected), "{text}");
        }
        for text in [
            "",
            "d",
            "7",
            "7x",
            "-7d",
            "99999999999999999999d",
            "9223372036854775807w",
            "yesterday",
            "2026-13-01",
            "2026-11-22T20:00[Europe/Berlin]",
            "ü",
        ] {
            assert!(parse_in(text, now, zone.clone()).is_err(), "{text}");
        }
    }
}
