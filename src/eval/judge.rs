//! Where the target stands in an answer, and which items would have been shown.
//!
//! Owns the rule of ranks: higher scores first, among equal scores the smaller original id. Scores that are no numbers
//! sink to the end.

use super::item_set::ItemSet;
use super::method::{Answer, AnswerView};

/// How many items count as shown.
pub(crate) const SHOWN: usize = 10;

/// Judges the answers over one catalogue.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    id_places: Vec<u32>,
}

impl Judge {
    /// `id_places` is each item's place in the order of the original ids.
    pub(crate) fn new(id_places: Vec<u32>) -> Self {
        Self { id_places }
    }

    /// The target's rank, from 1; `None` is a miss: it was no candidate, or is not in the list.
    pub(crate) fn rank(&self, answer: &Answer, target: u32, candidates: &ItemSet) -> Option<u32> {
        if !candidates.contains(target) {
            return None;
        }
        match answer.view() {
            AnswerView::List(list) => (1..).zip(list).find(|(_, item)| **item == target).map(|(rank, _)| rank),
            AnswerView::Scores(scores) => {
                let own = self.key(scores, target);
                let better = candidates.iter().filter(|item| self.key(scores, *item) < own);
                Some(better.count() as u32 + 1)
            }
        }
    }

    /// The first [`SHOWN`] items of the answer.
    pub(crate) fn shown(&self, answer: &Answer, candidates: &ItemSet, shown: &mut Vec<u32>) {
        shown.clear();
        match answer.view() {
            AnswerView::List(list) => shown.extend(list.iter().take(SHOWN)),
            AnswerView::Scores(scores) => {
                let mut worst = None;
                for item in candidates.iter() {
                    let key = self.key(scores, item);
                    if worst.is_some_and(|worst| key > worst) {
                        continue;
                    }
                    let place = shown.partition_point(|other| self.key(scores, *other) < key);
                    shown.insert(place, item);
                    shown.truncate(SHOWN);
                    if shown.len() == SHOWN {
                        worst = shown.last().map(|last| self.key(scores, *last));
                    }
                }
            }
        }
    }

    /// Smaller is better: the score turned round, then the place of the id.
    fn key(&self, scores: &[f32], item: u32) -> (f32, u32) {
        let score = scores.get(item as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let turned = if score.is_nan() { f32::INFINITY } else { -score };
        (turned, self.id_places[item as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        // The original ids are in the opposite order of the numbers.
        Judge::new((0..12).rev().collect())
    }

    fn scored(scores: &[f32]) -> Answer {
        let mut answer = Answer::default();
        answer.scores(scores.len()).copy_from_slice(scores);
        answer
    }

    #[test]
    fn equal_scores_are_ordered_by_the_smaller_original_id() {
        let answer = scored(&[0.5, 0.5, 0.9, f32::NAN, -0.0, 0.0]);
        let candidates = ItemSet::full(6);
        let ranks: Vec<_> = (0..6).map(|item| judge().rank(&answer, item, &candidates)).collect();
        assert_eq!(ranks, [Some(3), Some(2), Some(1), Some(6), Some(5), Some(4)]);
        let mut shown = Vec::new();
        judge().shown(&answer, &candidates, &mut shown);
        assert_eq!(shown, [2, 1, 0, 5, 4, 3]);
    }

    #[test]
    fn what_is_no_candidate_neither_counts_nor_is_found() {
        let answer = scored(&[0.1, 0.2, 0.3]);
        let mut candidates = ItemSet::full(3);
        candidates.remove(2);
        assert_eq!(judge().rank(&answer, 0, &candidates), Some(2));
        assert_eq!(judge().rank(&answer, 2, &candidates), None);
    }

    #[test]
    fn the_rank_in_a_list_is_the_place() {
        let mut answer = Answer::default();
        answer.list().extend([4, 2]);
        let candidates = ItemSet::full(6);
        assert_eq!(judge().rank(&answer, 2, &candidates), Some(2));
        assert_eq!(judge().rank(&answer, 0, &candidates), None);
    }

    #[test]
    fn no_more_than_ten_are_shown_best_first() {
        let answer = scored(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        let mut shown = Vec::new();
        judge().shown(&answer, &ItemSet::full(12), &mut shown);
        assert_eq!(shown, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    }
}
