//! Sliding windows of one viewer's signals in event time: how many of each within the last 5 minutes, hour and day, all
//! together and by category.
//!
//! Owns the counts, the watermark and what is late. An event counts once, in a cell of its minute; when the newest event
//! has moved on, cells of minutes become cells of five minutes and those of hours, so that a day of swiping holds some
//! hundred cells of 8 bytes, and a viewer who only watched for a moment a handful. A window is a union of whole slots:
//! five minutes move by a minute, an hour by five minutes, a day by an hour. Must not read a clock.

use serde::{Deserialize, Serialize};

use crate::catalogue::{NO_WORD, Vocabularies};
use crate::event::{SIGNAL_COUNT, Signal};
use crate::ids::Word;
use crate::params::WindowParams;
use crate::time::{MINUTE_MS, TimestampMs};

/// How many kinds of windows there are.
pub const WINDOW_COUNT: usize = 3;
/// The most cells of a viewer; when there are more, the category that was heard of least lately goes.
const CELLS_MAX: usize = 2_048;
/// The most categories of one item that its events are counted for.
const CATEGORIES_PER_EVENT_MAX: usize = 4;
/// Stands for all categories together among the keys.
const ALL: u8 = 0;

/// How far a window reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WindowSpan {
    /// Five minutes, which move by a minute.
    FiveMinutes = 0,
    /// An hour, which moves by five minutes.
    Hour = 1,
    /// A day, which moves by an hour.
    Day = 2,
}

impl WindowSpan {
    /// All spans, the shortest first.
    pub const ALL: [WindowSpan; WINDOW_COUNT] = [WindowSpan::FiveMinutes, WindowSpan::Hour, WindowSpan::Day];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            WindowSpan::FiveMinutes => "5m",
            WindowSpan::Hour => "1h",
            WindowSpan::Day => "24h",
        }
    }

    /// The length of a slot in minutes.
    const fn slot_minutes(self) -> i64 {
        match self {
            WindowSpan::FiveMinutes => 1,
            WindowSpan::Hour => 5,
            WindowSpan::Day => 60,
        }
    }

    /// How many slots make the window.
    const fn slots(self) -> i64 {
        match self {
            WindowSpan::FiveMinutes => 5,
            WindowSpan::Hour => 12,
            WindowSpan::Day => 24,
        }
    }

    /// The first minute of the window at that time: a window reaches from the start of a slot up to now.
    #[must_use]
    pub const fn first_minute(self, now: TimestampMs) -> i64 {
        let slot = now.0.div_euclid(MINUTE_MS).div_euclid(self.slot_minutes());
        (slot + 1 - self.slots()) * self.slot_minutes()
    }
}

/// A cell as one number, so that a scan compares one: slot's first minute, key, span of the slot, signal, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Cell(u64);

impl Cell {
    fn new(minute: i64, key: u8, span: WindowSpan, signal: u8) -> Self {
        let minute = minute.div_euclid(span.slot_minutes()) * span.slot_minutes();
        let minute = u64::try_from(minute.max(0)).unwrap_or(0).min(u64::from(u32::MAX));
        Self(minute << 32 | u64::from(key) << 24 | (span as u64) << 20 | u64::from(signal & 0xF) << 16)
    }

    /// Everything but the count.
    fn place(self) -> u64 {
        self.0 >> 16
    }

    fn minute(self) -> i64 {
        (self.0 >> 32) as i64
    }

    fn key(self) -> u8 {
        (self.0 >> 24 & 0xFF) as u8
    }

    fn span(self) -> WindowSpan {
        match self.0 >> 20 & 0xF {
            0 => WindowSpan::FiveMinutes,
            1 => WindowSpan::Hour,
            _ => WindowSpan::Day,
        }
    }

    fn signal(self) -> usize {
        (self.0 >> 16 & 0xF) as usize
    }

    fn count(self) -> u16 {
        (self.0 & 0xFFFF) as u16
    }

    fn plus(self, count: u16) -> Self {
        Self(self.place() << 16 | u64::from(self.count().saturating_add(count)))
    }

    fn with_key(self, key: u8) -> Self {
        Self(self.0 & !(0xFF << 24) | u64::from(key) << 24)
    }
}

