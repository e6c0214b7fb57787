//! Nearest sessions: what was liked in the sessions most like this one, found through a bounded inverted index.
//!
//! Owns the ring of sessions, the index over it, and how sessions vote. Must not hold two locks at once.
//!
//! VSTAN (M. Ludewig, S. Latifi, N. Mauro, D. Jannach, "Empirical analysis of session-based recommendation algorithms",
//! UMUAI 2021; S. Garg et al., "Sequence and time aware neighborhood for session-based recommendations", SIGIR 2019)
//! over the index of VMIS-kNN (B. Kersbergen, O. Sprangers, S. Schelter, "Serenade", SIGMOD 2022). For a viewer whose
//! last distinct items weigh wᵢ (see [`super::co_visits`]: by place and time):
//! 1. Of each item its `knn_sessions` (m) newest sessions are taken, the newest in the order in which they came to it.
//! 2. The similarity of a session is Σ wᵢ · (1 + 2 · ln(1 + |H| / (hᵢ + 1))) over the items it shares, h the number of
//!    sessions with the item and |H| of all, times exp(-age / recency).
//! 3. The `knn_neighbours` (k) most similar vote, ties by the newer last event, then by the newer key: an item of
//!    theirs gets similarity · weight · decay^d, d the steps between it and the item that they share with the newest of the
//!    viewer's. The sum is divided by (h + 5)^power.
//!
//! Memory: 72 bytes a session, 4 per item in it, and 8 more per item in one of more than 3; 200 000 sessions of five items
//! take about 26 MB.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use super::co_visits::{ENGAGEMENTS_SHRINK, RecentItem, query_weights};
use super::dirty_pages::DirtyPages;
use super::posting::Postings;
use super::session_slot::{Pushed, SESSION_ITEMS_MAX, SessionCell, SessionKey, SessionRecord, SessionSlot};
use super::similar_sessions::{Similar, cut, weigh_best};
use super::sparse_scores::SparseScores;
use crate::ids::Row;
use crate::params::{CollaborativeParams, QueryProfile};
use crate::popularity::{ChunkTable, ScoredRow, keep_best_or_all};
use crate::time::TimestampMs;

/// The default number of sessions in the ring.
pub const SESSIONS_MAX: usize = 200_000;
/// So many places of the ring are written down together, when one of them has changed.
const PAGE_PLACES: usize = 512;
/// How much the rarity of a shared item adds to the similarity.
const IDF_WEIGHT: f32 = 2.0;
/// A vote that has fallen below this share is not cast.
const VOTE_SHARE_MIN: f32 = 0.3;

/// Reusable memory of [`SessionKnn::recommend`]; one per thread.
#[derive(Debug, Default)]
pub struct KnnScratch {
    similarities: SparseScores,
    items: SparseScores,
    sessions: Vec<u32>,
    similar: Vec<Similar>,
    /// Items around the shared one of the session that votes, with their shares.
    around: Vec<(Row, f32)>,
    /// The share of a vote by the distance from the shared item; at least one.
    shares: Vec<f32>,
    /// In how many sessions each item occurs that got a vote.
    counts: Vec<u32>,
    penalties: Penalties,
}

