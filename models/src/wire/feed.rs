//! Feeds, explanations and scored lists on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ItemDto;
use crate::event::ContextValue;

/// A name that the server knows at compile time and a client reads from the wire.
pub type Name = Cow<'static, str>;

/// One item of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedItemDto {
    /// Which.
    pub item_id: String,
    /// Its final score; comparable within one feed only.
    pub score: f32,
    /// Its place in this feed, from 0.
    pub position: u32,
    /// The recall channels that named it.
    #[schema(value_type = Vec<String>)]
    pub channels: Vec<Name>,
    /// Why it is here, for people.
    #[schema(value_type = String)]
    pub reason: Name,
    /// Whether it fills an exploration slot.
    pub explore: bool,
    /// With which probability it was chosen for its exploration slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f32>,
    /// The item itself, without its embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ItemDto>)]
    pub item: Option<Arc<ItemDto>>,
    /// Where its media for the viewer's region lie, when the item says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_url: Option<String>,
    /// How its score came to be (with `explain=true`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ItemExplainDto>)]
    pub explain: Option<Box<ItemExplainDto>>,
}

/// How an item's score came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemExplainDto {
    /// Predicted objectives, 0 to 1: `like`, `complete`, `share`, `skip`, `watch`.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub objectives: BTreeMap<Name, f32>,
    /// The weight of each objective in the fused score.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub weights: BTreeMap<Name, f32>,
    /// The values of the features, by group and name.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, f32>>)]
    pub features: BTreeMap<Name, BTreeMap<Name, f32>>,
    /// Which channels named it, with the channel's own score.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub channel_scores: BTreeMap<Name, f32>,
    /// The score of the cheap pre-ranking.
    pub pre_rank: f32,
    /// What the collaborative channels say together, `ln(1 + blend)`.
    #[serde(default)]
    pub collaborative: f32,
    /// The fused score before re-ranking.
    pub fused: f32,
    /// What re-ranking did to it, in order.
    pub moves: Vec<MoveDto>,
    /// What the online learner did to each objective that it corrects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, CorrectionDto>)]
    pub learner: BTreeMap<Name, CorrectionDto>,
}

/// What the online learner did to one objective of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CorrectionDto {
    /// `calibrated`, or `corrected` by features and crosses too.
    #[schema(value_type = String)]
    pub scored_by: Name,
    /// What the model predicted.
    pub model: f32,
    /// What is served instead.
    pub served: f32,
    /// What was added to the log-odds.
    pub correction: f32,
    /// The fusion weight was multiplied by this, so that the objective counts as much as before.
    pub weight_factor: f32,
    /// The largest parts of the correction.
    pub terms: Vec<CorrectionTermDto>,
}

/// A part of a correction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CorrectionTermDto {
    /// `calibration`, `feature:...`, `channel:...`, or a cross such as `viewer_x_author:...`.
    pub name: String,
    /// What it added to the log-odds.
    pub value: f32,
}

/// One thing that re-ranking did to an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MoveDto {
    /// Which rule: `freshness`, `author_diversity`, `category_diversity`, `similarity`, `exploration`,
    /// `backfill`, `channel_share`, `boost:<name>`, ...
    #[schema(value_type = String)]
    pub rule: Name,
    /// What it added to or took from the score.
    pub delta: f32,
}

/// What became of one channel's candidates (with `explain=true`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChannelExplainDto {
    /// How many it named.
    pub recalled: u32,
    /// How many each filter took.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub filtered: BTreeMap<Name, u32>,
    /// How many were left for ranking.
    pub kept: u32,
    /// How many stand on the slate.
    pub on_slate: u32,
    /// How long it took, in microseconds.
    pub took_us: u32,
    /// Why it gave less than it should: `off`, `resting`, `cut_off`, `late`, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trouble: Option<Name>,
    /// Its circuit breaker: `closed`, `half_open` or `open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub breaker: Option<Name>,
}

/// In which situation a feed was asked for: what rules and rankers may look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedContextDto {
    /// Where the viewer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// By which kind of network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// The reply to a one-shot feed request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedDto {
    /// Names this feed in later events.
    pub request_id: String,
    /// Whose feed.
    pub user_id: String,
    /// The items, best first.
    pub items: Vec<FeedItemDto>,
    /// What the feed answers: `request` for REST.
    #[schema(value_type = String)]
    pub cause: Name,
    /// The experiment variant it was made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Why it is less than it could be: `exhausted`, `linear_ranker`, `channels`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub degraded: Option<Name>,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub generated_at: i64,
    /// In how many microseconds.
    pub took_us: u64,
    /// In which situation it was asked for (with `explain=true`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<FeedContextDto>,
    /// Per channel, what became of its candidates (with `explain=true`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, ChannelExplainDto>>)]
    pub channels: Option<BTreeMap<Name, ChannelExplainDto>>,
}

/// How a pushed feed joins what the client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedMode {
    /// Behind everything that the client holds.
    Append,
    /// In the place of everything that the viewer has not seen yet.
    ReplaceTail,
}

/// What a pushed feed answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CauseDto {
    /// `hello`, `request`, `model` or an event's type.
    #[schema(value_type = String)]
    pub kind: Name,
    /// The item of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// The event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

/// A feed as a WebSocket carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedPushDto {
    /// Its number within the session; grows by at least one with every feed.
    pub seq: u64,
    /// The id of the message that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<super::MessageId>,
    /// Names this feed in later events.
    pub request_id: String,
    /// How it joins what the client holds.
    pub mode: FeedMode,
    /// What it answers.
    pub cause: CauseDto,
    /// The items, best first.
    pub items: Vec<FeedItemDto>,
    /// The experiment variant it was made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Why it is less than it could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub degraded: Option<Name>,
    /// In how many microseconds it was made.
    pub took_us: u64,
}

/// What `POST /v1/rank` asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"user_id": "ann", "item_ids": ["v1", "v2"], "n": 10}))]
pub struct RankRequest {
    /// For whom.
    pub user_id: String,
    /// The items to score (at most 1 000).
    pub item_ids: Vec<String>,
    /// How many of them to return; all when left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::whole"
    )]
    pub n: Option<i64>,
    /// Ranking context: `region`, `device`, ...
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::values"
    )]
    pub context: Option<BTreeMap<String, ContextValue>>,
}

/// An item scored by `POST /v1/rank`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RankedItemDto {
    /// Which.
    pub item_id: String,
    /// The fused score.
    pub score: f32,
    /// Predicted objectives, 0 to 1.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub objectives: BTreeMap<Name, f32>,
}

/// The reply of `POST /v1/rank`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RankReply {
    /// The known items, best first.
    pub items: Vec<RankedItemDto>,
    /// The given ids that the catalogue does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// An item with a score: similar, popular and latest lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScoredItemDto {
    /// Which.
    pub item_id: String,
    /// Its score in this list.
    pub score: f32,
    /// True when its rate has just risen far above its own baseline (in popular lists).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub viral: bool,
    /// The item itself, without its embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ItemDto>)]
    pub item: Option<Arc<ItemDto>>,
}

/// A list of scored items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScoredItemsReply {
    /// The items, best first.
    pub items: Vec<ScoredItemDto>,
}
