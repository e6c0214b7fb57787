//! Sliding windows in event time: what happened to one item in the last 5 minutes, hour, day and week.
//!
//! Owns slots and their expiry. Must not weigh anything (that is `scoring`) and reads no clock.
//!
//! Time is cut into slots of the window's slot length s; slot k holds the events with `floor(at / s) = k`. At `now` a
//! window of n slots is made of the slots `floor(now / s) - n + 1 ..= floor(now / s)`, that is of the running slot and
//! the n - 1 before it: it covers between `(n - 1) · s` and `n · s` milliseconds. `now` never runs backwards: an
//! earlier one counts as the newest slot seen. An event later than `now` counts as `now`; a late event lands in the
//! slot of its own time if that slot still belongs to the window, and is ignored by this window (not by a longer one)
//! if not.
//!
//! Memory: only slots in which something happened exist, sorted by time: 48 bytes each, at most 5 + 12 + 24 + 28 = 69
//! of them, so that an item costs 96 bytes when idle, 288 after a single event and at most 3 408 when never silent.

use serde::{Deserialize, Serialize};

use super::counts::{Counter, Counts};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, TimestampMs};

/// Number of [`WindowSpan`]s.
pub const WINDOW_COUNT: usize = 4;

/// How far a window reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(usize)]
pub enum WindowSpan {
    /// 5 slots of 1 minute.
    FiveMinutes = 0,
    /// 12 slots of 5 minutes.
    Hour = 1,
    /// 24 slots of 1 hour.
    Day = 2,
    /// 28 slots of 6 hours.
    Week = 3,
}

impl WindowSpan {
    /// All windows, the shortest first.
    pub const ALL: [WindowSpan; WINDOW_COUNT] = [
        WindowSpan::FiveMinutes,
        WindowSpan::Hour,
        WindowSpan::Day,
        WindowSpan::Week,
    ];

    /// The length of a slot in milliseconds.
    #[must_use]
    pub const fn slot_ms(self) -> i64 {
        match self {
            WindowSpan::FiveMinutes => MINUTE_MS,
            WindowSpan::Hour => 5 * MINUTE_MS,
            WindowSpan::Day => HOUR_MS,
            WindowSpan::Week => 6 * HOUR_MS,
        }
    }

    /// Number of slots.
    #[must_use]
    pub const fn slots(self) -> u32 {
        match self {
            WindowSpan::FiveMinutes => 5,
            WindowSpan::Hour => 12,
            WindowSpan::Day => 24,
            WindowSpan::Week => 28,
        }
    }

    /// The length of the window in milliseconds.
    #[must_use]
    pub const fn length_ms(self) -> i64 {
        self.slot_ms() * self.slots() as i64
    }

    /// The shortest window that reaches so far back, and how many of its newest slots do; `None` beyond the longest.
    #[must_use]
    pub fn covering(length_ms: i64) -> Option<(WindowSpan, u32)> {
        let span = WindowSpan::ALL.into_iter().find(|span| span.length_ms() >= length_ms)?;
        let slots = length_ms.max(1).checked_add(span.slot_ms() - 1)? / span.slot_ms();
        Some((span, u32::try_from(slots).ok()?))
    }

    /// The number of the slot that `at` falls into. A minute number reaches past the year 9999 in 32 bits.
    fn slot_of(self, at: TimestampMs) -> u32 {
        u32::try_from(at.0.max(0) / self.slot_ms()).unwrap_or(u32::MAX)
    }
}

// The windows' lengths are part of the contract with the outside.
const _: () = assert!(WindowSpan::Week.length_ms() == 7 * DAY_MS && WindowSpan::Day.length_ms() == DAY_MS);

/// One slot: its number and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slot<T> {
    index: u32,
    value: T,
}

/// The slots of one window in which something happened, oldest first; never more than the window has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SlidingWindow<T> {
    slots: Vec<Slot<T>>,
}

impl<T: Default> SlidingWindow<T> {
    /// The slot that an event of time `at` counts in, when it belongs to the window; drops what has expired.
    pub(crate) fn slot_at(&mut self, span: WindowSpan, at: TimestampMs, now: TimestampMs) -> Option<&mut T> {
        self.expire(span, now);
        let newest = self.newest(span, now);
        let index = span.slot_of(at).min(newest);
        if newest - index >= span.slots() {
            return None;
        }
        let place = self
            .slots
            .iter()
            .rposition(|slot| slot.index <= index)
            .map_or(0, |place| place + 1);
        if place > 0 && self.slots[place - 1].index == index {
            return Some(&mut self.slots[place - 1].value);
        }
        if self.slots.capacity() == 0 {
            // Most items see a handful of events: Vec's own first step of four slots would be wasted on them.
            self.slots.reserve_exact(1);
        }
        self.slots.insert(
            place,
            Slot {
                index,
                value: T::default(),
            },
        );
        Some(&mut self.slots[place].value)
    }

