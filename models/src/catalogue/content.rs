//! Embeddings from content: what an item without an embedding of its own gets, so that no item is unreachable.
//!
//! Owns the formula: signed feature hashing (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask
//! Learning") with dense signs: every word (a category, a tag, ...) is a pseudo-random vector of ±1 derived from its
//! hash, an item is the weighted sum of its words. Items that share words lie near each other, others are nearly
//! orthogonal.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::item::Item;

/// Weights of the kinds of words; the leading category says most.
const CATEGORY_WEIGHT: f32 = 1.0;
const TAG_WEIGHT: f32 = 0.7;
const AUTHOR_WEIGHT: f32 = 0.5;
const TITLE_WORD_WEIGHT: f32 = 0.25;
/// The most words of a title that count.
const TITLE_WORDS_MAX: usize = 16;
/// What the item's own id adds, so that equal contents do not lie on the very same point and none is zero.
const ID_WEIGHT: f32 = 0.05;

/// The content's vector with `dimension` components, not normalised, never zero.
#[must_use]
pub fn content_vector(item: &Item, dimension: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimension];
    for (place, category) in item.categories.iter().enumerate() {
        let weight = if place == 0 {
            CATEGORY_WEIGHT
        } else {
            CATEGORY_WEIGHT / 2.0
        };
        add_word(&mut vector, "category", category, weight);
    }
    let tag_weight = TAG_WEIGHT / (item.tags.len().max(1) as f32).sqrt();
    for tag in &item.tags {
        add_word(&mut vector, "tag", tag, tag_weight);
    }
    if let Some(author) = &item.author {
        add_word(&mut vector, "author", author.as_str(), AUTHOR_WEIGHT);
    }
    if let Some(title) = &item.title {
        let words = title
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.chars().count() > 2);
        for word in words.take(TITLE_WORDS_MAX) {
            add_word(&mut vector, "title", &word.to_lowercase(), TITLE_WORD_WEIGHT);
        }
    }
    add_word(&mut vector, "id", item.id.as_str(), ID_WEIGHT);
    vector
}

/// Adds `weight` times the word's ±1 vector; one hash gives the signs of 64 components.
fn add_word(vector: &mut [f32], kind: &str, word: &str, weight: f32) {
    let kind_seed = xxh3_64_with_seed(kind.as_bytes(), 0);
    for (block, components) in vector.chunks_mut(64).enumerate() {
        let mut signs = xxh3_64_with_seed(word.as_bytes(), kind_seed ^ (block as u64));
        for component in components {
            *component += if signs & 1 == 1 { weight } else { -weight };
            signs >>= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimestampMs;
    use crate::wire::ItemDto;

    fn vector(id: &str, category: &str, tags: &[&str]) -> Vec<f32> {
        let item = ItemDto {
            id: id.to_owned(),
            categories: Some(vec![category.to_owned()]),
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..ItemDto::default()
        }
        .into_item(TimestampMs(0))
        .expect("valid");
        content_vector(&item, 64)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn items_with_common_words_lie_near_each_other() {
        let cat = vector("1", "pets", &["cat", "funny"]);
        let other_cat = vector("2", "pets", &["cat", "cute"]);
        let car = vector("3", "cars", &["engine", "race"]);
        assert!(cosine(&cat, &other_cat) > 0.6);
        assert!(cosine(&cat, &car).abs() < 0.4);
    }

    #[test]
    fn an_item_without_any_word_still_has_a_direction() {
        let item = ItemDto {
            id: "x".to_owned(),
            ..ItemDto::default()
        }
        .into_item(TimestampMs(0))
        .expect("valid");
        assert!(content_vector(&item, 8).iter().any(|component| *component != 0.0));
    }
}
