//! VMIS-kNN, live: the sessions most like this one, found through an inverted index that every positive event updates.
//!
//! Owns the ring of sessions and the search (B. Kersbergen, O. Sprangers, S. Schelter, "Serenade: Low-Latency
//! Session-Based Recommendation in e-Commerce at Scale", SIGMOD 2022). Must not hold a lock while it computes, or two
//! at once.
//!
//! For a session s of n last distinct items (n ≤ [`EVOLVING_ITEMS_MAX`]), counted from 1, the oldest:
//! 1. Of each item its `knn_sessions` (m) newest sessions are taken, the newest in the order in which they came to the
//!    item; of all of them the m whose last event is newest.
//! 2. The similarity of such a session is Σ π over the items it shares with s, π = position / n.
//! 3. The `knn_neighbours` (k) most similar vote, ties by the newer last event, then by the newer key: an item of
//!    theirs scores Σ similarity · λ · ln(1 + |H| / h), with λ = 1 - 0.1 · p for the newest shared item, p-th from the
//!    end of s, h the number of sessions with the item and |H| of all. The paper takes ln(|H| / h); the 1 keeps an item
//!    that is in every session of a small index above 0.
//!
//! Memory: 128 bytes a session and 4 per item in it; 200 000 sessions of five items take about 30 MB.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::posting::Postings;
use super::session_slot::{Pushed, SESSION_ITEMS_MAX, SessionKey, SessionRecord, SessionSlot};
use super::sparse_scores::SparseScores;
use crate::ids::Row;
use crate::params::CollaborativeParams;
use crate::popularity::{ChunkTable, ScoredRow, keep_best};
use crate::time::TimestampMs;

/// The default number of sessions in the ring.
pub const SESSIONS_MAX: usize = 200_000;
/// The most last distinct items of a session that its neighbours are sought by.
pub const EVOLVING_ITEMS_MAX: usize = 5;

/// A session that shares an item, while it is looked at.
#[derive(Debug, Clone, Copy)]
struct Similar {
    session: u32,
    similarity: f32,
    /// Steps back from the newest item of the evolving session to the newest shared one.
    back: u32,
    last_at: i64,
}

/// Reusable memory of [`SessionKnn::recommend`]; one per thread.
#[derive(Debug, Default)]
pub struct KnnScratch {
    similarities: SparseScores,
    items: SparseScores,
    sessions: Vec<u32>,
    similar: Vec<Similar>,
}

/// The index, shared by all threads.
pub struct SessionKnn {
    slots: ChunkTable<Mutex<SessionSlot>>,
    /// The last event of each slot, beside the slots, so that recency is compared without their locks.
    last_at: ChunkTable<AtomicI64>,
    postings: Postings,
    capacity: usize,
    next_key: AtomicU64,
    session_count: AtomicUsize,
}

impl Default for SessionKnn {
    fn default() -> Self {
        Self::new(SESSIONS_MAX)
    }
}

