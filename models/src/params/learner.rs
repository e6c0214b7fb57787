//! Params of the online learner.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The online learner: corrects what the model predicts by what came of served items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnerParams {
    /// Whether outcomes are learned from.
    pub enabled: bool,
    /// Whether corrections reach the scores, for objectives where they have proved better.
    pub correct: bool,
    /// Requests read new weights so often, in milliseconds.
    pub publish_interval_ms: u64,
    /// FTRL's alpha: how fast a weight moves at first.
    pub learning_rate: f32,
    /// FTRL's beta: how many outcomes' worth of caution there is at first.
    pub beta: f32,
    /// Evidence below this leaves a weight at 0.
    pub l1: f32,
    /// Pulls weights towards 0.
    pub l2: f32,
    /// The most that features and crosses add to or take from an objective's log-odds, its calibration aside.
    pub correction_max: f32,
    /// An objective is the model's alone until so many outcomes were seen.
    pub updates_min: u32,
    /// Log losses are means over about so many outcomes.
    pub window: u32,
    /// By this share a correction's log loss has to be lower before it speaks; it is silenced when it is lower no more.
    pub margin: f32,
    /// A corrected objective's fusion weight is multiplied by the ratio of the model's spread over the candidates to its
    /// own, but at least by this.
    pub spread_factor_min: f32,
    /// And at most by this.
    pub spread_factor_max: f32,
}

impl Default for LearnerParams {
    fn default() -> Self {
        Self {
            enabled: true,
            correct: true,
            publish_interval_ms: 1_000,
            learning_rate: 0.1,
            beta: 1.0,
            l1: 0.0,
            l2: 1.0,
            correction_max: 3.0,
            updates_min: 500,
            window: 1_000,
            margin: 0.01,
            spread_factor_min: 0.1,
            spread_factor_max: 10.0,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &LearnerParams, checks: &mut Checks) {
    checks.within(
        "learner.publish_interval_ms",
        params.publish_interval_ms as f64,
        10.0,
        3_600_000.0,
    );
    checks.within("learner.learning_rate", f64::from(params.learning_rate), 1e-4, 10.0);
    checks.within("learner.beta", f64::from(params.beta), 1e-3, 100.0);
    checks.within("learner.l1", f64::from(params.l1), 0.0, 100.0);
    checks.within("learner.l2", f64::from(params.l2), 0.0, 1e4);
    checks.within("learner.correction_max", f64::from(params.correction_max), 0.0, 10.0);
    checks.within("learner.updates_min", f64::from(params.updates_min), 1.0, 1e9);
    checks.within("learner.window", f64::from(params.window), 10.0, 1e6);
    checks.share("learner.margin", params.margin);
    checks.within(
        "learner.spread_factor_min",
        f64::from(params.spread_factor_min),
        0.01,
        100.0,
    );
    checks.within(
        "learner.spread_factor_max",
        f64::from(params.spread_factor_max),
        0.01,
        100.0,
    );
    checks.rule(
        params.spread_factor_min <= params.spread_factor_max,
        "learner.spread_factor_min",
        "must not be above spread_factor_max",
    );
}
