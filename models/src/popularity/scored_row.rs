//! A row with its score, and the one order in which scored rows are listed everywhere.
//!
//! Owns the order (best first, equal scores by the smaller row, what is not finite last) and partial selection. Must
//! not know where a score comes from.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::ids::Row;

/// An item and how well it did; the unit of the score is its maker's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredRow {
    /// Dense catalogue row of the item.
    pub row: Row,
    /// The higher, the better.
    pub score: f32,
}

impl ScoredRow {
    /// Best first, equal scores by the smaller row. A score that is not a number counts as the lowest of all, so that
    /// it sinks instead of leading the list.
    #[must_use]
    pub fn best_first(&self, other: &ScoredRow) -> Ordering {
        let rank = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        rank(other.score)
            .total_cmp(&rank(self.score))
            .then(self.row.cmp(&other.row))
    }
}

/// Cuts `rows` to the `limit` best, best first. O(n + limit · log limit), no allocation.
pub fn keep_best(rows: &mut Vec<ScoredRow>, limit: usize) {
    if limit == 0 {
        rows.clear();
        return;
    }
    if rows.len() > limit {
        rows.select_nth_unstable_by(limit - 1, ScoredRow::best_first);
        rows.truncate(limit);
    }
    rows.sort_unstable_by(ScoredRow::best_first);
}

/// [`keep_best`], or all of them in any order for a caller who chooses among them (`None`).
pub(crate) fn keep_best_or_all(rows: &mut Vec<ScoredRow>, limit: Option<usize>) {
    if let Some(limit) = limit {
        keep_best(rows, limit);
    }
}

/// Keeps the `limit` best of the rows that `admits` lets through, best first. Asks from the best down and no longer than
/// it must: to ask is to visit the item's memory, which costs more than everything else here.
/// `fetch` brings what is about to be asked into the caches.
pub(crate) fn keep_best_admitted(
    rows: &mut Vec<ScoredRow>,
    limit: usize,
    fetch: impl Fn(&[ScoredRow]),
    mut admits: impl FnMut(Row) -> bool,
) {
    let (mut kept, mut asked) = (0, 0);
    while kept < limit && asked < rows.len() {
        let step = (limit - kept).saturating_mul(2).min(rows.len() - asked);
        let rest = &mut rows[asked..];
        if step < rest.len() {
            rest.select_nth_unstable_by(step - 1, ScoredRow::best_first);
        }
        rest[..step].sort_unstable_by(ScoredRow::best_first);
        fetch(&rest[..step]);
        for place in asked..asked + step {
            if kept < limit && admits(rows[place].row) {
                rows[kept] = rows[place];
                kept += 1;
            }
        }
        asked += step;
    }
    rows.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(scores: &[f32]) -> Vec<ScoredRow> {
        scores
            .iter()
            .zip(0..)
            .map(|(&score, row)| ScoredRow { row, score })
            .collect()
    }

    #[test]
    fn what_is_not_a_number_sinks_and_ties_go_by_row() {
        let mut rows = scored(&[f32::NAN, 1.0, f32::NEG_INFINITY, 2.0, 1.0]);
        keep_best(&mut rows, 10);
        assert_eq!(rows.iter().map(|found| found.row).collect::<Vec<_>>(), [3, 1, 4, 0, 2]);
    }

    proptest! {
        #[test]
        fn selection_equals_sorting(scores in prop::collection::vec(-3..3_i8, 0..60), limit in 0..70_usize) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let mut expected = scored(&scores);
            expected.sort_by(ScoredRow::best_first);
            expected.truncate(limit);
            let mut found = scored(&scores);
            keep_best(&mut found, limit);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn asking_late_equals_asking_first(scores in prop::collection::vec(-9..9_i8, 0..60), limit in 0..70_usize, modulus in 1..5_u32) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let admits = |row: Row| !row.is_multiple_of(modulus);
            let mut expected = scored(&scores);
            expected.retain(|one| admits(one.row));
            keep_best(&mut expected, limit);
            let mut found = scored(&scores);
            keep_best_admitted(&mut found, limit, |_| (), admits);
            prop_assert_eq!(found, expected);
        }
    }
}
