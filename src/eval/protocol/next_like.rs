//! Next-like replay: a log in time order; before every like the liked item is asked for.
//!
//! Owns the order of the events, the split and the walk. The order breaks ties of (second, user) by a hash of user and
//! item: by item id, which correlates with popularity, a learned model could guess the order within a second.

use anyhow::Result;

use super::{Asked, Observe, PLACES, ask};
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
    let mut rated = ItemSet::empty(item_count);
    let mut events_of = vec![0_u32; item_count];
    let mut contexts: Vec<Vec<Interaction>> = vec![Vec::new(); log.catalogue.user_count()];
    for event in &log.history {
        rated.insert(event.item);
        events_of[event.item as usize] += 1;
        contexts[event.user as usize].push(*event);
    }
    let is_cold: Vec<bool> = contexts.iter().map(Vec::is_empty).collect();
    let mut candidates = ItemSet::empty(item_count);
    let mut answer = Answer::default();
    for (known, event) in log.stream.iter().enumerate() {
        let (user, item) = (event.user as usize, event.item as usize);
        if event.value >= LIKE_VALUE_MIN && !contexts[user].is_empty() {
            candidates.copy_from(&rated);
            contexts[user].iter().for_each(|past| candidates.remove(past.item));
            let request = NextItemRequest {
                user: event.user,
                now_ms: event.at_ms,
                context: &contexts[user],
                candidates: &candidates,
                places: PLACES,
            };
            let asked = Asked {
                target: event.item,
                is_cold: is_cold[user],
                target_events: events_of[item],
                known,
            };
            if !ask(method, &request, &mut answer, &asked, observe) {
                return Ok(());
            }
        }
        method.learn(event);
        rated.insert(event.item);
        events_of[item] += 1;
        contexts[user].push(*event);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{Script, event, log_of};

    #[test]
    fn splitmix64_gives_the_published_values() {
        // The first three outputs for the seed 1234567.
        let step = 0x9E37_79B9_7F4A_7C15_u64;
        let outputs: Vec<u64> = (0..3_u64)
            .map(|n| splitmix64(1_234_567_u64.wrapping_add(step.wrapping_mul(n))))
            .collect();
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn events_of_a_second_are_ordered_by_user_and_hash_and_not_by_item() {
        let mut log = log_of(&[
            event(0, 0, 5, 1.0),
            event(0, 1, 5, 1.0),
            event(0, 2, 5, 1.0),
            event(1, 0, 5, 1.0),
        ]);
        log.catalogue.user_ids = vec!["7".to_owned(), "3".to_owned()];
        log.catalogue.item_ids = ["10", "20", "30"].map(str::to_owned).to_vec();
        let order = in_time_order(log.interactions, &log.catalogue);
        assert_eq!(order[0].user, 1, "user 3 comes before user 7");
        let mut hashes = [10_u64, 20, 30].map(|item| (splitmix64((7 << 32) | item), item));
        hashes.sort_unstable();
        let items: Vec<u64> = order[1..].iter().map(|event| u64::from(event.item + 1) * 10).collect();
        assert_eq!(items, hashes.map(|(_, item)| item));
    }

    #[test]
    fn likes_of_known_viewers_are_asked_and_everything_is_learned_afterwards() {
        // History: user 0 had item 0, user 1 had item 1.
        let history = [event(0, 0, 1, 5.0), event(1, 1, 2, 2.0)];
        let stream = [
            event(2, 0, 3, 5.0), // nothing before: not asked
            event(0, 1, 4, 3.0), // no like: not asked
            event(2, 1, 5, 4.0), // asked; cold; item 1 has 2 events
            event(1, 2, 6, 5.0), // asked; warm; nobody had item 2: no candidate
        ];
        let log = SplitLog {
            history: history.to_vec(),
            stream: stream.to_vec(),
            catalogue: log_of(&[history.as_slice(), stream.as_slice()].concat()).catalogue,
        };
        let mut script = Script::default();
        let mut asked = Vec::new();
        replay(&log, &mut script, &mut |case| {
            let candidates: Vec<u32> = case.request.candidates.iter().collect();
            asked.push((
                case.target,
                case.is_cold,
                case.target_events,
                candidates,
                case.request.context.len(),
            ));
            true
        })
        .expect("a replay");
        assert_eq!(asked, [(1, true, 2, vec![1], 1), (2, false, 0, vec![0], 1)]);
        assert_eq!(
            script.log,
            ["learn 2 0", "learn 0 1", "rank 2", "learn 2 1", "rank 1", "learn 1 2"]
        );
    }
}
