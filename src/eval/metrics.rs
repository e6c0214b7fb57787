//! The metrics themselves, from ranks and from scores.
//!
//! Owns the formulas. Must not know where ranks and scores come from.

/// The names of what [`of_rank`] gives.
pub(crate) const RANK_METRICS: [&str; 4] = ["hr@10", "hr@20", "mrr@20", "ndcg@10"];
/// Probabilities are kept this far from 0 and 1 before their logarithm is taken.
const PROBABILITY_MIN: f64 = 1e-6;

/// Hit rate in 10 and 20, reciprocal rank in 20, and NDCG in 10 of one target; a miss gives 0 everywhere.
pub(crate) fn of_rank(rank: Option<u32>) -> [f64; 4] {
    let Some(rank) = rank else { return [0.0; 4] };
    let within = |places: u32, gain: f64| if rank <= places { gain } else { 0.0 };
    let place = f64::from(rank);
    [
        within(10, 1.0),
        within(20, 1.0),
        within(20, 1.0 / place),
        within(10, 1.0 / (place + 1.0).log2()),
    ]
}

/// The log loss of one prediction.
pub(crate) fn log_loss(predicted: f32, label: bool) -> f64 {
    let predicted = f64::from(if predicted.is_nan() { 0.5 } else { predicted });
    let predicted = predicted.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    -(if label { predicted } else { 1.0 - predicted }).ln()
}

/// The area under the ROC curve of scores in ascending order, `(score, label, weight)` each; ties count half. `None`
/// when one class has no weight.
pub(crate) fn auc(ascending: impl Iterator<Item = (f32, bool, f64)>) -> Option<f64> {
    let (mut negatives_below, mut positives, mut wins) = (0.0, 0.0, 0.0);
    let (mut tied_positives, mut tied_negatives, mut present) = (0.0, 0.0, f32::NAN);
    for (score, label, weight) in ascending {
        if score != present {
            wins += tied_positives * (negatives_below + 0.5 * tied_negatives);
            positives += tied_positives;
            negatives_below += tied_negatives;
            (tied_positives, tied_negatives, present) = (0.0, 0.0, score);
        }
        if label {
            tied_positives += weight;
        } else {
            tied_negatives += weight;
        }
    }
    wins += tied_positives * (negatives_below + 0.5 * tied_negatives);
    positives += tied_positives;
    let negatives = negatives_below + tied_negatives;
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

/// The places of `scores` in ascending order; scores that are no numbers sink to the bottom.
pub(crate) fn ascending_order(scores: &[f32]) -> Vec<u32> {
    let key = |place: &u32| {
        let score = scores[*place as usize];
        if score.is_nan() { f32::NEG_INFINITY } else { score }
    };
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|left, right| key(left).total_cmp(&key(right)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_give_the_values_computed_by_hand() {
        assert_eq!(of_rank(Some(1)), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(of_rank(Some(3)), [1.0, 1.0, 1.0 / 3.0, 0.5]);
        assert_eq!(of_rank(Some(10)), [1.0, 1.0, 0.1, 1.0 / 11.0_f64.log2()]);
        assert_eq!(of_rank(Some(20)), [0.0, 1.0, 0.05, 0.0]);
        assert_eq!(of_rank(Some(21)), [0.0; 4]);
        assert_eq!(of_rank(None), [0.0; 4]);
    }

    #[test]
    fn the_log_loss_is_bounded() {
        assert!((log_loss(0.25, true) - 4.0_f64.ln()).abs() < 1e-9);
        assert!((log_loss(0.25, false) - (4.0_f64 / 3.0).ln()).abs() < 1e-9);
        assert!(log_loss(0.0, true) < 14.0 && log_loss(f32::NAN, true) < 0.7);
    }

    fn auc_of(scored: &[(f32, bool, f64)]) -> Option<f64> {
        let scores: Vec<f32> = scored.iter().map(|(score, ..)| *score).collect();
        auc(ascending_order(&scores).into_iter().map(|place| scored[place as usize]))
    }

    #[test]
    fn the_area_counts_pairs_in_order_with_ties_as_half() {
        // Pairs (positive, negative): .8 > .2, .8 > .5, .5 > .2, .5 = .5.
        let scored = [(0.8, true, 1.0), (0.5, true, 1.0), (0.5, false, 1.0), (0.2, false, 1.0)];
        assert_eq!(auc_of(&scored), Some(3.5 / 4.0));
        // A weight of 2 is the same as standing there twice; no weight is not being there.
        let weighted = [(0.8, true, 2.0), (0.9, false, 1.0), (0.1, false, 1.0), (0.0, true, 0.0)];
        assert_eq!(auc_of(&weighted), Some(0.5));
        assert_eq!(auc_of(&[(0.5, true, 1.0)]), None);
        assert_eq!(auc_of(&[]), None);
    }
}
