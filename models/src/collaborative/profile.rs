//! How far back a request looks: two profiles, and which of them has served the present viewers better.
//!
//! Where viewers look for one thing in a few clicks, the last item says nearly everything; where they go through
//! hundreds of items in a row, the last twenty say more together. Which of the two holds cannot be known before, so both
//! are tried on what viewers liked next, and the better one serves. Owns the running gains and the choice. Must not
//! know how an item is scored.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::params::{CollaborativeParams, ProfileMode, QueryProfile};

/// The weight of a new observation in the running gains, once there are some.
const GAIN_STEP: f32 = 1.0 / 2_000.0;
/// So many events are all observed; after them one of [`OBSERVE_EVERY`].
const OBSERVE_ALL_MAX: u64 = 2_000;
/// Which share of the later events is observed.
const OBSERVE_EVERY: u64 = 8;
/// With fewer observations the first profile serves.
const OBSERVED_MIN: u64 = 100;
/// A place behind this one is a miss.
const PLACES: usize = 20;

/// How many profiles there are: narrow and wide.
pub const PROFILE_COUNT: usize = 2;

/// What is known of the profiles, as a snapshot keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The running gains in the order of [`CollaborativeParams::profiles`].
    pub gains: [f32; PROFILE_COUNT],
    /// How many observations they come from.
    pub observed: u64,
    /// How many events there were.
    pub events: u64,
}

/// Which profile serves, shared by all threads. Two observations at the same instant may count as one.
#[derive(Debug, Default)]
pub struct ProfileChoice {
    gains: [AtomicU32; PROFILE_COUNT],
    events: AtomicU64,
    observed: AtomicU64,
}

impl ProfileChoice {
    /// The profile that serves: the one that the params name, otherwise the one with the larger gain; the first one while
    /// too little is known.
    #[must_use]
    pub fn current<'p>(&self, params: &'p CollaborativeParams) -> &'p QueryProfile {
        match params.profile {
            ProfileMode::Narrow => &params.narrow,
            ProfileMode::Wide => &params.wide,
            ProfileMode::Auto => {
                let [narrow, wide] = self.gains();
                let is_known = self.observed.load(Ordering::Relaxed) >= OBSERVED_MIN;
                params.profiles()[usize::from(is_known && wide > narrow)]
            }
        }
    }

    /// The running gain of each profile, in the order of [`CollaborativeParams::profiles`]: how high it placed what was liked next, 0 to 1.
    #[must_use]
    pub fn gains(&self) -> [f32; PROFILE_COUNT] {
        [0, 1].map(|place| f32::from_bits(self.gains[place].load(Ordering::Relaxed)))
    }

    /// What is known, for a snapshot.
    #[must_use]
    pub fn export(&self) -> ProfileRecord {
        ProfileRecord {
            gains: self.gains(),
            observed: self.observed.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
        }
    }

    /// Goes on from a snapshot; what is not a number counts as 0.
    pub fn import(&self, record: &ProfileRecord) {
        for (gain, stored) in self.gains.iter().zip(record.gains) {
            let sound = if stored.is_finite() {
                stored.clamp(0.0, 1.0)
            } else {
                0.0
            };
            gain.store(sound.to_bits(), Ordering::Relaxed);
        }
        self.observed.store(record.observed, Ordering::Relaxed);
        self.events.store(record.events, Ordering::Relaxed);
    }

    /// Whether the present event is one to observe.
    pub fn is_due(&self) -> bool {
        let event = self.events.fetch_add(1, Ordering::Relaxed);
        event < OBSERVE_ALL_MAX || event.is_multiple_of(OBSERVE_EVERY)
    }

    /// Takes in at which place (from 0) each profile had put what was liked next; `None`: not at all.
    pub fn observe(&self, places: [Option<usize>; PROFILE_COUNT]) {
        let observed = self.observed.fetch_add(1, Ordering::Relaxed);
        let step = GAIN_STEP.max(1.0 / (observed + 1) as f32);
        for (gain, place) in self.gains.iter().zip(places) {
            let before = f32::from_bits(gain.load(Ordering::Relaxed));
            let now = place
                .filter(|place| *place < PLACES)
                .map_or(0.0, |place| 1.0 / (place as f32 + 2.0).log2());
            gain.store((before + step * (now - before)).to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_that_places_better_serves_and_gives_way() {
        let (choice, params) = (ProfileChoice::default(), CollaborativeParams::default());
        assert_eq!(choice.current(&params), &params.narrow);
        (1..OBSERVED_MIN).for_each(|_| choice.observe([None, Some(3)]));
        assert_eq!(choice.current(&params), &params.narrow, "too little is known");
        choice.observe([None, Some(3)]);
        assert_eq!(choice.current(&params), &params.wide);
        (0..10_000).for_each(|_| choice.observe([Some(0), Some(25)]));
        assert_eq!(choice.current(&params), &params.narrow);
        let always_wide = CollaborativeParams {
            profile: ProfileMode::Wide,
            ..params
        };
        assert_eq!(choice.current(&always_wide), &params.wide);
        let restored = ProfileChoice::default();
        restored.import(&choice.export());
        assert_eq!(restored.export(), choice.export());
        let [narrow, wide] = choice.gains();
        assert!(narrow > 0.9 && wide < 0.1, "{narrow} {wide}");
    }

    #[test]
    fn all_of_the_first_events_are_observed_and_a_share_of_the_others() {
        let choice = ProfileChoice::default();
        let first = (0..OBSERVE_ALL_MAX).filter(|_| choice.is_due()).count() as u64;
        let later = (0..800).filter(|_| choice.is_due()).count() as u64;
        assert_eq!((first, later), (OBSERVE_ALL_MAX, 800 / OBSERVE_EVERY));
    }
}
