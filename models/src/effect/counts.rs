//! The counts of one cell, and what one event adds to them.

use serde::{Deserialize, Serialize};

use crate::event::Signal;
use crate::wire::EffectDto;

/// Sums of what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // each field counts what it is named after
pub struct Counts {
    pub impressions: u32,
    pub views: u32,
    pub likes: u32,
    pub skips: u32,
    pub completions: u32,
    pub shares: u32,
    /// Items that got their first view or positive signal.
    pub taken_up: u32,
    /// Sessions that began: 30 minutes without anything lie before it.
    pub visits: u32,
    pub watch_ms: u64,
}

/// One event, as far as the counts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub signal: Signal,
    /// How long it was watched, in milliseconds.
    pub watch_ms: u32,
    /// Whether the item counts as shown only since this event.
    pub newly_shown: bool,
    /// Whether it is the first view or positive signal on the item.
    pub taken_up: bool,
    /// Whether a session began with it.
    pub new_visit: bool,
}

impl Happening {
    /// What the event adds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let is = |signal: Signal| u32::from(self.signal == signal);
        Counts {
            impressions: self.newly_shown.into(),
            views: is(Signal::View),
            likes: is(Signal::Like),
            skips: is(Signal::Skip),
            completions: is(Signal::Complete),
            shares: is(Signal::Share),
            taken_up: self.taken_up.into(),
            visits: self.new_visit.into(),
            watch_ms: self.watch_ms.into(),
        }
    }
}

impl Counts {
    /// Adds other counts.
    pub fn merge(&mut self, other: &Counts) {
        self.impressions = self.impressions.saturating_add(other.impressions);
        self.views = self.views.saturating_add(other.views);
        self.likes = self.likes.saturating_add(other.likes);
        self.skips = self.skips.saturating_add(other.skips);
        self.completions = self.completions.saturating_add(other.completions);
        self.shares = self.shares.saturating_add(other.shares);
        self.taken_up = self.taken_up.saturating_add(other.taken_up);
        self.visits = self.visits.saturating_add(other.visits);
        self.watch_ms = self.watch_ms.saturating_add(other.watch_ms);
    }

    /// The counts with their rates, as the wire has them. Rates are per impression and at most 1: events on items whose
    /// impression lies before the window have none to be divided by.
    #[must_use]
    pub fn effect(&self) -> EffectDto {
        let rate = |count: u32| {
            if self.impressions == 0 {
                0.0
            } else {
                (f64::from(count) / f64::from(self.impressions)).min(1.0)
            }
        };
        let per_session = if self.visits == 0 {
            0.0
        } else {
            self.watch_ms as f64 / f64::from(self.visits)
        };
        EffectDto {
            impressions: self.impressions.into(),
            views: self.views.into(),
            likes: self.likes.into(),
            skips: self.skips.into(),
            completions: self.completions.into(),
            shares: self.shares.into(),
            watch_time_ms: self.watch_ms,
            ctr: rate(self.taken_up),
            like_rate: rate(self.likes),
            skip_rate: rate(self.skips),
            completion_rate: rate(self.completions),
            share_rate: rate(self.shares),
            sessions: self.visits.into(),
            watch_time_per_session_ms: per_session,
        }
    }
}
