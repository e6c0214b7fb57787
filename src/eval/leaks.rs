//! The check that nothing is known before its time.
//!
//! Owns the canary: the same replay twice, once with everything behind a point of the stream exchanged. Whatever was
//! answered up to that point must be the same bit by bit; a method, or a harness, that looked at the target, at an
//! outcome or further ahead answers differently.

use anyhow::Result;
use rustc_hash::FxHashMap;

use super::bootstrap::Draws;
use super::log::SplitLog;
use super::method::{AnswerView, ImpressionMethod, NextItemMethod};
use super::protocol::Observe;
use super::protocol::rank_shown;
use super::setup::{Effort, NextItemSetup};
use super::shown::{ImpressionLog, Outcome};
use super::shown_bench::ShownBench;

/// Behind how many events of the test part the future is exchanged, at most.
const CANARY_EVENTS_MAX: usize = 2_000;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Answers that were compared.
    pub(crate) compared: usize,
    /// Answers that depended on what came later.
    pub(crate) leaked: usize,
}

/// A replay of a log before a method.
pub(crate) type Replay<'a> = dyn Fn(&SplitLog, &mut dyn NextItemMethod, &mut Observe<'_>) -> Result<()> + 'a;

/// Checks a next-item method, made anew for each of the two replays from the log that it is replayed on.
///
/// # Errors
/// What fitting says.
pub(crate) fn check_next_item(
    log: &SplitLog,
    setup: &NextItemSetup,
    replay: &Replay<'_>,
    effort: Effort,
    make: &dyn Fn(&SplitLog) -> Box<dyn NextItemMethod>,
) -> Result<Found> {
    let cut = match setup {
        NextItemSetup::NextLike | NextItemSetup::Sessions { .. } => (log.stream.len() / 2).min(CANARY_EVENTS_MAX),
        // Nothing of the test part is known to anyone.
        NextItemSetup::LeaveLast => 0,
    };
    let digests = |log: &SplitLog| -> Result<FxHashMap<(u32, usize), u64>> {
        let mut method = make(log);
        method.fit(&setup.history(log, effort))?;
        let mut digests = FxHashMap::default();
        let mut asked = 0;
        replay(log, method.as_mut(), &mut |case| {
            if case.known <= cut {
                asked += 1;
                digests.insert(
                    (case.request.user, case.request.context.len()),
                    digest(case.answer.view()),
                );
            }
            case.known <= cut && asked < CANARY_EVENTS_MAX
        })?;
        Ok(digests)
    };
    let mut exchanged = log.clone();
    exchange_items(&mut exchanged, cut, effort.seed);
    let (first, second) = (digests(log)?, digests(&exchanged)?);
    let pairs = first
        .iter()
        .filter_map(|(key, digest)| Some((digest, second.get(key)?)));
    Ok(count(pairs.map(|(one, other)| one == other)))
}

/// Checks an impression method in the same way.
///
/// # Errors
/// What fitting says.
pub(crate) fn check_impressions(
    log: &ImpressionLog,
    test_from: u32,
    effort: Effort,
    make: &dyn Fn(&ImpressionLog) -> Box<dyn ImpressionMethod>,
) -> Result<Found> {
    let (first_test, tests) = ShownBench::new(log, test_from, effort).sizes();
    let test = &log.impressions[first_test..];
    let cut = (tests / 2).min(CANARY_EVENTS_MAX);
    // Outcomes of the cut's own moment may not be known either.
    let cut_ms = test.get(cut).map(|(shown, _)| shown.at_ms);
    let cut = test.partition_point(|(shown, _)| Some(shown.at_ms) < cut_ms);
    let moment_end = test.partition_point(|(shown, _)| Some(shown.at_ms) <= cut_ms);
    let predictions = |log: &ImpressionLog| -> Result<Vec<[u32; 8]>> {
        let bench = ShownBench::new(log, test_from, effort);
        let mut method = make(log);
        method.fit(&bench.history())?;
        let mut predictions = Vec::new();
        rank_shown::replay(
            &log.impressions[first_test..],
            test_from,
            method.as_mut(),
            &mut |case| {
                if case.place >= moment_end {
                    return false;
                }
                let both = [case.predicted, case.predicted_frozen].concat();
                predictions.push(std::array::from_fn(|place| both[place].to_bits()));
                true
            },
        );
        Ok(predictions)
    };
    let mut exchanged = log.clone();
    exchange_outcomes(&mut exchanged, first_test + cut, effort.seed);
    let (first, second) = (predictions(log)?, predictions(&exchanged)?);
    Ok(count(first.iter().zip(&second).map(|(one, other)| one == other)))
}

fn count(same: impl Iterator<Item = bool>) -> Found {
    let mut found = Found { compared: 0, leaked: 0 };
    for same in same {
        found.compared += 1;
        found.leaked += usize::from(!same);
    }
    found
}

/// Gives every event from `cut` on the item and the value of another one.
fn exchange_items(log: &mut SplitLog, cut: usize, seed: u64) {
    let future = &mut log.stream[cut..];
    let mut items: Vec<u32> = future.iter().map(|event| event.item).collect();
    Draws::new(seed).shuffle(&mut items);
    // A shuffle of few distinct items may leave many in place; turning them on by one moves every item.
    let item_count = log.catalogue.item_ids.len() as u32;
    for (event, item) in future.iter_mut().zip(items) {
        event.item = (item + 1) % item_count.max(1);
    }
}

/// Turns every outcome from `from` on into its opposite.
fn exchange_outcomes(log: &mut ImpressionLog, from: usize, seed: u64) {
    let future = &mut log.impressions[from..];
    let mut outcomes: Vec<Outcome> = future.iter().map(|(_, outcome)| *outcome).collect();
    Draws::new(seed).shuffle(&mut outcomes);
    for ((_, outcome), other) in future.iter_mut().zip(outcomes) {
        *outcome = Outcome {
            labels: outcome.labels.map(|label| !label),
            ..other
        };
    }
}

fn digest(view: AnswerView<'_>) -> u64 {
    let bytes: Vec<u8> = match view {
        AnswerView::Scores(scores) => scores.iter().flat_map(|score| score.to_bits().to_le_bytes()).collect(),
        AnswerView::List(list) => list.iter().flat_map(|item| item.to_le_bytes()).collect(),
    };
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
#[path = "leaks_tests.rs"]
mod tests;
