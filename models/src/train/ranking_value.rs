//! What a ranking would earn, told from the draws of chance in a served log.
//!
//! Owns how a ranking becomes a policy over those draws. Most of a slate is placed by score, with no chance in it:
//! nothing can be learned from that about another ranking without bias. An exploration slot is filled by a uniform
//! draw from m candidates, and 1/m is recorded. The policy judged here is the same draw, restricted to the best: it
//! draws evenly from the `share` of candidates that the ranking places highest beside the other items of their slate,
//! so π = 1 / (share · m) for those and 0 for the others. What one ranking earns is compared with another's by
//! `off_policy`. It says whether the ranking knows good candidates from bad ones where it had no hand in the choice.

use rustc_hash::FxHashMap;

use super::off_policy::{LoggedDraw, OffPolicyEstimate, estimate};
use super::sample::Sample;
use crate::rank::{Objective, ObjectiveRow};

/// A draw from a single candidate was none.
const PROPENSITY_MAX: f32 = 0.999;

/// How the scores of a ranking are made of predictions.
pub type Fuse<'a> = &'a dyn Fn(&ObjectiveRow, &Sample) -> f32;

/// What the restricted draw would earn in one objective under the ranking by `predictions` (one row per sample).
/// `None` when the samples hold no draw with a known label.
#[must_use]
pub fn value_of_ranking(
    samples: &[Sample],
    predictions: &[ObjectiveRow],
    fuse: Fuse<'_>,
    objective: Objective,
    share: f64,
    weight_max: f64,
) -> Option<OffPolicyEstimate> {
    let scores: Vec<f64> = samples
        .iter()
        .zip(predictions)
        .map(|(sample, predicted)| f64::from(fuse(predicted, sample)))
        .collect();
    let mut sums: FxHashMap<u64, (f64, f64)> = FxHashMap::default();
    for (sample, score) in samples.iter().zip(&scores) {
        let (sum, count) = sums.entry(sample.request).or_default();
        *sum += score;
        *count += 1.0;
    }
    // Beside its slate, so that a viewer who likes everything does not lift all of his candidates.
    let above_slate = |sample: &Sample, score: f64| {
        let (sum, count) = sums[&sample.request];
        score - sum / count
    };
    let drawn = samples.iter().zip(&scores).filter_map(|(sample, score)| {
        let propensity = sample.propensity.filter(|propensity| *propensity < PROPENSITY_MAX)?;
        let reward = sample.labels[objective.index()]?;
        Some((above_slate(sample, *score), f64::from(propensity), f64::from(reward)))
    });
    let mut drawn: Vec<(f64, f64, f64)> = drawn.collect();
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    let chosen = ((drawn.len() as f64 * share).ceil() as usize).min(drawn.len());
    if chosen == 0 {
        return None;
    }
    let share_chosen = chosen as f64 / drawn.len() as f64;
    let draws: Vec<LoggedDraw> = drawn
        .iter()
        .enumerate()
        .map(|(place, (_, propensity, reward))| LoggedDraw {
            reward: *reward,
            logged: *propensity,
            target: if place < chosen { propensity / share_chosen } else { 0.0 },
        })
        .collect();
    estimate(&draws, weight_max)
}
