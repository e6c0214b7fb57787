//! Leave-last: each user's last item is asked for, by everything that came before it.
//!
//! Owns the split and the walk. Every item of the log is a candidate but the user's own; nothing is learned in between.

use anyhow::Result;

use super::next_like::in_time_order;
use super::{Asked, Observe, PLACES, ask};
use crate::eval::item_set::ItemSet;
use crate::eval::log::{Interaction, InteractionLog, SplitLog};
use crate::eval::method::{Answer, NextItemMethod, NextItemRequest};

/// A user with fewer events than this in the history is cold.
const COLD_EVENTS_MAX: usize = 10;

/// Orders the log as next-like replay does and takes each user's last event out of it.
pub(crate) fn split(log: InteractionLog) -> SplitLog {
    let events = in_time_order(log.interactions, &log.catalogue);
    let (history, stream) = take_last(events, log.catalogue.user_count());
    SplitLog {
        catalogue: log.catalogue,
        history,
        stream,
    }
}

/// Takes the last event of each user with at least two out of `events`, which are in order.
pub(crate) fn take_last(events: Vec<Interaction>, user_count: usize) -> (Vec<Interaction>, Vec<Interaction>) {
    let mut left = vec![0_u32; user_count];
    events.iter().for_each(|event| left[event.user as usize] += 1);
    let total = left.clone();
    let (mut history, mut last) = (Vec::with_capacity(events.len()), Vec::new());
    for event in events {
        let user = event.user as usize;
        left[user] -= 1;
        if left[user] == 0 && total[user] > 1 {
            last.push(event);
        } else {
            history.push(event);
        }
    }
    (history, last)
}

/// Asks a fitted method for every target; users without a history are left out.
///
/// # Errors
/// None of its own.
pub(crate) fn replay(log: &SplitLog, method: &mut dyn NextItemMethod, observe: &mut Observe<'_>) -> Result<()> {
    let item_count = log.catalogue.item_count();
    let everything = ItemSet::full(item_count);
    let mut events_of = vec![0_u32; item_count];
    let mut contexts: Vec<Vec<Interaction>> = vec![Vec::new(); log.catalogue.user_count()];
    for event in &log.history {
        events_of[event.item as usize] += 1;
        contexts[event.user as usize].push(*event);
    }
    let mut candidates = ItemSet::empty(item_count);
    let mut answer = Answer::default();
    for target in &log.stream {
        let context = contexts[target.user as usize].as_slice();
        if context.is_empty() {
            continue;
        }
        candidates.copy_from(&everything);
        context.iter().for_each(|past| candidates.remove(past.item));
        let request = NextItemRequest {
            user: target.user,
            now_ms: target.at_ms,
            context,
            candidates: &candidates,
            places: PLACES,
        };
        let asked = Asked {
            target: target.item,
            is_cold: context.len() < COLD_EVENTS_MAX,
            target_events: events_of[target.item as usize],
            known: 0,
        };
        if !ask(method, &request, &mut answer, &asked, observe) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{Script, event, log_of};

    #[test]
    fn everything_but_the_users_own_items_is_ranked_and_nothing_learned() {
        let events = [
            event(0, 0, 1, 1.0),
            event(0, 1, 2, 1.0),
            event(1, 2, 3, 1.0),
            event(0, 2, 4, 1.0),
        ];
        let mut script = Script::default();
        let mut asked = Vec::new();
        replay(&split(log_of(&events)), &mut script, &mut |case| {
            asked.push((
                case.request.user,
                case.target,
                case.request.candidates.iter().collect::<Vec<_>>(),
            ));
            true
        })
        .expect("a replay");
        assert_eq!(asked, [(0, 2, vec![2])]);
        assert_eq!(script.log, ["rank 0"]);
    }

    #[test]
    fn the_last_event_of_each_user_with_two_is_taken() {
        let event = |user, item, at_ms| event(user, item, at_ms, 1.0);
        let events = vec![event(0, 1, 1), event(1, 1, 2), event(0, 2, 3), event(0, 3, 4)];
        let (history, last) = take_last(events, 2);
        assert_eq!(last, [event(0, 3, 4)]);
        assert_eq!(history.len(), 3);
    }
}
