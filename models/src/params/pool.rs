//! Params of the candidate pool that a session keeps.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The candidate pool that a session keeps between swipes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoolParams {
    /// The most candidates kept.
    pub size_max: u32,
    /// The channels are asked again when fewer candidates are left than this many times the feed's length.
    pub low_factor: f32,
    /// The channels are asked again when the pool is older than this, in milliseconds.
    pub age_ms_max: i64,
    /// The channels are asked again when the cosine between the interest now and then falls below this.
    pub turn_cosine_min: f32,
    /// How many neighbours of a liked item join the pool at once.
    pub liked_neighbours: u32,
    /// How many candidates reach the ranking model.
    pub rank_max: u32,
}

impl Default for PoolParams {
    fn default() -> Self {
        Self {
            size_max: 400,
            low_factor: 4.0,
            age_ms_max: 30_000,
            turn_cosine_min: 0.85,
            liked_neighbours: 40,
            rank_max: 200,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &PoolParams, checks: &mut Checks) {
    checks.duration("pool.age_ms_max", params.age_ms_max);
    checks.within("pool.turn_cosine_min", f64::from(params.turn_cosine_min), -1.0, 1.0);
    checks.within("pool.size_max", f64::from(params.size_max), 50.0, 5_000.0);
    checks.within("pool.low_factor", f64::from(params.low_factor), 1.0, 100.0);
    checks.within("pool.liked_neighbours", f64::from(params.liked_neighbours), 0.0, 500.0);
    checks.within("pool.rank_max", f64::from(params.rank_max), 10.0, 2_000.0);
}
