//! When a viewer is active and how long the viewer has watched in all.

use serde::{Deserialize, Serialize};

use crate::time::{HOUR_MS, TimestampMs};

/// Hours of a day.
pub const HOURS: usize = 24;
/// With fewer signals no hour is said to be an active one.
const SIGNALS_MIN: u32 = 20;
/// An hour is active when it has so many times its even share of the signals.
const ACTIVE_FACTOR: f32 = 1.5;

/// When a viewer is active and how long the viewer has watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habits {
    /// Signals by hour of the day (UTC, by the event's own time); all are halved when one is full.
    hours: [u16; HOURS],
    /// Watch time of all events, in milliseconds.
    pub watch_ms: u64,
}

impl Habits {
    /// Takes a signal with its watch time.
    pub fn add(&mut self, at: TimestampMs, watch_ms: u32) {
        self.watch_ms = self.watch_ms.saturating_add(u64::from(watch_ms));
        let hour = hour_of(at);
        if self.hours[hour] == u16::MAX {
            self.hours.iter_mut().for_each(|count| *count /= 2);
        }
        self.hours[hour] += 1;
    }

    /// The share of the signals that came in the hour of the day of that time; an even share while little is known.
    #[must_use]
    pub fn activity_at(&self, at: TimestampMs) -> f32 {
        let total = self.total();
        if total < SIGNALS_MIN {
            return 1.0 / HOURS as f32;
        }
        f32::from(self.hours[hour_of(at)]) / total as f32
    }

    /// The hours of the day in which the viewer is clearly more active than on average, ascending.
    pub fn active_hours(&self) -> impl Iterator<Item = u8> + '_ {
        let total = self.total();
        let bound = ACTIVE_FACTOR * total as f32 / HOURS as f32;
        let is_active = move |count: u16| total >= SIGNALS_MIN && f32::from(count) > bound;
        (0u8..)
            .zip(self.hours)
            .filter(move |(_, count)| is_active(*count))
            .map(|(hour, _)| hour)
    }

    fn total(&self) -> u32 {
        self.hours.iter().map(|count| u32::from(*count)).sum()
    }
}

/// The hour of the day, UTC.
#[must_use]
pub fn hour_of(at: TimestampMs) -> usize {
    usize::try_from(at.0.div_euclid(HOUR_MS).rem_euclid(HOURS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;

    #[test]
    fn the_hours_of_a_viewer_who_comes_in_the_evening() {
        let mut habits = Habits::default();
        assert_eq!(habits.active_hours().count(), 0);
        for day in 0..30 {
            habits.add(TimestampMs(day * DAY_MS + 20 * HOUR_MS), 1_000);
            habits.add(TimestampMs(day * DAY_MS + (day % 24) * HOUR_MS), 0);
        }
        assert_eq!(habits.active_hours().collect::<Vec<_>>(), [20]);
        assert!(habits.activity_at(TimestampMs(20 * HOUR_MS)) > 0.5);
        assert_eq!(habits.watch_ms, 30_000);
    }

    #[test]
    fn a_full_hour_halves_all() {
        let mut habits = Habits::default();
        (0..70_000).for_each(|_| habits.add(TimestampMs(0), 0));
        assert!(habits.activity_at(TimestampMs(0)) > 0.99 && habits.total() < 65_536);
    }
}
