//! Forward decay: sums that fade with a half-life and stay comparable without being touched.
//!
//! Owns the formula (G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu, "Forward Decay: A Practical Time Decay Model for
//! Streaming Systems", ICDE 2009, with exponential g). Must not read a clock or know what is being summed.

use serde::{Deserialize, Serialize};

use crate::time::{MINUTE_MS, TimestampMs};

/// A sum of gains and losses, each fading by half per half-life from its own time on.
///
/// An event of weight w at time t adds `w · 2^((t - L) / half_life)` relative to a landmark L. The landmark moves to
/// the newest event, and the sums are scaled with it: every kept weight is then at most the event's own, so that
/// nothing overflows however long the process runs, and an item whose last event lies years back keeps its full
/// precision. The order of events does not matter, except for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "ForwardDecayParts", into = "ForwardDecayParts")]
pub struct ForwardDecay {
    gains: f64,
    losses: f64,
    landmark: TimestampMs,
}

/// What of a [`ForwardDecay`] is written down: gains, losses, landmark.
type ForwardDecayParts = (f64, f64, TimestampMs);

impl From<ForwardDecay> for ForwardDecayParts {
    fn from(sum: ForwardDecay) -> Self {
        (sum.gains, sum.losses, sum.landmark)
    }
}

impl TryFrom<ForwardDecayParts> for ForwardDecay {
    type Error = &'static str;

    fn try_from((gains, losses, landmark): ForwardDecayParts) -> Result<Self, Self::Error> {
        let sane = |sum: f64| sum.is_finite() && sum >= 0.0;
        if sane(gains) && sane(losses) {
            Ok(Self {
                gains,
                losses,
                landmark,
            })
        } else {
            Err("a decayed sum is damaged")
        }
    }
}

impl ForwardDecay {
    /// Adds an event of `weight`; a negative one is a loss. What is not finite is ignored.
    pub fn add(&mut self, weight: f64, at: TimestampMs, half_life_ms: i64) {
        if !weight.is_finite() || weight == 0.0 {
            return;
        }
        if self.gains == 0.0 && self.losses == 0.0 {
            self.landmark = at;
        }
        if at > self.landmark {
            let scale = halvings(at.since(self.landmark), half_life_ms);
            self.gains *= scale;
            self.losses *= scale;
            self.landmark = at;
        }
        let faded = weight.abs() * halvings(self.landmark.since(at), half_life_ms);
        if weight > 0.0 {
            self.gains += faded;
        } else {
            self.losses += faded;
        }
    }

    /// Takes the share `share` (0..=1) off the gains: how a like of unknown age is taken back.
    pub fn take_back_share(&mut self, share: f64) {
        self.gains *= 1.0 - share.clamp(0.0, 1.0);
    }

    /// Gains less losses as they stand at the landmark, at least 0.
    #[must_use]
    pub fn value_at_landmark(&self) -> f64 {
        (self.gains - self.losses).max(0.0)
    }

    /// The sum in the form in which it is published and compared.
    #[must_use]
    pub fn stamp(&self, half_life_ms: i64) -> DecayStamp {
        DecayStamp::new(self.value_at_landmark(), self.landmark, half_life_ms)
    }
}

/// A decayed sum as eight bytes: its binary logarithm at a full minute. Immutable, and yet right at any later time.
///
/// Two stamps are compared by [`DecayStamp::rank_key`], which needs no `now`: both fade at the same rate, so that their
/// order never changes. In the log domain a log imported years after its events still ranks correctly in itself, where
/// the plain values have long become 0. The half-life is applied on reading, so that a change of it holds at once for
/// items that nobody touches any more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecayStamp {
    log2_value: f32,
    minute: u32,
}

impl DecayStamp {
    /// The stamp of a sum of 0.
    pub const NONE: DecayStamp = DecayStamp {
        log2_value: f32::NEG_INFINITY,
        minute: 0,
    };

    /// The stamp of a sum that stands at `value` at time `at`.
    #[must_use]
    pub fn new(value: f64, at: TimestampMs, half_life_ms: i64) -> Self {
        if value.is_nan() || value <= 0.0 {
            return Self::NONE;
        }
        let minute = u32::try_from(at.0.max(0) / MINUTE_MS).unwrap_or(u32::MAX);
        let into_minute_ms = at.0.max(0) - i64::from(minute) * MINUTE_MS;
        // The stamp speaks of the full minute before `at`, at which the same sum would have been larger.
        let log2_value = value.log2() + into_minute_ms as f64 / half_life_ms.max(1) as f64;
        Self {
            log2_value: log2_value as f32,
            minute,
        }
    }

    /// Whether the sum is 0.
    #[must_use]
    pub fn is_none(self) -> bool {
        !self.log2_value.is_finite()
    }

    /// The value by which stamps are ranked: the binary logarithm of the sum in units of a weight at time 0, that is
    /// `log2(value at t) + t / half_life`. Negative infinity for a sum of 0.
    #[must_use]
    pub fn rank_key(self, half_life_ms: i64) -> f64 {
        if self.is_none() {
            return f64::NEG_INFINITY;
        }
        f64::from(self.log2_value) + self.at_ms() as f64 / half_life_ms.max(1) as f64
    }