/// Counts of one viewer's signals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    /// The categories with cells of their own, with the newest minute each was heard of; key 1 is the first of them.
    categories: Vec<(Word, i64)>,
    /// In no order; those used last stand at the end, as far as it comes by itself.
    cells: Vec<Cell>,
    /// The time of the newest event.
    newest: TimestampMs,
    /// The minute of `newest` that the cells were joined for.
    joined_minute: i64,
    /// How many events came too late to be counted.
    late: u64,
}

/// How many signals of each kind a window holds.
pub type SignalCounts = [u32; SIGNAL_COUNT];

/// The counts of one window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// All together.
    pub all: SignalCounts,
    /// By category, in no order; categories without a signal in the window are left out.
    pub categories: Vec<(Word, SignalCounts)>,
}

impl Windows {
    /// Counts a signal on an item of these categories. False when it lies behind the watermark: it is late then, and
    /// only counted as such.
    pub fn add(&mut self, signal: Signal, categories: &[Word], at: TimestampMs, params: &WindowParams) -> bool {
        if at < self.watermark(params) {
            self.late += 1;
            return false;
        }
        self.newest = self.newest.max(at);
        let newest_minute = self.newest.0.div_euclid(MINUTE_MS);
        if newest_minute != self.joined_minute {
            self.join(self.newest);
            self.joined_minute = newest_minute;
        }
        let minute = at.0.div_euclid(MINUTE_MS);
        if minute < WindowSpan::Day.first_minute(self.newest) {
            return true;
        }
        self.count(minute, ALL, signal);
        let counted = categories.len().min(CATEGORIES_PER_EVENT_MAX);
        for (place, category) in categories[..counted].iter().enumerate() {
            if !categories[..place].contains(category)
                && let Some(key) = self.key_of(*category, minute, params.categories_max as usize)
            {
                self.count(minute, key, signal);
            }
        }
        while self.cells.len() > CELLS_MAX && self.drop_oldest_category() {}
        true
    }

    /// Events before this time are late.
    #[must_use]
    pub fn watermark(&self, params: &WindowParams) -> TimestampMs {
        self.newest.plus_ms(-params.lateness_ms)
    }

    /// How many events were late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// The counts of a window at that time. A time before the newest event counts as that event's: time does not go
    /// back.
    #[must_use]
    pub fn counts(&self, span: WindowSpan, now: TimestampMs) -> WindowCounts {
        let first_minute = span.first_minute(now.max(self.newest));
        let mut by_key = vec![SignalCounts::default(); self.categories.len() + 1];
        for cell in &self.cells {
            if cell.minute() >= first_minute
                && let Some(count) = by_key
                    .get_mut(usize::from(cell.key()))
                    .and_then(|row| row.get_mut(cell.signal()))
            {
                *count += u32::from(cell.count());
            }
        }
        let all = by_key.remove(0);
        let named = self.categories.iter().map(|(category, _)| *category).zip(by_key);
        WindowCounts {
            all,
            categories: named
                .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
                .collect(),
        }
    }

    /// Lets go of what no window at that time or later holds.
    pub fn rest(&mut self, now: TimestampMs) {
        self.join(now.max(self.newest));
        self.cells.shrink_to_fit();
        self.categories.shrink_to_fit();
    }

