//! The sections of the params document: their fields, defaults and rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Params, check::Checks};
use crate::event::Signal;
use crate::ids::validate_id;
use crate::time::{DAY_MS, HOUR_MS};
use crate::wire::FEED_N_MAX;

/// How much one signal says about the viewer's interest; negative means: less of this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each field is the signal of its name
pub struct SignalWeights {
    pub impression: f32,
    /// For a view of the whole item; a shorter view counts by its watch ratio, see `InterestParams::view_neutral_ratio`.
    pub view: f32,
    pub like: f32,
    pub unlike: f32,
    pub skip: f32,
    pub share: f32,
    pub comment: f32,
    pub favorite: f32,
    pub follow: f32,
    pub complete: f32,
    pub dislike: f32,
    pub report: f32,
}

impl Default for SignalWeights {
    fn default() -> Self {
        Self {
            impression: 0.0,
            view: 0.5,
            like: 1.0,
            unlike: -1.0,
            skip: -0.4,
            share: 1.2,
            comment: 0.8,
            favorite: 1.2,
            follow: 1.0,
            complete: 0.7,
            dislike: -1.5,
            report: -2.0,
        }
    }
}

impl SignalWeights {
    /// The weight of a signal.
    #[must_use]
    pub fn of(&self, signal: Signal) -> f32 {
        match signal {
            Signal::Impression => self.impression,
            Signal::View => self.view,
            Signal::Like => self.like,
            Signal::Unlike => self.unlike,
            Signal::Skip => self.skip,
            Signal::Share => self.share,
            Signal::Comment => self.comment,
            Signal::Favorite => self.favorite,
            Signal::Follow => self.follow,
            Signal::Complete => self.complete,
            Signal::Dislike => self.dislike,
            Signal::Report => self.report,
        }
    }
}

/// How signals become interest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InterestParams {
    /// Half-life of the short-term interest, in milliseconds.
    pub short_half_life_ms: i64,
    /// Half-life of the long-term interest, in milliseconds.
    pub long_half_life_ms: i64,
    /// What is left of the short-term interest after each further signal: what was liked last counts most, at any pace.
    pub short_step_decay: f32,
    /// Share of the short-term interest in the blended taste.
    pub short_weight: f32,
    /// Share of the long-term interest in the blended taste.
    pub long_weight: f32,
    /// A view of less than this share of the item counts against it, of more counts for it.
    pub view_neutral_ratio: f32,
    /// What each signal says.
    pub signals: SignalWeights,
}

impl Default for InterestParams {
    fn default() -> Self {
        Self {
            short_half_life_ms: HOUR_MS,
            long_half_life_ms: 30 * DAY_MS,
            short_step_decay: 0.92,
            short_weight: 0.6,
            long_weight: 0.4,
            view_neutral_ratio: 0.3,
            signals: SignalWeights::default(),
        }
    }
}

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
const CHANNELS: [(&str, u32, f32); 11] = [
    ("embedding", 120, 1.0),
    ("embedding_long", 60, 0.6),
    ("item_item", 100, 1.0),
    ("session_knn", 100, 1.0),
    ("linear", 100, 1.0),
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

/// The candidate pool that a session keeps between swipes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// How predicted objectives become one score: Σ weight · probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each field is the objective of its name
pub struct FusionParams {
    pub like: f32,
    pub complete: f32,
    pub share: f32,
    pub skip: f32,
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

/// What happens to the order after ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// What counts as shown, and for how long it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureParams {
    /// How many items a generation of the Bloom filter holds before it is rotated; the filter remembers one to two
    /// generations behind the exact last 1 000.
    pub generation_items: u32,
    /// The most unseen items that may be taken for seen, as a share.
    pub false_positive_share: f64,
}

impl Default for ExposureParams {
    fn default() -> Self {
        Self {
            generation_items: 20_000,
            false_positive_share: 0.001,
        }
    }
}

/// New users and new items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColdStartParams {
    /// The editor's picks by region; `*` is for all regions.
    pub editors_picks: BTreeMap<String, Vec<String>>,
    /// A feed is fully personal after so many signals, and blended before.
    pub personal_after_signals: u32,
    /// An item is new until it has had so many impressions.
    pub new_item_impressions: u32,
    /// An item is new for at most this long, in milliseconds.
    pub new_item_age_ms_max: i64,
}

