//! The live model: an online logistic regression, and boosted trees that see its opinion as four more columns, blended
//! online; predict, then learn.
//!
//! Owns the order of things. Every outcome is learned from the row that was served for it, never from a row computed
//! later, and the trees see only what the logistic member said before it knew. Growing trees is left to the caller's
//! thread: [`LiveModel::forest_job`] gives a job that borrows nothing, [`LiveModel::install`] takes its result.

use serde::{Deserialize, Serialize};

use super::binner::BINS_MAX;
use super::forest::{BinnedRows, Forest, ForestParams};
use super::logistic::{LogisticSteps, OnlineLogistic};
use super::replay::{REPLAY_MAX, Replay};
use super::scaler::Scaler;
use super::stack::{MEMBER_COUNT, Members, Stack};
use crate::streaming::{LABEL_COUNT, mix, sigmoid};

/// How the model learns. The defaults were chosen on one log's first days; results are flat around them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LiveParams {
    /// Whether trees are grown; without them the logistic member is the model.
    pub trees: bool,
    /// Whether the logistic member learns; without it the trees are the model, and there is none before the first.
    pub logistic: bool,
    /// How far the logistic member goes with an outcome.
    #[serde(default)]
    pub steps: LogisticSteps,
    /// How they are grown.
    pub forest: ForestParams,
    /// Outcomes before the first trees.
    pub forest_rows_min: usize,
    /// New trees are due when so many times the outcomes are there.
    pub forest_growth: f32,
    /// And whenever so many outcomes came since the last: the ring may be full.
    pub forest_outcomes_max: usize,
    /// Outcomes kept for the trees.
    pub replay_max: usize,
    /// Seed of the trees.
    pub seed: u64,
}

impl Default for LiveParams {
    fn default() -> Self {
        Self {
            trees: true,
            logistic: true,
            steps: LogisticSteps::default(),
            forest: ForestParams::default(),
            forest_rows_min: 8_192,
            forest_growth: 1.35,
            forest_outcomes_max: 1 << 16,
            replay_max: REPLAY_MAX,
            seed: 7,
        }
    }
}

/// What is predicted for and learned from.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The streaming features; missing is NaN.
    pub row: &'a [f32],
    /// Hashed ids of the impression.
    pub ids: &'a [u64],
}

/// A prediction, with what is needed to learn from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Log-odds per member (logistic, trees) and label.
    pub members: Members,
    /// Calibrated probabilities of the blend.
    pub probabilities: [f32; LABEL_COUNT],
}

/// Buffers of one caller.
#[derive(Debug, Clone)]
pub struct LiveScratch {
    scaled: Vec<f32>,
    wide: Vec<f32>,
}

/// The model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveModel {
    params: LiveParams,
    columns: usize,
    scaler: Scaler,
    logistic: OnlineLogistic,
    forests: Option<[Forest; LABEL_COUNT]>,
    stack: Stack,
    replay: Replay,
    forest_due_at: usize,
    since_forest: usize,
}

/// Everything needed to grow new trees on another thread.
#[derive(Debug, Clone)]
pub struct ForestJob {
    replay: Replay,
    params: ForestParams,
    seed: u64,
}

impl ForestJob {
    /// Grows the trees of every label, each from its own seed.
    #[must_use]
    pub fn run(&self) -> [Forest; LABEL_COUNT] {
        let rows = BinnedRows::new(&self.replay, BINS_MAX);
        std::array::from_fn(|label| self.grow(&rows, label))
    }

    /// The same with up to one thread per label; the trees do not depend on how many there are.
    #[must_use]
    pub fn run_on(&self, threads: usize) -> [Forest; LABEL_COUNT] {
        let rows = BinnedRows::new(&self.replay, BINS_MAX);
        let mut forests: [Forest; LABEL_COUNT] = Default::default();
        let labels_per_thread = LABEL_COUNT.div_ceil(threads.clamp(1, LABEL_COUNT));
        std::thread::scope(|scope| {
            for (part, forests) in forests.chunks_mut(labels_per_thread).enumerate() {
                let rows = &rows;
                scope.spawn(move || {
                    for (place, forest) in forests.iter_mut().enumerate() {
                        *forest = self.grow(rows, part * labels_per_thread + place);
                    }
                });
            }
        });
        forests
    }

