//! The candidate pool: what a session keeps between swipes, so that a full recall is not paid on every swipe.
//!
//! Owns: candidates as columns, each with the channels that named it and their evidence. Lives in memory only; it can be
//! dropped at any time and is made again by the next recall.

use rustc_hash::FxHashMap;

use super::{CHANNEL_COUNT, Channel, ChannelSet};
use crate::features::schema::CHANNEL_SCORE_MAX;
use crate::ids::{Row, Word};
use crate::popularity::ScoredRow;
use crate::session::held;
use crate::time::TimestampMs;

/// Channels whose scores are features.
pub const EVIDENCE_COUNT: usize = 5;

/// Standardised scores of the channels that are features: embedding, item-item, session-kNN, tags, hot.
pub type Evidence = [f32; EVIDENCE_COUNT];

/// Channels whose scores are blended: item-item, session-kNN, the linear model.
pub const BLEND_COUNT: usize = 3;

/// Scores of the channels that are blended, each divided by the root mean square of what its channel named: in the same
/// unit, whatever their makers count in, and without a bound, so that what stands out stays out.
pub type BlendScores = [f32; BLEND_COUNT];

/// The place of a channel's score in [`BlendScores`], if it has one.
#[must_use]
pub const fn blend_place(channel: Channel) -> Option<usize> {
    match channel {
        Channel::ItemItem => Some(0),
        Channel::SessionKnn => Some(1),
        Channel::Linear => Some(2),
        Channel::Embedding
        | Channel::EmbeddingLong
        | Channel::Tags
        | Channel::Hot
        | Channel::Fresh
        | Channel::ColdStart
        | Channel::Followed
        | Channel::Explore
        | Channel::Backfill
        | Channel::SimilarUsers
        | Channel::Boost
        | Channel::Mixer1
        | Channel::Mixer2
        | Channel::Mixer3
        | Channel::Mixer4 => None,
    }
}

/// What the weakest candidate of a channel gets, so that being named always counts for more than not being named.
const NAMED_MIN: f32 = 0.5;

/// The place of a channel's score in [`Evidence`], if it has one.
#[must_use]
pub const fn evidence_place(channel: Channel) -> Option<usize> {
    match channel {
        Channel::Embedding => Some(0),
        Channel::ItemItem => Some(1),
        Channel::SessionKnn => Some(2),
        Channel::Tags => Some(3),
        Channel::Hot => Some(4),
        Channel::EmbeddingLong
        | Channel::Fresh
        | Channel::ColdStart
        | Channel::Followed
        | Channel::Explore
        | Channel::Backfill
        | Channel::Linear
        | Channel::SimilarUsers
        | Channel::Boost
        | Channel::Mixer1
        | Channel::Mixer2
        | Channel::Mixer3
        | Channel::Mixer4 => None,
    }
}

/// When and for which taste the channels were asked last.
#[derive(Debug, Clone, Default)]
pub struct PoolState {
    /// When; `None` before the first time.
    pub filled_at: Option<TimestampMs>,
    /// The taste at that time.
    pub taste: Vec<f32>,
    /// The catalogue's version that the pool knows.
    pub catalogue_version: u64,
    /// The region that was asked for.
    pub region: Option<Word>,
    /// When each channel was asked last, by [`Channel::number`].
    pub asked_at: [TimestampMs; CHANNEL_COUNT],
    /// Channels that should have been asked and were cut off.
    pub missing: ChannelSet,
    /// Under which settings of the channels, and which rules, the pool was filled.
    pub control_key: u64,
    /// Whether the server was overloaded then, so that fewer candidates were named than usual.
    pub is_reduced: bool,
    /// The newest positive action that the live channels know.
    pub last_positive: Option<(Row, TimestampMs)>,
}

/// Candidates as columns.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// Which items.
    pub rows: Vec<Row>,
    /// The hashes of their ids, under which exposure knows them.
    pub hashes: Vec<u64>,
    /// Which channels named each.
    pub channels: Vec<ChannelSet>,
    /// With which evidence.
    pub evidence: Vec<Evidence>,
    /// With which scores of the channels that are blended.
    pub blend: Vec<BlendScores>,
    /// When and for which taste.
    pub state: PoolState,
    places: FxHashMap<Row, u32>,
}

