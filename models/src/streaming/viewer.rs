//! Everything the features know about one viewer.
//!
//! Owns a bounded, serialisable state that lives in the viewer's session: counts, affinities, moving averages, the last
//! items. One outcome costs a constant. Must not know items beyond what an impression says of them.

use serde::{Deserialize, Serialize};

use super::factors::Factor;
use super::outcome::{DURATION_BUCKETS, Impression, LABEL_COUNT, LANE_COUNT, Lane, LaneRow};
use super::rates::{COUNT_MAX, DecayedCell, LiftCell, RateCell};

/// Tags of which a viewer's outcomes are kept; the least used give way.
pub const VIEWER_TAGS_MAX: usize = 64;
/// Authors of which a viewer's outcomes are kept.
pub const VIEWER_AUTHORS_MAX: usize = 32;
/// Surfaces of which a viewer's outcomes are kept.
pub const VIEWER_SURFACES_MAX: usize = 8;
/// Last items kept.
pub const VIEWER_RECENT_MAX: usize = 64;
/// A pause longer than this begins a new session.
pub const SESSION_GAP_MS: i64 = 30 * 60 * 1_000;
/// Horizons of the moving averages, in outcomes.
pub const HORIZONS: [f32; 3] = [2.0, 6.0, 20.0];
/// Half-life of the viewer's forgetting counts.
pub const VIEWER_HALF_LIFE_MS: f32 = 12.0 * 3_600_000.0;

/// Views (not mere impressions) and what came of them; also known from watch histories without impressions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewCell {
    /// Views.
    pub count: f32,
    /// Long ones.
    pub long: f32,
    /// Liked ones.
    pub liked: f32,
}

impl ViewCell {
    /// Counts one view.
    pub fn add(&mut self, long: bool, liked: bool) {
        if self.count >= COUNT_MAX {
            [self.count, self.long, self.liked] = [self.count, self.long, self.liked].map(|sum| sum / 2.0);
        }
        self.count += 1.0;
        self.long += f32::from(u8::from(long));
        self.liked += f32::from(u8::from(liked));
    }

    /// Long and like rate of a view, with `strength` views of belief in the parent's.
    #[must_use]
    pub fn shrunk(&self, parent: [f32; 2], strength: f32) -> [f32; 2] {
        let total = self.count + strength;
        [
            (self.long + strength * parent[0]) / total,
            (self.liked + strength * parent[1]) / total,
        ]
    }
}

/// Outcomes and views of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Affinity {
    /// Impressions.
    pub shown: RateCell,
    /// Views.
    pub viewed: ViewCell,
}

/// A short list of affinities by key; full, it gives up the key with the fewest counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Affinities {
    entries: Vec<(u64, Affinity)>,
}

impl Affinities {
    /// What is known of a key.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&Affinity> {
        self.entries.iter().find(|entry| entry.0 == key).map(|entry| &entry.1)
    }

    /// The entry of a key, made within the bound.
    fn entry(&mut self, key: u64, entries_max: usize) -> &mut Affinity {
        let index = match self.entries.iter().position(|entry| entry.0 == key) {
            Some(index) => index,
            None if self.entries.len() < entries_max => {
                self.entries.push((key, Affinity::default()));
                self.entries.len() - 1
            }
            None => {
                let weight = |entry: &(u64, Affinity)| entry.1.shown.count + entry.1.viewed.count;
                let least = (0..self.entries.len())
                    .min_by(|&a, &b| weight(&self.entries[a]).total_cmp(&weight(&self.entries[b])))
                    .unwrap_or(0);
                self.entries[least] = (key, Affinity::default());
                least
            }
        };
        &mut self.entries[index].1
    }
}

/// One of the viewer's last items.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RecentItem {
    /// Its id.
    pub item: u64,
    /// Watched long.
    pub long: bool,
    /// Liked.
    pub liked: bool,
}

/// The state of one viewer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ViewerFeatures {
    /// All impressions.
    pub shown: RateCell,
    /// All views.
    pub viewed: ViewCell,
    /// Factors per predicted lane.
    pub factors: [Factor; 4],
    /// Impressions, forgetting.
    pub lately: DecayedCell,
    /// Outcomes over expectation.
    pub lift: LiftCell,
    /// Moving averages of the last outcomes per horizon, with their weight.
    averages: [RateCell; HORIZONS.len()],
    /// By surface.
    pub surfaces: Affinities,
    /// By tag.
    pub tags: Affinities,
    /// By author.
    pub authors: Affinities,
    /// By duration bucket.
    buckets: [Affinity; DURATION_BUCKETS],
    /// The last items, newest last.
    recent: Vec<RecentItem>,
    /// The last outcome.
    pub last_outcome: LaneRow,
    /// Tags of the last impression (the first one), surface of it.
    pub last_tag: u64,
    /// Author of the last impression.
    pub last_author: u64,
    /// When it was shown; 0 is never.
    pub last_at_ms: i64,
    /// When the session began.
    pub session_start_ms: i64,
    /// Impressions in the session.
    pub session_length: u32,
    /// Skips in a row.
    pub skip_streak: u32,
    /// Long views in a row.
    pub long_streak: u32,
    /// When the viewer last liked; 0 is never.
    pub liked_at_ms: i64,
}