    fn grow(&self, rows: &BinnedRows, label: usize) -> Forest {
        let labels = self.replay.labels(label);
        Forest::train(rows, &labels, &self.params, self.seed ^ mix(label as u64))
    }
}

impl LiveModel {
    /// An untrained model over rows of so many columns.
    #[must_use]
    pub fn new(columns: usize, params: LiveParams) -> Self {
        Self {
            params,
            columns,
            scaler: Scaler::new(columns),
            logistic: OnlineLogistic::new(columns),
            forests: None,
            stack: Stack::default(),
            replay: Replay::new(columns + LABEL_COUNT, params.replay_max),
            forest_due_at: params.forest_rows_min,
            since_forest: 0,
        }
    }

    /// Buffers for one caller.
    #[must_use]
    pub fn scratch(&self) -> LiveScratch {
        LiveScratch {
            scaled: vec![0.0; self.columns],
            wide: vec![f32::NAN; self.columns + LABEL_COUNT],
        }
    }

    /// Bytes of the weights and of the log for the trees, as allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.logistic.memory_bytes() + self.replay.memory_bytes()
    }

    /// The blend's weights of a label: logistic, trees, bias.
    #[must_use]
    pub fn stack_weights(&self, label: usize) -> [f32; MEMBER_COUNT + 1] {
        self.stack.weights(label)
    }

    /// Predicts; changes nothing but the buffers.
    pub fn predict(&self, sample: &Sample<'_>, scratch: &mut LiveScratch) -> Prediction {
        self.scaler.scale(sample.row, &mut scratch.scaled);
        let logistic = self.logistic.log_odds(sample.ids, &scratch.scaled);
        let trees = self.forests.as_ref().map(|forests| {
            fill_wide(&mut scratch.wide, sample.row, &logistic);
            std::array::from_fn(|label| forests[label].log_odds(&scratch.wide))
        });
        // Where there is one member only it stands in for both, so that the blend's weights keep their meaning.
        let members: Members = match trees {
            Some(trees) if self.params.logistic => [logistic, trees],
            Some(trees) => [trees; MEMBER_COUNT],
            None => [logistic; MEMBER_COUNT],
        };
        Prediction {
            members,
            probabilities: self.stack.log_odds(&members).map(sigmoid),
        }
    }

    /// Learns the outcome of an impression from what was served for it; a label above one half is a yes.
    pub fn learn(
        &mut self,
        sample: &Sample<'_>,
        served: &Prediction,
        labels: &[f32; LABEL_COUNT],
        scratch: &mut LiveScratch,
    ) {
        let labels = labels.map(|label| f32::from(u8::from(label > 0.5)));
        self.stack.learn(&served.members, &labels);
        self.scaler.learn(sample.row);
        if self.params.logistic {
            self.scaler.scale(sample.row, &mut scratch.scaled);
            self.logistic
                .learn(sample.ids, &scratch.scaled, &labels, &self.params.steps);
        }
        if self.params.trees {
            let opinion = if self.params.logistic {
                served.members[0]
            } else {
                [0.0; LABEL_COUNT]
            };
            fill_wide(&mut scratch.wide, sample.row, &opinion);
            self.replay.push(&scratch.wide, &labels);
            self.since_forest += 1;
        }
    }

    /// A job for new trees, when they are due.
    pub fn forest_job(&mut self) -> Option<ForestJob> {
        let is_due = self.replay.len() >= self.forest_due_at || self.since_forest >= self.params.forest_outcomes_max;
        if !self.params.trees || !is_due {
            return None;
        }
        self.forest_due_at = (self.replay.len() as f32 * self.params.forest_growth.max(1.0)) as usize + 1;
        self.since_forest = 0;
        Some(ForestJob {
            replay: self.replay.clone(),
            params: self.params.forest,
            seed: self.params.seed,
        })
    }

    /// Takes new trees into use.
    pub fn install(&mut self, forests: [Forest; LABEL_COUNT]) {
        self.forests = Some(forests);
    }
}

/// The row with the logistic member's opinion behind it; a row that is too short is missing its end.
fn fill_wide(wide: &mut [f32], row: &[f32], logistic: &[f32; LABEL_COUNT]) {
    let columns = wide.len() - LABEL_COUNT;
    for (column, cell) in wide[..columns].iter_mut().enumerate() {
        *cell = row.get(column).copied().unwrap_or(f32::NAN);
    }
    wide[columns..].copy_from_slice(logistic);
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
