//! What is kept of a served item until its outcome is known: all that was known of it then, in 136 bytes.
//!
//! Owns the compact form. Features are rounded to bfloat16 (three digits); a model that learns from outcomes cannot tell
//! the difference. Must not know what came of it; see [`super::PendingOutcomes`].

use super::inputs::{Inputs, inputs};
use super::lanes::{Lanes, log_odds, padded};
use super::slots::{ROW_SLOT_COUNT, RowSlots, ViewerKeys, position_slot};
use crate::catalogue::Entry;
use crate::features::schema::FEATURE_COUNT;
use crate::online::{from_half, to_half};
use crate::rank::{OBJECTIVE_COUNT, ObjectiveRow};
use crate::recall::ChannelSet;

/// What came of each objective, 0 to 1; `None` where it is not known.
pub type Labels = [Option<f32>; OBJECTIVE_COUNT];

/// An item as it was served.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedRow {
    /// The hash of its id.
    pub(super) hash: u64,
    slots: RowSlots,
    /// Its playing time; 0 when unknown.
    pub(super) duration_ms: u32,
    features: [u16; FEATURE_COUNT],
    pre_rank: u16,
    collaborative: u16,
    /// What the model said, as log-odds and without any correction.
    log_odds: [u16; OBJECTIVE_COUNT],
    channels: ChannelSet,
    position: u16,
}

/// A served item and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The item as it was served.
    pub row: ServedRow,
    /// What came of it.
    pub labels: Labels,
}

/// What an item was ranked by.
#[derive(Debug, Clone, Copy)]
pub struct RankedBy<'a> {
    /// Its feature row.
    pub features: &'a [f32; FEATURE_COUNT],
    /// The cheap score.
    pub pre_rank: f32,
    /// What the collaborative channels say.
    pub collaborative: f32,
    /// The channels that named it.
    pub channels: ChannelSet,
    /// What the model said, without any correction.
    pub predicted: &'a ObjectiveRow,
}

impl ServedRow {
    /// Takes down an item that is served at a position of a slate.
    #[must_use]
    pub fn new(viewer: &ViewerKeys, entry: &Entry, ranked: &RankedBy<'_>, position: usize) -> Self {
        let odds = log_odds(padded(ranked.predicted));
        Self {
            hash: entry.hash,
            slots: viewer.slots(entry, ranked.features),
            duration_ms: entry.duration_ms,
            features: ranked.features.map(to_half),
            pre_rank: to_half(ranked.pre_rank),
            collaborative: to_half(ranked.collaborative),
            log_odds: std::array::from_fn(|objective| to_half(odds[objective])),
            channels: ranked.channels,
            position: u16::try_from(position).unwrap_or(u16::MAX),
        }
    }

    /// The dense inputs.
    pub(super) fn inputs(&self) -> Inputs {
        inputs(
            &self.features.map(from_half),
            from_half(self.pre_rank),
            from_half(self.collaborative),
            self.channels,
        )
    }

    /// The crosses, that of the position included.
    pub(super) fn slots(&self) -> [u32; ROW_SLOT_COUNT + 1] {
        let position = position_slot(u32::from(self.position));
        std::array::from_fn(|place| self.slots.get(place).copied().unwrap_or(position))
    }

    /// What the model said.
    pub(super) fn model_log_odds(&self) -> Lanes {
        padded(&self.log_odds.map(from_half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_served_row_takes_as_much_memory_as_is_documented() {
        assert_eq!(size_of::<ServedRow>(), 136);
    }
}
