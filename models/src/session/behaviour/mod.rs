//! Behaviour patterns of one viewer: complex event processing in event time, and the labels that patterns earn.
//!
//! Owns the last events that patterns look at, and the labels with their lifetimes. A pattern is judged when an event
//! arrives that it takes, over the few events around it in the order of their own time, so that a late event counts where
//! it belongs. Costs some tens of nanoseconds a pattern; memory is bounded, and nothing is held while nothing matched.
//! Must not know what other parts make of a label.

mod effects;
mod label;
mod matcher;
mod step;
#[cfg(test)]
mod tests;

pub use effects::BehaviourEffects;
use label::LABELS_MAX;
pub use label::Label;
pub use step::BehaviourSnapshot;

use self::matcher::match_at;
use self::step::Step;
use crate::catalogue::{Entry, Vocabularies};
use crate::event::Event;
use crate::ids::Row;
use crate::params::{Params, PatternKind, PatternParams};
use crate::time::TimestampMs;

/// The most events that patterns look back on; of more the oldest go.
const STEPS_MAX: usize = 64;
/// How many more events find room at a time.
const STEPS_GROWTH: usize = 8;

/// What patterns know of one viewer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    /// The last events that a pattern may take, in the order of their own time.
    steps: Vec<Step>,
    /// What was earned, in the order of earning.
    labels: Vec<Label>,
}

impl Behaviour {
    /// Takes an event. Returns how many labels it earned or prolonged.
    pub fn take(&mut self, event: &Event, entry: &Entry, row: Row, params: &Params, words: &Vocabularies) -> usize {
        let patterns = &params.patterns;
        let is_asked = |pattern: &PatternParams| {
            let in_steps = || pattern.steps.iter().any(|step| step.signals.contains(&event.signal));
            pattern.signals.contains(&event.signal) || pattern.broken_by.contains(&event.signal) || in_steps()
        };
        if !patterns.iter().any(is_asked) {
            return 0;
        }
        let horizon_ms =
            patterns.iter().map(|pattern| pattern.within_ms).max().unwrap_or(0) + params.windows.lateness_ms;
        let Some(place) = self.insert(Step::of(event, entry, row), horizon_ms) else {
            return 0;
        };
        let mut earned = 0;
        for pattern in patterns {
            if pattern.kind == PatternKind::Run && pattern.broken_by.contains(&event.signal) {
                self.end_run(pattern, event.at);
            }
            if let Some(found) = match_at(&self.steps, place, pattern, words)
                && let Some(label) = Label::earned(pattern, &found, words)
            {
                earned += 1;
                self.earn(label, event.at);
            }
        }
        earned
    }

    /// The labels that live at that time, in the order of earning.
    pub fn labels(&self, now: TimestampMs) -> impl Iterator<Item = &Label> {
        self.labels.iter().filter(move |label| label.expires_at > now)
    }

    /// Lets go of what can play no part any more at that time: expired labels, and all events if they are older than
    /// any pattern looks back.
    pub fn rest(&mut self, now: TimestampMs, params: &Params) {
        self.labels.retain(|label| label.expires_at > now);
        let within_ms = params
            .patterns
            .iter()
            .map(|pattern| pattern.within_ms)
            .max()
            .unwrap_or(0);
        let is_over = |step: &Step| now.since(step.at) > within_ms + params.windows.lateness_ms;
        if self.steps.last().is_none_or(is_over) {
            self.steps = Vec::new();
        }
        self.steps.shrink_to_fit();
        self.labels.shrink_to_fit();
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.labels.is_empty()
    }

    /// Puts a step in its place by time. `None` when it is too old for any pattern.
    fn insert(&mut self, step: Step, horizon_ms: i64) -> Option<usize> {
        let newest = self.steps.last().map_or(step.at, |newest| newest.at.max(step.at));
        let is_old = |known: &Step| newest.since(known.at) > horizon_ms;
        if self.steps.first().is_some_and(is_old) {
            let old = self.steps.iter().take_while(|known| is_old(known)).count();
            self.steps.drain(..old);
        }
        if is_old(&step) {
            return None;
        }
        let place = self.steps.iter().rposition(|known| known.at <= step.at);
        let place = place.map_or(0, |before| before + 1);
        if self.steps.len() < STEPS_MAX {
            if self.steps.len() == self.steps.capacity() {
                self.steps.reserve_exact(STEPS_GROWTH);
            }
            self.steps.insert(place, step);
            return Some(place);
        }
        // The oldest makes room, unless that is the new one.
        let place = place.checked_sub(1)?;
        self.steps.copy_within(1..=place, 0);
        self.steps[place] = step;
        Some(place)
    }

    /// A label of the same name is prolonged.
    fn earn(&mut self, label: Label, now: TimestampMs) {
        if let Some(known) = self.labels.iter_mut().find(|known| known.name == label.name) {
            let is_later = label.expires_at > known.expires_at;
            if is_later {
                // A label that had expired is earned anew.
                let since = if known.expires_at > label.since {
                    known.since
                } else {
                    label.since
                };
                *known = Label { since, ..label };
            }
            return;
        }
        self.labels.retain(|known| known.expires_at > now);
        if self.labels.len() >= LABELS_MAX
            && let Some(place) = (0..self.labels.len()).min_by_key(|place| self.labels[*place].expires_at)
        {
            self.labels.remove(place);
        }
        self.labels.push(label);
    }

    /// A broken row ends what it has earned up to then.
    fn end_run(&mut self, pattern: &PatternParams, at: TimestampMs) {
        self.labels
            .retain(|label| *label.pattern != *pattern.name || label.since >= at);
    }
}
