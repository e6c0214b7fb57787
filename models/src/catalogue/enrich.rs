//! Inferred tags of entries: when the text model learns, and which entries it is asked about.
//!
//! Owns the model and the rows that wait for it to know more. The owner's tags are never touched: inferred ones stand
//! behind them in [`Entry::tags`], where recall, features and interest find them, and are told apart by their number.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Entry, Vocabularies};
use crate::enrichment::{TextModel, item_tokens};
use crate::ids::{Row, Word};
use crate::params::EnrichmentParams;

/// So many rows wait for the model to know more; the ones that wait longest make room.
const WAITING_MAX: usize = 10_000;
/// So many of them are tried again with every batch.
const RETRIES_PER_BATCH: usize = 8;

/// The text model of a catalogue.
#[derive(Default)]
pub(super) struct Enricher {
    model: TextModel,
    waiting: VecDeque<Row>,
}

impl Enricher {
    /// Lets the model know that `after` lives where `before` lived.
    pub(super) fn learn(&mut self, before: Option<&Entry>, after: Option<&Entry>) {
        let text_of = |entry: &Entry| (item_tokens(&entry.item), SmallVec::<[Word; 6]>::from(entry.own_tags()));
        let texts = (before.map(text_of), after.map(text_of));
        if texts.0 == texts.1 {
            return;
        }
        if let Some((tokens, tags)) = texts.0 {
            self.model.unlearn(&tokens, &tags);
        }
        if let Some((tokens, tags)) = texts.1 {
            self.model.learn(&tokens, &tags);
        }
    }

    /// The entry with the tags that its text speaks for; `None` when it stays as it is.
    pub(super) fn enriched(&self, entry: &Entry, params: &EnrichmentParams) -> Option<Arc<Entry>> {
        let own = entry.own_tags();
        let mut inferred: SmallVec<[Word; 4]> = SmallVec::new();
        if params.enabled && own.len() < params.tags_fewer_than as usize {
            let max = params.tags_max as usize + own.len();
            let tokens = item_tokens(&entry.item);
            let (confidence_min, tag_items_min) = (params.confidence_min, params.tag_items_min);
            let found = self
                .model
                .infer(&tokens, !own.is_empty(), confidence_min, tag_items_min, max);
            let new = found
                .iter()
                .map(|inferred| inferred.tag)
                .filter(|tag| !own.contains(tag));
            inferred.extend(new.take(params.tags_max as usize));
        }
        (inferred.as_slice() != entry.inferred_tags()).then(|| Arc::new(entry.with_inferred(&inferred)))
    }

    /// Whether the model may be asked about an entry, now or later.
    pub(super) fn may_enrich(entry: &Entry, params: &EnrichmentParams) -> bool {
        let has_text = entry.item.title.is_some() || !entry.item.attributes.is_empty();
        params.enabled && entry.own_tags().len() < params.tags_fewer_than as usize && has_text
    }

    /// Notes that a row got no tags: it is tried again when the model knows more.
    pub(super) fn wait(&mut self, row: Row) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(row);
    }

    /// Rows to try again.
    pub(super) fn retries(&mut self) -> Vec<Row> {
        let count = self.waiting.len().min(RETRIES_PER_BATCH);
        self.waiting.drain(..count).collect()
    }
}

impl Entry {
    /// The tags that its owner gave it.
    #[must_use]
    pub fn own_tags(&self) -> &[Word] {
        &self.tags[..self.tags.len() - usize::from(self.inferred)]
    }

    /// The tags that were inferred from its text.
    #[must_use]
    pub fn inferred_tags(&self) -> &[Word] {
        &self.tags[self.tags.len() - usize::from(self.inferred)..]
    }

    /// The names of the tags that were inferred from its text.
    #[must_use]
    pub fn inferred_names(&self, words: &Vocabularies) -> Vec<String> {
        let names = self.inferred_tags().iter().filter_map(|tag| words.tags.name(*tag));
        names.map(|name| name.to_string()).collect()
    }

    fn with_inferred(&self, inferred: &[Word]) -> Self {
        let mut entry = self.clone();
        entry.tags.truncate(self.own_tags().len());
        entry.tags.extend_from_slice(inferred);
        entry.inferred = u8::try_from(inferred.len()).unwrap_or(0);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Change};
    use super::*;
    use crate::ids::ItemId;
    use crate::time::TimestampMs;
    use crate::wire::ItemDto;

    fn upsert(id: &str, title: &str, tags: &[&str]) -> Change {
        let dto = ItemDto {
            id: id.to_owned(),
            title: Some(title.to_owned()),
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..ItemDto::default()
        };
        Change::Upsert {
            item: Arc::new(dto.into_item(TimestampMs(1)).expect("an item")),
            row: None,
        }
    }

