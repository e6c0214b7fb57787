//! A tiny generator whose whole state is one number, so that it can be part of a snapshot.

use serde::{Deserialize, Serialize};

use crate::streaming::mix;

/// splitmix64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitMix {
    state: u64,
}

impl SplitMix {
    /// A generator; equal seeds, equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let value = mix(self.state);
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        value
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A number below a bound (0 for a bound of 0).
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A share of `0..count`, at least one, ascending.
    pub fn subset(&mut self, count: usize, share: f32) -> Vec<usize> {
        let wanted = ((count as f32 * share).ceil() as usize)
            .clamp(1, count.max(1))
            .min(count);
        let mut taken: Vec<usize> = Vec::with_capacity(wanted);
        for (index, left) in (0..count).zip((1..=count).rev()) {
            if self.below(left) < wanted - taken.len() {
                taken.push(index);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn subsets_are_ascending_and_of_the_size_asked_for(seed: u64, count in 0_usize..200, share in 0.0_f32..=1.0) {
            let subset = SplitMix::new(seed).subset(count, share);
            let wanted = ((count as f32 * share).ceil() as usize).max(1).min(count);
            prop_assert_eq!(subset.len(), wanted);
            prop_assert!(subset.windows(2).all(|pair| pair[0] < pair[1]) && subset.iter().all(|&index| index < count));
        }

        #[test]
        fn numbers_stay_below_their_bound(seed: u64, bound in 1_usize..1_000) {
            let mut random = SplitMix::new(seed);
            prop_assert!(random.below(bound) < bound && (0.0..1.0).contains(&random.unit()));
        }
    }
}
