//! Item-item co-engagement, live: every positive event pairs its item with the viewer's last positive items.
//!
//! Owns how a pair is weighed, the shared table of rows and the normalised scores. Must not hold one row's lock while
//! it takes another's or computes.
//!
//! The pair of the item before (b) and the item after (a), g positive items and Δt apart, weighs `weight_b · weight_a ·
//! (1 / g) / (1 + ln(1 + Δt / session_gap))` from b to a and half of that from a to b: decayed transitions, the best
//! single method of the project's yardsticks. All fade with `half_life_ms`. The score of j beside i is `w_ij / (n_j +
//! 5)^0.5` with n_j the decayed engagements with j, the usual discount of popular items in item-kNN (M. Deshpande, G.
//! Karypis, "Item-based top-N recommendation algorithms", TOIS 2004), shrunk for items with few.
//!
//! Memory: per item in use 12 bytes a neighbour (at most 64) and 64 bytes more.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::co_visit_row::{CO_VISIT_NEIGHBOURS_MAX, CoVisitRow};
use super::sparse_scores::SparseScores;
use crate::ids::Row;
use crate::params::CollaborativeParams;
use crate::popularity::{BOARD_ROWS_MAX, CHUNK_CELLS, ChunkTable, DecayStamp, ScoredRow, halvings, keep_best};
use crate::time::TimestampMs;

/// What a pair weighs from the later item to the earlier, compared with from the earlier to the later.
const REVERSE_WEIGHT: f32 = 0.5;
/// Added to the engagements of an item before its popularity is discounted.
const ENGAGEMENTS_SHRINK: f32 = 5.0;
/// Each step back in the viewer's recent items counts so much less.
const RECENCY_STEP: f32 = 0.4;
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
    sums: SparseScores,
    neighbours: Vec<ScoredRow>,
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
        let (to_later, to_earlier) = (1.0, REVERSE_WEIGHT);
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
        keep_best(out, CO_VISIT_NEIGHBOURS_MAX);
    }

    /// The time of the item's last engagement, as of which its neighbours may be asked for; `None` when there was none.
    #[must_use]
    pub fn last_engaged_at(&self, row: Row) -> Option<TimestampMs> {
        let landmark = self.rows.get(row as usize)?.lock().landmark;
        (landmark != TimestampMs::default()).then_some(landmark)
    }

    /// Sums the neighbours of the viewer's last items (newest last, with their weights) and puts the best `limit` into
    /// `out`, best first. An item k steps back counts 0.4^k. The recent items themselves are left out.
    pub fn score_from_recent(
        &self,
        recent: &[(Row, f32)],
        now: TimestampMs,
        params: &CollaborativeParams,
        limit: usize,
        scratch: &mut RecentScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        out.clear();
        scratch.sums.clear();
        let mut recency = 1.0_f32;
        for &(row, weight) in recent.iter().rev().take(params.pair_window as usize) {
            self.neighbours_unordered(row, now, params, &mut scratch.neighbours);
            for neighbour in &scratch.neighbours {
                scratch.sums.add(neighbour.row, neighbour.score * weight * recency, 0);
            }
            recency *= RECENCY_STEP;
        }
        let is_recent = |row: Row| recent.iter().any(|(known, _)| *known == row);
        let found = scratch.sums.scores().iter().map(|sum| ScoredRow {
            row: sum.key,
            score: sum.score,
        });
        out.extend(found.filter(|scored| scored.score > 0.0 && !is_recent(scored.row)));
        keep_best(out, limit);
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
        out.retain_mut(|neighbour| {
            let Some(engagements) = self.engagements_at(neighbour.row, now, params) else {
                return false;
            };
            neighbour.score *= faded / (engagements + ENGAGEMENTS_SHRINK).sqrt();
            neighbour.score > 0.0
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
    let pauses = apart_ms as f32 / params.session_gap_ms.max(1) as f32;
    1.0 / f32::from(gap) / (1.0 + pauses.ln_1p())
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
