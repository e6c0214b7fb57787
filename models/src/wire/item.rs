//! An item on the wire, and the reply to a list of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    FieldError, Name, Rejection, check_attributes, check_count, check_id, check_names, check_text, check_time,
};
use crate::event::ContextValue;
use crate::ids::{AuthorId, ItemId};
use crate::item::{
    EMBEDDING_DIM_MAX, ITEM_CATEGORIES_MAX, ITEM_DEVICES_MAX, ITEM_MEDIA_MAX, ITEM_REGIONS_MAX, ITEM_TAGS_MAX, Item,
};
use crate::time::TimestampMs;

/// Something that can be shown, as a client sends it and as feeds carry it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"id": "v1", "title": "Sourdough, slowly", "author_id": "a2", "categories": ["cooking"],
    "tags": ["bread"], "duration_ms": 15_000}))]
pub struct ItemDto {
    /// Its id; may be left out where the path names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_id: Option<String>,
    /// Its categories, the leading one first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::texts"
    )]
    pub categories: Option<Vec<String>>,
    /// Its tags.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::texts"
    )]
    pub tags: Option<Vec<String>>,
    /// Its playing time in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::millis"
    )]
    pub duration_ms: Option<i64>,
    /// When it was made, in milliseconds since 1970-01-01 UTC; what is known, else the time of the upsert, when left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::millis"
    )]
    pub created_at: Option<i64>,
    /// The regions it may be shown in; everywhere when empty.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::texts"
    )]
    pub regions: Option<Vec<String>>,
    /// It is not shown before, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_from: Option<i64>,
    /// It is not shown from then on, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The kinds of devices it may be shown on; on all when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<String>>,
    /// Where its media lie, by region; `default` for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<BTreeMap<String, String>>,
    /// The owner's embedding; built from the content when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    /// Tags that were inferred from its title and description, because its owner gave it few; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred_tags: Option<Vec<String>>,
    /// Whether it must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// Anything else, kept with the item.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::values"
    )]
    pub attributes: Option<BTreeMap<String, ContextValue>>,
}

impl ItemDto {
    /// The item, checked. The embedding's dimension is the catalogue's to check.
    ///
    /// # Errors
    /// Names the first field that breaks a rule.
    pub fn into_item(self, now: TimestampMs) -> Result<Item, FieldError> {
        check_id("id", &self.id)?;
        let id = ItemId::new(&self.id).map_err(|error| FieldError::new("id", "id", error.to_string()))?;
        if let Some(title) = &self.title {
            check_text("title", title)?;
        }
        if let Some(author) = &self.author_id {
            check_id("author_id", author)?;
        }
        let categories = self.categories.unwrap_or_default();
        check_names("categories", &categories, ITEM_CATEGORIES_MAX)?;
        let tags = self.tags.unwrap_or_default();
        check_names("tags", &tags, ITEM_TAGS_MAX)?;
        let regions = self.regions.unwrap_or_default();
        check_names("regions", &regions, ITEM_REGIONS_MAX)?;
        let devices = self.devices.unwrap_or_default();
        check_names("devices", &devices, ITEM_DEVICES_MAX)?;
        let media = self.media.unwrap_or_default();
        check_media(&media)?;
        let moment = |field: &str, at: Option<i64>| at.map(|at| check_time(field, at)).transpose();
        let available_from = moment("available_from", self.available_from)?;
        let expires_at = moment("expires_at", self.expires_at)?;
        if let (Some(from), Some(end)) = (available_from, expires_at)
            && end <= from
        {
            let detail = "must be later than available_from";
            return Err(FieldError::new("expires_at", "empty_window", detail));
        }
        let attributes = self.attributes.unwrap_or_default();
        check_attributes("attributes", &attributes)?;
        if let Some(embedding) = &self.embedding {
            check_embedding(embedding)?;
        }
        Ok(Item {
            id,
            title: self.title,
            author: self.author_id.as_deref().and_then(|author| AuthorId::new(author).ok()),
            categories,
            tags,
            duration_ms: self
                .duration_ms
                .map(|duration| check_count("duration_ms", duration, u32::MAX))
                .transpose()?,
            created_at: self
                .created_at
                .map(|at| check_time("created_at", at))
                .transpose()?
                .unwrap_or(now),
            regions,
            available_from,
            expires_at,
            devices,
            media,
            embedding: self.embedding,
            hidden: self.hidden.unwrap_or(false),
            attributes,
        })
    }
}

fn check_media(media: &BTreeMap<String, String>) -> Result<(), FieldError> {
    let regions: Vec<String> = media.keys().cloned().collect();
    check_names("media", &regions, ITEM_MEDIA_MAX)?;
    for (region, location) in media {
        let field = format!("media.{region}");
        check_text(&field, location)?;
        if location.is_empty() || location.chars().any(char::is_control) {
            return Err(FieldError::new(field, "invalid", "must be a location"));
        }
    }
    Ok(())
}

