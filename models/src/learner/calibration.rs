//! The calibration of the model: log-odds' = log-odds + scale · log-odds + bias, per objective (Platt 1999).
//!
//! Owns the two numbers and how outcomes move them: online Newton steps with forgetting. The scale stays above -1, so a
//! calibration alone never turns an objective's order around. Must not know crosses.

use serde::{Deserialize, Serialize};

use super::lanes::{LANES, LOG_ODDS_MAX, Lanes};
use crate::rank::OBJECTIVE_COUNT;
use crate::rank::objectives::sigmoid;

/// How firmly "the model is right" is believed at first, in units of what outcomes add (p(1-p) times squared input).
const SCALE_BELIEF: f32 = 20.0;
const BIAS_BELIEF: f32 = 2.0;
/// What an outcome still says after another: about the last four thousand count.
const KEEP: f32 = 0.99975;
/// Curvature of an outcome at least, so that a model that is sure of everything can be moved, but not by single outcomes.
const CURVATURE_MIN: f32 = 0.02;
/// No outcome moves a number by more.
const STEP_MAX: f32 = 0.25;
const SCALE_BOUNDS: (f32, f32) = (-0.9, 2.0);
const BIAS_MAX: f32 = 10.0;

/// One objective's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Line {
    scale: f32,
    bias: f32,
    /// Curvature: scale × scale, scale × bias, bias × bias.
    curvature: [f32; 3],
}

impl Default for Line {
    fn default() -> Self {
        Self {
            scale: 0.0,
            bias: 0.0,
            curvature: [SCALE_BELIEF, 0.0, BIAS_BELIEF],
        }
    }
}

/// The calibration of all objectives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    lines: [Line; OBJECTIVE_COUNT],
}

impl Calibration {
    /// What is added to an objective's log-odds.
    pub(super) fn added(&self, objective: usize, log_odds: f32) -> f32 {
        let line = &self.lines[objective];
        line.scale * log_odds + line.bias
    }

    /// One step towards a label.
    pub(super) fn learn(&mut self, objective: usize, log_odds: f32, label: f32) {
        let input = log_odds.clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX);
        let probability = sigmoid(input + self.added(objective, input));
        let weight = (probability * (1.0 - probability)).max(CURVATURE_MIN);
        let line = &mut self.lines[objective];
        let [ss, sb, bb] = line.curvature;
        let curvature = [
            KEEP * ss + weight * input * input,
            KEEP * sb + weight * input,
            KEEP * bb + weight,
        ];
        let [ss, sb, bb] = curvature;
        let determinant = ss * bb - sb * sb;
        let error = label - probability;
        let step = |value: f32| (error * value / determinant.max(1e-6)).clamp(-STEP_MAX, STEP_MAX);
        let (scale, bias) = (step(bb * input - sb), step(ss - sb * input));
        *line = Line {
            scale: (line.scale + scale).clamp(SCALE_BOUNDS.0, SCALE_BOUNDS.1),
            bias: (line.bias + bias).clamp(-BIAS_MAX, BIAS_MAX),
            curvature,
        };
    }

    /// Scale and bias of an objective.
    pub(super) fn line(&self, objective: usize) -> (f32, f32) {
        (self.lines[objective].scale, self.lines[objective].bias)
    }

    /// Scales and biases as rows.
    pub(super) fn lanes(&self) -> (Lanes, Lanes) {
        let (mut scales, mut biases) = ([0.0; LANES], [0.0; LANES]);
        for (objective, line) in self.lines.iter().enumerate() {
            (scales[objective], biases[objective]) = (line.scale, line.bias);
        }
        (scales, biases)
    }

    /// Whether every number is one that learning could have made.
    pub(super) fn is_sound(&self) -> bool {
        self.lines.iter().all(|line| {
            (SCALE_BOUNDS.0..=SCALE_BOUNDS.1).contains(&line.scale)
                && line.bias.abs() <= BIAS_MAX
                && line.curvature.iter().all(|value| value.is_finite())
                && line.curvature[0] > 0.0
                && line.curvature[2] > 0.0
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::online::SplitMix;

    /// The model's odds are three nats too high and twice too wide.
    #[test]
    fn a_model_that_boasts_is_brought_down_within_some_hundred_outcomes() {
        let (mut calibration, mut random) = (Calibration::default(), SplitMix::new(3));
        let mut late_error = 0.0;
        for number in 0..1_500 {
            let truth = -2.0 + (random.unit() - 0.5) * 3.0;
            let said = 2.0 * truth + 6.0;
            let label = f32::from(u8::from(random.unit() < sigmoid(truth)));
            if number >= 1_000 {
                let corrected = said + calibration.added(0, said);
                late_error += (sigmoid(corrected) - sigmoid(truth)).abs() / 500.0;
            }
            calibration.learn(0, said, label);
        }
        assert!(late_error < 0.03, "{late_error} {:?}", calibration.line(0));
        assert_eq!(calibration.line(1), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn no_outcomes_make_it_unsound(outcomes in prop::collection::vec((-40.0_f32..40.0, 0.0_f32..=1.0), 0..400)) {
            let mut calibration = Calibration::default();
            for (log_odds, label) in outcomes {
                calibration.learn(2, log_odds, label);
            }
            prop_assert!(calibration.is_sound(), "{calibration:?}");
        }
    }
}
