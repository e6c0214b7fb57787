//! Which sessions an item occurs in, the most recent of them.
//!
//! Owns the bound per item and the exact number of sessions. Must not know what a session holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::ids::Row;
use crate::popularity::{BOARD_ROWS_MAX, ChunkTable};

/// The most sessions kept per item; a larger `knn_sessions` has no further effect.
pub const ITEM_SESSIONS_MAX: usize = 2_500;

/// The inverted index: item → the newest sessions that contain it.
///
/// Memory: 4 bytes per item and session (at most [`ITEM_SESSIONS_MAX`] an item), 44 bytes more per item in use.
pub(super) struct Postings {
    lists: ChunkTable<Mutex<VecDeque<u32>>>,
    /// Sessions in the index that contain the item, also those that the bounded list has let go; beside the lists, so
    /// that the idf of a candidate costs no lock.
    counts: ChunkTable<AtomicU32>,
}

impl Default for Postings {
    fn default() -> Self {
        Self {
            lists: ChunkTable::new(BOARD_ROWS_MAX),
            counts: ChunkTable::new(BOARD_ROWS_MAX),
        }
    }
}

impl Postings {
    /// Whether the row fits the table.
    pub(super) fn has_room(row: Row) -> bool {
        (row as usize) < BOARD_ROWS_MAX
    }

    /// Notes that the item has come into a session. A session is added to an item once.
    pub(super) fn add(&self, row: Row, session: u32) {
        let place = row as usize;
        let (Some(list), Some(count)) = (self.lists.get_or_make(place), self.counts.get_or_make(place)) else {
            return;
        };
        let mut list = list.lock();
        if list.len() >= ITEM_SESSIONS_MAX {
            list.pop_front();
        }
        list.push_back(session);
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the item has left a session that it had been added to.
    pub(super) fn remove(&self, row: Row, session: u32) {
        let place = row as usize;
        let (Some(list), Some(count)) = (self.lists.get(place), self.counts.get(place)) else {
            return;
        };
        let mut list = list.lock();
        // Sessions leave in about the order in which they came: the search ends near the front.
        if let Some(found) = list.iter().position(|known| *known == session) {
            list.remove(found);
        }
        // Under the list's lock, so that a count never passes through zero downwards.
        count.store(count.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Puts the item's newest `limit` sessions into `out`, oldest first.
    pub(super) fn newest(&self, row: Row, limit: usize, out: &mut Vec<u32>) {
        out.clear();
        out.reserve(limit.min(ITEM_SESSIONS_MAX));
        let Some(list) = self.lists.get(row as usize) else {
            return;
        };
        let list = list.lock();
        out.extend(list.range(list.len().saturating_sub(limit)..));
    }

    /// The number of sessions that contain the item.
    pub(super) fn count(&self, row: Row) -> u32 {
        self.counts
            .get(row as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_the_count_is_exact() {
        let (postings, mut out) = (Postings::default(), Vec::new());
        let sessions = ITEM_SESSIONS_MAX as u32 + 10;
        (0..sessions).for_each(|session| postings.add(5, session));
        postings.newest(5, 3, &mut out);
        assert_eq!(out, [sessions - 3, sessions - 2, sessions - 1]);
        postings.remove(5, sessions - 2);
        postings.remove(5, 0);
        postings.newest(5, 2, &mut out);
        assert_eq!(
            (&out[..], postings.count(5)),
            (&[sessions - 3, sessions - 1][..], sessions - 2)
        );
        postings.newest(5, usize::MAX, &mut out);
        assert_eq!(out.len(), ITEM_SESSIONS_MAX - 1);
    }

    #[test]
    fn unknown_items_have_no_sessions() {
        let (postings, mut out) = (Postings::default(), vec![1]);
        postings.newest(Row::MAX, 5, &mut out);
        assert!(out.is_empty() && postings.count(7) == 0 && !Postings::has_room(Row::MAX));
        postings.add(Row::MAX, 1);
        postings.remove(7, 1);
        assert_eq!(postings.count(7), 0);
    }
}
