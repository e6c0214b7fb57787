//! A small multi-layer perceptron as plain data, and its forward pass in plain Rust.
//!
//! Owns the definition that the ONNX writer writes and against which the inference engine is checked (golden
//! reference). It serves nothing and knows no feature by name.

use thiserror::Error;

use super::objectives::sigmoid;
use super::ranker::RankScratch;

/// Most layers of a network.
pub const MLP_LAYERS_MAX: usize = 16;
/// Widest layer of a network.
pub const MLP_WIDTH_MAX: usize = 4_096;

/// Why layers do not make up a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MlpError {
    /// No layer, or more than [`MLP_LAYERS_MAX`].
    #[error("{layers} layers, need 1 to {MLP_LAYERS_MAX}")]
    Layers {
        /// Layers given.
        layers: usize,
    },
    /// A layer's sizes are zero, over [`MLP_WIDTH_MAX`], or disagree with its weights or bias.
    #[error("layer {layer}: {rows} x {cols} with {weights} weights and {bias} biases")]
    Shape {
        /// Index of the layer.
        layer: usize,
        /// Inputs.
        rows: usize,
        /// Outputs.
        cols: usize,
        /// Weights given.
        weights: usize,
        /// Biases given.
        bias: usize,
    },
    /// A layer does not take what the one before it gives.
    #[error("layer {layer} takes {rows} inputs, the layer before gives {given}")]
    Chain {
        /// Index of the layer.
        layer: usize,
        /// Its inputs.
        rows: usize,
        /// Outputs of the layer before.
        given: usize,
    },
}

/// One fully connected layer: output = input · weights + bias.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLayer {
    /// `rows` x `cols`, row-major: the weights of one input to all outputs stand together.
    pub weights: Vec<f32>,
    /// One per output.
    pub bias: Vec<f32>,
    /// Inputs.
    pub rows: usize,
    /// Outputs.
    pub cols: usize,
}

/// A network of dense layers with ReLU between them and the logistic function at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpSpec {
    layers: Vec<DenseLayer>,
    model_version: String,
}

impl MlpSpec {
    /// A network of layers that fit each other. Weights may be anything, also NaN: whether a model is usable is decided
    /// where it is loaded.
    pub fn new(layers: Vec<DenseLayer>, model_version: impl Into<String>) -> Result<MlpSpec, MlpError> {
        if layers.is_empty() || layers.len() > MLP_LAYERS_MAX {
            return Err(MlpError::Layers { layers: layers.len() });
        }
        for (index, layer) in layers.iter().enumerate() {
            let DenseLayer {
                weights,
                bias,
                rows,
                cols,
            } = layer;
            let sizes_allowed = (1..=MLP_WIDTH_MAX).contains(rows) && (1..=MLP_WIDTH_MAX).contains(cols);
            if !sizes_allowed || weights.len() != rows * cols || bias.len() != *cols {
                return Err(MlpError::Shape {
                    layer: index,
                    rows: *rows,
                    cols: *cols,
                    weights: weights.len(),
                    bias: bias.len(),
                });
            }
        }
        for (index, pair) in layers.windows(2).enumerate() {
            if pair[0].cols != pair[1].rows {
                return Err(MlpError::Chain {
                    layer: index + 1,
                    rows: pair[1].rows,
                    given: pair[0].cols,
                });
            }
        }
        Ok(MlpSpec {
            layers,
            model_version: model_version.into(),
        })
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[DenseLayer] {
        &self.layers
    }

    /// The layers, to change weights in place; shapes must stay as they are.
    pub fn layers_mut(&mut self) -> &mut [DenseLayer] {
        &mut self.layers
    }

    /// Version of the weights, as it is written into the file.
    pub fn model_version(&self) -> &str {
        &self.model_version
    }

    /// Values that one row takes.
    pub fn input_width(&self) -> usize {
        self.layers[0].rows
    }

    /// Values that one row gives.
    pub fn output_width(&self) -> usize {
        self.layers[self.layers.len() - 1].cols
    }

    /// Computes `n` rows (row-major, `n * input_width` values) into `out` (cleared first; `n * output_width` values in
    /// [0, 1]). Rows that are missing at the end of a short `rows` are not computed.
    pub fn forward(&self, rows: &[f32], n: usize, out: &mut Vec<f32>, scratch: &mut RankScratch) {
        out.clear();
        let RankScratch {
            activations,
            activations_next,
            ..
        } = scratch;
        let last = self.layers.len() - 1;
        for row in rows.chunks_exact(self.input_width()).take(n) {
            activations.clear();
            activations.extend_from_slice(row);
            for (index, layer) in self.layers.iter().enumerate() {
                layer.apply(activations, activations_next);
                if index < last {
                    activations_next.iter_mut().for_each(relu);
                }
                std::mem::swap(activations, activations_next);
            }
            out.extend(activations.iter().map(|log_odds| sigmoid(*log_odds)));
        }
    }
}

impl DenseLayer {
    /// max(0, input · weights + bias) for one row.
    pub(crate) fn apply_relu(&self, input: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        self.apply(input, &mut output);
        output.iter_mut().for_each(relu);
        output
    }

