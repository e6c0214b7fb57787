//! Counts of what happened to one item in some stretch of time.
//!
//! Owns what is counted. Must not know when it happened or what it is worth.

use serde::{Deserialize, Serialize};

/// Number of [`Counter`]s.
const COUNTER_COUNT: usize = 9;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
#[allow(missing_docs)] // each counts the signal of its name, unless it says more
pub enum Counter {
    Impressions = 0,
    Views = 1,
    Likes = 2,
    Skips = 3,
    Shares = 4,
    Completions = 5,
    Comments = 6,
    /// Favourites, and follows of the author from this item.
    Favorites = 7,
    /// Dislikes and reports.
    Dislikes = 8,
}

/// Counts of everything that happened in some stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    numbers: [u32; COUNTER_COUNT],
    /// Low and high half: an aligned u64 would make the slot 56 bytes instead of 48.
    watch_ms: [u32; 2],
}

impl Counts {
    /// The count of one thing.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u32 {
        self.numbers[counter as usize]
    }

    /// The time watched, in milliseconds.
    #[must_use]
    pub fn watch_ms(&self) -> u64 {
        u64::from(self.watch_ms[1]) << 32 | u64::from(self.watch_ms[0])
    }

    /// Counts one more, with the time watched.
    pub(crate) fn add(&mut self, counter: Counter, watch_ms: u32) {
        let number = &mut self.numbers[counter as usize];
        *number = number.saturating_add(1);
        self.add_watch_ms(u64::from(watch_ms));
    }

    /// Adds time watched, and counts nothing.
    pub(crate) fn watch(&mut self, watch_ms: u32) {
        self.add_watch_ms(u64::from(watch_ms));
    }

    /// Counts one less; false when there is none.
    pub(crate) fn take_back(&mut self, counter: Counter) -> bool {
        let number = &mut self.numbers[counter as usize];
        let found = *number > 0;
        *number = number.saturating_sub(1);
        found
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Counts) {
        for (number, more) in self.numbers.iter_mut().zip(other.numbers) {
            *number = number.saturating_add(more);
        }
        self.add_watch_ms(other.watch_ms());
    }

    fn add_watch_ms(&mut self, more: u64) {
        let sum = self.watch_ms().saturating_add(more);
        self.watch_ms = [sum as u32, (sum >> 32) as u32];
    }
}
