//! Lists of users, and what a user did.

use serde::{Deserialize, Serialize};

use super::{Name, UserDto};

/// A page of users.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsersPageDto {
    /// What the outside said about them, in the order of their ids.
    pub users: Vec<UserDto>,
    /// Asks for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One thing that a user did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"item_id": "v7", "type": "like", "at": 1_760_000_000_000_i64}))]
pub struct HistoryEventDto {
    /// With which item.
    pub item_id: String,
    /// What.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Name,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
}

/// A page of what a user did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryPageDto {
    /// The newest first.
    pub events: Vec<HistoryEventDto>,
    /// Asks for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
