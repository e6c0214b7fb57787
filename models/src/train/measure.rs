//! How well a model predicts: area under the ROC curve and log loss per objective.
//!
//! Owns the formulas and the rows of the report. Knows models only by their predictions.

use super::sample::Sample;
use crate::rank::{OBJECTIVE_COUNT, Objective, ObjectiveRow};

/// Probabilities are kept this far from 0 and 1 before their logarithm is taken.
const PROBABILITY_MIN: f64 = 1e-6;
/// A watched share from this on counts as positive for the area under the curve.
const POSITIVE_MIN: f32 = 0.5;
/// Observations of prior belief behind a base rate: no rate is exactly 0 or 1.
const BASE_RATE_PRIOR_COUNT: f64 = 1.0;

/// How one model predicts one objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectiveReport {
    /// Which objective.
    pub objective: Objective,
    /// Samples whose label is known.
    pub samples: usize,
    /// Mean label.
    pub rate: f64,
    /// Area under the ROC curve, ties half; `None` when only one class occurred.
    pub auc: Option<f64>,
    /// Mean of -y·ln p - (1 - y)·ln(1 - p); `None` without samples.
    pub log_loss: Option<f64>,
}

/// Measures predictions, one row per sample.
#[must_use]
pub fn report_on(samples: &[Sample], predictions: &[ObjectiveRow]) -> [ObjectiveReport; OBJECTIVE_COUNT] {
    Objective::ALL.map(|objective| {
        let column = objective.index();
        let known = samples
            .iter()
            .zip(predictions)
            .filter_map(|(sample, predicted)| Some((predicted[column], sample.labels[column]?)));
        let mut pairs: Vec<(f32, f32)> = known.collect();
        let count = pairs.len() as f64;
        let loss: f64 = pairs
            .iter()
            .map(|(predicted, label)| log_loss(*predicted, *label))
            .sum();
        let labels: f64 = pairs.iter().map(|(_, label)| f64::from(*label)).sum();
        ObjectiveReport {
            objective,
            samples: pairs.len(),
            rate: labels / count.max(1.0),
            auc: auc(&mut pairs),
            log_loss: (!pairs.is_empty()).then_some(loss / count),
        }
    })
}

/// The mean label of each objective, with a little belief in one half so that it is never 0 or 1.
#[must_use]
pub fn base_rates(samples: &[Sample]) -> [f64; OBJECTIVE_COUNT] {
    Objective::ALL.map(|objective| {
        let labels = samples.iter().filter_map(|sample| sample.labels[objective.index()]);
        let (sum, count) = labels.fold((0.0, 0.0), |(sum, count), label| (sum + f64::from(label), count + 1.0));
        (sum + 0.5 * BASE_RATE_PRIOR_COUNT) / (count + BASE_RATE_PRIOR_COUNT)
    })
}

fn log_loss(predicted: f32, label: f32) -> f64 {
    let predicted = f64::from(if predicted.is_nan() { 0.5 } else { predicted });
    let (predicted, label) = (
        predicted.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN),
        f64::from(label),
    );
    -label * predicted.ln() - (1.0 - label) * (1.0 - predicted).ln()
}

/// The share of pairs of a positive and a negative in which the positive has the higher score, ties half.
fn auc(pairs: &mut [(f32, f32)]) -> Option<f64> {
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        let positives_here = tied.iter().filter(|(_, label)| *label >= POSITIVE_MIN).count() as f64;
        let negatives_here = tied.len() as f64 - positives_here;
        wins += positives_here * (negatives + 0.5 * negatives_here);
        positives += positives_here;
        negatives += negatives_here;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs_and_ties_half() {
        let mut pairs = [(0.9, 1.0), (0.1, 0.0), (0.5, 1.0), (0.5, 0.0), (0.7, 0.0)];
        // Pairs won: 0.9 over three; 0.5 over 0.1, half over 0.5, none over 0.7.
        assert_eq!(auc(&mut pairs), Some(4.5 / 6.0));
        assert_eq!(auc(&mut [(0.4, 1.0), (0.2, 1.0)]), None);
        assert_eq!(auc(&mut []), None);
    }

    #[test]
    fn log_loss_is_lowest_at_the_truth_and_never_infinite() {
        assert!((log_loss(0.5, 1.0) - std::f64::consts::LN_2).abs() < 1e-9);
        assert!(log_loss(0.3, 0.3) < log_loss(0.4, 0.3) && log_loss(0.3, 0.3) < log_loss(0.2, 0.3));
        assert!(log_loss(0.0, 1.0).is_finite() && log_loss(f32::NAN, 1.0).is_finite());
    }
}
