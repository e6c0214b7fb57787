//! A generated catalogue of short videos.
//!
//! Owns what an item looks like: every item is a pure function of the seed and its number, so a million of them need
//! no memory. Must not know who watches.

use rand::{Rng, RngExt};
use swipeline_models::time::{DAY_MS, TimestampMs};
use swipeline_models::wire::ItemDto;

use super::draw::{Weighted, log_normal, normal, seeded, stable_hash, unit};
use super::words::{CATEGORIES, TAG_PREFIXES, TITLE_ENDINGS};

/// The shortest video, in milliseconds.
const DURATION_MS_MIN: f64 = 5_000.0;
/// The longest video, in milliseconds.
const DURATION_MS_MAX: f64 = 90_000.0;
/// The median video, in milliseconds.
const DURATION_MS_MEDIAN: f64 = 22_000.0;
/// σ of the logarithm of the duration.
const DURATION_SIGMA: f64 = 0.6;
/// Exponent of Zipf's law for the number of items per author.
const AUTHOR_ZIPF_EXPONENT: f64 = 0.8;
/// Items per author, on average.
const ITEMS_PER_AUTHOR: usize = 25;
/// How often an item is in its author's first category.
const AUTHOR_LOYALTY: f64 = 0.85;
/// How often an item has a second category.
const SECOND_CATEGORY_SHARE: f64 = 0.3;
/// How often a tag is a rare one.
const RARE_TAG_SHARE: f64 = 0.35;
/// The largest embedding dimension that is generated.
pub(crate) const DIM_MAX: usize = 1_024;

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueConfig {
    /// How many items.
    pub items: usize,
    /// Numbers per embedding; none when absent (the server then builds its own).
    pub dim: Option<usize>,
    /// The same seed gives the same catalogue.
    pub seed: u64,
    /// The newest item's time.
    pub now: TimestampMs,
    /// The oldest item is so many days old.
    pub days: u32,
}

/// Why a catalogue cannot be generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// No items were asked for.
    #[error("a catalogue needs at least one item")]
    Empty,
    /// The embedding dimension is zero or too large.
    #[error("an embedding must have 1 to {DIM_MAX} numbers, not {0}")]
    Dimension(usize),
}

/// A catalogue; items are made when they are asked for.
#[derive(Debug, Clone)]
pub struct Catalogue {
    config: CatalogueConfig,
    /// Draws the author of an item: few authors have most items.
    authors: Weighted,
    /// Per category its latent vector; empty without embeddings.
    category_vectors: Vec<Vec<f32>>,
}

impl Catalogue {
    /// A catalogue.
    ///
    /// # Errors
    /// No items, or an impossible embedding dimension.
    pub fn new(config: CatalogueConfig) -> Result<Self, CatalogueError> {
        if let Some(dim) = config.dim
            && !(1..=DIM_MAX).contains(&dim)
        {
            return Err(CatalogueError::Dimension(dim));
        }
        if config.items == 0 {
            return Err(CatalogueError::Empty);
        }
        let author_count = config.items.div_ceil(ITEMS_PER_AUTHOR);
        let authors = Weighted::zipf(author_count, AUTHOR_ZIPF_EXPONENT).ok_or(CatalogueError::Empty)?;
        let category_vectors = match config.dim {
            Some(dim) => CATEGORIES
                .iter()
                .map(|category| latent(config.seed, category.name, dim))
                .collect(),
            None => Vec::new(),
        };
        Ok(Self {
            config,
            authors,
            category_vectors,
        })
    }

