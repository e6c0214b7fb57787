//! The optimiser: Adam with decoupled weight decay.
//!
//! Source: Kingma and Ba 2015 (Adam), Loshchilov and Hutter 2019 (the decay is not part of the gradient).

use crate::rank::mlp::DenseLayer;

/// How much of the past the mean of the gradients keeps.
const BETA_FIRST: f32 = 0.9;
/// How much of the past the mean of their squares keeps.
const BETA_SECOND: f32 = 0.999;
/// Keeps the step finite where no gradient was.
const EPSILON: f32 = 1e-8;

/// The running means of a network's gradients.
pub(super) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
    learning_rate: f32,
    weight_decay: f32,
}

impl Adam {
    /// An optimiser for layers of these shapes.
    pub(super) fn new(layers: &[DenseLayer], learning_rate: f32, weight_decay: f32) -> Adam {
        let parameters = layers.iter().map(|layer| layer.weights.len() + layer.bias.len()).sum();
        Adam {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            steps: 0,
            learning_rate,
            weight_decay,
        }
    }

    /// Moves the parameters one step against the gradients, which have the layers' shapes. Biases do not decay.
    pub(super) fn step(&mut self, layers: &mut [DenseLayer], gradients: &[DenseLayer]) {
        self.steps += 1;
        let correction_first = 1.0 - BETA_FIRST.powi(self.steps);
        let correction_second = 1.0 - BETA_SECOND.powi(self.steps);
        let mut start = 0;
        for (layer, gradient) in layers.iter_mut().zip(gradients) {
            for (parameters, gradients, decay) in [
                (&mut layer.weights, &gradient.weights, self.weight_decay),
                (&mut layer.bias, &gradient.bias, 0.0),
            ] {
                let end = start + parameters.len();
                let means = self.first[start..end].iter_mut().zip(&mut self.second[start..end]);
                for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradients).zip(means) {
                    *first = BETA_FIRST * *first + (1.0 - BETA_FIRST) * gradient;
                    *second = BETA_SECOND * *second + (1.0 - BETA_SECOND) * gradient * gradient;
                    let direction = (*first / correction_first) / ((*second / correction_second).sqrt() + EPSILON);
                    *parameter -= self.learning_rate * (direction + decay * *parameter);
                }
                start = end;
            }
        }
    }
}