impl Default for ColdStartParams {
    fn default() -> Self {
        Self {
            editors_picks: BTreeMap::new(),
            personal_after_signals: 10,
            new_item_impressions: 50,
            new_item_age_ms_max: 3 * DAY_MS,
        }
    }
}

/// Item popularity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopularityParams {
    /// Half-life of decayed popularity, in milliseconds.
    pub half_life_ms: i64,
    /// So many impressions of prior belief stand behind every rate.
    pub prior_impressions: f32,
    /// The prior like rate.
    pub prior_like_rate: f32,
    /// The prior skip rate.
    pub prior_skip_rate: f32,
    /// The prior completion rate.
    pub prior_completion_rate: f32,
    /// How often the trending lists are made again, in milliseconds.
    pub refresh_ms: i64,
    /// The length of every trending list.
    pub list_items: u32,
}

impl Default for PopularityParams {
    fn default() -> Self {
        Self {
            half_life_ms: 3 * DAY_MS,
            prior_impressions: 20.0,
            prior_like_rate: 0.05,
            prior_skip_rate: 0.35,
            prior_completion_rate: 0.35,
            refresh_ms: 2_000,
            list_items: 500,
        }
    }
}

/// Sizes of feeds and limits of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedParams {
    /// The length of a feed when nobody says otherwise.
    pub n: u32,
    /// A feed is appended by itself when fewer unseen items are left.
    pub low_water: u32,
    /// How many messages per second one session may send in the long run.
    pub messages_per_second: f32,
    /// How many messages one session may send at once.
    pub messages_burst: f32,
}

impl Default for FeedParams {
    fn default() -> Self {
        Self {
            n: 10,
            low_water: 3,
            messages_per_second: 200.0,
            messages_burst: 400.0,
        }
    }
}

/// Checks every section.
pub(super) fn validate(params: &Params, checks: &mut Checks) {
    let century_ms = (36_525 * DAY_MS) as f64;
    let mut duration = |field: &str, value: i64| checks.within(field, value as f64, 1.0, century_ms);
    duration("interest.short_half_life_ms", params.interest.short_half_life_ms);
    duration("interest.long_half_life_ms", params.interest.long_half_life_ms);
    duration("pool.age_ms_max", params.pool.age_ms_max);
    duration("rerank.freshness_tau_ms", params.rerank.freshness_tau_ms);
    duration("cold_start.new_item_age_ms_max", params.cold_start.new_item_age_ms_max);
    duration("popularity.half_life_ms", params.popularity.half_life_ms);
    duration("popularity.refresh_ms", params.popularity.refresh_ms);
    validate_shares(params, checks);
    validate_weights(params, checks);
    validate_sizes(params, checks);
    for (region, items) in &params.cold_start.editors_picks {
        let field = format!("cold_start.editors_picks.{region}");
        checks.rule(
            validate_id(region).is_ok(),
            field.clone(),
            "the region must be a valid id or `*`",
        );
        checks.rule(items.len() <= 500, field.clone(), "must have at most 500 items");
        checks.rule(
            items.iter().all(|item| validate_id(item).is_ok()),
            field,
            "every item must be a valid id",
        );
    }
}

