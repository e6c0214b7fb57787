//! The weighted linear scorer: the fallback that always works.
//!
//! Owns a table of hand-set weights per feature and objective with a logistic link. It has nothing to load, cannot fail
//! on values, and says exactly what each feature contributed. Must not depend on the inference engine.

use xxhash_rust::xxh3::xxh3_64;

use super::error::RankError;
use super::objectives::{BASE_LOGITS, OBJECTIVE_COUNT, ObjectiveRow, sigmoid};
use super::ranker::{RankScratch, Ranker, check_rows};
use crate::features::schema::{FEATURE_COUNT, FEATURE_GROUP_COUNT, Feature};

/// Version of the weights below.
pub const LINEAR_MODEL_VERSION: &str = "linear-1";

/// Weights of one feature are padded to this many lanes, so that the inner loop is two vector operations.
const LANES: usize = 8;

/// Change of the log-odds of like, complete, share, skip and watch per unit of the feature, measured from the feature's
/// neutral value. Signs: closeness, affinity and recall evidence raise like and lower skip; quality rates move their
/// own objective most; a longer video is finished less; negative similarity and skip rates do the opposite of
/// closeness.
#[rustfmt::skip]
const PRIOR_WEIGHTS: [(Feature, ObjectiveRow); FEATURE_COUNT] = [
    //                                 like   complete share   skip    watch
    (Feature::ShortCosine,           [ 1.6,   1.0,    1.0,   -1.5,    1.0 ]),
    (Feature::LongCosine,            [ 0.9,   0.6,    0.6,   -0.8,    0.6 ]),
    (Feature::TagAffinityShort,      [ 0.8,   0.5,    0.5,   -0.7,    0.5 ]),
    (Feature::TagAffinityLong,       [ 0.5,   0.3,    0.3,   -0.4,    0.3 ]),
    (Feature::CategoryAffinityShort, [ 0.7,   0.4,    0.4,   -0.6,    0.4 ]),
    (Feature::CategoryAffinityLong,  [ 0.4,   0.3,    0.2,   -0.3,    0.3 ]),
    (Feature::AuthorAffinityShort,   [ 0.7,   0.4,    0.4,   -0.6,    0.4 ]),
    (Feature::AuthorAffinityLong,    [ 0.5,   0.3,    0.3,   -0.4,    0.3 ]),
    (Feature::FollowsAuthor,         [ 0.6,   0.3,    0.4,   -0.5,    0.3 ]),
    (Feature::ItemLikeRate,          [ 6.0,   1.0,    2.0,   -2.0,    1.0 ]),
    (Feature::ItemSkipRate,          [-1.0,  -1.2,   -0.8,    2.5,   -1.2 ]),
    (Feature::ItemCompletionRate,    [ 0.8,   2.2,    0.5,   -0.8,    1.8 ]),
    (Feature::ItemShareRate,         [ 3.0,   0.5,   25.0,   -1.0,    0.5 ]),
    (Feature::Popularity,            [ 0.2,   0.1,    0.3,   -0.1,    0.1 ]),
    (Feature::Trend,                 [ 0.2,   0.1,    0.2,   -0.1,    0.1 ]),
    (Feature::ImpressionsLog,        [ 0.0,   0.0,    0.0,    0.0,    0.0 ]),
    (Feature::Freshness,             [ 0.15,  0.05,   0.2,   -0.05,   0.05]),
    (Feature::IsNew,                 [ 0.0,   0.0,    0.0,    0.0,    0.0 ]),
    (Feature::DurationLog,           [ 0.0,  -0.8,    0.0,    0.2,   -0.8 ]),
    (Feature::RegionMatch,           [ 0.2,   0.1,    0.1,   -0.2,    0.1 ]),
    (Feature::ChannelEmbedding,      [ 0.10,  0.06,   0.06,  -0.08,   0.06]),
    (Feature::ChannelItemItem,       [ 0.20,  0.10,   0.10,  -0.15,   0.10]),
    (Feature::ChannelSessionKnn,     [ 0.20,  0.10,   0.10,  -0.15,   0.10]),
    (Feature::ChannelTags,           [ 0.08,  0.05,   0.05,  -0.06,   0.05]),
    (Feature::ChannelHot,            [ 0.05,  0.02,   0.05,  -0.02,   0.02]),
    (Feature::ChannelCount,          [ 0.8,   0.4,    0.4,   -0.6,    0.4 ]),
    (Feature::UserLikeRate,          [ 6.0,   0.2,    1.0,   -0.5,    0.3 ]),
    (Feature::UserSkipRate,          [-0.6,  -0.8,   -0.4,    2.0,   -0.8 ]),
    (Feature::UserWatchRatio,        [ 0.1,   1.2,    0.1,   -0.8,    1.4 ]),
    (Feature::UserEventsLog,         [ 0.0,   0.0,    0.0,    0.0,    0.0 ]),
    (Feature::LastItemSimilarity,    [ 0.4,   0.2,    0.2,   -0.3,    0.2 ]),
    (Feature::NegativeSimilarity,    [-1.4,  -1.0,   -0.8,    1.6,   -1.0 ]),
];

