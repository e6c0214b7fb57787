//! What a viewer's events say beside the interest: behaviour and its labels, windows, habits.
//!
//! Owns the order of it and how it is read. What does not come about is not held: a viewer without a label, a signal or a
//! watch time costs nothing.

use super::{Applied, BehaviourEffects, Habits, Label, SessionState};
use crate::catalogue::{Entry, Vocabularies};
use crate::event::{Event, Signal};
use crate::ids::Row;
use crate::params::Params;
use crate::time::TimestampMs;

impl SessionState {
    /// Lets windows, habits and behaviour patterns see an event that has counted, and notes in `applied` what came of it.
    pub fn observe(
        &mut self,
        event: &Event,
        row: Row,
        entry: &Entry,
        params: &Params,
        words: &Vocabularies,
        applied: &mut Applied,
    ) {
        applied.is_late = !self.count_in_windows(event.signal, entry, event.at, params);
        if event.signal != Signal::Impression {
            let habits = self.habits.get_or_insert_default();
            habits.add(event.at, event.watch_ms.unwrap_or(0));
        }
        if params.patterns.is_empty() {
            return;
        }
        let behaviour = self.behaviour.get_or_insert_default();
        applied.labels_earned = behaviour.take(event, entry, row, params, words);
        if behaviour.is_empty() {
            self.behaviour = None;
        }
    }

    /// Counts a signal on an item in the windows. False when it came too late.
    pub fn count_in_windows(&mut self, signal: Signal, entry: &Entry, at: TimestampMs, params: &Params) -> bool {
        if !params.windows.enabled {
            return true;
        }
        let windows = self.windows.get_or_insert_default();
        windows.add(signal, &entry.categories, at, &params.windows)
    }

    /// The labels that live at that time.
    pub fn labels(&self, now: TimestampMs) -> impl Iterator<Item = &Label> {
        self.behaviour.iter().flat_map(move |behaviour| behaviour.labels(now))
    }

    /// Whether a label of that name lives at that time.
    #[must_use]
    pub fn has_label(&self, name: &str, now: TimestampMs) -> bool {
        self.labels(now).any(|label| *label.name == *name)
    }

    /// What the labels that live at that time do to a feed.
    #[must_use]
    pub fn behaviour_effects(&self, params: &Params, now: TimestampMs) -> BehaviourEffects {
        BehaviourEffects::of(self.behaviour.as_deref(), &params.patterns, now)
    }

    /// Lets go of what a viewer who does nothing will not need again at that time.
    pub fn rest(&mut self, now: TimestampMs, params: &Params) {
        if let Some(behaviour) = &mut self.behaviour {
            behaviour.rest(now, params);
            if behaviour.is_empty() {
                self.behaviour = None;
            }
        }
        if let Some(windows) = &mut self.windows {
            windows.rest(now);
            if windows.is_empty() {
                self.windows = None;
            }
        }
    }

    /// When and how long the viewer watches, as far as it is known.
    #[must_use]
    pub fn habits(&self) -> Habits {
        self.habits.as_deref().copied().unwrap_or_default()
    }
}
