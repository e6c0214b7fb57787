//! The way of an event: duplicate? - journal - state - item, neighbours, effects.

use std::time::Instant;

use actix::{Context, Handler};
use rustc_hash::FxHashSet;
use swipeline_models::event::{ContextValue, Event, Signal};
use swipeline_models::ids::{EventId, Row, Word};
use swipeline_models::learn::learn_event;
use swipeline_models::params::Params;
use swipeline_models::session::{Applied, ServedItem, SessionState};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{
    CauseDto, ClientMessage, EventEntry, FieldError, Hello, MessageId, Rejection, ServerMessage,
};

use super::actor::SessionActor;
use super::messages::{Deliver, EventSource, Ingest, Ingested, SocketId};
use super::wish::PushWish;
use crate::api::EngineError;
use crate::clock;
use crate::effects::{Counted, EffectMark};
use crate::items::Recorded;
use crate::records::{EventRecord, JournalEntry};
use crate::shared::SharedRef;

/// So many strong signals of one message are answered one by one; of more only the last.
const ANSWERED_SIGNALS_MAX: usize = 16;
/// The key of an event's context that says where it happened.
const REGION: &str = "region";

impl Handler<Ingest> for SessionActor {
    type Result = Result<Ingested, EngineError>;

    fn handle(&mut self, Ingest { events, source }: Ingest, _context: &mut Context<Self>) -> Self::Result {
        self.touch();
        let (ingested, counted) = self.take(events, source)?;
        if !self.sockets.is_empty() {
            self.answer(&counted, None);
        }
        Ok(ingested)
    }
}

impl Handler<Deliver> for SessionActor {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _context: &mut Context<Self>) {
        self.activity.leave();
        self.touch();
        let Deliver {
            socket,
            id,
            message,
            received_at,
        } = deliver;
        let feed = self.params().feed;
        if let Err(retry_after_ms) =
            self.rate
                .take(clock::monotonic_ns(), feed.messages_per_second, feed.messages_burst)
        {
            let text = "too many messages".to_owned();
            return self
                .sockets
                .refuse(socket, id, "rate_limited", text, Some(retry_after_ms));
        }
        match message {
            ClientMessage::Events(events) => self.take_events(socket, id, events, received_at),
            ClientMessage::Seen { seq, epoch, upto } => self.take_seen(socket, id, (seq, epoch), upto),
            ClientMessage::Feed(ask) => {
                if !self.refuses_ask(socket, id.clone()) {
                    self.take_ask(id, &ask);
                }
            }
            ClientMessage::Hello(hello) => self.take_hello(socket, id, &hello),
            ClientMessage::Ping => {
                if let Some(outbox) = self.sockets.get(socket) {
                    outbox.push_message(ServerMessage::Pong {
                        id,
                        server_time: clock::now().0,
                    });
                }
            }
            // The connection's own business.
            ClientMessage::Auth { .. } | ClientMessage::Pong | ClientMessage::Bye => {}
        }
    }
}

