//! Standardisation of features: to mean 0 and deviation 1, and back into the first layer of a network.
//!
//! Owns the statistics of a training part. A served row is never standardised: the fold makes the first layer do it.

use super::sample::Sample;
use crate::features::schema::{FEATURE_COUNT, Feature};
use crate::rank::mlp::DenseLayer;

/// A feature whose deviation is below this share of its range has said nothing in training; it is given no weight, so
/// that a first other value of it does not throw the ranking over.
const DEVIATION_SHARE_MIN: f64 = 1e-4;
/// A served row is cut to so many deviations around the mean while training, so that one outlier cannot rule a batch.
const STANDARDISED_MAX: f32 = 8.0;

/// Means and inverse deviations of the features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standardiser {
    means: [f64; FEATURE_COUNT],
    /// 0 for a feature without deviation.
    inverse_deviations: [f64; FEATURE_COUNT],
}

impl Standardiser {
    /// The statistics of samples.
    pub(super) fn of(samples: &[Sample]) -> Standardiser {
        let count = samples.len().max(1) as f64;
        let mut means = [0.0; FEATURE_COUNT];
        for sample in samples {
            for (mean, value) in means.iter_mut().zip(sample.features) {
                *mean += f64::from(value) / count;
            }
        }
        let mut variances = [0.0; FEATURE_COUNT];
        for sample in samples {
            for ((variance, mean), value) in variances.iter_mut().zip(means).zip(sample.features) {
                *variance += (f64::from(value) - mean).powi(2) / count;
            }
        }
        let inverse_deviations = Feature::ALL.map(|feature| {
            let (low, high) = feature.range();
            let deviation: f64 = f64::sqrt(variances[feature.index()]);
            if deviation > DEVIATION_SHARE_MIN * f64::from(high - low) {
                1.0 / deviation
            } else {
                0.0
            }
        });
        Standardiser {
            means,
            inverse_deviations,
        }
    }

    /// The standardised row.
    pub(super) fn apply(&self, features: &[f32; FEATURE_COUNT]) -> [f32; FEATURE_COUNT] {
        std::array::from_fn(|column| {
            let centred = f64::from(features[column]) - self.means[column];
            ((centred * self.inverse_deviations[column]) as f32).clamp(-STANDARDISED_MAX, STANDARDISED_MAX)
        })
    }

    /// Makes a layer that takes standardised rows take rows as they are: (x - mean) / deviation · W + b is
    /// x · (W / deviation) + (b - mean / deviation · W).
    pub(super) fn fold_into(&self, layer: &mut DenseLayer) {
        let mut bias: Vec<f64> = layer.bias.iter().copied().map(f64::from).collect();
        for (input, weights) in layer.weights.chunks_exact_mut(layer.cols).enumerate() {
            for (weight, bias) in weights.iter_mut().zip(&mut bias) {
                let folded = f64::from(*weight) * self.inverse_deviations[input];
                *bias -= self.means[input] * folded;
                *weight = folded as f32;
            }
        }
        for (target, value) in layer.bias.iter_mut().zip(bias) {
            *target = value as f32;
        }
    }
}