fn check_embedding(embedding: &[f32]) -> Result<(), FieldError> {
    if embedding.is_empty() || embedding.len() > EMBEDDING_DIM_MAX {
        return Err(FieldError::new(
            "embedding",
            "embedding_dimension",
            format!("must have 1 to {EMBEDDING_DIM_MAX} numbers, has {}", embedding.len()),
        ));
    }
    if let Some(place) = embedding.iter().position(|value| !value.is_finite()) {
        return Err(FieldError::new(
            format!("embedding[{place}]"),
            "not_finite",
            "must be a finite number",
        ));
    }
    if embedding.iter().all(|value| *value == 0.0) {
        return Err(FieldError::new("embedding", "embedding_zero", "must not be all zeros"));
    }
    Ok(())
}

impl From<&Item> for ItemDto {
    fn from(item: &Item) -> Self {
        Self {
            embedding: item.embedding.clone(),
            ..Self::card(item)
        }
    }
}

impl ItemDto {
    /// The item as a feed carries it: without its embedding.
    #[must_use]
    pub fn card(item: &Item) -> Self {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        Self {
            id: item.id.as_str().to_owned(),
            title: item.title.clone(),
            author_id: item.author.as_ref().map(|author| author.as_str().to_owned()),
            categories: some(&item.categories),
            tags: some(&item.tags),
            duration_ms: item.duration_ms.map(i64::from),
            created_at: Some(item.created_at.0),
            regions: some(&item.regions),
            available_from: item.available_from.map(|at| at.0),
            expires_at: item.expires_at.map(|at| at.0),
            devices: some(&item.devices),
            media: (!item.media.is_empty()).then(|| item.media.clone()),
            embedding: None,
            inferred_tags: None,
            hidden: item.hidden.then_some(true),
            attributes: (!item.attributes.is_empty()).then(|| item.attributes.clone()),
        }
    }
}

/// How far a new item has come with the impressions that it is guaranteed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExplorationDto {
    /// So many are guaranteed.
    pub target: u32,
    /// So many it has had.
    pub shown: u32,
    /// Until when, in milliseconds since 1970-01-01 UTC.
    pub deadline: i64,
    /// `pacing`, `done`, `stopped` (clearly more viewers skip it than is usual) or `late` (the deadline has passed).
    #[schema(value_type = String)]
    pub state: Name,
}

/// An item as `GET` answers it: with what the server knows about its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemDetailDto {
    /// The item as it was given.
    #[serde(flatten)]
    pub item: ItemDto,
    /// While it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<ExplorationDto>,
}

/// The reply to a list of items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemsReply {
    /// How many were taken.
    pub upserted: usize,
    /// Those that were not taken, and why.
    pub rejected: Vec<Rejection>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(dto: ItemDto) -> String {
        dto.into_item(TimestampMs(0))
            .map(|_| "ok".to_owned())
            .unwrap_or_else(|error| error.code)
    }

    #[test]
    fn each_broken_rule_has_its_code() {
        let item = || ItemDto {
            id: "v1".to_owned(),
            ..ItemDto::default()
        };
        assert_eq!(code(item()), "ok");
        assert_eq!(
            code(ItemDto {
                embedding: Some(vec![f32::INFINITY]),
                ..item()
            }),
            "not_finite"
        );
        assert_eq!(
            code(ItemDto {
                embedding: Some(vec![0.0; 4]),
                ..item()
            }),
            "embedding_zero"
        );
        assert_eq!(
            code(ItemDto {
                embedding: Some(vec![]),
                ..item()
            }),
            "embedding_dimension"
        );
        assert_eq!(
            code(ItemDto {
                categories: Some(vec!["c".to_owned(); 17]),
                ..item()
            }),
            "too_many"
        );
        assert_eq!(
            code(ItemDto {
                tags: Some(vec![String::new()]),
                ..item()
            }),
            "id_empty"
        );
        assert_eq!(
            code(ItemDto {
                duration_ms: Some(-1),
                ..item()
            }),
            "out_of_range"
        );
    }

    #[test]
    fn an_item_survives_the_way_through_the_wire() {
        let dto = ItemDto {
            id: "v1".to_owned(),
            title: Some("T".to_owned()),
            categories: Some(vec!["pets".to_owned()]),
            embedding: Some(vec![0.5, -0.5]),
            created_at: Some(5),
            ..ItemDto::default()
        };
        let item = dto.clone().into_item(TimestampMs(9)).expect("valid");
        assert_eq!(ItemDto::from(&item), dto);
    }
}
