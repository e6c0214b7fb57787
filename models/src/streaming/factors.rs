//! Biased logistic matrix factorisation, learned one outcome at a time.
//!
//! Owns the two halves of a factor model (one lives with the viewer, one with the item) and its gradient step
//! (Koren, Bell, Volinsky 2009, with a logistic link). First values come from the id's hash, so there is no generator
//! to keep. Must not know what is predicted.

use serde::{Deserialize, Serialize};

use super::bounded_table::mix;
use super::rates::sigmoid;

/// Dimensions of a factor.
pub const FACTOR_DIMS: usize = 12;
const FIRST_VALUE: f32 = 0.12;
/// Step of a factor and of a bias, and how fast they shrink with the number of steps taken.
const FACTOR_STEP: f32 = 0.12;
const BIAS_STEP: f32 = 0.1;
const STEP_HALF_COUNT: f32 = 30.0;
const FACTOR_PENALTY: f32 = 0.02;
const BIAS_PENALTY: f32 = 0.02;

/// One side of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// Log-odds of its own.
    pub bias: f32,
    /// Its direction.
    pub values: [f32; FACTOR_DIMS],
    /// Steps taken.
    pub count: f32,
}

impl Factor {
    /// Before the first step: small values from the id, so that two sides of zeros do not stay zeros.
    pub fn begin(&mut self, id: u64) {
        if self.count > 0.0 {
            return;
        }
        for (dim, value) in self.values.iter_mut().enumerate() {
            let bits = mix(id ^ (dim as u64 + 1).wrapping_mul(0xA24B_AED4_963E_E407));
            let unit = (bits >> 40) as f32 / (1_u32 << 24) as f32;
            *value = (unit - 0.5) * 2.0 * FIRST_VALUE;
        }
    }

    /// The part of the log-odds that neither side has alone.
    #[must_use]
    pub fn interaction(&self, other: &Self) -> f32 {
        self.values.iter().zip(other.values).map(|(a, b)| a * b).sum()
    }

    /// One step of both sides towards an outcome; `base` is the log-odds of everything else.
    pub fn learn(viewer: &mut Self, item: &mut Self, base: f32, outcome: f32) {
        let error = outcome - sigmoid(base + viewer.bias + item.bias + viewer.interaction(item));
        let item_before = item.values;
        let viewer_before = viewer.values;
        viewer.step(error, &item_before);
        item.step(error, &viewer_before);
    }

    fn step(&mut self, error: f32, other: &[f32; FACTOR_DIMS]) {
        let slower = 1.0 / (1.0 + self.count / STEP_HALF_COUNT).sqrt();
        self.bias += BIAS_STEP * slower * (error - BIAS_PENALTY * self.bias);
        for (value, other) in self.values.iter_mut().zip(other) {
            *value += FACTOR_STEP * slower * (error * other - FACTOR_PENALTY * *value);
        }
        self.count += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two kinds of viewers like opposite kinds of items: no bias can say that.
    #[test]
    fn a_planted_taste_is_found() {
        let mut viewers = [Factor::default(); 20];
        let mut items = [Factor::default(); 20];
        for (index, (viewer, item)) in viewers.iter_mut().zip(&mut items).enumerate() {
            viewer.begin(7);
            item.begin(index as u64);
        }
        for round in 0..4_000_u64 {
            let (viewer, item) = (mix(round) as usize % 20, mix(round ^ 0xFFFF) as usize % 20);
            let liked = f32::from(u8::from(viewer % 2 == item % 2));
            Factor::learn(&mut viewers[viewer], &mut items[item], 0.0, liked);
        }
        for (viewer, of_viewer) in viewers.iter().enumerate() {
            for (item, of_item) in items.iter().enumerate() {
                let both = of_viewer.interaction(of_item);
                assert_eq!(
                    both > 0.0,
                    viewer % 2 == item % 2,
                    "viewer {viewer}, item {item}: {both}"
                );
            }
        }
    }

    #[test]
    fn a_factor_begins_once() {
        let mut factor = Factor::default();
        factor.begin(1);
        let first = factor;
        assert!(
            first.values.iter().any(|&value| value != 0.0)
                && first.values.iter().all(|value| value.abs() <= FIRST_VALUE)
        );
        factor.count = 1.0;
        factor.begin(2);
        assert_eq!(factor.values, first.values);
    }
}
