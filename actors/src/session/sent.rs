//! Feeds that were sent down a session's sockets: their record in the journal, and back.
//!
//! A client reports what it has shown by the number of a feed, also after the server was killed. So what was sent is
//! journaled after the push (nobody waits for it), and a number is never given to two feeds.

use std::sync::Arc;

use swipeline_models::session::{ServedItem, SessionState};
use swipeline_models::wire::FeedMode;

use super::actor::SessionActor;
use super::variant::ServedVariant;
use crate::records::{JournalEntry, ServedFeedRecord, ServedPlace};
use crate::shared::Shared;

/// Each start of the server numbers feeds from a multiple of this on: a number whose record was lost with the process
/// is not given out again.
const FEED_NUMBERS_PER_EPOCH: u64 = 1_000_000;
/// Of a session that has used up the numbers of its start, so many may have been lost.
const FEED_NUMBERS_LOST_MAX: u64 = 1_024;

impl SessionActor {
    /// Remembers the feed that went out last; durable in a moment.
    pub(super) fn note_sent(&mut self, mode: FeedMode, items: Vec<ServedItem>, variant: &ServedVariant) {
        let places = items.iter().map(|item| ServedPlace {
            row: item.row,
            channels: item.channels,
            position: item.position,
        });
        let entry = JournalEntry::Served(ServedFeedRecord {
            user: self.state.user.clone(),
            seq: self.state.feed_seq,
            is_appended: mode == FeedMode::Append,
            variant: variant.label(),
            arms: variant.viewer.arms.to_vec(),
            items: places.collect(),
        });
        let shared = self.shared.clone();
        let _entered = shared.gate.enter();
        self.state.served.push(self.state.feed_seq, mode, items);
        match self.append(&entry) {
            Ok(sequence) => self.mark_unsaved(sequence),
            // The feed is out; after a crash its number is not known, and the client is told so.
            Err(_) => metrics::counter!("swipeline_sent_feeds_unrecorded_total").increment(1),
        }
    }
}

/// Numbers of this start for a session that was taken up from before it.
pub(super) fn number_anew(shared: &Shared, state: &mut SessionState) {
    let first = shared.storage.ownership.epoch().saturating_sub(1) * FEED_NUMBERS_PER_EPOCH;
    if state.feed_seq > first {
        state.feed_seq += FEED_NUMBERS_LOST_MAX;
    } else {
        state.feed_seq = first;
    }
}

/// Takes up a feed of the journal.
pub(super) fn restore_served(shared: &Shared, state: &mut SessionState, record: &ServedFeedRecord) {
    let tag = record.variant.as_deref().map_or(0, |label| {
        shared
            .effects
            .tag_of(Arc::from(label), Arc::from(record.arms.as_slice()))
    });
    let catalogue = shared.world.catalogue.load();
    let item = |place: &ServedPlace| {
        Some(ServedItem {
            row: place.row,
            hash: catalogue.entry(place.row)?.hash,
            channels: place.channels,
            position: place.position,
            variant: tag,
        })
    };
    let mode = if record.is_appended {
        FeedMode::Append
    } else {
        FeedMode::ReplaceTail
    };
    state.feed_seq = state.feed_seq.max(record.seq);
    let items = record.items.iter().filter_map(item).collect();
    state.served.push(record.seq, mode, items);
}