impl SessionActor {
    fn take_events(&mut self, socket: SocketId, id: Option<MessageId>, events: Vec<EventEntry>, received_at: Instant) {
        let now = clock::now();
        let mut valid = Vec::with_capacity(events.len());
        let mut rejected = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            match event.and_then(|event| event.into_event(Some(&self.state.user), now)) {
                Ok(event) => valid.push((index, event)),
                Err(error) => rejected.push(Rejection::from_field(index, &error)),
            }
        }
        match self.take(valid, EventSource::Live) {
            Ok((mut ingested, counted)) => {
                self.answer(&counted, Some(received_at));
                rejected.append(&mut ingested.rejected);
                rejected.sort_by_key(|rejection| rejection.index);
                if let Some(outbox) = self.sockets.get(socket) {
                    let Ingested {
                        accepted,
                        duplicates,
                        sequence,
                        ..
                    } = ingested;
                    outbox.push_ack(
                        sequence,
                        ServerMessage::Ack {
                            id,
                            accepted,
                            duplicates,
                            rejected,
                            durable: true,
                        },
                    );
                }
            }
            Err(error) => {
                let retry_after_ms = error.retry_after_ms();
                let code = if matches!(error, EngineError::Overloaded { .. }) {
                    "overloaded"
                } else {
                    "journal_failed"
                };
                self.sockets.refuse(socket, id, code, error.to_string(), retry_after_ms);
            }
        }
    }

    /// Lets events count. When the journal refuses, none of them does.
    fn take(
        &mut self,
        events: Vec<(usize, Event)>,
        source: EventSource,
    ) -> Result<(Ingested, Vec<Event>), EngineError> {
        let mut ingested = Ingested::default();
        let mut counted: Vec<(Event, Row)> = Vec::with_capacity(events.len());
        for (index, mut event) in events {
            self.place_event(&mut event);
            let is_repeated = |id: &EventId| counted.iter().any(|(known, _)| known.event_id.as_ref() == Some(id));
            if self.state.is_duplicate(&event) || event.event_id.as_ref().is_some_and(is_repeated) {
                ingested.duplicates += 1;
                // Its first record may still be on its way to the disk; a duplicate is no safer than that.
                ingested.sequence = self.state.journal_sequence;
                continue;
            }
            match self.shared.world.catalogue.row(event.item.as_str()) {
                Some(row) => counted.push((event, row)),
                None => {
                    let error = FieldError::new(
                        "item_id",
                        "unknown_item",
                        format!("{:?} is not in the catalogue", event.item.as_str()),
                    );
                    ingested.rejected.push(Rejection::from_field(index, &error));
                }
            }
        }
        if counted.is_empty() {
            return Ok((ingested, Vec::new()));
        }
        // A record without a mark counts in no statistics, now or when the journal is read again.
        let marks: Vec<Option<EffectMark>> = match source {
            EventSource::Live => self.marks_of_events(&counted).into_iter().map(Some).collect(),
            EventSource::History => vec![None; counted.len()],
        };
        let repeats = self.repeated_showings(&counted);
        let records = counted
            .iter()
            .zip(&marks)
            .zip(&repeats)
            .map(|(((event, row), mark), repeats_showing)| EventRecord {
                mark: mark.clone(),
                repeats_showing: *repeats_showing,
                ..EventRecord::of(event, *row)
            });
        let records = records.collect();
        let variant = self.variant();
        let entry = JournalEntry::Events {
            user: self.state.user.clone(),
            events: records,
            accepted_at: clock::now(),
            under: variant.applied_under(),
        };
        let shared = self.shared.clone();
        let _entered = shared.gate.enter();
        let sequence = self.append(&entry)?;
        ingested.accepted = counted.len();
        ingested.sequence = sequence;
        let params = &variant.viewer.params;
        for (((event, row), mark), repeats_showing) in counted.iter().zip(&marks).zip(repeats) {
            let recording = Recording {
                row: *row,
                sequence,
                repeats_showing,
            };
            let is_counted = count_event(&self.shared, params, &mut self.state, event, recording).is_some();
            if let Some(mark) = mark.as_ref().filter(|_| is_counted) {
                let counted = Counted {
                    counts: mark.counts(event.signal, event.watch_ms.unwrap_or(0)),
                    row: *row,
                    at: event.at,
                    region: region_of(&self.shared, &self.state, event),
                    sequence,
                };
                self.count(mark, &counted);
            }
        }
        if source == EventSource::Live {
            self.note_outcomes(&counted);
        }
        self.mark_dirty(sequence);
        metrics::counter!("swipeline_events_total").increment(counted.len() as u64);
        Ok((ingested, counted.into_iter().map(|(event, _)| event).collect()))
    }

    /// An event that does not say where it happened happened where the client said it is. Written into the event, so
    /// that a replay of the journal counts it in the same region.
    fn place_event(&self, event: &mut Event) {
        if let Some(region) = &self.settings.region
            && !event.context.contains_key(REGION)
        {
            let text = ContextValue::Text(region.clone());
            event.context.insert(REGION.to_owned(), text);
        }
    }

    /// Pushes a fresh feed for every strong signal.
    fn answer(&mut self, counted: &[Event], received_at: Option<Instant>) {
        let strong: Vec<&Event> = counted.iter().filter(|event| event.signal.is_strong()).collect();
        let first = strong.len().saturating_sub(ANSWERED_SIGNALS_MAX);
        for event in &strong[first..] {
            let cause = CauseDto {
                kind: event.signal.name().into(),
                item_id: Some(event.item.as_str().to_owned()),
                event_id: event.event_id.as_ref().map(|id| id.as_str().to_owned()),
            };
            self.push(PushWish::replace(cause, received_at));
        }
        if strong.is_empty() && !counted.is_empty() {
            self.top_up();
        }
    }

    /// Welcomes a socket once more; a variant that it may not have is refused.
    fn take_hello(&mut self, socket: SocketId, id: Option<MessageId>, hello: &Hello) {
        if let Some(wish) = &hello.variant
            && let Err(error) = self.wish_for(wish)
        {
            return self
                .sockets
                .refuse(socket, id, "variant_refused", error.to_string(), None);
        }
        if let Err(error) = self.check_scene(&self.params(), hello.scene.as_deref()) {
            return self
                .sockets
                .refuse(socket, id, "unknown_scene", error.to_string(), None);
        }
        self.greet(socket, hello);
    }

    /// What the client has shown counts as shown, and as an impression.
    fn take_seen(
        &mut self,
        socket: SocketId,
        id: Option<MessageId>,
        (seq, epoch): (u64, Option<u64>),
        upto: Option<u32>,
    ) {
        // Numbers are unique over restarts; an epoch that has not begun names nothing.
        let is_begun = epoch.is_none_or(|epoch| epoch <= self.shared.storage.ownership.epoch());
        let passed = self.state.served.passed(seq, upto).filter(|_| is_begun);
        let Some(passed) = passed else {
            let text = format!("feed {seq} is not known (any more); report what was shown as impressions");
            return self.sockets.refuse(socket, id, "unknown_feed", text, None);
        };
        let shown = match self.show(&passed) {
            Ok(shown) => shown,
            Err(error) => {
                return self
                    .sockets
                    .refuse(socket, id, "overloaded", error.to_string(), Some(100));
            }
        };
        if let (Some(id), Some(outbox)) = (id, self.sockets.get(socket)) {
            let sequence = self.state.journal_sequence;
            let ack = ServerMessage::Ack {
                id: Some(id),
                accepted: shown,
                duplicates: 0,
                rejected: Vec::new(),
                durable: true,
            };
            outbox.push_ack(sequence, ack);
        }
        self.top_up();
    }

    /// Lets items count as shown. Returns how many were not before.
    pub(super) fn show(&mut self, items: &[ServedItem]) -> Result<usize, EngineError> {
        items.iter().for_each(|item| self.pending.see(item.hash));
        let mut once = FxHashSet::default();
        let unseen: Vec<&ServedItem> = items
            .iter()
            .filter(|item| self.state.impression_is_due(item.hash) && once.insert(item.hash))
            .collect();
        if unseen.is_empty() {
            return Ok(0);
        }
        let at = clock::now();
        let marks = self.marks_of_shown(&unseen, at);
        let variant = self.variant();
        let entry = JournalEntry::Shown {
            user: self.state.user.clone(),
            at,
            items: unseen.iter().map(|item| (item.row, item.hash)).collect(),
            marks: marks.clone(),
            under: variant.applied_under(),
        };
        let shared = self.shared.clone();
        let _entered = shared.gate.enter();
        let sequence = self.append(&entry)?;
        let params = &variant.viewer.params;
        for (item, mark) in unseen.iter().zip(&marks) {
            count_shown(&self.shared, &mut self.state, (item.row, item.hash), at, params);
            let region = self.state.region;
            let counted = Counted {
                counts: mark.counts(Signal::Impression, 0),
                row: item.row,
                at,
                region,
                sequence,
            };
            self.count(mark, &counted);
            let recorded = Recorded {
                row: item.row,
                signal: Signal::Impression,
                at,
                watch_ms: 0,
                region,
                viewer: self.state.user.hash64() as u32,
                sequence,
            };
            self.shared.items.record(&self.shared, recorded);
        }
        let count = unseen.len();
        self.mark_dirty(sequence);
        Ok(count)
    }
}

