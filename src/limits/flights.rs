//! How many calls one caller may have in work at a time, those included whose bodies are still coming.
//!
//! Owns a fixed table of counters: a flood of callers cannot grow it. Callers that share a counter share its bound, which
//! is rare among so many.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The counters of one kind of caller.
const COUNTERS: usize = 1 << 16;

/// The calls of each caller of one kind.
#[derive(Clone)]
pub(crate) struct Flights(Arc<Table>);

struct Table {
    /// 0: no bound.
    most: u32,
    hasher: RandomState,
    counters: Box<[AtomicU32]>,
}

/// One call, as long as it lives.
pub(crate) struct Flight {
    flights: Flights,
    place: usize,
}

impl Flights {
    pub(super) fn new(most: u32) -> Self {
        let counters = if most == 0 { 0 } else { COUNTERS };
        Self(Arc::new(Table {
            most,
            hasher: RandomState::new(),
            counters: (0..counters).map(|_| AtomicU32::new(0)).collect(),
        }))
    }

    /// One more call of a caller: `Some(None)` without a bound, `None` when the caller has too many in work.
    pub(crate) fn enter<K: Hash>(&self, caller: &K) -> Option<Option<Flight>> {
        let table = &*self.0;
        if table.most == 0 {
            return Some(None);
        }
        let place = table.hasher.hash_one(caller) as usize % COUNTERS;
        let before = table.counters[place].fetch_add(1, Ordering::AcqRel);
        let flight = Flight {
            flights: self.clone(),
            place,
        };
        // A flight that is refused leaves at once.
        (before < table.most).then_some(Some(flight))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.0.counters[self.place].fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_bound_and_others_do_not_notice() {
        let flights = Flights::new(2);
        let first = flights.enter(&"a").expect("room");
        let _second = flights.enter(&"a").expect("room");
        assert!(flights.enter(&"a").is_none() && flights.enter(&"a").is_none());
        assert!(flights.enter(&"b").is_some());
        drop(first);
        assert!(flights.enter(&"a").is_some());
    }

    #[test]
    fn zero_is_no_bound() {
        let flights = Flights::new(0);
        assert!((0..10_000).all(|_| matches!(flights.enter(&"a"), Some(None))));
    }
}
