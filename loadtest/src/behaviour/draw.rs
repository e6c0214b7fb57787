//! Random draws: the few distributions that the simulation needs, and stable hashes to seed them.
//!
//! Owns the formulas. Must not own a generator: each caller brings its own seeded one.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A 64-bit hash of a seed and a text that is the same in every process (FNV-1a, finished by the mixer of SplitMix64).
#[must_use]
pub fn stable_hash(seed: u64, text: &str) -> u64 {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
    let hashed = text.bytes().fold(FNV_OFFSET ^ mix(seed), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    });
    mix(hashed)
}

/// The mixer of SplitMix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A generator for one purpose: streams of one seed are independent of each other.
#[must_use]
pub fn seeded(seed: u64, stream: &str, index: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(stable_hash(seed ^ mix(index), stream))
}

/// A hash as a number in [0, 1).
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// A draw from the standard normal distribution (Box-Muller).
pub fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// A draw from the log-normal distribution with the given median and the given σ of its logarithm.
pub fn log_normal(rng: &mut impl Rng, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(rng)).exp()
}

/// A draw from the exponential distribution with mean 1.
pub fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// The logistic function.
pub(crate) fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// Draws places of a list by their weights.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Sums of the weights up to and including each place.
    cumulative: Vec<f64>,
}

impl Weighted {
    /// Draws by the given weights; those that are not finite or below zero count as zero. `None` when nothing is left.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sum = 0.0;
        let cumulative: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += if weight.is_finite() { weight.max(0.0) } else { 0.0 };
                sum
            })
            .collect();
        (sum > 0.0).then_some(Self { cumulative })
    }

    /// Draws by Zipf's law: place `i` with weight `1 / (i + 1)^exponent`.
    #[must_use]
    pub fn zipf(count: usize, exponent: f64) -> Option<Self> {
        Self::new((0..count).map(|place| ((place + 1) as f64).powf(-exponent)))
    }

    /// A place, from 0.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let target = rng.random::<f64>() * total;
        self.cumulative
            .partition_point(|sum| *sum <= target)
            .min(self.cumulative.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let first = |stream: &str, index| seeded(7, stream, index).random::<u64>();
        assert_eq!(first("a", 0), first("a", 0));
        assert_ne!(first("a", 0), first("a", 1));
        assert_ne!(first("a", 0), first("b", 0));
    }

    #[test]
    fn draws_have_the_stated_centre() {
        let mut rng = seeded(1, "test", 0);
        let count = 20_000;
        let mean = (0..count).map(|_| normal(&mut rng)).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.03, "{mean}");
        let mean = (0..count).map(|_| exponential(&mut rng)).sum::<f64>() / f64::from(count);
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let below = (0..count).filter(|_| log_normal(&mut rng, 20.0, 0.6) < 20.0).count();
        assert!((below as f64 / f64::from(count) - 0.5).abs() < 0.02);
    }

    #[test]
    fn weights_are_kept_and_zero_is_never_drawn() {
        let weighted = Weighted::new([0.0, 3.0, f64::NAN, 1.0]).expect("some weight");
        let mut rng = seeded(2, "test", 0);
        let mut counts = [0_u32; 4];
        (0..8_000).for_each(|_| counts[weighted.draw(&mut rng)] += 1);
        assert_eq!((counts[0], counts[2]), (0, 0));
        let share = f64::from(counts[1]) / 8_000.0;
        assert!((share - 0.75).abs() < 0.02, "{share}");
        assert!(Weighted::new([0.0]).is_none());
    }
}
