//! Who may speak: the model alone, the calibrated model, or the model corrected by crosses.
//!
//! Owns the progressive validation (every outcome is predicted before it is learned; Blum, Kalai and Langford 1999) and
//! the rule that follows from it. An objective is corrected only while that is better than what is simpler; when it gets
//! worse than that, it is silenced again. Must not know how predictions are made.

use serde::{Deserialize, Serialize};

use crate::params::LearnerParams;

/// Number of [`Level`]s.
pub const OBJECTIVE_LEVELS: usize = 3;

/// By what an objective is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The model as it is.
    #[default]
    Model,
    /// The model, calibrated.
    Calibrated,
    /// The model, calibrated and corrected by features and crosses.
    Corrected,
}

impl Level {
    /// All levels, the simplest first.
    pub const ALL: [Level; OBJECTIVE_LEVELS] = [Level::Model, Level::Calibrated, Level::Corrected];

    /// The name in metrics and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Model => "model",
            Level::Calibrated => "calibrated",
            Level::Corrected => "corrected",
        }
    }
}

/// The watch over one objective.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Guard {
    /// Outcomes since the model that serves began to.
    outcomes: u64,
    /// Mean log loss by level over about the last window.
    losses: [f32; OBJECTIVE_LEVELS],
    level: Level,
}

impl Guard {
    /// Takes how each level predicted an outcome.
    pub(super) fn observe(&mut self, losses: [f32; OBJECTIVE_LEVELS], params: &LearnerParams) {
        self.outcomes = self.outcomes.saturating_add(1);
        // A plain mean until the window is full, then one that forgets.
        let share = 1.0 / (self.outcomes.min(u64::from(params.window)).max(1) as f32);
        for (mean, loss) in self.losses.iter_mut().zip(losses) {
            *mean += share * (loss - *mean);
        }
        self.level = self.decide(params);
    }

    fn decide(&self, params: &LearnerParams) -> Level {
        if self.outcomes < u64::from(params.updates_min) {
            return Level::Model;
        }
        let [model, calibrated, corrected] = self.losses;
        // What speaks already stays until it is no better; what is silent has to be better by the margin.
        let keeps = |level: Level, loss: f32, simpler: f32| {
            let margin = if self.level >= level { 0.0 } else { params.margin };
            loss < simpler * (1.0 - margin)
        };
        if keeps(Level::Corrected, corrected, model.min(calibrated)) {
            Level::Corrected
        } else if keeps(Level::Calibrated, calibrated, model) {
            Level::Calibrated
        } else {
            Level::Model
        }
    }

    /// By what the objective is served.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Outcomes watched.
    pub(super) fn outcomes(&self) -> u64 {
        self.outcomes
    }

    /// Mean log loss by level over about the last window.
    pub(super) fn losses(&self) -> [f32; OBJECTIVE_LEVELS] {
        self.losses
    }

    /// Whether every number is one that watching could have made.
    pub(super) fn is_sound(&self) -> bool {
        self.losses.iter().all(|loss| loss.is_finite() && *loss >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(guard: &mut Guard, losses: [f32; 3], times: usize) -> Level {
        let params = LearnerParams::default();
        (0..times).for_each(|_| guard.observe(losses, &params));
        guard.level()
    }

    #[test]
    fn nothing_speaks_before_enough_outcomes() {
        let least = LearnerParams::default().updates_min as usize;
        let mut guard = Guard::default();
        assert_eq!(watched(&mut guard, [2.0, 0.5, 0.4], least - 1), Level::Model);
        assert_eq!(watched(&mut guard, [2.0, 0.5, 0.4], 1), Level::Corrected);
    }

    #[test]
    fn the_simpler_one_speaks_unless_the_other_is_better_by_the_margin() {
        let much = 3_000;
        assert_eq!(
            watched(&mut Guard::default(), [0.5, 0.4999, 0.4998], much),
            Level::Model
        );
        assert_eq!(
            watched(&mut Guard::default(), [0.5, 0.4, 0.3999], much),
            Level::Calibrated
        );
        assert_eq!(watched(&mut Guard::default(), [0.5, 0.4, 0.6], much), Level::Calibrated);
        assert_eq!(watched(&mut Guard::default(), [0.5, 0.6, 0.4], much), Level::Corrected);
    }

    #[test]
    fn what_gets_worse_is_silenced_and_may_come_back() {
        let mut guard = Guard::default();
        assert_eq!(watched(&mut guard, [0.5, 0.45, 0.4], 2_000), Level::Corrected);
        assert_eq!(watched(&mut guard, [0.5, 0.55, 0.9], 2_000), Level::Model);
        assert_eq!(watched(&mut guard, [0.5, 0.45, 0.4], 8_000), Level::Corrected);
    }
}
