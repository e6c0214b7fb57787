//! The cells of one stretch of time.

use rustc_hash::FxHashMap;

use super::counts::Counts;
use super::key::CellKey;

/// The cells of one stretch of time.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Which stretch: the time divided by the level's length.
    pub(super) number: i64,
    /// Every event up to this journal number is in; what is read again from a journal adds only what comes behind it.
    pub(super) sequence: u64,
    pub(super) cells: FxHashMap<CellKey, Counts>,
    /// Whether the stored form is older.
    pub(super) is_dirty: bool,
}

impl Slot {
    /// Which stretch of time: the time divided by the level's length.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.cells.values().fold(Counts::default(), |mut total, counts| {
            total.merge(counts);
            total
        })
    }

    pub(super) fn new(number: i64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Adds counts. When the slot holds `cells_max` cells, new ones are summed up with coarser keys: first without
    /// category, region and position, and when there are twice as many, without channels. Sums stay exact.
    pub(super) fn add(&mut self, key: CellKey, counts: &Counts, cells_max: usize) {
        self.is_dirty = true;
        let fits = |key: &CellKey, room: usize| self.cells.len() < room || self.cells.contains_key(key);
        let key = if fits(&key, cells_max) {
            key
        } else if fits(&key.coarse(), 2 * cells_max) {
            key.coarse()
        } else {
            key.coarsest()
        };
        self.cells.entry(key).or_default().merge(counts);
    }

    pub(super) fn merge(&mut self, other: &Slot, cells_max: usize) {
        other
            .cells
            .iter()
            .for_each(|(key, counts)| self.add(*key, counts, cells_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::{Channel, ChannelSet};

    #[test]
    fn a_full_slot_keeps_exact_sums() {
        let mut slot = Slot::new(1);
        let one = Counts {
            impressions: 1,
            ..Counts::default()
        };
        let hot = ChannelSet::of(Channel::Hot);
        for category in 0..1_000 {
            let channels = if category % 2 == 0 { hot } else { ChannelSet::default() };
            let key = CellKey {
                channels,
                category,
                variant: category % 3,
                ..CellKey::default()
            };
            slot.add(key, &one, 100);
        }
        assert!(slot.cells.len() <= 106, "{}", slot.cells.len());
        let sum = |of: &dyn Fn(&CellKey) -> bool| -> u32 {
            slot.cells
                .iter()
                .filter(|(key, _)| of(key))
                .map(|(_, counts)| counts.impressions)
                .sum()
        };
        assert_eq!(
            (
                sum(&|_| true),
                sum(&|key| key.channels == hot),
                sum(&|key| key.variant == 1)
            ),
            (1_000, 500, 333)
        );
    }
}
