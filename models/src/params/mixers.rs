//! Params of mixers: channels that an operator declares as a combination of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channels::{ChannelParams, is_channel, validate_one};
use super::check::Checks;
use crate::ids::validate_id;
use crate::recall::MIXERS_MAX;

/// The most channels that one mixer combines.
const SOURCES_MAX: usize = 8;

/// How a mixer combines what its sources name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MixRule {
    /// What any source names, by the best place that one of them gives it.
    #[default]
    Union,
    /// What all sources name, by the mean of their places.
    Intersection,
    /// What any source names, by the weighted sum of scores, each source scaled to 0..1.
    Weighted,
    /// The first of each source, then the second of each, and so on.
    Interleave,
}

/// One mixer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixerParams {
    /// Whether it names anything.
    pub enabled: bool,
    /// The channels that it combines.
    pub sources: Vec<String>,
    /// How.
    pub rule: MixRule,
    /// The weight of each source under the rule `weighted`; 1 when it is not named.
    pub weights: BTreeMap<String, f32>,
    /// How many candidates it may name per recall; its sources are asked for at least as many.
    pub quota: u32,
    /// What being named by it adds in the pre-ranking.
    pub weight: f32,
    /// At least this share of every feed, 0 to 1.
    pub min_share: f32,
    /// At most this share of every feed, 0 to 1.
    pub max_share: f32,
    /// So long a session waits before the mixer is made again, in milliseconds.
    pub min_interval_ms: i64,
    /// A call that takes longer counts as a failure for its breaker, in microseconds; its sources have their own.
    pub time_budget_us: u32,
}

impl Default for MixerParams {
    fn default() -> Self {
        let channel = ChannelParams::default();
        Self {
            enabled: true,
            sources: Vec::new(),
            rule: MixRule::default(),
            weights: BTreeMap::new(),
            quota: channel.quota,
            weight: channel.weight,
            min_share: channel.min_share,
            max_share: channel.max_share,
            min_interval_ms: channel.min_interval_ms,
            time_budget_us: channel.time_budget_us,
        }
    }
}

impl MixerParams {
    /// The settings that a mixer shares with channels.
    #[must_use]
    pub fn as_channel(&self) -> ChannelParams {
        ChannelParams {
            enabled: self.enabled,
            quota: self.quota,
            weight: self.weight,
            min_share: self.min_share,
            max_share: self.max_share,
            min_interval_ms: self.min_interval_ms,
            time_budget_us: self.time_budget_us,
        }
    }
}

/// Checks the section.
pub(super) fn validate(mixers: &BTreeMap<String, MixerParams>, checks: &mut Checks) {
    let detail = format!("must name at most {MIXERS_MAX} mixers, names {}", mixers.len());
    checks.rule(mixers.len() <= MIXERS_MAX, "mixers", &detail);
    for (name, mixer) in mixers {
        let path = format!("mixers.{name}");
        checks.rule(
            validate_id(name).is_ok() && !is_channel(name) && name != "backfill" && !name.starts_with("mixer_"),
            path.clone(),
            "must have a name that is a valid id and not that of a channel",
        );
        validate_one(&path, &mixer.as_channel(), checks);
        checks.rule(
            (1..=SOURCES_MAX).contains(&mixer.sources.len()),
            format!("{path}.sources"),
            "must name one to eight channels",
        );
        for (place, source) in mixer.sources.iter().enumerate() {
            let field = format!("{path}.sources[{place}]");
            checks.rule(is_channel(source), field.clone(), "there is no channel of that name");
            checks.rule(!mixer.sources[..place].contains(source), field, "is named twice");
        }
        for (source, weight) in &mixer.weights {
            let field = format!("{path}.weights.{source}");
            checks.rule(mixer.sources.contains(source), field.clone(), "is none of the sources");
            checks.weight(field, *weight, 0.0);
        }
    }
}
