//! Users, items and feedback as gorse writes them, and their way into and out of the catalogue.
//!
//! Owns the shapes, the way Go reads them (keys in any case, null for absent) and where the parts live that Swipeline has no
//! field for: labels and comments are attributes `gorse.*`, an item's comment is its title, and the words in labels are
//! tags. Must not know HTTP.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use swipeline_models::event::{ContextValue, Event};
use swipeline_models::item::{ITEM_TAGS_MAX, Item};
use swipeline_models::time::TimestampMs;
use swipeline_models::user::User;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::rules::FeedbackRules;
use crate::transfer::parse_time;

/// Go's zero time.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
/// The attribute with the labels as JSON.
const LABELS_KEY: &str = "gorse.labels";
/// The attribute with a user's comment.
const COMMENT_KEY: &str = "gorse.comment";
/// The attribute with a time that is before 1970, or absent.
const TIME_KEY: &str = "gorse.timestamp";
/// What a feedback's type is called in its event's context.
const TYPE_KEY: &str = "gorse.type";
/// The same for its value.
const VALUE_KEY: &str = "gorse.value";
/// The longest label that is a tag.
const TAG_BYTES_MAX: usize = 100;

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GorseUser {
    /// Its id.
    pub(crate) user_id: String,
    /// Any of the forms that [`check_labels`] allows.
    pub(crate) labels: Value,
    /// Anything.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) comment: String,
}

/// An item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GorseItem {
    /// Its id.
    pub(crate) item_id: String,
    /// Whether it must not be recommended.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) is_hidden: bool,
    /// Its categories.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) categories: Vec<String>,
    /// When it was made.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) timestamp: String,
    /// Any of the forms that [`check_labels`] allows.
    pub(crate) labels: Value,
    /// Anything; in practice its title.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) comment: String,
}

/// What a user did with an item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GorseFeedback {
    /// What.
    pub(crate) feedback_type: String,
    /// Who.
    pub(crate) user_id: String,
    /// With what.
    pub(crate) item_id: String,
    /// How much.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) value: f64,
    /// When first.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) timestamp: String,
    /// When last.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) updated: String,
    /// Anything.
    pub(crate) labels: Value,
    /// Anything.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) comment: String,
}

/// What changes of a user; null and absent leave it as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UserPatch {
    labels: Value,
    comment: Option<String>,
}

/// What changes of an item; null and absent leave it as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ItemPatch {
    is_hidden: Option<bool>,
    categories: Option<Vec<String>>,
    timestamp: Option<String>,
    labels: Value,
    comment: Option<String>,
}

/// All keys of all shapes, to know them in any case.
const KEYS: [&str; 12] = [
    "UserId",
    "ItemId",
    "FeedbackType",
    "Labels",
    "Comment",
    "IsHidden",
    "Categories",
    "Timestamp",
    "Value",
    "Updated",
    "Cursor",
    "Score",
];

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Reads a shape as Go does: keys in any case.
///
/// # Errors
/// Says what does not fit.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let Value::Object(object) = value else {
        return Err(format!("expected an object, found {value}"));
    };
    let mut known = Map::new();
    for (key, value) in object {
        if let Some(name) = KEYS.iter().find(|name| name.eq_ignore_ascii_case(&key)) {
            known.insert((*name).to_owned(), value);
        }
    }
    serde_json::from_value(Value::Object(known)).map_err(|error| error.to_string())
}

/// Labels are null, a text, a number, a list of texts, a list of numbers, or an object of those.
///
/// # Errors
/// They are something else.
pub(crate) fn check_labels(labels: &Value) -> Result<(), String> {
    match labels {
        Value::Null | Value::String(_) | Value::Number(_) => Ok(()),
        Value::Array(list) if list.iter().all(Value::is_string) || list.iter().all(Value::is_number) => Ok(()),
        Value::Object(object) => object.values().try_for_each(check_labels),
        Value::Bool(_) | Value::Array(_) => Err(format!("unsupported labels: {labels}")),
    }
}

/// A time in any form as milliseconds; `None` for none.
///
/// # Errors
/// It is no time.
pub(crate) fn time_of(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() || text == ZERO_TIME {
        return Ok(None);
    }
    parse_time(text).map(Some)
}

/// A time as gorse writes it.
pub(crate) fn time_text(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ZERO_TIME.to_owned(), |at| at.to_string())
}

impl GorseUser {
    /// The user for the engine.
    ///
    /// # Errors
    /// Says which part breaks a rule.
    pub(crate) fn into_user(self) -> Result<User, String> {
        check_labels(&self.labels)?;
        let mut attributes = BTreeMap::new();
        keep_labels(&mut attributes, &self.labels);
        if !self.comment.is_empty() {
            attributes.insert(COMMENT_KEY.to_owned(), ContextValue::Text(self.comment));
        }
        let dto = UserDto {
            id: self.user_id,
            tags: Some(words_of(&self.labels)),
            attributes: Some(attributes),
            ..UserDto::default()
        };
        dto.into_user()
            .map_err(|error| format!("{}: {}", error.field, error.detail))
    }

