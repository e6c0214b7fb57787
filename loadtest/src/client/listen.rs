//! What a viewer hears: welcome, feeds, acks, errors.
//!
//! Owns what each server message means for the viewer and what is measured by it. Must not decide when to read.

use std::sync::Arc;

use swipeline_models::wire::{FeedMode, ItemDto};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::codec::{FeedItemFrame, ServerFrame, decode};
use super::connect::BoxedTransport;
use super::line::{End, Line, SessionName, end_of};
use super::queue::{Card, FeedOutcome};
use super::record::{Counter, Metric, ShiftOutcome};
use super::session::ViewerTask;
use super::speak::ASK_PAUSE;

type Stream = WebSocketStream<BoxedTransport>;

impl ViewerTask {
    /// Takes whatever the socket gave.
    pub(super) async fn hear(
        &mut self,
        stream: &mut Stream,
        line: &mut Line,
        message: Option<Result<Message, SocketError>>,
    ) -> Result<(), End> {
        let now = Instant::now();
        let message = end_of(message)?;
        let bytes = message.len() as u64;
        self.shared.recorder.add(Counter::BytesIn, bytes);
        let frames = match decode(self.shared.config.proto, &message) {
            Ok(frames) => frames,
            Err(_) => {
                self.shared.recorder.error("decode");
                return Ok(());
            }
        };
        if frames.iter().any(|frame| frame.kind == "feed") {
            self.shared.recorder.add(Counter::FeedBytes, bytes);
        }
        for frame in frames {
            self.hear_one(stream, line, frame, now).await?;
        }
        Ok(())
    }

    async fn hear_one(
        &mut self,
        stream: &mut Stream,
        line: &mut Line,
        frame: ServerFrame,
        now: Instant,
    ) -> Result<(), End> {
        match frame.kind.as_str() {
            "welcome" => self.hear_welcome(stream, line, frame, now).await,
            "feed" => {
                self.hear_feed(line, frame, now);
                if self.queue.has_unreported() && self.ledger.swipes_in_flight() == 0 {
                    self.say_seen(stream).await?;
                }
                self.ask_if_low(stream, line).await
            }
            "ack" => {
                self.hear_ack(&frame, now);
                Ok(())
            }
            "error" => {
                self.ledger.failed(frame.id.as_ref());
                let code = frame.code.as_deref().unwrap_or("unnamed");
                self.shared.recorder.error(&format!("server_{code}"));
                Ok(())
            }
            "ping" => self.pong(stream).await,
            "params" | "drain" | "pong" => Ok(()),
            _ => {
                self.shared.recorder.error("unknown_message");
                Ok(())
            }
        }
    }

    async fn hear_welcome(
        &mut self,
        stream: &mut Stream,
        line: &mut Line,
        frame: ServerFrame,
        now: Instant,
    ) -> Result<(), End> {
        let is_first = !line.welcomed;
        line.welcomed = true;
        let recovered = frame.recovered.unwrap_or(false);
        self.name = Some(SessionName {
            session: frame.session.unwrap_or_default(),
            epoch: frame.epoch.unwrap_or_default(),
            seq: frame.seq.unwrap_or_default(),
        });
        let recorder = &self.shared.recorder;
        // A server may welcome the socket first and then answer the `hello` that names the session: one of the two says
        // that it was recovered.
        if !self.is_first_session() {
            recorder.add(Counter::Recovered, u64::from(recovered));
        }
        // Everything else is said after the first.
        if !is_first {
            return Ok(());
        }
        recorder.latency(Metric::Welcome, now.saturating_duration_since(line.upgraded_at), now);
        if self.is_first_session() {
            return Ok(());
        }
        self.say_again(stream, recovered).await
    }

    fn hear_feed(&mut self, line: &mut Line, frame: ServerFrame, now: Instant) {
        let recorder = Arc::clone(&self.shared.recorder);
        recorder.add_at(Counter::Feeds, 1, now);
        recorder.add(Counter::Degraded, u64::from(frame.degraded.is_some()));
        let cause = frame.cause.unwrap_or_default();
        let answer = self.ledger.fed(cause.event_id.as_deref(), frame.id.as_ref());
        recorder.add(Counter::Overtaken, answer.swipes.len().saturating_sub(1) as u64);
        for times in &answer.swipes {
            recorder.latency(Metric::EventToFeed, now.saturating_duration_since(times.planned), now);
            recorder.latency(
                Metric::EventToFeedUncorrected,
                now.saturating_duration_since(times.sent),
                now,
            );
        }
        if let Some(asked_at) = answer.asked_at {
            recorder.latency(Metric::RequestToFeed, now.saturating_duration_since(asked_at), now);
        }
        self.note_feed_times(line, now);
        let seq = frame.seq.unwrap_or_default();
        if seq <= line.last_seq && line.fed {
            recorder.error("seq_not_rising");
        }
        line.last_seq = seq;
        line.fed = true;
        if let Some(name) = &mut self.name {
            name.seq = name.seq.max(seq);
        }
        let request_id: Arc<str> = Arc::from(frame.request_id.unwrap_or_default());
        let cards = cards(frame.items.unwrap_or_default(), seq, &request_id);
        self.note_shift(&cards);
        if let (Some(yardstick), Some(card)) = (&self.shared.yardstick, cards.get(seq as usize % cards.len().max(1))) {
            yardstick.offer(&card.item);
        }
        self.note_hit(&cards, now);
        let outcome = self
            .queue
            .take_feed(frame.mode.unwrap_or(FeedMode::Append), cards, self.ledger.proven());
        self.queue.prune(self.ledger.proven());
        self.note_outcome(&outcome);
        // Something new came: the next request may follow at once.
        line.ask_after = if outcome.queued > 0 { now } else { now + ASK_PAUSE };
        self.show();
    }

