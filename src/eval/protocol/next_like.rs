//! Next-like replay: a log in time order; before every like the liked item is asked for.
//!
//! Owns the order of the events, the split and the walk. The order breaks ties of (second, user) by a hash of user and
//! item: by item id, which correlates with popularity, a learned model could guess the order within a second.

use anyhow::Result;

use super::{Observe, PLACES, ask};
use crate::eval::item_set::ItemSet;
use crate::eval::log::{Catalogue, Interaction, InteractionLog, SplitLog};
use crate::eval::method::{Answer, NextItemMethod, NextItemRequest};

/// From this value on an event is a like.
pub(crate) const LIKE_VALUE_MIN: f32 = 4.0;

/// Orders the log by (time, user, hash of user and item) and cuts it after the share `split` of its events.
pub(crate) fn split(log: InteractionLog, split: f64) -> SplitLog {
    let mut history = in_time_order(log.interactions, &log.catalogue);
    let stream = history.split_off(cut(history.len(), split));
    SplitLog {
        catalogue: log.catalogue,
        history,
        stream,
    }
}

/// How many of `events` come before the cut.
pub(crate) fn cut(events: usize, split: f64) -> usize {
    ((events as f64 * split).round() as usize).min(events)
}

/// Orders events by (time, user id, hash of user id and item id).
pub(crate) fn in_time_order(mut interactions: Vec<Interaction>, catalogue: &Catalogue) -> Vec<Interaction> {
    let users = numeric_or_hashed(&catalogue.user_ids);
    let items = numeric_or_hashed(&catalogue.item_ids);
    interactions.sort_by_cached_key(|event| {
        let (user, item) = (users[event.user as usize], items[event.item as usize]);
        (event.at_ms, user, splitmix64((user << 32) | item), event.item)
    });
    interactions
}

/// Ids as numbers; where they are not all numbers of at most 32 bits, a hash of each.
fn numeric_or_hashed(ids: &[String]) -> Vec<u64> {
    let numbers: Option<Vec<u64>> = ids.iter().map(|id| id.parse::<u32>().ok().map(u64::from)).collect();
    numbers.unwrap_or_else(|| {
        let hashed = ids.iter().map(|id| xxhash_rust::xxh3::xxh3_64(id.as_bytes()) >> 32);
        hashed.collect()
    })
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Replays the stream before a fitted method. A case is a like of a viewer with at least one earlier event; candidates
/// are the items anyone has rated before, without the viewer's own. Cold are viewers with nothing in the history.
///
/// # Errors
/// None of its own.
pub(crate) fn replay(log: &SplitLog, method: &mut dyn NextItemMethod, observe: &mut Observe<'_>) -> Result<()> {
    let item_count = log.catalogue.item_count();
    let mut known = ItemSet::empty(item_count);
    let mut events_of = vec![0_u32; item_count];
    let mut contexts: Vec<Vec<Interaction>> = vec![Vec::new(); log.catalogue.user_count()];
    for event in &log.history {
        known.insert(event.item);
        events_of[event.item as usize] += 1;
        contexts[event.user as usize].push(*event);
    }
    let is_cold: Vec<bool> = contexts.iter().map(Vec::is_empty).collect();
    let mut candidates = ItemSet::empty(item_count);
    let mut answer = Answer::default();
    for event in &log.stream {
        let (user, item) = (event.user as usize, event.item as usize);
        if event.value >= LIKE_VALUE_MIN && !contexts[user].is_empty() {
            candidates.copy_from(&known);
            contexts[user].iter().for_each(|past| candidates.remove(past.item));
            let request = NextItemRequest {
                user: event.user,
                now_ms: event.at_ms,
                context: &contexts[user],
                candidates: &candidates,
                places: PLACES,
            };
            let about_target = (event.item, is_cold[user], events_of[item]);
            if !ask(method, &request, &mut answer, about_target, observe) {
                return Ok(());
            }
        }
        method.learn(event);
        known.insert(event.item);
        events_of[item] += 1;
        contexts[user].push(*event);
    }
    Ok(())
}