    /// How many items it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.config.items
    }

    /// Never: a catalogue has at least one item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.config.items == 0
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &CatalogueConfig {
        &self.config
    }

    /// The id of item number `index`.
    #[must_use]
    pub fn id(&self, index: usize) -> String {
        format!("v{index}")
    }

    /// Item number `index`.
    #[must_use]
    pub fn item(&self, index: usize) -> ItemDto {
        let mut rng = seeded(self.config.seed, "item", index as u64);
        let author = self.authors.draw(&mut rng);
        let leading = self.leading_category(author, &mut rng);
        let mut categories = vec![leading];
        if rng.random_bool(SECOND_CATEGORY_SHARE) {
            let second = rng.random_range(0..CATEGORIES.len());
            if second != leading {
                categories.push(second);
            }
        }
        let tags = draw_tags(&categories, &mut rng);
        let duration = log_normal(&mut rng, DURATION_MS_MEDIAN, DURATION_SIGMA).clamp(DURATION_MS_MIN, DURATION_MS_MAX);
        // Squared: there are more new items than old ones, as on a platform that grows.
        let age_ms = rng.random::<f64>().powi(2) * f64::from(self.config.days) * DAY_MS as f64;
        let title = draw_title(leading, &mut rng);
        let author_id = format!("a{author}");
        let embedding = self
            .config
            .dim
            .map(|dim| self.embedding(dim, &categories, &author_id, &tags, &mut rng));
        ItemDto {
            id: self.id(index),
            title: Some(title),
            author_id: Some(author_id),
            categories: Some(
                categories
                    .iter()
                    .map(|place| CATEGORIES[*place].name.to_owned())
                    .collect(),
            ),
            tags: Some(tags),
            duration_ms: Some(duration as i64),
            created_at: Some(self.config.now.0 - age_ms as i64),
            embedding,
            ..ItemDto::default()
        }
    }

    /// All items in pages of at most `page_len`.
    pub fn pages(&self, page_len: usize) -> impl Iterator<Item = Vec<ItemDto>> + '_ {
        let page_len = page_len.max(1);
        (0..self.len()).step_by(page_len).map(move |start| {
            (start..(start + page_len).min(self.len()))
                .map(|index| self.item(index))
                .collect()
        })
    }

    fn leading_category(&self, author: usize, rng: &mut impl Rng) -> usize {
        if !rng.random_bool(AUTHOR_LOYALTY) {
            return rng.random_range(0..CATEGORIES.len());
        }
        (stable_hash(self.config.seed, &format!("home of a{author}")) % CATEGORIES.len() as u64) as usize
    }

    /// The unit vector of categories + author + tags + noise.
    fn embedding(
        &self,
        dim: usize,
        categories: &[usize],
        author: &str,
        tags: &[String],
        rng: &mut impl Rng,
    ) -> Vec<f32> {
        let mut sum = vec![0.0_f32; dim];
        let mut add = |vector: &[f32], weight: f32| {
            sum.iter_mut()
                .zip(vector)
                .for_each(|(total, value)| *total += weight * value);
        };
        for (place, category) in categories.iter().enumerate() {
            add(&self.category_vectors[*category], if place == 0 { 1.0 } else { 0.5 });
        }
        add(&latent(self.config.seed, author, dim), 0.45);
        let tag_weight = 0.6 / tags.len().max(1) as f32;
        tags.iter()
            .for_each(|tag| add(&latent(self.config.seed, tag, dim), tag_weight));
        let noise: Vec<f32> = (0..dim).map(|_| normal(rng) as f32 / (dim as f32).sqrt()).collect();
        add(&noise, 0.3);
        let norm = sum
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt()
            .max(f32::MIN_POSITIVE);
        sum.iter_mut().for_each(|value| *value /= norm);
        sum
    }
}

/// The latent vector of a word, about of length 1.
fn latent(seed: u64, word: &str, dim: usize) -> Vec<f32> {
    let mut rng = seeded(stable_hash(seed, word), "latent", 0);
    (0..dim)
        .map(|_| normal(&mut rng) as f32 / (dim as f32).sqrt())
        .collect()
}

