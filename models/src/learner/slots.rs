//! Which crosses of viewer, item and moment have a weight of their own, and where it stands.
//!
//! Owns the kinds of crosses and their hashing into a space of fixed size. Keys are hashes of names, never the numbers
//! that a process gives to words, so weights mean the same after a restart. The space has three parts, so that the many
//! crosses of single viewers can crowd out each other but neither items nor the few that every candidate shares.

use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::Entry;
use crate::features::schema::{FEATURE_COUNT, Feature};
use crate::session::SessionState;
use crate::time::TimestampMs;

/// Weights per objective.
pub const SLOT_SPACE: usize = 1 << 18;
/// The first so many are for crosses of few values.
const FEW_END: u64 = 1 << 13;
/// From there to here those of items and authors; behind it those of single viewers.
const ITEMS_END: u64 = 1 << 17;

/// Hashed crosses of a candidate.
pub(super) const ROW_SLOT_COUNT: usize = 9;

/// Places of a candidate's crosses in the space, in the order of [`SlotKind::ROW`].
pub(super) type RowSlots = [u32; ROW_SLOT_COUNT];

/// Positions from here on count as one.
const POSITION_MAX: u32 = 15;
/// Parts of an affinity's range (-1 to 1).
const AFFINITY_PARTS: f32 = 8.0;
/// Parts of a duration's range (0 to 1, logarithmic).
const DURATION_PARTS: f32 = 12.0;
const HOUR_MS: i64 = 3_600_000;

/// A kind of cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum SlotKind {
    Item = 0,
    Author = 1,
    Category = 2,
    UserCategory = 3,
    UserAuthor = 4,
    /// Tag affinity × category affinity, both in parts.
    TagOverlap = 5,
    /// Author affinity in parts × followed or not.
    AuthorAffinity = 6,
    DeviceDuration = 7,
    /// Hour of the day (UTC) × leading category.
    HourCategory = 8,
    /// Known only once a slate is made; see [`position_slot`].
    Position = 9,
}

impl SlotKind {
    /// Those of a candidate.
    pub(super) const ROW: [SlotKind; ROW_SLOT_COUNT] = [
        SlotKind::Item,
        SlotKind::Author,
        SlotKind::Category,
        SlotKind::UserCategory,
        SlotKind::UserAuthor,
        SlotKind::TagOverlap,
        SlotKind::AuthorAffinity,
        SlotKind::DeviceDuration,
        SlotKind::HourCategory,
    ];

    /// The name in explanations.
    pub(super) const fn name(self) -> &'static str {
        match self {
            SlotKind::Item => "item",
            SlotKind::Author => "author",
            SlotKind::Category => "category",
            SlotKind::UserCategory => "viewer_x_category",
            SlotKind::UserAuthor => "viewer_x_author",
            SlotKind::TagOverlap => "tag_overlap",
            SlotKind::AuthorAffinity => "author_affinity",
            SlotKind::DeviceDuration => "device_x_duration",
            SlotKind::HourCategory => "hour_x_category",
            SlotKind::Position => "position",
        }
    }

    const fn part(self) -> (u64, u64) {
        match self {
            SlotKind::Item | SlotKind::Author => (FEW_END, ITEMS_END - FEW_END),
            SlotKind::UserCategory | SlotKind::UserAuthor => (ITEMS_END, SLOT_SPACE as u64 - ITEMS_END),
            SlotKind::Category
            | SlotKind::TagOverlap
            | SlotKind::AuthorAffinity
            | SlotKind::DeviceDuration
            | SlotKind::HourCategory
            | SlotKind::Position => (0, FEW_END),
        }
    }
}

