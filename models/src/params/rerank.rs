//! Params of what happens to the order after ranking.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::DAY_MS;
use crate::wire::FEED_N_MAX;

/// What happens to the order after ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RerankParams {
    /// Freshness adds `weight · exp(-age / tau)`.
    pub freshness_weight: f32,
    /// The tau of freshness, in milliseconds.
    pub freshness_tau_ms: i64,
    /// Each earlier item of the same author within the window takes this from the score.
    pub author_penalty: f32,
    /// How many slots back an author counts.
    pub author_window: u32,
    /// Each earlier item of the same leading category within the window takes this from the score.
    pub category_penalty: f32,
    /// How many slots back a category counts.
    pub category_window: u32,
    /// Takes `weight · (largest cosine to the slots before)` from the score (maximal marginal relevance).
    pub similarity_penalty: f32,
    /// How many slots back similarity counts.
    pub similarity_window: u32,
    /// Share of the slots that explore.
    pub exploration_share: f32,
}

impl Default for RerankParams {
    fn default() -> Self {
        Self {
            freshness_weight: 0.08,
            freshness_tau_ms: 2 * DAY_MS,
            author_penalty: 0.15,
            author_window: 8,
            category_penalty: 0.03,
            category_window: 5,
            similarity_penalty: 0.08,
            similarity_window: 5,
            exploration_share: 0.1,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &RerankParams, checks: &mut Checks) {
    checks.duration("rerank.freshness_tau_ms", params.freshness_tau_ms);
    checks.share("rerank.exploration_share", params.exploration_share);
    for (field, weight) in [
        ("freshness_weight", params.freshness_weight),
        ("author_penalty", params.author_penalty),
        ("category_penalty", params.category_penalty),
        ("similarity_penalty", params.similarity_penalty),
    ] {
        checks.weight(format!("rerank.{field}"), weight, -100.0);
    }
    for (field, window) in [
        ("author_window", params.author_window),
        ("category_window", params.category_window),
        ("similarity_window", params.similarity_window),
    ] {
        checks.within(format!("rerank.{field}"), f64::from(window), 0.0, FEED_N_MAX as f64);
    }
}
