//! Sliding windows of one viewer's signals in event time: how many of each within the last 5 minutes, hour and day, all
//! together and by category.
//!
//! Owns the counts, the watermark and what is late. An event counts once, in a cell of its minute; when the newest event
//! has moved on, cells of minutes become cells of five minutes and those of hours, so that a day of swiping holds some
//! hundred cells of 8 bytes, and a viewer who only watched for a moment a handful. A window is a union of whole slots:
//! five minutes move by a minute, an hour by five minutes, a day by an hour. Must not read a clock.

mod cell;
mod snapshot;
mod span;
#[cfg(test)]
mod tests;

pub use snapshot::WindowsSnapshot;
pub use span::{WINDOW_COUNT, WindowSpan};

use self::cell::Cell;
use crate::catalogue::NO_WORD;
use crate::event::{SIGNAL_COUNT, Signal};
use crate::ids::Word;
use crate::params::WindowParams;
use crate::time::{MINUTE_MS, TimestampMs};

/// The most cells of a viewer; when there are more, the category that was heard of least lately goes.
const CELLS_MAX: usize = 2_048;
/// The most categories of one item that its events are counted for.
const CATEGORIES_PER_EVENT_MAX: usize = 4;
/// Stands for all categories together among the keys.
const ALL: u8 = 0;

/// Counts of one viewer's signals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows {
    /// The categories with cells of their own, with the newest minute each was heard of; key 1 is the first of them. A
    /// free place has no word.
    categories: Vec<(Word, i64)>,
    /// In the order of [`Cell::place`]: by time first.
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
        let first = self.cells.partition_point(|cell| cell.minute() < first_minute);
        for cell in &self.cells[first..] {
            if let Some(count) = by_key
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
        while self.categories.last().is_some_and(|(word, _)| *word == NO_WORD) {
            self.categories.pop();
        }
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
        match self.cells.binary_search_by_key(&place, |known| known.place()) {
            Ok(known) => self.cells[known] = self.cells[known].plus(cell.count()),
            Err(place) => {
                if self.cells.len() == self.cells.capacity() {
                    // A quarter more at a time: most sessions end before they would fill a doubled vector.
                    self.cells.reserve_exact(self.cells.len() / 4 + 4);
                }
                self.cells.insert(place, cell);
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
        for (category, heard_of) in &mut self.categories {
            if *heard_of < first_of_hours {
                *category = NO_WORD;
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
        while self.categories.iter().filter(|(word, _)| *word != NO_WORD).count() >= categories_max {
            self.drop_oldest_category();
        }
        let free = self.categories.iter().position(|(word, _)| *word == NO_WORD);
        let place = free.unwrap_or_else(|| {
            self.categories.push((NO_WORD, minute));
            self.categories.len() - 1
        });
        self.categories[place] = (category, minute);
        u8::try_from(place + 1).ok()
    }

    /// Drops the category that was heard of least lately, with its cells; false when there is none.
    fn drop_oldest_category(&mut self) -> bool {
        let used = (0..self.categories.len()).filter(|place| self.categories[*place].0 != NO_WORD);
        let Some(place) = used.min_by_key(|place| self.categories[*place].1) else {
            return false;
        };
        self.categories[place].0 = NO_WORD;
        let gone = u8::try_from(place + 1).unwrap_or(u8::MAX);
        self.cells.retain(|cell| cell.key() != gone);
        true
    }
}