    /// The binary logarithm of the sum as it stands at `now`.
    #[must_use]
    pub fn log2_at(self, now: TimestampMs, half_life_ms: i64) -> f64 {
        let elapsed_ms = now.0.saturating_sub(self.at_ms()).max(0);
        f64::from(self.log2_value) - elapsed_ms as f64 / half_life_ms.max(1) as f64
    }

    /// The sum as it stands at `now`; 0 when it has faded below what an `f32` holds.
    #[must_use]
    pub fn value_at(self, now: TimestampMs, half_life_ms: i64) -> f32 {
        (self.log2_at(now, half_life_ms) as f32).exp2()
    }

    /// The stamp as one word, for an atomic.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.log2_value.to_bits()) << 32 | u64::from(self.minute)
    }

    /// The stamp of a word made by [`DecayStamp::to_bits`].
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self {
            log2_value: f32::from_bits((bits >> 32) as u32),
            minute: bits as u32,
        }
    }

    fn at_ms(self) -> i64 {
        i64::from(self.minute) * MINUTE_MS
    }
}

/// What is left of 1 after `elapsed_ms`; 1 for a time below zero.
pub(crate) fn halvings(elapsed_ms: i64, half_life_ms: i64) -> f64 {
    (-(elapsed_ms.max(0) as f64) / half_life_ms.max(1) as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, TIMESTAMP_MS_MAX};
    use proptest::prelude::*;

    const HALF_LIFE_MS: i64 = 3 * DAY_MS;

    fn sum(events: &[(f64, i64)]) -> ForwardDecay {
        let mut sum = ForwardDecay::default();
        for &(weight, at) in events {
            sum.add(weight, TimestampMs(at), HALF_LIFE_MS);
        }
        sum
    }

    #[test]
    fn half_is_left_after_the_half_life_without_a_touch() {
        let stamp = sum(&[(8.0, 77_777)]).stamp(HALF_LIFE_MS);
        assert!((stamp.value_at(TimestampMs(77_777 + HALF_LIFE_MS), HALF_LIFE_MS) - 4.0).abs() < 1e-4);
        assert_eq!(DecayStamp::from_bits(stamp.to_bits()), stamp);
    }

    #[test]
    fn a_sum_of_nothing_ranks_last_and_never_divides() {
        let nothing = sum(&[]).stamp(HALF_LIFE_MS);
        assert!(nothing.is_none() && DecayStamp::NONE.is_none());
        assert_eq!(nothing.value_at(TimestampMs(5), HALF_LIFE_MS), 0.0);
        assert_eq!(nothing.rank_key(HALF_LIFE_MS), f64::NEG_INFINITY);
        assert!(sum(&[(1.0, 5), (-2.0, 5)]).stamp(0).is_none());
    }

    #[test]
    fn an_old_log_still_ranks_in_itself() {
        // Ten years later both values are 0 as plain floats; the keys still tell them apart.
        let (first, second) = (sum(&[(1.0, DAY_MS)]), sum(&[(1.0, 2 * DAY_MS)]));
        let (first, second) = (first.stamp(HALF_LIFE_MS), second.stamp(HALF_LIFE_MS));
        assert!(second.rank_key(HALF_LIFE_MS) > first.rank_key(HALF_LIFE_MS));
        let ten_years = TimestampMs(3_652 * DAY_MS);
        assert_eq!(first.value_at(ten_years, HALF_LIFE_MS), 0.0);
        assert!(second.log2_at(ten_years, HALF_LIFE_MS) > first.log2_at(ten_years, HALF_LIFE_MS));
    }

    #[test]
    fn the_largest_span_of_time_does_not_overflow() {
        let mut sum = ForwardDecay::default();
        for at in [0, TIMESTAMP_MS_MAX, 1] {
            sum.add(1.0, TimestampMs(at), 1);
        }
        assert_eq!(sum.value_at_landmark(), 1.0);
        assert!(sum.stamp(1).rank_key(1).is_finite());
    }

    proptest! {
        #[test]
        fn it_equals_the_backward_sum_in_any_order(
            mut events in prop::collection::vec((-1.0..3.0_f64, 0..60 * DAY_MS), 1..40),
            later_ms in 0..DAY_MS,
        ) {
            let now = TimestampMs(60 * DAY_MS + later_ms);
            let of_sign = |events: &[(f64, i64)], sign: f64| -> f64 {
                let faded = |(weight, at): &(f64, i64)| (weight * sign).max(0.0) * halvings(now.0 - at, HALF_LIFE_MS);
                events.iter().map(faded).sum()
            };
            let (gains, losses) = (of_sign(&events, 1.0), of_sign(&events, -1.0));
            let (expected, tolerance) = ((gains - losses).max(0.0), 1e-4 * (gains + losses) + 1e-9);
            let found = f64::from(sum(&events).stamp(HALF_LIFE_MS).value_at(now, HALF_LIFE_MS));
            prop_assert!((found - expected).abs() < tolerance, "{found} {expected}");
            events.sort_by_key(|event| event.1);
            let sorted = f64::from(sum(&events).stamp(HALF_LIFE_MS).value_at(now, HALF_LIFE_MS));
            prop_assert!((found - sorted).abs() < tolerance);
        }
    }
}
