//! Times as people and files write them.
//!
//! Owns the way from a text to milliseconds since 1970-01-01 UTC. Must not read a clock.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

/// Reads milliseconds since 1970-01-01 UTC, an RFC 3339 date and time, or a date (its first instant in UTC).
///
/// # Errors
/// Says what would have been understood.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(at) = text.parse::<i64>() {
        return Ok(at);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    text.parse::<Date>().ok().and_then(start_of).ok_or_else(|| {
        format!("{text:?} is neither milliseconds since 1970 nor a date such as 2026-01-31 or 2026-01-31T12:00:00Z")
    })
}

/// The first instant of a year in milliseconds; a year before 1970 becomes 0, for the system's times start there.
pub(crate) fn parse_year(text: &str) -> Option<i64> {
    let year: i16 = text.parse().ok().filter(|year| (1..=9_999).contains(year))?;
    start_of(date(year, 1, 1)).map(|at| at.max(0))
}

fn start_of(day: Date) -> Option<i64> {
    day.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_their_forms() {
        assert_eq!(parse_time("1650812741436"), Ok(1_650_812_741_436));
        assert_eq!(parse_time("1970-01-02"), Ok(86_400_000));
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert!(parse_time("yesterday").is_err());
        assert!(parse_time("").is_err());
    }

    #[test]
    fn years_are_read_and_early_ones_are_cut() {
        assert_eq!(parse_year("1971"), Some(365 * 86_400_000));
        assert_eq!(parse_year("1932"), Some(0));
        assert_eq!(parse_year("V"), None);
    }
}