impl ViewerFeatures {
    /// Learns a view from a history without impressions.
    pub fn warm(&mut self, impression: &Impression<'_>, long: bool, liked: bool) {
        self.count_view(impression, long, liked);
        self.remember(impression.item, long, liked);
    }

    /// Learns an outcome; `expected` is what the item and surface alone led to expect.
    pub fn learn(&mut self, impression: &Impression<'_>, outcome: &LaneRow, expected: &LaneRow) {
        self.shown.add(outcome);
        self.lately.add(outcome, impression.at_ms, VIEWER_HALF_LIFE_MS);
        self.lift.add(outcome, expected);
        for (average, horizon) in self.averages.iter_mut().zip(HORIZONS) {
            average.scale(1.0 - 1.0 / horizon);
            average.add(outcome);
        }
        self.surfaces
            .entry(impression.surface, VIEWER_SURFACES_MAX)
            .shown
            .add(outcome);
        self.buckets[impression.duration_bucket()].shown.add(outcome);
        for tag in impression.counted_tags() {
            self.tags.entry(tag, VIEWER_TAGS_MAX).shown.add(outcome);
        }
        if impression.author != 0 {
            self.authors
                .entry(impression.author, VIEWER_AUTHORS_MAX)
                .shown
                .add(outcome);
        }
        let (long, liked) = (
            outcome[Lane::LongView as usize] > 0.5,
            outcome[Lane::Like as usize] > 0.5,
        );
        if outcome[Lane::Click as usize] > 0.5 {
            self.count_view(impression, long, liked);
        }
        self.remember(impression.item, long, liked);
        self.step(impression, outcome, liked);
    }

    /// A moving average over a horizon, with half an outcome of belief in the parent.
    #[must_use]
    pub fn average(&self, horizon: usize, parent: &LaneRow) -> LaneRow {
        self.averages[horizon].shrunk(parent, 0.5)
    }

    /// What is known of a duration bucket.
    #[must_use]
    pub fn bucket(&self, bucket: usize) -> &Affinity {
        &self.buckets[bucket]
    }

    /// The last items, newest first.
    pub fn recent(&self) -> impl Iterator<Item = &RecentItem> {
        self.recent.iter().rev()
    }

    /// Bytes of the state, its lists included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let affinities =
            self.surfaces.entries.capacity() + self.tags.entries.capacity() + self.authors.entries.capacity();
        size_of::<Self>() + affinities * size_of::<(u64, Affinity)>() + self.recent.capacity() * size_of::<RecentItem>()
    }

    /// What [`Self::memory_bytes`] can never exceed (capacities double, hence the powers of two).
    #[must_use]
    pub fn memory_bytes_max() -> usize {
        let affinities = [VIEWER_SURFACES_MAX, VIEWER_TAGS_MAX, VIEWER_AUTHORS_MAX]
            .map(usize::next_power_of_two)
            .iter()
            .sum::<usize>();
        size_of::<Self>()
            + affinities * size_of::<(u64, Affinity)>()
            + VIEWER_RECENT_MAX.next_power_of_two() * size_of::<RecentItem>()
    }

    fn count_view(&mut self, impression: &Impression<'_>, long: bool, liked: bool) {
        self.viewed.add(long, liked);
        self.buckets[impression.duration_bucket()].viewed.add(long, liked);
        for tag in impression.counted_tags() {
            self.tags.entry(tag, VIEWER_TAGS_MAX).viewed.add(long, liked);
        }
        if impression.author != 0 {
            self.authors
                .entry(impression.author, VIEWER_AUTHORS_MAX)
                .viewed
                .add(long, liked);
        }
    }

    fn remember(&mut self, item: u64, long: bool, liked: bool) {
        if self.recent.len() == VIEWER_RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push(RecentItem { item, long, liked });
    }

    fn step(&mut self, impression: &Impression<'_>, outcome: &LaneRow, liked: bool) {
        if self.last_at_ms == 0 || impression.at_ms.saturating_sub(self.last_at_ms) > SESSION_GAP_MS {
            self.session_start_ms = impression.at_ms;
            self.session_length = 0;
        }
        self.session_length = self.session_length.saturating_add(1);
        let streak = |length: u32, goes_on: bool| if goes_on { length.saturating_add(1) } else { 0 };
        self.skip_streak = streak(self.skip_streak, outcome[Lane::Skip as usize] > 0.5);
        self.long_streak = streak(self.long_streak, outcome[Lane::LongView as usize] > 0.5);
        if liked {
            self.liked_at_ms = impression.at_ms;
        }
        self.last_outcome = *outcome;
        self.last_tag = impression.tags.first().copied().unwrap_or(0);
        self.last_author = impression.author;
        self.last_at_ms = impression.at_ms;
    }
}

const _: () = assert!(LABEL_COUNT <= LANE_COUNT);

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
