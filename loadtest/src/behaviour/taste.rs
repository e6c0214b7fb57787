//! What a viewer likes, hidden from the server.
//!
//! Owns the weights over categories, tags and authors, how they match an item, and how they change. Must not know
//! what a viewer does about it.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use swipeline_models::wire::ItemDto;

use super::draw::{normal, stable_hash, unit};

/// How much the categories count in a match.
const CATEGORY_SHARE: f64 = 0.75;
/// How much the tags count in a match.
const TAG_SHARE: f64 = 0.25;
/// What a followed author adds to a match.
const FOLLOWED_AUTHOR_BONUS: f64 = 0.2;
/// The most followed authors that are remembered.
const FOLLOWED_AUTHORS_MAX: usize = 256;
/// σ of the drift of one category's weight per step.
const DRIFT_SIGMA: f64 = 0.04;
/// What a viewer feels about a category that is neither liked nor disliked.
const NEUTRAL_WEIGHT: f64 = -0.1;
/// What a former favourite weighs after a sudden change.
const FORMER_FAVOURITE_WEIGHT: f64 = -0.2;

/// Weights from -1 (cannot stand it) to 1 (loves it).
#[derive(Debug, Clone)]
pub struct Taste {
    /// Gives every name that is not listed its weight, the same one each time.
    salt: u64,
    categories: BTreeMap<String, f64>,
    followed: Vec<String>,
}

impl Taste {
    /// A taste over these categories: two to four favourites, up to three dislikes, the rest about neutral. Names that
    /// are not listed get a weight too, from their hash.
    pub fn draw(salt: u64, categories: &[String], rng: &mut impl Rng) -> Self {
        let mut weights: BTreeMap<String, f64> = categories
            .iter()
            .map(|name| (name.clone(), NEUTRAL_WEIGHT + 0.08 * normal(rng)))
            .collect();
        let mut order: Vec<&String> = categories.iter().collect();
        shuffle(&mut order, rng);
        let favourite_count = rng.random_range(2..=4_usize).min(order.len().div_ceil(2));
        let disliked_count = rng
            .random_range(1..=3_usize)
            .min(order.len().saturating_sub(favourite_count) / 2);
        for name in order.iter().take(favourite_count) {
            weights.insert((*name).clone(), rng.random_range(0.6..1.0));
        }
        for name in order.iter().skip(favourite_count).take(disliked_count) {
            weights.insert((*name).clone(), rng.random_range(-0.9..-0.4));
        }
        Self {
            salt,
            categories: weights,
            followed: Vec::new(),
        }
    }

    /// How well an item matches, -1 to 1: three quarters its categories (the leading one counts most), one quarter its
    /// tags, and a bonus for an author who is followed.
    #[must_use]
    pub fn match_of(&self, item: &ItemDto) -> f64 {
        let categories = item.categories.as_deref().unwrap_or_default();
        let (mut sum, mut weight_sum) = (0.0, 0.0);
        for (place, name) in categories.iter().enumerate() {
            let weight = 1.0 / (place + 1) as f64;
            sum += weight * self.category(name);
            weight_sum += weight;
        }
        let of_categories = if weight_sum > 0.0 {
            sum / weight_sum
        } else {
            NEUTRAL_WEIGHT
        };
        let tags = item.tags.as_deref().unwrap_or_default();
        let of_tags = tags.iter().map(|tag| self.tag(tag)).sum::<f64>() / tags.len().max(1) as f64;
        let followed = item
            .author_id
            .as_ref()
            .is_some_and(|author| self.followed.contains(author));
        let bonus = if followed { FOLLOWED_AUTHOR_BONUS } else { 0.0 };
        (CATEGORY_SHARE * of_categories + TAG_SHARE * of_tags + bonus).clamp(-1.0, 1.0)
    }

    /// The weight of a category.
    #[must_use]
    pub fn category(&self, name: &str) -> f64 {
        self.categories
            .get(name)
            .copied()
            .unwrap_or_else(|| match unit(stable_hash(self.salt, name)) {
                share if share < 0.12 => 0.75,
                share if share < 0.30 => -0.5,
                _ => NEUTRAL_WEIGHT,
            })
    }

