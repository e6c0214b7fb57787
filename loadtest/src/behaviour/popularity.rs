//! Which items are popular: Zipf's law over a hidden order that follows quality, drifting over time.
//!
//! Owns the weights and their drift. Must not know viewers.

use rand::{Rng, RngExt};
use swipeline_models::time::{HOUR_MS, TimestampMs};

use super::catalogue::{Catalogue, quality_quantile};
use super::draw::{Weighted, stable_hash, unit};

/// Exponent of Zipf's law.
const ZIPF_EXPONENT: f64 = 0.9;
/// How far an item's weight swings around its mean.
const DRIFT_AMPLITUDE: f64 = 0.8;
/// How much of the hidden order is quality; the rest is luck.
const QUALITY_SHARE: f64 = 0.8;

/// Draws popular items of a catalogue.
#[derive(Debug, Clone)]
pub struct PopularitySampler {
    mean: Weighted,
    ids: Vec<u64>,
}

impl PopularitySampler {
    /// Builds the table: 16 bytes per item.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Option<Self> {
        let count = catalogue.len();
        let names = (0..count).map(|index| catalogue.id(index));
        let mean = Weighted::new(names.clone().map(|id| mean_weight(&id, count)))?;
        Some(Self {
            mean,
            ids: names.map(|id| stable_hash(0xd21f7, &id)).collect(),
        })
    }

    /// The number of an item, drawn by its popularity at that time.
    pub fn draw(&self, rng: &mut impl Rng, at: TimestampMs) -> usize {
        loop {
            let index = self.mean.draw(rng);
            // Rejection keeps the table fixed while the weights swing; at most 1 + amplitude draws on average.
            if rng.random::<f64>() * (1.0 + DRIFT_AMPLITUDE) <= swing(self.ids[index], at) {
                return index;
            }
        }
    }
}

/// The mean weight of an item: `rank^-s`, where the rank follows quality four times out of five.
fn mean_weight(id: &str, count: usize) -> f64 {
    let luck = unit(stable_hash(0x1cc, id));
    let lucky = unit(stable_hash(0x1cd, id)) > QUALITY_SHARE;
    let quantile = if lucky { luck } else { quality_quantile(id) };
    (1.0 + (1.0 - quantile) * count as f64).powf(-ZIPF_EXPONENT)
}

/// By which factor the weight differs from its mean now: a sine with the item's own period (2 to 26 hours) and phase.
fn swing(id_hash: u64, at: TimestampMs) -> f64 {
    let period_ms = HOUR_MS as f64 * (2.0 + (id_hash & 0xff) as f64 * 24.0 / 255.0);
    let phase = ((id_hash >> 8) & 0xffff) as f64 / 65_536.0;
    1.0 + DRIFT_AMPLITUDE * (std::f64::consts::TAU * (at.0 as f64 / period_ms + phase)).sin()
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{CatalogueConfig, item_quality};
    use super::super::draw::seeded;
    use super::*;

    #[test]
    fn few_items_get_most_draws_good_ones_more_and_the_order_drifts() {
        let start = TimestampMs(1_790_000_000_000);
        let config = CatalogueConfig {
            items: 2_000,
            dim: None,
            seed: 1,
            now: start,
            days: 3,
        };
        let catalogue = Catalogue::new(config).expect("possible");
        let sampler = PopularitySampler::new(&catalogue).expect("has weights");
        let counts_at = |at: TimestampMs| {
            let mut rng = seeded(5, "draws", 0);
            let mut counts = vec![0_u32; catalogue.len()];
            (0..20_000).for_each(|_| counts[sampler.draw(&mut rng, at)] += 1);
            counts
        };
        let counts = counts_at(start);
        let mut sorted = counts.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        assert!(
            sorted.iter().take(200).sum::<u32>() > 9_000,
            "a tenth of the items has most draws"
        );
        let weighted: f64 = counts
            .iter()
            .enumerate()
            .map(|(i, n)| f64::from(*n) * item_quality(&catalogue.id(i)))
            .sum::<f64>()
            / 20_000.0;
        assert!(weighted > 0.4, "popular items are better made: {weighted}");
        let later = counts_at(start.plus_ms(5 * HOUR_MS));
        let moved: u32 = counts.iter().zip(&later).map(|(a, b)| a.abs_diff(*b)).sum();
        assert!(moved > 6_000, "popularity moves within hours: {moved}");
    }
}
