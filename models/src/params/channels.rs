//! Params of the recall channels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::mixers::MixerParams;
use crate::time::DAY_MS;

/// The most candidates that one channel may name per recall.
const QUOTA_MAX: f64 = 1_000.0;
/// The longest time budget, in microseconds.
const TIME_BUDGET_US_MAX: f64 = 10_000_000.0;

/// One recall channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelParams {
    /// Whether it is asked at all; mixers get nothing of what is off.
    pub enabled: bool,
    /// How many candidates it may name per recall; with 0 only mixers ask it.
    pub quota: u32,
    /// The weight of its standardised score in the pre-ranking.
    pub weight: f32,
    /// At least this share of every feed, while the channel names enough, 0 to 1.
    pub min_share: f32,
    /// At most this share of every feed, 0 to 1.
    pub max_share: f32,
    /// So long a session waits before it asks the channel again, in milliseconds; what it named stays until then.
    pub min_interval_ms: i64,
    /// A call that takes longer counts as a failure for the channel's breaker, in microseconds.
    pub time_budget_us: u32,
}

impl Default for ChannelParams {
    fn default() -> Self {
        Self {
            enabled: true,
            quota: 60,
            weight: 0.5,
            min_share: 0.0,
            max_share: 1.0,
            min_interval_ms: 0,
            time_budget_us: 50_000,
        }
    }
}

/// Name, quota and pre-rank weight of the channels that exist.
const CHANNELS: [(&str, u32, f32); 13] = [
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
    ("boost", 40, 0.2),
];

pub(super) fn channels_default() -> BTreeMap<String, ChannelParams> {
    let channel = |(name, quota, weight): (&str, u32, f32)| {
        let settings = ChannelParams {
            quota,
            weight,
            ..ChannelParams::default()
        };
        (name.to_owned(), settings)
    };
    CHANNELS.into_iter().map(channel).collect()
}

/// Whether a channel of that name exists.
pub(super) fn is_channel(name: &str) -> bool {
    CHANNELS.iter().any(|(known, ..)| *known == name)
}

/// Checks the section, and with it the shares of mixers: together with those of the channels they fill one feed.
pub(super) fn validate(
    channels: &BTreeMap<String, ChannelParams>,
    mixers: &BTreeMap<String, MixerParams>,
    checks: &mut Checks,
) {
    for (name, channel) in channels {
        checks.rule(
            is_channel(name),
            format!("channels.{name}"),
            "there is no channel of that name",
        );
        validate_one(&format!("channels.{name}"), channel, checks);
    }
    let mixers = mixers.iter().map(|(name, mixer)| (name, mixer.as_channel()));
    let owned = channels.iter().map(|(name, channel)| (name, channel.clone()));
    let all: Vec<(&String, ChannelParams)> = owned.chain(mixers).collect();
    let total: f32 = all
        .iter()
        .filter(|(_, channel)| channel.enabled)
        .map(|(_, channel)| channel.min_share)
        .sum();
    // Rounding of decimal fractions is not an operator's mistake.
    if total > 1.0 + 1e-4 {
        let named: Vec<&str> = all
            .iter()
            .filter(|(_, channel)| channel.enabled && channel.min_share > 0.0)
            .map(|(name, _)| name.as_str())
            .collect();
        let detail = format!(
            "the minimum shares of {} are {total:.2} of a feed together, must be at most 1",
            named.join(", ")
        );
        for (name, _) in all
            .iter()
            .filter(|(_, channel)| channel.enabled && channel.min_share > 0.0)
        {
            let section = if is_channel(name) { "channels" } else { "mixers" };
            checks.rule(false, format!("{section}.{name}.min_share"), &detail);
        }
    }
}

/// Checks one channel or mixer.
pub(super) fn validate_one(path: &str, channel: &ChannelParams, checks: &mut Checks) {
    checks.weight(format!("{path}.weight"), channel.weight, 0.0);
    checks.within(format!("{path}.quota"), f64::from(channel.quota), 0.0, QUOTA_MAX);
    checks.share(format!("{path}.min_share"), channel.min_share);
    checks.share(format!("{path}.max_share"), channel.max_share);
    checks.rule(
        channel.min_share <= channel.max_share,
        format!("{path}.min_share"),
        "must not be more than max_share",
    );
    let interval = channel.min_interval_ms as f64;
    checks.within(format!("{path}.min_interval_ms"), interval, 0.0, DAY_MS as f64);
    let budget = f64::from(channel.time_budget_us);
    checks.within(format!("{path}.time_budget_us"), budget, 1.0, TIME_BUDGET_US_MAX);
}