/// The index, shared by all threads.
pub struct SessionKnn {
    slots: ChunkTable<SessionCell>,
    /// The last event of each slot, beside the slots, so that recency is compared without their locks.
    last_at: ChunkTable<AtomicI64>,
    postings: Postings,
    dirty: DirtyPages,
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
        Self::with_pages(capacity, PAGE_PLACES)
    }

    /// The same with pages of another size, in places.
    pub(super) fn with_pages(capacity: usize, page_places: usize) -> Self {
        let capacity = capacity.clamp(1, 1 << 31);
        Self {
            dirty: DirtyPages::new(capacity, page_places),
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
        weight: f32,
        params: &CollaborativeParams,
    ) -> SessionKey {
        let running = key.and_then(|key| self.push_running(key, (item, weight), at, params.session_gap_ms));
        let (key, pushed) = running.unwrap_or_else(|| {
            let key = SessionKey(self.next_key.fetch_add(1, Ordering::Relaxed));
            let mut session = SessionSlot::new(key, at);
            let pushed = if Postings::has_room(item) {
                session.push(item, weight)
            } else {
                Pushed::Known
            };
            self.place(key, session);
            (key, pushed)
        });
        self.dirty.mark_place(self.place_of(key));
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
        let Some(cell) = self.slots.get(self.place_of(key)) else {
            return;
        };
        let removed = {
            let mut slot = cell.0.lock();
            if slot.key != Some(key) {
                return;
            }
            std::mem::take(&mut *slot)
        };
        self.session_count.fetch_sub(1, Ordering::Relaxed);
        self.dirty.mark_place(self.place_of(key));
        self.leave(&removed);
    }

    /// Puts the best `limit` items of the sessions most like `evolving` (the viewer's last distinct items, newest last)
    /// into `out`, best first, equal scores by the smaller row; without a limit all of them, in any order. The session `exclude` (the viewer's own, which is in the
    /// index) does not vote, and the items of `evolving` are not named.
    #[expect(clippy::too_many_arguments, reason = "what is asked, how, and where it goes")]
    pub fn recommend(
        &self,
        evolving: &[RecentItem],
        exclude: Option<SessionKey>,
        profile: &QueryProfile,
        params: &CollaborativeParams,
        limit: Option<usize>,
        scratch: &mut KnnScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        out.clear();
        self.find_similar(evolving, exclude, profile, params, scratch);
        let KnnScratch {
            items,
            similar,
            around,
            shares,
            counts,
            penalties,
            ..
        } = scratch;
        // A lock waits for what was read before it: a loop of its own waits for many sessions at a time.
        let cells = similar.iter().filter_map(|similar| self.cell(similar.session));
        std::hint::black_box(cells.fold(false, |seen, cell| seen ^ cell.fetch()));
        shares.clear();
        let all_shares = std::iter::successors(Some(1.0_f32), |share| Some(share * profile.vote_step_decay));
        shares.extend(
            all_shares
                .take(SESSION_ITEMS_MAX)
                .take_while(|share| *share >= VOTE_SHARE_MIN),
        );
        items.clear();
        for similar in similar.iter() {
            let Some(shared) = evolving.iter().rev().nth(similar.back as usize) else {
                continue;
            };
            if !self.items_around(similar.session, shared.row, shares, around) {
                continue;
            }
            for (item, share) in around.iter() {
                items.add(*item, similar.similarity * share, 0);
            }
        }
        let is_named = |row: Row| evolving.iter().any(|known| known.row == row);
        let votes = items.scores().filter(|votes| !is_named(votes.key));
        out.extend(votes.map(|votes| ScoredRow {
            row: votes.key,
            score: votes.score,
        }));
        if profile.vote_popularity_power != 0.0 {
            // Counts come from far: a loop of their own waits for many of them at a time.
            counts.clear();
            counts.extend(out.iter().map(|votes| self.postings.count(votes.row)));
            penalties.be_of(profile.vote_popularity_power);
            for (votes, count) in out.iter_mut().zip(counts) {
                votes.score *= penalties.of(*count);
            }
        }
        keep_best_or_all(out, limit);
    }

    /// The place of a session in its short form.
    fn cell(&self, session: u32) -> Option<&SessionCell> {
        self.slots.get(session as usize % self.capacity)
    }

    /// Puts the items of a session around one of them into `around`, each with the share of the session's vote that
    /// it gets. False when the session has left the ring or the item the session.
    fn items_around(&self, session: u32, shared: Row, shares: &[f32], around: &mut Vec<(Row, f32)>) -> bool {
        around.clear();
        let Some(cell) = self.cell(session) else { return false };
        let slot = cell.0.lock();
        let place = slot.items().iter().position(|(item, _)| *item == shared);
        let (Some(place), true) = (place, slot.key.map(short) == Some(session)) else {
            return false;
        };
        let places = place.saturating_sub(shares.len() - 1)..(place + shares.len()).min(slot.items().len());
        let items = slot.items()[places.clone()].iter().zip(places);
        around.extend(items.map(|((item, weight), other)| (*item, weight * shares[other.abs_diff(place)])));
        true
    }

    /// Up to `limit` pages of the ring that have changed since they were taken last.
    #[must_use]
    pub fn take_dirty(&self, limit: usize) -> Vec<usize> {
        self.dirty.take(limit)
    }

    /// How many pages the ring has.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.dirty.len()
    }

    /// A page has to be written down (again).
    pub fn mark_dirty(&self, page: usize) {
        self.dirty.mark(page);
    }

    /// The first place of a page, and the sessions in it.
    #[must_use]
    pub fn export_page(&self, page: usize) -> (usize, Vec<SessionRecord>) {
        let places = self.dirty.places_of(page);
        (places.start, self.export(places))
    }

    /// The sessions in the given places of the ring (`0..capacity`).
    #[must_use]
    pub fn export(&self, places: Range<usize>) -> Vec<SessionRecord> {
        let slots = (places.start..places.end.min(self.capacity)).filter_map(|place| self.slots.get(place));
        let record = |slot: SessionSlot| {
            let (items, weights) = slot.items().iter().copied().unzip();
            slot.key.map(|key| SessionRecord {
                key,
                last_at: slot.last_at,
                items,
                weights,
            })
        };
        slots.filter_map(|cell| record(cell.0.lock().clone())).collect()
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
        let items = record.weighted().filter(|(item, _)| Postings::has_room(*item));
        for (item, weight) in items.take(SESSION_ITEMS_MAX) {
            let is_sound = weight.is_finite() && weight > 0.0;
            session.push(item, if is_sound { weight } else { 1.0 });
        }
        let items = session.clone();
        if !self.place(record.key, session) {
            return false;
        }
        for &(item, _) in items.items() {
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
    pub(super) fn place_of(&self, key: SessionKey) -> usize {
        short(key) as usize % self.capacity
    }

    /// Pushes into the running session, if the key still names one that an event at `at` continues.
    fn push_running(
        &self,
        key: SessionKey,
        (item, weight): (Row, f32),
        at: TimestampMs,
        session_gap_ms: i64,
    ) -> Option<(SessionKey, Pushed)> {
        let place = self.place_of(key);
        let mut slot = self.slots.get(place)?.0.lock();
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
        Some((key, slot.push(item, weight)))
    }

    /// Puts a session into its place of the ring; the one before it leaves the index. False when that one is newer.
    fn place(&self, key: SessionKey, session: SessionSlot) -> bool {
        let place = self.place_of(key);
        let (Some(cell), Some(last_at)) = (self.slots.get_or_make(place), self.last_at.get_or_make(place)) else {
            return false;
        };
        let evicted = {
            let mut slot = cell.0.lock();
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
        for (&(item, _), key) in session.items().iter().zip(session.key.into_iter().cycle()) {
            self.postings.remove(item, short(key));
        }
    }

    /// Steps 1 and 2 of the module's head, and the choice of the k that vote, into `scratch.similar`.
    fn find_similar(
        &self,
        evolving: &[RecentItem],
        exclude: Option<SessionKey>,
        profile: &QueryProfile,
        params: &CollaborativeParams,
        scratch: &mut KnnScratch,
    ) {
        let KnnScratch {
            similarities,
            sessions,
            similar,
            ..
        } = scratch;
        similarities.clear();
        let (excluded, all) = (exclude.map(short), self.len() as f32);
        for ((item, weight), back) in query_weights(evolving, profile.session_decay, params).zip(0_u32..) {
            let with_item = self.postings.count(item.row) as f32;
            let rarity = 1.0 + IDF_WEIGHT * (all / (with_item + 1.0)).ln_1p();
            let weight = weight * item.weight * rarity;
            self.postings.newest(item.row, params.knn_sessions as usize, sessions);
            for &session in sessions.iter().filter(|session| Some(**session) != excluded) {
                similarities.add(session, weight, back);
            }
        }
        let last_at = |session: u32| {
            let cell = self.last_at.get(session as usize % self.capacity);
            cell.map_or(i64::MIN, |at| at.load(Ordering::Relaxed))
        };
        let now = evolving.last().map_or(0, |item| item.at.0);
        let weigh = |similar: &mut Similar| {
            similar.last_at = last_at(similar.session);
            similar.similarity *= profile.recency(now.saturating_sub(similar.last_at));
        };
        similar.clear();
        similar.extend(similarities.scores().map(|sum| Similar {
            session: sum.key,
            similarity: sum.score,
            back: sum.tag,
            last_at: 0,
        }));
        weigh_best(similar, params.knn_neighbours as usize, weigh);
        let newest_first = |a: &Similar, b: &Similar| b.last_at.cmp(&a.last_at).then(b.session.cmp(&a.session));
        let nearest_first = |a: &Similar, b: &Similar| b.similarity.total_cmp(&a.similarity).then(newest_first(a, b));
        cut(similar, params.knn_neighbours as usize, nearest_first);
        // Sums of floats depend on their order: with a fixed one, the same index gives the same scores to the bit.
        similar.sort_unstable_by(nearest_first);
    }
}

/// What popular items lose of their votes: (count + 5)^-power, kept for the counts that most items have.
#[derive(Debug, Default)]
struct Penalties {
    power: f32,
    /// By count; NaN where it was not asked for yet.
    known: Vec<f32>,
}

impl Penalties {
    /// Counts up to here are remembered.
    const KNOWN_MAX: usize = 4_096;

    fn be_of(&mut self, power: f32) {
        if self.power != power || self.known.is_empty() {
            self.power = power;
            self.known.clear();
            self.known.resize(Self::KNOWN_MAX, f32::NAN);
        }
    }

    fn of(&mut self, count: u32) -> f32 {
        let power = self.power;
        let work_out = || (count as f32 + ENGAGEMENTS_SHRINK).powf(-power);
        match self.known.get_mut(count as usize) {
            Some(known) if known.is_nan() => {
                *known = work_out();
                *known
            }
            Some(known) => *known,
            None => work_out(),
        }
    }
}

/// The low half of a key, which is what the inverted index holds: the sessions of one ring never share it.
fn short(key: SessionKey) -> u32 {
    key.0 as u32
}
