//! Viewers with a like taste: who engaged with the same items over weeks, and what else those did.
//!
//! User-user collaborative filtering (P. Resnick et al., "GroupLens: An Open Architecture for Collaborative Filtering of
//! Netnews", CSCW 1994) over the bounded inverted index of [`SessionKnn`], in which a viewer's whole history is one row
//! that never ends: the last [`super::SESSION_ITEMS_MAX`] items of the last [`USERS_MAX`] viewers, each with the weight of
//! the strongest signal on it. Similarity and votes are those of that module, with weights, rarity and recency, but
//! without a decay by distance: that two things were done in one sitting says nothing here.
//!
//! Owns what is different from sessions. Memory: 80 bytes a viewer and 12 per item; 100 000 viewers of fifty items take
//! about 70 MB.

use std::fmt;

use super::co_visits::RecentItem;
use super::session_knn::{KnnScratch, SessionKnn};
use super::session_slot::{SessionKey, SessionRecord};
use crate::event::Signal;
use crate::ids::Row;
use crate::params::{CollaborativeParams, QueryProfile, SimilarUsersParams};
use crate::popularity::ScoredRow;
use crate::time::TimestampMs;

/// The most viewers in the index; of more those who came last.
pub const USERS_MAX: usize = 100_000;
/// So many viewers are written down together, when one of them has changed.
const USERS_PER_PAGE: usize = 64;
/// The weight of one of the viewer's items over that of the one after it.
const ITEM_DECAY: f32 = 0.95;
/// Votes are divided by (viewers with the item + 5) to this power.
const POPULARITY_POWER: f32 = 0.6;
/// So many items of a voter on each side of the shared one are voted for: 0.98^59 falls to the least share of a vote.
const VOTE_STEP_DECAY: f32 = 0.98;

/// Viewers and what they engaged with, shared by all threads.
pub struct SimilarUsers {
    index: SessionKnn,
}

impl Default for SimilarUsers {
    fn default() -> Self {
        Self {
            index: SessionKnn::with_pages(USERS_MAX, USERS_PER_PAGE),
        }
    }
}

impl fmt::Debug for SimilarUsers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimilarUsers").finish_non_exhaustive()
    }
}

impl SimilarUsers {
    /// Lets a signal of the viewer under `key` count; a viewer without one, or whose row was given to another, gets a new
    /// one. Returns the key to go on with; what says nothing good changes nothing.
    pub fn record(
        &self,
        key: Option<SessionKey>,
        item: Row,
        signal: Signal,
        at: TimestampMs,
        params: &SimilarUsersParams,
    ) -> Option<SessionKey> {
        let weight = params.weight_of(signal);
        if weight <= 0.0 {
            return key;
        }
        Some(self.index.extend(key, item, at, weight, &as_collaborative(params)))
    }

    /// Puts what the viewers most like this one engaged with into `out`, in any order. `recent` are the viewer's last items,
    /// newest last; `own` is the viewer's row.
    pub fn recommend(
        &self,
        recent: &[RecentItem],
        own: Option<SessionKey>,
        params: &SimilarUsersParams,
        scratch: &mut KnnScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        let profile = QueryProfile {
            item_decay: ITEM_DECAY,
            session_decay: ITEM_DECAY,
            linear_decay: ITEM_DECAY,
            item_popularity_power: POPULARITY_POWER,
            vote_popularity_power: POPULARITY_POWER,
            vote_step_decay: VOTE_STEP_DECAY,
            session_recency_ms: params.recency_ms,
            item_weight: 0.0,
            linear_weight: 0.0,
        };
        let collaborative = as_collaborative(params);
        self.index
            .recommend(recent, own, &profile, &collaborative, None, scratch, out);
    }

    /// Forgets a viewer.
    pub fn remove(&self, key: SessionKey) {
        self.index.remove(key);
    }

    /// How many viewers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Up to `limit` pages that have changed since they were taken last.
    #[must_use]
    pub fn take_dirty(&self, limit: usize) -> Vec<usize> {
        self.index.take_dirty(limit)
    }

