//! One outcome, learned by both states.
//!
//! Owns the order of the updates: expectations are read before anything is counted, so nothing expects itself.

use super::extract::expectations;
use super::factors::Factor;
use super::outcome::{Impression, LABEL_COUNT, Lane, LaneRow, bounded};
use super::rates::logit;
use super::shared::StreamingFeatures;
use super::viewer::ViewerFeatures;

/// All viewers begin with the same factor; the items' differ.
const VIEWER_FACTOR_ID: u64 = 0x5151;
/// Labels whose factors are learned from views, so that histories without impressions teach them too; the other labels
/// are learned from all impressions.
const VIEW_LABELS: usize = 2;

/// Both states learn the outcome of an impression (what is no number counts as 0). Costs a constant.
pub fn learn(
    shared: &mut StreamingFeatures,
    viewer: &mut ViewerFeatures,
    impression: &Impression<'_>,
    outcome: &LaneRow,
) {
    let outcome = &bounded(outcome);
    let (of_item, of_viewer) = expectations(shared, viewer, impression);
    viewer.learn(impression, outcome, &of_item);
    shared.learn(impression, outcome, &of_viewer);
    if outcome[Lane::Click as usize] > 0.5 {
        let [base_long, base_like] = shared.view_rates().map(logit);
        learn_factor(shared, viewer, impression.item, 0, base_long, outcome[0]);
        learn_factor(shared, viewer, impression.item, 1, base_like, outcome[1]);
    }
    let base = shared.global(impression.at_ms);
    for label in VIEW_LABELS..LABEL_COUNT {
        learn_factor(
            shared,
            viewer,
            impression.item,
            label,
            logit(base[label]),
            outcome[label],
        );
    }
}

/// Both states learn a view from a history without impressions (what was shown and not watched is not known).
pub fn warm(
    shared: &mut StreamingFeatures,
    viewer: &mut ViewerFeatures,
    impression: &Impression<'_>,
    long: bool,
    liked: bool,
) {
    shared.warm(impression, long, liked);
    viewer.warm(impression, long, liked);
    let base = shared.view_rates().map(logit);
    for (label, flag) in [long, liked].into_iter().enumerate() {
        learn_factor(
            shared,
            viewer,
            impression.item,
            label,
            base[label],
            f32::from(u8::from(flag)),
        );
    }
}

fn learn_factor(
    shared: &mut StreamingFeatures,
    viewer: &mut ViewerFeatures,
    item: u64,
    label: usize,
    base: f32,
    outcome: f32,
) {
    let item_factor = &mut shared.item_mut(item).factors[label];
    let viewer_factor = &mut viewer.factors[label];
    item_factor.begin(item ^ ((label as u64) << 56));
    viewer_factor.begin(VIEWER_FACTOR_ID ^ ((label as u64) << 56));
    Factor::learn(viewer_factor, item_factor, base, outcome);
}
