//! Slots that were given to new items a moment ago and have not become impressions yet.
//!
//! Owns a fixed table of counters that all sessions share without a lock. What is too old counts as lost: most slots of
//! a feed that is replaced with every swipe are never seen.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::Row;
use crate::time::TimestampMs;

/// Number of counters: 32 KiB. Two rows that share one take turns, so that at worst a slot is given too early.
const COUNTERS: usize = 4_096;

/// Recent slots by row: 32 bits of row, 16 of period, 16 of count.
pub(super) struct Pending {
    counters: Box<[AtomicU64]>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Pending {
    /// How many slots the row was given in the running period.
    pub(super) fn count(&self, row: Row, period_ms: i64, now: TimestampMs) -> u32 {
        let known = self.counter(row).load(Ordering::Relaxed);
        if known >> 16 == key(row, period_ms, now) {
            (known & 0xFFFF) as u32
        } else {
            0
        }
    }

    /// Notes a slot.
    pub(super) fn note(&self, row: Row, period_ms: i64, now: TimestampMs) {
        let key = key(row, period_ms, now);
        let next = |known: u64| {
            let count = if known >> 16 == key { known & 0xFFFF } else { 0 };
            Some(key << 16 | (count + 1).min(0xFFFF))
        };
        // The closure never refuses.
        let _ = self
            .counter(row)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn counter(&self, row: Row) -> &AtomicU64 {
        &self.counters[row as usize % COUNTERS]
    }
}

fn key(row: Row, period_ms: i64, now: TimestampMs) -> u64 {
    let period = (now.0.max(0) / period_ms.max(1)) as u64 & 0xFFFF;
    u64::from(row) << 16 | period
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_counts_its_own_and_a_row_its_own() {
        let pending = Pending::default();
        let (now, later) = (TimestampMs(10_000), TimestampMs(11_000));
        assert_eq!(pending.count(7, 1_000, now), 0);
        (0..3).for_each(|_| pending.note(7, 1_000, now));
        assert_eq!((pending.count(7, 1_000, now), pending.count(7, 1_000, later)), (3, 0));
        pending.note(7, 1_000, later);
        assert_eq!(pending.count(7, 1_000, later), 1);
        pending.note(7 + COUNTERS as Row, 1_000, later);
        assert_eq!(pending.count(7, 1_000, later), 0, "the other one has taken its turn");
        assert_eq!(Pending::default().count(Row::MAX, 1, TimestampMs(0xFFFF)), 0);
    }
}
