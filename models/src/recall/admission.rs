//! What may be shown to a viewer at all: the filters.
//!
//! Filters are the only place where a candidate is taken away. Channels ask here while they search, so that a search for
//! k gives k although the nearest thousand have been seen.

use crate::catalogue::{CatalogueSnapshot, Entry};
use crate::ids::{Row, Word};
use crate::popularity::ScoredRow;
use crate::session::{BehaviourEffects, Exposure};

/// Number of [`Filter`]s.
pub const FILTER_COUNT: usize = 6;

/// A filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Filter {
    /// The item was deleted.
    Deleted = 0,
    /// The item is hidden.
    Hidden = 1,
    /// The item is not for the viewer's region.
    Region = 2,
    /// The viewer has been shown the item.
    Seen = 3,
    /// The request leaves the item out, or the client holds it already.
    Excluded = 4,
    /// A label of the viewer's behaviour hides the item's category or author.
    Label = 5,
}

impl Filter {
    /// All filters in the order of their numbers.
    pub const ALL: [Filter; FILTER_COUNT] = [
        Filter::Deleted,
        Filter::Hidden,
        Filter::Region,
        Filter::Seen,
        Filter::Excluded,
        Filter::Label,
    ];

    /// The name in explanations and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Filter::Deleted => "deleted",
            Filter::Hidden => "hidden",
            Filter::Region => "region",
            Filter::Seen => "seen",
            Filter::Excluded => "excluded",
            Filter::Label => "label",
        }
    }
}

/// How many candidates each filter took.
pub type FilterCounts = [u32; FILTER_COUNT];

/// What may be shown to one viewer in one request.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// The catalogue.
    pub snapshot: &'a CatalogueSnapshot,
    /// What the viewer has been shown.
    pub exposure: &'a Exposure,
    /// Where the viewer is.
    pub region: Option<Word>,
    /// Hashes of items to leave out, sorted.
    pub excluded: &'a [u64],
    /// What the viewer's labels do.
    pub behaviour: &'a BehaviourEffects,
}

impl<'a> Admission<'a> {
    /// Whether the item in that row may be shown.
    ///
    /// # Errors
    /// The first filter that takes it.
    pub fn check(&self, row: Row) -> Result<(), Filter> {
        let brief = self.snapshot.brief(row);
        if !brief.is_live() {
            return Err(Filter::Deleted);
        }
        if brief.is_hidden() {
            return Err(Filter::Hidden);
        }
        // The item itself is visited only for what its brief does not hold.
        let is_elsewhere = |entry: &Entry| !entry.is_in_region(self.region);
        if brief.is_regional() && self.snapshot.entry(row).is_some_and(|entry| is_elsewhere(entry)) {
            return Err(Filter::Region);
        }
        self.check_viewer(brief.hash)?;
        let is_hidden_by_label = |entry: &Entry| self.behaviour.hides(entry);
        if self.behaviour.hides_items() && self.snapshot.entry(row).is_some_and(|entry| is_hidden_by_label(entry)) {
            return Err(Filter::Label);
        }
        Ok(())
    }

    /// Brings what [`check`](Self::check) asks of these rows into the caches, many at a time.
    pub(super) fn fetch(&self, rows: &[ScoredRow]) {
        self.snapshot.fetch_briefs(rows.iter().map(|scored| scored.row));
    }

    /// Whether the viewer may be shown the item of that hash, which the catalogue's filters let through.
    ///
    /// # Errors
    /// The first filter that takes it. Seen comes before excluded: what was seen is out for good.
    pub fn check_viewer(&self, hash: u64) -> Result<(), Filter> {
        if self.exposure.contains(hash) {
            return Err(Filter::Seen);
        }
        if self.excludes(hash) {
            return Err(Filter::Excluded);
        }
        Ok(())
    }

    /// Whether this request leaves the item of that hash out.
    #[must_use]
    pub fn excludes(&self, hash: u64) -> bool {
        !self.excluded.is_empty() && self.excluded.binary_search(&hash).is_ok()
    }

    /// Whether the row may be shown; counts the filter that takes it.
    pub fn admits(&self, row: Row, counts: &mut FilterCounts) -> bool {
        match self.check(row) {
            Ok(()) => true,
            Err(filter) => {
                counts[filter as usize] += 1;
                false
            }
        }
    }
}