    /// What gorse's clients get to see of a user.
    pub(crate) fn of(user: &UserDto) -> Self {
        let attributes = user.attributes.as_ref();
        Self {
            user_id: user.id.clone(),
            labels: labels_of(attributes),
            comment: text_of(attributes, COMMENT_KEY).unwrap_or_default(),
        }
    }

    /// With what the patch changes.
    pub(crate) fn patched(mut self, patch: UserPatch) -> Self {
        if !patch.labels.is_null() {
            self.labels = patch.labels;
        }
        self.comment = patch.comment.unwrap_or(self.comment);
        self
    }
}

impl GorseItem {
    /// The item for the engine.
    ///
    /// # Errors
    /// Says which part breaks a rule.
    pub(crate) fn into_item(self) -> Result<Item, String> {
        check_labels(&self.labels)?;
        let mut attributes = BTreeMap::new();
        keep_labels(&mut attributes, &self.labels);
        let at_ms = time_of(&self.timestamp)?;
        if at_ms.is_none_or(|ms| ms < 0) {
            // What there is no number for is kept as it was said, for whoever reads it back.
            let text = at_ms.map_or_else(|| ZERO_TIME.to_owned(), time_text);
            attributes.insert(TIME_KEY.to_owned(), ContextValue::Text(text));
        }
        let mut tags = self.categories.clone();
        let words = words_of(&self.labels).into_iter();
        tags.extend(words.filter(|word| !self.categories.contains(word)));
        tags.truncate(ITEM_TAGS_MAX);
        let dto = ItemDto {
            id: self.item_id,
            title: (!self.comment.is_empty()).then_some(self.comment),
            categories: Some(self.categories),
            tags: Some(tags),
            // Of no known time: old rather than new, or it would win by freshness.
            created_at: Some(at_ms.unwrap_or(0).max(0)),
            hidden: Some(self.is_hidden),
            attributes: Some(attributes),
            ..ItemDto::default()
        };
        dto.into_item(TimestampMs(0))
            .map_err(|error| format!("{}: {}", error.field, error.detail))
    }

    /// What gorse's clients get to see of an item.
    pub(crate) fn of(item: &Item) -> Self {
        let attributes = Some(&item.attributes);
        Self {
            item_id: item.id.as_str().to_owned(),
            is_hidden: item.hidden,
            categories: item.categories.iter().map(ToString::to_string).collect(),
            timestamp: text_of(attributes, TIME_KEY).unwrap_or_else(|| time_text(item.created_at.0)),
            labels: labels_of(attributes),
            comment: item.title.clone().unwrap_or_default(),
        }
    }

    /// With what the patch changes.
    pub(crate) fn patched(mut self, patch: ItemPatch) -> Self {
        self.is_hidden = patch.is_hidden.unwrap_or(self.is_hidden);
        self.categories = patch.categories.unwrap_or(self.categories);
        self.timestamp = patch.timestamp.unwrap_or(self.timestamp);
        if !patch.labels.is_null() {
            self.labels = patch.labels;
        }
        self.comment = patch.comment.unwrap_or(self.comment);
        self
    }
}

impl GorseFeedback {
    /// The event for the engine; `now` stands for a time that is not given. Its id names type, user, item and time, so that
    /// the same feedback sent twice counts once.
    ///
    /// # Errors
    /// Says which part breaks a rule.
    pub(crate) fn event(&self, rules: &FeedbackRules, now: TimestampMs) -> Result<Event, String> {
        check_labels(&self.labels)?;
        let at_ms = time_of(&self.timestamp)?.unwrap_or(now.0).max(0);
        let signal = rules.signal(&self.feedback_type, self.value);
        let (kind, user, item, value) = (&self.feedback_type, &self.user_id, &self.item_id, self.value);
        let name = format!("{kind}\u{1f}{user}\u{1f}{item}\u{1f}{value}");
        let event_id = format!("gorse:{:032x}:{at_ms}", xxhash_rust::xxh3::xxh3_128(name.as_bytes()));
        let mut context = BTreeMap::from([(TYPE_KEY.to_owned(), ContextValue::Text(self.feedback_type.clone()))]);
        if self.value != 0.0 {
            context.insert(VALUE_KEY.to_owned(), ContextValue::Number(self.value));
        }
        let dto = EventDto {
            event_id: Some(event_id),
            user_id: Some(self.user_id.clone()),
            item_id: self.item_id.clone(),
            kind: signal.name().to_owned(),
            at: Some(at_ms),
            context: Some(context),
            ..EventDto::default()
        };
        dto.into_event(None, now)
            .map_err(|error| format!("{}: {}", error.field, error.detail))
    }
}

