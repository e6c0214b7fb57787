//! The catalogue: every item that can be shown, as immutable snapshots that anyone may read without asking anyone.
//!
//! Owns: rows (which id lives where), words, entries, vectors and the lists that recall needs (postings, newest first).
//! One writer at a time changes it in batches; readers hold a snapshot. Must not know storage or time: callers bring
//! `now` inside the items and write down what [`Catalogue::apply`] tells them.

mod chunk;
mod content;
mod enrich;
mod entry;
mod filter;
mod postings;
mod snapshot;
mod text;
mod vocabulary;
mod writer;

pub use content::content_vector;
pub use entry::{Entry, NO_WORD, device_key};
pub use filter::{FilterTest, ItemFilter};
pub use postings::Postings;
pub use snapshot::{CatalogueSnapshot, LATEST_LIST_MAX, RECENT_UPSERTS_MAX};
pub use vocabulary::{VOCABULARY_WORDS_MAX, Vocabulary};
pub use writer::{Change, Changed};

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::ids::{ItemId, Row};
use crate::index::{GraphBuild, HnswError, HnswIndex, IndexParams, VectorError};
use crate::item::Item;
use crate::params::EnrichmentParams;
use crate::wire::FieldError;
use writer::Writer;

/// The dimension of embeddings when neither the configuration nor an item has named one.
pub const EMBEDDING_DIM_DEFAULT: usize = 64;

/// The names that items use, each kind with its own numbers.
#[derive(Debug, Default)]
pub struct Vocabularies {
    /// Categories.
    pub categories: Vocabulary,
    /// Tags.
    pub tags: Vocabulary,
    /// Authors.
    pub authors: Vocabulary,
    /// Regions.
    pub regions: Vocabulary,
}

/// Every item that can be shown. Cheap to read from any thread.
pub struct Catalogue {
    rows: DashMap<ItemId, Row>,
    vocabularies: Vocabularies,
    by_tag: Postings,
    by_category: Postings,
    by_author: Postings,
    text: text::TextIndex,
    current: ArcSwap<CatalogueSnapshot>,
    writer: Mutex<Writer>,
    enrichment: ArcSwap<EnrichmentParams>,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Catalogue")
            .field("items", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Catalogue {
    /// An empty catalogue. `dimension` fixes the embeddings' dimension; without it the first embedding that an item
    /// brings does.
    ///
    /// # Errors
    /// A dimension that no index can hold.
    pub fn new(dimension: Option<usize>, index: IndexParams) -> Result<Self, VectorError> {
        let writer = Writer::new(dimension.unwrap_or(EMBEDDING_DIM_DEFAULT), dimension.is_some(), index)?;
        Ok(Self {
            rows: DashMap::new(),
            vocabularies: Vocabularies::default(),
            by_tag: Postings::default(),
            by_category: Postings::default(),
            by_author: Postings::default(),
            text: text::TextIndex::default(),
            current: ArcSwap::from_pointee(writer.snapshot()),
            writer: Mutex::new(writer),
            enrichment: ArcSwap::default(),
        })
    }

    /// The catalogue as it is now; later changes do not touch it.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<CatalogueSnapshot>> {
        self.current.load()
    }

    /// The row of an item.
    #[must_use]
    pub fn row(&self, id: &str) -> Option<Row> {
        self.rows.get(id).map(|row| *row)
    }

    /// The item of that id.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<Arc<Item>> {
        let row = self.row(id)?;
        self.load().entry(row).map(|entry| entry.item.clone())
    }

    /// The names that items use.
    #[must_use]
    pub fn words(&self) -> &Vocabularies {
        &self.vocabularies
    }

    /// Which rows carry a tag.
    #[must_use]
    pub fn by_tag(&self) -> &Postings {
        &self.by_tag
    }

    /// Which rows are in a category.
    #[must_use]
    pub fn by_category(&self) -> &Postings {
        &self.by_category
    }

    /// Which rows are by an author.
    #[must_use]
    pub fn by_author(&self) -> &Postings {
        &self.by_author
    }

    /// The embeddings' dimension, and whether it can still change (no item has brought an embedding yet).
    #[must_use]
    pub fn dimension(&self) -> (usize, bool) {
        let writer = self.writer.lock();
        (writer.dimension(), !writer.dimension_is_fixed())
    }

    /// Applies a batch and publishes one new snapshot. `record` is called once, before anything becomes visible to
    /// readers and still under the writer's lock, with what was changed: what is written down there is in the order in
    /// which it was applied. When `record` fails, its error is returned and nothing is published.
    ///
    /// Returns one result per change, in order.
    ///
    /// # Errors
    /// The error of `record`.
    pub fn apply<E>(
        &self,
        changes: Vec<Change>,
        record: impl FnOnce(&[Changed]) -> Result<(), E>,
    ) -> Result<Vec<Result<Changed, FieldError>>, E> {
        let mut writer = self.writer.lock();
        let results = writer.prepare(self, changes);
        let accepted: Vec<Changed> = results
            .iter()
            .filter_map(|result| result.as_ref().ok().cloned())
            .collect();
        record(&accepted)?;
        writer.commit(self, &accepted);
        self.current.store(Arc::new(writer.snapshot()));
        Ok(results)
    }

