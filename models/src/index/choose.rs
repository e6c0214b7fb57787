//! Which index serves: the exact scan, or above a configured size the graph.
//!
//! Owns the one writer of the embedding index and the rule of the choice. Must not run a build itself: it hands out the
//! work, the owner decides on which thread it runs, and brings back the result.

use std::sync::Arc;

use super::exact::ExactIndex;
use super::hnsw::{BuildThreads, HnswIndex};
use super::hnsw_params::{HnswError, HnswParams};
use super::vector::VectorError;
use super::writer::{ExactIndexWriter, VectorChange};
use super::{Neighbour, SearchScratch, VectorIndex};

/// Live rows up to which the exact scan serves by default.
///
/// Measured at 64 dimensions, k = 100, one core: the scan takes 0.15 ms of CPU at 100 000 rows and 2.7 ms at a million, 10 to
/// 50 % more with the nearest 1 000 excluded, always with recall 1.0. The graph takes 1.1 ms at 100 000 rows, 1.5 ms when
/// the nearest 1 000 are excluded and the scan has to answer in its place, with a recall that depends on the data. It grows
/// slower than the scan, so that it would win somewhat above a million rows, but only for a viewer who has seen little of
/// what is near, and a row costs 3.3 KB in the graph against 0.33 KB in the scan. So the graph is for catalogues well above
/// a million, on machines with the memory for it.
pub const EXACT_ITEMS_MAX_DEFAULT: usize = 2_000_000;

/// The graph is given up when the rows fall below this share of the limit; a margin, so that a catalogue around the limit
/// does not build a graph again and again.
const GRAPH_KEPT_SHARE: f64 = 0.8;

/// Largest batch that is inserted into the graph at once (under a second). After a larger one the exact scan serves until
/// the graph has been built anew, so that new items can be found at once.
const GRAPH_BATCH_MAX: usize = 500;

/// Settings of the embedding index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexParams {
    /// Live rows up to which the exact scan serves.
    pub exact_items_max: usize,
    /// Settings of the graph above that.
    pub hnsw: HnswParams,
}

impl Default for IndexParams {
    fn default() -> Self {
        Self {
            exact_items_max: EXACT_ITEMS_MAX_DEFAULT,
            hnsw: HnswParams::default(),
        }
    }
}

/// The embedding index as readers see it: all vectors, and the graph when it serves.
#[derive(Debug, Clone)]
pub struct EmbeddingIndex {
    rows: Arc<ExactIndex>,
    graph: Option<Arc<HnswIndex>>,
}

impl EmbeddingIndex {
    /// The unit vector of a row, when it has one.
    #[inline]
    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        self.rows.vector(row)
    }

    /// All vectors.
    pub fn rows(&self) -> &Arc<ExactIndex> {
        &self.rows
    }

    /// The graph, when it serves.
    pub fn graph(&self) -> Option<&Arc<HnswIndex>> {
        self.graph.as_ref()
    }
}

impl VectorIndex for EmbeddingIndex {
    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn search(
        &self,
        query: &[f32],
        k: usize,
        admit: &mut dyn FnMut(u32) -> bool,
        scratch: &mut SearchScratch,
        out: &mut Vec<Neighbour>,
    ) {
        match &self.graph {
            Some(graph) => graph.search(query, k, admit, scratch, out),
            None => self.rows.search(query, k, admit, scratch, out),
        }
    }
}

/// What a batch of changes led to.
#[derive(Debug)]
pub struct IndexUpdate {
    /// The index to publish to readers.
    pub index: Arc<EmbeddingIndex>,
    /// Position in the batch and reason of every change that was refused.
    pub rejected: Vec<(usize, VectorError)>,
}

/// A graph to be built, which takes long: 1 to 2 ms of CPU a row.
#[derive(Debug, Clone)]
pub struct GraphBuild {
    rows: Arc<ExactIndex>,
    params: HnswParams,
}

impl GraphBuild {
    /// Builds the graph on the calling thread, or on all cores.
    ///
    /// # Errors
    /// [`HnswError::Setting`] when a setting of the graph is out of range.
    pub fn run(self, threads: BuildThreads) -> Result<HnswIndex, HnswError> {
        HnswIndex::build(self.rows, self.params, threads)
    }
}

/// The one writer of an embedding index.
#[derive(Debug)]
pub struct EmbeddingIndexWriter {
    params: IndexParams,
    rows: ExactIndexWriter,
    graph: Option<Arc<HnswIndex>>,
}

impl EmbeddingIndexWriter {
    /// A writer that goes on from these rows, from an empty [`ExactIndex`] or a decoded one.
    pub fn new(rows: ExactIndex, params: IndexParams) -> Self {
        Self {
            params,
            rows: ExactIndexWriter::from(rows),
            graph: None,
        }
    }

    /// Applies a batch in order; the update's index holds all of it. With a graph this takes about 1.4 ms a changed row.
    pub fn apply(&mut self, batch: Vec<VectorChange>) -> IndexUpdate {
        let batch_len = batch.len();
        let (rows, rejected) = self.rows.apply(batch);
        let graph_fits = rows.len() as f64 > GRAPH_KEPT_SHARE * self.params.exact_items_max as f64;
        if !graph_fits || batch_len > GRAPH_BATCH_MAX {
            self.graph = None;
        }
        if self
            .graph
            .as_ref()
            .is_some_and(|graph| graph.advance(Arc::clone(&rows)).is_err())
        {
            self.graph = None;
        }
        IndexUpdate {
            index: self.index_over(rows),
            rejected,
        }
    }