    /// What the window holds at `now`, newest slot first.
    pub(crate) fn newest_first(&self, span: WindowSpan, now: TimestampMs) -> impl Iterator<Item = &T> {
        self.newest_slots(span, now, span.slots())
    }

    /// What the newest `slots` slots of the window hold at `now`, the running one first.
    pub(crate) fn newest_slots(&self, span: WindowSpan, now: TimestampMs, slots: u32) -> impl Iterator<Item = &T> {
        let newest = self.newest(span, now);
        let inside = move |slot: &&Slot<T>| newest - slot.index.min(newest) < slots;
        self.slots.iter().rev().take_while(inside).map(|slot| &slot.value)
    }

    /// Like [`SlidingWindow::newest_first`], to change.
    pub(crate) fn newest_first_mut(&mut self, span: WindowSpan, now: TimestampMs) -> impl Iterator<Item = &mut T> {
        self.expire(span, now);
        self.slots.iter_mut().rev().map(|slot| &mut slot.value)
    }

    /// Whether nothing happened in the window.
    pub(crate) fn is_empty(&self, span: WindowSpan, now: TimestampMs) -> bool {
        self.newest_first(span, now).next().is_none()
    }

    /// Drops what has expired, and the memory when nothing is left.
    pub(crate) fn expire(&mut self, span: WindowSpan, now: TimestampMs) {
        let newest = self.newest(span, now);
        let expired = self
            .slots
            .iter()
            .take_while(|slot| newest - slot.index >= span.slots())
            .count();
        if expired > 0 && expired == self.slots.len() {
            self.slots = Vec::new();
        } else if expired > 0 {
            self.slots.drain(..expired);
        }
    }

    /// Whether the slots are in order and fit one window, as everything read from a disk must be.
    pub(crate) fn is_sound(&self, span: WindowSpan) -> bool {
        let ordered = self.slots.windows(2).all(|pair| pair[0].index < pair[1].index);
        let (first, last) = (self.slots.first(), self.slots.last());
        ordered
            && first
                .zip(last)
                .is_none_or(|(first, last)| last.index - first.index < span.slots())
    }

    fn newest(&self, span: WindowSpan, now: TimestampMs) -> u32 {
        span.slot_of(now).max(self.slots.last().map_or(0, |slot| slot.index))
    }
}

/// All windows of one item.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "WindowParts")]
pub struct Windows {
    windows: [SlidingWindow<Counts>; WINDOW_COUNT],
}

/// [`Windows`] as read from a disk, not yet checked.
#[derive(Deserialize)]
struct WindowParts {
    windows: [SlidingWindow<Counts>; WINDOW_COUNT],
}

impl TryFrom<WindowParts> for Windows {
    type Error = &'static str;

    fn try_from(parts: WindowParts) -> Result<Self, Self::Error> {
        let sound = WindowSpan::ALL
            .into_iter()
            .zip(&parts.windows)
            .all(|(span, window)| window.is_sound(span));
        if sound {
            Ok(Self { windows: parts.windows })
        } else {
            Err("the slots of a window are out of order")
        }
    }
}

impl Windows {
    /// Counts one event in every window that reaches back to it.
    pub fn add(&mut self, counter: Counter, watch_ms: u32, at: TimestampMs, now: TimestampMs) {
        for span in WindowSpan::ALL {
            if let Some(counts) = self.windows[span as usize].slot_at(span, at, now) {
                counts.add(counter, watch_ms);
            }
        }
    }

    /// Adds time watched at `at`, and counts nothing.
    pub fn add_watch_ms(&mut self, watch_ms: u32, at: TimestampMs, now: TimestampMs) {
        if watch_ms == 0 {
            return;
        }
        for span in WindowSpan::ALL {
            if let Some(counts) = self.windows[span as usize].slot_at(span, at, now) {
                counts.watch(watch_ms);
            }
        }
    }

    /// Takes one event back, from the newest slot of each window that has one: when it happened is not known.
    pub fn take_back(&mut self, counter: Counter, now: TimestampMs) {
        for span in WindowSpan::ALL {
            let mut slots = self.windows[span as usize].newest_first_mut(span, now);
            let _ = slots.any(|counts| counts.take_back(counter));
        }
    }

    /// What happened in the window that ends at `now`.
    #[must_use]
    pub fn counts(&self, span: WindowSpan, now: TimestampMs) -> Counts {
        self.newest_counts(span, now, span.slots())
    }

