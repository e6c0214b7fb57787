//! The stored form of a session, version 1. Words are stored by name: their numbers change with every start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drift::StraySnapshot;
use super::served::{Served, ServedFeedSnapshot};
use super::{
    Affinities, BehaviourSnapshot, EVENT_IDS_MAX, Exposure, ExposureSnapshot, Habits, Interest, LearnedFusion,
    RecentAction, RecentHashes, SessionState, WindowsSnapshot,
};
use crate::catalogue::{Vocabularies, Vocabulary};
use crate::collaborative::SessionKey;
use crate::event::{SIGNAL_COUNT, Signal};
use crate::experiment::UnitLedger;
use crate::ids::{Row, UserId};
use crate::time::TimestampMs;
use crate::wire::UserDto;

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionSnapshot {
    described: Option<UserDto>,
    follows: Vec<String>,
    short: InterestSnapshot,
    long: InterestSnapshot,
    recent: Vec<(Row, u8, i64, f32)>,
    exposure: ExposureSnapshot,
    event_ids: Vec<u64>,
    counts: BTreeMap<u8, u64>,
    shown: u64,
    watch_ratio: f32,
    feed_seq: u64,
    /// The last journal record that is contained.
    pub journal_sequence: u64,
    active_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behaviour: Option<BehaviourSnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<WindowsSnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    habits: Option<Habits>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    strays: Vec<StraySnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fusion: Option<LearnedFusion>,
    /// Missing in what was written before there was such a thing.
    #[serde(default)]
    knn_user: Option<SessionKey>,
    #[serde(default, skip_serializing_if = "UnitLedger::is_empty")]
    units: UnitLedger,
    #[serde(default)]
    visit_at: i64,
    /// Feeds that may still be reported as seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    served: Vec<ServedFeedSnapshot>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unreported: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct InterestSnapshot {
    positive: Vec<f32>,
    negative: Vec<f32>,
    at: i64,
    evidence: f32,
    tags: Vec<(String, f32)>,
    categories: Vec<(String, f32)>,
    authors: Vec<(String, f32)>,
}

impl SessionSnapshot {
    /// Whether all that is known of the viewer is what was shown before that time.
    #[must_use]
    pub fn only_looked_before(&self, before: TimestampMs) -> bool {
        // Nobody is kept for impressions alone: they are what was shown.
        let signals = self
            .counts
            .iter()
            .any(|(signal, count)| *signal != Signal::Impression as u8 && *count > 0);
        self.described.is_none() && !signals && self.follows.is_empty() && self.active_at < before.0
    }

    /// The stored form of a session.
    #[must_use]
    pub fn of(state: &SessionState, words: &Vocabularies) -> Self {
        let name = |author: &u32| words.authors.name(*author).map(|name| name.to_string());
        Self {
            described: state.described.as_deref().map(UserDto::from),
            follows: state.follows.iter().filter_map(name).collect(),
            short: InterestSnapshot::of(&state.short, words),
            long: InterestSnapshot::of(&state.long, words),
            recent: state
                .recent
                .iter()
                .map(|act| (act.row, act.signal as u8, act.at.0, act.weight))
                .collect(),
            exposure: state.exposure.snapshot(),
            event_ids: state.event_ids.iter().collect(),
            counts: (0u8..).zip(state.counts).filter(|(_, count)| *count > 0).collect(),
            shown: state.shown,
            watch_ratio: state.watch_ratio,
            feed_seq: state.feed_seq,
            windows: state
                .windows
                .as_deref()
                .map(|windows| WindowsSnapshot::of(windows, words)),
            habits: state.habits.as_deref().copied(),
            strays: state
                .strays
                .iter()
                .filter_map(|stray| StraySnapshot::of(stray, words))
                .collect(),
            fusion: state.fusion.as_deref().copied(),
            journal_sequence: state.journal_sequence,
            active_at: state.active_at.0,
            behaviour: state
                .behaviour
                .as_deref()
                .map(|behaviour| BehaviourSnapshot::of(behaviour, words)),
            knn_user: state.knn_user,
            units: state.units.clone(),
            visit_at: state.visit_at.0,
            served: state.served.snapshot(),
            unreported: state.unreported.iter().copied().collect(),
        }
    }

