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
    fn decay_halves_at_the_half_life() {
        assert!((decay(1_000, 1_000.0) - 0.5).abs() < 1e-6);
        assert_eq!(decay(-5, 1_000.0), 1.0);
        assert_eq!(decay(i64::MAX, 1.0), 0.0);
    }
}