/// One logistic regression per objective over the feature row.
#[derive(Debug, Clone)]
pub struct LinearRanker {
    weights: [[f32; LANES]; FEATURE_COUNT],
    intercept: [f32; LANES],
}

/// What one feature did to the log-odds of each objective, compared with its neutral value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureContribution {
    /// The feature.
    pub feature: Feature,
    /// Value in the row.
    pub value: f32,
    /// Change of the log-odds per objective.
    pub log_odds: ObjectiveRow,
}

/// Where a row's score comes from: base plus all contributions are the log-odds of the score.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearExplanation {
    /// Log-odds of a neutral row.
    pub base: ObjectiveRow,
    /// One per feature, in column order.
    pub features: [FeatureContribution; FEATURE_COUNT],
    /// Sums per feature group, in the order of `FeatureGroup::ALL`.
    pub groups: [ObjectiveRow; FEATURE_GROUP_COUNT],
}

impl LinearRanker {
    /// The scorer with the hand-set weights.
    pub fn new() -> LinearRanker {
        let mut weights = [[0.0; LANES]; FEATURE_COUNT];
        let mut intercept = [0.0; LANES];
        intercept[..OBJECTIVE_COUNT].copy_from_slice(&BASE_LOGITS);
        for (feature, row) in PRIOR_WEIGHTS {
            for (objective, weight) in row.into_iter().enumerate() {
                weights[feature.index()][objective] = weight;
                // Measured from the neutral value, so that a neutral row gets the base rates.
                intercept[objective] -= weight * feature.neutral();
            }
        }
        LinearRanker { weights, intercept }
    }

    /// xxh3 over the weights, 16 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let values = self.weights.as_flattened().iter().chain(&self.intercept);
        let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
        format!("{:016x}", xxh3_64(&bytes))
    }

    /// What each feature of a row contributes to each objective.
    pub fn explain(&self, row: &[f32; FEATURE_COUNT]) -> LinearExplanation {
        let features = Feature::ALL.map(|feature| {
            let value = finite_or_neutral(row[feature.index()], feature);
            let weights = &self.weights[feature.index()];
            let log_odds = std::array::from_fn(|objective| weights[objective] * (value - feature.neutral()));
            FeatureContribution {
                feature,
                value,
                log_odds,
            }
        });
        let mut groups = [[0.0; OBJECTIVE_COUNT]; FEATURE_GROUP_COUNT];
        for contribution in &features {
            let group = &mut groups[contribution.feature.group().index()];
            group
                .iter_mut()
                .zip(contribution.log_odds)
                .for_each(|(sum, part)| *sum += part);
        }
        LinearExplanation {
            base: BASE_LOGITS,
            features,
            groups,
        }
    }

    fn log_odds(&self, row: &[f32; FEATURE_COUNT]) -> [f32; LANES] {
        let mut sums = self.intercept;
        for ((value, weights), feature) in row.iter().zip(&self.weights).zip(Feature::ALL) {
            let value = finite_or_neutral(*value, feature);
            sums.iter_mut()
                .zip(weights)
                .for_each(|(sum, weight)| *sum += value * weight);
        }
        sums
    }
}

