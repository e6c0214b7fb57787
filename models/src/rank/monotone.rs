//! Which way a feature must move the objectives, for the property tests of the hand-set scorers.
//!
//! Test support only; trained models need not be monotone.

use std::array;

use proptest::prelude::*;

use super::objectives::{Objective, ObjectiveRow};
use crate::features::schema::{FEATURE_COUNT, Feature};

/// Rounding that may hide a direction.
const TOLERANCE: f32 = 1e-6;

/// +1: the feature speaks for an item, -1: against it, 0: it depends on the objective.
fn direction(feature: Feature) -> f32 {
    if matches!(
        feature,
        Feature::ItemSkipRate | Feature::UserSkipRate | Feature::NegativeSimilarity
    ) {
        return -1.0;
    }
    if feature == Feature::DurationLog { 0.0 } else { 1.0 }
}

/// Feature rows all over the ranges.
pub(crate) fn feature_rows() -> impl Strategy<Value = [f32; FEATURE_COUNT]> {
    proptest::collection::vec(0.0_f32..=1.0, FEATURE_COUNT).prop_map(|units| {
        array::from_fn(|column| {
            let (low, high) = Feature::ALL[column].range();
            low + (high - low) * units[column]
        })
    })
}

/// Raises one feature by a share `step` of what is left to the top of its range and compares.
pub(crate) fn check_monotone(
    score: impl Fn(&[f32; FEATURE_COUNT]) -> ObjectiveRow,
    row: [f32; FEATURE_COUNT],
    feature: Feature,
    step: f32,
) -> Result<(), TestCaseError> {
    let before = score(&row);
    let mut raised = row;
    let (_, high) = feature.range();
    raised[feature.index()] += (high - raised[feature.index()]) * step;
    let after = score(&raised);
    for objective in Objective::ALL {
        let change = after[objective.index()] - before[objective.index()];
        let wanted = match (feature, objective) {
            // A longer video is watched to the end less often; it says nothing about liking.
            (Feature::DurationLog, Objective::Complete | Objective::Watch) => -1.0,
            (_, Objective::Skip) => -direction(feature),
            (_, Objective::Like | Objective::Complete | Objective::Share | Objective::Watch) => direction(feature),
        };
        prop_assert!(
            change * wanted >= -TOLERANCE,
            "{feature:?} moves {objective:?} by {change}"
        );
    }
    Ok(())
}
