//! How a log speaks to the product: names of items, signals of events, and embeddings learned from a history.
//!
//! Owns what a star or a click is to the product. Must not hold any state of a replay.

use swipeline_models::baselines::ials::IalsConfig;
use swipeline_models::event::{Event, Signal};
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::time::TimestampMs;
use swipeline_models::train::embeddings::{EmbeddingSamples, train_embeddings};

use super::rows_of;
use crate::eval::log::{Interaction, ItemFacts};
use crate::eval::method::History;
use crate::train::embeddings::item_words;

/// One below a like counts as watched to the end,
const COMPLETE_BELOW_LIKE: f32 = 1.0;
/// anything lower as watched to this share of its length.
const WATCHED_SHARE_BELOW: f64 = 0.75;
/// The length of an item whose length is not known, as the product assumes it.
const LENGTH_MS_ASSUMED: i64 = 15_000;
/// An event of no value at all was not wanted, where some events are likes and others not.
const UNWANTED_VALUE_MAX: f32 = 0.0;

/// What the product calls an item.
pub(super) fn item_name(item: u32) -> String {
    format!("i{item}")
}

/// What the product is told of an event of the log.
pub(super) fn event_of(event: &Interaction, like_value_min: f32, facts: &[ItemFacts]) -> Option<Event> {
    let (signal, watch_ms) = if event.value >= like_value_min {
        (Signal::Like, None)
    } else if event.value >= like_value_min - COMPLETE_BELOW_LIKE {
        (Signal::Complete, None)
    } else if event.value <= UNWANTED_VALUE_MAX && like_value_min > UNWANTED_VALUE_MAX {
        (Signal::Skip, None)
    } else {
        let length_ms = facts.get(event.item as usize).and_then(|facts| facts.duration_ms);
        let watch_ms = length_ms.unwrap_or(LENGTH_MS_ASSUMED) as f64 * WATCHED_SHARE_BELOW;
        (Signal::View, Some(watch_ms as u32))
    };
    Some(Event {
        event_id: None,
        user: UserId::new(&format!("u{}", event.user)).ok()?,
        item: ItemId::new(&item_name(event.item)).ok()?,
        signal,
        at: TimestampMs(event.at_ms),
        watch_ms,
        position: None,
        request_id: None,
        context: Default::default(),
    })
}

/// Embeddings as `train embeddings` makes them, of nothing but the history.
pub(super) fn embeddings_of(history: &History<'_>) -> Vec<Vec<f32>> {
    let config = IalsConfig {
        threads: history.threads,
        seed: history.seed,
        ..IalsConfig::default()
    };
    let words = item_words(history.catalogue);
    let samples = EmbeddingSamples {
        rows: &rows_of(history),
        words: &words,
    };
    train_embeddings(&samples, &config, &|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::event;

    #[test]
    fn stars_become_signals() {
        let signal =
            |value, like_value_min| event_of(&event(1, 2, 3, value), like_value_min, &[]).map(|one| one.signal);
        assert_eq!(signal(5.0, 4.0), Some(Signal::Like));
        assert_eq!(signal(3.0, 4.0), Some(Signal::Complete));
        assert_eq!(signal(1.0, 4.0), Some(Signal::View));
        assert_eq!(signal(0.0, 4.0), Some(Signal::Skip));
        // Where everything is a like, a click without a value is one, too.
        assert_eq!(signal(0.0, f32::MIN), Some(Signal::Like));
    }
}
