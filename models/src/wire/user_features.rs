//! The features of a viewer on the wire, which `features=true` adds to the profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LabelDto, TagWeightDto};
use crate::event::ContextValue;

/// Counts of signals in a sliding window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WindowDto {
    /// The window reaches from then to now.
    pub since: i64,
    /// By signal; those without an event are left out.
    pub signals: BTreeMap<String, u32>,
    /// By category and signal.
    pub categories: BTreeMap<String, BTreeMap<String, u32>>,
}

/// What models and rules can read of a viewer at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserFeaturesDto {
    /// Counts in event time, by window: `5m`, `1h`, `24h`.
    pub windows: BTreeMap<String, WindowDto>,
    /// An event with an earlier time is late: the newest event's time less the lateness allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// How many events came too late for the windows.
    pub late_events: u64,
    /// Labels that live now.
    pub labels: Vec<LabelDto>,
    /// What the outside said (its attributes) and what was seen here, by name: `register_days`, `total_watch_ms`,
    /// `like_rate`, `skip_rate`, `watch_ratio`, `signals`, `shown`, `follows`, ...
    pub user: BTreeMap<String, ContextValue>,
    /// The hours of the day (UTC) at which the viewer is mostly there, given and seen.
    pub active_hours: Vec<u8>,
    /// What is left of the long-term tags from outside beside the viewer's own signals.
    pub long_term_tags: Vec<TagWeightDto>,
    /// The viewer and one item together; with `item_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossFeaturesDto>,
}

/// A viewer and an item together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CrossFeaturesDto {
    /// The item.
    pub item_id: String,
    /// The share of the item's tags that the viewer cares for, by whatever is known.
    pub tag_overlap: f32,
    /// The weight of the item's tags now, -1 to 1.
    pub tag_affinity_short: f32,
    /// In the long run, with what the outside said.
    pub tag_affinity_long: f32,
    /// The weight of its categories now.
    pub category_affinity_short: f32,
    /// In the long run, with what the outside said.
    pub category_affinity_long: f32,
    /// The weight of its author now.
    pub author_affinity_short: f32,
    /// In the long run.
    pub author_affinity_long: f32,
    /// Whether the viewer follows its author.
    pub follows_author: bool,
    /// Device and playing time, such as `mobile:15-30s`.
    pub device_duration: String,
    /// Hour of the day (UTC) and leading category, such as `07:cats`.
    pub hour_category: String,
    /// The share of the viewer's signals that came in this hour of the day.
    pub hour_activity: f32,
    /// The viewer's signals on the item's leading category within the hour.
    pub category_signals_1h: BTreeMap<String, u32>,
}
