//! A small seeded log whose truth is known, for tests.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::sample::{Labels, Sample};
use crate::features::schema::{FEATURE_COUNT, Feature};
use crate::rank::objectives::sigmoid;
use crate::rank::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
use crate::time::TimestampMs;

/// Items of one slate.
pub(super) const SLATE: usize = 5;

/// A log of `count` items in slates of [`SLATE`], in order of time. Like depends on short-term and tag affinity
/// together, skip on the negative similarity, share is never seen, watch is known for half of the items. The last item
/// of every slate was drawn by chance from 40.
pub(super) fn synthetic_log(count: usize, seed: u64) -> Vec<Sample> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..count)
        .map(|index| {
            let features = random_row(&mut random);
            let truth = truth_of(&features);
            let mut happens =
                |objective: Objective| Some(f32::from(u8::from(random.random::<f32>() < truth[objective.index()])));
            let mut labels: Labels = [None; OBJECTIVE_COUNT];
            for objective in [Objective::Like, Objective::Complete, Objective::Skip] {
                labels[objective.index()] = happens(objective);
            }
            labels[Objective::Share.index()] = Some(0.0);
            labels[Objective::Watch.index()] = (index % 2 == 0).then_some(truth[Objective::Watch.index()]);
            Sample {
                at: TimestampMs(1_700_000_000_000 + (index / SLATE) as i64 * 1_000),
                request: (index / SLATE) as u64,
                features,
                pre_rank: 0.5,
                collaborative: 0.0,
                predicted: [0.5; OBJECTIVE_COUNT],
                propensity: (index % SLATE == SLATE - 1).then_some(1.0 / 40.0),
                labels,
            }
        })
        .collect()
}

/// The probabilities by which the labels are drawn.
pub(super) fn truth_of(features: &[f32; FEATURE_COUNT]) -> ObjectiveRow {
    let of = |feature: Feature| features[feature.index()];
    let both = (of(Feature::ShortCosine) * of(Feature::TagAffinityShort)).max(0.0);
    let disliked = of(Feature::NegativeSimilarity);
    let mut truth = [0.0; OBJECTIVE_COUNT];
    truth[Objective::Like.index()] = sigmoid(-2.0 + 6.0 * both);
    // Against the bundled model's belief: long videos are finished more often here.
    truth[Objective::Complete.index()] = sigmoid(-1.0 + 3.0 * of(Feature::DurationLog) - disliked);
    truth[Objective::Skip.index()] = sigmoid(-1.0 + 2.5 * disliked);
    truth[Objective::Watch.index()] = sigmoid(2.0 * of(Feature::DurationLog) - 1.0);
    truth
}

/// Every feature over its range, but for `region_match`, which never varies.
fn random_row(random: &mut Xoshiro256PlusPlus) -> [f32; FEATURE_COUNT] {
    Feature::ALL.map(|feature| {
        let (low, high) = feature.range();
        if feature == Feature::RegionMatch {
            high
        } else {
            random.random_range(low..high)
        }
    })
}
