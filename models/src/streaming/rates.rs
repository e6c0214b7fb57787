//! Counts of outcomes and what may be believed of them.
//!
//! Owns the counting cell, shrinkage towards a parent, and the arithmetic of rates. Knows no entity.

use serde::{Deserialize, Serialize};

use super::outcome::{LABEL_COUNT, LANE_COUNT, Lane, LaneRow};

/// Probabilities are kept this far from 0 and 1 before a logit is taken.
const PROBABILITY_MIN: f32 = 1e-4;

/// A count that reaches this is halved with its sums: an `f32` stops counting at 2^24, and what a key did a million
/// impressions ago says little.
pub(super) const COUNT_MAX: f32 = 1_048_576.0;

/// How often something was shown and what came of it, plain or forgetting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RateCell {
    /// Impressions (decayed when the owner decays).
    pub count: f32,
    /// Sums per lane.
    pub sums: LaneRow,
}

impl RateCell {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &LaneRow) {
        if self.count >= COUNT_MAX {
            self.scale(0.5);
        }
        self.count += 1.0;
        for (sum, value) in self.sums.iter_mut().zip(outcome) {
            *sum += value;
        }
    }

    /// Forgets: everything times `keep`.
    pub fn scale(&mut self, keep: f32) {
        self.count *= keep;
        for sum in &mut self.sums {
            *sum *= keep;
        }
    }

    /// The posterior mean with `strength` impressions of belief in the parent's rates.
    #[must_use]
    pub fn shrunk(&self, parent: &LaneRow, strength: f32) -> LaneRow {
        let total = self.count + strength;
        let mut rates = *parent;
        for ((rate, sum), parent) in rates.iter_mut().zip(&self.sums).zip(parent) {
            *rate = (sum + strength * parent) / total;
        }
        rates
    }
}

/// A [`RateCell`] that halves every `half_life_ms`, brought up to date when touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DecayedCell {
    cell: RateCell,
    at_ms: i64,
}

impl DecayedCell {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &LaneRow, at_ms: i64, half_life_ms: f32) {
        self.cell.scale(decay(self.at_ms, at_ms, half_life_ms));
        self.at_ms = self.at_ms.max(at_ms);
        self.cell.add(outcome);
    }

    /// The cell as it is worth now.
    #[must_use]
    pub fn read(&self, at_ms: i64, half_life_ms: f32) -> RateCell {
        let mut cell = self.cell;
        cell.scale(decay(self.at_ms, at_ms, half_life_ms));
        cell
    }
}

fn decay(from_ms: i64, to_ms: i64, half_life_ms: f32) -> f32 {
    let passed_ms = to_ms.saturating_sub(from_ms).max(0) as f32;
    (-passed_ms / half_life_ms).exp2()
}

/// Outcomes over what was expected of them ("clicks over expected clicks"): who was shown, and where, is taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LiftCell {
    seen: [f32; LABEL_COUNT],
    expected: [f32; LABEL_COUNT],
}

impl LiftCell {
    /// Counts one outcome and its expectation.
    pub fn add(&mut self, outcome: &LaneRow, expected: &LaneRow) {
        for label in 0..LABEL_COUNT {
            if self.seen[label].max(self.expected[label]) >= COUNT_MAX {
                self.seen[label] /= 2.0;
                self.expected[label] /= 2.0;
            }
            self.seen[label] += outcome[label];
            self.expected[label] += expected[label];
        }
    }

    /// Log of seen over expected, `strength` expected events of belief in "as expected".
    #[must_use]
    pub fn log_lift(&self, strength: f32) -> [f32; LABEL_COUNT] {
        std::array::from_fn(|label| ((self.seen[label] + strength) / (self.expected[label] + strength)).ln())
    }
}

/// Log-odds of a probability, finite for every input.
#[must_use]
pub fn logit(probability: f32) -> f32 {
    let bounded = if probability.is_finite() {
        probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
    } else {
        0.5
    };
    (bounded / (1.0 - bounded)).ln()
}

