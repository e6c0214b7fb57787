//! What may be shown to a viewer at all: the filters.
//!
//! Filters are the only place where a candidate is taken away. Channels ask here while they search, so that a search for
//! k gives k although the nearest thousand have been seen.

use crate::catalogue::{CatalogueSnapshot, Entry, FilterTest, NO_WORD};
use crate::ids::{Row, Word};
use crate::popularity::ScoredRow;
use crate::session::{BehaviourEffects, Exposure};
use crate::time::TimestampMs;

/// Number of [`Filter`]s.
pub const FILTER_COUNT: usize = 10;

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
    /// The item may not be shown yet, or not any more.
    Availability = 6,
    /// The item is not for the viewer's device.
    Device = 7,
    /// The viewer has blocked the author, or is the author.
    Author = 8,
    /// The item is not what the request or its scene wants.
    Wanted = 9,
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
        Filter::Availability,
        Filter::Device,
        Filter::Author,
        Filter::Wanted,
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
            Filter::Availability => "availability",
            Filter::Device => "device",
            Filter::Author => "author",
            Filter::Wanted => "wanted",
        }
    }
}

/// How many candidates each filter took.
pub type FilterCounts = [u32; FILTER_COUNT];

/// What limits a request beside region and exposure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits<'a> {
    /// What the request wants of items.
    pub filter: Option<&'a FilterTest>,
    /// The key of the viewer's device.
    pub device: Option<u64>,
    /// The viewer as an author.
    pub own_author: Option<Word>,
}

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
    /// Authors that the viewer has blocked, sorted.
    pub blocks: &'a [Word],
    /// Authors that the viewer follows, sorted.
    pub follows: &'a [Word],
    /// What else limits the request.
    pub limits: Limits<'a>,
    /// When it is asked.
    pub now: TimestampMs,
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
        if brief.is_limited()
            && let Some(entry) = self.snapshot.entry(row)
        {
            self.check_limits(entry)?;
        }
        if self.takes_author(brief.author) {
            return Err(Filter::Author);
        }
        self.check_viewer(brief.hash)?;
        let is_hidden_by_label = |entry: &Entry| self.behaviour.hides(entry);
        if self.behaviour.hides_items() && self.snapshot.entry(row).is_some_and(|entry| is_hidden_by_label(entry)) {
            return Err(Filter::Label);
        }
        let is_wanted = |test: &FilterTest| {
            let entry = self.snapshot.entry(row);
            entry.is_some_and(|entry| test.admits(entry, self.follows))
        };
        if self.limits.filter.is_some_and(|test| !is_wanted(test)) {
            return Err(Filter::Wanted);
        }
        Ok(())
    }

    fn check_limits(&self, entry: &Entry) -> Result<(), Filter> {
        if !entry.item.is_available(self.now) {
            return Err(Filter::Availability);
        }
        if !entry.is_for_device(self.limits.device) {
            return Err(Filter::Device);
        }
        Ok(())
    }

    /// Whether the viewer wants nothing of an author, or is that author.
    fn takes_author(&self, author: Word) -> bool {
        author != NO_WORD
            && (self.limits.own_author == Some(author)
                || (!self.blocks.is_empty() && self.blocks.binary_search(&author).is_ok()))
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
