//! The catalogue at one moment: immutable, shared, read without locks.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Entry;
use super::chunk::{Brief, CHUNK_ROWS, Chunk};
use crate::ids::{Row, Word};
use crate::index::{EmbeddingIndex, Neighbour, SearchScratch, VectorIndex};

/// The length of the newest-first lists, overall and per category.
pub const LATEST_LIST_MAX: usize = 1_000;

/// How many of the last upserts a snapshot lists.
pub const RECENT_UPSERTS_MAX: usize = 64;

/// The catalogue at one moment.
#[derive(Clone)]
pub struct CatalogueSnapshot {
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) live: usize,
    pub(super) limited: usize,
    pub(super) index: Arc<EmbeddingIndex>,
    pub(super) latest: Arc<[Row]>,
    pub(super) latest_by_category: Arc<FxHashMap<Word, Arc<[Row]>>>,
    pub(super) version: u64,
    /// The last upserts with the version that showed them first, ascending.
    pub(super) recent: Arc<[(u64, Row)]>,
}

impl CatalogueSnapshot {
    /// The item in a row; `None` when it was deleted.
    #[must_use]
    pub fn entry(&self, row: Row) -> Option<&Arc<Entry>> {
        self.chunks
            .get(row as usize / CHUNK_ROWS)?
            .entry(row as usize % CHUNK_ROWS)
    }

    /// The hash of the id of the item in a row; `None` when it was deleted.
    #[must_use]
    pub fn hash(&self, row: Row) -> Option<u64> {
        let brief = self.brief(row);
        brief.is_live().then_some(brief.hash)
    }

    /// What filters ask of a row.
    #[must_use]
    pub(crate) fn brief(&self, row: Row) -> Brief {
        let chunk = self.chunks.get(row as usize / CHUNK_ROWS);
        chunk.map_or_else(Brief::default, |chunk| chunk.brief(row as usize % CHUNK_ROWS))
    }

    /// Brings what filters ask of these rows into the caches; see [`fetch`](Self::fetch).
    pub(crate) fn fetch_briefs(&self, rows: impl Iterator<Item = Row>) {
        std::hint::black_box(rows.fold(0, |seen, row| seen ^ self.brief(row).hash));
    }

    /// Brings what scoring reads of these rows into the caches. A loop that only loads waits for many rows at a time; one
    /// that works on each row waits for one after the other, which costs twice as much and more.
    pub fn fetch(&self, rows: &[Row]) {
        /// Numbers in a cache line.
        const LINE: usize = 16;
        let mut seen = 0_u64;
        for row in rows {
            if let Some(entry) = self.entry(*row) {
                seen ^= entry.hash ^ u64::from(entry.leading_category());
            }
            if let Some(vector) = self.vector(*row) {
                seen ^= vector
                    .iter()
                    .step_by(LINE)
                    .fold(0, |bits, one| bits ^ u64::from(one.to_bits()));
            }
        }
        std::hint::black_box(seen);
    }

    /// Brings what features read of these rows, beside their vectors, into the caches; see [`fetch`](Self::fetch).
    pub fn fetch_entries(&self, rows: &[Row]) {
        let read = |entry: &Arc<Entry>| {
            let ends = entry.tags.len() ^ entry.regions.len() ^ entry.categories.len();
            ends as u64 ^ entry.hash ^ u64::from(entry.author) ^ entry.created_at.0.unsigned_abs()
        };
        let entries = rows.iter().filter_map(|row| self.entry(*row));
        std::hint::black_box(entries.fold(0, |seen, entry| seen ^ read(entry)));
    }

    /// How many items there are, hidden ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// One more than the highest row ever given.
    #[must_use]
    pub fn rows_end(&self) -> Row {
        Row::try_from(self.chunks.len() * CHUNK_ROWS).unwrap_or(Row::MAX)
    }

    /// Whether any item is limited to a time or to kinds of devices, so that what may be shown changes by itself.
    #[must_use]
    pub fn has_limited_items(&self) -> bool {
        self.limited > 0
    }

    /// Grows by one with every published change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The rows that were upserted after the given version, of the last [`RECENT_UPSERTS_MAX`] upserts.
    pub fn changed_since(&self, version: u64) -> impl Iterator<Item = Row> + '_ {
        self.recent
            .iter()
            .rev()
            .take_while(move |(at, _)| *at > version)
            .map(|(_, row)| *row)
    }

    /// The embeddings' dimension.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.index.dim()
    }

    /// The unit vector of a row.
    #[must_use]
    pub fn vector(&self, row: Row) -> Option<&[f32]> {
        self.index.vector(row)
    }

    /// The embedding index.
    #[must_use]
    pub fn index(&self) -> &Arc<EmbeddingIndex> {
        &self.index
    }

    /// The `k` admitted rows nearest to `query`, best first; by the graph when one serves, else by the exact scan.
    pub fn nearest(
        &self,
        query: &[f32],
        k: usize,
        admit: &mut dyn FnMut(Row) -> bool,
        scratch: &mut SearchScratch,
        out: &mut Vec<Neighbour>,
    ) {
        self.index.search(query, k, admit, scratch, out);
    }

    /// The newest items first (at most [`LATEST_LIST_MAX`]), overall or of a category. Hidden items are left out.
    #[must_use]
    pub fn latest(&self, category: Option<Word>) -> &[Row] {
        match category {
            None => &self.latest,
            Some(category) => self.latest_by_category.get(&category).map_or(&[], |rows| rows),
        }
    }

    /// Every live item, in the order of rows.
    pub fn iter(&self) -> impl Iterator<Item = (Row, &Arc<Entry>)> {
        self.chunks.iter().enumerate().flat_map(|(chunk_number, chunk)| {
            chunk.iter().filter_map(move |(place, entry)| {
                let row = Row::try_from(chunk_number * CHUNK_ROWS + place).ok()?;
                Some((row, entry))
            })
        })
    }
}
