//! Params of what is learned from viewers together: co-engagement, session neighbours, the linear model.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::profiles::{self, ProfileMode, QueryProfile};
use crate::time::{DAY_MS, MINUTE_MS};

/// Co-engagement and session neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollaborativeParams {
    /// Half-life of a co-engagement, in milliseconds.
    pub half_life_ms: i64,
    /// How many of the viewer's last positive items an event is paired with, and how many of them a request looks at.
    pub pair_window: u32,
    /// Two actions further apart than this are not paired, in milliseconds.
    pub pair_gap_ms_max: i64,
    /// A pair g positive items apart counts g to the minus this.
    pub pair_gap_power: f32,
    /// A pair Δt apart counts 1 / (1 + Δt / this), in milliseconds.
    pub pair_pause_ms: i64,
    /// What a pair weighs from the later item to the earlier, compared with from the earlier to the later.
    pub pair_reverse_weight: f32,
    /// In a request, an item touched Δt before the newest counts 1 / (1 + Δt / this), in milliseconds.
    pub recency_pause_ms: i64,
    /// How many of the most recent sessions with a common item are looked at (VMIS-kNN's m).
    pub knn_sessions: u32,
    /// How many of the most similar of them vote (VMIS-kNN's k).
    pub knn_neighbours: u32,
    /// How many items the linear model covers, the most popular ones; its refit takes time with their cube. 0 turns it
    /// off.
    pub linear_items_max: u32,
    /// The ridge of the linear model.
    pub linear_regularisation: f32,
    /// An item's own ridge on top of it: this share of how often it was liked.
    pub linear_frequency_ridge: f32,
    /// Half-life of a session in the linear model, in milliseconds.
    pub linear_half_life_ms: i64,
    /// A pause longer than this ends a session, in milliseconds.
    pub session_gap_ms: i64,
    /// How far back a request looks: by itself, or always by one of the two profiles.
    pub profile: ProfileMode,
    /// Where the last item says nearly everything.
    pub narrow: QueryProfile,
    /// Where the last dozens of items say more together.
    pub wide: QueryProfile,
}

impl CollaborativeParams {
    /// The profiles, the one that serves at the beginning first.
    #[must_use]
    pub fn profiles(&self) -> [&QueryProfile; 2] {
        [&self.narrow, &self.wide]
    }
}

impl Default for CollaborativeParams {
    fn default() -> Self {
        Self {
            half_life_ms: 14 * DAY_MS,
            pair_window: 30,
            pair_gap_ms_max: 7 * DAY_MS,
            pair_gap_power: 0.5,
            pair_pause_ms: 2 * MINUTE_MS,
            pair_reverse_weight: 0.7,
            recency_pause_ms: 200_000,
            knn_sessions: 500,
            knn_neighbours: 200,
            linear_items_max: 2_000,
            linear_regularisation: 300.0,
            linear_frequency_ridge: 0.0,
            linear_half_life_ms: 365 * DAY_MS,
            session_gap_ms: 30 * MINUTE_MS,
            profile: ProfileMode::Auto,
            narrow: QueryProfile::NARROW,
            wide: QueryProfile::WIDE,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &CollaborativeParams, checks: &mut Checks) {
    for (field, value_ms) in [
        ("half_life_ms", params.half_life_ms),
        ("pair_gap_ms_max", params.pair_gap_ms_max),
        ("pair_pause_ms", params.pair_pause_ms),
        ("recency_pause_ms", params.recency_pause_ms),
        ("session_gap_ms", params.session_gap_ms),
        ("linear_half_life_ms", params.linear_half_life_ms),
    ] {
        checks.duration(format!("collaborative.{field}"), value_ms);
    }
    profiles::validate("narrow", &params.narrow, checks);
    profiles::validate("wide", &params.wide, checks);
    for (field, value, min, max) in [
        (
            "linear_frequency_ridge",
            f64::from(params.linear_frequency_ridge),
            0.0,
            100.0,
        ),
        ("pair_window", f64::from(params.pair_window), 1.0, 200.0),
        ("pair_gap_power", f64::from(params.pair_gap_power), 0.0, 4.0),
        ("pair_reverse_weight", f64::from(params.pair_reverse_weight), 0.0, 1.0),
        ("knn_sessions", f64::from(params.knn_sessions), 1.0, 10_000.0),
        ("knn_neighbours", f64::from(params.knn_neighbours), 1.0, 10_000.0),
        ("linear_items_max", f64::from(params.linear_items_max), 0.0, 10_000.0),
        (
            "linear_regularisation",
            f64::from(params.linear_regularisation),
            1e-3,
            1e6,
        ),
    ] {
        checks.within(format!("collaborative.{field}"), value, min, max);
    }
}
