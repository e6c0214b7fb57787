//! The learner: takes samples in their order, keeps watch over itself, and makes snapshots for requests.
//!
//! Owns the order of learning: predict at every level, tell the guard, then learn. Must not know threads or storage.

use super::calibration::Calibration;
use super::ftrl::Ftrl;
use super::guard::{Guard, Level, OBJECTIVE_LEVELS};
use super::lanes::LOG_ODDS_MAX;
use super::sample::Sample;
use super::slots::position_slot;
use super::weights::Published;
use crate::params::LearnerParams;
use crate::rank::objectives::sigmoid;
use crate::rank::{OBJECTIVE_COUNT, ObjectiveRow};

/// Probabilities are bounded by this before their logarithm is taken, so that one outcome cannot outweigh a thousand.
const LOSS_PROBABILITY_MIN: f32 = 1e-4;

/// Calibration, weights and watch.
#[derive(Debug, Clone, Default)]
pub struct Learner {
    pub(super) calibration: Calibration,
    pub(super) ftrl: Ftrl,
    pub(super) guards: [Guard; OBJECTIVE_COUNT],
    /// The fingerprint of the model that is corrected.
    pub(super) model: String,
    /// Samples learned.
    pub(super) samples: u64,
    pub(super) params: LearnerParams,
    /// Whether anything has changed since the last snapshot for requests.
    is_fresh: bool,
}

impl Learner {
    /// A learner that has seen nothing.
    #[must_use]
    pub fn new(params: LearnerParams) -> Self {
        Self {
            params,
            ..Self::default()
        }
    }

    /// Learns from one sample.
    pub fn learn(&mut self, sample: &Sample) {
        let (inputs, slots) = (sample.row.inputs(), sample.row.slots());
        let model = sample.row.model_log_odds();
        let residual = self.ftrl.sum(&inputs, &slots);
        let mut gradients: ObjectiveRow = [0.0; OBJECTIVE_COUNT];
        for objective in 0..OBJECTIVE_COUNT {
            let Some(label) = sample.labels[objective].filter(|label| (0.0..=1.0).contains(label)) else {
                continue;
            };
            let said = model[objective].clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX);
            let added = self.calibration.added(objective, said);
            let max = self.params.correction_max;
            let by_level = [said, said + added, said + added + residual[objective].clamp(-max, max)];
            self.guards[objective].observe(by_level.map(|log_odds| log_loss(log_odds, label)), &self.params);
            gradients[objective] = sigmoid(by_level[2]) - label;
            self.calibration.learn(objective, said, label);
        }
        self.ftrl.learn(&inputs, &slots, &gradients, &self.params);
        self.samples += 1;
        self.is_fresh = true;
    }

    /// Takes other params; what was learned stays.
    pub fn set_params(&mut self, params: &LearnerParams) {
        if self.params != *params {
            self.params = *params;
            self.ftrl.reweigh(params);
            self.is_fresh = true;
        }
    }

    /// Another model serves: what was learned about the one before (its calibration, and that correcting it helps) is
    /// forgotten, what was learned about viewers and items stays. Returns whether anything was forgotten.
    pub fn serve_model(&mut self, fingerprint: &str) -> bool {
        if self.model == fingerprint {
            return false;
        }
        let is_another = !self.model.is_empty();
        if is_another {
            self.calibration = Calibration::default();
            self.guards = Default::default();
            self.is_fresh = true;
        }
        self.model = fingerprint.to_owned();
        is_another
    }

    /// A snapshot for requests, if anything has changed since the last one.
    pub fn publish(&mut self) -> Option<Published> {
        std::mem::take(&mut self.is_fresh).then(|| {
            Published::new(
                self.levels(),
                self.calibration.lanes(),
                &self.ftrl.input_weights,
                &self.ftrl.pages,
                // Whoever is ranked might be the first to be seen.
                position_slot(0),
            )
        })
    }

    /// By what each objective is served.
    #[must_use]
    pub fn levels(&self) -> [Level; OBJECTIVE_COUNT] {
        self.guards.map(|guard| guard.level())
    }

    /// Mean log loss by level over about the last window, and how many outcomes it is of.
    #[must_use]
    pub fn losses(&self, objective: usize) -> ([f32; OBJECTIVE_LEVELS], u64) {
        (self.guards[objective].losses(), self.guards[objective].outcomes())
    }

    /// Samples learned.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Lets the next [`Learner::publish`] give a snapshot.
    pub(super) fn mark_fresh(&mut self) {
        self.is_fresh = true;
    }
}

/// The log loss (cross entropy) of log-odds at a label between 0 and 1.
fn log_loss(log_odds: f32, label: f32) -> f32 {
    let probability = sigmoid(log_odds).clamp(LOSS_PROBABILITY_MIN, 1.0 - LOSS_PROBABILITY_MIN);
    -(label * probability.ln() + (1.0 - label) * (1.0 - probability).ln())
}
