//! Item-to-item neighbours by the cosine of their audiences, learned event by event.
//!
//! Source: Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001.

use rustc_hash::{FxHashMap, FxHashSet};

/// The most items of one user that count; a user who has more starts no new pairs.
const USER_ITEMS_MAX: usize = 4_096;

/// Counts how many users two items share.
#[derive(Debug, Clone, Default)]
pub struct ItemKnn {
    items_of: FxHashMap<u32, Vec<u32>>,
    seen: FxHashSet<(u32, u32)>,
    users_of: Vec<u32>,
    shared: Vec<FxHashMap<u32, u32>>,
}

impl ItemKnn {
    /// Nothing learned yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `user` had `item`; a repetition changes nothing.
    pub fn learn(&mut self, user: u32, item: u32) {
        let place = item as usize;
        if place >= self.users_of.len() {
            self.users_of.resize(place + 1, 0);
            self.shared.resize(place + 1, FxHashMap::default());
        }
        let items = self.items_of.entry(user).or_default();
        if items.len() >= USER_ITEMS_MAX || !self.seen.insert((user, item)) {
            return;
        }
        for other in items.iter() {
            *self.shared[place].entry(*other).or_default() += 1;
            *self.shared[*other as usize].entry(item).or_default() += 1;
        }
        items.push(item);
        self.users_of[place] += 1;
    }

    /// Adds, for every item of `context`, the cosines of its neighbours to `scores` (one entry per item).
    pub fn scores_into(&self, context: impl Iterator<Item = u32>, scores: &mut [f32]) {
        for item in context {
            let Some(neighbours) = self.shared.get(item as usize) else {
                continue;
            };
            let own = self.users_of[item as usize] as f32;
            for (neighbour, shared) in neighbours {
                let cosine = *shared as f32 / (own * self.users_of[*neighbour as usize] as f32).sqrt();
                scores[*neighbour as usize] += cosine;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_cosine_of_the_audiences() {
        let mut knn = ItemKnn::new();
        // Item 0: users 1, 2, 3; item 1: users 1, 2; item 2: user 3.
        for (user, item) in [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 2), (1, 0)] {
            knn.learn(user, item);
        }
        let mut scores = vec![0.0; 4];
        knn.scores_into([0, 9].into_iter(), &mut scores);
        let expected = [0.0, 2.0 / 6.0_f32.sqrt(), 1.0 / 3.0_f32.sqrt(), 0.0];
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6, "{scores:?}");
        }
    }
}