    /// [`Catalogue::apply`] for callers that write nothing down (recovery, tests, simulations).
    pub fn apply_unrecorded(&self, changes: Vec<Change>) -> Vec<Result<Changed, FieldError>> {
        match self.apply::<std::convert::Infallible>(changes, |_| Ok(())) {
            Ok(results) => results,
            Err(never) => match never {},
        }
    }

    /// Sets which items get inferred tags from now on.
    pub fn set_enrichment(&self, params: &EnrichmentParams) {
        self.enrichment.store(Arc::new(params.clone()));
    }

    /// Infers the tags of all items anew: after a load, when the model knows the whole catalogue.
    pub fn enrich_all(&self) {
        let mut writer = self.writer.lock();
        writer.enrich_all(self);
        self.current.store(Arc::new(writer.snapshot()));
    }

    /// The building of a graph that is due, because the catalogue has outgrown the exact scan or the graph is full of
    /// tombstones. Run it on a thread that serves nobody, one at a time, and bring back the result.
    #[must_use]
    pub fn pending_build(&self) -> Option<GraphBuild> {
        self.writer.lock().pending_build()
    }

    /// Lets a graph serve embedding recall, after it has caught up with the changes since it was begun.
    ///
    /// # Errors
    /// When the graph belongs to other vectors; the index stays as it is then.
    pub fn install_graph(&self, graph: HnswIndex) -> Result<(), HnswError> {
        let mut writer = self.writer.lock();
        writer.install_graph(graph)?;
        self.current.store(Arc::new(writer.snapshot()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimestampMs;
    use crate::wire::ItemDto;

    fn item(id: &str, tags: &[&str], embedding: Option<Vec<f32>>) -> Item {
        ItemDto {
            id: id.to_owned(),
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            categories: Some(vec!["pets".to_owned()]),
            author_id: Some("a1".to_owned()),
            embedding,
            ..ItemDto::default()
        }
        .into_item(TimestampMs(1_000))
        .expect("valid item")
    }

    fn upsert(catalogue: &Catalogue, item: Item) -> Result<Changed, FieldError> {
        catalogue
            .apply_unrecorded(vec![Change::Upsert {
                item: Arc::new(item),
                row: None,
            }])
            .remove(0)
    }

    #[test]
    fn an_upsert_is_found_by_id_words_and_vector() {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        upsert(&catalogue, item("v1", &["cats"], None)).expect("accepted");
        let row = catalogue.row("v1").expect("row");
        let cats = catalogue.words().tags.get("cats").expect("word");
        assert_eq!(catalogue.by_tag().copy(cats), vec![row]);
        let snapshot = catalogue.load();
        assert!(snapshot.vector(row).is_some());
        assert_eq!(snapshot.latest(None), &[row]);
    }

    #[test]
    fn an_update_keeps_the_row_and_moves_the_words() {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        upsert(&catalogue, item("v1", &["cats"], None)).expect("accepted");
        let row = catalogue.row("v1").expect("row");
        upsert(&catalogue, item("v1", &["dogs"], None)).expect("accepted");
        assert_eq!(catalogue.row("v1"), Some(row));
        let word = |tag: &str| catalogue.words().tags.get(tag).expect("word");
        assert!(catalogue.by_tag().copy(word("cats")).is_empty());
        assert_eq!(catalogue.by_tag().copy(word("dogs")), vec![row]);
        assert_eq!(catalogue.load().len(), 1);
    }

    #[test]
    fn a_deleted_row_is_never_given_to_another_item() {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        upsert(&catalogue, item("v1", &[], None)).expect("accepted");
        let row = catalogue.row("v1").expect("row");
        let id = ItemId::new("v1").expect("id");
        catalogue
            .apply_unrecorded(vec![Change::Delete { id }])
            .remove(0)
            .expect("deleted");
        assert!(catalogue.item("v1").is_none() && catalogue.load().entry(row).is_none());
        assert!(catalogue.load().vector(row).is_none() && catalogue.load().latest(None).is_empty());
        upsert(&catalogue, item("v1", &[], None)).expect("accepted");
        assert_ne!(catalogue.row("v1"), Some(row));
    }

    #[test]
    fn the_first_embedding_fixes_the_dimension() {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        upsert(&catalogue, item("v1", &["cats"], None)).expect("accepted");
        upsert(&catalogue, item("v2", &[], Some(vec![1.0; 8]))).expect("accepted");
        assert_eq!(catalogue.dimension(), (8, false));
        let row = catalogue.row("v1").expect("row");
        assert_eq!(catalogue.load().vector(row).map(<[f32]>::len), Some(8));
        let refused = upsert(&catalogue, item("v3", &[], Some(vec![1.0; 9]))).expect_err("refused");
        assert_eq!(refused.code, "embedding_dimension");
        assert!(catalogue.row("v3").is_none());
    }

    #[test]
    fn nothing_is_published_when_it_could_not_be_written_down() {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        let change = Change::Upsert {
            item: Arc::new(item("v1", &["cats"], None)),
            row: None,
        };
        assert_eq!(
            catalogue.apply(vec![change], |_| Err("disk full")).expect_err("fails"),
            "disk full"
        );
        assert!(catalogue.row("v1").is_none() && catalogue.load().is_empty());
    }
}