    /// Whether nothing is counted and nothing was late.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.late == 0
    }

    fn count(&mut self, minute: i64, key: u8, signal: Signal) {
        let span = self.span_of(minute);
        let one = Cell::new(minute, key, span, signal as u8).plus(1);
        self.put(one);
    }

    /// The finest slots that a minute is still needed in.
    fn span_of(&self, minute: i64) -> WindowSpan {
        let is_in = |span: &WindowSpan| minute >= span.first_minute(self.newest);
        WindowSpan::ALL.into_iter().find(is_in).unwrap_or(WindowSpan::Day)
    }

    fn put(&mut self, cell: Cell) {
        let place = cell.place();
        match self.cells.iter().rposition(|known| known.place() == place) {
            Some(known) => self.cells[known] = self.cells[known].plus(cell.count()),
            None => {
                if self.cells.len() == self.cells.capacity() {
                    // A quarter more at a time: most sessions end before they would fill a doubled vector.
                    self.cells.reserve_exact(self.cells.len() / 4 + 4);
                }
                self.cells.push(cell);
            }
        }
    }

    /// Joins cells whose slots need not be told apart any more at that time, and drops those that no window holds.
    fn join(&mut self, now: TimestampMs) {
        let first = WindowSpan::ALL.map(|span| span.first_minute(now));
        let [first_of_minutes, first_of_fives, first_of_hours] = first;
        self.cells.retain(|cell| cell.minute() >= first_of_hours);
        let is_too_fine = |cell: &Cell| match cell.span() {
            WindowSpan::FiveMinutes => cell.minute() < first_of_minutes,
            WindowSpan::Hour => cell.minute() < first_of_fives,
            WindowSpan::Day => false,
        };
        if self.cells.iter().any(is_too_fine) {
            let (coarse, kept): (Vec<Cell>, Vec<Cell>) = self.cells.drain(..).partition(is_too_fine);
            self.cells = kept;
            for cell in coarse {
                let span = if cell.minute() < first_of_fives {
                    WindowSpan::Day
                } else {
                    WindowSpan::Hour
                };
                let joined = Cell::new(cell.minute(), cell.key(), span, cell.signal() as u8);
                self.put(joined.plus(cell.count()));
            }
        }
        for place in (0..self.categories.len()).rev() {
            if self.categories[place].1 < first_of_hours {
                self.drop_category(place);
            }
        }
    }

    /// The key of a category, given to it now if need be.
    fn key_of(&mut self, category: Word, minute: i64, categories_max: usize) -> Option<u8> {
        if let Some(place) = self.categories.iter().position(|(known, _)| *known == category) {
            let heard_of = &mut self.categories[place].1;
            *heard_of = minute.max(*heard_of);
            return u8::try_from(place + 1).ok();
        }
        if categories_max == 0 {
            return None;
        }
        while self.categories.len() >= categories_max && self.drop_oldest_category() {}
        self.categories.push((category, minute));
        u8::try_from(self.categories.len()).ok()
    }

    /// Drops the category that was heard of least lately; false when there is none.
    fn drop_oldest_category(&mut self) -> bool {
        let oldest = (0..self.categories.len()).min_by_key(|place| self.categories[*place].1);
        if let Some(place) = oldest {
            self.drop_category(place);
        }
        oldest.is_some()
    }

    /// Drops a category with its cells; the last one takes its key.
    fn drop_category(&mut self, place: usize) {
        let key = |place: usize| u8::try_from(place + 1).unwrap_or(u8::MAX);
        let (gone, last) = (key(place), key(self.categories.len() - 1));
        self.cells.retain(|cell| cell.key() != gone);
        for cell in self.cells.iter_mut().filter(|cell| cell.key() == last) {
            *cell = cell.with_key(gone);
        }
        self.categories.swap_remove(place);
    }
}

/// Windows as they are stored; names stand for words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowsSnapshot {
    categories: Vec<(String, i64)>,
    cells: Vec<Cell>,
    newest: i64,
    late: u64,
}

impl WindowsSnapshot {
    /// The stored form.
    #[must_use]
    pub fn of(windows: &Windows, words: &Vocabularies) -> Self {
        let name = |(word, minute): &(Word, i64)| {
            let name = words.categories.name(*word);
            (name.map_or_else(String::new, |name| name.to_string()), *minute)
        };
        Self {
            categories: windows.categories.iter().map(name).collect(),
            cells: windows.cells.clone(),
            newest: windows.newest.0,
            late: windows.late,
        }
    }

    /// What was stored.
    #[must_use]
    pub fn restore(self, words: &Vocabularies) -> Windows {
        // The keys are places: a category that has no number keeps its place.
        let number = |name: &str| words.categories.intern(name).unwrap_or(NO_WORD);
        let categories = self.categories.iter().map(|(name, minute)| (number(name), *minute));
        Windows {
            categories: categories.collect(),
            cells: self.cells,
            newest: TimestampMs(self.newest),
            joined_minute: self.newest.div_euclid(MINUTE_MS),
            late: self.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, HOUR_MS, SECOND_MS};
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS + 7 * HOUR_MS + 33 * MINUTE_MS + 20 * SECOND_MS);

    fn signal() -> impl Strategy<Value = Signal> {
        proptest::sample::select(vec![Signal::Impression, Signal::Like, Signal::Skip, Signal::Report])
    }

    /// Mostly a few seconds apart, sometimes hours, in any order.
    fn event() -> impl Strategy<Value = (Signal, Word, i64)> {
        let ago_ms = prop_oneof![0_i64..3 * MINUTE_MS, 0_i64..2 * HOUR_MS, 0_i64..30 * HOUR_MS];
        (signal(), 0_u32..4, ago_ms)
    }

