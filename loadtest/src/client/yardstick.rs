//! Items for the yardsticks: what a random and a popularity feed would show.
//!
//! Owns the two samples. Must not know where they come from or who is compared.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ItemDto;

use super::record::LearningPoint;
use crate::behaviour::{Viewer, seeded, stable_hash};

/// The size of the sample that is drawn from the items seen.
const RESERVOIR_MAX: usize = 1_000;
/// The most different items that the sample is drawn from.
const DISTINCT_MAX: usize = 200_000;
/// How many items of each yardstick are compared with one item shown.
const DRAWS_PER_ITEM: usize = 3;

/// Two samples of the catalogue.
#[derive(Debug)]
pub struct Yardstick {
    random: RwLock<Arc<Vec<Arc<ItemDto>>>>,
    popular: RwLock<Arc<Vec<Arc<ItemDto>>>>,
    reservoir: Option<Mutex<Reservoir>>,
}

/// A uniform sample of the different items that came by (algorithm R).
#[derive(Debug)]
struct Reservoir {
    distinct: HashSet<u64>,
    sample: Vec<Arc<ItemDto>>,
    rng: Xoshiro256PlusPlus,
}

impl Yardstick {
    /// Yardsticks whose random sample is given from outside.
    #[must_use]
    pub fn with_random(items: Vec<Arc<ItemDto>>) -> Self {
        Self {
            random: RwLock::new(Arc::new(items)),
            popular: RwLock::default(),
            reservoir: None,
        }
    }

    /// Yardsticks whose random sample is drawn from the items that come by in feeds. These are already chosen for
    /// somebody, so this yardstick is harder to beat than a truly random feed.
    #[must_use]
    pub fn from_feeds(seed: u64) -> Self {
        let reservoir = Reservoir {
            distinct: HashSet::new(),
            sample: Vec::new(),
            rng: seeded(seed, "reservoir", 0),
        };
        Self {
            random: RwLock::default(),
            popular: RwLock::default(),
            reservoir: Some(Mutex::new(reservoir)),
        }
    }

    /// Sets what a popularity feed would show now.
    pub fn set_popular(&self, items: Vec<Arc<ItemDto>>) {
        *self.popular.write() = Arc::new(items);
    }

    /// Lets an item come by.
    pub fn offer(&self, item: &Arc<ItemDto>) {
        let Some(reservoir) = &self.reservoir else { return };
        let mut reservoir = reservoir.lock();
        let Reservoir { distinct, sample, rng } = &mut *reservoir;
        if distinct.len() >= DISTINCT_MAX || !distinct.insert(stable_hash(0, &item.id)) {
            return;
        }
        if sample.len() < RESERVOIR_MAX {
            sample.push(Arc::clone(item));
        } else {
            let place = rng.random_range(0..distinct.len());
            if place < RESERVOIR_MAX {
                sample[place] = Arc::clone(item);
            }
        }
        // Readers get a fresh copy now and then, not after every item.
        if sample.len() < 16 || distinct.len().is_multiple_of(64) {
            *self.random.write() = Arc::new(sample.clone());
        }
    }

    /// How much this viewer would like items of both yardsticks at this moment.
    pub fn compare(&self, viewer: &Viewer, rng: &mut impl Rng, now: TimestampMs) -> LearningPoint {
        let random = Arc::clone(&self.random.read());
        let popular = Arc::clone(&self.popular.read());
        let mut mean = |items: &[Arc<ItemDto>]| {
            if items.is_empty() {
                return (0.0, 0);
            }
            let sum = (0..DRAWS_PER_ITEM)
                .map(|_| viewer.like_probability(&items[rng.random_range(0..items.len())], now))
                .sum::<f64>();
            (sum, DRAWS_PER_ITEM as u64)
        };
        let (random, random_draws) = mean(&random);
        let (popular, popular_draws) = mean(&popular);
        LearningPoint {
            random,
            random_draws,
            popular,
            popular_draws,
            ..LearningPoint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::ViewerConfig;

    fn item(id: u32) -> Arc<ItemDto> {
        Arc::new(ItemDto {
            id: format!("v{id}"),
            ..ItemDto::default()
        })
    }

    #[test]
    fn the_reservoir_holds_different_items_of_the_whole_stream() {
        let yardstick = Yardstick::from_feeds(1);
        for id in (0..20_000).flat_map(|id| [id, id]) {
            yardstick.offer(&item(id));
        }
        let sample = Arc::clone(&yardstick.random.read());
        assert_eq!(sample.len(), RESERVOIR_MAX);
        let late = sample
            .iter()
            .filter(|item| item.id[1..].parse::<u32>().expect("a number") >= 10_000)
            .count();
        assert!(
            (400..600).contains(&late),
            "{late} of the sample are from the second half"
        );
        assert_eq!(
            sample.iter().map(|item| &item.id).collect::<HashSet<_>>().len(),
            RESERVOIR_MAX
        );
    }

    #[test]
    fn empty_samples_give_no_rate() {
        let yardstick = Yardstick::with_random(vec![item(1)]);
        let viewer = Viewer::new(ViewerConfig::default());
        let point = yardstick.compare(&viewer, &mut seeded(1, "x", 0), TimestampMs(0));
        assert_eq!((point.random_draws, point.popular_draws), (DRAWS_PER_ITEM as u64, 0));
        assert!(point.random > 0.0);
    }
}