impl Default for LinearRanker {
    fn default() -> Self {
        LinearRanker::new()
    }
}

impl Ranker for LinearRanker {
    fn name(&self) -> &str {
        "linear"
    }

    fn version(&self) -> &str {
        LINEAR_MODEL_VERSION
    }

    /// Fails only when `rows` are not `n` rows; a value that is not finite counts as neutral.
    fn score(
        &self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        _scratch: &mut RankScratch,
    ) -> Result<(), RankError> {
        out.clear();
        check_rows(rows, n)?;
        let (rows, _) = rows.as_chunks::<FEATURE_COUNT>();
        out.extend(rows.iter().map(|row| {
            let log_odds = self.log_odds(row);
            std::array::from_fn(|objective| sigmoid(log_odds[objective]))
        }));
        Ok(())
    }
}

/// The value within the feature's range; a value far outside would drown all others, and infinity times zero is NaN.
fn finite_or_neutral(value: f32, feature: Feature) -> f32 {
    let (low, high) = feature.range();
    if value.is_finite() {
        value.clamp(low, high)
    } else {
        feature.neutral()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::features::schema::neutral_row;
    use crate::rank::monotone::{check_monotone, feature_rows};
    use crate::rank::objectives::Objective;

    fn score(row: &[f32; FEATURE_COUNT]) -> ObjectiveRow {
        let mut out = Vec::new();
        LinearRanker::new()
            .score(row, 1, &mut out, &mut RankScratch::new())
            .expect("one row");
        out[0]
    }

    #[test]
    fn table_lists_every_feature_in_order() {
        assert!(
            PRIOR_WEIGHTS
                .iter()
                .enumerate()
                .all(|(index, line)| line.0.index() == index)
        );
    }

    #[test]
    fn neutral_row_gets_the_base_rates() {
        for (value, base) in score(&neutral_row()).into_iter().zip(BASE_LOGITS) {
            assert!((value - sigmoid(base)).abs() < 1e-6);
        }
    }

    #[test]
    fn values_that_are_not_finite_count_as_neutral() {
        let mut row = neutral_row();
        row[Feature::ShortCosine.index()] = f32::NAN;
        row[Feature::ItemSkipRate.index()] = f32::INFINITY;
        assert_eq!(score(&row), score(&neutral_row()));
    }

    #[test]
    fn wrong_shape_is_an_error_and_leaves_nothing() {
        let mut out = vec![[0.5; OBJECTIVE_COUNT]];
        let result = LinearRanker::new().score(&[0.0; 31], 1, &mut out, &mut RankScratch::new());
        assert!(matches!(result, Err(RankError::RowShape { values: 31, .. })));
        assert!(out.is_empty());
    }

    #[test]
    fn fingerprint_depends_on_the_weights() {
        let mut other = LinearRanker::new();
        assert_eq!(other.fingerprint(), LinearRanker::new().fingerprint());
        other.weights[3][2] += 0.5;
        assert_ne!(other.fingerprint(), LinearRanker::new().fingerprint());
    }

    proptest! {
        #[test]
        fn scores_are_probabilities(row in proptest::array::uniform32(any::<f32>())) {
            for value in score(&row) {
                prop_assert!((0.0..=1.0).contains(&value));
            }
        }

        #[test]
        fn scorer_is_monotone(row in feature_rows(), column in 0..FEATURE_COUNT, step in 0.0_f32..1.0) {
            check_monotone(score, row, Feature::ALL[column], step)?;
        }

        #[test]
        fn explanation_adds_up_to_the_score(row in feature_rows()) {
            let explanation = LinearRanker::new().explain(&row);
            let scores = score(&row);
            for objective in Objective::ALL {
                let index = objective.index();
                let by_feature: f32 = explanation.features.iter().map(|part| part.log_odds[index]).sum();
                let by_group: f32 = explanation.groups.iter().map(|group| group[index]).sum();
                prop_assert!((by_feature - by_group).abs() < 1e-3);
                prop_assert!((sigmoid(explanation.base[index] + by_feature) - scores[index]).abs() < 1e-4);
            }
        }
    }
}
