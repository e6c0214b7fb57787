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
    /// Shares per impression, 0 to 1.
    #[serde(default)]
    pub share_rate: f64,
    /// Sessions that began: 30 minutes without anything lie before each.
    #[serde(default)]
    pub sessions: u64,
    /// Time watched per session, in milliseconds.
    #[serde(default)]
    pub watch_time_per_session_ms: f64,
}

/// The counts of one combination of what was grouped by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatsGroupDto {
    /// The combination, such as `{"channel": "hot", "category": "pets"}`.
    pub keys: BTreeMap<String, String>,
    /// Its counts and rates.
    pub total: EffectDto,
    /// The same in steps, when an interval was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<StatsPointDto>,
}

/// The counts of one step in time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatsPointDto {
    /// When the step begins, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Its counts and rates.
    #[serde(flatten)]
    pub effect: EffectDto,
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
    /// By what was grouped by, the most impressions first; at most 200, the last one sums up the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<StatsGroupDto>>,
    /// How many groups the last one sums up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_left_out: Option<usize>,
    /// Everything in steps, when an interval was asked for; steps without anything are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Vec<StatsPointDto>>,
    /// What the experiment of the asked variant says, when the variant is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<super::ExperimentDto>,
}
