//! The last outcomes with the rows that were served for them, to grow trees from.
//!
//! Owns a ring within a bound; values are kept in 16 bits (bfloat16: a float's upper half, rounded), which is finer
//! than the bins that are made of them. Must not know the learners.

use serde::{Deserialize, Serialize};

use crate::streaming::LABEL_COUNT;

/// Outcomes kept; 336 bytes each at 168 columns.
pub const REPLAY_MAX: usize = 1 << 17;

/// The ring.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replay {
    columns: usize,
    outcomes_max: usize,
    rows: Vec<u16>,
    labels: Vec<[bool; LABEL_COUNT]>,
    next: usize,
}

impl Replay {
    /// An empty ring of at most so many outcomes (and at most [`REPLAY_MAX`]).
    #[must_use]
    pub fn new(columns: usize, outcomes_max: usize) -> Self {
        let outcomes_max = outcomes_max.clamp(1, REPLAY_MAX);
        Self {
            columns,
            outcomes_max,
            rows: Vec::new(),
            labels: Vec::new(),
            next: 0,
        }
    }

    /// Keeps an outcome, in place of the oldest when full. A row that is too short is filled with "missing".
    pub fn push(&mut self, row: &[f32], labels: &[f32; LABEL_COUNT]) {
        if self.labels.len() < self.outcomes_max {
            self.rows.resize(self.rows.len() + self.columns, 0);
            self.labels.push([false; LABEL_COUNT]);
        }
        let cells = &mut self.rows[self.next * self.columns..(self.next + 1) * self.columns];
        for (column, cell) in cells.iter_mut().enumerate() {
            *cell = to_half(row.get(column).copied().unwrap_or(f32::NAN));
        }
        self.labels[self.next] = labels.map(|label| label > 0.5);
        self.next = (self.next + 1) % self.outcomes_max;
    }

    /// Outcomes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The values of a column, in the order of the ring.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.rows
            .iter()
            .skip(column)
            .step_by(self.columns.max(1))
            .map(|&half| from_half(half))
    }

    /// Bytes allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u16>() + self.labels.capacity() * size_of::<[bool; LABEL_COUNT]>()
    }

    /// Columns of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One label of all outcomes, in the order of the ring.
    #[must_use]
    pub fn labels(&self, label: usize) -> Vec<bool> {
        self.labels.iter().map(|labels| labels[label]).collect()
    }
}

/// Rounds to the nearest bfloat16; NaN stays NaN.
pub(crate) fn to_half(value: f32) -> u16 {
    if value.is_nan() {
        return 0x7FC0;
    }
    let bits = value.to_bits();
    (bits.saturating_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// The number that [`to_half`] rounded to.
pub(crate) fn from_half(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_oldest_gives_way_when_full() {
        let mut replay = Replay::new(2, 3);
        for value in 0..5 {
            replay.push(&[value as f32, -1.0], &[f32::from(u8::from(value == 4)), 0.0, 0.0, 0.0]);
        }
        assert_eq!(replay.len(), 3);
        assert_eq!(replay.column(0).collect::<Vec<_>>(), [3.0, 4.0, 2.0]);
        assert_eq!(replay.labels(0), [false, true, false]);
    }

    #[test]
    fn what_is_missing_stays_missing() {
        let mut replay = Replay::new(2, 3);
        replay.push(&[f32::NAN], &[0.0; LABEL_COUNT]);
        assert!(replay.column(0).all(f32::is_nan) && replay.column(1).all(f32::is_nan));
    }

    proptest! {
        #[test]
        fn halves_are_close(value in -1e6_f32..1e6) {
            let back = from_half(to_half(value));
            prop_assert!((back - value).abs() <= value.abs() / 256.0 + 1e-30, "{value} {back}");
        }
    }
}