    /// How many pages there are.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.index.pages()
    }

    /// A page has to be written down (again).
    pub fn mark_dirty(&self, page: usize) {
        self.index.mark_dirty(page);
    }

    /// The viewers of a page, for a snapshot.
    #[must_use]
    pub fn export_page(&self, page: usize) -> Vec<SessionRecord> {
        self.index.export_page(page).1
    }

    /// Puts a viewer from a snapshot back; false when the place holds a newer one. Call
    /// [`SimilarUsers::finish_import`] after the last one.
    pub fn import(&self, record: &SessionRecord) -> bool {
        self.index.import(record)
    }

    /// Ends an import: a key that was given out after the snapshot was taken, and is remembered by its viewer, can never
    /// name somebody else.
    pub fn finish_import(&self) {
        self.index.finish_import();
    }
}

fn as_collaborative(params: &SimilarUsersParams) -> CollaborativeParams {
    CollaborativeParams {
        knn_sessions: params.users_per_item,
        knn_neighbours: params.neighbours,
        session_gap_ms: params.pause_ms_max,
        recency_pause_ms: params.recency_ms,
        ..CollaborativeParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn engage(users: &SimilarUsers, actions: &[(Row, Signal, i64)]) -> SessionKey {
        let params = SimilarUsersParams::default();
        let mut key = None;
        for (row, signal, days_ago) in actions {
            key = users.record(key, *row, *signal, NOW.plus_ms(-days_ago * DAY_MS), &params);
        }
        key.expect("a row")
    }

    fn recommended(users: &SimilarUsers, rows: &[Row], own: Option<SessionKey>) -> Vec<Row> {
        let item = |row: &Row| RecentItem {
            row: *row,
            at: NOW,
            weight: 1.0,
        };
        let recent: Vec<RecentItem> = rows.iter().map(item).collect();
        let mut out = Vec::new();
        let (params, mut scratch) = (SimilarUsersParams::default(), KnnScratch::default());
        users.recommend(&recent, own, &params, &mut scratch, &mut out);
        out.iter().map(|one| one.row).collect()
    }

    #[test]
    fn weeks_lie_between_what_one_viewer_did_and_it_still_counts_together() {
        let users = SimilarUsers::default();
        engage(
            &users,
            &[(1, Signal::Like, 40), (2, Signal::Like, 20), (9, Signal::Like, 1)],
        );
        engage(&users, &[(50, Signal::Like, 3), (51, Signal::Like, 2)]);
        let own = engage(&users, &[(1, Signal::Like, 2), (2, Signal::Like, 1)]);
        assert_eq!(users.len(), 3);
        assert_eq!(recommended(&users, &[1, 2], Some(own)), [9]);
    }

    #[test]
    fn a_completion_counts_more_than_a_like_a_comment_and_a_view_and_a_skip_nothing() {
        let users = SimilarUsers::default();
        let signals = [Signal::View, Signal::Comment, Signal::Like, Signal::Complete];
        for (signal, row) in signals.into_iter().zip(10..) {
            engage(&users, &[(1, Signal::Like, 1), (row, signal, 0), (99, Signal::Skip, 0)]);
        }
        assert_eq!(recommended(&users, &[1], None), [13, 12, 11, 10]);
    }

    #[test]
    fn who_was_there_lately_counts_more_and_who_was_forgotten_not_at_all() {
        let users = SimilarUsers::default();
        engage(&users, &[(1, Signal::Like, 60), (7, Signal::Like, 60)]);
        let lately = engage(&users, &[(1, Signal::Like, 1), (8, Signal::Like, 1)]);
        assert_eq!(recommended(&users, &[1], None), [8, 7]);
        users.remove(lately);
        assert_eq!(recommended(&users, &[1], None), [7]);
    }

    #[test]
    fn a_snapshot_brings_viewers_back_under_their_keys() {
        let users = SimilarUsers::default();
        let key = engage(&users, &[(1, Signal::Like, 2), (2, Signal::Complete, 1)]);
        let restored = SimilarUsers::default();
        assert_eq!(users.take_dirty(9), [0]);
        assert_eq!(users.take_dirty(9), [0; 0]);
        for record in users.export_page(0) {
            assert!(restored.import(&record));
        }
        restored.finish_import();
        let params = SimilarUsersParams::default();
        let after = restored.record(Some(key), 3, Signal::Like, NOW, &params);
        assert_eq!(after, Some(key), "the viewer's row goes on");
        assert_eq!(recommended(&restored, &[1], None), recommended_after(&users, key));
    }

    /// What the same third item makes of the index that was written down.
    fn recommended_after(users: &SimilarUsers, key: SessionKey) -> Vec<Row> {
        users.record(Some(key), 3, Signal::Like, NOW, &SimilarUsersParams::default());
        recommended(users, &[1], None)
    }
}
