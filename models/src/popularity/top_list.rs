//! The best k of a stream of scored rows, in memory for 2 k.
//!
//! Owns the selection. Must not know what the rows are.

use super::scored_row::ScoredRow;
use crate::ids::Row;

/// Collects the best `limit` rows. Amortised O(1) per row: rows behind the last cut are refused by one comparison.
///
/// A row is kept as one integer whose ascending order is that of [`ScoredRow::best_first`]: trending lists sort a
/// million rows a build, and integers sort several times faster than a comparison of two fields.
#[derive(Debug, Clone)]
pub(super) struct TopList {
    keys: Vec<u64>,
    /// The worst key of the last cut; only a smaller one can still be among the best.
    bar: u64,
}

impl Default for TopList {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            bar: u64::MAX,
        }
    }
}

impl TopList {
    /// Offers a row; one with a score that is not finite is refused.
    pub(super) fn offer(&mut self, offered: ScoredRow, limit: usize) {
        let key = key_of(offered);
        if key > self.bar || limit == 0 || !offered.score.is_finite() {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= 2 * limit {
            let (_, worst, _) = self.keys.select_nth_unstable(limit - 1);
            self.bar = *worst;
            self.keys.truncate(limit);
        }
    }

    /// The best `limit`, best first.
    pub(super) fn into_best(mut self, limit: usize) -> Box<[ScoredRow]> {
        if limit > 0 && self.keys.len() > limit {
            self.keys.select_nth_unstable(limit - 1);
        }
        self.keys.truncate(limit);
        self.keys.sort_unstable();
        self.keys.into_iter().map(row_of).collect()
    }
}

/// The higher the score and then the smaller the row, the smaller the key.
fn key_of(scored: ScoredRow) -> u64 {
    let bits = scored.score.to_bits();
    // The bits of floats of one sign are in order, of negative ones in reverse; this makes one ascending order of both.
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!ascending) << 32 | u64::from(scored.row)
}

/// The row that a key was made of.
fn row_of(key: u64) -> ScoredRow {
    let ascending = !((key >> 32) as u32);
    let bits = if ascending >> 31 == 1 {
        ascending & !(1 << 31)
    } else {
        !ascending
    };
    ScoredRow {
        row: key as Row,
        score: f32::from_bits(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::popularity::keep_best;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_keep_row_score_and_order(a in any::<(Row, f32)>(), b in any::<(Row, f32)>()) {
            let [a, b] = [a, b].map(|(row, score)| ScoredRow { row, score: if score.is_nan() { 0.0 } else { score } });
            prop_assert_eq!(row_of(key_of(a)), a);
            prop_assert_eq!(key_of(a).cmp(&key_of(b)), a.best_first(&b));
        }

        #[test]
        fn it_equals_sorting_the_whole_stream(scores in prop::collection::vec(-9..9_i8, 0..200), limit in 0..12_usize) {
            let rows = scores.into_iter().zip(0..).map(|(score, row)| ScoredRow { row, score: f32::from(score) / 3.0 });
            let mut expected: Vec<ScoredRow> = rows.clone().collect();
            keep_best(&mut expected, limit);
            let mut list = TopList::default();
            rows.for_each(|row| list.offer(row, limit));
            prop_assert_eq!(list.into_best(limit).to_vec(), expected);
        }
    }
}
