//! What one search works with: the prepared query and the shortlist of the rows that may belong to the answer.
//!
//! Owns: the reusable buffers of a searching thread and the rule that decides how many int8 candidates are scored again in
//! `f32`. Must not know where vectors are stored.

use std::cmp::Ordering;

use super::Neighbour;
use super::block::quads;
use super::simd::QUAD;
use super::vector::{VectorError, normalise, quantisation_scale, quantise};

/// Buffers that a searching thread keeps and passes to every search, so that no search allocates for a candidate.
#[derive(Debug, Default)]
pub struct SearchScratch {
    pub(super) query: Query,
    pub(super) shortlist: Shortlist,
}

/// A query in the two forms that a search needs.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The query scaled to length 1.
    pub(super) unit: Vec<f32>,
    /// Its int8 codes, filled up with zeros to whole quads.
    pub(super) codes: Vec<[i8; QUAD]>,
    /// Factor from codes to components.
    pub(super) scale: f32,
}

impl Query {
    /// Takes over a query of any length; an error says why nothing can be near it.
    pub(super) fn prepare(&mut self, query: &[f32], dimension: usize) -> Result<(), VectorError> {
        self.unit.clear();
        self.unit.resize(dimension, 0.0);
        normalise(query, &mut self.unit)?;
        self.scale = quantisation_scale(&self.unit);
        let inverse_scale = self.scale.recip();
        self.codes.clear();
        self.codes.resize(quads(dimension), [0; QUAD]);
        for (quad, components) in self.codes.iter_mut().zip(self.unit.chunks(QUAD)) {
            for (code, &component) in quad.iter_mut().zip(components) {
                *code = quantise(component, inverse_scale);
            }
        }
        Ok(())
    }
}

/// How far, in standard deviations of the int8 error, a row may lie below the `k`-th best and still be scored again.
///
/// The error of a code is uniform over one quantisation step, so with unit vectors an int8 score is off by
/// `sqrt((scale_query² + scale_row²) / 12)` (one standard deviation).
const MARGIN_DEVIATIONS: f32 = 4.0;

/// Most rows that are kept for the second scoring: a crowd of near-duplicates must not grow the answer's cost.
pub(super) fn shortlist_max(k: usize) -> usize {
    k * 4 + 64
}

/// Fewest rows by which the shortlist grows between two sortings-out.
const GROWTH_MIN: usize = 64;

/// The rows whose int8 score may belong to the best `k`. It fills up, is cut back to those near the `k`-th, and each cut
/// raises the threshold below which the scan drops rows unseen.
#[derive(Debug, Default)]
pub(super) struct Shortlist {
    entries: Vec<Neighbour>,
    k: usize,
    margin: f32,
    threshold: f32,
    cut_at: usize,
}

impl Shortlist {
    /// Starts a search for `k` rows. Scores are in units of the query's scale, `row_scale_max` is the largest scale of
    /// any row.
    pub(super) fn start(&mut self, k: usize, query_scale: f32, row_scale_max: f32) {
        self.entries.clear();
        self.k = k;
        let deviation = ((query_scale * query_scale + row_scale_max * row_scale_max) / 12.0).sqrt();
        self.margin = MARGIN_DEVIATIONS * deviation / query_scale;
        self.threshold = f32::NEG_INFINITY;
        self.cut_at = k + k.max(GROWTH_MIN);
    }

    /// A row must score above this to be of use.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Adds a row that scored above the threshold.
    pub(super) fn push(&mut self, row: u32, score: f32) {
        self.entries.push(Neighbour { row, score });
        if self.entries.len() >= self.cut_at {
            self.cut();
        }
    }

    /// The rows to score again, in no order.
    pub(super) fn finish(&mut self) -> &[Neighbour] {
        self.cut();
        &self.entries
    }

    fn cut(&mut self) {
        if self.entries.len() <= self.k {
            return;
        }
        let (_, kth, _) = self.entries.select_nth_unstable_by(self.k - 1, best_first);
        let threshold = kth.score - self.margin;
        self.threshold = self.threshold.max(threshold);
        self.entries.retain(|entry| entry.score >= threshold);
        let most = shortlist_max(self.k);
        if self.entries.len() > most {
            let (_, last, _) = self.entries.select_nth_unstable_by(most - 1, best_first);
            self.threshold = last.score;
            self.entries.truncate(most);
        }
        self.cut_at = self.entries.len() + self.k.max(GROWTH_MIN);
    }
}

/// The order of every answer: higher scores first, equal scores by the smaller row.
pub(super) fn best_first(a: &Neighbour, b: &Neighbour) -> Ordering {
    b.score.total_cmp(&a.score).then(a.row.cmp(&b.row))
}

/// Brings an answer in order and leaves its best `k`.
pub(super) fn keep_best(out: &mut Vec<Neighbour>, k: usize) {
    if out.len() > k && k > 0 {
        out.select_nth_unstable_by(k - 1, best_first);
    }
    out.truncate(k);
    out.sort_unstable_by(best_first);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(k: usize, scores: impl Iterator<Item = f32>) -> Vec<u32> {
        let mut shortlist = Shortlist::default();
        shortlist.start(k, 0.001, 0.001);
        for (row, score) in scores.enumerate() {
            if score > shortlist.threshold() {
                shortlist.push(row as u32, score);
            }
        }
        let mut rows: Vec<u32> = shortlist.finish().iter().map(|entry| entry.row).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn only_rows_within_the_margin_of_the_kth_are_kept() {
        let rows = filled(10, (0..10_000).map(|row| row as f32));
        assert_eq!(rows, (9_989..10_000).collect::<Vec<u32>>());
    }

    #[test]
    fn a_crowd_of_equal_scores_is_bounded_and_the_smaller_rows_win() {
        let rows = filled(10, std::iter::repeat_n(1.0, 10_000));
        assert_eq!(rows, (0..shortlist_max(10) as u32).collect::<Vec<u32>>());
    }

    #[test]
    fn fewer_rows_than_asked_for_are_all_kept() {
        assert_eq!(filled(10, (0..5).map(|row| -(row as f32))), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn answers_are_sorted_by_score_then_row_and_cut_to_length() {
        let entry = |row, score| Neighbour { row, score };
        let mut out = vec![entry(3, 0.5), entry(1, 0.5), entry(2, 0.9), entry(0, f32::NEG_INFINITY)];
        keep_best(&mut out, 3);
        assert_eq!(out, [entry(2, 0.9), entry(1, 0.5), entry(3, 0.5)]);
    }
}