impl fmt::Debug for SessionKnn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionKnn")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl SessionKnn {
    /// An index of at most `capacity` sessions (at least 1, at most 2³¹); memory is taken as they come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, 1 << 31);
        Self {
            slots: ChunkTable::new(capacity),
            last_at: ChunkTable::new(capacity),
            postings: Postings::default(),
            capacity,
            next_key: AtomicU64::new(0),
            session_count: AtomicUsize::new(0),
        }
    }

    /// Number of sessions in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.session_count.load(Ordering::Relaxed)
    }

    /// Whether the index holds no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a positive event into the viewer's running session `key`, or opens one when there is none, it has left the
    /// ring, or more than `session_gap_ms` has passed since its last event. Returns the key to go on with. An event
    /// that is late by more than the gap belongs to a session that is over, and changes nothing.
    pub fn extend(
        &self,
        key: Option<SessionKey>,
        item: Row,
        at: TimestampMs,
        params: &CollaborativeParams,
    ) -> SessionKey {
        let running = key.and_then(|key| self.push_running(key, item, at, params.session_gap_ms));
        let (key, pushed) = running.unwrap_or_else(|| {
            let key = SessionKey(self.next_key.fetch_add(1, Ordering::Relaxed));
            let mut session = SessionSlot::new(key, at);
            let pushed = if Postings::has_room(item) {
                session.push(item)
            } else {
                Pushed::Known
            };
            self.place(key, session);
            (key, pushed)
        });
        match pushed {
            Pushed::Known => {}
            Pushed::Added => self.postings.add(item, short(key)),
            Pushed::Displaced(oldest) => {
                self.postings.remove(oldest, short(key));
                self.postings.add(item, short(key));
            }
        }
        key
    }

    /// Takes a session out of the index.
    pub fn remove(&self, key: SessionKey) {
        let Some(cell) = self.slots.get(self.slot_of(key)) else {
            return;
        };
        let removed = {
            let mut slot = cell.lock();
            if slot.key != Some(key) {
                return;
            }
            std::mem::take(&mut *slot)
        };
        self.session_count.fetch_sub(1, Ordering::Relaxed);
        self.leave(&removed);
    }

    /// Puts the best `limit` items of the sessions most like `evolving` (newest last) into `out`, best first, equal
    /// scores by the smaller row. The session `exclude` (the viewer's own, which is in the index) does not vote, and
    /// the items of `evolving` are not named.
    pub fn recommend(
        &self,
        evolving: &[Row],
        exclude: Option<SessionKey>,
        params: &CollaborativeParams,
        limit: usize,
        scratch: &mut KnnScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        out.clear();
        self.find_similar(evolving, exclude, params, scratch);
        scratch.items.clear();
        for similar in &scratch.similar {
            let Some(cell) = self.slots.get(similar.session as usize % self.capacity) else {
                continue;
            };
            let slot = {
                let slot = cell.lock();
                if slot.key.map(short) != Some(similar.session) {
                    continue;
                }
                slot.clone()
            };
            let vote = similar.similarity * (1.0 - 0.1 * (similar.back + 1) as f32);
            for &item in slot.items() {
                scratch.items.add(item, vote, 0);
            }
        }
        let sessions = self.len() as f32;
        let idf = |row: Row| (sessions / self.postings.count(row).max(1) as f32).ln_1p();
        let votes = scratch
            .items
            .scores()
            .iter()
            .filter(|votes| !evolving.contains(&votes.key));
        out.extend(votes.map(|votes| ScoredRow {
            row: votes.key,
            score: votes.score * idf(votes.key),
        }));
        keep_best(out, limit);
    }

    /// The sessions in the given places of the ring (`0..capacity`), for a snapshot that is written piece by piece.
    #[must_use]
    pub fn export(&self, places: Range<usize>) -> Vec<SessionRecord> {
        let slots = (places.start..places.end.min(self.capacity)).filter_map(|place| self.slots.get(place));
        let record = |slot: SessionSlot| {
            let items = slot.items().to_vec();
            slot.key.map(|key| SessionRecord {
                key,
                last_at: slot.last_at,
                items,
            })
        };
        slots.filter_map(|cell| record(cell.lock().clone())).collect()
    }

    /// Number of places in the ring.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Puts a session from a snapshot back under its key; false when its place holds a newer one. Records should come
    /// in the order of their keys, so that an item's sessions stand in about the order in which they came. Call
    /// [`SessionKnn::finish_import`] after the last one.
    pub fn import(&self, record: &SessionRecord) -> bool {
        let mut session = SessionSlot::new(record.key, record.last_at);
        for &item in record
            .items
            .iter()
            .filter(|item| Postings::has_room(**item))
            .take(SESSION_ITEMS_MAX)
        {
            session.push(item);
        }
        let items = session.clone();
        if !self.place(record.key, session) {
            return false;
        }
        for &item in items.items() {
            self.postings.add(item, short(record.key));
        }
        self.next_key
            .fetch_max(record.key.0.saturating_add(1), Ordering::Relaxed);
        true
    }

    /// Ends an import: new keys start one turn of the ring later, so that a key which was given out after the snapshot
    /// was taken can never name a session of somebody else.
    pub fn finish_import(&self) {
        self.next_key.fetch_add(self.capacity as u64, Ordering::Relaxed);
    }

    /// The place of a session, by its short form like everywhere: it stays the same when 32 bits run over.
    fn slot_of(&self, key: SessionKey) -> usize {
        short(key) as usize % self.capacity
    }

    /// Pushes into the running session, if the key still names one that an event at `at` continues.
    fn push_running(
        &self,
        key: SessionKey,
        item: Row,
        at: TimestampMs,
        session_gap_ms: i64,
    ) -> Option<(SessionKey, Pushed)> {
        let place = self.slot_of(key);
        let mut slot = self.slots.get(place)?.lock();
        let pause_ms = at.since(slot.last_at);
        if slot.key != Some(key) || pause_ms > session_gap_ms {
            return None;
        }
        if pause_ms < -session_gap_ms || !Postings::has_room(item) {
            return Some((key, Pushed::Known));
        }
        slot.last_at = slot.last_at.max(at);
        if let Some(last_at) = self.last_at.get_or_make(place) {
            last_at.store(slot.last_at.0, Ordering::Relaxed);
        }
        Some((key, slot.push(item)))
    }

    /// Puts a session into its place of the ring; the one before it leaves the index. False when that one is newer.
    fn place(&self, key: SessionKey, session: SessionSlot) -> bool {
        let place = self.slot_of(key);
        let (Some(cell), Some(last_at)) = (self.slots.get_or_make(place), self.last_at.get_or_make(place)) else {
            return false;
        };
        let evicted = {
            let mut slot = cell.lock();
            if slot.key >= Some(key) {
                return false;
            }
            last_at.store(session.last_at.0, Ordering::Relaxed);
            std::mem::replace(&mut *slot, session)
        };
        if evicted.key.is_none() {
            self.session_count.fetch_add(1, Ordering::Relaxed);
        }
        self.leave(&evicted);
        true
    }

    /// Takes a session's items out of the inverted index. Its viewer may be adding one at this moment, if the session
    /// has run for a whole turn of the ring; the stale entry that is left votes for nothing, because keys are compared.
    fn leave(&self, session: &SessionSlot) {
        for (&item, key) in session.items().iter().zip(session.key.into_iter().cycle()) {
            self.postings.remove(item, short(key));
        }
    }

    /// Steps 1 and 2 of the module's head, and the choice of the k that vote, into `scratch.similar`.
    fn find_similar(
        &self,
        evolving: &[Row],
        exclude: Option<SessionKey>,
        params: &CollaborativeParams,
        scratch: &mut KnnScratch,
    ) {
        let KnnScratch {
            similarities,
            sessions,
            similar,
            ..
        } = scratch;
        let mut last_items: smallvec::SmallVec<[Row; EVOLVING_ITEMS_MAX]> = smallvec::SmallVec::new();
        for &item in evolving.iter().rev() {
            if last_items.len() < EVOLVING_ITEMS_MAX && !last_items.contains(&item) {
                last_items.push(item);
            }
        }
        similarities.clear();
        let excluded = exclude.map(short);
        let newest_sessions = params.knn_sessions as usize;
        for (&item, back) in last_items.iter().zip(0_u32..) {
            let position_weight = (last_items.len() as u32 - back) as f32 / last_items.len() as f32;
            self.postings.newest(item, newest_sessions, sessions);
            for &session in sessions.iter().filter(|session| Some(**session) != excluded) {
                similarities.add(session, position_weight, back);
            }
        }
        let last_at = |session: u32| {
            let cell = self.last_at.get(session as usize % self.capacity);
            cell.map_or(i64::MIN, |at| at.load(Ordering::Relaxed))
        };
        similar.clear();
        similar.extend(similarities.scores().iter().map(|sum| Similar {
            session: sum.key,
            similarity: sum.score,
            back: sum.tag,
            last_at: last_at(sum.key),
        }));
        let newest_first = |a: &Similar, b: &Similar| b.last_at.cmp(&a.last_at).then(b.session.cmp(&a.session));
        cut(similar, newest_sessions, newest_first);
        let nearest_first = |a: &Similar, b: &Similar| b.similarity.total_cmp(&a.similarity).then(newest_first(a, b));
        cut(similar, params.knn_neighbours as usize, nearest_first);
        // Sums of floats depend on their order: with a fixed one, the same index gives the same scores to the bit.
        similar.sort_unstable_by(nearest_first);
    }
}

/// Keeps the first `limit` of the order, unsorted.
fn cut(similar: &mut Vec<Similar>, limit: usize, order: impl Fn(&Similar, &Similar) -> std::cmp::Ordering) {
    if limit > 0 && similar.len() > limit {
        similar.select_nth_unstable_by(limit - 1, order);
    }
    similar.truncate(limit);
}

/// The low half of a key, which is what the inverted index holds: the sessions of one ring never share it.
fn short(key: SessionKey) -> u32 {
    key.0 as u32
}
