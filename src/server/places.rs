//! What all calls together may take: places for work, and bytes for bodies.
//!
//! A call takes its place when its body has come, not before: a body that drips holds a connection and a few bytes, and
//! nothing that others need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places for calls in work.
#[derive(Clone)]
pub(crate) struct Places(Arc<Counted>);

struct Counted {
    taken: AtomicUsize,
    most: usize,
}

/// A place, as long as it is held.
pub(crate) struct Place(Places);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Counted {
            taken: AtomicUsize::new(0),
            most,
        }))
    }

    /// A place; none when too many are taken. A quarter is kept for calls that bring something: events are still taken
    /// when feeds are refused.
    pub(crate) fn take(&self, brings_something: bool) -> Option<Place> {
        let most = self.0.most;
        let most = if brings_something { most } else { most - most / 4 };
        let before = self.0.taken.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!("swipeline_http_in_flight").increment(1.0);
        let place = Place(self.clone());
        (before < most).then_some(place)
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!("swipeline_http_in_flight").decrement(1.0);
    }
}

/// Bytes of bodies that are in memory.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Counted>);

/// Bytes of one body, as long as they are held.
pub(crate) struct Bytes {
    budget: Budget,
    held: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self(Places::new(most).0)
    }

    /// Nothing yet.
    pub(crate) fn none(&self) -> Bytes {
        Bytes {
            budget: self.clone(),
            held: 0,
        }
    }
}

impl Bytes {
    /// Some bytes more; false when all bodies together have too many. What was taken stays taken either way.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.held += bytes;
        let counted = &self.budget.0;
        counted.taken.fetch_add(bytes, Ordering::AcqRel) + bytes <= counted.most
    }

    /// Gives everything back.
    pub(crate) fn give_back(&mut self) {
        self.budget.0.taken.fetch_sub(self.held, Ordering::AcqRel);
        self.held = 0;
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_places_is_kept_for_calls_that_bring_something() {
        let places = Places::new(4);
        let reads: Vec<Place> = (0..3).map(|_| places.take(false).expect("a place")).collect();
        assert!(places.take(false).is_none());
        let write = places.take(true).expect("the place that was kept");
        assert!(places.take(true).is_none());
        assert_eq!(places.taken(), 4);
        drop(reads);
        drop(write);
        assert_eq!(places.taken(), 0);
        assert!(places.take(false).is_some());
    }

    #[test]
    fn bytes_are_bounded_over_all_bodies() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.none(), budget.none());
        assert!(first.take(6) && second.take(4) && !second.take(1));
        drop(first);
        assert!(second.take(5));
        second.give_back();
        assert!(budget.none().take(10));
    }
}
