//! What a cell's counts are of.

use super::names::{Code, NO_NAME, OTHER_NAME};
use crate::recall::ChannelSet;

/// Positions in a feed are told apart up to here, beyond that in ranges.
const BUCKETS: [(u32, &str); 7] = [
    (0, "0"),
    (1, "1"),
    (2, "2"),
    (4, "3-4"),
    (9, "5-9"),
    (19, "10-19"),
    (u32::MAX, "20+"),
];
/// Nobody said where the item stood.
pub const POSITION_UNKNOWN: u8 = 254;
/// Positions that were given up to bound memory.
pub(super) const POSITION_OTHER: u8 = 255;

/// What a cell's counts are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CellKey {
    /// The recall channels that had named the item.
    pub channels: ChannelSet,
    /// The item's leading category.
    pub category: Code,
    /// The viewer's variants, all layers together.
    pub variant: Code,
    /// The viewer's region.
    pub region: Code,
    /// Where the item stood, as [`position_bucket`] says.
    pub position: u8,
}

/// What effects can be grouped and filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Recall channel; an item that several named counts for each.
    Channel,
    /// Leading category.
    Category,
    /// Experiment variant; a viewer in several layers counts for each.
    Variant,
    /// Position in the feed.
    Position,
    /// The viewer's region.
    Region,
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Dimension; 5] = [
        Dimension::Channel,
        Dimension::Category,
        Dimension::Variant,
        Dimension::Position,
        Dimension::Region,
    ];

    /// The name in queries and replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dimension::Channel => "channel",
            Dimension::Category => "category",
            Dimension::Variant => "variant",
            Dimension::Position => "position",
            Dimension::Region => "region",
        }
    }

    /// The dimension of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl Default for CellKey {
    fn default() -> Self {
        Self {
            channels: ChannelSet::default(),
            category: NO_NAME,
            variant: NO_NAME,
            region: NO_NAME,
            position: POSITION_UNKNOWN,
        }
    }
}

impl CellKey {
    /// The key without what tells most cells apart.
    pub(super) fn coarse(self) -> Self {
        Self {
            category: OTHER_NAME,
            region: OTHER_NAME,
            position: POSITION_OTHER,
            ..self
        }
    }

    /// The key with nothing but the variant left.
    pub(super) fn coarsest(self) -> Self {
        Self {
            channels: ChannelSet::default(),
            ..self.coarse()
        }
    }
}

/// The bucket of a position, from 0.
#[must_use]
pub fn position_bucket(position: u32) -> u8 {
    let bucket = BUCKETS.iter().position(|(last, _)| position <= *last);
    bucket
        .and_then(|bucket| u8::try_from(bucket).ok())
        .unwrap_or(POSITION_UNKNOWN)
}

/// The name of a bucket.
pub(super) fn position_name(bucket: u8) -> &'static str {
    match bucket {
        POSITION_UNKNOWN => "unknown",
        bucket => BUCKETS.get(usize::from(bucket)).map_or("other", |(_, name)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_have_names() {
        let name = |position| position_name(position_bucket(position));
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 19, 20, u32::MAX].map(name),
            ["0", "1", "2", "3-4", "3-4", "5-9", "10-19", "20+", "20+"]
        );
        assert_eq!(
            (position_name(POSITION_UNKNOWN), position_name(POSITION_OTHER)),
            ("unknown", "other")
        );
    }
}
