//! Lists of the catalogue, and what is counted of one item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ItemDto;

/// A page of items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemsPageDto {
    /// The items, without their embeddings.
    pub items: Vec<ItemDto>,
    /// Asks for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A name and how many live items have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "cooking", "items": 120}))]
pub struct NameCountDto {
    /// The name.
    pub name: String,
    /// How many items that may be shown now have it.
    pub items: usize,
}

/// All categories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CategoriesReply {
    /// The most frequent first.
    pub categories: Vec<NameCountDto>,
}

/// All tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TagsReply {
    /// The most frequent first.
    pub tags: Vec<NameCountDto>,
}

/// What happened to an item in some stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemCountsDto {
    /// How often it was shown.
    pub impressions: u64,
    /// How often it was watched for a while.
    pub views: u64,
    /// Likes, less those taken back.
    pub likes: u64,
    /// Skips.
    pub skips: u64,
    /// How often it was watched to the end.
    pub completions: u64,
    /// Shares.
    pub shares: u64,
    /// Comments.
    pub comments: u64,
    /// How often it was kept, or its author followed from it.
    pub favorites: u64,
    /// Dislikes and reports.
    pub dislikes: u64,
    /// Time watched, in milliseconds.
    pub watch_time_ms: u64,
    /// Views per impression, 0 to 1.
    pub ctr: f64,
    /// Likes per impression, 0 to 1.
    pub like_rate: f64,
    /// Skips per impression, 0 to 1.
    pub skip_rate: f64,
    /// Completions per impression, 0 to 1.
    pub completion_rate: f64,
    /// Shares per impression, 0 to 1.
    pub share_rate: f64,
}

/// The reply of `GET /v1/items/{id}/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemStatsReply {
    /// Which item.
    pub item_id: String,
    /// The length of the window that was asked for, in milliseconds.
    pub window_ms: i64,
    /// What happened in it.
    #[serde(flatten)]
    pub counts: ItemCountsDto,
    /// The same for the windows `5m`, `1h`, `24h`, `7d`, and `all` for its whole life.
    pub windows: BTreeMap<String, ItemCountsDto>,
}