    /// The category that is liked most.
    #[must_use]
    pub fn favourite(&self) -> Option<&str> {
        self.categories
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(name, _)| name.as_str())
    }

    /// Remembers that an author is followed.
    pub fn follow(&mut self, author: &str) {
        if self.followed.iter().any(|known| known == author) {
            return;
        }
        if self.followed.len() >= FOLLOWED_AUTHORS_MAX {
            self.followed.remove(0);
        }
        self.followed.push(author.to_owned());
    }

    /// One step of slow drift: every weight moves a little.
    pub fn drift(&mut self, rng: &mut impl Rng) {
        for weight in self.categories.values_mut() {
            *weight = (*weight + DRIFT_SIGMA * normal(rng)).clamp(-1.0, 1.0);
        }
    }

    /// A sudden change: the favourites are over, one category that was about neutral is the new one. Gives its name,
    /// or `None` when there is no such category.
    pub fn change_suddenly(&mut self, rng: &mut impl Rng) -> Option<String> {
        let neutral: Vec<String> = self
            .categories
            .iter()
            .filter(|(_, weight)| (-0.4..0.3).contains(*weight))
            .map(|(name, _)| name.clone())
            .collect();
        if neutral.is_empty() {
            return None;
        }
        let chosen = neutral[rng.random_range(0..neutral.len())].clone();
        for weight in self.categories.values_mut().filter(|weight| **weight >= 0.3) {
            *weight = FORMER_FAVOURITE_WEIGHT;
        }
        self.categories.insert(chosen.clone(), 0.95);
        Some(chosen)
    }

    fn tag(&self, name: &str) -> f64 {
        match unit(stable_hash(self.salt ^ 0x7a6, name)) {
            share if share < 0.10 => 0.7,
            share if share < 0.18 => -0.6,
            _ => 0.0,
        }
    }
}

/// Fisher-Yates.
fn shuffle<T>(list: &mut [T], rng: &mut impl Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, rng.random_range(0..=last));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{category_names, draw::seeded};
    use super::*;
    use proptest::prelude::*;

    fn item(category: &str) -> ItemDto {
        ItemDto {
            id: "v1".to_owned(),
            categories: Some(vec![category.to_owned()]),
            ..ItemDto::default()
        }
    }

    #[test]
    fn a_sudden_change_turns_the_match_around() {
        let mut rng = seeded(4, "taste", 0);
        let mut taste = Taste::draw(4, &category_names(), &mut rng);
        let before = taste.favourite().expect("has categories").to_owned();
        let after = taste.change_suddenly(&mut rng).expect("something is neutral");
        assert_ne!(before, after);
        assert_eq!(taste.favourite(), Some(after.as_str()));
        assert!(taste.match_of(&item(&after)) > taste.match_of(&item(&before)) + 0.5);
    }

    #[test]
    fn a_followed_author_matches_better() {
        let mut taste = Taste::draw(1, &category_names(), &mut seeded(1, "taste", 0));
        let item = ItemDto {
            author_id: Some("a1".to_owned()),
            ..item("pets")
        };
        let before = taste.match_of(&item);
        taste.follow("a1");
        assert!((taste.match_of(&item) - before - FOLLOWED_AUTHOR_BONUS).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_match_stays_in_its_bounds(seed: u64, names in proptest::collection::vec("[a-z]{1,6}", 0..5), steps in 0..30_u32) {
            let mut rng = seeded(seed, "taste", 0);
            let mut taste = Taste::draw(seed, &names, &mut rng);
            for _ in 0..steps {
                taste.drift(&mut rng);
            }
            taste.change_suddenly(&mut rng);
            let item = ItemDto { categories: Some(names.clone()), tags: Some(names), ..ItemDto::default() };
            prop_assert!((-1.0..=1.0).contains(&taste.match_of(&item)));
        }
    }
}
