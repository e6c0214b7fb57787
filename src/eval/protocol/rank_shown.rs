//! Rank-shown: what will come of each impression of the test days?
//!
//! Owns the split by day and the walk. A prediction knows only outcomes of strictly smaller times: the outcomes of a
//! millisecond are learned together, after all of its predictions.

use crate::eval::cpu::thread_cpu_us;
use crate::eval::method::ImpressionMethod;
use crate::eval::shown::{ImpressionLog, OUTCOME_COUNT, Outcome, Shown, moments};

/// An impression that was predicted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownCase {
    /// What was shown.
    pub(crate) shown: Shown,
    /// What came of it.
    pub(crate) labels: [bool; OUTCOME_COUNT],
    /// The live prediction.
    pub(crate) predicted: [f32; OUTCOME_COUNT],
    /// The prediction with the viewer's state of midnight.
    pub(crate) predicted_frozen: [f32; OUTCOME_COUNT],
    /// The place of the impression in the test part.
    pub(crate) place: usize,
    /// How long the live prediction took, in microseconds of this thread's processor time.
    pub(crate) cpu_us: f64,
}

/// Where the test part begins: at the first impression, in the order of time, of the day `test_from` (`yyyymmdd`) or a
/// later one. The log's days may overlap a little in time; rows of earlier days behind that point are learned, not judged.
pub(crate) fn cut(log: &ImpressionLog, test_from: u32) -> usize {
    let first = log.impressions.iter().position(|(shown, _)| shown.day >= test_from);
    let Some(first) = first else {
        return log.impressions.len();
    };
    // What is of the same millisecond as the first one may not be known to it.
    let at_ms = log.impressions[first].0.at_ms;
    log.impressions[..first].partition_point(|(shown, _)| shown.at_ms < at_ms)
}

/// Replays the test part before a fitted method; `observe` may end it by `false`.
pub(crate) fn replay(
    test: &[(Shown, Outcome)],
    test_from: u32,
    method: &mut dyn ImpressionMethod,
    observe: &mut dyn FnMut(&ShownCase) -> bool,
) {
    let (mut day, mut place) = (0, 0);
    for moment in moments(test) {
        // A few rows may bear an earlier day than rows before them: a day begins once.
        let days = moment.iter().map(|(shown, _)| shown.day);
        if let Some(latest) = days.max().filter(|latest| *latest > day) {
            day = latest;
            method.start_day();
        }
        for (shown, outcome) in moment {
            if shown.day >= test_from {
                let began_us = thread_cpu_us();
                let predicted = method.predict(shown);
                let cpu_us = thread_cpu_us() - began_us;
                let case = ShownCase {
                    shown: *shown,
                    labels: outcome.labels,
                    predicted,
                    predicted_frozen: method.predict_frozen(shown),
                    place,
                    cpu_us,
                };
                if !observe(&case) {
                    return;
                }
            }
            place += 1;
        }
        moment.iter().for_each(|(shown, outcome)| method.learn(shown, outcome));
    }
}
