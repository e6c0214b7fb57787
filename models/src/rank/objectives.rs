//! What a ranker predicts: the objectives, their order in a score row, and their base rates.
//!
//! Owns names and order only; how they are weighed against each other is `fusion`'s matter.

use serde::{Deserialize, Serialize};

/// Number of objectives.
pub const OBJECTIVE_COUNT: usize = 5;

/// One candidate's predictions, indexed by [`Objective`]. Every value is in [0, 1].
pub type ObjectiveRow = [f32; OBJECTIVE_COUNT];

/// Something that a viewer may do with an item; the discriminant is the index in an [`ObjectiveRow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Objective {
    /// Probability of a like.
    Like,
    /// Probability of watching to the end.
    Complete,
    /// Probability of a share.
    Share,
    /// Probability of an early skip; the one that counts against an item.
    Skip,
    /// Expected watched share of the video (a ratio, not a probability).
    Watch,
}

/// Log-odds of each objective for an average item and an unknown viewer: like 7 %, complete 40 %, share 1 %, skip 35 %,
/// watch ratio 0.5. Literals, not `ln` calls, so that the bytes of the bundled model are the same on every machine.
pub const BASE_LOGITS: ObjectiveRow = [-2.586_689_3, -0.405_465_1, -4.595_12, -0.619_039_2, 0.0];

impl Objective {
    /// Every objective, in index order.
    pub const ALL: [Objective; OBJECTIVE_COUNT] = [
        Objective::Like,
        Objective::Complete,
        Objective::Share,
        Objective::Skip,
        Objective::Watch,
    ];

    /// Index in an [`ObjectiveRow`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name on the wire and in `explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Objective::Like => "like",
            Objective::Complete => "complete",
            Objective::Share => "share",
            Objective::Skip => "skip",
            Objective::Watch => "watch",
        }
    }

    /// The objective of a name.
    pub fn from_name(name: &str) -> Option<Objective> {
        Objective::ALL.into_iter().find(|objective| objective.name() == name)
    }
}

/// The logistic function 1 / (1 + e^-x), from log-odds to a probability.
pub fn sigmoid(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_agree() {
        for (index, objective) in Objective::ALL.into_iter().enumerate() {
            assert_eq!(objective.index(), index);
            assert_eq!(Objective::from_name(objective.name()), Some(objective));
        }
        assert_eq!(Objective::from_name("dance"), None);
    }

    #[test]
    fn base_logits_are_the_documented_rates() {
        let rates = [0.07, 0.40, 0.01, 0.35, 0.5];
        for (log_odds, rate) in BASE_LOGITS.into_iter().zip(rates) {
            assert!(
                (sigmoid(log_odds) - rate).abs() < 1e-6,
                "{log_odds} is not the log-odds of {rate}"
            );
        }
    }

    #[test]
    fn sigmoid_saturates_without_overflow() {
        assert_eq!(sigmoid(f32::MAX), 1.0);
        assert_eq!(sigmoid(f32::MIN), 0.0);
        assert_eq!(sigmoid(0.0), 0.5);
    }
}