    /// output = input · weights + bias for one row; the inner loop runs over outputs so that it vectorises.
    pub(crate) fn apply(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        output.extend_from_slice(&self.bias);
        for (value, weights) in input.iter().zip(self.weights.chunks_exact(self.cols)) {
            for (sum, weight) in output.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

/// Not `max`: that would turn NaN into 0 and hide a broken network.
fn relu(value: &mut f32) {
    if *value < 0.0 {
        *value = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(rows: usize, cols: usize, weights: Vec<f32>, bias: Vec<f32>) -> DenseLayer {
        DenseLayer {
            weights,
            bias,
            rows,
            cols,
        }
    }

    #[test]
    fn forward_is_what_the_formula_says() {
        // Hidden: relu([1 * x0 - 2 * x1, x0 + x1 - 1]); output: sigmoid(h0 - h1 + 0.5).
        let hidden = layer(2, 2, vec![1.0, 1.0, -2.0, 1.0], vec![0.0, -1.0]);
        let output = layer(2, 1, vec![1.0, -1.0], vec![0.5]);
        let spec = MlpSpec::new(vec![hidden, output], "test").expect("the layers fit");
        let mut out = Vec::new();
        spec.forward(&[3.0, 1.0, 0.0, 4.0], 2, &mut out, &mut RankScratch::new());
        let expected = [sigmoid(1.0 - 3.0 + 0.5), sigmoid(0.0 - 3.0 + 0.5)];
        assert_eq!(out.len(), 2);
        for (value, want) in out.iter().zip(expected) {
            assert!((value - want).abs() < 1e-7);
        }
    }

    #[test]
    fn forward_shows_not_a_number() {
        let hidden = layer(1, 1, vec![f32::NAN], vec![0.0]);
        let output = layer(1, 1, vec![1.0], vec![0.0]);
        let spec = MlpSpec::new(vec![hidden, output], "test").expect("the layers fit");
        let mut out = Vec::new();
        spec.forward(&[1.0], 1, &mut out, &mut RankScratch::new());
        assert!(out[0].is_nan());
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let good = layer(2, 2, vec![0.0; 4], vec![0.0; 2]);
        assert_eq!(MlpSpec::new(vec![], "v"), Err(MlpError::Layers { layers: 0 }));
        assert!(matches!(
            MlpSpec::new(vec![layer(2, 2, vec![0.0; 3], vec![0.0; 2])], "v"),
            Err(MlpError::Shape {
                layer: 0,
                weights: 3,
                ..
            })
        ));
        assert!(matches!(
            MlpSpec::new(vec![layer(0, 1, vec![], vec![0.0])], "v"),
            Err(MlpError::Shape { rows: 0, .. })
        ));
        assert_eq!(
            MlpSpec::new(vec![good, layer(3, 1, vec![0.0; 3], vec![0.0])], "v"),
            Err(MlpError::Chain {
                layer: 1,
                rows: 3,
                given: 2
            })
        );
    }
}
