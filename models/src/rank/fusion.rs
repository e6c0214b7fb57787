//! Fusion: from the objectives of a candidate to the one score that orders a slate.
//!
//! Owns score = Σ weightᵢ · objectiveᵢ + weight · pre-rank + weight · collaborative, negative weights included, and where scores that are not
//! finite go: to the bottom. Must not reorder anything.

use super::objectives::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
use crate::params::FusionParams;

/// The score of a candidate whose sum is not finite: below every other, and still finite, because scores reach the wire.
pub const SUNK_SCORE: f32 = f32::MIN;

/// Number of terms of a score: the objectives, the pre-rank score and the collaborative score.
pub const FUSION_TERM_COUNT: usize = OBJECTIVE_COUNT + 2;

/// How much each term of a score is worth: the weights of the params document in the order of
/// [`FusionWeights::TERM_NAMES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionWeights([f32; FUSION_TERM_COUNT]);

impl From<FusionParams> for FusionWeights {
    fn from(params: FusionParams) -> Self {
        let FusionParams {
            like,
            complete,
            share,
            skip,
            watch,
            pre_rank,
            collaborative,
        } = params;
        FusionWeights([like, complete, share, skip, watch, pre_rank, collaborative])
    }
}

impl Default for FusionWeights {
    fn default() -> Self {
        FusionParams::default().into()
    }
}

impl FusionWeights {
    /// Names of the terms, in the order of [`FusionWeights::terms`].
    pub const TERM_NAMES: [&str; FUSION_TERM_COUNT] = [
        "like",
        "complete",
        "share",
        "skip",
        "watch",
        "pre_rank",
        "collaborative",
    ];

    /// The weights in the order of the terms.
    pub const fn values(&self) -> [f32; FUSION_TERM_COUNT] {
        self.0
    }

    /// The weights with those of the objectives multiplied by factors.
    #[must_use]
    pub fn scaled(mut self, factors: &ObjectiveRow) -> Self {
        for (weight, factor) in self.0.iter_mut().zip(factors) {
            *weight *= factor;
        }
        self
    }

    /// What each term adds to the score of one candidate, in the order of [`FusionWeights::TERM_NAMES`].
    pub fn terms(&self, objectives: &ObjectiveRow, pre_rank: f32, collaborative: f32) -> [f32; FUSION_TERM_COUNT] {
        let weights = self.0;
        let mut terms = [0.0; FUSION_TERM_COUNT];
        for objective in Objective::ALL {
            terms[objective.index()] = weights[objective.index()] * objectives[objective.index()];
        }
        terms[OBJECTIVE_COUNT] = weights[OBJECTIVE_COUNT] * pre_rank;
        terms[OBJECTIVE_COUNT + 1] = weights[OBJECTIVE_COUNT + 1] * collaborative;
        terms
    }

    /// The score of one candidate; finite, whatever goes in.
    pub fn fuse(&self, objectives: &ObjectiveRow, pre_rank: f32, collaborative: f32) -> f32 {
        let score: f32 = self.terms(objectives, pre_rank, collaborative).iter().sum();
        if score.is_finite() { score } else { SUNK_SCORE }
    }

    /// Fills the score column of all candidates. A candidate without one of the terms (a shorter column) sinks.
    pub fn fuse_into(&self, objectives: &[ObjectiveRow], pre_rank: &[f32], collaborative: &[f32], scores: &mut [f32]) {
        let columns = [objectives.len(), pre_rank.len(), collaborative.len()];
        let complete = columns.into_iter().fold(scores.len(), usize::min);
        let (scored, without) = scores.split_at_mut(complete);
        let terms = objectives.iter().zip(pre_rank).zip(collaborative);
        for (score, ((row, pre_rank), collaborative)) in scored.iter_mut().zip(terms) {
            *score = self.fuse(row, *pre_rank, *collaborative);
        }
        without.fill(SUNK_SCORE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_weights() -> impl Strategy<Value = FusionWeights> {
        any::<[f32; FUSION_TERM_COUNT]>().prop_map(FusionWeights)
    }

    #[test]
    fn score_is_the_weighted_sum() {
        let weights = FusionWeights([1.0, 2.0, 3.0, -4.0, 5.0, 0.5, 3.0]);
        let score = weights.fuse(&[0.1, 0.2, 0.3, 0.4, 0.5], 2.0, 0.1);
        assert!((score - (0.1 + 0.4 + 0.9 - 1.6 + 2.5 + 1.0 + 0.3)).abs() < 1e-6);
    }

    #[test]
    fn a_candidate_without_a_pre_rank_score_sinks() {
        let mut scores = [0.0; 3];
        FusionWeights::default().fuse_into(&[[0.5; OBJECTIVE_COUNT]; 3], &[0.0; 2], &[0.0; 3], &mut scores);
        assert!(scores[0] > 0.0 && scores[0] == scores[1]);
        assert_eq!(scores[2], SUNK_SCORE);
    }

    #[test]
    fn terms_stand_under_their_names() {
        for objective in Objective::ALL {
            assert_eq!(FusionWeights::TERM_NAMES[objective.index()], objective.name());
        }
        let weights = FusionWeights::default();
        assert!(weights.values()[Objective::Skip.index()] < 0.0);
        let terms = weights.terms(&[0.5; OBJECTIVE_COUNT], 2.0, 0.5);
        assert_eq!(terms[OBJECTIVE_COUNT], 2.0 * FusionParams::default().pre_rank);
        assert_eq!(terms[OBJECTIVE_COUNT + 1], 0.5 * FusionParams::default().collaborative);
    }

    proptest! {
        #[test]
        fn scores_are_finite_whatever_goes_in(
            weights in any_weights(),
            rows in proptest::collection::vec(any::<ObjectiveRow>(), 0..20),
            pre_rank in proptest::collection::vec(any::<f32>(), 0..20),
            collaborative in proptest::collection::vec(any::<f32>(), 0..20),
            count in 0_usize..20,
        ) {
            let mut scores = vec![f32::NAN; count];
            weights.fuse_into(&rows, &pre_rank, &collaborative, &mut scores);
            prop_assert!(scores.iter().all(|score| score.is_finite()));
        }

        #[test]
        fn what_is_not_finite_sorts_last(bad in 0..OBJECTIVE_COUNT, row in any::<[bool; OBJECTIVE_COUNT]>()) {
            let weights = FusionWeights::default();
            let good = row.map(f32::from);
            let mut broken = good;
            broken[bad] = f32::NAN;
            prop_assert!(weights.fuse(&broken, 0.0, 0.0).total_cmp(&weights.fuse(&good, 0.0, 0.0)).is_lt());
        }

        #[test]
        fn less_skip_and_more_like_is_never_worse(
            row in proptest::array::uniform5(0.0_f32..1.0),
            step in 0.0_f32..1.0,
        ) {
            let weights = FusionWeights::default();
            let mut better = row;
            better[Objective::Like.index()] += step;
            better[Objective::Skip.index()] -= step * better[Objective::Skip.index()];
            prop_assert!(weights.fuse(&better, 0.0, 0.0) >= weights.fuse(&row, 0.0, 0.0) - 1e-6);
        }
    }
}