fn validate_shares(params: &Params, checks: &mut Checks) {
    for (field, share) in [
        ("interest.short_step_decay", params.interest.short_step_decay),
        ("interest.short_weight", params.interest.short_weight),
        ("interest.long_weight", params.interest.long_weight),
        ("interest.view_neutral_ratio", params.interest.view_neutral_ratio),
        ("rerank.exploration_share", params.rerank.exploration_share),
        ("popularity.prior_like_rate", params.popularity.prior_like_rate),
        ("popularity.prior_skip_rate", params.popularity.prior_skip_rate),
        (
            "popularity.prior_completion_rate",
            params.popularity.prior_completion_rate,
        ),
    ] {
        checks.within(field, f64::from(share), 0.0, 1.0);
    }
    checks.within(
        "pool.turn_cosine_min",
        f64::from(params.pool.turn_cosine_min),
        -1.0,
        1.0,
    );
    checks.within(
        "exposure.false_positive_share",
        params.exposure.false_positive_share,
        1e-6,
        0.1,
    );
    let weights = params.interest.short_weight + params.interest.long_weight;
    checks.rule(
        weights > 0.0,
        "interest.short_weight",
        "short_weight and long_weight must not both be 0",
    );
}

fn validate_weights(params: &Params, checks: &mut Checks) {
    for signal in Signal::ALL {
        let weight = f64::from(params.interest.signals.of(signal));
        checks.within(format!("interest.signals.{}", signal.name()), weight, -10.0, 10.0);
    }
    let fusion = params.fusion;
    let rerank = params.rerank;
    for (field, weight) in [
        ("fusion.like", fusion.like),
        ("fusion.complete", fusion.complete),
        ("fusion.share", fusion.share),
        ("fusion.skip", fusion.skip),
        ("fusion.watch", fusion.watch),
        ("fusion.pre_rank", fusion.pre_rank),
        ("fusion.collaborative", fusion.collaborative),
        ("rerank.freshness_weight", rerank.freshness_weight),
        ("rerank.author_penalty", rerank.author_penalty),
        ("rerank.category_penalty", rerank.category_penalty),
        ("rerank.similarity_penalty", rerank.similarity_penalty),
    ] {
        checks.within(field, f64::from(weight), -100.0, 100.0);
    }
    for (name, channel) in &params.channels {
        checks.within(format!("channels.{name}.weight"), f64::from(channel.weight), 0.0, 100.0);
        checks.within(format!("channels.{name}.quota"), f64::from(channel.quota), 0.0, 1_000.0);
    }
}

fn validate_sizes(params: &Params, checks: &mut Checks) {
    let n_max = FEED_N_MAX as f64;
    for (field, value, min, max) in [
        ("pool.size_max", f64::from(params.pool.size_max), 50.0, 5_000.0),
        ("pool.low_factor", f64::from(params.pool.low_factor), 1.0, 100.0),
        (
            "pool.liked_neighbours",
            f64::from(params.pool.liked_neighbours),
            0.0,
            500.0,
        ),
        ("pool.rank_max", f64::from(params.pool.rank_max), 10.0, 2_000.0),
        (
            "rerank.author_window",
            f64::from(params.rerank.author_window),
            0.0,
            n_max,
        ),
        (
            "rerank.category_window",
            f64::from(params.rerank.category_window),
            0.0,
            n_max,
        ),
        (
            "rerank.similarity_window",
            f64::from(params.rerank.similarity_window),
            0.0,
            n_max,
        ),
        (
            "exposure.generation_items",
            f64::from(params.exposure.generation_items),
            1_000.0,
            1_000_000.0,
        ),
        (
            "cold_start.personal_after_signals",
            f64::from(params.cold_start.personal_after_signals),
            0.0,
            10_000.0,
        ),
        (
            "cold_start.new_item_impressions",
            f64::from(params.cold_start.new_item_impressions),
            0.0,
            1e6,
        ),
        (
            "popularity.prior_impressions",
            f64::from(params.popularity.prior_impressions),
            0.0,
            1e6,
        ),
        (
            "popularity.list_items",
            f64::from(params.popularity.list_items),
            10.0,
            10_000.0,
        ),
        ("feed.n", f64::from(params.feed.n), 1.0, n_max),
        ("feed.low_water", f64::from(params.feed.low_water), 0.0, n_max),
        (
            "feed.messages_per_second",
            f64::from(params.feed.messages_per_second),
            0.1,
            1e6,
        ),
        ("feed.messages_burst", f64::from(params.feed.messages_burst), 1.0, 1e6),
    ] {
        checks.within(field, value, min, max);
    }
}
