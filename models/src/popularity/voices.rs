//! Who has spoken about one item lately, so that one viewer is one voice.
//!
//! Owns a bounded list of viewers, each with which counters counted for it and when. Must not weigh or count anything.
//!
//! A signal counts once per viewer and counter until [`Voices::speaks`] is told otherwise by its period: a double tap, a retry
//! without an event id and a bot are one like, and a showing that is reported twice is one showing. The list is
//! bounded: the viewer who spoke first is forgotten first, so that one viewer is at most one of [`VOICES_MAX`] in a row
//! on an item of many viewers, and one in all on an item of few.
//!
//! Memory: 8 bytes a viewer, at most 1 KiB an item.

use serde::{Deserialize, Serialize};

use super::counts::Counter;
use crate::time::{MINUTE_MS, TimestampMs};

/// The most viewers remembered per item.
pub(super) const VOICES_MAX: usize = 128;
/// Bits of a voice that tell the minute in which it counted: 16 years, in which minutes are compared around the clock.
const MINUTE_BITS: u32 = 23;
const MINUTE_MASK: u64 = (1 << MINUTE_BITS) - 1;
/// Above them one bit for each counter, and above those 32 of the viewer's hash.
const VIEWER_SHIFT: u32 = 32;
/// Voices older than this are let go when nobody asks: as long as the longest window.
const FORGET_MINUTES: u64 = 7 * 24 * 60;

/// The viewers, those who spoke first in front.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Voices(Vec<u64>);

impl Voices {
    /// Whether a signal of this viewer counts: not when the same counter did for the viewer within `period_ms`. Notes it.
    pub(super) fn speaks(&mut self, viewer: u32, counter: Counter, at: TimestampMs, period_ms: i64) -> bool {
        let (minute, bit) = (minute_of(at), bit_of(counter));
        let Some(place) = self.place_of(viewer) else {
            self.note(u64::from(viewer) << VIEWER_SHIFT | bit | minute);
            return true;
        };
        let voice = self.0[place];
        if apart(voice & MINUTE_MASK, minute) as i64 * MINUTE_MS >= period_ms {
            // All that this viewer said is long ago: it counts anew, as the newest voice.
            self.0.remove(place);
            self.note(u64::from(viewer) << VIEWER_SHIFT | bit | minute);
            return true;
        }
        self.0[place] |= bit;
        voice & bit == 0
    }

    /// Whether a counted signal of this viewer is there to be taken back. `counted` is how many the counter holds in all: those
    /// whose viewers are forgotten may be anybody's. Notes that it is taken back.
    pub(super) fn takes_back(&mut self, viewer: u32, counter: Counter, counted: u32, at: TimestampMs) -> bool {
        let bit = bit_of(counter);
        if let Some(place) = self.place_of(viewer) {
            let was_set = self.0[place] & bit != 0;
            self.0[place] &= !bit;
            return was_set;
        }
        let remembered = self.0.iter().filter(|voice| **voice & bit != 0).count();
        let is_possible = counted as usize > remembered;
        if is_possible {
            // So that the same viewer takes back no more than one.
            self.note(u64::from(viewer) << VIEWER_SHIFT | minute_of(at));
        }
        is_possible
    }

    /// Lets go of those who spoke longer ago than any window.
    pub(super) fn expire(&mut self, now: TimestampMs) {
        let minute = minute_of(now);
        self.0
            .retain(|voice| apart(voice & MINUTE_MASK, minute) <= FORGET_MINUTES);
    }

    fn place_of(&self, viewer: u32) -> Option<usize> {
        let wanted = u64::from(viewer);
        self.0.iter().position(|voice| voice >> VIEWER_SHIFT == wanted)
    }

    fn note(&mut self, voice: u64) {
        if self.0.len() >= VOICES_MAX {
            self.0.remove(0);
        }
        self.0.push(voice);
    }
}

fn bit_of(counter: Counter) -> u64 {
    1 << (MINUTE_BITS + counter as u32)
}

fn minute_of(at: TimestampMs) -> u64 {
    at.0.div_euclid(MINUTE_MS) as u64 & MINUTE_MASK
}

/// How many minutes lie between two, around the clock.
fn apart(a: u64, b: u64) -> u64 {
    let ahead = a.wrapping_sub(b) & MINUTE_MASK;
    ahead.min(MINUTE_MASK + 1 - ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_MS, HOUR_MS};
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn speaks(voices: &mut Voices, viewer: u32, counter: Counter, ago_ms: i64) -> bool {
        voices.speaks(viewer, counter, NOW.plus_ms(-ago_ms), DAY_MS)
    }

    #[test]
    fn a_viewer_counts_once_for_each_counter_and_anew_after_the_period() {
        let mut voices = Voices::default();
        assert!(speaks(&mut voices, 7, Counter::Likes, 30 * HOUR_MS));
        assert!(speaks(&mut voices, 8, Counter::Likes, 30 * HOUR_MS));
        assert!(speaks(&mut voices, 7, Counter::Views, 29 * HOUR_MS));
        assert!(!speaks(&mut voices, 7, Counter::Likes, 29 * HOUR_MS));
        assert!(
            !speaks(&mut voices, 7, Counter::Views, 31 * HOUR_MS),
            "late, and the same"
        );
        assert!(speaks(&mut voices, 7, Counter::Likes, 0), "another day");
        assert!(!speaks(&mut voices, 7, Counter::Likes, 0));
    }

    #[test]
    fn a_like_is_taken_back_by_whoever_gave_it_and_once() {
        let mut voices = Voices::default();
        assert!(speaks(&mut voices, 7, Counter::Likes, 0));
        assert!(
            !voices.takes_back(8, Counter::Likes, 1, NOW),
            "the only like is another's"
        );
        assert!(voices.takes_back(7, Counter::Likes, 1, NOW));
        assert!(!voices.takes_back(7, Counter::Likes, 0, NOW));
        // Nine likes of viewers who are not remembered any more: each viewer takes back one.
        assert!(voices.takes_back(9, Counter::Likes, 9, NOW));
        assert!(!voices.takes_back(9, Counter::Likes, 8, NOW));
        assert!(voices.takes_back(10, Counter::Likes, 8, NOW));
    }

    #[test]
    fn old_voices_are_let_go() {
        let mut voices = Voices::default();
        speaks(&mut voices, 1, Counter::Views, 8 * DAY_MS);
        speaks(&mut voices, 2, Counter::Views, DAY_MS);
        voices.expire(NOW);
        assert_eq!(voices.0.len(), 1);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_one_viewer_is_one_of_many(
            others in 1..300_u32,
            repeats in 1..2_000_u32,
        ) {
            let (mut voices, mut counted) = (Voices::default(), 0);
            for number in 0..repeats {
                counted += u32::from(speaks(&mut voices, 0, Counter::Skips, 0));
                speaks(&mut voices, 1 + number % others, Counter::Skips, 0);
                prop_assert!(voices.0.len() <= VOICES_MAX);
            }
            prop_assert!(counted <= 1 + repeats / VOICES_MAX as u32, "{counted} of {repeats}");
        }
    }
}
