//! What the viewer has before it: the item on the screen, the items behind it, and what was shown before.
//!
//! Owns `append` and `replace_tail`, the marks for `seen`, and the judgement what is a repeat. A pure state machine: must
//! not know sockets or time.
//!
//! A feed may cross a `seen` on its way: the server made it before it could know. So every message to the server has a
//! number, and the caller says up to which number the server is proven to have read (`proven`). An item that was
//! reported at or before that number and comes again is the server's fault: it is shown again and counted as a repeat.
//! One that was reported later is dropped unseen, as an app does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use swipeline_models::wire::{FeedMode, ItemDto};

use crate::behaviour::stable_hash;

/// The most items that wait to be shown.
const QUEUE_MAX: usize = 1_000;
/// The most shown items that are remembered.
const SHOWN_MAX: usize = 65_536;
/// The most reports that are kept to be said again after a lost socket.
const UNPROVEN_MAX: usize = 64;

/// An item with where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// The item.
    pub item: Arc<ItemDto>,
    /// The feed that brought it.
    pub seq: u64,
    /// Its place in that feed.
    pub position: u32,
    /// The feed's name for events.
    pub request_id: Arc<str>,
}

/// What to say to the server with `seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenMark {
    /// Which feed.
    pub seq: u64,
    /// Up to which place, inclusive.
    pub upto: u32,
}

/// What became of the items of a feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedOutcome {
    /// Put behind the screen.
    pub queued: u32,
    /// Of these, known by the server to have been shown already.
    pub repeats: u32,
    /// Dropped: shown already, but the server could not know yet.
    pub crossed: u32,
    /// Dropped: already waiting to be shown (an `append` that overlaps).
    pub already_queued: u32,
    /// Dropped: twice in the same feed.
    pub twice_in_feed: u32,
}

/// The viewer's side of the feed.
#[derive(Debug, Default)]
pub struct LocalQueue {
    waiting: VecDeque<Card>,
    screen: Option<Card>,
    /// Hash of each shown item → the number of the message that reported it, once there is one.
    shown: HashMap<u64, Option<u64>>,
    shown_order: VecDeque<u64>,
    unreported: Vec<(Arc<ItemDto>, SeenMark)>,
    /// What was reported in messages that the server is not proven to have read, oldest first.
    unproven: VecDeque<(u64, Arc<ItemDto>)>,
}

impl LocalQueue {
    /// Takes a feed. `proven` is the number of the last message that the server is known to have read before it made
    /// this feed.
    pub fn take_feed(&mut self, mode: FeedMode, cards: Vec<Card>, proven: u64) -> FeedOutcome {
        if mode == FeedMode::ReplaceTail {
            self.waiting.clear();
        }
        let waiting_before = self.waiting.len();
        let mut outcome = FeedOutcome::default();
        for card in cards {
            if let Some(place) = self.waiting.iter().position(|known| known.item.id == card.item.id) {
                let counter = if place < waiting_before {
                    &mut outcome.already_queued
                } else {
                    &mut outcome.twice_in_feed
                };
                *counter += 1;
                continue;
            }
            match self.shown.get(&key(&card.item.id)) {
                Some(Some(reported)) if *reported <= proven => outcome.repeats += 1,
                Some(_) => {
                    outcome.crossed += 1;
                    continue;
                }
                None => {}
            }
            if self.waiting.len() >= QUEUE_MAX {
                break;
            }
            outcome.queued += 1;
            self.waiting.push_back(card);
        }
        outcome
    }

    /// Puts the next item on the screen, if none is there. Gives whether it was shown before (a repeat); `None` when
    /// there is nothing to show.
    pub fn show_next(&mut self) -> Option<bool> {
        if self.screen.is_some() {
            return None;
        }
        let card = self.waiting.pop_front()?;
        let hash = key(&card.item.id);
        let repeated = self.shown.insert(hash, None).is_some();
        if !repeated {
            self.shown_order.push_back(hash);
            if self.shown_order.len() > SHOWN_MAX
                && let Some(oldest) = self.shown_order.pop_front()
            {
                self.shown.remove(&oldest);
            }
        }
        self.unreported.push((
            Arc::clone(&card.item),
            SeenMark {
                seq: card.seq,
                upto: card.position,
            },
        ));
        self.screen = Some(card);
        Some(repeated)
    }

    /// The item on the screen.
    #[must_use]
    pub fn on_screen(&self) -> Option<&Card> {
        self.screen.as_ref()
    }

    /// Takes the item off the screen.
    pub fn swipe(&mut self) -> Option<Card> {
        self.screen.take()
    }

    /// How many items wait behind the screen.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What has been shown and not been reported: one mark per feed. It counts as reported by message `number`.
    pub fn report_seen(&mut self, number: u64) -> Vec<SeenMark> {
        let mut marks: Vec<SeenMark> = Vec::new();
        for (item, mark) in std::mem::take(&mut self.unreported) {
            self.note_report(item, number);
            match marks.iter_mut().find(|known| known.seq == mark.seq) {
                Some(known) => known.upto = known.upto.max(mark.upto),
                None => marks.push(mark),
            }
        }
        marks
    }

    /// Whether something was shown that has not been reported.
    #[must_use]
    pub fn has_unreported(&self) -> bool {
        !self.unreported.is_empty()
    }

    /// Forgets which reports might have to be said again up to message `proven`.
    pub fn prune(&mut self, proven: u64) {
        while self.unproven.front().is_some_and(|(number, _)| *number <= proven) {
            self.unproven.pop_front();
        }
    }

