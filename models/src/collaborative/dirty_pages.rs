//! Which pages of a table have changed since they were written down.
//!
//! Owns one flag per page of a fixed number of places. Must not know what stands in a place.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// One flag per page; any thread may set one while another takes them.
#[derive(Debug)]
pub(super) struct DirtyPages {
    flags: Box<[AtomicBool]>,
    places: usize,
}

impl DirtyPages {
    /// Pages of `places` each (at least 1) over a table of `capacity` places; none has changed.
    pub(super) fn new(capacity: usize, places: usize) -> Self {
        let places = places.max(1);
        let flags = (0..capacity.div_ceil(places)).map(|_| AtomicBool::default());
        Self {
            flags: flags.collect(),
            places,
        }
    }

    /// A place has changed.
    pub(super) fn mark_place(&self, place: usize) {
        self.mark(place / self.places);
    }

    /// A page has to be written down (again).
    pub(super) fn mark(&self, page: usize) {
        // Most marks are of pages that are marked already: reading does not take the line from other cores.
        if let Some(flag) = self.flags.get(page).filter(|flag| !flag.load(Ordering::Acquire)) {
            flag.store(true, Ordering::Release);
        }
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.flags.len()
    }

    /// Up to `limit` pages that have changed since they were taken last.
    pub(super) fn take(&self, limit: usize) -> Vec<usize> {
        let changed = |page: &usize| self.flags[*page].swap(false, Ordering::AcqRel);
        (0..self.flags.len()).filter(changed).take(limit).collect()
    }

    /// The places of a page.
    pub(super) fn places_of(&self, page: usize) -> Range<usize> {
        page * self.places..(page + 1) * self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_once_per_change() {
        let pages = DirtyPages::new(100, 30);
        [0, 29, 31, 99, 500].iter().for_each(|place| pages.mark_place(*place));
        assert_eq!(pages.take(2), [0, 1]);
        pages.mark(1);
        assert_eq!(pages.take(9), [1, 3]);
        assert_eq!(pages.take(9), [0; 0]);
        assert_eq!(pages.places_of(3), 90..120);
    }
}
