//! Full-text search: which items have the words that somebody types.
//!
//! Owns the inverted index over titles, texts of attributes, tags and categories, and what an item scores for a text. Must
//! not know pages or cursors.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{Entry, Postings, Vocabularies};
use crate::enrichment::{item_tokens, tokens};
use crate::ids::Row;

/// Of so many matches the newest ones are scored by where the words stand; the older ones count by their words only.
const SCORED_BY_FIELD_MAX: usize = 20_000;
/// What a word counts more in the title, and as a tag or category.
const TITLE_BONUS: f32 = 1.0;
const TAG_BONUS: f32 = 0.5;

/// The inverted index. Words are known by their hash.
#[derive(Debug, Default)]
pub(super) struct TextIndex {
    rows: Postings<u64>,
}

impl TextIndex {
    /// What lives in a row has changed.
    pub(super) fn move_row(&self, row: Row, before: Option<&Entry>, after: Option<&Entry>, words: &Vocabularies) {
        let terms_of = |entry: Option<&Entry>| entry.map(|entry| terms(entry, words)).unwrap_or_default();
        let (before, after) = (terms_of(before), terms_of(after));
        if before != after {
            self.rows.move_row(row, &before, &after);
        }
    }

    /// The rows that have all words of a text, or some of them when none has all, with the weight of what they have:
    /// rarer words weigh more (the inverse document frequency of BM25). The order is that of rows.
    fn matches(&self, text: &str, items: usize) -> Vec<(Row, f32)> {
        let wanted = tokens([text].into_iter());
        let mut lists: Vec<Vec<Row>> = wanted.iter().map(|(term, _)| self.rows.copy(*term)).collect();
        lists.sort_by_key(Vec::len);
        let weight = |list: &[Row]| {
            let (items, has) = (items as f32, list.len() as f32);
            (1.0 + (items - has + 0.5).max(0.0) / (has + 0.5)).ln()
        };
        let Some((rarest, others)) = lists.split_first() else {
            return Vec::new();
        };
        let total: f32 = lists.iter().map(|list| weight(list)).sum();
        let is_in_all = |row: &&Row| others.iter().all(|list| list.binary_search(row).is_ok());
        let all: Vec<(Row, f32)> = rarest.iter().filter(is_in_all).map(|row| (*row, total)).collect();
        if !all.is_empty() || others.is_empty() {
            return all;
        }
        let mut some: FxHashMap<Row, f32> = FxHashMap::default();
        for list in &lists {
            let weight = weight(list);
            list.iter().for_each(|row| *some.entry(*row).or_default() += weight);
        }
        let mut some: Vec<(Row, f32)> = some.into_iter().collect();
        some.sort_unstable_by_key(|(row, _)| *row);
        some
    }
}

impl super::Catalogue {
    /// The items that have the words of a text, each with its relevance; in the order of rows. Items that have all words
    /// when there are such, else those that have some.
    #[must_use]
    pub fn search(&self, text: &str) -> Vec<(Row, f32)> {
        let snapshot = self.load();
        let mut found = self.text.matches(text, snapshot.len());
        let wanted = tokens([text].into_iter());
        let first = found.len().saturating_sub(SCORED_BY_FIELD_MAX);
        for (row, score) in &mut found[first..] {
            let Some(entry) = snapshot.entry(*row) else { continue };
            let title = tokens(entry.item.title.as_deref().into_iter());
            let in_title = wanted
                .iter()
                .filter(|(term, _)| title.iter().any(|(has, _)| has == term))
                .count();
            let named = terms_of_names(entry, self.words());
            let in_names = wanted.iter().filter(|(term, _)| named.contains(term)).count();
            let bonus = TITLE_BONUS * in_title as f32 + TAG_BONUS * in_names as f32;
            *score *= 1.0 + bonus / wanted.len().max(1) as f32;
        }
        found
    }
}

/// The distinct words of an item.
fn terms(entry: &Entry, words: &Vocabularies) -> Vec<u64> {
    let mut terms: Vec<u64> = item_tokens(&entry.item).into_iter().map(|(term, _)| term).collect();
    terms.extend(terms_of_names(entry, words));
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The words of its tags and categories.
fn terms_of_names(entry: &Entry, words: &Vocabularies) -> Vec<u64> {
    let tags = entry.tags.iter().filter_map(|tag| words.tags.name(*tag));
    let categories = entry
        .categories
        .iter()
        .filter_map(|category| words.categories.name(*category));
    let mut terms = Vec::new();
    for name in tags.chain(categories) {
        terms.extend(tokens([&*name].into_iter()).into_iter().map(|(term, _)| term));
        // One character is no word, but it may be a tag.
        terms.push(xxh3_64(name.to_lowercase().as_bytes()));
    }
    terms
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Catalogue, Change};
    use crate::ids::ItemId;
    use crate::time::TimestampMs;
    use crate::wire::ItemDto;

    fn put(catalogue: &Catalogue, document: serde_json::Value) {
        let dto: ItemDto = serde_json::from_value(document).expect("an item");
        let item = Arc::new(dto.into_item(TimestampMs(1)).expect("valid"));
        let put = catalogue.apply_unrecorded(vec![Change::Upsert { item, row: None }]);
        assert!(put.iter().all(Result::is_ok));
    }

    fn found(catalogue: &Catalogue, text: &str) -> Vec<String> {
        let snapshot = catalogue.load();
        let mut found = catalogue.search(text);
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let name = |(row, _): (u32, f32)| snapshot.entry(row).expect("an entry").item.id.as_str().to_owned();
        found.into_iter().map(name).collect()
    }

    #[test]
    fn items_are_found_by_title_description_tag_and_category_and_the_title_counts_most() {
        let catalogue = Catalogue::new(None, Default::default()).expect("a catalogue");
        put(
            &catalogue,
            serde_json::json!({"id": "a", "title": "Sourdough, slowly", "categories": ["cooking"]}),
        );
        put(
            &catalogue,
            serde_json::json!({"id": "b", "title": "My day", "attributes": {"description": "Sourdough at last"}}),
        );
        put(
            &catalogue,
            serde_json::json!({"id": "c", "title": "Oven", "tags": ["sourdough", "bread"]}),
        );
        put(&catalogue, serde_json::json!({"id": "d", "title": "Cats"}));
        assert_eq!(found(&catalogue, "SOURDOUGH"), ["a", "c", "b"]);
        assert_eq!(found(&catalogue, "sourdough bread"), ["c"]);
        assert_eq!(found(&catalogue, "cats bread").len(), 2);
        assert_eq!(found(&catalogue, "cooking"), ["a"]);
        assert!(found(&catalogue, "nothing").is_empty() && found(&catalogue, " !").is_empty());
    }

    #[test]
    fn what_was_changed_or_deleted_is_found_as_it_is_now() {
        let catalogue = Catalogue::new(None, Default::default()).expect("a catalogue");
        put(&catalogue, serde_json::json!({"id": "a", "title": "old words"}));
        put(&catalogue, serde_json::json!({"id": "a", "title": "new words"}));
        assert!(found(&catalogue, "old").is_empty());
        assert_eq!(found(&catalogue, "new"), ["a"]);
        let id = ItemId::new("a").expect("an id");
        catalogue.apply_unrecorded(vec![Change::Delete { id }]);
        assert!(found(&catalogue, "words").is_empty());
    }
}
