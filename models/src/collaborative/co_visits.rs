//! Item-item co-engagement, live: every positive event pairs its item with the viewer's last positive items.
//!
//! Owns how a pair is weighed, the shared table of rows and the normalised scores. Must not hold one row's lock while
//! it takes another's or computes.
//!
//! The pair of the item before (b) and the item after (a), g positive items and Δt apart, weighs `weight_b · weight_a ·
//! g^-p / (1 + Δt / pause)` from b to a and `reverse` of that from a to b: decayed transitions, the best single method
//! of the project's yardsticks. The time in the weight serves viewers who click once a minute and viewers who swipe once
//! a second with the same settings. All fade with `half_life_ms`. The score of j beside i is `w_ij / (n_j + 5)^power`
//! with n_j the decayed engagements with j, the usual discount of popular items in item-kNN (M. Deshpande, G. Karypis,
//! "Item-based top-N recommendation algorithms", TOIS 2004), shrunk for items with few.
//!
//! Memory: per item in use 12 bytes a neighbour (at most 128) and 64 bytes more.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::co_visit_row::{CO_VISIT_NEIGHBOURS_MAX, CoVisitRow};
use super::sparse_scores::SparseScores;
use crate::ids::Row;
use crate::params::{CollaborativeParams, QueryProfile};
use crate::popularity::{
    BOARD_ROWS_MAX, CHUNK_CELLS, ChunkTable, DecayStamp, ScoredRow, halvings, keep_best, keep_best_or_all,
};
use crate::session::RecentAction;
use crate::time::TimestampMs;

/// Added to the engagements of an item before its popularity is discounted.
pub(super) const ENGAGEMENTS_SHRINK: f32 = 5.0;
/// One of the viewer's items that counts less than this is not looked at.
pub(super) const QUERY_WEIGHT_MIN: f32 = 0.02;
/// The exponent of the popularity discount where no viewer asks.
const NEIGHBOUR_POPULARITY_POWER: f32 = 0.5;
/// The most of the viewer's last items that item-item scores and like sessions look at.
pub const QUERY_ITEMS_MAX: usize = 20;
/// The most that a request looks at: the linear model, which costs less per item and weighs more of them, looks at all.
pub const RECENT_ITEMS_MAX: usize = 40;
/// In place of an engagement stamp: the item has been removed.
const REMOVED: u64 = u64::MAX;
/// Rows per word of the dirty bitmap.
const WORD_ROWS: usize = 64;

/// One of the viewer's last positive items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentItem {
    /// The item.
    pub row: Row,
    /// When it was engaged with.
    pub at: TimestampMs,
    /// How strongly, 0..=1 for most signals.
    pub weight: f32,
}

impl From<&RecentAction> for RecentItem {
    fn from(action: &RecentAction) -> Self {
        Self {
            row: action.row,
            at: action.at,
            weight: action.weight,
        }
    }
}

/// An item's engagement stamp.
struct Engagements(AtomicU64);

impl Default for Engagements {
    fn default() -> Self {
        Self(AtomicU64::new(DecayStamp::NONE.to_bits()))
    }
}

/// Reusable memory of [`CoVisits::score_from_recent`]; one per thread.
#[derive(Debug, Default)]
pub struct RecentScratch {
    pub(super) sums: SparseScores,
    neighbours: Vec<ScoredRow>,
}

impl RecentScratch {
    /// Appends what was summed of items that are not among `recent`.
    pub(super) fn take_others(&self, recent: &[RecentItem], out: &mut Vec<ScoredRow>) {
        let is_recent = |row: Row| recent.iter().any(|known| known.row == row);
        let found = self.sums.scores().map(|sum| ScoredRow {
            row: sum.key,
            score: sum.score,
        });
        out.extend(found.filter(|scored| !is_recent(scored.row)));
    }
}

/// The table of all items' neighbours, shared by all threads.
pub struct CoVisits {
    rows: ChunkTable<Mutex<CoVisitRow>>,
    /// Beside the rows, so that a score reads its neighbours' popularity without taking their locks.
    engagements: ChunkTable<Engagements>,
    /// One bit per row changed since it was last asked for.
    dirty: ChunkTable<AtomicU64>,
    /// The chunk of `dirty` to look at first, so that no row waits forever.
    dirty_from: AtomicUsize,
}

impl Default for CoVisits {
    fn default() -> Self {
        Self {
            rows: ChunkTable::new(BOARD_ROWS_MAX),
            engagements: ChunkTable::new(BOARD_ROWS_MAX),
            dirty: ChunkTable::new(BOARD_ROWS_MAX / WORD_ROWS),
            dirty_from: AtomicUsize::new(0),
        }
    }
}

impl fmt::Debug for CoVisits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CoVisits").finish_non_exhaustive()
    }
}

