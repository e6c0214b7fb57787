//! The weights as requests read them: an immutable snapshot that the learner exchanges.
//!
//! Owns its layout: the weights of all objectives for one input lie side by side, and crosses in pages that snapshots
//! share until one of them changes. Reading takes no lock and no memory. Must not learn.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::guard::Level;
use super::inputs::{COLLABORATIVE, INPUT_COUNT, PRE_RANK, channel_input, scale_of};
use super::lanes::{LANES, Lanes};
use super::slots::{ROW_SLOT_COUNT, RowSlots, SLOT_SPACE};
use crate::features::schema::FEATURE_COUNT;
use crate::rank::OBJECTIVE_COUNT;
use crate::recall::{CHANNEL_COUNT, Channel, ChannelSet};

/// Crosses in a page: 16 KiB.
pub(super) const PAGE_SLOTS: usize = 512;
/// Pages of a snapshot.
pub const PAGE_COUNT: usize = SLOT_SPACE / PAGE_SLOTS;

/// Weights of neighbouring crosses; aligned so that none of them lies across two lines of memory.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(64))]
pub(super) struct Page(pub(super) [Lanes; PAGE_SLOTS]);

/// Weights of all crosses.
#[derive(Debug, Clone)]
pub(super) struct Pages(Vec<Arc<Page>>);

impl Default for Pages {
    /// All 0; the pages are one.
    fn default() -> Self {
        let page = Arc::new(Page([[0.0; LANES]; PAGE_SLOTS]));
        Self(std::iter::repeat_n(page, PAGE_COUNT).collect())
    }
}

impl Pages {
    /// The weights of a cross.
    #[inline]
    pub(super) fn read(&self, slot: u32) -> &Lanes {
        let slot = slot as usize % SLOT_SPACE;
        &self.0[slot / PAGE_SLOTS].0[slot % PAGE_SLOTS]
    }

    /// The same to be changed; a page that a snapshot shares is copied first.
    pub(super) fn write(&mut self, slot: u32) -> &mut Lanes {
        let slot = slot as usize % SLOT_SPACE;
        &mut Arc::make_mut(&mut self.0[slot / PAGE_SLOTS]).0[slot % PAGE_SLOTS]
    }

    /// Pages that are not shared with `other`.
    #[cfg(test)]
    pub(super) fn differing(&self, other: &Pages) -> usize {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
    }
}

/// What the learner has published.
#[derive(Debug, Clone)]
pub struct Published {
    /// By what each objective is served.
    pub(super) levels: [Level; OBJECTIVE_COUNT],
    pub(super) scale: Lanes,
    pub(super) bias: Lanes,
    /// What the neutral values of the inputs and the reference position add.
    pub(super) offset: Lanes,
    /// What the reference position adds, contained in `offset`.
    pub(super) reference: Lanes,
    /// Weights of raw feature values: the inputs' scale is folded in.
    pub(super) features: [Lanes; FEATURE_COUNT],
    pub(super) pre_rank: Lanes,
    pub(super) collaborative: Lanes,
    pub(super) channels: [Lanes; CHANNEL_COUNT],
    pub(super) pages: Pages,
}

impl Default for Published {
    /// Everything is served by the model.
    fn default() -> Self {
        let pages = Pages::default();
        Self::new(
            [Level::Model; OBJECTIVE_COUNT],
            ([0.0; LANES], [0.0; LANES]),
            &[[0.0; LANES]; INPUT_COUNT],
            &pages,
            0,
        )
    }
}

impl Published {
    /// A snapshot. `reference` is the cross that stands for the position that items are scored for.
    pub(super) fn new(
        levels: [Level; OBJECTIVE_COUNT],
        (scale, bias): (Lanes, Lanes),
        weights: &[Lanes; INPUT_COUNT],
        pages: &Pages,
        reference: u32,
    ) -> Self {
        let mut offset = *pages.read(reference);
        let mut folded = *weights;
        for (input, row) in folded.iter_mut().enumerate().take(COLLABORATIVE + 1) {
            let of = scale_of(input);
            for lane in 0..LANES {
                row[lane] *= of.scale;
                offset[lane] -= row[lane] * of.neutral;
            }
        }
        Self {
            levels,
            scale,
            bias,
            offset,
            reference: *pages.read(reference),
            features: std::array::from_fn(|column| folded[column]),
            pre_rank: folded[PRE_RANK],
            collaborative: folded[COLLABORATIVE],
            channels: Channel::ALL.map(|channel| folded[channel_input(channel)]),
            pages: pages.clone(),
        }
    }

    /// By what each objective is served.
    #[must_use]
    pub fn levels(&self) -> [Level; OBJECTIVE_COUNT] {
        self.levels
    }

    /// Whether any objective is served by more than the model.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.levels.iter().any(|level| *level > Level::Model)
    }

    /// Brings the weights of these crosses, which come from far, into the caches: a loop that only loads waits for many
    /// of them at a time.
    pub(super) fn fetch<'a>(&self, slots: impl Iterator<Item = &'a RowSlots>) {
        let first = |slot: &u32| self.pages.read(*slot)[0].to_bits();
        std::hint::black_box(slots.flatten().fold(0, |seen, slot| seen ^ first(slot)));
    }

    /// What features, channels and crosses add to the calibrated log-odds.
    #[inline(always)]
    pub(super) fn residual(
        &self,
        features: &[f32; FEATURE_COUNT],
        pre_rank: f32,
        collaborative: f32,
        channels: ChannelSet,
        slots: &RowSlots,
    ) -> Lanes {
        let mut sum = self.offset;
        let rows: [&Lanes; ROW_SLOT_COUNT] = std::array::from_fn(|place| self.pages.read(slots[place]));
        for (weights, value) in self.features.iter().zip(features) {
            add_scaled(&mut sum, weights, *value);
        }
        add_scaled(&mut sum, &self.pre_rank, pre_rank);
        add_scaled(&mut sum, &self.collaborative, collaborative);
        for channel in channels.iter() {
            add_scaled(&mut sum, &self.channels[channel.number()], 1.0);
        }
        for row in rows {
            add_scaled(&mut sum, row, 1.0);
        }
        sum
    }
}

#[inline(always)]
fn add_scaled(sum: &mut Lanes, weights: &Lanes, value: f32) {
    for lane in 0..LANES {
        sum[lane] += weights[lane] * value;
    }
}

/// Where the newest snapshot stands.
#[derive(Debug, Default)]
pub struct LearnerSlot {
    current: ArcSwap<Published>,
}

impl LearnerSlot {
    /// The newest snapshot.
    pub fn load(&self) -> Guard<Arc<Published>> {
        self.current.load()
    }

    /// Exchanges the snapshot.
    pub fn publish(&self, published: Published) {
        self.current.store(Arc::new(published));
    }
}
