//! Which points of the graph stand for a row now, and the distance by which the graph orders them.
//!
//! Owns the ids of points and the immutable state that readers of a graph share. Must not touch the graph itself.

use std::sync::Arc;

use hnsw_rs::prelude::Distance;

use super::block::BLOCK_ROWS;
use super::exact::ExactIndex;
use super::{Neighbour, dot_f32};

/// What readers see of the graph. Points that were inserted later are in the graph already, but not yet current.
#[derive(Clone)]
pub(super) struct GraphState {
    pub(super) rows: Arc<ExactIndex>,
    /// Number of the current point of every row, in blocks that states share.
    numbers: Vec<Arc<[u32; BLOCK_ROWS]>>,
    /// Live rows that the graph does not find, ascending; more than [`STRANDED_MAX`] when it is of no use.
    pub(super) stranded: Vec<u32>,
}

impl GraphState {
    /// A state in which no point is current yet.
    pub(super) fn new(rows: Arc<ExactIndex>) -> Self {
        Self {
            rows,
            numbers: Vec::new(),
            stranded: Vec::new(),
        }
    }

    /// Names the current point of a row.
    pub(super) fn set_number(&mut self, row: u32, number: u32) {
        let (block, at) = (row as usize / BLOCK_ROWS, row as usize % BLOCK_ROWS);
        if self.numbers.len() <= block {
            self.numbers.resize_with(block + 1, || Arc::new([0; BLOCK_ROWS]));
        }
        Arc::make_mut(&mut self.numbers[block])[at] = number;
    }

    /// The row of a point, when the point is the row's current one.
    pub(super) fn current_row(&self, id: usize) -> Option<u32> {
        let (row, number) = split_id(id);
        let current = self.numbers.get(row as usize / BLOCK_ROWS)?[row as usize % BLOCK_ROWS];
        (current == number && self.rows.contains(row)).then_some(row)
    }

    /// A row with its cosine to a unit query.
    pub(super) fn score(&self, row: u32, query: &[f32]) -> Option<Neighbour> {
        self.rows.vector(row).map(|unit| Neighbour {
            row,
            score: dot_f32(query, unit),
        })
    }
}

/// 1 - cosine of unit vectors, never negative and never NaN: hnsw_rs panics on both, and its own dot distance becomes
/// negative by rounding on a third of all searches for a point's own vector.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClampedCosine;

impl Distance<f32> for ClampedCosine {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        let distance = 1.0 - dot_f32(a, b);
        // 2 is the largest distance of unit vectors; whatever is not a number lies farthest away.
        if distance.is_nan() {
            2.0
        } else {
            distance.clamp(0.0, 2.0)
        }
    }
}

// A point's id is a `usize` with the row in its lower and the running number in its upper half.
const _: () = assert!(usize::BITS >= 64, "the graph needs 64-bit ids");

/// The id of a row's point with this running number.
pub(super) fn point_id(row: u32, number: u32) -> usize {
    (number as usize) << 32 | row as usize
}

/// Row and running number of a point.
pub(super) fn split_id(id: usize) -> (u32, u32) {
    (id as u32, (id >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn only_the_latest_point_of_a_live_row_is_current() {
        let mut state = GraphState::new(testing::exact(&[vec![1.0, 0.0], vec![0.0, 1.0]]));
        state.set_number(0, 7);
        state.set_number(1, 8);
        state.set_number(5_000, 9);
        let earlier = state.clone();
        state.set_number(1, 10);
        assert_eq!(state.current_row(point_id(0, 7)), Some(0));
        assert_eq!(state.current_row(point_id(1, 8)), None, "a later point has taken over");
        assert_eq!(state.current_row(point_id(1, 10)), Some(1));
        assert_eq!(state.current_row(point_id(5_000, 9)), None, "the row holds no vector");
        assert_eq!(state.current_row(point_id(90_000, 0)), None);
        assert_eq!(
            earlier.current_row(point_id(1, 8)),
            Some(1),
            "an earlier state stays as it was"
        );
        assert_eq!(split_id(point_id(u32::MAX, u32::MAX - 1)), (u32::MAX, u32::MAX - 1));
    }

    #[test]
    fn the_distance_is_never_negative_nor_nan() {
        let data = testing::clustered(500, 64, 5, 0.6, 47);
        for vector in &data {
            assert!(ClampedCosine.eval(vector, vector) >= 0.0);
        }
        assert_eq!(ClampedCosine.eval(&[f32::NAN], &[1.0]), 2.0);
        assert_eq!(ClampedCosine.eval(&[-1.0], &[1.0]), 2.0);
    }
}