impl CoVisits {
    /// Takes in a positive event of `weight` on `item` by a viewer whose positive items before it were `recent` (newest
    /// last; only the last `pair_window` and no further than `pair_gap_ms_max` away are paired). A removed item comes
    /// back with its first event; rows beyond the table are ignored.
    pub fn record(&self, item: Row, recent: &[RecentItem], at: TimestampMs, weight: f32, params: &CollaborativeParams) {
        if !weight.is_finite() || weight <= 0.0 {
            return;
        }
        let partners = || {
            let last = recent.iter().rev().take(params.pair_window as usize).zip(1_u16..);
            last.filter(|(other, _)| other.row != item).filter_map(|(other, gap)| {
                let apart_ms = at.since(other.at).saturating_abs();
                let near = apart_ms <= params.pair_gap_ms_max && other.weight > 0.0;
                near.then(|| (other, weight * other.weight * closeness(gap, apart_ms, params)))
            })
        };
        // Which of the two came first decides the direction; a late event may precede what is recent.
        let (to_later, to_earlier) = (1.0, params.pair_reverse_weight);
        self.change(item, |row| {
            row.add_engagement(weight, at, params.half_life_ms);
            for (other, pair) in partners().filter(|(other, _)| !self.is_removed(other.row)) {
                let direction = if other.at > at { to_later } else { to_earlier };
                row.add_neighbour(other.row, pair * direction, at, params.half_life_ms);
            }
            DecayStamp::new(row.engagements, row.landmark, params.half_life_ms).to_bits()
        });
        for (other, pair) in partners() {
            let direction = if other.at > at { to_earlier } else { to_later };
            self.change(other.row, |row| {
                if self.is_removed(other.row) {
                    return REMOVED;
                }
                row.add_neighbour(item, pair * direction, at, params.half_life_ms);
                DecayStamp::new(row.engagements, row.landmark, params.half_life_ms).to_bits()
            });
        }
    }

    /// Puts the item's neighbours into `out`, best first; removed ones are left out.
    pub fn neighbours(&self, row: Row, now: TimestampMs, params: &CollaborativeParams, out: &mut Vec<ScoredRow>) {
        self.neighbours_unordered(row, now, params, out);
        self.discount(out, now, params, NEIGHBOUR_POPULARITY_POWER);
        keep_best(out, CO_VISIT_NEIGHBOURS_MAX);
    }

    /// The time of the item's last engagement, as of which its neighbours may be asked for; `None` when there was none.
    #[must_use]
    pub fn last_engaged_at(&self, row: Row) -> Option<TimestampMs> {
        let landmark = self.rows.get(row as usize)?.lock().landmark;
        (landmark != TimestampMs::default()).then_some(landmark)
    }

    /// Sums the neighbours of the viewer's last items (newest last) and puts the best `limit` into `out`, best first, or
    /// all in any order. An item k steps and Δt before the newest counts `decay^k / (1 + Δt / recency_pause)` of its weight. The recent items
    /// themselves are left out.
    #[expect(clippy::too_many_arguments, reason = "what is asked, how, and where it goes")]
    pub fn score_from_recent(
        &self,
        recent: &[RecentItem],
        profile: &QueryProfile,
        now: TimestampMs,
        params: &CollaborativeParams,
        limit: Option<usize>,
        scratch: &mut RecentScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        out.clear();
        scratch.sums.clear();
        for (item, weight) in query_weights(recent, profile.item_decay, params) {
            self.neighbours_unordered(item.row, now, params, &mut scratch.neighbours);
            for neighbour in &scratch.neighbours {
                scratch
                    .sums
                    .add(neighbour.row, neighbour.score * weight * item.weight, 0);
            }
        }
        scratch.take_others(recent, out);
        self.discount(out, now, params, profile.item_popularity_power);
        keep_best_or_all(out, limit);
    }

    /// Forgets the item; it disappears from its neighbours' lists at once, too.
    pub fn remove(&self, row: Row) {
        if self.rows.get(row as usize).is_some() {
            self.change(row, |state| {
                *state = CoVisitRow::default();
                REMOVED
            });
        }
    }

    /// A row has to be written down (again), if there is one.
    pub fn mark_dirty(&self, row: Row) {
        if self.rows.get(row as usize).is_some() {
            self.note_change(row as usize);
        }
    }

    /// Appends up to `limit` rows that have changed since they were last named here, to be written down. The next call
    /// goes on where this one stopped.
    pub fn take_dirty(&self, limit: usize, out: &mut Vec<Row>) {
        let (chunks, mut left) = (self.dirty.chunk_count(), limit);
        let first = self.dirty_from.load(Ordering::Relaxed);
        for step in 0..chunks {
            let chunk = (first + step) % chunks;
            for (word, bits) in self.dirty.chunk(chunk).unwrap_or(&[]).iter().enumerate() {
                if bits.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                if left == 0 {
                    self.dirty_from.store(chunk, Ordering::Relaxed);
                    return;
                }
                left -= take_bits(bits, left, (chunk * CHUNK_CELLS + word) * WORD_ROWS, out);
            }
        }
    }

    /// A copy of the item's row for a snapshot; `None` when there is nothing to keep.
    #[must_use]
    pub fn export_row(&self, row: Row) -> Option<CoVisitRow> {
        let state = self.rows.get(row as usize)?.lock().clone();
        (state.engagements > 0.0 || !state.neighbours.is_empty()).then_some(state)
    }

