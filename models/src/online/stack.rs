//! Blends the members' log-odds, per label, by weights that are learned as outcomes come.
//!
//! Owns the weights and the calibration: the blend is itself a logistic model, so its log loss is right whatever the
//! members do. Must not know what the members are.

use serde::{Deserialize, Serialize};

use crate::streaming::{LABEL_COUNT, sigmoid};

/// Members of the blend.
pub const MEMBER_COUNT: usize = 2;
/// Weights before anything was learned: the trees have seen the logistic member's opinion, so they lead.
const FIRST_WEIGHTS: [f32; MEMBER_COUNT + 1] = [0.3, 0.7, 0.0];
/// How firmly they are believed, in units of what outcomes add (p(1-p) times the squared input).
const FIRST_CURVATURE: f32 = 100.0;
/// What an outcome still says after another: about the last five thousand count.
const KEEP: f32 = 0.9998;
const LOG_ODDS_MAX: f32 = 12.0;

/// Log-odds per member and label.
pub type Members = [[f32; LABEL_COUNT]; MEMBER_COUNT];

/// Weights per label: one per member and a bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    weights: [[f32; MEMBER_COUNT + 1]; LABEL_COUNT],
    curvatures: [[f32; MEMBER_COUNT + 1]; LABEL_COUNT],
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            weights: [FIRST_WEIGHTS; LABEL_COUNT],
            curvatures: [[FIRST_CURVATURE; MEMBER_COUNT + 1]; LABEL_COUNT],
        }
    }
}

impl Stack {
    /// Log-odds per label.
    #[must_use]
    pub fn log_odds(&self, members: &Members) -> [f32; LABEL_COUNT] {
        std::array::from_fn(|label| {
            inputs(members, label)
                .iter()
                .zip(self.weights[label])
                .map(|(input, weight)| input * weight)
                .sum()
        })
    }

    /// The weights of a label, the bias last.
    #[must_use]
    pub fn weights(&self, label: usize) -> [f32; MEMBER_COUNT + 1] {
        self.weights[label]
    }

    /// One step towards the labels (diagonal Newton: the curvature of what was seen bounds the step).
    pub fn learn(&mut self, members: &Members, labels: &[f32; LABEL_COUNT]) {
        let log_odds = self.log_odds(members);
        for label in 0..LABEL_COUNT {
            let probability = sigmoid(log_odds[label]);
            let error = labels[label] - probability;
            let inputs = inputs(members, label);
            for ((weight, curvature), input) in self.weights[label]
                .iter_mut()
                .zip(&mut self.curvatures[label])
                .zip(inputs)
            {
                *curvature = KEEP * *curvature + probability * (1.0 - probability) * input * input;
                *weight += error * input / *curvature;
            }
        }
    }
}

fn inputs(members: &Members, label: usize) -> [f32; MEMBER_COUNT + 1] {
    std::array::from_fn(|member| {
        let log_odds = members.get(member).map_or(1.0, |row| row[label]);
        if log_odds.is_nan() {
            0.0
        } else {
            log_odds.clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::SplitMix;

    /// One member knows the truth but doubles its odds, the other says nothing useful.
    #[test]
    fn the_blend_finds_and_calibrates_the_member_that_knows() {
        let (mut stack, mut random) = (Stack::default(), SplitMix::new(1));
        for _ in 0..30_000 {
            let truth = (random.unit() - 0.5) * 4.0;
            let noise = (random.unit() - 0.5) * 4.0;
            let label = f32::from(u8::from(random.unit() < sigmoid(truth)));
            stack.learn(
                &[[truth * 2.0; LABEL_COUNT], [noise; LABEL_COUNT]],
                &[label; LABEL_COUNT],
            );
        }
        let weights = stack.weights(0);
        assert!(
            (weights[0] - 0.5).abs() < 0.08 && weights[1].abs() < 0.1 && weights[2].abs() < 0.15,
            "{weights:?}"
        );
    }

    #[test]
    fn wild_members_are_bounded() {
        let mut stack = Stack::default();
        let wild = [[f32::INFINITY; LABEL_COUNT], [-1e30, f32::NAN, 1e30, f32::NEG_INFINITY]];
        (0..100).for_each(|_| stack.learn(&wild, &[0.0; LABEL_COUNT]));
        assert!(stack.log_odds(&wild).iter().all(|value| value.is_finite()));
    }
}