impl Pool {
    /// Forgets all candidates.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.hashes.clear();
        self.channels.clear();
        self.evidence.clear();
        self.blend.clear();
        self.places.clear();
    }

    /// Makes room for so many candidates in all, once instead of step by step.
    pub fn make_room(&mut self, candidates: usize) {
        let more = candidates.saturating_sub(self.len());
        self.rows.reserve(more);
        self.hashes.reserve(more);
        self.channels.reserve(more);
        self.evidence.reserve(more);
        self.blend.reserve(more);
        self.places.reserve(more);
    }

    /// How many bytes the pool holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        held(&self.rows)
            + held(&self.hashes)
            + held(&self.channels)
            + held(&self.evidence)
            + held(&self.blend)
            + held(&self.state.taste)
            + self.places.capacity() * (size_of::<(Row, u32)>() + 1)
    }

    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the item is a candidate.
    #[must_use]
    pub fn contains(&self, row: Row) -> bool {
        self.places.contains_key(&row)
    }

    /// Adds what a channel named; beyond `size_max` candidates nothing new is taken. An item that another channel named
    /// before only gets this channel's evidence beside.
    pub fn merge(
        &mut self,
        channel: Channel,
        named: &[ScoredRow],
        size_max: usize,
        hash_of: impl Fn(Row) -> Option<u64>,
    ) {
        let standard = Standard::of(named);
        let place_of_evidence = evidence_place(channel);
        let place_of_blend = blend_place(channel);
        for candidate in named {
            let place = match self.places.get(&candidate.row) {
                Some(place) => *place as usize,
                None if self.rows.len() >= size_max => continue,
                None => match hash_of(candidate.row) {
                    Some(hash) => self.push(candidate.row, hash),
                    None => continue,
                },
            };
            self.channels[place] = self.channels[place].with(ChannelSet::of(channel));
            if let Some(column) = place_of_evidence {
                self.evidence[place][column] = standard.score(candidate.score);
            }
            if let Some(column) = place_of_blend {
                self.blend[place][column] = standard.in_units(candidate.score);
            }
        }
    }

    /// Adds one item that the owner of the pool found by itself, with evidence that is standardised already. A known one
    /// stays as it is.
    pub fn add(&mut self, channel: Channel, row: Row, hash: u64, evidence: f32) {
        if self.contains(row) {
            return;
        }
        let place = self.push(row, hash);
        self.channels[place] = ChannelSet::of(channel);
        if let Some(column) = evidence_place(channel) {
            self.evidence[place][column] = evidence;
        }
    }

    /// Forgets what a channel named, before the channel is asked again. Candidates that nobody else named stay until
    /// [`Pool::drop_unnamed`].
    pub fn forget(&mut self, channel: Channel) {
        let forgotten = ChannelSet::of(channel);
        self.channels
            .iter_mut()
            .for_each(|channels| *channels = channels.without(forgotten));
        if let Some(column) = evidence_place(channel) {
            self.evidence.iter_mut().for_each(|evidence| evidence[column] = 0.0);
        }
        if let Some(column) = blend_place(channel) {
            self.blend.iter_mut().for_each(|scores| scores[column] = 0.0);
        }
    }

    /// Forgets what all channels named but those of `kept`. Candidates for which `stays` holds, given their hash, keep
    /// everything; others that nobody names any more go.
    pub fn forget_all_but(&mut self, kept: ChannelSet, stays: impl Fn(u64) -> bool) {
        if kept.is_empty() {
            self.retain(|_, hash, _| stays(hash));
            return;
        }
        for place in 0..self.rows.len() {
            if stays(self.hashes[place]) {
                continue;
            }
            self.channels[place] = self.channels[place].both(kept);
            for channel in Channel::ALL.into_iter().filter(|channel| !kept.contains(*channel)) {
                if let Some(column) = evidence_place(channel) {
                    self.evidence[place][column] = 0.0;
                }
                if let Some(column) = blend_place(channel) {
                    self.blend[place][column] = 0.0;
                }
            }
        }
        self.retain(|_, hash, channels| !channels.is_empty() || stays(hash));
    }

    /// Drops the candidates that no channel names any more.
    pub fn drop_unnamed(&mut self) {
        self.retain(|_, _, channels| !channels.is_empty());
    }

    /// Keeps the candidates for which `keep` holds, given row, hash and channels.
    pub fn retain(&mut self, mut keep: impl FnMut(Row, u64, ChannelSet) -> bool) {
        let mut kept = 0;
        for place in 0..self.rows.len() {
            let row = self.rows[place];
            if keep(row, self.hashes[place], self.channels[place]) {
                if kept != place {
                    self.rows[kept] = row;
                    self.hashes[kept] = self.hashes[place];
                    self.channels[kept] = self.channels[place];
                    self.evidence[kept] = self.evidence[place];
                    self.blend[kept] = self.blend[place];
                    self.places.insert(row, kept as u32);
                }
                kept += 1;
            } else {
                self.places.remove(&row);
            }
        }
        self.rows.truncate(kept);
        self.hashes.truncate(kept);
        self.channels.truncate(kept);
        self.evidence.truncate(kept);
        self.blend.truncate(kept);
    }

    fn push(&mut self, row: Row, hash: u64) -> usize {
        let place = self.rows.len();
        self.rows.push(row);
        self.hashes.push(hash);
        self.channels.push(ChannelSet::default());
        self.evidence.push(Evidence::default());
        self.blend.push(BlendScores::default());
        self.places.insert(row, place as u32);
        place
    }
}

