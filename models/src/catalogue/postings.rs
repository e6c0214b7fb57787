//! Which rows carry a word: the inverted lists behind the recall by tags, categories and followed authors.

use std::hash::Hash;

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use crate::ids::{Row, Word};

/// Lists of rows by word, ascending: rows are given in the order in which items come, so the last ones are the newest,
/// and the order is the same after a restart. Bounded by the catalogue itself.
#[derive(Debug)]
pub struct Postings<K: Copy + Eq + Hash = Word> {
    lists: DashMap<K, Vec<Row>, FxBuildHasher>,
}

impl<K: Copy + Eq + Hash> Default for Postings<K> {
    fn default() -> Self {
        Self {
            lists: DashMap::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> Postings<K> {
    /// Moves a row from the lists of its words before to those of its words after. A list that it stays in is not
    /// touched: most updates of an item keep its words.
    pub(super) fn move_row(&self, row: Row, before: &[K], after: &[K]) {
        let gone = before.iter().filter(|word| !after.contains(word));
        gone.for_each(|word| self.remove(*word, row));
        let come = after.iter().filter(|word| !before.contains(word));
        come.for_each(|word| self.insert(*word, row));
    }

    /// Adds a row to a word's list.
    fn insert(&self, word: K, row: Row) {
        let mut list = self.lists.entry(word).or_default();
        if let Err(place) = list.binary_search(&row) {
            list.insert(place, row);
        }
    }

    /// Takes a row out of a word's list; an empty list is dropped.
    fn remove(&self, word: K, row: Row) {
        if let Some(mut list) = self.lists.get_mut(&word)
            && let Ok(place) = list.binary_search(&row)
        {
            list.remove(place);
        }
        self.lists.remove_if(&word, |_, list| list.is_empty());
    }

    /// Puts up to `newest` of the latest rows of a word into `out`, and up to `spread` more, evenly spread over the
    /// rest of the list from `offset` on, so that repeated calls with other offsets reach every row.
    pub fn sample(&self, word: K, newest: usize, spread: usize, offset: usize, out: &mut Vec<Row>) {
        let Some(list) = self.lists.get(&word) else { return };
        let older = list.len().saturating_sub(newest);
        out.extend_from_slice(&list[older..]);
        if older == 0 || spread == 0 {
            return;
        }
        let step = older.div_ceil(spread);
        out.extend((offset % step..older).step_by(step).map(|place| list[place]));
    }

    /// All rows of a word.
    #[must_use]
    pub fn copy(&self, word: K) -> Vec<Row> {
        self.lists.get(&word).map(|list| list.clone()).unwrap_or_default()
    }

    /// How many rows carry a word.
    #[must_use]
    pub fn count(&self, word: K) -> usize {
        self.lists.get(&word).map_or(0, |list| list.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_moves_between_lists_that_stay_ascending() {
        let postings = Postings::<Word>::default();
        (0..3).for_each(|row| postings.move_row(row, &[], &[1, 2]));
        postings.move_row(0, &[1, 2], &[2, 3]);
        assert_eq!(postings.copy(1), [1, 2]);
        assert_eq!(postings.copy(2), [0, 1, 2]);
        postings.move_row(1, &[], &[3]);
        postings.move_row(0, &[3], &[3, 1]);
        assert_eq!((postings.copy(1), postings.copy(3)), (vec![0, 1, 2], vec![0, 1]));
        postings.move_row(0, &[1, 2, 3], &[]);
        postings.move_row(1, &[3], &[]);
        assert_eq!((postings.copy(2), postings.count(3)), (vec![1, 2], 0));
    }

    #[test]
    fn a_sample_has_the_newest_and_offsets_reach_the_rest() {
        let postings = Postings::<Word>::default();
        (0..100).for_each(|row| postings.insert(7, row));
        let mut reached = std::collections::BTreeSet::new();
        for offset in 0..9 {
            let mut out = Vec::new();
            postings.sample(7, 10, 10, offset, &mut out);
            assert!(out.len() <= 20 && out[..10] == (90..100).collect::<Vec<_>>()[..]);
            reached.extend(out);
        }
        assert_eq!(reached.len(), 100);
    }
}
