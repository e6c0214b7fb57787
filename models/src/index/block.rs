//! A fixed number of consecutive catalogue rows with their vectors: the unit of copy-on-write between snapshots.
//!
//! Owns the memory layout: `f32` rows one after another for single-row access, int8 codes interleaved for the scan, and one
//! bit per live row. Must not validate: what arrives here is a unit vector of the right dimension.
//!
//! Row counts are multiples of 60 and not of 64 for the allocator's sake: mimalloc gives a piece of 16 KB or 64 KB a quarter
//! more than that, and one that is a little smaller almost nothing more. At a million rows that is 80 MB.

use std::sync::Arc;

use super::simd::{CHUNK_ROWS, LANES, Line, QUAD};
use super::vector::{quantisation_scale, quantise};

/// Rows of a block. A change copies their codes (60 KB at 64 dimensions) and the `f32` rows of one piece (15 KB).
pub(super) const BLOCK_ROWS: usize = 960;

/// Rows whose `f32` form lies in one allocation.
const PIECE_ROWS: usize = 60;
const PIECES: usize = BLOCK_ROWS / PIECE_ROWS;

/// Kernel calls that a block takes.
pub(super) const CHUNKS: usize = BLOCK_ROWS / CHUNK_ROWS;

/// Number of quads that hold `dimension` components; the last is filled up with zeros.
pub(super) fn quads(dimension: usize) -> usize {
    dimension.div_ceil(QUAD)
}

/// [`BLOCK_ROWS`] rows. Cloning shares the vectors; a change copies those that another snapshot still looks at.
#[derive(Clone, Default)]
pub(super) struct Block {
    /// Bit `row % 64` of word `row / 64`: whether the row holds a vector.
    live: [u64; CHUNKS],
    /// Nothing while no row is live, so that a gap in the rows costs no memory. Rows that are not live keep the codes they
    /// had.
    codes: Option<Arc<Codes>>,
    /// The unit vectors, [`PIECE_ROWS`] rows each; nothing where no row is live.
    units: [Option<Arc<Units>>; PIECES],
}

/// The unit vectors of a piece, one after another.
#[derive(Clone)]
struct Units(Box<[f32]>);

/// The int8 form of a block's vectors.
#[derive(Clone)]
struct Codes {
    scales: [f32; BLOCK_ROWS],
    lines: Box<[Line]>,
}

impl Block {
    /// Stores the unit vector of a row; returns its quantisation scale.
    pub(super) fn set(&mut self, row: usize, unit: &[f32]) -> f32 {
        let dimension = unit.len();
        let codes = self.codes.get_or_insert_with(|| Arc::new(Codes::new(dimension)));
        let scale = Arc::make_mut(codes).set(row, unit);
        let new_piece = || Arc::new(Units(vec![0.0; PIECE_ROWS * dimension].into_boxed_slice()));
        let piece = Arc::make_mut(self.units[row / PIECE_ROWS].get_or_insert_with(new_piece));
        piece.0[row % PIECE_ROWS * dimension..(row % PIECE_ROWS + 1) * dimension].copy_from_slice(unit);
        self.live[row / CHUNK_ROWS] |= 1 << (row % CHUNK_ROWS);
        scale
    }

    /// Takes the vector of a row away; false when there was none.
    pub(super) fn clear(&mut self, row: usize) -> bool {
        if !self.is_live(row) {
            return false;
        }
        self.live[row / CHUNK_ROWS] &= !(1 << (row % CHUNK_ROWS));
        let piece = row / PIECE_ROWS;
        if !(piece * PIECE_ROWS..(piece + 1) * PIECE_ROWS).any(|row| self.is_live(row)) {
            self.units[piece] = None;
        }
        if self.is_empty() {
            self.codes = None;
        }
        true
    }

    /// Whether the row holds a vector.
    pub(super) fn is_live(&self, row: usize) -> bool {
        self.live[row / CHUNK_ROWS] >> (row % CHUNK_ROWS) & 1 == 1
    }

    /// Whether no row holds a vector.
    pub(super) fn is_empty(&self) -> bool {
        self.live == [0; CHUNKS]
    }

    /// The live rows of a chunk as bits.
    pub(super) fn live_bits(&self, chunk: usize) -> u64 {
        self.live[chunk]
    }

