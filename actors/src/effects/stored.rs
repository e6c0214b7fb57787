//! Effects in the snapshots: one row per time slot and one per variant, written with every checkpoint.
//!
//! A row says up to which journal number it holds everything: what a checkpoint's cut leaves behind is counted apart until
//! the rows are made.

use std::ops::ControlFlow;
use std::sync::Arc;

use swipeline_models::effect::{Level, Levels, StoredSlot, Vocabulary};
use swipeline_models::experiment::StoredArm;
use swipeline_models::time::TimestampMs;
use swipeline_storage::{SnapshotError, SnapshotOp, Tree};

use super::{Changed, Effects, Taken};
use crate::records::{decode_bytes, encode, encode_named};
use crate::shared::{Shared, SharedRef, report_damage};

/// The first byte of the key of a variant's row; those of slots have their level's number there.
const ARM_KEY: u8 = b'a';

/// What a checkpoint has taken out of the effects. What is dropped before it was written goes back: a checkpoint may fail,
/// or be broken off at any `await`.
pub(crate) struct PendingEffects {
    shared: SharedRef,
    changed: Changed,
    rows: Vec<SnapshotOp>,
    is_written: bool,
}

/// Takes out what has changed since the last checkpoint; everything up to the cut is in it, and nothing beyond it.
pub(crate) fn take_effects(shared: &SharedRef, cut: &EffectsCut<'_>) -> PendingEffects {
    let taken = shared.effects.take_changed(cut.0);
    PendingEffects {
        shared: shared.clone(),
        changed: taken.changed(),
        rows: rows_of(&taken, cut.0),
        is_written: false,
    }
    // The cut ends only when the slots are encoded: one that somebody looks at is copied whole when it is counted in.
}

/// What lies behind a journal number is counted apart while this lives.
pub(crate) struct EffectsCut<'a>(u64, &'a Effects);

impl<'a> EffectsCut<'a> {
    /// Begins at the highest number that was handed out; nobody may be between journal and effects.
    pub(crate) fn begin(effects: &'a Effects, cut: u64) -> Self {
        effects.begin_cut(cut);
        Self(cut, effects)
    }
}

impl Drop for EffectsCut<'_> {
    fn drop(&mut self) {
        self.1.end_cut();
    }
}

fn rows_of(taken: &Taken, cut: u64) -> Vec<SnapshotOp> {
    let names = Vocabulary {
        categories: &taken.categories,
        variants: &taken.variants,
        regions: &taken.regions,
    };
    let slots = taken.slots.iter().map(|(level, slot)| {
        let place = Levels::place(*level, slot.number()).to_be_bytes();
        let stored = StoredSlot::of(slot, cut, &names);
        (vec![*level as u8, place[0], place[1]], encode(&stored))
    });
    let arms = taken.arms.iter().map(|(arm, stored)| {
        let mut key = vec![ARM_KEY];
        key.extend_from_slice(&arm.to_be_bytes());
        (key, encode_named(stored))
    });
    let put = |(key, value)| SnapshotOp::Put {
        tree: Tree::Effects,
        key,
        value,
    };
    slots.chain(arms).map(put).collect()
}

impl PendingEffects {
    /// The rows to be written; there are none left afterwards.
    pub(crate) fn take_rows(&mut self) -> Vec<SnapshotOp> {
        std::mem::take(&mut self.rows)
    }

    /// The rows are in the store.
    pub(crate) fn are_written(mut self) {
        self.is_written = true;
    }
}

impl Drop for PendingEffects {
    fn drop(&mut self) {
        if !self.is_written {
            self.shared.effects.put_back(&self.changed);
        }
    }
}

/// Takes up the effects from the snapshots; what is too old is left out.
pub(crate) fn load_effects(shared: &Shared, now: TimestampMs) -> Result<(), SnapshotError> {
    let mut inner = shared.effects.inner.lock();
    let inner = &mut *inner;
    let store = &shared.storage.snapshots;
    store.for_each(Tree::Effects, &mut |key, value| {
        match key.first().copied() {
            Some(ARM_KEY) => match decode_bytes::<StoredArm>(value) {
                Ok(stored) => inner.sums.arms.restore(&stored),
                Err(error) => report_damage("experiment", &error),
            },
            number => match (number.and_then(Level::from_number), decode_bytes::<StoredSlot>(value)) {
                (Some(level), Ok(stored)) if Levels::is_kept(level, stored.number(), now) => {
                    let slot = stored.restore(
                        Arc::make_mut(&mut inner.categories.names),
                        Arc::make_mut(&mut inner.variants),
                        Arc::make_mut(&mut inner.regions.names),
                    );
                    inner.sums.levels.restore(level, slot);
                }
                (Some(_), Ok(_)) => {}
                (None, _) => report_damage("effects", &"a row of an unknown kind"),
                (Some(_), Err(error)) => report_damage("effects", &error),
            },
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
