//! Cuts columns of numbers into quantile bins.
//!
//! Owns the edges. Bin 0 is "missing"; a value goes to the first bin whose edge is not below it. Must not know labels.

use serde::{Deserialize, Serialize};

/// The most bins of a column, the one for missing included; a bin fits a byte.
pub const BINS_MAX: usize = 64;

/// Ascending edges per column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Binner {
    edges: Vec<Vec<f32>>,
}

impl Binner {
    /// Finds the edges from the values of each column.
    #[must_use]
    pub fn fit<V: Iterator<Item = f32>>(columns: usize, bins: usize, values_of: impl Fn(usize) -> V) -> Self {
        let bins = bins.clamp(3, BINS_MAX);
        let edges = (0..columns).map(|column| {
            let mut values: Vec<f32> = values_of(column).filter(|value| value.is_finite()).collect();
            values.sort_by(f32::total_cmp);
            edges_of(&values, bins - 1)
        });
        Self { edges: edges.collect() }
    }

    /// Columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.edges.len()
    }

    /// Bins of a column, the one for missing included.
    #[must_use]
    pub fn bins(&self, column: usize) -> usize {
        self.edges[column].len() + 2
    }

    /// The bin of a value.
    #[must_use]
    pub fn bin(&self, column: usize, value: f32) -> u8 {
        if !value.is_finite() {
            return 0;
        }
        (self.edges[column].partition_point(|&edge| edge < value) + 1) as u8
    }

    /// The value at or below which everything up to this bin lies; infinite for the last.
    #[must_use]
    pub fn upper(&self, column: usize, bin: usize) -> f32 {
        match bin.checked_sub(1) {
            None => f32::NEG_INFINITY,
            Some(index) => self.edges[column].get(index).copied().unwrap_or(f32::INFINITY),
        }
    }
}

/// At most `parts - 1` distinct edges between `parts` parts of equal size.
fn edges_of(sorted: &[f32], parts: usize) -> Vec<f32> {
    let mut edges: Vec<f32> = Vec::with_capacity(parts);
    for part in 1..parts {
        let Some(&edge) = sorted.get(part * sorted.len() / parts) else {
            continue;
        };
        if edges.last().is_none_or(|&last| last < edge) && sorted.last().is_some_and(|&last| edge < last) {
            edges.push(edge);
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bins_keep_the_order_and_the_borders(values in prop::collection::vec(-50_i8..50, 1..200), one in -60_i8..60, other in -60_i8..60) {
            let binner = Binner::fit(1, 16, |_| values.iter().map(|&value| f32::from(value)));
            let (low, high) = (f32::from(one.min(other)), f32::from(one.max(other)));
            let (low_bin, high_bin) = (binner.bin(0, low), binner.bin(0, high));
            prop_assert!(1 <= low_bin && low_bin <= high_bin && usize::from(high_bin) < 16);
            prop_assert!(low <= binner.upper(0, usize::from(low_bin)));
            prop_assert!(low > binner.upper(0, usize::from(low_bin) - 1));
        }
    }

    #[test]
    fn missing_has_its_own_bin_and_a_constant_only_one() {
        let binner = Binner::fit(2, 16, |column| {
            (0..100).map(move |value| if column == 0 { 3.0 } else { value as f32 })
        });
        assert_eq!((binner.bin(0, f32::NAN), binner.bin(0, f32::INFINITY)), (0, 0));
        assert_eq!((binner.bin(0, 3.0), binner.bin(0, 99.0)), (1, 1));
        assert_eq!(binner.bin(1, 99.0), 15);
    }
}
