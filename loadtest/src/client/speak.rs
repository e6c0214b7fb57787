//! What a viewer says: hello, swipes, `seen`, requests for more.
//!
//! Owns the messages of the client side. Must not decide when (that is `session`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rand::{Rng, RngExt};
use swipeline_models::event::Signal;
use swipeline_models::time::MINUTE_MS;
use swipeline_models::wire::{ClientFrame, EventDto, ItemDto, MessageId, Resume};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::codec::encode;
use super::connect::BoxedTransport;
use super::ledger::Times;
use super::line::{CLOSE_ABNORMAL, End, Line};
use super::queue::Card;
use super::record::{Counter, LearningPoint, Metric};
use super::session::ViewerTask;
use super::shared::wall_clock;
use crate::behaviour::Reaction;

/// How long a viewer waits for the server's side of a close.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How far in the past a late event lies at most.
const LATE_MS_MAX: i64 = 10 * MINUTE_MS;
/// The most events of one message that says things again; keeps it far below the largest frame.
const EVENTS_AGAIN_MAX: usize = 100;
/// A request for more that brought nothing is not repeated for so long.
pub(super) const ASK_PAUSE: Duration = Duration::from_secs(1);

type Stream = WebSocketStream<BoxedTransport>;

impl ViewerTask {
    /// Says hello when there is something to say: a session to go on with, or a wish.
    pub(super) async fn greet(&self, stream: &mut Stream, line: &Line) -> Result<(), End> {
        let resume = self
            .name
            .as_ref()
            .filter(|_| line.lost_at.is_some())
            .map(|name| Resume {
                session: name.session.clone(),
                epoch: name.epoch,
                seq: name.seq,
            });
        let n = self.shared.config.feed_n.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        if resume.is_none() && n.is_none() {
            return Ok(());
        }
        let hello = ClientFrame {
            kind: "hello".to_owned(),
            n,
            resume,
            ..ClientFrame::default()
        };
        self.write(stream, &[hello]).await
    }

    /// Says goodbye and waits for the server's close frame.
    pub(super) async fn say_goodbye(&self, stream: &mut Stream) {
        if self.bye(stream).await.is_err() || stream.close(None).await.is_err() {
            return;
        }
        // The server's close frame is the end of the talk; who closes TCP first does not matter.
        let drained = async {
            while stream
                .next()
                .await
                .is_some_and(|message| message.is_ok_and(|m| !m.is_close()))
            {}
        };
        if timeout(CLOSE_WAIT_MAX, drained).await.is_ok() {
            self.shared.recorder.close(1000);
        } else {
            self.shared.recorder.close(CLOSE_ABNORMAL);
        }
    }

    async fn bye(&self, stream: &mut Stream) -> Result<(), End> {
        self.write(
            stream,
            &[ClientFrame {
                kind: "bye".to_owned(),
                ..ClientFrame::default()
            }],
        )
        .await
    }

    /// Answers a `ping`.
    pub(super) async fn pong(&self, stream: &mut Stream) -> Result<(), End> {
        self.write(
            stream,
            &[ClientFrame {
                kind: "pong".to_owned(),
                ..ClientFrame::default()
            }],
        )
        .await
    }

    /// A swipe of the plan: sends it, or says why not.
    pub(super) async fn swipe_planned(
        &mut self,
        stream: &mut Stream,
        line: &mut Line,
        planned: Instant,
    ) -> Result<(), End> {
        let now = Instant::now();
        let recorder = &self.shared.recorder;
        if self.away_until.is_some_and(|until| planned < until) {
            recorder.add(Counter::Away, 1);
            return Ok(());
        }
        if now.saturating_duration_since(planned) > self.shared.config.answer_timeout {
            recorder.add_at(Counter::DroppedExpired, 1, now);
            return Ok(());
        }
        if self.queue.on_screen().is_none() {
            recorder.add_at(Counter::DroppedNoItem, 1, now);
            return self.ask_if_low(stream, line).await;
        }
        let free_since = self.free_since.unwrap_or(planned);
        recorder.latency(
            Metric::TesterLag,
            now.saturating_duration_since(planned.max(free_since)),
            now,
        );
        self.swipe(stream, line, planned).await
    }