    /// What happened in the newest `slots` slots of the window that ends at `now`; the running slot is the first.
    #[must_use]
    pub fn newest_counts(&self, span: WindowSpan, now: TimestampMs, slots: u32) -> Counts {
        let mut sum = Counts::default();
        for counts in self.windows[span as usize].newest_slots(span, now, slots) {
            sum.merge(counts);
        }
        sum
    }

    /// Whether nothing happened in any window.
    #[must_use]
    pub fn is_empty(&self, now: TimestampMs) -> bool {
        WindowSpan::ALL
            .into_iter()
            .all(|span| self.windows[span as usize].is_empty(span, now))
    }

    /// Drops the slots that have left their windows.
    pub fn expire(&mut self, now: TimestampMs) {
        for span in WindowSpan::ALL {
            self.windows[span as usize].expire(span, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNTERS: [Counter; 3] = [Counter::Views, Counter::Likes, Counter::Skips];

    /// What the module's head says, word by word, over the plain list of events `(counter, watch_ms, at, now)`.
    fn naive(events: &[(usize, u32, i64, i64)], span: WindowSpan, counter: usize, now: i64) -> (u32, u64) {
        let slot = |at: i64| at / span.slot_ms();
        let inside = |event: &&(usize, u32, i64, i64)| {
            let (_, _, at, heard) = **event;
            let first = |now: i64| slot(now) - i64::from(span.slots());
            slot(at.min(heard)) > first(now) && slot(at.min(heard)) > first(heard)
        };
        let found: Vec<_> = events.iter().filter(inside).collect();
        let count = found.iter().filter(|event| event.0 == counter).count();
        (count as u32, found.iter().map(|event| u64::from(event.1)).sum())
    }

    #[test]
    fn a_slot_takes_48_bytes() {
        assert_eq!(size_of::<Slot<Counts>>(), 48);
        assert_eq!(size_of::<Windows>(), 96);
    }

    #[test]
    fn a_like_is_taken_back_once_and_never_below_zero() {
        let mut windows = Windows::default();
        let now = TimestampMs(DAY_MS);
        windows.add(Counter::Likes, 0, now.plus_ms(-2 * HOUR_MS), now);
        windows.add(Counter::Likes, 0, now, now);
        for expected in [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]] {
            windows.take_back(Counter::Likes, now);
            let left = WindowSpan::ALL.map(|span| windows.counts(span, now).get(Counter::Likes));
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let mut windows = Windows::default();
        for at in [1, 10 * MINUTE_MS, 40 * HOUR_MS] {
            windows.add(Counter::Views, 1_500, TimestampMs(at), TimestampMs(at));
        }
        let bytes = rmp_serde::to_vec(&windows).expect("encodes");
        assert_eq!(rmp_serde::from_slice::<Windows>(&bytes).expect("decodes"), windows);
        windows.windows[3].slots.swap(0, 1);
        let bytes = rmp_serde::to_vec(&windows).expect("encodes");
        assert!(rmp_serde::from_slice::<Windows>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn windows_equal_the_list_of_events(
            steps in prop::collection::vec(
                (0..3_usize, 0..9_000_u32, -2 * MINUTE_MS..9 * DAY_MS, prop_oneof![0..3 * MINUTE_MS, 0..2 * DAY_MS]),
                1..60,
            ),
            silence_ms in prop_oneof![0..2 * HOUR_MS, 0..9 * DAY_MS],
            late_share in 1..200_i64,
        ) {
            let mut now = 40 * DAY_MS;
            let (mut windows, mut events) = (Windows::default(), Vec::new());
            for (counter, watch_ms, late_ms, step_ms) in steps {
                now += step_ms;
                let at = now - late_ms / late_share;
                windows.add(COUNTERS[counter], watch_ms, TimestampMs(at), TimestampMs(now));
                events.push((counter, watch_ms, at, now));
            }
            now += silence_ms;
            for span in WindowSpan::ALL {
                let counts = windows.counts(span, TimestampMs(now));
                for (number, counter) in COUNTERS.into_iter().enumerate() {
                    let expected = naive(&events, span, number, now);
                    prop_assert_eq!((counts.get(counter), counts.watch_ms()), expected, "{:?}", span);
                }
                prop_assert!(windows.windows[span as usize].slots.len() <= span.slots() as usize);
            }
            let unchanged = windows.clone();
            windows.expire(TimestampMs(now));
            for span in WindowSpan::ALL {
                prop_assert_eq!(windows.counts(span, TimestampMs(now)), unchanged.counts(span, TimestampMs(now)));
            }
            let nothing = WindowSpan::ALL.iter().all(|span| windows.windows[*span as usize].slots.is_empty());
            prop_assert_eq!(windows.is_empty(TimestampMs(now)), nothing);
        }
    }
}
