//! What was shown and what came of it, in the numbers the features need.
//!
//! Owns the lanes of an outcome and the description of an impression. Must not know how either is counted.

use serde::{Deserialize, Serialize};

/// What the viewer did with an impression; the first [`LABEL_COUNT`] are predicted, the rest are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(usize)]
pub enum Lane {
    /// Watched long (or to the end).
    LongView = 0,
    /// Liked.
    Like = 1,
    /// Opened, or stayed when it began by itself.
    Click = 2,
    /// Swiped away at once.
    Skip = 3,
    /// Any rarer sign of interest: follow, comment, share, visit to the author's page.
    Engaged = 4,
    /// Share of the duration that was watched, 0..=[`WATCH_RATIO_MAX`]; a mean, not a probability.
    WatchRatio = 5,
}

/// Lanes that are predicted.
pub const LABEL_COUNT: usize = 4;
/// All lanes.
pub const LANE_COUNT: usize = 6;
/// A video watched more often than this is counted as this.
pub const WATCH_RATIO_MAX: f32 = 3.0;
/// Names of the predicted lanes, in order.
pub const LABEL_NAMES: [&str; LABEL_COUNT] = ["long_view", "is_like", "is_click", "skip"];

/// One number per lane: 0 or 1 for the events, a ratio for the last.
pub type LaneRow = [f32; LANE_COUNT];

/// What can be counted of an outcome: events lie in 0..=1, the ratio in 0..=[`WATCH_RATIO_MAX`], what is no number is 0.
#[must_use]
pub fn bounded(outcome: &LaneRow) -> LaneRow {
    std::array::from_fn(|lane| {
        let most = if lane == Lane::WatchRatio as usize {
            WATCH_RATIO_MAX
        } else {
            1.0
        };
        let value = outcome[lane];
        if value.is_nan() { 0.0 } else { value.clamp(0.0, most) }
    })
}

/// An item shown to a viewer at a moment, before anything is known of what comes of it.
///
/// An id of 0 means "not known" everywhere, so a log without that column runs through the same code.
#[derive(Debug, Clone, Copy)]
pub struct Impression<'a> {
    /// When, milliseconds of the epoch.
    pub at_ms: i64,
    /// The item.
    pub item: u64,
    /// Its author.
    pub author: u64,
    /// Its tags; the first [`TAGS_MAX`] count.
    pub tags: &'a [u64],
    /// The surface it is shown on (tab, page, device class).
    pub surface: u64,
    /// Its length; 0 when unknown.
    pub duration_ms: u32,
    /// When it was uploaded.
    pub uploaded_at_ms: Option<i64>,
    /// Hashed categorical attributes of the item, one per column; 0 is missing.
    pub item_attributes: &'a [u64],
    /// Hashed categorical attributes of the viewer, one per column; 0 is missing.
    pub viewer_attributes: &'a [u64],
}

/// Tags of an item beyond this are not looked at.
pub const TAGS_MAX: usize = 4;
/// Attribute columns of a viewer and of an item beyond this are not looked at.
pub const ATTRIBUTES_MAX: usize = 32;

impl Impression<'_> {
    /// The tags that count.
    pub fn counted_tags(&self) -> impl Iterator<Item = u64> + '_ {
        self.tags.iter().copied().take(TAGS_MAX)
    }

    /// Attributes of the item that are known.
    pub fn known_item_attributes(&self) -> impl Iterator<Item = u64> + '_ {
        self.item_attributes
            .iter()
            .copied()
            .take(ATTRIBUTES_MAX)
            .filter(|&attribute| attribute != 0)
    }

    /// Attributes of the viewer that are known.
    pub fn known_viewer_attributes(&self) -> impl Iterator<Item = u64> + '_ {
        self.viewer_attributes
            .iter()
            .copied()
            .take(ATTRIBUTES_MAX)
            .filter(|&attribute| attribute != 0)
    }

    /// The duration's bucket: about half octaves between 4 s and 6 min; 0 is unknown.
    #[must_use]
    pub fn duration_bucket(&self) -> usize {
        duration_bucket(self.duration_ms)
    }
}

/// Buckets of [`duration_bucket`].
pub const DURATION_BUCKETS: usize = 14;

/// The bucket of a duration: half octaves, ends open; 0 is unknown.
#[must_use]
pub fn duration_bucket(duration_ms: u32) -> usize {
    if duration_ms == 0 {
        return 0;
    }
    let half_octaves = ((duration_ms as f32 / 4_000.0).log2() * 2.0).floor();
    (half_octaves.clamp(0.0, (DURATION_BUCKETS - 2) as f32)) as usize + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_duration_has_its_own_bucket() {
        assert_eq!(duration_bucket(0), 0);
        assert_eq!(duration_bucket(1), 1);
        assert_eq!(duration_bucket(u32::MAX), DURATION_BUCKETS - 1);
    }

    #[test]
    fn a_wild_outcome_is_bounded() {
        let wild = [f32::NAN, f32::INFINITY, -3.0, 0.25, 1.0, 1e30];
        assert_eq!(bounded(&wild), [0.0, 1.0, 0.0, 0.25, 1.0, WATCH_RATIO_MAX]);
    }

    proptest! {
        #[test]
        fn buckets_rise_with_the_duration(one in 1_u32.., other in 1_u32..) {
            let (short, long) = (one.min(other), one.max(other));
            prop_assert!(duration_bucket(short) <= duration_bucket(long));
            prop_assert!(duration_bucket(long) < DURATION_BUCKETS);
        }
    }
}