    /// Reacts to the item on the screen, shows the next one, and says both in one frame: first what is on the screen
    /// now, so that the fresh feed that the reaction causes does not bring it again.
    pub(super) async fn swipe(&mut self, stream: &mut Stream, line: &mut Line, planned: Instant) -> Result<(), End> {
        let Some(card) = self.queue.swipe() else { return Ok(()) };
        let Some((reaction, _)) = self.reaction.take() else {
            return Ok(());
        };
        self.show();
        let number = self.ledger.next_number();
        let events = self.events(&card, &reaction);
        let awaits_feed = reaction.signals.iter().any(|signal| signal.is_strong());
        let mut frames = self.seen_frames(number);
        frames.push(events_frame(number, events.clone()));
        let times = Times {
            planned,
            sent: Instant::now(),
        };
        let event_count = events.len() as u64;
        let given_up = self.ledger.sent(number, events.clone(), times, awaits_feed);
        self.count_swipe(&reaction, event_count, given_up, times.sent);
        if reaction.leave {
            self.is_away = true;
            line.leave_by = Some(times.sent + self.shared.config.answer_timeout);
        }
        self.write(stream, &frames).await?;
        if self.traits.duplicate_share > 0.0 && self.rng.random_bool(self.traits.duplicate_share.min(1.0)) {
            self.shared.recorder.add(Counter::DuplicatesSent, event_count);
            let again = self.ledger.next_number();
            self.say_events(stream, again, events).await?;
        }
        self.ask_if_low(stream, line).await
    }

    /// Puts the next item on the screen and lets the viewer make up its mind about it.
    pub(super) fn show(&mut self) {
        let Some(repeated) = self.queue.show_next() else { return };
        let Some(card) = self.queue.on_screen() else { return };
        let (item, now, wall) = (Arc::clone(&card.item), Instant::now(), wall_clock());
        let mut point = match &self.shared.yardstick {
            Some(yardstick) => yardstick.compare(&self.viewer, &mut self.rng, wall),
            None => LearningPoint::default(),
        };
        point.shown = 1;
        point.expected = self.viewer.like_probability(&item, wall);
        let swipes = self.viewer.swipes();
        let hit = self.shared.hit.as_ref();
        let is_hit = hit.is_some_and(|hit| hit.begun().is_some() && hit.item_id == item.id);
        let reaction = if is_hit {
            self.viewer.react_to_hit(&item, &mut self.rng)
        } else {
            self.viewer.react(&item, &mut self.rng, wall)
        };
        point.liked = u64::from(reaction.signals.contains(&Signal::Like));
        let recorder = &self.shared.recorder;
        recorder.learning(point, swipes, now);
        recorder.add(Counter::Shown, 1);
        recorder.add(Counter::Repeats, u64::from(repeated));
        self.reaction = Some((reaction, now));
    }

    /// Reports what is on the screen when no swipe will do it soon.
    pub(super) async fn say_seen(&mut self, stream: &mut Stream) -> Result<(), End> {
        if !self.queue.has_unreported() {
            return Ok(());
        }
        let number = self.ledger.next_number();
        let frames = self.seen_frames(number);
        self.write(stream, &frames).await
    }

    /// Asks for more when little is left and nothing is on its way.
    pub(super) async fn ask_if_low(&mut self, stream: &mut Stream, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        let is_low = self.queue.waiting() <= self.shared.config.low_water;
        let something_comes = self.ledger.is_asking() || self.ledger.swipes_in_flight() > 0;
        if !is_low || something_comes || !line.fed || line.leave_by.is_some() || now < line.ask_after {
            return Ok(());
        }
        let number = self.ledger.next_number();
        self.ledger.asked(number, now);
        line.ask_after = now + ASK_PAUSE;
        let ask = ClientFrame {
            kind: "feed".to_owned(),
            id: Some(message_id(number)),
            ..ClientFrame::default()
        };
        self.write(stream, &[ask]).await
    }

    /// After a lost socket: says again what may not have arrived. What was shown comes first and in one message, so
    /// that its number tells when the server knows.
    pub(super) async fn say_again(&mut self, stream: &mut Stream, recovered: bool) -> Result<(), End> {
        let (interrupted, unacked) = self.ledger.reopen();
        self.shared.recorder.add(Counter::Interrupted, interrupted);
        let number = self.ledger.next_number();
        let shown = self.queue.reopen(self.ledger.proven(), number, recovered);
        let impressions: Vec<EventDto> = shown.iter().map(|item| self.impression(item)).collect();
        if !impressions.is_empty() {
            self.say_events(stream, number, impressions).await?;
        }
        for chunk in unacked.chunks(EVENTS_AGAIN_MAX) {
            let number = self.ledger.next_number();
            self.say_events(stream, number, chunk.to_vec()).await?;
        }
        Ok(())
    }