fn draw_tags(categories: &[usize], rng: &mut impl Rng) -> Vec<String> {
    let count = rng.random_range(2..=5);
    let mut tags: Vec<String> = Vec::with_capacity(count);
    for _ in 0..count {
        let category = &CATEGORIES[categories[rng.random_range(0..categories.len())]];
        // Squared: the first tags of a category are the most common.
        let place = (rng.random::<f64>().powi(2) * category.tags.len() as f64) as usize;
        let common = category.tags[place.min(category.tags.len() - 1)];
        let tag = if rng.random_bool(RARE_TAG_SHARE) {
            format!("{}-{common}", TAG_PREFIXES[rng.random_range(0..TAG_PREFIXES.len())])
        } else {
            common.to_owned()
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn draw_title(category: usize, rng: &mut impl Rng) -> String {
    let words = &CATEGORIES[category];
    let subject = words.subjects[rng.random_range(0..words.subjects.len())];
    let action = words.actions[rng.random_range(0..words.actions.len())];
    let ending = TITLE_ENDINGS[rng.random_range(0..TITLE_ENDINGS.len())];
    format!("{subject} {action}{ending}")
}

/// How well an item is made, about standard normal (a logistic quantile, scaled). It is hidden: no field of the item
/// tells it, only reactions do.
#[must_use]
pub fn item_quality(item_id: &str) -> f64 {
    const LOGISTIC_TO_NORMAL: f64 = 0.551;
    let quantile = quality_quantile(item_id);
    LOGISTIC_TO_NORMAL * (quantile / (1.0 - quantile)).ln()
}

/// The share of items that are worse made, strictly between 0 and 1.
pub(crate) fn quality_quantile(item_id: &str) -> f64 {
    unit(stable_hash(0x0009_ea11, item_id)).clamp(1e-9, 1.0 - 1e-9)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const NOW: TimestampMs = TimestampMs(1_790_000_000_000);

    fn catalogue(items: usize, dim: Option<usize>) -> Catalogue {
        Catalogue::new(CatalogueConfig {
            items,
            dim,
            seed: 3,
            now: NOW,
            days: 14,
        })
        .expect("possible")
    }

    #[test]
    fn pages_hold_every_item_once_and_keep_the_rules_of_the_wire() {
        let catalogue = catalogue(1_003, Some(16));
        let mut ids = BTreeSet::new();
        for item in catalogue.pages(100).flatten() {
            assert_eq!(item, catalogue.item(ids.len()));
            assert!(ids.insert(item.id.clone()));
            let norm = item.embedding.iter().flatten().map(|value| value * value).sum::<f32>();
            assert!((norm - 1.0).abs() < 1e-4);
            let item = item.into_item(NOW).expect("a valid item");
            assert!((5_000..=90_000).contains(&item.duration_ms.expect("has a duration")));
            assert!(item.created_at <= NOW && NOW.since(item.created_at) <= 14 * DAY_MS);
        }
        assert_eq!(ids.len(), 1_003);
    }

    #[test]
    fn authors_follow_zipf_and_tags_have_a_long_tail() {
        let catalogue = catalogue(5_000, None);
        let mut authors: BTreeMap<String, u32> = BTreeMap::new();
        let mut tags: BTreeMap<String, u32> = BTreeMap::new();
        for item in catalogue.pages(1_000).flatten() {
            *authors.entry(item.author_id.expect("has an author")).or_default() += 1;
            item.tags
                .into_iter()
                .flatten()
                .for_each(|tag| *tags.entry(tag).or_default() += 1);
        }
        let largest = authors.values().max().copied().unwrap_or(0);
        assert!(
            largest > 8 * 5_000 / 200,
            "the first author has far more than the mean: {largest}"
        );
        let rare = tags.values().filter(|count| **count <= 5).count();
        assert!(rare * 3 > tags.len(), "{rare} of {} tags are rare", tags.len());
    }

    #[test]
    fn items_of_one_category_are_near_each_other() {
        let catalogue = catalogue(400, Some(64));
        let items: Vec<ItemDto> = (0..400).map(|index| catalogue.item(index)).collect();
        let dot = |a: &ItemDto, b: &ItemDto| {
            a.embedding
                .iter()
                .flatten()
                .zip(b.embedding.iter().flatten())
                .map(|(x, y)| f64::from(x * y))
                .sum::<f64>()
        };
        let (mut same, mut other) = ((0.0, 0.0), (0.0, 0.0));
        for pair in items.windows(30) {
            let category = |item: &ItemDto| item.categories.as_ref().and_then(|names| names.first().cloned());
            let sums = if category(&pair[0]) == category(&pair[29]) {
                &mut same
            } else {
                &mut other
            };
            *sums = (sums.0 + dot(&pair[0], &pair[29]), sums.1 + 1.0);
        }
        assert!(same.0 / same.1 > other.0 / other.1 + 0.2, "{same:?} {other:?}");
    }

    #[test]
    fn impossible_wishes_are_errors() {
        let config = CatalogueConfig {
            items: 0,
            dim: None,
            seed: 0,
            now: NOW,
            days: 1,
        };
        assert_eq!(Catalogue::new(config.clone()).err(), Some(CatalogueError::Empty));
        let config = CatalogueConfig {
            items: 1,
            dim: Some(0),
            ..config
        };
        assert_eq!(Catalogue::new(config).err(), Some(CatalogueError::Dimension(0)));
    }
}