    /// The session as it was stored.
    #[must_use]
    pub fn restore(self, user: UserId, words: &Vocabularies) -> SessionState {
        let mut state = SessionState::new(user);
        if let Some(described) = self.described.and_then(|described| described.into_user().ok()) {
            state.describe(described, words);
        }
        state
            .follows
            .extend(self.follows.iter().filter_map(|author| words.authors.intern(author)));
        state.follows.sort_unstable();
        state.follows.dedup();
        state.short = self.short.restore(words);
        state.long = self.long.restore(words);
        state.recent = self.recent.into_iter().filter_map(restore_action).collect();
        state.exposure = Exposure::restore(&self.exposure);
        state.event_ids = RecentHashes::restore(EVENT_IDS_MAX, &self.event_ids);
        for (signal, count) in self.counts {
            if usize::from(signal) < SIGNAL_COUNT {
                state.counts[usize::from(signal)] = count;
            }
        }
        state.shown = self.shown;
        state.watch_ratio = self.watch_ratio;
        state.feed_seq = self.feed_seq;
        state.journal_sequence = self.journal_sequence;
        state.active_at = TimestampMs(self.active_at);
        state.behaviour = self.behaviour.map(|behaviour| Box::new(behaviour.restore(words)));
        state.windows = self.windows.map(|windows| Box::new(windows.restore(words)));
        state.habits = self.habits.map(Box::new);
        state.strays = self
            .strays
            .into_iter()
            .filter_map(|stray| stray.restore(words))
            .collect();
        state.fusion = self.fusion.map(Box::new);
        state.knn_user = self.knn_user;
        state.units = self.units;
        state.visit_at = TimestampMs(self.visit_at);
        state.served = Served::restore(self.served);
        state.unreported = self.unreported.into();
        state
    }

    /// What the outside said about the viewer.
    #[must_use]
    pub fn described(&self) -> Option<&UserDto> {
        self.described.as_ref()
    }
}

fn restore_action((row, signal, at, weight): (Row, u8, i64, f32)) -> Option<RecentAction> {
    Some(RecentAction {
        row,
        signal: Signal::from_number(signal)?,
        at: TimestampMs(at),
        weight,
    })
}

impl InterestSnapshot {
    fn of(interest: &Interest, words: &Vocabularies) -> Self {
        Self {
            positive: interest.positive.clone(),
            negative: interest.negative.clone(),
            at: interest.at.0,
            evidence: interest.evidence,
            tags: named(&interest.tags, &words.tags),
            categories: named(&interest.categories, &words.categories),
            authors: named(&interest.authors, &words.authors),
        }
    }

    fn restore(self, words: &Vocabularies) -> Interest {
        Interest {
            positive: self.positive,
            negative: self.negative,
            at: TimestampMs(self.at),
            evidence: self.evidence,
            tags: numbered(&self.tags, &words.tags),
            categories: numbered(&self.categories, &words.categories),
            authors: numbered(&self.authors, &words.authors),
        }
    }
}

fn named(affinities: &Affinities, vocabulary: &Vocabulary) -> Vec<(String, f32)> {
    affinities
        .iter()
        .filter_map(|(word, weight)| Some((vocabulary.name(word)?.to_string(), weight)))
        .collect()
}

fn numbered(weights: &[(String, f32)], vocabulary: &Vocabulary) -> Affinities {
    let mut affinities = Affinities::default();
    for (name, weight) in weights {
        if let Some(word) = vocabulary.intern(name) {
            affinities.add(word, *weight, usize::MAX);
        }
    }
    affinities
}