/// One item more that the viewer was shown.
pub(super) fn count_shown(
    shared: &SharedRef,
    state: &mut SessionState,
    (row, hash): (Row, u64),
    at: TimestampMs,
    params: &Params,
) {
    if !state.report_shown(hash, params) {
        return;
    }
    state.counts[Signal::Impression as usize] += 1;
    if let Some(entry) = shared.world.catalogue.load().entry(row) {
        state.count_in_windows(Signal::Impression, entry, at, params);
    }
}

/// Where an event happened: where it says, or where the viewer is at home. A region that nobody has named before is given
/// a number only by items and users, so that events cannot fill the vocabulary.
pub(super) fn region_of(shared: &SharedRef, state: &SessionState, event: &Event) -> Option<Word> {
    match event.context.get(REGION) {
        Some(ContextValue::Text(name)) => shared.world.catalogue.words().regions.get(name),
        Some(ContextValue::Flag(_) | ContextValue::Number(_)) | None => state.region,
    }
}

/// How an event stands in the journal.
struct Recording {
    row: Row,
    sequence: u64,
    repeats_showing: bool,
}

/// Lets one event count everywhere: state, co-engagement, like sessions, and the item's actor. `None` when the item has
/// just been deleted.
fn count_event(
    shared: &SharedRef,
    params: &Params,
    state: &mut SessionState,
    event: &Event,
    recording: Recording,
) -> Option<Applied> {
    let Recording {
        row,
        sequence,
        repeats_showing,
    } = recording;
    let applied = learn_event(&shared.world, params, state, event, row)?;
    if applied.is_late {
        metrics::counter!("swipeline_late_events_total").increment(1);
    }
    if applied.labels_earned > 0 {
        metrics::counter!("swipeline_labels_earned_total").increment(applied.labels_earned as u64);
    }
    if repeats_showing {
        return Some(applied);
    }
    let region = region_of(shared, state, event);
    let watch_ms = event.watch_ms.unwrap_or(0);
    shared.items.record(
        shared,
        Recorded {
            row,
            signal: event.signal,
            at: event.at,
            watch_ms,
            region,
            viewer: state.user.hash64() as u32,
            sequence,
        },
    );
    Some(applied)
}
