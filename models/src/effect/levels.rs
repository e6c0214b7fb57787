//! Four rings of time slots: five seconds, minutes, hours, days. Each event counts in all of them.
//!
//! Slots are shared handles: a reader takes them out in a moment and counts at leisure; a writer copies a slot only while
//! a reader holds it.

use std::sync::Arc;

use super::counts::Counts;
use super::key::CellKey;
use super::slot::Slot;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, TimestampMs};

/// How finely time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Five seconds, kept for six minutes.
    Seconds = 0,
    /// Minutes, kept for three hours.
    Minutes = 1,
    /// Hours, kept for eight days.
    Hours = 2,
    /// Days, kept for 31 days.
    Days = 3,
}

impl Level {
    /// All levels, the finest first.
    pub const ALL: [Level; 4] = [Level::Seconds, Level::Minutes, Level::Hours, Level::Days];

    /// How long a slot is, in milliseconds.
    #[must_use]
    pub const fn slot_ms(self) -> i64 {
        match self {
            Level::Seconds => 5 * SECOND_MS,
            Level::Minutes => MINUTE_MS,
            Level::Hours => HOUR_MS,
            Level::Days => DAY_MS,
        }
    }

    /// How many slots are kept.
    const fn slots(self) -> usize {
        match self {
            Level::Seconds => 72,
            Level::Minutes => 180,
            Level::Hours => 192,
            Level::Days => 31,
        }
    }

    /// How many cells a slot has before new ones are summed up. All rings full to this are 390 000 cells of 56 bytes, with the
    /// tables' empty places about 40 MB; a slot never has much more than twice as many.
    const fn cells_max(self) -> usize {
        match self {
            Level::Seconds | Level::Minutes => 512,
            Level::Hours => 1_024,
            Level::Days => 2_048,
        }
    }

    /// The level of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number)).copied()
    }
}

/// The rings.
#[derive(Debug, Clone)]
pub struct Levels {
    rings: [Vec<Arc<Slot>>; 4],
}

impl Default for Levels {
    fn default() -> Self {
        let empty = Arc::new(Slot::new(i64::MIN));
        Self {
            rings: Level::ALL.map(|level| vec![empty.clone(); level.slots()]),
        }
    }
}

impl Levels {
    /// Adds counts of a journal record at a time. A slot that holds the record already does not take it again, and what is
    /// older than a ring reaches is left out of that ring.
    pub fn add(&mut self, key: CellKey, counts: &Counts, at: TimestampMs, sequence: u64) {
        for level in Level::ALL {
            let slot = self.slot_mut(level, at.0.div_euclid(level.slot_ms()));
            if let Some(slot) = slot.filter(|slot| sequence > slot.sequence) {
                slot.add(key, counts, level.cells_max());
            }
        }
    }

    /// The place of a slot in its ring, which no other slot that is kept has.
    #[must_use]
    pub fn place(level: Level, number: i64) -> u16 {
        number.rem_euclid(level.slots() as i64) as u16
    }

    /// Takes in the slots of other rings.
    pub fn merge(&mut self, other: &Levels) {
        for level in Level::ALL {
            for theirs in other.rings[level as usize].iter().filter(|slot| !slot.cells.is_empty()) {
                if let Some(slot) = self.slot_mut(level, theirs.number) {
                    slot.merge(theirs, level.cells_max());
                }
            }
        }
    }

    /// The slots whose numbers lie in `oldest..=newest`, in no order.
    pub fn range(&self, level: Level, oldest: i64, newest: i64) -> impl Iterator<Item = &Arc<Slot>> {
        let is_within = move |slot: &&Arc<Slot>| (oldest..=newest).contains(&slot.number);
        self.rings[level as usize].iter().filter(is_within)
    }

    /// The slots that have changed since they were taken last.
    pub fn take_dirty(&mut self) -> Vec<(Level, Arc<Slot>)> {
        let mut dirty = Vec::new();
        for level in Level::ALL {
            for slot in self.rings[level as usize].iter_mut().filter(|slot| slot.is_dirty) {
                Arc::make_mut(slot).is_dirty = false;
                dirty.push((level, slot.clone()));
            }
        }
        dirty
    }

