//! Effect metrics on the wire: the reply of `GET /v1/stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts and rates of what happened in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectDto {
    /// Items shown.
    pub impressions: u64,
    /// Items watched for a while.
    pub views: u64,
    /// Likes.
    pub likes: u64,
    /// Skips.
    pub skips: u64,
    /// Items watched to the end.
    pub completions: u64,
    /// Shares.
    pub shares: u64,
    /// Time watched, in milliseconds.
    pub watch_time_ms: u64,
    /// Views (or any stronger positive signal) per impression, 0 to 1.
    pub ctr: f64,
    /// Likes per impression, 0 to 1.
    pub like_rate: f64,
    /// Skips per impression, 0 to 1.
    pub skip_rate: f64,
    /// Completions per impression, 0 to 1.
    pub completion_rate: f64,
}

/// The reply of `GET /v1/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatsReply {
    /// The window's length in milliseconds.
    pub window_ms: i64,
    /// Everything in the window.
    pub total: EffectDto,
    /// The same by recall channel (an item named by several channels counts for each).
    pub channels: BTreeMap<String, EffectDto>,
    /// The same by experiment variant.
    pub variants: BTreeMap<String, EffectDto>,
}
