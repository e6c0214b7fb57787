//! The sums of all variants that have been counted.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::units::{ArmSums, UnitTotals};

/// The most variants whose sums are kept: several runs of every variant that one document can hold.
pub const ARMS_MAX: usize = 256;

/// The sums by variant. Bounded: when it is full, a variant that is counted for the first time takes the place of the
/// one that was counted last the longest ago.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArmTable {
    arms: FxHashMap<u64, Arm>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Arm {
    /// When it was counted last, in milliseconds.
    at: i64,
    /// Every event up to this journal number is in.
    sequence: u64,
    is_dirty: bool,
    sums: ArmSums,
}

/// A variant's sums as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredArm {
    arm: u64,
    at: i64,
    sequence: u64,
    sums: ArmSums,
}

impl ArmTable {
    /// One viewer's totals under a variant have changed, at a time in milliseconds.
    pub fn change(&mut self, arm: u64, before: &UnitTotals, after: &UnitTotals, at: i64) {
        let arm = self.arm_mut(arm, at);
        arm.is_dirty = true;
        arm.sums.change(before, after);
    }

    /// Takes in the sums of other changes.
    pub fn merge(&mut self, other: &ArmTable) {
        for (arm, theirs) in &other.arms {
            let arm = self.arm_mut(*arm, theirs.at);
            arm.is_dirty = true;
            arm.sums.merge(&theirs.sums);
        }
    }

    /// The sums of a variant.
    #[must_use]
    pub fn of(&self, arm: u64) -> ArmSums {
        self.arms.get(&arm).map_or_else(ArmSums::default, |arm| arm.sums)
    }

    /// Up to which journal number the sums of a variant hold every event, as far as they were stored.
    #[must_use]
    pub fn sequence(&self, arm: u64) -> u64 {
        self.arms.get(&arm).map_or(0, |arm| arm.sequence)
    }

    /// The sums that have changed since they were taken last, as they are stored: they hold every event up to a journal
    /// number.
    pub fn take_dirty(&mut self, sequence: u64) -> Vec<(u64, StoredArm)> {
        let dirty = self.arms.iter_mut().filter(|(_, arm)| arm.is_dirty);
        let stored = dirty.map(|(number, arm)| {
            arm.is_dirty = false;
            let (at, sums) = (arm.at, arm.sums);
            (
                *number,
                StoredArm {
                    arm: *number,
                    at,
                    sequence,
                    sums,
                },
            )
        });
        stored.collect()
    }

    /// Takes a variant's sums back that could not be written down.
    pub fn mark_dirty(&mut self, arm: u64) {
        if let Some(arm) = self.arms.get_mut(&arm) {
            arm.is_dirty = true;
        }
    }

    /// Puts sums in as they were stored.
    pub fn restore(&mut self, stored: &StoredArm) {
        *self.arm_mut(stored.arm, stored.at) = Arm {
            at: stored.at,
            sequence: stored.sequence,
            is_dirty: false,
            sums: stored.sums,
        };
    }

    fn arm_mut(&mut self, number: u64, at: i64) -> &mut Arm {
        if self.arms.len() >= ARMS_MAX && !self.arms.contains_key(&number) {
            let oldest = self
                .arms
                .iter()
                .min_by_key(|(_, arm)| arm.at)
                .map(|(number, _)| *number);
            oldest.map(|oldest| self.arms.remove(&oldest));
        }
        let arm = self.arms.entry(number).or_default();
        arm.at = at.max(arm.at);
        arm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Counts;

    #[test]
    fn the_table_is_bounded_merges_and_comes_back() {
        let one = UnitTotals::of(&Counts {
            impressions: 1,
            ..Counts::default()
        });
        let mut table = ArmTable::default();
        for arm in 0..1_000u32 {
            table.change(arm.into(), &UnitTotals::default(), &one, arm.into());
        }
        assert_eq!(
            (table.arms.len(), table.of(999).users, table.of(0).users),
            (ARMS_MAX, 1, 0)
        );
        let mut other = ArmTable::default();
        other.change(999, &UnitTotals::default(), &one, 5);
        table.merge(&other);
        assert_eq!(table.of(999).users, 2);
        let taken = table.take_dirty(17);
        assert_eq!((taken.len(), table.take_dirty(18).len()), (ARMS_MAX, 0));
        let mut back = ArmTable::default();
        taken.iter().for_each(|(_, stored)| back.restore(stored));
        assert_eq!(
            (back.of(999), back.sequence(999), back.sequence(5)),
            (table.of(999), 17, 0)
        );
    }
}
