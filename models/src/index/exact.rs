//! The exact index: every live row is scored in int8, the best are scored again in `f32`.
//!
//! Owns an immutable snapshot of all vectors; readers share it without locks. Must not change: a writer makes the next
//! snapshot, which shares all blocks that did not change.
//!
//! Memory at 64 dimensions: 64 bytes of codes, 4 of scale and 256 of `f32` a row. Cost: one pass over the codes, which runs
//! at the speed of the cache or memory, whatever the filter lets through.

use std::sync::Arc;

use super::block::{BLOCK_ROWS, Block, CHUNKS};
use super::search::keep_best;
use super::simd::{CHUNK_ROWS, dot_f32, score_chunk};
use super::vector::{DIMENSION_MAX, ROWS_MAX, VectorError};
use super::{Neighbour, SearchScratch, VectorIndex};

/// A snapshot of all vectors, searched exactly.
#[derive(Clone)]
pub struct ExactIndex {
    dimension: usize,
    live: usize,
    /// At least the largest quantisation scale of any row; bounds the error of an int8 score. Never falls, which costs a
    /// few candidates after a removal.
    scale_max: f32,
    blocks: Vec<Arc<Block>>,
}

impl ExactIndex {
    /// An index without rows.
    ///
    /// # Errors
    /// [`VectorError::DimensionUnsupported`] when `dimension` is 0 or above [`DIMENSION_MAX`].
    pub fn new(dimension: usize) -> Result<Self, VectorError> {
        if dimension == 0 || dimension > DIMENSION_MAX {
            return Err(VectorError::DimensionUnsupported(dimension));
        }
        Ok(Self {
            dimension,
            live: 0,
            scale_max: 0.0,
            blocks: Vec::new(),
        })
    }

    /// The unit vector of a row, when it has one.
    #[inline]
    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        let (block, row) = split(row);
        self.blocks.get(block)?.unit(row)
    }

    /// Whether the row holds a vector.
    pub fn contains(&self, row: u32) -> bool {
        let (block, row) = split(row);
        self.blocks.get(block).is_some_and(|block| block.is_live(row))
    }

    /// The cosine of two rows, when both hold a vector.
    pub fn similarity(&self, a: u32, b: u32) -> Option<f32> {
        Some(dot_f32(self.vector(a)?, self.vector(b)?))
    }

    /// All live rows with their unit vectors, by ascending row.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[f32])> {
        self.blocks.iter().enumerate().flat_map(|(block, vectors)| {
            (0..BLOCK_ROWS).filter_map(move |row| vectors.unit(row).map(|unit| (join(block, row), unit)))
        })
    }

    /// The rows that hold a vector in one snapshot only, or another vector in each, ascending. What both snapshots share
    /// costs next to nothing.
    pub(super) fn changed_rows(&self, other: &ExactIndex) -> Vec<u32> {
        let empty = Block::default();
        let mut changed = Vec::new();
        for number in 0..self.blocks.len().max(other.blocks.len()) {
            let mine = self.blocks.get(number).map_or(&empty, |block| block);
            let theirs = other.blocks.get(number).map_or(&empty, |block| block);
            if std::ptr::eq(mine, theirs) {
                continue;
            }
            let rows = (0..BLOCK_ROWS).filter(|&row| !mine.same_row(theirs, row));
            changed.extend(rows.map(|row| join(number, row)));
        }
        changed
    }

    /// Blocks by number, empty ones included.
    pub(super) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Stores the unit vector of a row below [`ROWS_MAX`].
    pub(super) fn set(&mut self, row: u32, unit: &[f32]) {
        debug_assert!(row < ROWS_MAX && unit.len() == self.dimension);
        let (block, row) = split(row);
        if self.blocks.len() <= block {
            self.blocks.resize(block + 1, Arc::default());
        }
        self.live += usize::from(!self.blocks[block].is_live(row));
        let scale = Arc::make_mut(&mut self.blocks[block]).set(row, unit);
        self.scale_max = self.scale_max.max(scale);
    }

    /// Takes the vector of a row away; false when there was none.
    pub(super) fn clear(&mut self, row: u32) -> bool {
        let (block, row) = split(row);
        // Looked at first, so that clearing nothing copies nothing.
        let is_live = self.blocks.get(block).is_some_and(|block| block.is_live(row));
        let cleared = is_live && Arc::make_mut(&mut self.blocks[block]).clear(row);
        self.live -= usize::from(cleared);
        cleared
    }

    /// Searches for the query that `scratch` holds already.
    pub(super) fn search_prepared(
        &self,
        k: usize,
        admit: &mut dyn FnMut(u32) -> bool,
        scratch: &mut SearchScratch,
        out: &mut Vec<Neighbour>,
    ) {
        out.clear();
        let k = k.min(self.live);
        if k == 0 {
            return;
        }
        self.collect_shortlist(k, admit, scratch);
        let query = scratch.query.unit.as_slice();
        out.extend(scratch.shortlist.finish().iter().filter_map(|candidate| {
            let unit = self.vector(candidate.row)?;
            Some(Neighbour {
                row: candidate.row,
                score: dot_f32(query, unit),
            })
        }));
        keep_best(out, k);
    }

    /// One pass over the codes of all blocks.
    fn collect_shortlist(&self, k: usize, admit: &mut dyn FnMut(u32) -> bool, scratch: &mut SearchScratch) {
        let SearchScratch { query, shortlist } = scratch;
        shortlist.start(k, query.scale, self.scale_max);
        let mut scores = [0.0_f32; CHUNK_ROWS];
        for (block_number, block) in self.blocks.iter().enumerate() {
            for chunk in 0..CHUNKS {
                let Some((lines, scales)) = block.chunk(chunk) else {
                    continue;
                };
                let above = score_chunk(lines, &query.codes, scales, shortlist.threshold(), &mut scores);
                let mut promising = above & block.live_bits(chunk);
                while promising != 0 {
                    let bit = promising.trailing_zeros() as usize;
                    promising &= promising - 1;
                    let row = join(block_number, chunk * CHUNK_ROWS + bit);
                    // The threshold may have risen since the kernel looked at it.
                    if scores[bit] > shortlist.threshold() && admit(row) {
                        shortlist.push(row, scores[bit]);
                    }
                }
            }
        }
    }
}

