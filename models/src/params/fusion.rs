//! Params of how predicted objectives become one score.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// How predicted objectives become one score: Σ weight · probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FusionParams {
    /// The weight of the probability of a like.
    pub like: f32,
    /// The weight of the probability that the item is watched to its end.
    pub complete: f32,
    /// The weight of the probability that the item is shared.
    pub share: f32,
    /// The weight of the probability of a skip; negative.
    pub skip: f32,
    /// The weight of the predicted share of the item that is watched.
    pub watch: f32,
    /// The weight of the pre-rank score (channel evidence), squashed to 0..1.
    pub pre_rank: f32,
    /// The weight of what the collaborative channels say together, ln(1 + blend).
    pub collaborative: f32,
}

impl Default for FusionParams {
    fn default() -> Self {
        Self {
            like: 1.0,
            complete: 0.5,
            share: 0.5,
            skip: -0.8,
            watch: 0.4,
            pre_rank: 0.6,
            collaborative: 1.5,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &FusionParams, checks: &mut Checks) {
    for (field, weight) in [
        ("like", params.like),
        ("complete", params.complete),
        ("share", params.share),
        ("skip", params.skip),
        ("watch", params.watch),
        ("pre_rank", params.pre_rank),
        ("collaborative", params.collaborative),
    ] {
        checks.weight(format!("fusion.{field}"), weight, -100.0);
    }
}
