//! The rows with which a new model is tried out before it serves.
//!
//! Owns batch sizes and a seeded spread of rows over the features' ranges, the corners included. Runs no model.

use crate::features::schema::{FEATURE_COUNT, Feature, neutral_row};

/// Rows of the batches that a model must score: a slate, a re-scored pool, a full recall, and the edges.
pub(crate) const WARM_UP_BATCHES: [usize; 4] = [1, 10, 200, 500];

/// How far outside [0, 1] an output may lie by rounding.
pub(crate) const RANGE_TOLERANCE: f32 = 1e-5;

/// Seed of the spread; fixed, so that a model is always judged by the same rows.
const SPREAD_SEED: u64 = 0x5eed_5717_e11a_e001;

/// `batch` feature rows, row-major. The first ones are neutral, all lowest, all highest and zero (as many as fit); the
/// others are spread evenly over the ranges.
pub(crate) fn warm_up_rows(batch: usize) -> Vec<f32> {
    let corners = [
        neutral_row(),
        Feature::ALL.map(|feature| feature.range().0),
        Feature::ALL.map(|feature| feature.range().1),
        [0.0; FEATURE_COUNT],
    ];
    let mut rows = Vec::with_capacity(batch * FEATURE_COUNT);
    let mut state = SPREAD_SEED;
    for index in 0..batch {
        match corners.get(index) {
            Some(corner) => rows.extend_from_slice(corner),
            None => rows.extend(Feature::ALL.map(|feature| {
                let (low, high) = feature.range();
                low + (high - low) * next_unit(&mut state)
            })),
        }
    }
    rows
}

/// The next value in [0, 1) of SplitMix64 (Steele, Lea and Flood 2014).
fn next_unit(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 40) as f32 / (1_u32 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_in_range_and_cover_it() {
        let rows = warm_up_rows(500);
        assert_eq!(rows.len(), 500 * FEATURE_COUNT);
        for feature in Feature::ALL {
            let (low, high) = feature.range();
            let column: Vec<f32> = rows
                .chunks_exact(FEATURE_COUNT)
                .map(|row| row[feature.index()])
                .collect();
            assert!(column.iter().all(|value| (low..=high).contains(value)), "{feature:?}");
            let middle = column[4..].iter().sum::<f32>() / 496.0;
            assert!(
                (middle - (low + high) / 2.0).abs() < 0.1 * (high - low),
                "{feature:?} averages {middle}"
            );
        }
    }

    #[test]
    fn the_same_rows_every_time() {
        assert_eq!(warm_up_rows(10), warm_up_rows(10));
        assert_eq!(warm_up_rows(1), neutral_row());
    }
}