    fn brute_force(counted: &[(Signal, Word, i64)], span: WindowSpan, now: TimestampMs) -> WindowCounts {
        let mut counts = WindowCounts::default();
        for (signal, category, ago_ms) in counted {
            let at = NOW.plus_ms(-ago_ms);
            if at.0 < span.first_minute(now) * MINUTE_MS {
                continue;
            }
            counts.all[*signal as usize] += 1;
            let place = counts
                .categories
                .iter()
                .position(|(known, _)| known == category)
                .unwrap_or_else(|| {
                    counts.categories.push((*category, SignalCounts::default()));
                    counts.categories.len() - 1
                });
            counts.categories[place].1[*signal as usize] += 1;
        }
        counts.categories.sort_unstable();
        counts
    }

    fn sorted(mut counts: WindowCounts) -> WindowCounts {
        counts.categories.sort_unstable();
        counts
    }

    proptest! {
        #[test]
        fn windows_equal_a_brute_force_count_for_any_order(
            events in proptest::collection::vec(event(), 0..120),
            lateness_ms in prop_oneof![Just(0_i64), Just(30_000), Just(HOUR_MS), Just(40 * HOUR_MS)],
            asked_after_ms in prop_oneof![Just(0_i64), 0_i64..30 * HOUR_MS],
        ) {
            let params = WindowParams { lateness_ms, ..WindowParams::default() };
            let mut windows = Windows::default();
            let (mut in_time, mut newest, mut late) = (Vec::new(), i64::MIN, 0);
            for event in events {
                let at = NOW.plus_ms(-event.2);
                let is_late = newest != i64::MIN && at.0 < newest - lateness_ms;
                prop_assert_eq!(windows.add(event.0, &[event.1], at, &params), !is_late);
                late += u64::from(is_late);
                if !is_late {
                    newest = newest.max(at.0);
                    in_time.push(event);
                }
            }
            prop_assert_eq!(windows.late(), late);
            let now = NOW.plus_ms(asked_after_ms);
            for span in WindowSpan::ALL {
                prop_assert_eq!(sorted(windows.counts(span, now)), brute_force(&in_time, span, now));
            }
            // What is stored, and what rests, counts the same.
            let words = Vocabularies::default();
            (0..4).for_each(|number| { words.categories.intern(&format!("c{number}")); });
            let packed = rmp_serde::to_vec_named(&WindowsSnapshot::of(&windows, &words)).expect("packs");
            let mut restored = rmp_serde::from_slice::<WindowsSnapshot>(&packed).expect("reads").restore(&words);
            restored.rest(now);
            for span in WindowSpan::ALL {
                prop_assert_eq!(sorted(restored.counts(span, now)), sorted(windows.counts(span, now)));
            }
        }
    }

    #[test]
    fn the_least_lately_heard_of_category_makes_room() {
        let params = WindowParams {
            categories_max: 2,
            ..WindowParams::default()
        };
        let mut windows = Windows::default();
        for (minute, category) in [(0, 1), (1, 2), (2, 1), (3, 3)] {
            windows.add(Signal::Like, &[category], NOW.plus_ms(minute * MINUTE_MS), &params);
        }
        let counts = sorted(windows.counts(WindowSpan::Hour, NOW.plus_ms(3 * MINUTE_MS)));
        let likes: Vec<(Word, u32)> = counts
            .categories
            .iter()
            .map(|(word, counts)| (*word, counts[Signal::Like as usize]))
            .collect();
        assert_eq!(likes, [(1, 2), (3, 1)]);
        assert_eq!(
            counts.all[Signal::Like as usize],
            4,
            "the viewer's own counts lose nothing"
        );
    }

    #[test]
    fn a_viewer_who_has_gone_holds_nothing_after_a_day_and_little_before() {
        let mut windows = Windows::default();
        for second in 0..1_000 {
            let signal = if second % 9 == 0 { Signal::Like } else { Signal::Skip };
            windows.add(
                signal,
                &[second % 7],
                NOW.plus_ms(i64::from(second) * SECOND_MS),
                &WindowParams::default(),
            );
        }
        assert!(
            windows.cells.len() < 130,
            "{} cells after 17 minutes",
            windows.cells.len()
        );
        windows.rest(NOW.plus_ms(2 * HOUR_MS));
        assert!(
            windows.cells.len() <= 32,
            "{} cells after two hours",
            windows.cells.len()
        );
        windows.rest(NOW.plus_ms(26 * HOUR_MS));
        assert!(windows.is_empty());
    }
}
