//! Choosing how the live model learns, on the last of the training days.
//!
//! Owns what a trial is fitted on and what it gains. Nothing of the test part comes here.

use anyhow::Result;
use swipeline_models::online::LiveParams;

use crate::eval::method::{ImpressionHistory, ImpressionMethod};
use crate::eval::metrics::log_loss;
use crate::eval::shown::{OUTCOME_COUNT, Outcome, Shown, moments};
use crate::eval::tune::{Gain, Tuned, tune_live};

/// Tunes from `base` on; `make` makes the method with some params.
///
/// # Errors
/// What fitting a trial says.
pub(super) fn tune(
    name: &'static str,
    base: LiveParams,
    history: &ImpressionHistory<'_>,
    make: &dyn Fn(LiveParams) -> Box<dyn ImpressionMethod>,
) -> Result<(LiveParams, Tuned)> {
    let (earlier, last_day) = history.events.split_at(last_day(history.events));
    if earlier.is_empty() || last_day.is_empty() {
        return Ok((base, Tuned::untouched("the training part has less than two days")));
    }
    let scales = entropies(earlier);
    let gains = |params: LiveParams, cases_max: usize| {
        let mut method = make(params);
        method.fit(&ImpressionHistory {
            events: earlier,
            ..*history
        })?;
        let mut gains = Vec::with_capacity(last_day.len());
        for moment in moments(last_day) {
            for (shown, outcome) in moment {
                gains.push(Gain {
                    viewer: shown.user,
                    gain: gain(&method.predict(shown), outcome, &scales),
                });
            }
            if gains.len() >= cases_max {
                break;
            }
            moment.iter().for_each(|(shown, outcome)| method.learn(shown, outcome));
        }
        Ok(gains)
    };
    tune_live(name, base, history.seed, &gains)
}

/// Where the last day of events begins; events of the same millisecond as its first belong to it.
fn last_day(events: &[(Shown, Outcome)]) -> usize {
    let Some(day) = events.iter().map(|(shown, _)| shown.day).max() else {
        return 0;
    };
    let first = events.iter().position(|(shown, _)| shown.day == day).unwrap_or(0);
    let at_ms = events[first].0.at_ms;
    events[..first].partition_point(|(shown, _)| shown.at_ms < at_ms)
}

/// What knowing nothing but an outcome's rate would lose, so that rare and frequent outcomes count alike.
fn entropies(events: &[(Shown, Outcome)]) -> [f64; OUTCOME_COUNT] {
    std::array::from_fn(|label| {
        let positives = events.iter().filter(|(_, outcome)| outcome.labels[label]).count();
        // One of each is added: an outcome that never came has a scale, too.
        let rate = (positives as f64 + 1.0) / (events.len() as f64 + 2.0);
        -(rate * rate.ln() + (1.0 - rate) * (1.0 - rate).ln())
    })
}

fn gain(predicted: &[f32; OUTCOME_COUNT], outcome: &Outcome, scales: &[f64; OUTCOME_COUNT]) -> f32 {
    let losses = predicted.iter().zip(outcome.labels).zip(scales);
    let relative = losses.map(|((predicted, label), scale)| log_loss(*predicted, label) / scale);
    -(relative.sum::<f64>() / OUTCOME_COUNT as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(day: u32, at_ms: i64) -> (Shown, Outcome) {
        let shown = Shown {
            user: 0,
            item: 0,
            at_ms,
            day,
            hour: 0,
            tab: 0,
            duration_ms: 0,
        };
        (shown, Outcome::default())
    }

    #[test]
    fn the_last_day_begins_with_its_first_millisecond() {
        assert_eq!(last_day(&[]), 0);
        assert_eq!(last_day(&[shown(1, 5), shown(1, 6)]), 0);
        assert_eq!(last_day(&[shown(1, 5), shown(1, 6), shown(2, 6), shown(2, 7)]), 1);
    }

    #[test]
    fn better_predictions_gain_more_and_rare_outcomes_count_like_frequent_ones() {
        let mut liked = Outcome::default();
        liked.labels[1] = true;
        let scales = entropies(&[shown(1, 1)]);
        let sure = gain(&[0.1, 0.9, 0.1, 0.1], &liked, &scales);
        let unsure = gain(&[0.5; OUTCOME_COUNT], &liked, &scales);
        assert!(sure > unsure && unsure < 0.0);
    }
}
