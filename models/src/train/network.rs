//! The network that is trained: a trunk that all objectives share, and a head for each.
//!
//! Owns shapes, initial weights, the forward pass that remembers, and the gradients. Layers: 32 features → trunk of
//! [`TRUNK_UNITS`] → [`HEAD_UNITS`] units for each objective → one log-odds for each objective, which only its own
//! units feed (all other weights of that layer are 0 and stay so). ReLU between the layers. As dense layers it is what
//! `rank::mlp` computes and `rank::onnx_writer` writes, and costs about three times the bundled model.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::sample::Labels;
use crate::features::schema::FEATURE_COUNT;
use crate::index::dot_f32;
use crate::rank::OBJECTIVE_COUNT;
use crate::rank::mlp::DenseLayer;
use crate::rank::objectives::sigmoid;

/// Units that all objectives share.
pub(super) const TRUNK_UNITS: usize = 64;
/// Units of one objective's head.
pub(super) const HEAD_UNITS: usize = 8;

/// The three layers while they are trained.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub(super) layers: Vec<DenseLayer>,
}

/// Activations and errors of one row; memory that is reused.
#[derive(Default)]
pub(super) struct Workspace {
    activations: [Vec<f32>; 3],
    errors: Vec<f32>,
    errors_before: Vec<f32>,
}

impl Network {
    /// Random weights of the size that keeps signals alive through ReLU (He et al. 2015, uniform), and heads that
    /// predict `base_log_odds`.
    pub(super) fn new(base_log_odds: [f32; OBJECTIVE_COUNT], random: &mut Xoshiro256PlusPlus) -> Network {
        let heads = OBJECTIVE_COUNT * HEAD_UNITS;
        let trunk = random_layer(FEATURE_COUNT, TRUNK_UNITS, FEATURE_COUNT, random);
        let hidden = random_layer(TRUNK_UNITS, heads, TRUNK_UNITS, random);
        let mut output = random_layer(heads, OBJECTIVE_COUNT, HEAD_UNITS, random);
        output.bias.copy_from_slice(&base_log_odds);
        let mut network = Network {
            layers: vec![trunk, hidden, output],
        };
        keep_heads_apart(&mut network.layers);
        network
    }

    /// Layers of the same shapes with all values 0, for gradients.
    pub(super) fn zeros(&self) -> Vec<DenseLayer> {
        let zero = |layer: &DenseLayer| DenseLayer {
            weights: vec![0.0; layer.weights.len()],
            bias: vec![0.0; layer.bias.len()],
            rows: layer.rows,
            cols: layer.cols,
        };
        self.layers.iter().map(zero).collect()
    }

    /// The loss of one standardised row: the sum over known labels y of -y·ln p - (1 - y)·ln(1 - p).
    pub(super) fn loss(&self, row: &[f32], labels: &Labels, workspace: &mut Workspace) -> f64 {
        self.forward(row, workspace);
        let log_odds = workspace.activations[2].iter().zip(labels);
        log_odds
            .filter_map(|(log_odds, label)| Some(cross_entropy(*log_odds, (*label)?)))
            .sum()
    }

    /// Adds `scale` times the gradient of one row's loss to `gradients`.
    pub(super) fn add_gradient(
        &self,
        row: &[f32],
        labels: &Labels,
        scale: f32,
        gradients: &mut [DenseLayer],
        workspace: &mut Workspace,
    ) {
        self.forward(row, workspace);
        let Workspace {
            activations,
            errors,
            errors_before,
        } = workspace;
        errors.clear();
        // The slope of the cross-entropy by the log-odds is p - y.
        let slope = |(log_odds, label): (&f32, &Option<f32>)| label.map_or(0.0, |y| scale * (sigmoid(*log_odds) - y));
        errors.extend(activations[2].iter().zip(labels).map(slope));
        for index in (0..self.layers.len()).rev() {
            let input: &[f32] = if index == 0 { row } else { &activations[index - 1] };
            add_outer(&mut gradients[index], input, errors);
            if index > 0 {
                back_through(&self.layers[index], input, errors, errors_before);
                std::mem::swap(errors, errors_before);
            }
        }
    }

