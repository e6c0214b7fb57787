//! What a viewer has been shown: exact for the last 1 000 items, a Bloom filter in two rotating generations behind them.
//!
//! Owns the promise "nothing twice" and its price. Only items that have left the exact memory enter the filter, so up to
//! 1 000 shown items nothing is ever taken for shown by mistake. Behind that:
//! - nothing shown is forgotten before at least `generation_items` further items were shown (a full generation stays
//!   while the next one fills);
//! - at most `false_positive_share` of the unseen items are taken for seen: the bound is split over all layers of both
//!   generations, and a layer that has its number of items is never filled further.
//!
//! A generation grows in layers (a scalable Bloom filter, Almeida et al. 2007), so a viewer pays for what was shown, not
//! for the largest possible history.

use fastbloom::BloomFilter;
use serde::{Deserialize, Serialize};

use super::RecentHashes;
use crate::params::ExposureParams;

/// How many shown items are remembered exactly.
pub const EXACT_ITEMS: usize = 1_000;
/// Items of a generation's first layer; every further layer holds four times as many.
const FIRST_LAYER_ITEMS: usize = 512;
const LAYER_GROWTH: usize = 4;
/// The most layers of a generation (512 · (4⁶ - 1) / 3 ≈ 700 000 items).
const LAYERS_MAX: usize = 6;

#[derive(Debug, Clone)]
struct Layer {
    filter: BloomFilter,
    items: usize,
    items_max: usize,
}

#[derive(Debug, Clone, Default)]
struct Generation {
    layers: Vec<Layer>,
    items: usize,
}

/// What a viewer has been shown.
#[derive(Debug, Clone)]
pub struct Exposure {
    exact: RecentHashes,
    current: Generation,
    previous: Generation,
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            exact: RecentHashes::new(EXACT_ITEMS),
            current: Generation::default(),
            previous: Generation::default(),
        }
    }
}

impl Exposure {
    /// Whether the item of that hash counts as shown.
    #[must_use]
    pub fn contains(&self, hash: u64) -> bool {
        self.exact.contains(hash) || self.current.contains(hash) || self.previous.contains(hash)
    }

    /// Remembers an item as shown. Returns whether it was not remembered before.
    pub fn insert(&mut self, hash: u64, params: &ExposureParams) -> bool {
        let is_new = !self.contains(hash);
        // Also what a filter takes for shown already: by mistake or not, that filter may be the next to be dropped.
        let Some(evicted) = self.exact.insert(hash) else {
            return is_new;
        };
        if self.current.items >= params.generation_items as usize {
            self.previous = std::mem::take(&mut self.current);
        }
        if !self.current.contains(evicted) {
            self.current.insert(evicted, params);
        }
        is_new
    }

    /// How many bytes the memory holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let generations = [&self.current, &self.previous];
        let layers = generations.into_iter().flat_map(|generation| &generation.layers);
        self.exact.memory_bytes() + layers.map(|layer| size_of_val(layer.filter.as_slice())).sum::<usize>()
    }

    /// How many items are remembered exactly.
    #[must_use]
    pub fn exact_items(&self) -> usize {
        self.exact.len()
    }

    /// The form in which exposure is stored.
    #[must_use]
    pub fn snapshot(&self) -> ExposureSnapshot {
        ExposureSnapshot {
            exact: self.exact.iter().collect(),
            current: self.current.snapshot(),
            previous: self.previous.snapshot(),
        }
    }

    /// Exposure as it was stored.
    #[must_use]
    pub fn restore(snapshot: &ExposureSnapshot) -> Self {
        Self {
            exact: RecentHashes::restore(EXACT_ITEMS, &snapshot.exact),
            current: Generation::restore(&snapshot.current),
            previous: Generation::restore(&snapshot.previous),
        }
    }
}

impl Generation {
    fn contains(&self, hash: u64) -> bool {
        self.layers.iter().any(|layer| layer.filter.contains_hash(hash))
    }