    /// Begins anew after a lost socket. Gives the items whose report may not have arrived; they count as reported by
    /// message `number`, in which the caller says it again. Without `recovered` the server has begun to count its
    /// feeds anew: what waits is forgotten.
    pub fn reopen(&mut self, proven: u64, number: u64, recovered: bool) -> Vec<Arc<ItemDto>> {
        self.prune(proven);
        let mut again: Vec<Arc<ItemDto>> = self.unproven.drain(..).map(|(_, item)| item).collect();
        if !recovered {
            self.waiting.clear();
            again.extend(self.unreported.drain(..).map(|(item, _)| item));
        }
        again.iter().for_each(|item| self.note_report(Arc::clone(item), number));
        again
    }

    fn note_report(&mut self, item: Arc<ItemDto>, number: u64) {
        if let Some(reported) = self.shown.get_mut(&key(&item.id)) {
            *reported = Some(number);
        }
        self.unproven.push_back((number, item));
        if self.unproven.len() > UNPROVEN_MAX {
            self.unproven.pop_front();
        }
    }
}

fn key(item_id: &str) -> u64 {
    stable_hash(0, item_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cards(seq: u64, ids: &[u32]) -> Vec<Card> {
        let card = |(position, id): (usize, &u32)| Card {
            item: Arc::new(ItemDto {
                id: format!("v{id}"),
                ..ItemDto::default()
            }),
            seq,
            position: position as u32,
            request_id: Arc::from("r"),
        };
        ids.iter().enumerate().map(card).collect()
    }

    fn screen(queue: &LocalQueue) -> &str {
        queue.on_screen().map_or("", |card| card.item.id.as_str())
    }

    #[test]
    fn replace_tail_drops_what_waits_and_leaves_the_screen() {
        let mut queue = LocalQueue::default();
        queue.take_feed(FeedMode::Append, cards(1, &[1, 2, 3]), 0);
        assert_eq!(queue.show_next(), Some(false));
        queue.take_feed(FeedMode::ReplaceTail, cards(2, &[4, 5]), 0);
        assert_eq!((screen(&queue), queue.waiting()), ("v1", 2));
        queue.take_feed(FeedMode::Append, cards(3, &[5, 6]), 0);
        assert_eq!(queue.waiting(), 3, "an overlapping append adds only what is new");
        queue.swipe();
        queue.show_next();
        assert_eq!(screen(&queue), "v4");
    }

    #[test]
    fn only_what_the_server_could_know_is_a_repeat() {
        let mut queue = LocalQueue::default();
        queue.take_feed(FeedMode::Append, cards(1, &[1, 2]), 0);
        queue.show_next();
        assert_eq!(queue.report_seen(5), [SeenMark { seq: 1, upto: 0 }]);
        queue.swipe();
        let crossed = queue.take_feed(FeedMode::ReplaceTail, cards(2, &[1, 3]), 4);
        assert_eq!((crossed.crossed, crossed.repeats, queue.waiting()), (1, 0, 1));
        let repeat = queue.take_feed(FeedMode::ReplaceTail, cards(3, &[1, 3]), 5);
        assert_eq!((repeat.crossed, repeat.repeats, queue.waiting()), (0, 1, 2));
        assert_eq!(queue.show_next(), Some(true), "and it is shown, and seen to be one");
    }

    #[test]
    fn marks_are_joined_by_feed() {
        let mut queue = LocalQueue::default();
        queue.take_feed(FeedMode::Append, cards(1, &[1, 2]), 0);
        queue.take_feed(FeedMode::Append, cards(2, &[3]), 0);
        while queue.show_next().is_some() {
            queue.swipe();
        }
        assert_eq!(
            queue.report_seen(1),
            [SeenMark { seq: 1, upto: 1 }, SeenMark { seq: 2, upto: 0 }]
        );
        assert!(!queue.has_unreported());
    }

    #[test]
    fn a_lost_socket_makes_unproven_reports_uncertain() {
        let mut queue = LocalQueue::default();
        queue.take_feed(FeedMode::Append, cards(1, &[1, 2]), 0);
        queue.show_next();
        queue.report_seen(5);
        let again = queue.reopen(4, 9, false);
        assert_eq!((again.len(), again[0].id.as_str(), queue.waiting()), (1, "v1", 0));
        assert_eq!(queue.take_feed(FeedMode::Append, cards(1, &[1]), 8).crossed, 1);
        assert_eq!(queue.take_feed(FeedMode::Append, cards(2, &[1]), 9).repeats, 1);
    }

    proptest! {
        /// Against a server that never sends what was reported, whatever crosses on the way: no repeat, ever.
        #[test]
        fn an_honest_server_is_never_accused(
            steps in proptest::collection::vec((0..4_u8, proptest::collection::vec(0..40_u32, 0..8), 0..4_u64), 1..80),
        ) {
            let mut queue = LocalQueue::default();
            let mut number = 0_u64;
            let mut reported: HashMap<String, u64> = HashMap::new();
            let mut shown: Vec<String> = Vec::new();
            for (seq, (kind, ids, lag)) in steps.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        let proven = number.saturating_sub(lag);
                        let honest: Vec<u32> = ids
                            .into_iter()
                            .filter(|id| reported.get(&format!("v{id}")).is_none_or(|at| *at > proven))
                            .collect();
                        let mode = if kind == 0 { FeedMode::Append } else { FeedMode::ReplaceTail };
                        let outcome = queue.take_feed(mode, cards(seq as u64, &honest), proven);
                        prop_assert_eq!(outcome.repeats, 0);
                    }
                    2 => {
                        queue.swipe();
                        prop_assert_ne!(queue.show_next(), Some(true));
                        shown.extend(queue.on_screen().map(|card| card.item.id.clone()));
                    }
                    _ => {
                        number += 1;
                        queue.report_seen(number);
                        for id in shown.drain(..) {
                            reported.entry(id).or_insert(number);
                        }
                    }
                }
            }
        }
    }
}
