//! Fitting the network: mini-batches, early stopping, and the way back to plain layers.
//!
//! Owns the order of training and when it ends. The result is a [`MlpSpec`], which `rank::onnx_writer` writes.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::adam::Adam;
use super::measure::base_rates;
use super::network::{Network, Workspace, keep_heads_apart};
use super::sample::{Sample, Split};
use super::standardise::Standardiser;
use crate::features::schema::FEATURE_COUNT;
use crate::rank::mlp::{MlpError, MlpSpec};

/// Fewer samples to fit than this teach nothing that a report could confirm.
pub const SAMPLES_MIN: usize = 100;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Seeds the initial weights and the order of the samples.
    pub seed: u64,
    /// Training ends after so many passes over the samples at the latest.
    pub epochs_max: u32,
    /// Training ends when so many passes in a row have not lowered the stopping part's loss.
    pub patience_epochs: u32,
    /// Samples per step.
    pub batch: usize,
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of a weight that decays per step of length 1.
    pub weight_decay: f32,
    /// Version of the weights, written into the file.
    pub model_version: String,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            seed: 1,
            epochs_max: 40,
            patience_epochs: 4,
            batch: 128,
            learning_rate: 1e-3,
            weight_decay: 0.02,
            model_version: "trained".to_owned(),
        }
    }
}

/// Why nothing was trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// There is too little to learn from.
    #[error("{samples} samples to fit, {stopping} to decide when to stop: {SAMPLES_MIN} and 1 are the least")]
    TooFew {
        /// Samples to fit.
        samples: usize,
        /// Samples that decide when to stop.
        stopping: usize,
    },
    /// A sample holds a value that is not finite, or a label outside [0, 1].
    #[error("sample {index}, served at {at}: a feature or a label is not a number in its range")]
    BadSample {
        /// Place of the sample, from 0.
        index: usize,
        /// When it was served.
        at: i64,
    },
    /// The loss is no number any more; a shorter step helps.
    #[error("training diverged in epoch {epoch}; try a lower --learning-rate")]
    Diverged {
        /// The pass, from 1.
        epoch: u32,
    },
    /// The layers do not make up a network, which is a mistake of this program.
    #[error(transparent)]
    Layers(#[from] MlpError),
}

/// The losses of one pass, per sample (sum over objectives).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochLosses {
    /// Which pass, from 1; 0 is before the first.
    pub epoch: u32,
    /// The stopping part's loss after it.
    pub stopping: f64,
    /// Whether it is the best so far.
    pub is_best: bool,
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedRanker {
    /// The network; it takes feature rows as they are served.
    pub spec: MlpSpec,
    /// The passes, in order.
    pub epochs: Vec<EpochLosses>,
}

/// Trains a network on the fitted part of a split; `progress` hears of every pass. Takes about 5 µs per sample and pass.
///
/// # Errors
/// Too few samples, a sample that is not finite, or divergence.
pub fn train_ranker(
    split: &Split<'_>,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&EpochLosses),
) -> Result<TrainedRanker, TrainError> {
    if split.fitted.len() < SAMPLES_MIN || split.stopping.is_empty() {
        return Err(TrainError::TooFew {
            samples: split.fitted.len(),
            stopping: split.stopping.len(),
        });
    }
    check(split)?;
    let standardiser = Standardiser::of(split.fitted);
    let rows = |samples: &[Sample]| -> Vec<[f32; FEATURE_COUNT]> {
        samples
            .iter()
            .map(|sample| standardiser.apply(&sample.features))
            .collect()
    };
    let (fitted_rows, stopping_rows) = (rows(split.fitted), rows(split.stopping));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let base_log_odds = base_rates(split.fitted).map(|rate| ((rate / (1.0 - rate)).ln()) as f32);
    let mut network = Network::new(base_log_odds, &mut random);
    let mut adam = Adam::new(&network.layers, options.learning_rate, options.weight_decay);
    let mut workspace = Workspace::default();
    let mut order: Vec<usize> = (0..split.fitted.len()).collect();
    let mut best = network.clone();
    let mut epochs = vec![EpochLosses {
        epoch: 0,
        stopping: mean_loss(&network, &stopping_rows, split.stopping, &mut workspace),
        is_best: true,
    }];
    progress(&epochs[0]);
    let (mut best_loss, mut passes_without_gain) = (epochs[0].stopping, 0);
    for epoch in 1..=options.epochs_max {
        order.shuffle(&mut random);
        for batch in order.chunks(options.batch.max(1)) {
            step(
                &mut network,
                batch,
                &fitted_rows,
                split.fitted,
                &mut adam,
                &mut workspace,
            );
        }
        let stopping = mean_loss(&network, &stopping_rows, split.stopping, &mut workspace);
        if !stopping.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        let is_best = stopping < best_loss;
        if is_best {
            best_loss = stopping;
            best.clone_from(&network);
            passes_without_gain = 0;
        } else {
            passes_without_gain += 1;
        }
        let losses = EpochLosses {
            epoch,
            stopping,
            is_best,
        };
        progress(&losses);
        epochs.push(losses);
        if passes_without_gain >= options.patience_epochs.max(1) {
            break;
        }
    }
    let mut layers = best.layers;
    standardiser.fold_into(&mut layers[0]);
    let spec = MlpSpec::new(layers, options.model_version.clone())?;
    Ok(TrainedRanker { spec, epochs })
}

fn check(split: &Split<'_>) -> Result<(), TrainError> {
    let is_good = |sample: &Sample| {
        let labels_good = sample.labels.iter().flatten().all(|label| (0.0..=1.0).contains(label));
        labels_good && sample.features.iter().all(|value| value.is_finite())
    };
    let all = split.fitted.iter().chain(split.stopping).enumerate();
    match all.into_iter().find(|(_, sample)| !is_good(sample)) {
        Some((index, sample)) => Err(TrainError::BadSample { index, at: sample.at.0 }),
        None => Ok(()),
    }
}

/// One step on the mean gradient of a batch.
fn step(
    network: &mut Network,
    batch: &[usize],
    rows: &[[f32; FEATURE_COUNT]],
    samples: &[Sample],
    adam: &mut Adam,
    workspace: &mut Workspace,
) {
    let mut gradients = network.zeros();
    let scale = 1.0 / batch.len() as f32;
    for index in batch {
        network.add_gradient(&rows[*index], &samples[*index].labels, scale, &mut gradients, workspace);
    }
    keep_heads_apart(&mut gradients);
    adam.step(&mut network.layers, &gradients);
}

fn mean_loss(network: &Network, rows: &[[f32; FEATURE_COUNT]], samples: &[Sample], workspace: &mut Workspace) -> f64 {
    let losses = rows.iter().zip(samples);
    let sum: f64 = losses
        .map(|(row, sample)| network.loss(row, &sample.labels, workspace))
        .sum();
    sum / samples.len() as f64
}