impl VectorIndex for ExactIndex {
    fn dim(&self) -> usize {
        self.dimension
    }

    fn len(&self) -> usize {
        self.live
    }

    fn search(
        &self,
        query: &[f32],
        k: usize,
        admit: &mut dyn FnMut(u32) -> bool,
        scratch: &mut SearchScratch,
        out: &mut Vec<Neighbour>,
    ) {
        out.clear();
        if scratch.query.prepare(query, self.dimension).is_ok() {
            self.search_prepared(k, admit, scratch, out);
        }
    }
}

impl std::fmt::Debug for ExactIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ExactIndex")
            .field("dimension", &self.dimension)
            .field("live", &self.live)
            .field("blocks", &self.blocks.len())
            .finish()
    }
}

fn split(row: u32) -> (usize, usize) {
    (row as usize / BLOCK_ROWS, row as usize % BLOCK_ROWS)
}

fn join(block: usize, row: usize) -> u32 {
    (block * BLOCK_ROWS + row) as u32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, admit_all};
    use super::*;

    #[test]
    fn recall_against_brute_force_on_even_clustered_and_crowded_data() {
        for (rows, dimension, spread) in [
            (10_000, 32, 10.0),
            (10_000, 64, 0.6),
            (10_000, 64, 0.15),
            (5_000, 30, 0.6),
        ] {
            let data = testing::clustered(rows, dimension, 50, spread, 7);
            let index = testing::exact(&data);
            let recall = testing::recall(&*index, &data, 100, 20, &|_| true);
            assert!(
                recall >= 0.999,
                "recall {recall} at {rows} x {dimension}, spread {spread}"
            );
        }
    }

    #[test]
    fn with_the_nearest_thousand_excluded_the_next_hundred_come_back() {
        let data = testing::clustered(5_000, 32, 20, 0.6, 11);
        let index = testing::exact(&data);
        let (mut scratch, mut out) = Default::default();
        let nearest: Vec<u32> = testing::brute_force(&data, &data[42], 1_000, &|_| true);
        let recall = testing::recall_of(&*index, &data, &data[42], 100, &|row| !nearest.contains(&row));
        assert_eq!(recall, 1.0);
        index.search(
            &data[42],
            100,
            &mut |row| !nearest.contains(&row),
            &mut scratch,
            &mut out,
        );
        assert_eq!(out.len(), 100);
    }

    #[test]
    fn a_filter_that_passes_one_in_a_hundred_is_filled_exactly() {
        let data = testing::clustered(10_000, 32, 50, 0.6, 13);
        let index = testing::exact(&data);
        assert_eq!(testing::recall(&*index, &data, 100, 10, &|row| row % 100 == 17), 1.0);
    }

    #[test]
    fn fewer_admissible_rows_than_asked_for_all_come_back_in_order() {
        let data = testing::clustered(3_000, 8, 5, 0.6, 17);
        let index = testing::exact(&data);
        let (mut scratch, mut out) = Default::default();
        index.search(&data[0], 100, &mut |row| row < 7, &mut scratch, &mut out);
        assert_eq!(out.len(), 7);
        assert!(out.is_sorted_by(|a, b| a.score > b.score || (a.score == b.score && a.row < b.row)));
        index.search(&data[0], usize::MAX, &mut admit_all, &mut scratch, &mut out);
        assert_eq!(out.len(), 3_000);
    }

    #[test]
    fn equal_vectors_come_back_by_ascending_row() {
        let data = vec![vec![0.3, -0.4, 0.1]; 2_500];
        let index = testing::exact(&data);
        let (mut scratch, mut out) = Default::default();
        index.search(&[3.0, -4.0, 1.0], 50, &mut admit_all, &mut scratch, &mut out);
        assert_eq!(
            out.iter().map(|found| found.row).collect::<Vec<_>>(),
            (0..50).collect::<Vec<_>>()
        );
        assert!((out[0].score - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_query_without_a_direction_finds_nothing() {
        let index = testing::exact(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
        let mut scratch = SearchScratch::default();
        for query in [
            &[0.0, 0.0][..],
            &[f32::NAN, 1.0],
            &[f32::INFINITY, 1.0],
            &[1.0],
            &[1.0; 3],
            &[],
        ] {
            let mut out = vec![Neighbour { row: 9, score: 9.0 }];
            index.search(query, 2, &mut admit_all, &mut scratch, &mut out);
            assert!(out.is_empty(), "{query:?} found {out:?}");
        }
        let mut out = Vec::new();
        index.search(&[1.0, 0.1], 0, &mut admit_all, &mut scratch, &mut out);
        assert!(out.is_empty());
        index.search(&[1.0, 0.1], 2, &mut admit_all, &mut scratch, &mut out);
        assert_eq!(out.iter().map(|found| found.row).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn unsupported_dimensions_are_refused() {
        for dimension in [0, DIMENSION_MAX + 1] {
            assert_eq!(
                ExactIndex::new(dimension).err(),
                Some(VectorError::DimensionUnsupported(dimension))
            );
        }
    }
}
