//! A user on the wire, and the learned profile that a `GET` adds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FieldError, UserFeaturesDto, check_attributes, check_id, check_names, check_optional_id, check_time};
use crate::event::ContextValue;
use crate::ids::{AuthorId, UserId};
use crate::session::HOURS;
use crate::user::{USER_BLOCKS_MAX, USER_FOLLOWS_MAX, USER_FRIENDS_MAX, USER_TAGS_MAX, User};

/// The largest weight of a long-term tag.
const LONG_TERM_WEIGHT_MAX: f32 = 10.0;

/// What the outside says about a viewer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"id": "ann", "tags": ["bread"], "region": "de", "follows": ["a2"]}))]
pub struct UserDto {
    /// Its id; may be left out where the path names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Tags given at registration.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::texts"
    )]
    pub tags: Option<Vec<String>>,
    /// Where the viewer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::millis"
    )]
    pub registered_at: Option<i64>,
    /// The authors that the viewer follows, all of them; when it is left out, those that are known stay.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::texts"
    )]
    pub follows: Option<Vec<String>>,
    /// The authors of whom the viewer wants to see nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<String>>,
    /// The users whose likes the viewer may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friends: Option<Vec<String>>,
    /// What the viewer has cared for in the long run, by tag or category, -10 to 10: a prior of the long-term interest.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::weights"
    )]
    pub long_term_tags: Option<BTreeMap<String, f32>>,
    /// The hours of the day (UTC, 0 to 23) at which the viewer is mostly there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::small_numbers"
    )]
    pub active_hours: Option<Vec<u8>>,
    /// Anything else, kept with the user (such as `total_watch_ms`, `like_rate`, `register_days`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::values"
    )]
    pub attributes: Option<BTreeMap<String, ContextValue>>,
}

impl UserDto {
    /// The user, checked.
    ///
    /// # Errors
    /// Names the first field that breaks a rule.
    pub fn into_user(self) -> Result<User, FieldError> {
        check_id("id", &self.id)?;
        let id = UserId::new(&self.id).map_err(|error| FieldError::new("id", "id", error.to_string()))?;
        let tags = self.tags.unwrap_or_default();
        check_names("tags", &tags, USER_TAGS_MAX)?;
        check_optional_id("region", self.region.as_deref())?;
        check_optional_id("device", self.device.as_deref())?;
        check_names("follows", self.follows.as_deref().unwrap_or_default(), USER_FOLLOWS_MAX)?;
        let authors = |names: Vec<String>| names.iter().filter_map(|author| AuthorId::new(author).ok()).collect();
        let blocks = self.blocks.unwrap_or_default();
        check_names("blocks", &blocks, USER_BLOCKS_MAX)?;
        let friends = self.friends.unwrap_or_default();
        check_names("friends", &friends, USER_FRIENDS_MAX)?;
        let long_term_tags = self.long_term_tags.unwrap_or_default();
        check_long_term_tags(&long_term_tags)?;
        let mut active_hours = self.active_hours.unwrap_or_default();
        if active_hours.iter().any(|hour| usize::from(*hour) >= HOURS) {
            return Err(FieldError::new("active_hours", "out_of_range", "hours are 0 to 23"));
        }
        active_hours.sort_unstable();
        active_hours.dedup();
        let attributes = self.attributes.unwrap_or_default();
        check_attributes("attributes", &attributes)?;
        Ok(User {
            id,
            tags,
            region: self.region,
            device: self.device,
            registered_at: self
                .registered_at
                .map(|at| check_time("registered_at", at))
                .transpose()?,
            follows: self.follows.map(authors),
            blocks: blocks.iter().filter_map(|author| AuthorId::new(author).ok()).collect(),
            friends: friends.iter().filter_map(|user| UserId::new(user).ok()).collect(),
            long_term_tags,
            active_hours,
            attributes,
        })
    }
}

impl From<&User> for UserDto {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.as_str().to_owned(),
            tags: (!user.tags.is_empty()).then(|| user.tags.clone()),
            region: user.region.clone(),
            device: user.device.clone(),
            registered_at: user.registered_at.map(|at| at.0),
            follows: user
                .follows
                .as_ref()
                .map(|authors| authors.iter().map(|author| author.as_str().to_owned()).collect()),
            blocks: (!user.blocks.is_empty())
                .then(|| user.blocks.iter().map(|author| author.as_str().to_owned()).collect()),
            friends: (!user.friends.is_empty())
                .then(|| user.friends.iter().map(|friend| friend.as_str().to_owned()).collect()),
            long_term_tags: (!user.long_term_tags.is_empty()).then(|| user.long_term_tags.clone()),
            active_hours: (!user.active_hours.is_empty()).then(|| user.active_hours.clone()),
            attributes: (!user.attributes.is_empty()).then(|| user.attributes.clone()),
        }
    }
}

fn check_long_term_tags(tags: &BTreeMap<String, f32>) -> Result<(), FieldError> {
    let names: Vec<String> = tags.keys().cloned().collect();
    check_names("long_term_tags", &names, USER_TAGS_MAX)?;
    let is_weight = |weight: &f32| weight.is_finite() && weight.abs() <= LONG_TERM_WEIGHT_MAX;
    if tags.values().all(is_weight) {
        return Ok(());
    }
    let detail = format!("a weight must be between -{LONG_TERM_WEIGHT_MAX} and {LONG_TERM_WEIGHT_MAX}");
    Err(FieldError::new("long_term_tags", "out_of_range", detail))
}

/// A tag and how much the viewer cares for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TagWeightDto {
    /// The tag; a category reads `category:<name>`, an author `author:<id>`.
    pub tag: String,
    /// The weight, -1 to 1; negative means: less of this.
    pub weight: f32,
}

/// What a viewer is interested in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InterestsDto {
    /// Now, the strongest first.
    pub short: Vec<TagWeightDto>,
    /// In the long run (half-life 30 days), the strongest first.
    pub long: Vec<TagWeightDto>,
}

/// A label earned by behaviour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LabelDto {
    /// The label.
    pub label: String,
    /// The pattern of the params that gave it.
    pub pattern: String,
    /// When it was earned, in milliseconds since 1970-01-01 UTC.
    pub since: i64,
    /// When it ends.
    pub expires_at: i64,
}

/// A user with everything that was learned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserProfileDto {
    /// What the outside said.
    #[serde(flatten)]
    pub user: UserDto,
    /// What was learned.
    pub interests: InterestsDto,
    /// Labels earned by behaviour that live now.
    pub labels: Vec<String>,
    /// The same with their times, in the same order.
    #[serde(default)]
    pub label_times: Vec<LabelDto>,
    /// The items acted on last, the newest first.
    pub recent: Vec<String>,
    /// How many events of each type were accepted.
    pub counts: BTreeMap<String, u64>,
    /// What models and rules can read of the viewer now; with `features=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<UserFeaturesDto>,
}