    fn forward(&self, row: &[f32], workspace: &mut Workspace) {
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = workspace.activations.split_at_mut(index);
            let input = before.last().map_or(row, Vec::as_slice);
            layer.apply(input, &mut after[0]);
            if index < last {
                after[0].iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
    }
}

/// Sets what an objective's log-odds would take from the units of other heads to 0: in weights and in gradients.
pub(super) fn keep_heads_apart(layers: &mut [DenseLayer]) {
    let Some(output) = layers.last_mut() else { return };
    for (unit, weights) in output.weights.chunks_exact_mut(OBJECTIVE_COUNT).enumerate() {
        for (objective, weight) in weights.iter_mut().enumerate() {
            if unit / HEAD_UNITS != objective {
                *weight = 0.0;
            }
        }
    }
}

fn random_layer(rows: usize, cols: usize, inputs: usize, random: &mut Xoshiro256PlusPlus) -> DenseLayer {
    let bound = (6.0 / inputs as f32).sqrt();
    DenseLayer {
        weights: (0..rows * cols).map(|_| random.random_range(-bound..bound)).collect(),
        bias: vec![0.0; cols],
        rows,
        cols,
    }
}

/// The cross-entropy by log-odds z, ln(1 + e^z) - y·z, without overflow.
fn cross_entropy(log_odds: f32, label: f32) -> f64 {
    let (z, y) = (f64::from(log_odds), f64::from(label));
    z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z
}

/// gradient += input ⊗ errors; the inner loop runs over outputs so that it vectorises.
fn add_outer(gradient: &mut DenseLayer, input: &[f32], errors: &[f32]) {
    for (value, weights) in input.iter().zip(gradient.weights.chunks_exact_mut(gradient.cols)) {
        // Half of all units behind a ReLU are silent.
        if *value != 0.0 {
            for (weight, error) in weights.iter_mut().zip(errors) {
                *weight += value * error;
            }
        }
    }
    for (bias, error) in gradient.bias.iter_mut().zip(errors) {
        *bias += error;
    }
}

/// The errors of a layer's inputs: weights · errors where the ReLU let the input through, 0 elsewhere.
fn back_through(layer: &DenseLayer, input: &[f32], errors: &[f32], errors_before: &mut Vec<f32>) {
    errors_before.clear();
    let weights = layer.weights.chunks_exact(layer.cols);
    errors_before.extend(input.iter().zip(weights).map(
        |(value, weights)| {
            if *value > 0.0 { dot_f32(weights, errors) } else { 0.0 }
        },
    ));
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const LABELS: Labels = [Some(1.0), Some(0.0), None, Some(1.0), Some(0.3)];

    fn network(seed: u64) -> Network {
        Network::new(
            [-1.0, 0.2, -3.0, 0.5, 0.0],
            &mut Xoshiro256PlusPlus::seed_from_u64(seed),
        )
    }

    fn row(seed: u64) -> Vec<f32> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..FEATURE_COUNT).map(|_| random.random_range(-1.5..1.5)).collect()
    }

    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let (mut network, row) = (network(3), row(4));
        let mut workspace = Workspace::default();
        let mut gradients = network.zeros();
        network.add_gradient(&row, &LABELS, 1.0, &mut gradients, &mut workspace);
        keep_heads_apart(&mut gradients);
        let step = 1e-2_f32;
        let mut seen = 0;
        for (layer, gradient) in gradients.iter().enumerate() {
            for place in (0..network.layers[layer].weights.len()).step_by(37) {
                let expected = gradient.weights[place];
                if expected.abs() < 1e-2 {
                    continue;
                }
                let weight = network.layers[layer].weights[place];
                let mut loss_at = |value: f32| {
                    network.layers[layer].weights[place] = value;
                    network.loss(&row, &LABELS, &mut workspace)
                };
                let slope = (loss_at(weight + step) - loss_at(weight - step)) / (2.0 * f64::from(step));
                network.layers[layer].weights[place] = weight;
                let difference = (slope - f64::from(expected)).abs();
                assert!(
                    difference < 0.05 * slope.abs(),
                    "layer {layer}, {place}: {slope} is not {expected}"
                );
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} slopes were compared");
    }

    #[test]
    fn an_unknown_label_teaches_nothing() {
        let (network, row) = (network(5), row(6));
        let mut gradients = network.zeros();
        let mut workspace = Workspace::default();
        network.add_gradient(&row, &[None; OBJECTIVE_COUNT], 1.0, &mut gradients, &mut workspace);
        assert_eq!(gradients, network.zeros());
        assert_eq!(network.loss(&row, &[None; OBJECTIVE_COUNT], &mut workspace), 0.0);
    }

    #[test]
    fn a_head_feeds_its_own_objective_only() {
        let network = network(7);
        let output = &network.layers[2];
        let fed = output.weights.iter().filter(|weight| **weight != 0.0).count();
        assert_eq!(fed, OBJECTIVE_COUNT * HEAD_UNITS);
        assert_ne!(output.weights[0], 0.0);
        assert_eq!(output.weights[1], 0.0);
    }
}