    fn insert(&mut self, hash: u64, params: &ExposureParams) {
        let is_full = self.layers.last().is_none_or(|layer| layer.items >= layer.items_max);
        if is_full && self.layers.len() < LAYERS_MAX {
            let items_max = FIRST_LAYER_ITEMS * LAYER_GROWTH.pow(u32::try_from(self.layers.len()).unwrap_or(0));
            // Both generations with all their layers together must stay below the bound.
            let share = params.false_positive_share / (2 * LAYERS_MAX) as f64;
            let filter = BloomFilter::with_false_pos(share).expected_items(items_max);
            self.layers.push(Layer {
                filter,
                items: 0,
                items_max,
            });
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.filter.insert_hash(hash);
            layer.items += 1;
            self.items += 1;
        }
    }

    fn snapshot(&self) -> Vec<LayerSnapshot> {
        let store = |layer: &Layer| LayerSnapshot {
            bits: layer.filter.as_slice().to_vec(),
            hashes: layer.filter.num_hashes(),
            items: layer.items,
            items_max: layer.items_max,
        };
        self.layers.iter().map(store).collect()
    }

    fn restore(layers: &[LayerSnapshot]) -> Self {
        let layers: Vec<Layer> = layers
            .iter()
            .filter(|layer| !layer.bits.is_empty())
            .take(LAYERS_MAX)
            .map(|layer| Layer {
                filter: BloomFilter::from_vec(layer.bits.clone()).hashes(layer.hashes.max(1)),
                items: layer.items,
                items_max: layer.items_max,
            })
            .collect();
        let items = layers.iter().map(|layer| layer.items).sum();
        Self { layers, items }
    }
}

/// The stored form of one filter layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSnapshot {
    bits: Vec<u64>,
    hashes: u32,
    items: usize,
    items_max: usize,
}

/// The stored form of [`Exposure`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExposureSnapshot {
    exact: Vec<u64>,
    current: Vec<LayerSnapshot>,
    previous: Vec<LayerSnapshot>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    fn hash(number: u64) -> u64 {
        xxh3_64(&number.to_le_bytes())
    }

    #[test]
    fn nothing_is_forgotten_within_a_generation_and_the_bound_holds() {
        let params = ExposureParams {
            generation_items: 3_000,
            false_positive_share: 0.001,
        };
        let mut exposure = Exposure::default();
        for number in 0..20_000 {
            exposure.insert(hash(number), &params);
            let oldest_kept = (number + 1).saturating_sub(3_000 + EXACT_ITEMS as u64);
            if number % 500 == 499 {
                assert!(
                    (oldest_kept..=number).all(|shown| exposure.contains(hash(shown))),
                    "after {number}"
                );
            }
        }
        let unseen = 100_000;
        let wrong = (0..unseen)
            .filter(|number| exposure.contains(hash(1_000_000 + number)))
            .count();
        assert!(
            (wrong as f64) < 0.001 * unseen as f64,
            "{wrong} of {unseen} unseen items count as seen"
        );
    }

    #[test]
    fn up_to_a_thousand_items_there_is_no_mistake() {
        let mut exposure = Exposure::default();
        (0..1_000).for_each(|number| assert!(exposure.insert(hash(number), &ExposureParams::default())));
        assert!((1_000..200_000).all(|number| !exposure.contains(hash(number))));
    }

    #[test]
    fn a_restart_changes_nothing() {
        let params = ExposureParams {
            generation_items: 1_000,
            false_positive_share: 0.001,
        };
        let mut exposure = Exposure::default();
        (0..5_000).for_each(|number| {
            exposure.insert(hash(number), &params);
        });
        let packed = rmp_serde::to_vec(&exposure.snapshot()).expect("packs");
        let restored = Exposure::restore(&rmp_serde::from_slice(&packed).expect("reads"));
        assert!((0..50_000).all(|number| restored.contains(hash(number)) == exposure.contains(hash(number))));
    }
}
