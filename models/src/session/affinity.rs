//! Decayed weights per word: how much a viewer cares for some tags, categories or authors.

use crate::ids::Word;

/// A bounded list of words with weights; of too many the weakest goes. Small enough to be searched from end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Affinities {
    weights: Vec<(Word, f32)>,
}

impl Affinities {
    /// Adds to a word's weight. At most `words_max` words are kept.
    pub fn add(&mut self, word: Word, weight: f32, words_max: usize) {
        if !weight.is_finite() || weight == 0.0 {
            return;
        }
        if let Some(place) = self.weights.iter().position(|(known, _)| *known == word) {
            self.weights[place].1 += weight;
            // What cancels out is not known any more, and takes no place.
            if self.weights[place].1 == 0.0 {
                self.weights.remove(place);
            }
            return;
        }
        if self.weights.len() < words_max {
            self.weights.push((word, weight));
            return;
        }
        let weakest = self.weights.iter_mut().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        if let Some(weakest) = weakest.filter(|weakest| weakest.1.abs() < weight.abs()) {
            *weakest = (word, weight);
        }
    }

    /// How many bytes the list holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        super::held(&self.weights)
    }

    /// Multiplies every weight.
    pub fn scale(&mut self, factor: f32) {
        self.weights.iter_mut().for_each(|(_, weight)| *weight *= factor);
        self.weights.retain(|(_, weight)| weight.abs() > 1e-6);
    }

    /// The raw weight of a word; 0 when unknown.
    #[must_use]
    pub fn raw(&self, word: Word) -> f32 {
        self.weights
            .iter()
            .find(|(known, _)| *known == word)
            .map_or(0.0, |(_, weight)| *weight)
    }

    /// The weight of several words together, squashed to -1..1.
    #[must_use]
    pub fn of(&self, words: &[Word]) -> f32 {
        squash(words.iter().map(|word| self.raw(*word)).sum())
    }

    /// Words and raw weights, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Word, f32)> + '_ {
        self.weights.iter().copied()
    }

    /// The words with the highest positive weights, best first.
    pub fn strongest(&self, count: usize) -> Vec<(Word, f32)> {
        let mut positive: Vec<(Word, f32)> = self.iter().filter(|(_, weight)| *weight > 0.0).collect();
        positive.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        positive.truncate(count);
        positive
    }
}

/// Any weight to -1..1: 1 becomes 0.5, 3 becomes 0.75.
#[must_use]
pub fn squash(weight: f32) -> f32 {
    weight / (1.0 + weight.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_word_makes_room() {
        let mut affinities = Affinities::default();
        for (word, weight) in [(1, 0.5), (2, -2.0), (3, 0.1)] {
            affinities.add(word, weight, 3);
        }
        affinities.add(4, 0.05, 3);
        assert_eq!(affinities.raw(4), 0.0);
        affinities.add(5, 1.0, 3);
        assert_eq!((affinities.raw(3), affinities.raw(5)), (0.0, 1.0));
        assert_eq!(affinities.strongest(5), vec![(5, 1.0), (1, 0.5)]);
    }
}
