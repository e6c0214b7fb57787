//! What an event counts as, kept with it in the journal, so that reading the journal again counts the same.
//!
//! Only what cannot be found out later: when it arrived, under which variant and channels the item had been served and
//! where it stood, and whether it was the item's first impression, the first sign of interest, the first of a session.

use serde::{Deserialize, Serialize};
use swipeline_models::effect::{Counts, Happening};
use swipeline_models::event::Signal;
use swipeline_models::experiment::UnitTotals;
use swipeline_models::ids::{Row, Word};
use swipeline_models::recall::ChannelSet;
use swipeline_models::session::SessionState;
use swipeline_models::time::{HOUR_MS, MINUTE_MS, TimestampMs};

use super::{Effect, UnitChange};
use crate::shared::Shared;

/// A session ends after so long without anything, in milliseconds: the usual limit of web analytics.
pub(crate) const VISIT_GAP_MS: i64 = 30 * MINUTE_MS;
/// What arrives later than this after its own time is history: it counts when it happened, so that an import is not the
/// click rate of the last hour. What is less late counts when it arrived: clocks of phones are wrong by minutes.
const LATE_MS_MAX: i64 = HOUR_MS;

const NEWLY_SHOWN: u8 = 1;
const TAKEN_UP: u8 = 2;
const NEW_VISIT: u8 = 4;

/// What an event counts as; fields in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EffectMark {
    /// How long after its own time the event arrived, in milliseconds.
    pub(crate) lag_ms: i64,
    pub(crate) flags: u8,
    pub(crate) channels: ChannelSet,
    pub(crate) position: u8,
    /// The viewer's variants; empty for none.
    pub(crate) variant: String,
    /// The variants whose statistics count the viewer.
    pub(crate) arms: Vec<u64>,
}

/// What a journaled signal counts.
pub(crate) struct Counted {
    pub(crate) counts: Counts,
    /// On which item.
    pub(crate) row: Row,
    /// Its own time.
    pub(crate) at: TimestampMs,
    /// Where the viewer was.
    pub(crate) region: Option<Word>,
    /// Its journal number.
    pub(crate) sequence: u64,
}

impl EffectMark {
    /// Says which first the event is.
    #[must_use]
    pub(crate) fn with_firsts(mut self, newly_shown: bool, taken_up: bool, new_visit: bool) -> Self {
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        self.flags = flag(newly_shown, NEWLY_SHOWN) | flag(taken_up, TAKEN_UP) | flag(new_visit, NEW_VISIT);
        self
    }

    /// What it adds.
    #[must_use]
    pub(crate) fn counts(&self, signal: Signal, watch_ms: u32) -> Counts {
        let happening = Happening {
            signal,
            watch_ms,
            newly_shown: self.flags & NEWLY_SHOWN != 0,
            taken_up: self.flags & TAKEN_UP != 0,
            new_visit: self.flags & NEW_VISIT != 0,
        };
        happening.counts()
    }

    /// When it arrived.
    #[must_use]
    pub(crate) fn arrived(&self, at: TimestampMs) -> TimestampMs {
        at.plus_ms(self.lag_ms)
    }

    /// The time that it counts at in the effects.
    fn counts_at(&self, at: TimestampMs) -> TimestampMs {
        if self.lag_ms > LATE_MS_MAX {
            at
        } else {
            self.arrived(at)
        }
    }

    /// Lets counts count for the viewer: the totals under every variant, before and after.
    pub(crate) fn count_viewer(&self, state: &mut SessionState, counts: &Counts, at: TimestampMs) -> Vec<UnitChange> {
        state.visit_at = state.visit_at.max(self.arrived(at));
        let delta = UnitTotals::of(counts);
        let change = |arm: &u64| {
            let (before, after) = state.units.add(*arm, &delta);
            UnitChange {
                arm: *arm,
                before,
                after,
            }
        };
        self.arms.iter().map(change).collect()
    }

    /// Lets counts count in the effects.
    pub(crate) fn count_effect(&self, shared: &Shared, counted: &Counted, units: &[UnitChange]) {
        let catalogue = shared.world.catalogue.load();
        let category = catalogue
            .entry(counted.row)
            .and_then(|entry| entry.categories.first().copied());
        let effect = Effect {
            sequence: counted.sequence,
            at: self.counts_at(counted.at),
            counts: counted.counts,
            channels: self.channels,
            position: self.position,
            variant: &self.variant,
            category,
            region: counted.region,
        };
        let words = shared.world.catalogue.words();
        shared.effects.record(&effect, units, &words.categories, &words.regions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::time::DAY_MS;

    #[test]
    fn history_counts_when_it_happened_and_what_is_a_little_late_when_it_arrived() {
        let at = TimestampMs(50 * DAY_MS);
        let counts_at = |lag_ms| {
            let mark = EffectMark {
                lag_ms,
                ..EffectMark::default()
            };
            mark.counts_at(at)
        };
        assert_eq!(counts_at(DAY_MS), at);
        assert_eq!(counts_at(10 * MINUTE_MS), at.plus_ms(10 * MINUTE_MS));
        assert_eq!(counts_at(-DAY_MS), at.plus_ms(-DAY_MS), "from a clock that is ahead");
    }
}
