//! How far back a request looks: two profiles, and which of them has served the present viewers better.
//!
//! Where viewers look for one thing in a few clicks, the last item says nearly everything; where they go through
//! hundreds of items in a row, the last twenty say more together. Which of the two holds cannot be known before, so both
//! are tried on what viewers liked next, and the better one serves. Owns the profiles and their running gains. Must not
//! know how an item is scored.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::time::DAY_MS;

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

/// How a request weighs the viewer's own items and what speaks from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryProfile {
    /// The name in statistics.
    pub name: &'static str,
    /// In item-item scores: the weight of one of the viewer's items over that of the one after it.
    pub item_decay: f32,
    /// The same in the similarity of sessions.
    pub session_decay: f32,
    /// Item-item scores are divided by (engagements + 5) to this power.
    pub item_popularity_power: f32,
    /// The votes of sessions are divided by (sessions with the item + 5) to this power.
    pub vote_popularity_power: f32,
    /// A vote falls by this with each step between the shared item and the voted one.
    pub vote_step_decay: f32,
    /// A session whose last event is Δt old counts exp(-Δt / this), in milliseconds.
    pub session_recency_ms: f32,
    /// The weight of item-item scores in the blend.
    pub item_weight: f32,
    /// The weight of the linear model in the blend; that of like sessions is 1.
    pub linear_weight: f32,
}

/// Few items at once: what was touched last counts most.
pub const NARROW: QueryProfile = QueryProfile {
    name: "narrow",
    item_decay: 0.4,
    session_decay: 0.6,
    item_popularity_power: 0.5,
    vote_popularity_power: 0.0,
    vote_step_decay: 0.9,
    session_recency_ms: 5.0 * DAY_MS as f32,
    item_weight: 1.0,
    linear_weight: 0.0,
};

/// Long rows of items: the last twenty count together.
pub const WIDE: QueryProfile = QueryProfile {
    name: "wide",
    item_decay: 0.85,
    session_decay: 0.85,
    item_popularity_power: 0.6,
    vote_popularity_power: 0.6,
    vote_step_decay: 0.98,
    session_recency_ms: f32::INFINITY,
    item_weight: 0.5,
    linear_weight: 1.0,
};

/// The profiles, the one that serves at the beginning first.
pub const PROFILES: [QueryProfile; 2] = [NARROW, WIDE];

/// What is known of the profiles, as a snapshot keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The running gains in the order of [`PROFILES`].
    pub gains: [f32; PROFILES.len()],
    /// How many observations they come from.
    pub observed: u64,
    /// How many events there were.
    pub events: u64,
}

/// Which profile serves, shared by all threads. Two observations at the same instant may count as one.
#[derive(Debug, Default)]
pub struct ProfileChoice {
    gains: [AtomicU32; PROFILES.len()],
    events: AtomicU64,
    observed: AtomicU64,
}

impl ProfileChoice {
    /// The profile with the larger gain; the first one while too little is known.
    #[must_use]
    pub fn current(&self) -> &'static QueryProfile {
        let [narrow, wide] = self.gains();
        let is_known = self.observed.load(Ordering::Relaxed) >= OBSERVED_MIN;
        &PROFILES[usize::from(is_known && wide > narrow)]
    }

    /// The running gain of each profile, in the order of [`PROFILES`]: how high it placed what was liked next, 0 to 1.
    #[must_use]
    pub fn gains(&self) -> [f32; PROFILES.len()] {
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
    pub fn observe(&self, places: [Option<usize>; PROFILES.len()]) {
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
        let choice = ProfileChoice::default();
        assert_eq!(choice.current(), &NARROW);
        (1..OBSERVED_MIN).for_each(|_| choice.observe([None, Some(3)]));
        assert_eq!(choice.current(), &NARROW, "too little is known");
        choice.observe([None, Some(3)]);
        assert_eq!(choice.current(), &WIDE);
        (0..10_000).for_each(|_| choice.observe([Some(0), Some(25)]));
        assert_eq!(choice.current(), &NARROW);
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
