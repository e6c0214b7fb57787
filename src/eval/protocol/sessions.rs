//! Sessions: after each click, which new item is clicked next?
//!
//! Owns the choice of the steps and when a test session may be learned. A step is a click whose next click is not among
//! the session's earlier items; all the session's items are taken off the list; every item of the log is a candidate.
//! Live, a session is learned once its last click is earlier than the present one.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Asked, Observe, PLACES, ask};
use crate::eval::item_set::ItemSet;
use crate::eval::log::{Interaction, SplitLog};
use crate::eval::method::{Answer, NextItemMethod, NextItemRequest};

/// Replays the test sessions before a fitted method, the first `cases_max` steps in time order. Cold are steps after the
/// first click of a session.
///
/// # Errors
/// None of its own.
pub(crate) fn replay(
    log: &SplitLog,
    online: bool,
    cases_max: usize,
    method: &mut dyn NextItemMethod,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let item_count = log.catalogue.item_count();
    let everything = ItemSet::full(item_count);
    let mut events_of = vec![0_u32; item_count];
    log.history.iter().for_each(|click| events_of[click.item as usize] += 1);
    let sessions = by_session(&log.stream);
    let mut waiting = ended_in_order(&sessions).peekable();
    let mut candidates = ItemSet::empty(item_count);
    let mut answer = Answer::default();
    let mut cases = 0;
    let mut clicks_of: BTreeMap<u32, usize> = BTreeMap::new();
    for (place, click) in log.stream.iter().enumerate() {
        while online && let Some((_, session)) = waiting.next_if(|(last_ms, _)| *last_ms < click.at_ms) {
            for past in &sessions[&session] {
                method.learn(past);
                events_of[past.item as usize] += 1;
            }
        }
        let clicks = clicks_of.entry(click.user).or_default();
        *clicks += 1;
        let (context, rest) = sessions[&click.user].split_at(*clicks);
        let next = rest.first().map(|next| next.item);
        let Some(target) = next.filter(|next| context.iter().all(|past| past.item != *next)) else {
            continue;
        };
        if cases == cases_max {
            return Ok(());
        }
        cases += 1;
        candidates.copy_from(&everything);
        context.iter().for_each(|past| candidates.remove(past.item));
        let request = NextItemRequest {
            user: click.user,
            now_ms: click.at_ms,
            context,
            candidates: &candidates,
            places: PLACES,
        };
        let asked = Asked {
            target,
            is_cold: context.len() == 1,
            target_events: events_of[target as usize],
            known: place + 1,
        };
        if !ask(method, &request, &mut answer, &asked, observe) {
            return Ok(());
        }
    }
    Ok(())
}

fn by_session(stream: &[Interaction]) -> BTreeMap<u32, Vec<Interaction>> {
    let mut sessions: BTreeMap<u32, Vec<Interaction>> = BTreeMap::new();
    for click in stream {
        sessions.entry(click.user).or_default().push(*click);
    }
    sessions
}

/// Sessions by the time of their last click.
fn ended_in_order(sessions: &BTreeMap<u32, Vec<Interaction>>) -> impl Iterator<Item = (i64, u32)> + use<> {
    let ends = sessions
        .iter()
        .filter_map(|(session, clicks)| Some((clicks.last()?.at_ms, *session)));
    let mut ends: Vec<(i64, u32)> = ends.collect();
    ends.sort_unstable();
    ends.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{Script, event, log_of};

    fn replayed(online: bool, cases_max: usize) -> (Vec<String>, Vec<(u32, u32, usize)>) {
        let stream = [
            event(1, 0, 10, 1.0), // step: 1 follows
            event(2, 2, 11, 1.0), // step: 0 follows
            event(1, 1, 12, 1.0), // no step: 0 follows, which the session had
            event(1, 0, 12, 1.0), // the session's end
            event(2, 0, 12, 1.0), // step: 3 follows; session 1 is not over yet, its last click is not earlier
            event(2, 3, 13, 1.0), // the session's end
        ];
        let log = SplitLog {
            catalogue: log_of(&stream).catalogue,
            history: Vec::new(),
            stream: [stream.as_slice(), &[event(3, 4, 14, 1.0), event(3, 0, 20, 1.0)]].concat(),
        };
        let log = SplitLog {
            catalogue: log_of(&log.stream).catalogue,
            ..log
        };
        let (mut script, mut asked) = (Script::default(), Vec::new());
        replay(&log, online, cases_max, &mut script, &mut |case| {
            asked.push((case.request.user, case.target, case.request.candidates.len()));
            true
        })
        .expect("a replay");
        (script.log, asked)
    }

    #[test]
    fn steps_are_new_items_and_the_sessions_own_are_taken_off() {
        let (log, asked) = replayed(false, usize::MAX);
        assert_eq!(asked, [(1, 1, 4), (2, 0, 4), (2, 3, 3), (3, 0, 4)]);
        assert_eq!(log, ["rank 1", "rank 2", "rank 2", "rank 3"]);
        assert_eq!(replayed(false, 2).1.len(), 2);
    }

    #[test]
    fn live_a_session_is_learned_once_it_is_over() {
        let (log, _) = replayed(true, usize::MAX);
        let expected = [
            "rank 1",
            "rank 2",
            "rank 2",
            "learn 1 0",
            "learn 1 1",
            "learn 1 0",
            "learn 2 2",
            "learn 2 0",
            "learn 2 3",
            "rank 3",
        ];
        assert_eq!(log, expected);
    }
}