    fn note_feed_times(&mut self, line: &mut Line, now: Instant) {
        let recorder = Arc::clone(&self.shared.recorder);
        if let Some(last) = line.last_feed_at.replace(now) {
            recorder.latency(Metric::PushGap, now.saturating_duration_since(last), now);
        }
        if line.fed {
            return;
        }
        recorder.latency(Metric::FirstFeed, now.saturating_duration_since(line.upgraded_at), now);
        if let Some(lost_at) = line.lost_at {
            recorder.latency(Metric::Resume, now.saturating_duration_since(lost_at), now);
        }
        if std::mem::take(&mut self.is_away) {
            self.away_until = Some(now);
        }
        self.note_ready();
    }

    /// Whether the favourite after a sudden change has reached its share of this feed.
    fn note_shift(&mut self, cards: &[Card]) {
        let Some(change) = self
            .viewer
            .taste_change()
            .filter(|_| !self.shift_reported && !cards.is_empty())
        else {
            return;
        };
        let is_new_favourite = |card: &&Card| {
            card.item
                .categories
                .as_ref()
                .is_some_and(|names| names.contains(&change.category))
        };
        let share = cards.iter().filter(is_new_favourite).count() as f64 / cards.len() as f64;
        if share >= self.shared.config.shift_share {
            let swipes = change.swipes_since;
            self.shared.recorder.shift(ShiftOutcome {
                shown_after_swipes: Some(swipes),
                swipes_after: swipes,
            });
            self.shift_reported = true;
        }
    }

    /// Whether this feed holds the item that becomes a hit, before and since.
    fn note_hit(&self, cards: &[Card], now: Instant) {
        let Some(hit) = &self.shared.hit else { return };
        let recorder = &self.shared.recorder;
        let is_in = cards.iter().any(|card| card.item.id == hit.item_id);
        let (feeds, with) = match hit.begun() {
            None => (Counter::FeedsBeforeHit, Counter::HitBefore),
            Some(_) => (Counter::FeedsSinceHit, Counter::HitSince),
        };
        recorder.add(feeds, 1);
        recorder.add(with, u64::from(is_in));
        if let Some(begun) = hit.begun().filter(|_| is_in && hit.is_first()) {
            recorder.latency(Metric::HitToFeed, now.saturating_duration_since(begun), now);
        }
    }

    fn note_outcome(&self, outcome: &FeedOutcome) {
        let recorder = &self.shared.recorder;
        recorder.add(Counter::RepeatsPushed, u64::from(outcome.repeats));
        recorder.add(Counter::Crossed, u64::from(outcome.crossed));
        recorder.errors("twice_in_feed", u64::from(outcome.twice_in_feed));
    }

    fn hear_ack(&mut self, frame: &ServerFrame, now: Instant) {
        let recorder = Arc::clone(&self.shared.recorder);
        recorder.add(Counter::Acks, 1);
        recorder.add(Counter::Duplicates, frame.duplicates.unwrap_or_default());
        for rejection in frame.rejected.iter().flatten() {
            recorder.error(&format!("rejected_{}", rejection.code));
        }
        let Some(times) = self.ledger.acked(frame.id.as_ref()) else {
            return;
        };
        recorder.latency(Metric::EventToAck, now.saturating_duration_since(times.planned), now);
        recorder.latency(
            Metric::EventToAckUncorrected,
            now.saturating_duration_since(times.sent),
            now,
        );
        self.queue.prune(self.ledger.proven());
    }
}

/// The items of a feed; one that comes without its description is known by its id only.
fn cards(items: Vec<FeedItemFrame>, seq: u64, request_id: &Arc<str>) -> Vec<Card> {
    let card = |frame: FeedItemFrame| {
        let mut item = frame.item.unwrap_or_default();
        if item.id.is_empty() {
            item = ItemDto {
                id: frame.item_id,
                ..item
            };
        }
        Card {
            item: Arc::new(item),
            seq,
            position: frame.position,
            request_id: Arc::clone(request_id),
        }
    };
    items.into_iter().map(card).collect()
}