    /// Puts back a row from a snapshot, in place of what is there. False when it is damaged or beyond the table.
    pub fn import_row(&self, row: Row, state: CoVisitRow, params: &CollaborativeParams) -> bool {
        let fits = state.is_sound() && (row as usize) < BOARD_ROWS_MAX;
        if fits {
            let bits = DecayStamp::new(state.engagements, state.landmark, params.half_life_ms).to_bits();
            self.change(row, |current| {
                *current = state;
                bits
            });
        }
        fits
    }

    /// Changes one row under its lock and publishes the engagement stamp that the change returns.
    fn change(&self, row: Row, change: impl FnOnce(&mut CoVisitRow) -> u64) {
        let place = row as usize;
        let (Some(cell), Some(engagements)) = (self.rows.get_or_make(place), self.engagements.get_or_make(place))
        else {
            return;
        };
        {
            let mut state = cell.lock();
            engagements.0.store(change(&mut state), Ordering::Relaxed);
        }
        self.note_change(place);
    }

    fn note_change(&self, place: usize) {
        if let Some(word) = self.dirty.get_or_make(place / WORD_ROWS) {
            word.fetch_or(1 << (place % WORD_ROWS), Ordering::Release);
        }
    }

    fn neighbours_unordered(&self, row: Row, now: TimestampMs, params: &CollaborativeParams, out: &mut Vec<ScoredRow>) {
        out.clear();
        out.reserve(CO_VISIT_NEIGHBOURS_MAX);
        let Some(cell) = self.rows.get(row as usize) else {
            return;
        };
        let landmark = {
            let state = cell.lock();
            let earned = |neighbour: &super::co_visit_row::CoVisitNeighbour| ScoredRow {
                row: neighbour.row,
                score: neighbour.weight - neighbour.inherited,
            };
            out.extend(state.neighbours.iter().map(earned));
            state.landmark
        };
        let faded = halvings(now.since(landmark), params.half_life_ms) as f32;
        out.iter_mut().for_each(|neighbour| neighbour.score *= faded);
    }

    /// Divides by popularity and drops what has been removed.
    fn discount(&self, scored: &mut Vec<ScoredRow>, now: TimestampMs, params: &CollaborativeParams, power: f32) {
        scored.retain_mut(|one| {
            let Some(engagements) = self.engagements_at(one.row, now, params) else {
                return false;
            };
            one.score *= (engagements + ENGAGEMENTS_SHRINK).powf(-power);
            one.score > 0.0
        });
    }

    /// The item's decayed engagements; `None` when it has been removed.
    fn engagements_at(&self, row: Row, now: TimestampMs, params: &CollaborativeParams) -> Option<f32> {
        let Some(engagements) = self.engagements.get(row as usize) else {
            return Some(0.0);
        };
        let bits = engagements.0.load(Ordering::Relaxed);
        (bits != REMOVED).then(|| DecayStamp::from_bits(bits).value_at(now, params.half_life_ms))
    }

    fn is_removed(&self, row: Row) -> bool {
        self.engagements
            .get(row as usize)
            .is_some_and(|cell| cell.0.load(Ordering::Relaxed) == REMOVED)
    }
}

/// The part of a pair's weight that falls with the distance in positions and in time.
pub(super) fn closeness(gap: u16, apart_ms: i64, params: &CollaborativeParams) -> f32 {
    f32::from(gap).powf(-params.pair_gap_power) * patience(apart_ms, params.pair_pause_ms)
}

/// The viewer's last items, the newest first, with the weight of their place and time in a request, until it is too
/// small to matter.
pub(super) fn query_weights<'a>(
    recent: &'a [RecentItem],
    step_decay: f32,
    params: &'a CollaborativeParams,
) -> impl Iterator<Item = (&'a RecentItem, f32)> {
    let newest = recent.last().map_or(TimestampMs::default(), |item| item.at);
    let mut place_weight = 1.0_f32;
    let weighted = recent.iter().rev().map(move |item| {
        let weight = place_weight * patience(newest.since(item.at), params.recency_pause_ms);
        place_weight *= step_decay;
        (item, weight)
    });
    weighted
        .take(RECENT_ITEMS_MAX)
        .take_while(|(_, weight)| *weight >= QUERY_WEIGHT_MIN)
}

/// 1 / (1 + Δt / pause).
fn patience(apart_ms: i64, pause_ms: i64) -> f32 {
    1.0 / (1.0 + apart_ms.max(0) as f32 / pause_ms.max(1) as f32)
}

/// Clears up to `limit` bits of the word and appends their rows; returns how many.
fn take_bits(bits: &AtomicU64, limit: usize, first_row: usize, out: &mut Vec<Row>) -> usize {
    let mut taken = 0;
    while taken < limit {
        let word = bits.load(Ordering::Relaxed);
        if word == 0 {
            break;
        }
        let bit = word.trailing_zeros();
        bits.fetch_and(!(1 << bit), Ordering::Acquire);
        out.push((first_row + bit as usize) as Row);
        taken += 1;
    }
    taken
}