fn keep_labels(attributes: &mut BTreeMap<String, ContextValue>, labels: &Value) {
    if !labels.is_null() {
        attributes.insert(LABELS_KEY.to_owned(), ContextValue::Text(labels.to_string()));
    }
}

fn text_of(attributes: Option<&BTreeMap<String, ContextValue>>, key: &str) -> Option<String> {
    match attributes?.get(key)? {
        ContextValue::Text(text) => Some(text.clone()),
        ContextValue::Flag(_) | ContextValue::Number(_) => None,
    }
}

/// The labels, or the attributes of somebody whom gorse's clients did not make.
fn labels_of(attributes: Option<&BTreeMap<String, ContextValue>>) -> Value {
    if let Some(text) = text_of(attributes, LABELS_KEY) {
        return serde_json::from_str(&text).unwrap_or(Value::Null);
    }
    let others = attributes
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with("gorse."));
    let object: Map<String, Value> = others
        .map(|(key, value)| {
            let value = match value {
                ContextValue::Flag(flag) => Value::from(flag.to_string()),
                ContextValue::Number(number) => Value::from(*number),
                ContextValue::Text(text) => Value::from(text.as_str()),
            };
            (key.clone(), value)
        })
        .collect();
    if object.is_empty() {
        Value::Null
    } else {
        Value::Object(object)
    }
}

/// The texts in labels, each once: what a recommender can go by.
fn words_of(labels: &Value) -> Vec<String> {
    let mut words = Vec::new();
    collect_words(labels, &mut words);
    words
}

fn collect_words(labels: &Value, words: &mut Vec<String>) {
    match labels {
        Value::String(word) => {
            let is_tag = !word.trim().is_empty() && word.len() <= TAG_BYTES_MAX && !word.chars().any(char::is_control);
            if is_tag && words.len() < ITEM_TAGS_MAX && !words.contains(word) {
                words.push(word.clone());
            }
        }
        Value::Array(list) => list.iter().for_each(|label| collect_words(label, words)),
        Value::Object(object) => object.values().for_each(|label| collect_words(label, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_comes_back_as_it_was_given() {
        for given in [
            json!({"ItemId": "1", "IsHidden": false, "Categories": ["Animation", "Children's"],
                "Timestamp": "1995-01-01T00:00:00Z", "Labels": {"embedding": [0.1, 0.2], "topics": ["a", "b"]},
                "Comment": "Toy Story (1995)"}),
            json!({"ItemId": "2", "IsHidden": true, "Categories": [], "Timestamp": "1937-05-01T00:00:00Z",
                "Labels": ["a", "b"], "Comment": ""}),
            json!({"ItemId": "3", "IsHidden": false, "Categories": [], "Timestamp": "0001-01-01T00:00:00Z",
                "Labels": null, "Comment": "x"}),
        ] {
            let item: GorseItem = read(given.clone()).expect("an item");
            let kept = item.into_item().expect("good");
            assert_eq!(serde_json::to_value(GorseItem::of(&kept)).expect("JSON"), given);
        }
    }

    #[test]
    fn keys_are_read_in_any_case_and_null_is_nothing() {
        let item: GorseItem =
            read(json!({"itemid": "1", "IS_HIDDEN": 1, "Timestamp": null, "categories": null})).expect("an item");
        assert_eq!((item.item_id.as_str(), item.timestamp.as_str()), ("1", ""));
        assert!(read::<GorseItem>(json!([1])).is_err());
        assert!(read::<GorseItem>(json!({"ItemId": 7})).is_err());
    }

    #[test]
    fn a_user_comes_back_as_it_was_given_and_labels_are_tags() {
        let given =
            json!({"UserId": "u", "Labels": {"gender": "M", "age": 24, "job": ["writer"]}, "Comment": "zhenghaoz"});
        let user: GorseUser = read(given.clone()).expect("a user");
        let kept = user.into_user().expect("good");
        assert_eq!(
            kept.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["M", "writer"]
        );
        assert_eq!(
            serde_json::to_value(GorseUser::of(&UserDto::from(&kept))).expect("JSON"),
            given
        );
    }

    #[test]
    fn labels_have_few_forms() {
        for good in [json!(null), json!("a"), json!([1, 2]), json!({"a": {"b": ["c"]}})] {
            assert!(check_labels(&good).is_ok(), "{good}");
        }
        for bad in [json!(true), json!(["a", 1]), json!({"a": [{}]}), json!([["a"]])] {
            assert!(check_labels(&bad).is_err(), "{bad}");
        }
    }
}
