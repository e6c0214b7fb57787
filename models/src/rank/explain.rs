//! Which groups of features made a score, for any ranker.
//!
//! Owns the ablation: a group's effect is the score less the score with that group's features set to neutral. Works on
//! networks as on the linear scorer, at the price of one small batch; only for requests that ask for it.

use super::error::RankError;
use super::objectives::{OBJECTIVE_COUNT, ObjectiveRow};
use super::ranker::{RankScratch, Ranker};
use crate::features::schema::{FEATURE_COUNT, FEATURE_GROUP_COUNT, Feature, FeatureGroup};

/// A score and what each feature group did to it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupExplanation {
    /// The score of the row.
    pub scores: ObjectiveRow,
    /// In the order of [`FeatureGroup::ALL`]: how much lower each objective would be without the group (negative: how
    /// much higher). Effects of groups that act together need not add up.
    pub effects: [ObjectiveRow; FEATURE_GROUP_COUNT],
}

/// Explains one row by scoring it once whole and once without each group.
pub fn explain_groups(
    ranker: &dyn Ranker,
    row: &[f32; FEATURE_COUNT],
    scratch: &mut RankScratch,
) -> Result<GroupExplanation, RankError> {
    let mut rows = [*row; FEATURE_GROUP_COUNT + 1];
    for group in FeatureGroup::ALL {
        let without = &mut rows[group.index() + 1];
        for feature in Feature::ALL.into_iter().filter(|feature| feature.group() == group) {
            without[feature.index()] = feature.neutral();
        }
    }
    let mut scored = Vec::with_capacity(rows.len());
    ranker.score(rows.as_flattened(), rows.len(), &mut scored, scratch)?;
    let mut effects = [[0.0; OBJECTIVE_COUNT]; FEATURE_GROUP_COUNT];
    for (effect, without) in effects.iter_mut().zip(&scored[1..]) {
        *effect = std::array::from_fn(|objective| scored[0][objective] - without[objective]);
    }
    Ok(GroupExplanation {
        scores: scored[0],
        effects,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::schema::neutral_row;
    use crate::rank::linear::LinearRanker;
    use crate::rank::objectives::Objective;

    #[test]
    fn only_the_group_that_differs_has_an_effect() {
        let mut row = neutral_row();
        row[Feature::ShortCosine.index()] = 0.8;
        let explanation =
            explain_groups(&LinearRanker::new(), &row, &mut RankScratch::new()).expect("the linear scorer answers");
        let like = Objective::Like.index();
        for group in FeatureGroup::ALL {
            let effect = explanation.effects[group.index()];
            match group == FeatureGroup::Interest {
                true => assert!(
                    effect[like] > 0.1 && effect[Objective::Skip.index()] < -0.1,
                    "{effect:?}"
                ),
                false => assert_eq!(effect, [0.0; OBJECTIVE_COUNT], "{group:?}"),
            }
        }
        let neutral_like = explanation.scores[like] - explanation.effects[FeatureGroup::Interest.index()][like];
        assert!((neutral_like - 0.07).abs() < 1e-6);
    }
}
