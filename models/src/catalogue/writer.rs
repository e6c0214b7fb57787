//! The one writer of the catalogue: checks changes, gives rows, keeps the lists, makes snapshots.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{CHUNK_ROWS, Chunk};
use super::enrich::Enricher;
use super::snapshot::{CatalogueSnapshot, LATEST_LIST_MAX, RECENT_UPSERTS_MAX};
use super::{Catalogue, Entry, content_vector};
use crate::ids::{ItemId, Row, Word};
use crate::index::{
    EmbeddingIndex, EmbeddingIndexWriter, ExactIndex, GraphBuild, HnswError, HnswIndex, IndexParams, VectorChange,
    VectorError,
};
use crate::item::Item;
use crate::time::TimestampMs;
use crate::wire::FieldError;

/// A wish.
#[derive(Debug, Clone)]
pub enum Change {
    /// Put an item in the place of whatever has its id.
    Upsert {
        /// The item.
        item: Arc<Item>,
        /// The row it had before a restart; a new one is given when absent.
        row: Option<Row>,
    },
    /// Take an item out.
    Delete {
        /// Its id.
        id: ItemId,
    },
}

/// A wish come true.
#[derive(Debug, Clone)]
pub enum Changed {
    /// An item was put.
    Upserted {
        /// Where.
        row: Row,
        /// What.
        entry: Arc<Entry>,
        /// Whether no item had its id before.
        is_new: bool,
    },
    /// An item was taken out.
    Deleted {
        /// From where; `None` when there was no such item.
        row: Option<Row>,
        /// Which.
        id: ItemId,
    },
}

type Newest = BTreeSet<(Reverse<TimestampMs>, Row)>;

/// State that only the holder of the catalogue's lock touches.
pub(super) struct Writer {
    snapshot: CatalogueSnapshot,
    vectors: EmbeddingIndexWriter,
    index_params: IndexParams,
    next_row: Row,
    dimension_is_fixed: bool,
    newest: Newest,
    newest_by_category: FxHashMap<Word, Newest>,
    enricher: Enricher,
}

impl Writer {
    pub(super) fn new(
        dimension: usize,
        dimension_is_fixed: bool,
        index_params: IndexParams,
    ) -> Result<Self, VectorError> {
        let vectors = EmbeddingIndexWriter::new(ExactIndex::new(dimension)?, index_params);
        let snapshot = CatalogueSnapshot {
            chunks: Vec::new(),
            live: 0,
            limited: 0,
            index: vectors.publish(),
            latest: Arc::from([]),
            latest_by_category: Arc::default(),
            version: 0,
            recent: Arc::from([]),
        };
        Ok(Self {
            snapshot,
            vectors,
            index_params,
            next_row: 0,
            dimension_is_fixed,
            newest: Newest::new(),
            newest_by_category: FxHashMap::default(),
            enricher: Enricher::default(),
        })
    }

    pub(super) fn dimension(&self) -> usize {
        self.snapshot.dimension()
    }

    pub(super) fn dimension_is_fixed(&self) -> bool {
        self.dimension_is_fixed
    }

    pub(super) fn snapshot(&self) -> CatalogueSnapshot {
        self.snapshot.clone()
    }

    pub(super) fn pending_build(&self) -> Option<GraphBuild> {
        self.vectors.pending_build()
    }

    pub(super) fn install_graph(&mut self, graph: HnswIndex) -> Result<(), HnswError> {
        let index = self.vectors.install(graph)?;
        self.publish_index(index);
        Ok(())
    }

    fn publish_index(&mut self, index: Arc<EmbeddingIndex>) {
        self.snapshot.index = index;
        self.snapshot.version += 1;
    }

    /// Checks every change and says what it will do; changes nothing but the vocabularies, and the row counter.
    pub(super) fn prepare(&mut self, catalogue: &Catalogue, changes: Vec<Change>) -> Vec<Result<Changed, FieldError>> {
        let mut given: FxHashMap<ItemId, Option<Row>> = FxHashMap::default();
        let mut dimension = self.dimension_is_fixed.then(|| self.dimension());
        changes
            .into_iter()
            .map(|change| match change {
                Change::Upsert { item, row } => {
                    check_dimension(&item, &mut dimension)?;
                    let known = given
                        .get(&item.id)
                        .copied()
                        .unwrap_or_else(|| catalogue.row(item.id.as_str()));
                    let target = known.or(row).unwrap_or(self.next_row);
                    let entry = Arc::new(Entry::new(item, catalogue.words())?);
                    self.next_row = self.next_row.max(target.saturating_add(1));
                    given.insert(entry.item.id.clone(), Some(target));
                    Ok(Changed::Upserted {
                        row: target,
                        entry,
                        is_new: known.is_none(),
                    })
                }
                Change::Delete { id } => {
                    let row = given
                        .insert(id.clone(), None)
                        .unwrap_or_else(|| catalogue.row(id.as_str()));
                    Ok(Changed::Deleted { row, id })
                }
            })
            .collect()
    }