    fn known() -> Vec<Change> {
        let cooking = [
            "bread recipe",
            "pasta recipe",
            "soup recipe",
            "pie recipe",
            "cake recipe",
            "salad recipe",
        ];
        let cats = [
            "kitten in a box",
            "kitten and yarn",
            "sleepy kitten",
            "kitten meets dog",
            "loud kitten",
            "kitten nap",
        ];
        let mut changes: Vec<Change> = cooking
            .iter()
            .map(|title| upsert(title, title, &["cooking", "food"]))
            .collect();
        changes.extend(cats.iter().map(|title| upsert(title, title, &["cats", "pets"])));
        changes
    }

    fn inferred(catalogue: &Catalogue, id: &str) -> Vec<String> {
        let row = catalogue.row(id).expect("a row");
        let snapshot = catalogue.load();
        snapshot.entry(row).expect("an entry").inferred_names(catalogue.words())
    }

    fn catalogue() -> Catalogue {
        Catalogue::new(None, Default::default()).expect("a catalogue")
    }

    #[test]
    fn an_item_without_tags_gets_those_of_its_text_and_keeps_its_own_list() {
        let catalogue = catalogue();
        catalogue.apply_unrecorded(known());
        catalogue.apply_unrecorded(vec![upsert("new", "My first kitten", &[])]);
        let mut tags = inferred(&catalogue, "new");
        tags.sort();
        assert_eq!(tags, ["cats", "pets"]);
        assert!(
            catalogue.item("new").expect("an item").tags.is_empty(),
            "the owner's list stays"
        );
        let row = catalogue.row("new").expect("a row");
        let cats = catalogue.words().tags.get("cats").expect("a word");
        assert!(catalogue.by_tag().copy(cats).contains(&row), "recall finds it");
    }

    #[test]
    fn enough_tags_of_the_owner_or_a_model_that_is_off_leave_an_item_alone() {
        let catalogue = catalogue();
        catalogue.apply_unrecorded(known());
        catalogue.apply_unrecorded(vec![upsert("own", "A kitten", &["mine", "too"])]);
        assert!(inferred(&catalogue, "own").is_empty());
        catalogue.set_enrichment(&EnrichmentParams {
            enabled: false,
            ..EnrichmentParams::default()
        });
        catalogue.apply_unrecorded(vec![upsert("off", "A kitten", &[])]);
        assert!(inferred(&catalogue, "off").is_empty());
    }

    #[test]
    fn a_tag_that_the_owner_gave_is_not_inferred_again() {
        let catalogue = catalogue();
        catalogue.apply_unrecorded(known());
        catalogue.apply_unrecorded(vec![upsert("one", "Another kitten", &["cats"])]);
        assert_eq!(inferred(&catalogue, "one"), ["pets"]);
    }

    #[test]
    fn who_came_too_early_is_tried_again() {
        let catalogue = catalogue();
        catalogue.apply_unrecorded(vec![upsert("early", "My first kitten", &[])]);
        assert!(inferred(&catalogue, "early").is_empty());
        catalogue.apply_unrecorded(known());
        assert!(inferred(&catalogue, "early").contains(&"cats".to_owned()));
    }

    #[test]
    fn an_update_or_a_deletion_takes_inferred_tags_out_of_the_lists() {
        let catalogue = catalogue();
        catalogue.apply_unrecorded(known());
        catalogue.apply_unrecorded(vec![upsert("new", "My first kitten", &[])]);
        let (row, cats) = (
            catalogue.row("new").expect("a row"),
            catalogue.words().tags.get("cats").expect("a word"),
        );
        catalogue.apply_unrecorded(vec![upsert("new", "Soup recipe of the day", &[])]);
        assert!(!catalogue.by_tag().copy(cats).contains(&row));
        let cooking = catalogue.words().tags.get("cooking").expect("a word");
        assert!(catalogue.by_tag().copy(cooking).contains(&row));
        let id = ItemId::new("new").expect("an id");
        catalogue.apply_unrecorded(vec![Change::Delete { id }]);
        assert!(!catalogue.by_tag().copy(cooking).contains(&row));
    }

    #[test]
    fn after_a_load_in_any_order_all_are_enriched() {
        let catalogue = catalogue();
        let changes: Vec<Change> = (0..100)
            .map(|number| upsert(&format!("new{number}"), "My first kitten", &[]))
            .collect();
        catalogue.apply_unrecorded(changes);
        catalogue.apply_unrecorded(known());
        let missing = || {
            (0..100)
                .filter(|number| inferred(&catalogue, &format!("new{number}")).is_empty())
                .count()
        };
        assert!(missing() > 0, "one batch tries some again, not all");
        catalogue.enrich_all();
        assert_eq!(missing(), 0);
    }
}
