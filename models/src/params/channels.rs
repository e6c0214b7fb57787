//! Params of the recall channels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// One recall channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelParams {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// How many candidates it may name per recall.
    pub quota: u32,
    /// The weight of its standardised score in the pre-ranking.
    pub weight: f32,
}

impl Default for ChannelParams {
    fn default() -> Self {
        Self {
            enabled: true,
            quota: 60,
            weight: 0.5,
        }
    }
}

/// Name, quota and pre-rank weight of the channels that exist.
const CHANNELS: [(&str, u32, f32); 12] = [
    ("embedding", 120, 1.0),
    ("embedding_long", 60, 0.6),
    ("item_item", 100, 1.0),
    ("session_knn", 100, 1.0),
    ("linear", 100, 1.0),
    ("similar_users", 40, 0.2),
    ("tags", 60, 0.6),
    ("hot", 60, 0.4),
    ("fresh", 40, 0.2),
    ("cold_start", 20, 0.2),
    ("followed", 30, 0.6),
    ("explore", 30, 0.0),
];

pub(super) fn channels_default() -> BTreeMap<String, ChannelParams> {
    let channel = |(name, quota, weight): (&str, u32, f32)| {
        (
            name.to_owned(),
            ChannelParams {
                enabled: true,
                quota,
                weight,
            },
        )
    };
    CHANNELS.into_iter().map(channel).collect()
}

/// Checks the section.
pub(super) fn validate(channels: &BTreeMap<String, ChannelParams>, checks: &mut Checks) {
    for (name, channel) in channels {
        checks.weight(format!("channels.{name}.weight"), channel.weight, 0.0);
        checks.within(format!("channels.{name}.quota"), f64::from(channel.quota), 0.0, 1_000.0);
    }
}