    /// Does what [`Writer::prepare`] said.
    pub(super) fn commit(&mut self, catalogue: &Catalogue, changed: &[Changed]) {
        let mut categories = FxHashSet::default();
        let mut vectors = Vec::with_capacity(changed.len());
        self.fix_dimension(changed);
        for change in changed {
            match change {
                Changed::Upserted { row, entry, .. } => {
                    self.learn(*row, Some(entry));
                    self.replace(catalogue, *row, Some(entry), &mut categories);
                    vectors.push(VectorChange::Upsert {
                        row: *row,
                        vector: self.vector_of(entry),
                    });
                }
                Changed::Deleted { row: Some(row), id } => {
                    self.learn(*row, None);
                    self.replace(catalogue, *row, None, &mut categories);
                    vectors.push(VectorChange::Remove { row: *row });
                    catalogue.rows.remove(id);
                }
                Changed::Deleted { row: None, .. } => {}
            }
        }
        // Only now, when the model has learned from the whole batch.
        let mut asked = self.enricher.retries();
        asked.extend(changed.iter().filter_map(|change| match change {
            Changed::Upserted { row, .. } => Some(*row),
            Changed::Deleted { .. } => None,
        }));
        self.enrich(catalogue, &asked, &mut categories);
        let update = self.vectors.apply(vectors);
        debug_assert!(
            update.rejected.is_empty(),
            "embeddings are checked at the wire and by check_dimension"
        );
        self.publish_index(update.index);
        self.publish_recent(changed);
        self.publish_latest(&categories);
    }

    fn learn(&mut self, row: Row, after: Option<&Arc<Entry>>) {
        let before = self.snapshot.entry(row).cloned();
        self.enricher.learn(before.as_deref(), after.map(AsRef::as_ref));
    }

    /// Gives rows the tags that their texts speak for; those that get none wait for the model to know more.
    fn enrich(&mut self, catalogue: &Catalogue, rows: &[Row], categories: &mut FxHashSet<Word>) {
        let params = catalogue.enrichment.load_full();
        for row in rows {
            let Some(entry) = self.snapshot.entry(*row).cloned() else {
                continue;
            };
            if !Enricher::may_enrich(&entry, &params) {
                continue;
            }
            if let Some(enriched) = self.enricher.enriched(&entry, &params) {
                self.replace(catalogue, *row, Some(&enriched), categories);
            } else if entry.inferred_tags().is_empty() {
                self.enricher.wait(*row);
            }
        }
    }

    /// See [`Catalogue::enrich_all`].
    pub(super) fn enrich_all(&mut self, catalogue: &Catalogue) {
        let mut categories = FxHashSet::default();
        let rows: Vec<Row> = self.snapshot.iter().map(|(row, _)| row).collect();
        self.enrich(catalogue, &rows, &mut categories);
        self.snapshot.version += 1;
        self.publish_latest(&categories);
    }

    /// The first embedding that an item brings fixes the dimension; vectors made from content follow it.
    fn fix_dimension(&mut self, changed: &[Changed]) {
        let brought = changed.iter().find_map(|change| match change {
            Changed::Upserted { entry, .. } => entry.item.embedding.as_ref().map(Vec::len),
            Changed::Deleted { .. } => None,
        });
        let Some(brought) = brought.filter(|_| !self.dimension_is_fixed) else {
            return;
        };
        self.dimension_is_fixed = true;
        if brought == self.dimension() {
            return;
        }
        if let Ok(rows) = ExactIndex::new(brought) {
            self.vectors = EmbeddingIndexWriter::new(rows, self.index_params);
            let hashed = |(row, entry): (Row, &Arc<Entry>)| VectorChange::Upsert {
                row,
                vector: content_vector(&entry.item, brought),
            };
            let update = self.vectors.apply(self.snapshot.iter().map(hashed).collect());
            self.publish_index(update.index);
        }
    }

    fn vector_of(&self, entry: &Entry) -> Vec<f32> {
        match &entry.item.embedding {
            Some(embedding) => embedding.clone(),
            None => content_vector(&entry.item, self.dimension()),
        }
    }