    /// Puts a slot back that could not be written down.
    pub fn mark_dirty(&mut self, level: Level, number: i64) {
        if let Some(slot) = self.rings[level as usize].iter_mut().find(|slot| slot.number == number) {
            Arc::make_mut(slot).is_dirty = true;
        }
    }

    /// Puts a slot in as it was stored. An older or a newer one in its place decides by its time.
    pub fn restore(&mut self, level: Level, mut slot: Slot) {
        let number = slot.number;
        slot.is_dirty = false;
        if let Some(place) = self.slot_mut(level, number) {
            *place = slot;
        }
    }

    /// Whether a slot of that number would still be kept at `now`.
    #[must_use]
    pub fn is_kept(level: Level, number: i64, now: TimestampMs) -> bool {
        number > now.0.div_euclid(level.slot_ms()) - level.slots() as i64
    }

    /// The slot of a number, emptied if it held an older time; `None` when it holds a newer one.
    fn slot_mut(&mut self, level: Level, number: i64) -> Option<&mut Slot> {
        let ring = &mut self.rings[level as usize];
        let place = number.rem_euclid(ring.len() as i64) as usize;
        let slot = &mut ring[place];
        if slot.number > number {
            return None;
        }
        if slot.number < number {
            *slot = Arc::new(Slot::new(number));
        }
        Some(Arc::make_mut(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

    fn one() -> Counts {
        Counts {
            impressions: 1,
            ..Counts::default()
        }
    }

    fn sum(levels: &Levels, level: Level, back: i64) -> u32 {
        let newest = NOW.0.div_euclid(level.slot_ms());
        let slots = levels.range(level, newest - back, newest);
        slots
            .flat_map(|slot| slot.cells.values())
            .map(|counts| counts.impressions)
            .sum()
    }

    #[test]
    fn every_level_reaches_back_as_far_as_it_says() {
        let mut levels = Levels::default();
        for ago in [
            0,
            30 * SECOND_MS,
            4 * MINUTE_MS,
            50 * MINUTE_MS,
            20 * HOUR_MS,
            6 * DAY_MS,
            29 * DAY_MS,
        ] {
            levels.add(CellKey::default(), &one(), NOW.plus_ms(-ago), 1);
        }
        assert_eq!(sum(&levels, Level::Seconds, 59), 3);
        assert_eq!(sum(&levels, Level::Minutes, 59), 4);
        assert_eq!(sum(&levels, Level::Hours, 23), 5);
        assert_eq!(sum(&levels, Level::Hours, 167), 6);
        assert_eq!(sum(&levels, Level::Days, 30), 7);
        // 31 days later, this day's place holds another day; what comes that late is left out.
        levels.add(CellKey::default(), &one(), NOW.plus_ms(31 * DAY_MS), 1);
        levels.add(CellKey::default(), &one(), NOW, 1);
        assert_eq!(sum(&levels, Level::Days, 30), 2);
        assert!(
            Levels::is_kept(Level::Days, NOW.0 / DAY_MS - 30, NOW)
                && !Levels::is_kept(Level::Days, NOW.0 / DAY_MS - 31, NOW)
        );
    }

    #[test]
    fn a_reader_keeps_what_it_took_and_merging_adds_up() {
        let mut levels = Levels::default();
        levels.add(CellKey::default(), &one(), NOW, 1);
        let taken = levels.take_dirty();
        assert_eq!((taken.len(), levels.take_dirty().len()), (4, 0));
        let mut other = Levels::default();
        other.add(CellKey::default(), &one(), NOW, 1);
        levels.merge(&other);
        assert_eq!(
            (
                sum(&levels, Level::Days, 0),
                taken[3].1.cells[&CellKey::default()].impressions
            ),
            (2, 1)
        );
        assert_eq!(levels.take_dirty().len(), 4);
    }
}
