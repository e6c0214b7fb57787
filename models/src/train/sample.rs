//! What a ranker learns from, and how it is split by time.
//!
//! Owns the shape of a sample and the split. Must not know where samples come from.

use crate::features::schema::FEATURE_COUNT;
use crate::rank::{OBJECTIVE_COUNT, ObjectiveRow};
use crate::time::TimestampMs;

/// What came of an item, by [`crate::rank::Objective`]: 0 or 1, for `watch` a share in [0, 1]. `None` where nothing is
/// known; such a label is left out of training and of every measure.
pub type Labels = [Option<f32>; OBJECTIVE_COUNT];

/// One item that a viewer was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was served.
    pub at: TimestampMs,
    /// A hash of the request: items of one slate have the same.
    pub request: u64,
    /// The feature row that it was ranked by.
    pub features: [f32; FEATURE_COUNT],
    /// The pre-rank score that it was ranked by, a term of the fused score.
    pub pre_rank: f32,
    /// What the collaborative channels said together, a term of the fused score.
    pub collaborative: f32,
    /// What the model that served it had predicted.
    pub predicted: ObjectiveRow,
    /// With which probability it was drawn when chance put it there, `None` for an item that its score put there.
    pub propensity: Option<f32>,
    /// What came of it.
    pub labels: Labels,
}

/// Samples in three parts of time, oldest first: no part holds anything younger than the part after it begins.
#[derive(Debug, Clone, Copy)]
pub struct Split<'a> {
    /// The weights are fitted to these.
    pub fitted: &'a [Sample],
    /// Training stops when these are predicted worse again.
    pub stopping: &'a [Sample],
    /// These are seen by nobody but the report.
    pub held_out: &'a [Sample],
}

impl<'a> Split<'a> {
    /// Cuts samples in order of time: the last `share` is held out, and as much again of what is left (rounded down)
    /// decides when to stop. A cut never goes through a moment: samples of one moment, so also of one request, stay
    /// together.
    #[must_use]
    pub fn by_time(in_order: &'a [Sample], share: f64) -> Split<'a> {
        let cut = |samples: &'a [Sample]| {
            let wanted = (samples.len() as f64 * (1.0 - share)) as usize;
            match samples.get(wanted) {
                Some(first_after) => samples.split_at(samples.partition_point(|sample| sample.at < first_after.at)),
                None => (samples, &samples[samples.len()..]),
            }
        };
        let (learned, held_out) = cut(in_order);
        let (fitted, stopping) = cut(learned);
        Split {
            fitted,
            stopping,
            held_out,
        }
    }
}
