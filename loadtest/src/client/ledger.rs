//! What was sent and is not answered yet.
//!
//! Owns message numbers, the match of answers to questions (feed by cause, ack and feed by id), time-outs, and what the
//! server is proven to have read. A pure state machine: must not know sockets; instants come from the caller.

use std::collections::VecDeque;
use std::time::Duration;

use swipeline_models::wire::{EventDto, MessageId};
use tokio::time::Instant;

/// The most messages that wait for their ack.
const UNACKED_MAX: usize = 256;

/// When a swipe should have been sent and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// The instant of the plan.
    pub(crate) planned: Instant,
    /// The instant of the write.
    pub(crate) sent: Instant,
}

/// A swipe that waits for its feed.
#[derive(Debug)]
struct PendingSwipe {
    number: u64,
    event_ids: Vec<String>,
    times: Times,
}

/// A message of events that waits for its ack.
#[derive(Debug)]
struct PendingMessage {
    number: u64,
    events: Vec<EventDto>,
    times: Times,
}

/// What a feed answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FeedAnswer {
    /// The swipes, the one that the feed names last; those before it were overtaken.
    pub(crate) swipes: Vec<Times>,
    /// When the feed was asked for by a request.
    pub(crate) asked_at: Option<Instant>,
}

/// What was given up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expired {
    /// Swipes without a feed.
    pub(crate) feeds: u64,
    /// Messages without an ack.
    pub(crate) acks: u64,
    /// Requests without a feed.
    pub(crate) asks: u64,
}

/// Questions without answers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_number: u64,
    proven: u64,
    swipes: VecDeque<PendingSwipe>,
    messages: VecDeque<PendingMessage>,
    ask: Option<(u64, Instant)>,
}

impl Ledger {
    /// The number of the next message.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The number of the last message that the server is known to have read.
    pub(crate) fn proven(&self) -> u64 {
        self.proven
    }

    /// Notes a message of events. With `awaits_feed` a feed has to follow. Gives how many of the oldest messages were
    /// given up to make room.
    pub(crate) fn sent(&mut self, number: u64, events: Vec<EventDto>, times: Times, awaits_feed: bool) -> u64 {
        if awaits_feed {
            let event_ids = events.iter().filter_map(|event| event.event_id.clone()).collect();
            self.swipes.push_back(PendingSwipe {
                number,
                event_ids,
                times,
            });
        }
        self.messages.push_back(PendingMessage { number, events, times });
        let too_many = self.messages.len().saturating_sub(UNACKED_MAX);
        self.messages.drain(..too_many);
        too_many as u64
    }

    /// Notes a request for a feed.
    pub(crate) fn asked(&mut self, number: u64, now: Instant) {
        self.ask = Some((number, now));
    }

    /// Whether a request waits for its feed.
    pub(crate) fn is_asking(&self) -> bool {
        self.ask.is_some()
    }

    /// How many swipes wait for their feeds.
    pub(crate) fn swipes_in_flight(&self) -> usize {
        self.swipes.len()
    }

    /// Whether nothing waits for anything.
    pub(crate) fn is_settled(&self) -> bool {
        self.swipes.is_empty() && self.messages.is_empty()
    }

    /// Takes an ack; gives the times of what it answers.
    pub(crate) fn acked(&mut self, id: Option<&MessageId>) -> Option<Times> {
        let number = number_of(id)?;
        let place = self.messages.iter().position(|message| message.number == number)?;
        self.proven = self.proven.max(number);
        self.messages.remove(place).map(|message| message.times)
    }

    /// Takes a feed; gives what it answers.
    pub(crate) fn fed(&mut self, cause_event_id: Option<&str>, id: Option<&MessageId>) -> FeedAnswer {
        let mut answer = FeedAnswer::default();
        if let Some((number, asked_at)) = self.ask
            && number_of(id) == Some(number)
        {
            self.proven = self.proven.max(number);
            self.ask = None;
            answer.asked_at = Some(asked_at);
        }
        let named = cause_event_id.and_then(|id| {
            self.swipes
                .iter()
                .position(|swipe| swipe.event_ids.iter().any(|known| known == id))
        });
        if let Some(place) = named {
            for swipe in self.swipes.drain(..=place) {
                self.proven = self.proven.max(swipe.number);
                answer.swipes.push(swipe.times);
            }
        }
        answer
    }

    /// An error that names a message: nothing more will come for it.
    pub(crate) fn failed(&mut self, id: Option<&MessageId>) {
        let Some(number) = number_of(id) else { return };
        self.swipes.retain(|swipe| swipe.number != number);
        self.messages.retain(|message| message.number != number);
        if self.ask.is_some_and(|(ask, _)| ask == number) {
            self.ask = None;
        }
    }