    /// Lets an entry live in a row, or nothing. What lived there leaves the lists that the new one is not in.
    fn replace(
        &mut self,
        catalogue: &Catalogue,
        row: Row,
        after: Option<&Arc<Entry>>,
        categories: &mut FxHashSet<Word>,
    ) {
        let before = self.put(row, None);
        let words = |of: fn(&Entry) -> &[Word]| {
            let (before, after) = (
                before.as_deref().map_or(&[][..], of),
                after.map_or(&[][..], |entry| of(entry)),
            );
            (before, after)
        };
        for (postings, (before, after)) in [
            (&catalogue.by_tag, words(|entry| &entry.tags)),
            (&catalogue.by_category, words(|entry| &entry.categories)),
            (&catalogue.by_author, words(Entry::authors)),
        ] {
            postings.move_row(row, before, after);
        }
        catalogue
            .text
            .move_row(row, before.as_deref(), after.map(AsRef::as_ref), catalogue.words());
        if let Some(entry) = &before {
            self.snapshot.live -= 1;
            self.snapshot.limited -= usize::from(entry.is_limited());
            self.unlist(row, entry, categories);
        }
        if let Some(entry) = after {
            self.snapshot.live += 1;
            self.snapshot.limited += usize::from(entry.is_limited());
            self.list(row, entry, categories);
            self.put(row, Some(entry.clone()));
            catalogue.rows.insert(entry.item.id.clone(), row);
        }
    }

    /// Puts a row into the lists by age.
    fn list(&mut self, row: Row, entry: &Entry, categories: &mut FxHashSet<Word>) {
        if entry.item.hidden {
            return;
        }
        let key = (Reverse(entry.created_at), row);
        self.newest.insert(key);
        for category in &entry.categories {
            self.newest_by_category.entry(*category).or_default().insert(key);
            categories.insert(*category);
        }
    }

    /// Takes a row out of the lists by age.
    fn unlist(&mut self, row: Row, entry: &Entry, categories: &mut FxHashSet<Word>) {
        let key = (Reverse(entry.created_at), row);
        self.newest.remove(&key);
        for category in &entry.categories {
            if let Some(newest) = self.newest_by_category.get_mut(category) {
                newest.remove(&key);
                if newest.is_empty() {
                    self.newest_by_category.remove(category);
                }
            }
            categories.insert(*category);
        }
    }

    /// Puts an item into a row, or nothing; returns what lived there.
    fn put(&mut self, row: Row, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        let chunk_number = row as usize / CHUNK_ROWS;
        let chunks = &mut self.snapshot.chunks;
        while chunks.len() <= chunk_number {
            chunks.push(Arc::new(Chunk::default()));
        }
        Arc::make_mut(&mut chunks[chunk_number]).replace(row as usize % CHUNK_ROWS, entry)
    }

    fn publish_recent(&mut self, changed: &[Changed]) {
        let version = self.snapshot.version;
        let upserted = changed.iter().filter_map(|change| match change {
            Changed::Upserted { row, .. } => Some((version, *row)),
            Changed::Deleted { .. } => None,
        });
        let mut recent: Vec<(u64, Row)> = self.snapshot.recent.iter().copied().chain(upserted).collect();
        recent.drain(..recent.len().saturating_sub(RECENT_UPSERTS_MAX));
        self.snapshot.recent = recent.into();
    }

    fn publish_latest(&mut self, categories: &FxHashSet<Word>) {
        let head = |newest: &Newest| {
            newest
                .iter()
                .take(LATEST_LIST_MAX)
                .map(|(_, row)| *row)
                .collect::<Arc<[Row]>>()
        };
        self.snapshot.latest = head(&self.newest);
        let lists = Arc::make_mut(&mut self.snapshot.latest_by_category);
        for category in categories {
            match self.newest_by_category.get(category) {
                Some(newest) => lists.insert(*category, head(newest)),
                None => lists.remove(category),
            };
        }
    }
}

/// Checks an item's embedding against the dimension in force, or lets it set one.
fn check_dimension(item: &Item, dimension: &mut Option<usize>) -> Result<(), FieldError> {
    let Some(embedding) = &item.embedding else {
        return Ok(());
    };
    match *dimension {
        Some(expected) if expected != embedding.len() => Err(FieldError::new(
            "embedding",
            "embedding_dimension",
            format!(
                "must have {expected} numbers like all embeddings of this data dir, has {}",
                embedding.len()
            ),
        )),
        Some(_) => Ok(()),
        None => {
            *dimension = Some(embedding.len());
            Ok(())
        }
    }
}
