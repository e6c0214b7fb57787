//! What a caller, or a scene, wants of items: by category, tag, author, attributes, and whether the author is followed.
//!
//! Owns the test. Kinds are joined by "and", the names of one kind by "or". Must not know who asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Entry, NO_WORD, Vocabularies, Vocabulary};
use crate::event::ContextValue;
use crate::ids::Word;

/// What is wanted of items, by names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemFilter {
    /// In one of these categories.
    #[serde(rename = "category", skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub categories: Vec<String>,
    /// With one of these tags.
    #[serde(rename = "tag", skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub tags: Vec<String>,
    /// By one of these authors.
    #[serde(rename = "author", skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub authors: Vec<String>,
    /// By an author whom the viewer follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub following: bool,
    /// With these attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, ContextValue>,
}

/// One name, or a list of them.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a name or a list of names")]
    enum Names {
        One(String),
        Many(Vec<String>),
    }

    pub(super) fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        names.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match Names::deserialize(deserializer)? {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        })
    }
}

impl ItemFilter {
    /// One category only, or everything.
    #[must_use]
    pub fn of_category(category: Option<&str>) -> Self {
        Self {
            categories: category.map(str::to_owned).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A filter with its names as numbers.
#[derive(Debug, Clone)]
pub struct FilterTest {
    parts: SmallVec<[FilterPart; 2]>,
}

#[derive(Debug, Clone)]
struct FilterPart {
    /// `None`: any. A name that no item has is no number, so that a list of such names lets nothing through.
    categories: Option<Vec<Word>>,
    tags: Option<Vec<Word>>,
    authors: Option<Vec<Word>>,
    following: bool,
    attributes: Vec<(String, ContextValue)>,
}

impl FilterTest {
    /// The test of several filters, all of which an item has to pass; `None` when everything does.
    #[must_use]
    pub fn of(filters: &[&ItemFilter], words: &Vocabularies) -> Option<Self> {
        let parts = filters.iter().filter(|filter| !filter.is_empty());
        let parts: SmallVec<[FilterPart; 2]> = parts.map(|filter| FilterPart::of(filter, words)).collect();
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// Whether an item passes for a viewer who follows these authors (sorted).
    #[must_use]
    pub fn admits(&self, entry: &Entry, follows: &[Word]) -> bool {
        self.parts.iter().all(|part| part.admits(entry, follows))
    }
}

impl FilterPart {
    fn of(filter: &ItemFilter, words: &Vocabularies) -> Self {
        let numbers = |names: &[String], vocabulary: &Vocabulary| {
            let known = || names.iter().filter_map(|name| vocabulary.get(name)).collect();
            (!names.is_empty()).then(known)
        };
        Self {
            categories: numbers(&filter.categories, &words.categories),
            tags: numbers(&filter.tags, &words.tags),
            authors: numbers(&filter.authors, &words.authors),
            following: filter.following,
            attributes: filter
                .attributes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    fn admits(&self, entry: &Entry, follows: &[Word]) -> bool {
        let one_of = |wanted: &Option<Vec<Word>>, has: &[Word]| {
            wanted
                .as_ref()
                .is_none_or(|wanted| has.iter().any(|word| wanted.contains(word)))
        };
        let is_followed = || entry.author != NO_WORD && follows.binary_search(&entry.author).is_ok();
        one_of(&self.categories, &entry.categories)
            && one_of(&self.tags, &entry.tags)
            && one_of(&self.authors, entry.authors())
            && (!self.following || is_followed())
            && self
                .attributes
                .iter()
                .all(|(key, value)| entry.item.attributes.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::time::TimestampMs;
    use crate::wire::ItemDto;

    fn passes(filter: &ItemFilter, second: &ItemFilter, follows: &[&str]) -> bool {
        let words = Vocabularies::default();
        let dto: ItemDto = serde_json::from_value(serde_json::json!({
            "id": "v1", "categories": ["pets", "fun"], "tags": ["cat"], "author_id": "ann", "attributes": {"long": true}
        }))
        .expect("an item");
        let item = dto.into_item(TimestampMs(0)).expect("valid");
        let entry = Entry::new(Arc::new(item), &words).expect("an entry");
        let follows: Vec<Word> = follows.iter().filter_map(|author| words.authors.get(author)).collect();
        let test = FilterTest::of(&[filter, second], &words);
        test.is_none_or(|test| test.admits(&entry, &follows))
    }

    #[test]
    fn kinds_are_joined_by_and_names_by_or() {
        let none = ItemFilter::default();
        for (filter, expected) in [
            (r#"{}"#, true),
            (r#"{"category": "fun"}"#, true),
            (r#"{"category": ["cars", "pets"]}"#, true),
            (r#"{"category": "cars"}"#, false),
            (r#"{"category": "pets", "tag": "dog"}"#, false),
            (r#"{"tag": "cat", "author": "ann"}"#, true),
            (r#"{"following": true}"#, true),
            (r#"{"attributes": {"long": true}}"#, true),
            (r#"{"attributes": {"long": false}}"#, false),
        ] {
            let filter: ItemFilter = serde_json::from_str(filter).expect("a filter");
            assert_eq!(passes(&filter, &none, &["ann"]), expected, "{filter:?}");
        }
        let following: ItemFilter = serde_json::from_str(r#"{"following": true}"#).expect("a filter");
        assert!(!passes(&following, &none, &[]));
        let pets: ItemFilter = serde_json::from_str(r#"{"category": "pets"}"#).expect("a filter");
        let cars: ItemFilter = serde_json::from_str(r#"{"category": "cars"}"#).expect("a filter");
        assert!(passes(&pets, &pets, &[]) && !passes(&pets, &cars, &[]));
    }
}