/// Inverse of [`logit`].
#[must_use]
pub fn sigmoid(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Two independent causes seen against the same base: odds multiply. The ratio lane is multiplied as a ratio.
#[must_use]
pub fn combine(one: &LaneRow, other: &LaneRow, base: &LaneRow) -> LaneRow {
    let mut rates: LaneRow = [0.0; LANE_COUNT];
    for lane in 0..LANE_COUNT {
        rates[lane] = if lane == Lane::WatchRatio as usize {
            one[lane] * other[lane] / base[lane].max(PROBABILITY_MIN)
        } else {
            let odds = |p: f32| {
                let p = p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                p / (1.0 - p)
            };
            let both = odds(one[lane]) * odds(other[lane]) / odds(base[lane]);
            both / (1.0 + both)
        };
    }
    rates
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_is_left_after_a_half_life() {
        let mut cell = DecayedCell::default();
        cell.add(&[1.0; LANE_COUNT], 1_000, 500.0);
        assert_eq!(cell.read(1_500, 500.0).count, 0.5);
        assert_eq!(cell.read(0, 500.0).count, 1.0, "time never runs backwards");
        cell.add(&[0.0; LANE_COUNT], 1_500, 500.0);
        assert_eq!(cell.read(1_500, 500.0).sums[0], 0.5);
    }

    #[test]
    fn a_count_never_stops_counting() {
        let mut cell = RateCell {
            count: COUNT_MAX - 1.0,
            sums: [COUNT_MAX / 2.0; LANE_COUNT],
        };
        (0..3).for_each(|_| cell.add(&[1.0; LANE_COUNT]));
        assert!(cell.count > COUNT_MAX / 2.0 && cell.count < COUNT_MAX);
        let rate = cell.shrunk(&[0.0; LANE_COUNT], 1e-3)[0];
        assert!((rate - 0.5).abs() < 1e-3, "the rate stays: {rate}");
    }

    #[test]
    fn as_expected_is_no_lift() {
        let mut cell = LiftCell::default();
        assert_eq!(cell.log_lift(3.0), [0.0; LABEL_COUNT]);
        cell.add(&[1.0; LANE_COUNT], &[0.25; LANE_COUNT]);
        assert!(cell.log_lift(3.0).iter().all(|&lift| lift > 0.0 && lift < 4.0_f32.ln()));
    }

    #[test]
    fn a_cause_like_the_base_changes_nothing() {
        let (base, other) = ([0.3; LANE_COUNT], [0.6; LANE_COUNT]);
        for (rate, expected) in combine(&base, &other, &base).iter().zip(other) {
            assert!((rate - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn logits_are_finite() {
        assert!(
            [f32::NAN, 0.0, 1.0, -1.0, 2.0, f32::INFINITY]
                .into_iter()
                .all(|value| logit(value).is_finite())
        );
    }

    proptest! {
        #[test]
        fn a_shrunk_rate_lies_between_parent_and_own(hits in 0_u8..20, misses in 0_u8..20, parent in 0.0_f32..1.0, strength in 0.1_f32..100.0) {
            let mut cell = RateCell::default();
            (0..hits).for_each(|_| cell.add(&[1.0; LANE_COUNT]));
            (0..misses).for_each(|_| cell.add(&[0.0; LANE_COUNT]));
            let rate = cell.shrunk(&[parent; LANE_COUNT], strength)[0];
            let own = if cell.count == 0.0 { parent } else { f32::from(hits) / cell.count };
            prop_assert!(rate >= own.min(parent) - 1e-5 && rate <= own.max(parent) + 1e-5);
        }

        #[test]
        fn a_logit_turns_back(probability in 0.001_f32..0.999) {
            prop_assert!((sigmoid(logit(probability)) - probability).abs() < 1e-5);
        }
    }
}
