//! Online logistic regression on hashed ids and scaled columns, one weight row for all labels.
//!
//! Owns the weights and their AdaGrad steps (Duchi 2011) with L2 towards 0. Knows neither features nor what ids mean.

use serde::{Deserialize, Serialize};

use crate::streaming::{LABEL_COUNT, sigmoid};

/// Weight rows; ids are hashed to them.
pub const LOGISTIC_ROWS: usize = 1 << 17;
const BIAS_STEP: f32 = 0.02;
const FIRST_CURVATURE: f32 = 1.0;

type Labels = [f32; LABEL_COUNT];

/// How far a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogisticSteps {
    /// For the weights of columns.
    pub columns: f32,
    /// For the weights of ids.
    pub ids: f32,
}

impl Default for LogisticSteps {
    fn default() -> Self {
        Self {
            columns: 0.01,
            ids: 0.01,
        }
    }
}

/// The learner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnlineLogistic {
    weights: Vec<Labels>,
    squares: Vec<Labels>,
    linear: Vec<Labels>,
    linear_squares: Vec<Labels>,
    bias: Labels,
}

impl OnlineLogistic {
    /// All weights 0.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            weights: vec![[0.0; LABEL_COUNT]; LOGISTIC_ROWS],
            squares: vec![[FIRST_CURVATURE; LABEL_COUNT]; LOGISTIC_ROWS],
            linear: vec![[0.0; LABEL_COUNT]; columns],
            linear_squares: vec![[FIRST_CURVATURE; LABEL_COUNT]; columns],
            bias: [0.0; LABEL_COUNT],
        }
    }

    /// Log-odds per label.
    #[must_use]
    pub fn log_odds(&self, ids: &[u64], inputs: &[f32]) -> Labels {
        let mut sum = self.bias;
        for &id in ids {
            let weights = &self.weights[slot(id)];
            for label in 0..LABEL_COUNT {
                sum[label] += weights[label];
            }
        }
        for (input, weights) in inputs.iter().zip(&self.linear) {
            for label in 0..LABEL_COUNT {
                sum[label] += input * weights[label];
            }
        }
        sum
    }

    /// Bytes of the weights and their steps.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.weights.len() + self.squares.len() + 2 * self.linear.len()) * size_of::<Labels>()
    }

    /// One step towards the labels.
    pub fn learn(&mut self, ids: &[u64], inputs: &[f32], labels: &Labels, steps: &LogisticSteps) {
        let log_odds = self.log_odds(ids, inputs);
        let errors: Labels = std::array::from_fn(|label| labels[label] - sigmoid(log_odds[label]));
        for (bias, error) in self.bias.iter_mut().zip(errors) {
            *bias += BIAS_STEP * error;
        }
        for &id in ids {
            step(
                &mut self.weights[slot(id)],
                &mut self.squares[slot(id)],
                &errors,
                1.0,
                steps.ids,
            );
        }
        for (column, &input) in inputs.iter().enumerate().take(self.linear.len()) {
            step(
                &mut self.linear[column],
                &mut self.linear_squares[column],
                &errors,
                input,
                steps.columns,
            );
        }
    }
}

fn step(weights: &mut Labels, squares: &mut Labels, errors: &Labels, input: f32, step: f32) {
    for label in 0..LABEL_COUNT {
        let gradient = errors[label] * input;
        squares[label] += gradient * gradient;
        weights[label] += step * gradient / squares[label].sqrt();
    }
}

fn slot(id: u64) -> usize {
    (id >> 20) as usize & (LOGISTIC_ROWS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::SplitMix;
    use crate::streaming::mix;

    #[test]
    fn ids_and_columns_are_both_learned() {
        let (mut logistic, mut random) = (OnlineLogistic::new(1), SplitMix::new(1));
        for _ in 0..20_000 {
            let (id, input) = (random.below(2) as u64, random.unit() * 2.0 - 1.0);
            let flag = |yes: bool| f32::from(u8::from(yes));
            let labels = [flag(id == 0), flag(input > 0.0), 1.0, 0.0];
            logistic.learn(&[mix(id)], &[input], &labels, &LogisticSteps::default());
        }
        let odds = |id: u64, input: f32| logistic.log_odds(&[mix(id)], &[input]);
        assert!(odds(0, 0.0)[0] > 1.0 && odds(1, 0.0)[0] < -1.0);
        assert!(odds(0, 1.0)[1] > 1.0 && odds(0, -1.0)[1] < -1.0);
        assert!(odds(0, 0.0)[2] > 2.0 && odds(0, 0.0)[3] < -2.0);
    }

    #[test]
    fn an_empty_sample_is_the_bias() {
        let logistic = OnlineLogistic::new(3);
        assert_eq!(logistic.log_odds(&[], &[]), [0.0; LABEL_COUNT]);
    }
}