/// Standardises one channel's scores within one recall: (score - lowest) / deviation + [`NAMED_MIN`], cut at
/// [`CHANNEL_SCORE_MAX`]. Sums of standardised channels are the best simple blend (see the quality page).
struct Standard {
    lowest: f32,
    deviation: f32,
    root_mean_square: f32,
}

impl Standard {
    fn of(named: &[ScoredRow]) -> Self {
        let finite = || {
            named
                .iter()
                .map(|candidate| candidate.score)
                .filter(|score| score.is_finite())
        };
        let count = finite().count().max(1) as f32;
        let mean = finite().sum::<f32>() / count;
        let variance = finite().map(|score| (score - mean).powi(2)).sum::<f32>() / count;
        let lowest = finite().fold(f32::INFINITY, f32::min);
        Self {
            lowest,
            deviation: variance.sqrt(),
            root_mean_square: (variance + mean * mean).sqrt(),
        }
    }

    /// The score over the root mean square, 0 where that says nothing.
    fn in_units(&self, score: f32) -> f32 {
        let units = score / self.root_mean_square;
        if units.is_finite() { units.max(0.0) } else { 0.0 }
    }

    fn score(&self, score: f32) -> f32 {
        let above = if self.deviation > 1e-12 {
            (score - self.lowest) / self.deviation
        } else {
            1.0
        };
        let standard = above + NAMED_MIN;
        if standard.is_finite() {
            standard.clamp(NAMED_MIN, CHANNEL_SCORE_MAX)
        } else {
            NAMED_MIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(row: Row) -> Option<u64> {
        Some(u64::from(row) << 8)
    }

    fn named(rows: &[Row]) -> Vec<ScoredRow> {
        rows.iter()
            .map(|row| ScoredRow {
                row: *row,
                score: *row as f32,
            })
            .collect()
    }

    #[test]
    fn every_channel_that_named_an_item_is_kept() {
        let mut pool = Pool::default();
        pool.merge(Channel::Embedding, &named(&[1, 2, 3]), 10, hash);
        pool.merge(Channel::Hot, &named(&[3, 4]), 10, hash);
        assert_eq!(pool.rows, [1, 2, 3, 4]);
        let both = ChannelSet::of(Channel::Embedding).with(ChannelSet::of(Channel::Hot));
        assert_eq!(pool.channels[2], both);
        assert!(pool.evidence[2][0] > pool.evidence[0][0] && pool.evidence[0][0] >= NAMED_MIN);
        assert_eq!(pool.evidence[0][4], 0.0);
    }

    #[test]
    fn scores_that_are_not_finite_count_as_named_only() {
        let mut pool = Pool::default();
        let odd = [f32::NAN, f32::INFINITY, 1.0].map(|score| ScoredRow {
            row: score.to_bits(),
            score,
        });
        pool.merge(Channel::Tags, &odd, 10, hash);
        assert!(pool.evidence.iter().all(|evidence| evidence[3].is_finite()));
    }

    #[test]
    fn what_only_a_forgotten_channel_named_goes() {
        let mut pool = Pool::default();
        pool.merge(Channel::ItemItem, &named(&[1, 2, 3]), 10, hash);
        pool.merge(Channel::Hot, &named(&[3, 4]), 10, hash);
        pool.forget(Channel::ItemItem);
        pool.merge(Channel::ItemItem, &named(&[2]), 10, hash);
        pool.drop_unnamed();
        assert_eq!(pool.rows, [2, 3, 4]);
        assert_eq!(pool.channels[1], ChannelSet::of(Channel::Hot));
        assert_eq!(pool.evidence[1][1], 0.0);
    }

    #[test]
    fn what_a_kept_channel_named_stays_without_the_evidence_of_others() {
        let mut pool = Pool::default();
        pool.merge(Channel::Hot, &named(&[1, 2]), 10, hash);
        pool.merge(Channel::Tags, &named(&[2, 3, 4]), 10, hash);
        pool.forget_all_but(ChannelSet::of(Channel::Hot), |hash| hash == 4 << 8);
        assert_eq!(pool.rows, [1, 2, 4]);
        assert_eq!(pool.channels[1], ChannelSet::of(Channel::Hot));
        assert!(pool.evidence[1][4] > 0.0 && pool.evidence[1][3] == 0.0 && pool.evidence[2][3] > 0.0);
    }

    proptest! {
        #[test]
        fn places_stay_right(
            steps in proptest::collection::vec((proptest::collection::vec(0u32..50, 0..20), 0u32..5), 1..10)
        ) {
            let mut pool = Pool::default();
            for (rows, modulus) in steps {
                pool.merge(Channel::Tags, &named(&rows), 40, hash);
                pool.retain(|row, hash, _| hash == u64::from(row) << 8 && row % 5 != modulus);
                prop_assert!(pool.len() <= 40);
                prop_assert_eq!(pool.places.len(), pool.rows.len());
                for (place, row) in pool.rows.iter().enumerate() {
                    prop_assert_eq!(pool.places.get(row).copied(), Some(place as u32));
                }
            }
        }
    }
}
