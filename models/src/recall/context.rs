//! What a channel may look at while it recalls, and the memory that all channels reuse.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Admission, FilterCounts};
use crate::collaborative::{KnnScratch, QUERY_ITEMS_MAX, RECENT_ITEMS_MAX, RecentItem, RecentScratch};
use crate::control::{ActiveRules, Control, MixScratch};
use crate::ids::Row;
use crate::index::{Neighbour, SearchScratch};
use crate::params::{Params, QueryProfile};
use crate::pipeline::Taste;
use crate::popularity::{BoardEntry, ScoredRow, keep_best_admitted};
use crate::session::{RecentAction, SessionState};
use crate::time::TimestampMs;
use crate::world::World;

/// Memory that a thread keeps between recalls.
#[derive(Default)]
pub struct RecallScratch {
    pub(crate) search: SearchScratch,
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) co_visits: RecentScratch,
    pub(crate) knn: KnnScratch,
    pub(crate) rows: Vec<Row>,
    pub(crate) scored: Vec<ScoredRow>,
    pub(crate) recent: Vec<RecentAction>,
    pub(crate) items: Vec<RecentItem>,
    pub(crate) mix: MixScratch,
}

/// What a channel may look at.
pub struct RecallContext<'a> {
    /// Everything shared.
    pub world: &'a World,
    /// The numbers in force for this request.
    pub params: &'a Params,
    /// What an operator decided about channels and items.
    pub control: &'a Control,
    /// The operator's rules that hold for this request.
    pub active: ActiveRules,
    /// How far back the collaborative channels look.
    pub profile: &'a QueryProfile,
    /// The viewer.
    pub session: &'a SessionState,
    /// The viewer's taste as vectors.
    pub taste: &'a Taste,
    /// What may be shown.
    pub admission: Admission<'a>,
    /// How an item does of which nothing is known.
    pub prior: BoardEntry,
    /// When.
    pub now: TimestampMs,
    /// Chance, seeded by the request.
    pub random: &'a mut Xoshiro256PlusPlus,
    /// Reused memory.
    pub scratch: &'a mut RecallScratch,
    /// How many candidates of the present channel each filter took.
    pub filtered: FilterCounts,
}

impl RecallContext<'_> {
    /// Puts the viewer's last positive items into `scratch.items`, newest last; returns the time of the newest, if there
    /// is one.
    pub(super) fn load_recent_items(&mut self) -> Option<TimestampMs> {
        let scratch = &mut *self.scratch;
        self.session.recent_positive(RECENT_ITEMS_MAX, &mut scratch.recent);
        scratch.items.clear();
        scratch.items.extend(scratch.recent.iter().rev().map(RecentItem::from));
        scratch.items.last().map(|item| item.at)
    }

    /// Keeps the best `quota` that may be shown, best first; counts the filters that take others.
    pub(super) fn keep_best(&mut self, out: &mut Vec<ScoredRow>, quota: usize) {
        let admission = self.admission;
        let fetch = |rows: &[ScoredRow]| admission.fetch(rows);
        keep_best_admitted(out, quota, fetch, |row| admission.admits(row, &mut self.filtered));
    }

    /// Whether the row may be shown; counts the filter that takes it.
    pub fn admits(&mut self, row: Row) -> bool {
        self.admission.admits(row, &mut self.filtered)
    }
}

/// The last of the viewer's items, which item-item scores and like sessions look at.
pub(super) fn newest(items: &[RecentItem]) -> &[RecentItem] {
    &items[items.len().saturating_sub(QUERY_ITEMS_MAX)..]
}
