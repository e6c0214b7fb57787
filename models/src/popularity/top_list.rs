//! The best k of a stream of scored rows, in memory for 2 k.
//!
//! Owns the selection. Must not know what the rows are.

use super::scored_row::{ScoredRow, keep_best, keep_best_unordered};

/// Collects the best `limit` rows. Amortised O(1) per row: rows at or below the last cut are refused by one comparison.
#[derive(Debug, Clone, Default)]
pub(super) struct TopList {
    rows: Vec<ScoredRow>,
    /// The worst row of the last cut; only what comes before it can still be among the best.
    bar: Option<ScoredRow>,
}

impl TopList {
    /// Offers a row; one with a score that is not finite is refused.
    pub(super) fn offer(&mut self, offered: ScoredRow, limit: usize) {
        let refused = self.bar.is_some_and(|bar| offered.best_first(&bar).is_gt());
        if refused || limit == 0 || !offered.score.is_finite() {
            return;
        }
        self.rows.push(offered);
        if self.rows.len() >= 2 * limit {
            keep_best_unordered(&mut self.rows, limit);
            self.bar = self.rows.iter().copied().max_by(ScoredRow::best_first);
        }
    }

    /// The best `limit`, best first.
    pub(super) fn into_best(mut self, limit: usize) -> Box<[ScoredRow]> {
        keep_best(&mut self.rows, limit);
        self.rows.into_boxed_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_sorting_the_whole_stream(scores in prop::collection::vec(0..20_i8, 0..200), limit in 0..12_usize) {
            let rows = scores.into_iter().zip(0..).map(|(score, row)| ScoredRow { row, score: f32::from(score) });
            let mut expected: Vec<ScoredRow> = rows.clone().collect();
            keep_best(&mut expected, limit);
            let mut list = TopList::default();
            rows.for_each(|row| list.offer(row, limit));
            prop_assert_eq!(list.into_best(limit).to_vec(), expected);
        }
    }
}
