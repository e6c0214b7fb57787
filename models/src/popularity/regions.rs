//! What the viewers of single regions do with one item.
//!
//! Owns a bounded number of regions per item, their engagement windows and decayed popularity. Must not know how a
//! score is made of them.
//!
//! Memory: 8 bytes per slot in which something happened, 144 bytes per region otherwise, at most 8 regions an item.

use serde::{Deserialize, Serialize};

use super::forward_decay::{DecayStamp, ForwardDecay};
use super::scoring::engagement_of_tenths;
use super::windows::{SlidingWindow, WINDOW_COUNT, WindowSpan};
use crate::ids::Word;
use crate::time::TimestampMs;

/// The most regions that an item is followed in; a further one takes the place of the least popular.
pub const REGIONS_MAX: usize = 8;

/// What an item's reading says of one region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegionReading {
    /// The region.
    pub region: Word,
    /// The scores of the windows, the shortest first: the region's engagement times the item's quality, because one
    /// region's viewers are too few for a rate of their own.
    pub window_scores: [f32; WINDOW_COUNT],
    /// Decayed popularity in the region.
    pub popularity: DecayStamp,
}

/// The regions of one item.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Region>", into = "Vec<Region>")]
pub(super) struct Regions {
    regions: Vec<Region>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Region {
    word: Word,
    /// Engagement in tenths.
    windows: [SlidingWindow<i32>; WINDOW_COUNT],
    decayed: ForwardDecay,
}

impl From<Regions> for Vec<Region> {
    fn from(regions: Regions) -> Self {
        regions.regions
    }
}

impl TryFrom<Vec<Region>> for Regions {
    type Error = &'static str;

    fn try_from(regions: Vec<Region>) -> Result<Self, Self::Error> {
        let sound = |region: &Region| {
            WindowSpan::ALL
                .into_iter()
                .zip(&region.windows)
                .all(|(span, window)| window.is_sound(span))
        };
        let sound = regions.len() <= REGIONS_MAX && regions.iter().all(sound);
        if sound {
            Ok(Self { regions })
        } else {
            Err("an item's regions are damaged")
        }
    }
}

impl Regions {
    /// Adds engagement, in tenths. A region is taken up by its first positive signal only.
    pub(super) fn add(&mut self, word: Word, tenths: i32, at: TimestampMs, now: TimestampMs, half_life_ms: i64) {
        if tenths == 0 {
            return;
        }
        let Some(region) = self.find_or_take_up(word, tenths > 0, half_life_ms) else {
            return;
        };
        for span in WindowSpan::ALL {
            if let Some(sum) = region.windows[span as usize].slot_at(span, at, now) {
                *sum = sum.saturating_add(tenths);
            }
        }
        region.decayed.add(f64::from(tenths) / 10.0, at, half_life_ms);
    }

    /// Takes engagement back that was added once, from the newest slot of each window that has as much.
    pub(super) fn take_back(&mut self, word: Word, tenths: i32, share: f64, now: TimestampMs) {
        let Some(region) = self.regions.iter_mut().find(|region| region.word == word) else {
            return;
        };
        for span in WindowSpan::ALL {
            let mut slots = region.windows[span as usize].newest_first_mut(span, now);
            if let Some(sum) = slots.find(|sum| **sum >= tenths) {
                *sum -= tenths;
            }
        }
        region.decayed.take_back_share(share);
    }

    /// Calls `visit` with each region, its engagement in each window and its decayed popularity.
    pub(super) fn for_each(
        &self,
        now: TimestampMs,
        half_life_ms: i64,
        mut visit: impl FnMut(Word, [f32; WINDOW_COUNT], DecayStamp),
    ) {
        for region in &self.regions {
            let engagement = WindowSpan::ALL.map(|span| {
                let slots = region.windows[span as usize].newest_first(span, now);
                engagement_of_tenths(slots.map(|&tenths| i64::from(tenths)).sum())
            });
            visit(region.word, engagement, region.decayed.stamp(half_life_ms));
        }
    }

    /// Whether no region has anything in any window.
    pub(super) fn windows_empty(&self, now: TimestampMs) -> bool {
        let empty = |region: &Region| {
            WindowSpan::ALL
                .iter()
                .all(|&span| region.windows[span as usize].is_empty(span, now))
        };
        self.regions.iter().all(empty)
    }

    /// Drops the slots that have left their windows.
    pub(super) fn expire(&mut self, now: TimestampMs) {
        for region in &mut self.regions {
            for span in WindowSpan::ALL {
                region.windows[span as usize].expire(span, now);
            }
        }
    }

    fn find_or_take_up(&mut self, word: Word, may_take_up: bool, half_life_ms: i64) -> Option<&mut Region> {
        if let Some(place) = self.regions.iter().position(|region| region.word == word) {
            return self.regions.get_mut(place);
        }
        if !may_take_up {
            return None;
        }
        if self.regions.len() >= REGIONS_MAX {
            // The rank key compares without a `now`; equal ones (nothing at all) go by the region's number.
            let key = |region: &Region| region.decayed.stamp(half_life_ms).rank_key(half_life_ms);
            let order = |(_, a): &(usize, &Region), (_, b): &(usize, &Region)| {
                key(a).total_cmp(&key(b)).then(a.word.cmp(&b.word))
            };
            let least = self.regions.iter().enumerate().min_by(order).map(|(place, _)| place)?;
            self.regions.swap_remove(least);
        }
        self.regions.push(Region {
            word,
            windows: Default::default(),
            decayed: ForwardDecay::default(),
        });
        self.regions.last_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;

    const NOW: TimestampMs = TimestampMs(100 * DAY_MS);

    fn words(regions: &Regions) -> Vec<Word> {
        let mut words: Vec<Word> = regions.regions.iter().map(|region| region.word).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn a_ninth_region_takes_the_place_of_the_least_popular() {
        let mut regions = Regions::default();
        for word in 0..8 {
            regions.add(word, 10 * (1 + (word as i32 + 5) % 8), NOW, NOW, DAY_MS);
        }
        regions.add(20, -3, NOW, NOW, DAY_MS);
        assert_eq!(words(&regions), [0, 1, 2, 3, 4, 5, 6, 7], "a skip takes up no region");
        regions.add(20, 10, NOW, NOW, DAY_MS);
        assert_eq!(words(&regions), [0, 1, 2, 4, 5, 6, 7, 20]);
    }

    #[test]
    fn a_region_forgets_what_was_taken_back_and_what_has_expired() {
        let mut regions = Regions::default();
        regions.add(1, 10, NOW, NOW, DAY_MS);
        regions.add(1, 6, NOW, NOW, DAY_MS);
        regions.take_back(1, 10, 10.0 / 16.0, NOW);
        let mut seen = Vec::new();
        regions.for_each(NOW, DAY_MS, |word, engagement, decayed| {
            seen.push((word, engagement, decayed))
        });
        assert_eq!((seen[0].0, seen[0].1), (1, [0.6; 4]));
        assert!((seen[0].2.value_at(NOW, DAY_MS) - 0.6).abs() < 1e-4);
        assert!(!regions.windows_empty(NOW));
        assert!(regions.windows_empty(NOW.plus_ms(8 * DAY_MS)));
    }
}