    /// The unit vector of a row.
    #[inline]
    pub(super) fn unit(&self, row: usize) -> Option<&[f32]> {
        if !self.is_live(row) {
            return None;
        }
        let units = &self.units[row / PIECE_ROWS].as_deref()?.0;
        let dimension = units.len() / PIECE_ROWS;
        units.get(row % PIECE_ROWS * dimension..(row % PIECE_ROWS + 1) * dimension)
    }

    /// The codes and scales of a chunk, in the form that the kernel takes; nothing when no row is live in it.
    pub(super) fn chunk(&self, chunk: usize) -> Option<(&[Line], &[f32; CHUNK_ROWS])> {
        if self.live[chunk] == 0 {
            return None;
        }
        let codes = self.codes.as_deref()?;
        let lines_per_chunk = codes.lines.len() / CHUNKS;
        let lines = &codes.lines[chunk * lines_per_chunk..(chunk + 1) * lines_per_chunk];
        codes
            .scales
            .as_chunks::<CHUNK_ROWS>()
            .0
            .get(chunk)
            .map(|scales| (lines, scales))
    }

    /// Whether both hold the same vector in a row, or none; vectors that both share are not looked at.
    pub(super) fn same_row(&self, other: &Block, row: usize) -> bool {
        match (self.unit(row), other.unit(row)) {
            (Some(mine), Some(theirs)) => std::ptr::eq(mine, theirs) || mine == theirs,
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }
}

impl Codes {
    fn new(dimension: usize) -> Self {
        let lines = vec![Line([0; LANES * QUAD]); BLOCK_ROWS / LANES * quads(dimension)];
        Self {
            scales: [0.0; BLOCK_ROWS],
            lines: lines.into_boxed_slice(),
        }
    }

    fn set(&mut self, row: usize, unit: &[f32]) -> f32 {
        let scale = quantisation_scale(unit);
        let inverse_scale = scale.recip();
        self.scales[row] = scale;
        let quads = quads(unit.len());
        let group = &mut self.lines[row / LANES * quads..(row / LANES + 1) * quads];
        for (line, components) in group.iter_mut().zip(unit.chunks(QUAD)) {
            let lane = row % LANES * QUAD;
            for (code, &component) in line.0[lane..lane + QUAD].iter_mut().zip(components) {
                *code = quantise(component, inverse_scale);
            }
        }
        scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: usize = BLOCK_ROWS - 1;

    #[test]
    fn rows_come_and_go_and_emptied_pieces_are_freed() {
        let mut block = Block::default();
        assert!(block.unit(5).is_none());
        block.set(5, &[0.6, 0.8, 0.0]);
        block.set(LAST, &[0.0, 0.0, 1.0]);
        assert_eq!(block.unit(5), Some(&[0.6, 0.8, 0.0][..]));
        assert_eq!(block.unit(LAST), Some(&[0.0, 0.0, 1.0][..]));
        assert!(block.clear(5) && !block.clear(5));
        assert!(block.unit(5).is_none() && block.units[0].is_none() && block.codes.is_some());
        assert!(block.clear(LAST));
        assert!(block.is_empty() && block.codes.is_none() && block.units.iter().all(Option::is_none));
    }

    #[test]
    fn a_clone_keeps_what_it_saw_and_shares_what_did_not_change() {
        let mut block = Block::default();
        block.set(0, &[1.0, 0.0]);
        block.set(PIECE_ROWS, &[1.0, 0.0]);
        let seen = block.clone();
        block.set(0, &[0.0, 1.0]);
        assert_eq!(seen.unit(0), Some(&[1.0, 0.0][..]));
        assert_eq!(block.unit(0), Some(&[0.0, 1.0][..]));
        assert_eq!(
            [0, 1, PIECE_ROWS].map(|row| seen.same_row(&block, row)),
            [false, true, true]
        );
        assert!(std::ptr::eq(
            seen.unit(PIECE_ROWS).expect("live"),
            block.unit(PIECE_ROWS).expect("live")
        ));
        let before_removal = block.clone();
        block.clear(PIECE_ROWS);
        assert!(before_removal.is_live(PIECE_ROWS) && !before_removal.same_row(&block, PIECE_ROWS));
    }
}
