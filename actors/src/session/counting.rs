//! What this viewer's events count as: found out before they are journaled, counted after.

use rustc_hash::FxHashSet;
use swipeline_models::effect::{POSITION_UNKNOWN, position_bucket};
use swipeline_models::event::{Event, Signal};
use swipeline_models::ids::Row;
use swipeline_models::session::{ServedItem, SessionState, VARIANT_UNKNOWN};
use swipeline_models::time::TimestampMs;

use super::actor::SessionActor;
use crate::clock;
use crate::effects::{Counted, EffectMark, VISIT_GAP_MS};

impl SessionActor {
    /// What events that are about to be journaled together count as.
    pub(super) fn marks_of_events(&self, events: &[(Event, Row)]) -> Vec<EffectMark> {
        let now = clock::now();
        let mut marks = Vec::with_capacity(events.len());
        let (mut shown, mut taken_up) = (FxHashSet::default(), FxHashSet::default());
        for (place, (event, row)) in events.iter().enumerate() {
            let hash = event.item.hash64();
            let is_shown = !shown.insert(hash) || self.state.exposure.contains(hash);
            let is_taken_up = takes_up(event.signal)
                && taken_up.insert(hash)
                && !self
                    .state
                    .recent
                    .iter()
                    .any(|known| known.row == *row && takes_up(known.signal));
            let mut mark = self.mark_of(self.state.served.find(hash));
            if mark.position == POSITION_UNKNOWN
                && let Some(position) = event.position
            {
                mark.position = position_bucket(position);
            }
            mark.lag_ms = now.since(event.at);
            let is_new_visit = place == 0 && is_new_visit(&self.state, now);
            marks.push(mark.with_firsts(!is_shown, is_taken_up, is_new_visit));
        }
        marks
    }

    /// Which of events that are about to be journaled together report once more what was reported as shown before.
    pub(super) fn repeated_showings(&self, events: &[(Event, Row)]) -> Vec<bool> {
        let mut reported = FxHashSet::default();
        let repeats = events.iter().map(|(event, _)| {
            let hash = event.item.hash64();
            event.signal == Signal::Impression && !(self.state.impression_is_due(hash) && reported.insert(hash))
        });
        repeats.collect()
    }

    /// What items count as that are about to be journaled as shown.
    pub(super) fn marks_of_shown(&self, items: &[&ServedItem], at: TimestampMs) -> Vec<EffectMark> {
        let marks = items.iter().enumerate().map(|(place, item)| {
            let is_new_visit = place == 0 && is_new_visit(&self.state, at);
            let newly_shown = !self.state.exposure.contains(item.hash);
            self.mark_of(Some(item)).with_firsts(newly_shown, false, is_new_visit)
        });
        marks.collect()
    }

    /// Lets a signal count for the viewer and in the effects.
    pub(super) fn count(&mut self, mark: &EffectMark, counted: &Counted) {
        let units = mark.count_viewer(&mut self.state, &counted.counts, counted.at);
        mark.count_effect(&self.shared, counted, &units);
    }

    /// By what the item was served; by the viewer's present variants when it was not served lately, or nobody knows any
    /// more under which.
    fn mark_of(&self, served: Option<&ServedItem>) -> EffectMark {
        let tag = served.map(|item| item.variant).filter(|tag| *tag != VARIANT_UNKNOWN);
        let tag = tag.unwrap_or_else(|| self.variant().tag);
        let (variant, arms) = match self.shared.effects.tagged(tag) {
            Some((label, arms)) => (label.as_ref().to_owned(), arms.to_vec()),
            None => Default::default(),
        };
        EffectMark {
            channels: served.map(|item| item.channels).unwrap_or_default(),
            position: served.map_or(POSITION_UNKNOWN, |item| item.position),
            variant,
            arms,
            ..EffectMark::default()
        }
    }
}

/// A view, or anything that says that the viewer wants more.
fn takes_up(signal: Signal) -> bool {
    signal == Signal::View || signal.is_positive()
}

fn is_new_visit(state: &SessionState, now: TimestampMs) -> bool {
    now.since(state.visit_at) > VISIT_GAP_MS
}