    fn impression(&mut self, item: &ItemDto) -> EventDto {
        EventDto {
            event_id: Some(self.event_id()),
            item_id: item.id.clone(),
            kind: Signal::Impression.name().to_owned(),
            ..EventDto::default()
        }
    }

    /// Sends events that no feed is awaited for.
    async fn say_events(&mut self, stream: &mut Stream, number: u64, events: Vec<EventDto>) -> Result<(), End> {
        let now = Instant::now();
        let given_up = self.ledger.sent(
            number,
            events.clone(),
            Times {
                planned: now,
                sent: now,
            },
            false,
        );
        self.shared.recorder.errors("timeout_ack", given_up);
        self.shared.recorder.add(Counter::Events, events.len() as u64);
        self.write(stream, &[events_frame(number, events)]).await
    }

    fn seen_frames(&mut self, number: u64) -> Vec<ClientFrame> {
        let frame = |mark: super::queue::SeenMark| ClientFrame {
            kind: "seen".to_owned(),
            seq: i64::try_from(mark.seq).ok(),
            upto: Some(i64::from(mark.upto)),
            ..ClientFrame::default()
        };
        self.queue.report_seen(number).into_iter().map(frame).collect()
    }

    fn events(&mut self, card: &Card, reaction: &Reaction) -> Vec<EventDto> {
        let is_late = self.traits.late_share > 0.0 && self.rng.random_bool(self.traits.late_share.min(1.0));
        let at = is_late.then(|| wall_clock().0 - self.rng.random_range(0..LATE_MS_MAX));
        let mut events = Vec::with_capacity(reaction.signals.len());
        for signal in &reaction.signals {
            events.push(EventDto {
                event_id: Some(self.event_id()),
                item_id: card.item.id.clone(),
                kind: signal.name().to_owned(),
                at,
                watch_ms: Some(reaction.watch_ms),
                position: Some(i64::from(card.position)),
                request_id: Some(card.request_id.to_string()),
                ..EventDto::default()
            });
        }
        events
    }

    /// A name that no other event has. Mixed with the user's id, so that two runs with one seed do not collide.
    fn event_id(&mut self) -> String {
        format!("{:016x}-{}", self.rng.next_u64(), self.user_id)
    }

    fn count_swipe(&self, reaction: &Reaction, event_count: u64, given_up: u64, now: Instant) {
        let recorder = &self.shared.recorder;
        recorder.add_at(Counter::Sent, 1, now);
        recorder.add(Counter::Events, event_count);
        recorder.add(Counter::Likes, u64::from(reaction.signals.contains(&Signal::Like)));
        recorder.add(Counter::Skips, u64::from(reaction.signals.contains(&Signal::Skip)));
        recorder.errors("timeout_ack", given_up);
    }

    async fn write(&self, stream: &mut Stream, frames: &[ClientFrame]) -> Result<(), End> {
        let message = encode(self.shared.config.proto, frames).map_err(|_| End::Broken("encode"))?;
        let bytes = message.len() as u64;
        let recorder = &self.shared.recorder;
        recorder.add(Counter::BytesOut, bytes);
        if frames.iter().any(|frame| frame.events.is_some()) {
            recorder.add(Counter::EventBytes, bytes);
            recorder.add(Counter::EventFrames, 1);
        }
        send(stream, message, self.shared.config.answer_timeout).await
    }
}

/// Writes one frame; a server that does not read for so long has failed.
pub(super) async fn send(stream: &mut Stream, message: Message, limit: Duration) -> Result<(), End> {
    match timeout(limit, stream.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Broken("socket_lost")),
        Err(_) => Err(End::Broken("timeout_write")),
    }
}

fn events_frame(number: u64, events: Vec<EventDto>) -> ClientFrame {
    ClientFrame {
        kind: "event".to_owned(),
        id: Some(message_id(number)),
        events: Some(events),
        ..ClientFrame::default()
    }
}

fn message_id(number: u64) -> MessageId {
    MessageId::Number(i64::try_from(number).unwrap_or(i64::MAX))
}