/// The hash of a name, as crosses know it; 0 stands for none.
#[must_use]
pub(crate) fn name_key(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The place of a cross. The key may be any hash.
#[inline]
pub(super) fn slot(kind: SlotKind, key: u64) -> u32 {
    // The finalizer of SplitMix64: neighbouring keys (parts, hours) must not fall into neighbouring places only.
    let mut mixed = key.wrapping_add((kind as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let (start, length) = kind.part();
    (start + (((mixed >> 32) * length) >> 32)) as u32
}

/// The place of a position in a slate.
pub(super) fn position_slot(position: u32) -> u32 {
    slot(SlotKind::Position, u64::from(position.min(POSITION_MAX)))
}

/// A key of two.
#[inline]
pub(super) fn crossed(one: u64, other: u64) -> u64 {
    one.rotate_left(23) ^ other.wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The part of an affinity.
#[inline]
fn affinity_part(value: f32) -> u64 {
    ((value + 1.0) * (AFFINITY_PARTS / 2.0)).clamp(0.0, AFFINITY_PARTS - 1.0) as u64
}

/// What crosses know of the viewer and the moment: the same for all candidates of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewerKeys {
    user: u64,
    device: u64,
    /// Hour of the day, UTC.
    hour: u64,
}

impl ViewerKeys {
    /// Those of a viewer at a moment, on the device that the request names, else the profile.
    #[must_use]
    pub fn of(session: &SessionState, device: Option<&str>, now: TimestampMs) -> Self {
        let device = device.or_else(|| session.described.as_ref().and_then(|user| user.device.as_deref()));
        Self {
            user: session.user.hash64(),
            device: device.map_or(0, name_key),
            hour: now.0.div_euclid(HOUR_MS).rem_euclid(24) as u64,
        }
    }

    /// The crosses with an item.
    #[inline]
    pub(super) fn slots(&self, entry: &Entry, features: &[f32; FEATURE_COUNT]) -> RowSlots {
        let value = |feature: Feature| features[feature.index()];
        let tags = affinity_part(value(Feature::TagAffinityShort));
        let categories = affinity_part(value(Feature::CategoryAffinityShort));
        let authors = affinity_part(value(Feature::AuthorAffinityShort));
        let followed = u64::from(value(Feature::FollowsAuthor) > 0.5);
        let (author, category) = (entry.author_key, entry.category_key);
        [
            slot(SlotKind::Item, entry.hash),
            slot(SlotKind::Author, author),
            slot(SlotKind::Category, category),
            slot(SlotKind::UserCategory, crossed(self.user, category)),
            slot(SlotKind::UserAuthor, crossed(self.user, author)),
            slot(SlotKind::TagOverlap, tags << 8 | categories),
            slot(SlotKind::AuthorAffinity, authors << 1 | followed),
            slot(
                SlotKind::DeviceDuration,
                device_duration_key(self.device, value(Feature::DurationLog)),
            ),
            slot(SlotKind::HourCategory, hour_category_key(self.hour, category)),
        ]
    }
}

fn device_duration_key(device: u64, duration_log: f32) -> u64 {
    crossed(
        device,
        (duration_log * DURATION_PARTS).clamp(0.0, DURATION_PARTS) as u64,
    )
}

/// The key of an hour of the day and a category.
pub(super) fn hour_category_key(hour: u64, category: u64) -> u64 {
    crossed(category, hour + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_has_a_place_in_the_part_of_its_kind(key: u64) {
            for kind in SlotKind::ROW.into_iter().chain([SlotKind::Position]) {
                let (start, length) = kind.part();
                let place = u64::from(slot(kind, key));
                prop_assert!((start..start + length).contains(&place), "{kind:?} {place}");
            }
            prop_assert!((slot(SlotKind::Item, key) as usize) < SLOT_SPACE);
        }
    }

    #[test]
    fn few_of_many_keys_share_a_place() {
        for kind in [SlotKind::Item, SlotKind::UserCategory] {
            let places: std::collections::BTreeSet<u32> = (0..10_000).map(|key| slot(kind, key)).collect();
            // 10 000 keys in 2^17 places: about 375 meet another by chance.
            assert!(places.len() > 9_450, "{kind:?} {}", places.len());
        }
    }

    #[test]
    fn affinities_and_positions_fall_into_parts() {
        assert_eq!([-1.0, -0.1, 0.0, 1.0, f32::NAN].map(affinity_part), [0, 3, 4, 7, 0]);
        assert_eq!(position_slot(15), position_slot(4_000));
        assert_ne!(position_slot(0), position_slot(1));
    }
}
