//! What one viewer did under a variant, and the sums over all viewers that the statistics need.
//!
//! The unit of an experiment is the viewer: one viewer's impressions are not independent of each other. So a variant keeps
//! Σx, Σx² and Σxy over its viewers' totals, brought up to date by each viewer's totals before and after an event.

use serde::{Deserialize, Serialize};

use super::estimate::PairSums;
use super::metric::{METRIC_COUNT, Metric};
use crate::effect::Counts;

/// Number of totals per viewer.
pub const UNIT_TOTALS: usize = 8;
pub(super) const IMPRESSIONS: usize = 0;
pub(super) const TAKEN_UP: usize = 1;
pub(super) const LIKES: usize = 2;
pub(super) const SKIPS: usize = 3;
pub(super) const COMPLETIONS: usize = 4;
pub(super) const SHARES: usize = 5;
pub(super) const VISITS: usize = 6;
pub(super) const WATCH: usize = 7;
/// The most variants that one viewer's totals are kept of; the one that was not counted for longest makes room.
const ARMS_PER_VIEWER_MAX: usize = 16;
const MS_PER_S: f64 = 1_000.0;

/// What one viewer did under one variant so far. Whole numbers: totals before and after can be told apart exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitTotals([u64; UNIT_TOTALS]);

impl UnitTotals {
    /// What counts of effects add to a viewer's totals.
    #[must_use]
    pub fn of(counts: &Counts) -> Self {
        let mut totals = [0; UNIT_TOTALS];
        totals[IMPRESSIONS] = counts.impressions.into();
        totals[TAKEN_UP] = counts.taken_up.into();
        totals[LIKES] = counts.likes.into();
        totals[SKIPS] = counts.skips.into();
        totals[COMPLETIONS] = counts.completions.into();
        totals[SHARES] = counts.shares.into();
        totals[VISITS] = counts.visits.into();
        totals[WATCH] = counts.watch_ms;
        Self(totals)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|place| {
            self.0[place].saturating_add(other.0[place])
        }))
    }

    /// The difference of both, at least 0.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|place| {
            self.0[place].saturating_sub(other.0[place])
        }))
    }

    /// Whether the viewer has done anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As numbers for sums; watch time in seconds, so that squares stay small.
    fn values(&self) -> [f64; UNIT_TOTALS] {
        let mut values = self.0.map(|total| total as f64);
        values[WATCH] /= MS_PER_S;
        values
    }
}

/// One viewer's totals under the variants that the viewer was in, the one counted last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitLedger(Vec<(u64, UnitTotals)>);

impl UnitLedger {
    /// Counts something under a variant. Returns the totals before and after.
    pub fn add(&mut self, arm: u64, delta: &UnitTotals) -> (UnitTotals, UnitTotals) {
        let known = self.0.iter().position(|(known, _)| *known == arm);
        let before = known.map_or_else(UnitTotals::default, |place| self.0.remove(place).1);
        let after = before.plus(delta);
        if self.0.len() >= ARMS_PER_VIEWER_MAX {
            self.0.remove(0);
        }
        self.0.push((arm, after));
        (before, after)
    }

    /// The totals under a variant.
    #[must_use]
    pub fn of(&self, arm: u64) -> UnitTotals {
        let known = self.0.iter().find(|(known, _)| *known == arm);
        known.map_or_else(UnitTotals::default, |(_, totals)| *totals)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The sums over a variant's viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmSums {
    /// How many viewers did anything.
    pub users: i64,
    sums: [f64; UNIT_TOTALS],
    squares: [f64; UNIT_TOTALS],
    /// Of each metric's numerator and denominator.
    products: [f64; METRIC_COUNT],
}

impl ArmSums {
    /// One viewer's totals have changed.
    pub fn change(&mut self, before: &UnitTotals, after: &UnitTotals) {
        self.users += i64::from(!after.is_empty()) - i64::from(!before.is_empty());
        let (before, after) = (before.values(), after.values());
        for place in 0..UNIT_TOTALS {
            self.sums[place] += after[place] - before[place];
            self.squares[place] += after[place] * after[place] - before[place] * before[place];
        }
        for metric in Metric::ALL {
            let (y, x) = (metric.numerator(), metric.denominator());
            self.products[metric as usize] += after[x] * after[y] - before[x] * before[y];
        }
    }

    /// Takes in the sums of other changes of the same variant.
    pub fn merge(&mut self, other: &ArmSums) {
        self.users += other.users;
        for place in 0..UNIT_TOTALS {
            self.sums[place] += other.sums[place];
            self.squares[place] += other.squares[place];
        }
        for place in 0..METRIC_COUNT {
            self.products[place] += other.products[place];
        }
    }

    /// What a metric's ratio is estimated from.
    #[must_use]
    pub fn pair(&self, metric: Metric) -> PairSums {
        let (y, x) = (metric.numerator(), metric.denominator());
        PairSums {
            n: self.users.max(0) as f64,
            x: self.sums[x],
            y: self.sums[y],
            xx: self.squares[x],
            yy: self.squares[y],
            xy: self.products[metric as usize],
        }
    }

    /// All impressions.
    #[must_use]
    pub fn impressions(&self) -> f64 {
        self.sums[IMPRESSIONS]
    }

    /// All sessions (visits).
    #[must_use]
    pub fn sessions(&self) -> f64 {
        self.sums[VISITS]
    }

    /// All seconds watched.
    #[must_use]
    pub fn watch_s(&self) -> f64 {
        self.sums[WATCH]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals(impressions: u32, likes: u32, watch_ms: u64) -> UnitTotals {
        UnitTotals::of(&Counts {
            impressions,
            likes,
            watch_ms,
            ..Counts::default()
        })
    }

    proptest! {
        #[test]
        fn sums_by_changes_are_sums_over_viewers(steps in proptest::collection::vec((0usize..5, 0u32..9, 0u32..4, 0u64..90_000), 1..60)) {
            let mut ledgers = vec![UnitLedger::default(); 5];
            let mut running = ArmSums::default();
            for (viewer, impressions, likes, watch_ms) in steps {
                let (before, after) = ledgers[viewer].add(7, &totals(impressions, likes, watch_ms));
                running.change(&before, &after);
            }
            let mut anew = ArmSums::default();
            for ledger in &ledgers {
                anew.change(&UnitTotals::default(), &ledger.of(7));
            }
            prop_assert_eq!(running.users, anew.users);
            for metric in [Metric::LikeRate, Metric::WatchPerSession] {
                let (one, other) = (running.pair(metric), anew.pair(metric));
                prop_assert!((one.xy - other.xy).abs() < 1e-6 && (one.yy - other.yy).abs() < 1e-3 && one.x == other.x);
            }
        }
    }

    #[test]
    fn a_ledger_is_bounded_and_comes_back() {
        let mut ledger = UnitLedger::default();
        for arm in 0..40 {
            ledger.add(arm, &totals(1, 0, 0));
            ledger.add(3, &totals(1, 0, 0));
        }
        assert!(ledger.0.len() <= ARMS_PER_VIEWER_MAX);
        assert_eq!((ledger.of(3), ledger.of(20)), (totals(41, 0, 0), UnitTotals::default()));
        let json = serde_json::to_string(&ledger).expect("JSON");
        assert_eq!(serde_json::from_str::<UnitLedger>(&json).expect("reads"), ledger);
        assert_eq!(totals(3, 1, 5).minus(&totals(1, 1, 2)), totals(2, 0, 3));
    }
}
