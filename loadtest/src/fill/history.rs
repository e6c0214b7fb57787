//! A history of views before the first run, so that a server knows what is popular.
//!
//! Owns who watched what when. Viewers pick by popularity and react by their taste.

use rand::RngExt;
use swipeline_models::time::{HOUR_MS, TimestampMs};
use swipeline_models::wire::{EventDto, EventsReply};

use super::{FillError, post};
use crate::behaviour::{Catalogue, PopularitySampler, Viewer, ViewerConfig, seeded};

/// Events per request; far below what the server takes.
const EVENTS_PER_REQUEST: usize = 2_000;
/// How far back the history goes.
const HISTORY_MS: i64 = 6 * HOUR_MS;
/// Views per viewer.
const VIEWS_PER_VIEWER: u64 = 20;

/// What came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryTotals {
    /// Events taken.
    pub accepted: usize,
    /// Events taken before.
    pub duplicates: usize,
    /// Events not taken.
    pub rejected: usize,
}

/// Sends about `event_count` events of made-up viewers, oldest first; `progress` hears how many are done.
///
/// # Errors
/// The server does not answer, refuses, or answers nonsense.
pub async fn fill_history(
    rest_root: &str,
    catalogue: &Catalogue,
    event_count: usize,
    progress: impl Fn(usize),
) -> Result<HistoryTotals, FillError> {
    let url = format!("{}/v1/events", rest_root.trim_end_matches('/'));
    let http = reqwest::Client::new();
    let mut totals = HistoryTotals::default();
    let mut history = history(catalogue, event_count);
    while !history.is_empty() {
        let rest = history.split_off(EVENTS_PER_REQUEST.min(history.len()));
        let reply: EventsReply = post(&http, &url, &history).await?;
        totals.accepted += reply.accepted;
        totals.duplicates += reply.duplicates;
        totals.rejected += reply.rejected.len();
        progress(totals.accepted + totals.duplicates + totals.rejected);
        history = rest;
    }
    Ok(totals)
}

/// The events, oldest first; the last one is at the catalogue's `now`.
fn history(catalogue: &Catalogue, event_count: usize) -> Vec<EventDto> {
    let Some(popularity) = PopularitySampler::new(catalogue) else {
        return Vec::new();
    };
    let config = catalogue.config();
    let mut events: Vec<EventDto> = Vec::with_capacity(event_count);
    for index in 0.. {
        if events.len() >= event_count {
            break;
        }
        let mut viewer = Viewer::new(ViewerConfig {
            seed: config.seed,
            index,
            ..ViewerConfig::default()
        });
        let mut rng = seeded(config.seed, "history", index);
        for view in 0..VIEWS_PER_VIEWER {
            let at = TimestampMs(config.now.0 - rng.random_range(0..HISTORY_MS));
            let item = catalogue.item(popularity.draw(&mut rng, at));
            let reaction = viewer.react(&item, &mut rng, at);
            for signal in reaction.signals {
                events.push(EventDto {
                    event_id: Some(format!("history-{}-{index}-{view}-{}", config.seed, signal.name())),
                    user_id: Some(format!("history-{index}")),
                    item_id: item.id.clone(),
                    kind: signal.name().to_owned(),
                    at: Some(at.0),
                    watch_ms: Some(reaction.watch_ms),
                    ..EventDto::default()
                });
            }
        }
    }
    events.truncate(event_count);
    events.sort_by_key(|event| event.at);
    events
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::behaviour::CatalogueConfig;

    #[test]
    fn the_history_is_valid_ordered_and_has_different_ids() {
        let now = TimestampMs(1_790_000_000_000);
        let config = CatalogueConfig {
            items: 500,
            dim: None,
            seed: 1,
            now,
            days: 3,
        };
        let events = history(&Catalogue::new(config).expect("possible"), 1_000);
        assert_eq!(events.len(), 1_000);
        assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let ids: BTreeSet<&Option<String>> = events.iter().map(|event| &event.event_id).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(events.iter().all(|event| event.clone().into_event(None, now).is_ok()));
    }
}