    /// The index as it is now.
    pub fn publish(&self) -> Arc<EmbeddingIndex> {
        self.index_over(self.rows.publish())
    }

    /// The work that is due: a graph where none serves although the rows are many, or a new one for one full of
    /// tombstones. The owner runs one at a time and [`install`](Self::install)s the result.
    pub fn pending_build(&self) -> Option<GraphBuild> {
        let rows = self.rows.current();
        let is_due = match &self.graph {
            Some(graph) => graph.needs_rebuild(),
            None => rows.len() > self.params.exact_items_max,
        };
        is_due.then(|| GraphBuild {
            rows: self.rows.publish(),
            params: self.params.hnsw,
        })
    }

    /// Lets a built or loaded graph serve, after it has caught up with all changes since it was begun.
    ///
    /// # Errors
    /// [`HnswError::WrongDimension`] when the graph belongs to other vectors; the index then stays as it is.
    pub fn install(&mut self, graph: HnswIndex) -> Result<Arc<EmbeddingIndex>, HnswError> {
        let rows = self.rows.publish();
        graph.advance(Arc::clone(&rows))?;
        self.graph = Some(Arc::new(graph));
        Ok(self.index_over(rows))
    }

    fn index_over(&self, rows: Arc<ExactIndex>) -> Arc<EmbeddingIndex> {
        Arc::new(EmbeddingIndex {
            rows,
            graph: self.graph.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, admit_all};
    use super::*;

    fn upserts(data: &[Vec<f32>], rows: std::ops::Range<usize>) -> Vec<VectorChange> {
        rows.map(|row| VectorChange::Upsert {
            row: row as u32,
            vector: data[row].clone(),
        })
        .collect()
    }

    fn nearest(index: &EmbeddingIndex, query: &[f32]) -> u32 {
        let (mut scratch, mut out) = Default::default();
        index.search(query, 1, &mut admit_all, &mut scratch, &mut out);
        out[0].row
    }

    #[test]
    fn the_graph_takes_over_above_the_limit_follows_changes_and_is_given_up_below_it() {
        let data = testing::clustered(1_600, 8, 10, 0.6, 53);
        let params = IndexParams {
            exact_items_max: 1_000,
            ..IndexParams::default()
        };
        let mut writer = EmbeddingIndexWriter::new(ExactIndex::new(8).expect("a supported dimension"), params);
        writer.apply(upserts(&data, 0..1_000));
        assert!(writer.pending_build().is_none(), "the limit itself is served exactly");
        writer.apply(upserts(&data, 1_000..1_200));
        let build = writer.pending_build().expect("the rows are above the limit");

        // Changes between the start of a build and its end are not lost.
        let update = writer.apply(upserts(&data, 1_200..1_300));
        assert!(update.index.graph().is_none() && update.rejected.is_empty());
        let index = writer
            .install(build.run(BuildThreads::One).expect("settings in range"))
            .expect("one dimension");
        assert!(index.graph().is_some() && writer.pending_build().is_none());
        assert_eq!((index.len(), nearest(&index, &data[1_250])), (1_300, 1_250));

        let index = writer.apply(upserts(&data, 1_300..1_310)).index;
        assert!(index.graph().is_some());
        assert_eq!(
            (nearest(&index, &data[1_305]), index.vector(1_305)),
            (1_305, Some(data[1_305].as_slice()))
        );

        let removals = (0..510).map(|row| VectorChange::Remove { row }).collect();
        assert!(writer.apply(removals).index.graph().is_none());
        assert!(writer.pending_build().is_none());
    }

    #[test]
    fn a_large_batch_is_found_at_once_and_calls_for_a_new_graph() {
        let data = testing::clustered(1_400, 8, 10, 0.6, 59);
        let params = IndexParams {
            exact_items_max: 500,
            ..IndexParams::default()
        };
        let mut writer = EmbeddingIndexWriter::new(ExactIndex::clone(&testing::exact(&data[..600])), params);
        let build = writer.pending_build().expect("the rows are above the limit");
        writer
            .install(build.run(BuildThreads::One).expect("settings in range"))
            .expect("one dimension");
        let index = writer.apply(upserts(&data, 600..1_400)).index;
        assert_eq!(nearest(&index, &data[1_399]), 1_399);
        assert!(index.graph().is_none() && writer.pending_build().is_some());
    }

    #[test]
    fn a_graph_over_other_vectors_is_not_installed() {
        let mut writer = EmbeddingIndexWriter::new(
            ExactIndex::new(3).expect("a supported dimension"),
            IndexParams::default(),
        );
        let rows = testing::exact(&testing::clustered(20, 4, 2, 0.6, 61));
        let graph = HnswIndex::build(rows, HnswParams::default(), BuildThreads::One).expect("settings in range");
        assert!(matches!(
            writer.install(graph),
            Err(HnswError::WrongDimension { expected: 4, found: 3 })
        ));
        assert!(writer.publish().graph().is_none());
    }
}
