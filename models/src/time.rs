//! Points in time and exponential decay.
//!
//! Owns the unit (milliseconds since 1970-01-01 UTC) and the formula of decay. Must not read a clock.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct TimestampMs(pub i64);

/// One second in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The latest time the system accepts (the year 9999); keeps every subtraction far from overflow.
pub const TIMESTAMP_MS_MAX: i64 = 253_402_300_799_000;

impl TimestampMs {
    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: TimestampMs) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `self` moved by `delta_ms`.
    #[must_use]
    pub fn plus_ms(self, delta_ms: i64) -> TimestampMs {
        TimestampMs(self.0.saturating_add(delta_ms))
    }
}

/// Reads a length of time such as `45s`, `30m`, `3h` or `7d`, in milliseconds. `None`: it is none, or longer than a hundred
/// years.
#[must_use]
pub fn parse_length_ms(text: &str) -> Option<i64> {
    let unit_ms = match text.chars().last()? {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let is_number = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let count: i64 = digits.parse().ok().filter(|_| is_number)?;
    let length_ms = count.checked_mul(unit_ms)?;
    (1..=100 * 366 * DAY_MS).contains(&length_ms).then_some(length_ms)
}

/// What is left of a weight of 1 after `elapsed_ms` with the given half-life: `0.5^(elapsed / half_life)`.
/// Elapsed time below zero counts as zero.
#[must_use]
pub fn decay(elapsed_ms: i64, half_life_ms: f64) -> f32 {
    if elapsed_ms <= 0 || half_life_ms <= 0.0 {
        return 1.0;
    }
    (-(elapsed_ms as f64) / half_life_ms).exp2() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_or_refused() {
        let read = |text: &str| parse_length_ms(text);
        assert_eq!(read("45s"), Some(45_000));
        assert_eq!(
            (read("30m"), read("3h"), read("7d")),
            (Some(1_800_000), Some(3 * HOUR_MS), Some(7 * DAY_MS))
        );
        for bad in ["", "m", "0m", "-1h", "1.5h", "5", "5w", "99999999999d", "3é"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn decay_halves_at_the_half_life() {
        assert!((decay(1_000, 1_000.0) - 0.5).abs() < 1e-6);
        assert_eq!(decay(-5, 1_000.0), 1.0);
        assert_eq!(decay(i64::MAX, 1.0), 0.0);
    }
}