    /// Gives up what has waited for longer than `timeout`.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> Expired {
        let is_late = |sent: Instant| now.saturating_duration_since(sent) >= timeout;
        let mut expired = Expired::default();
        while self.swipes.front().is_some_and(|swipe| is_late(swipe.times.sent)) {
            self.swipes.pop_front();
            expired.feeds += 1;
        }
        while self.messages.front().is_some_and(|message| is_late(message.times.sent)) {
            self.messages.pop_front();
            expired.acks += 1;
        }
        if self.ask.is_some_and(|(_, asked_at)| is_late(asked_at)) {
            self.ask = None;
            expired.asks += 1;
        }
        expired
    }

    /// When the next thing is given up.
    pub(crate) fn next_deadline(&self, timeout: Duration) -> Option<Instant> {
        let swipe = self.swipes.front().map(|swipe| swipe.times.sent);
        let message = self.messages.front().map(|message| message.times.sent);
        let ask = self.ask.map(|(_, asked_at)| asked_at);
        [swipe, message, ask]
            .into_iter()
            .flatten()
            .min()
            .map(|sent| sent + timeout)
    }

    /// After a lost socket: gives how many swipes will not get their feed, and the events that have to be sent again
    /// because nobody acknowledged them (their ids make that harmless).
    pub(crate) fn reopen(&mut self) -> (u64, Vec<EventDto>) {
        let interrupted = self.swipes.len() as u64;
        self.swipes.clear();
        self.ask = None;
        (
            interrupted,
            self.messages.drain(..).flat_map(|message| message.events).collect(),
        )
    }
}

fn number_of(id: Option<&MessageId>) -> Option<u64> {
    match id {
        Some(MessageId::Number(number)) => u64::try_from(*number).ok(),
        Some(MessageId::Text(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> EventDto {
        EventDto {
            event_id: Some(id.to_owned()),
            ..EventDto::default()
        }
    }

    fn times(start: Instant, after_ms: u64) -> Times {
        let sent = start + Duration::from_millis(after_ms);
        Times { planned: sent, sent }
    }

    fn id(number: u64) -> MessageId {
        MessageId::Number(i64::try_from(number).expect("small"))
    }

    #[test]
    fn a_feed_answers_the_swipe_that_it_names_and_those_before_it() {
        let start = Instant::now();
        let mut ledger = Ledger::default();
        for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
            let number = ledger.next_number();
            ledger.sent(number, vec![event(name)], times(start, place as u64), true);
        }
        assert_eq!(ledger.fed(Some("x"), None), FeedAnswer::default());
        assert_eq!(ledger.fed(Some("b"), None).swipes, [times(start, 0), times(start, 1)]);
        assert_eq!((ledger.proven(), ledger.swipes_in_flight()), (2, 1));
        assert_eq!(ledger.acked(Some(&id(3))), Some(times(start, 2)));
        assert_eq!(ledger.acked(Some(&id(3))), None, "an ack counts once");
        assert_eq!(ledger.proven(), 3);
    }

    #[test]
    fn what_waits_too_long_is_given_up_in_order() {
        let start = Instant::now();
        let timeout = Duration::from_millis(100);
        let mut ledger = Ledger::default();
        ledger.sent(1, vec![event("a")], times(start, 0), true);
        ledger.sent(2, vec![event("b")], times(start, 50), false);
        ledger.asked(3, start + Duration::from_millis(10));
        assert_eq!(ledger.next_deadline(timeout), Some(start + timeout));
        let expired = ledger.expire(start + Duration::from_millis(120), timeout);
        assert_eq!(
            expired,
            Expired {
                feeds: 1,
                acks: 1,
                asks: 1
            }
        );
        assert_eq!(ledger.next_deadline(timeout), Some(start + Duration::from_millis(150)));
        assert!(!ledger.is_settled());
    }

    #[test]
    fn a_lost_socket_gives_back_what_nobody_acknowledged() {
        let start = Instant::now();
        let mut ledger = Ledger::default();
        ledger.sent(1, vec![event("a")], times(start, 0), true);
        ledger.sent(2, vec![event("b")], times(start, 1), true);
        ledger.acked(Some(&id(1)));
        let (interrupted, again) = ledger.reopen();
        assert_eq!((interrupted, again), (2, vec![event("b")]));
        assert!(ledger.is_settled());
    }

    #[test]
    fn the_list_of_unacknowledged_messages_is_bounded() {
        let start = Instant::now();
        let mut ledger = Ledger::default();
        let given_up: u64 = (0..UNACKED_MAX as u64 + 5)
            .map(|n| ledger.sent(n, vec![], times(start, n), false))
            .sum();
        assert_eq!(given_up, 5);
    }
}
