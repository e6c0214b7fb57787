//! One event as patterns see it, and the stored form of what patterns know.

use serde::{Deserialize, Serialize};

use super::{Behaviour, Label, STEPS_MAX};
use crate::catalogue::{Entry, NO_WORD, Vocabularies, Vocabulary};
use crate::event::{Event, Signal};
use crate::ids::{Row, Word};
use crate::session::state::watch_ratio;
use crate::time::TimestampMs;

/// Stands for a watch ratio that is not known.
const RATIO_UNKNOWN: u8 = u8::MAX;
/// The scale of stored watch ratios.
const RATIO_SCALE: f32 = 200.0;

/// One event as patterns see it. 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) at: TimestampMs,
    pub(super) row: Row,
    /// The leading category, or [`NO_WORD`].
    pub(super) category: Word,
    /// The author, or [`NO_WORD`].
    pub(super) author: Word,
    pub(super) signal: Signal,
    /// In two-hundredths; what is not known fits every bound.
    ratio: u8,
}

impl Step {
    pub(super) fn of(event: &Event, entry: &Entry, row: Row) -> Self {
        let tells_watching = matches!(event.signal, Signal::View | Signal::Skip | Signal::Complete);
        let ratio = match event.watch_ms {
            Some(watch_ms) if tells_watching => (watch_ratio(watch_ms, entry.duration_ms) * RATIO_SCALE) as u8,
            Some(_) | None => RATIO_UNKNOWN,
        };
        Self {
            at: event.at,
            row,
            category: entry.leading_category(),
            author: entry.author,
            signal: event.signal,
            ratio,
        }
    }

    /// Whether the watched share lies within the bounds, as far as it is known.
    pub(super) fn has_ratio(&self, min: f32, max: f32) -> bool {
        if self.ratio == RATIO_UNKNOWN {
            return true;
        }
        let ratio = f32::from(self.ratio) / RATIO_SCALE;
        ratio >= min - 0.5 / RATIO_SCALE && ratio <= max + 0.5 / RATIO_SCALE
    }
}

/// What patterns know, as it is stored. Names stand for words, each once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BehaviourSnapshot {
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    authors: Vec<String>,
    /// Time, row, place of the category, place of the author, signal, ratio.
    #[serde(default)]
    steps: Vec<(i64, Row, u8, u8, u8, u8)>,
    #[serde(default)]
    labels: Vec<LabelSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LabelSnapshot {
    name: String,
    pattern: String,
    since: i64,
    expires_at: i64,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    author: Option<String>,
}

impl BehaviourSnapshot {
    /// The stored form.
    #[must_use]
    pub fn of(behaviour: &Behaviour, words: &Vocabularies) -> Self {
        let mut stored = Self::default();
        for step in behaviour.steps.iter().take(STEPS_MAX) {
            let category = place_of(step.category, &mut stored.categories, &words.categories);
            let author = place_of(step.author, &mut stored.authors, &words.authors);
            let row = (step.at.0, step.row, category, author, step.signal as u8, step.ratio);
            stored.steps.push(row);
        }
        stored.labels = behaviour
            .labels
            .iter()
            .map(|label| LabelSnapshot::of(label, words))
            .collect();
        stored
    }

    /// What was stored.
    #[must_use]
    pub fn restore(self, words: &Vocabularies) -> Behaviour {
        let word = |place: u8, names: &[String], vocabulary: &Vocabulary| {
            let name = names.get(usize::from(place));
            name.and_then(|name| vocabulary.intern(name)).unwrap_or(NO_WORD)
        };
        let step = |(at, row, category, author, signal, ratio): &(i64, Row, u8, u8, u8, u8)| {
            Some(Step {
                at: TimestampMs(*at),
                row: *row,
                category: word(*category, &self.categories, &words.categories),
                author: word(*author, &self.authors, &words.authors),
                signal: Signal::from_number(*signal)?,
                ratio: *ratio,
            })
        };
        Behaviour {
            steps: self.steps.iter().filter_map(step).collect(),
            labels: self.labels.into_iter().map(|label| label.restore(words)).collect(),
        }
    }
}

/// The place of a word among the names, which it joins; a place behind all names stands for no word.
fn place_of(word: Word, names: &mut Vec<String>, vocabulary: &Vocabulary) -> u8 {
    let Some(name) = vocabulary.name(word) else {
        return u8::MAX;
    };
    let place = names.iter().position(|known| **known == *name).unwrap_or_else(|| {
        names.push(name.to_string());
        names.len() - 1
    });
    u8::try_from(place).unwrap_or(u8::MAX)
}

impl LabelSnapshot {
    fn of(label: &Label, words: &Vocabularies) -> Self {
        let category = |word: &Word| words.categories.name(*word).map(|name| name.to_string());
        Self {
            name: label.name.to_string(),
            pattern: label.pattern.to_string(),
            since: label.since.0,
            expires_at: label.expires_at.0,
            categories: label.categories.iter().filter_map(category).collect(),
            author: words.authors.name(label.author).map(|name| name.to_string()),
        }
    }

    fn restore(self, words: &Vocabularies) -> Label {
        let author = self.author.and_then(|author| words.authors.intern(&author));
        Label {
            name: self.name.into(),
            pattern: self.pattern.into(),
            since: TimestampMs(self.since),
            expires_at: TimestampMs(self.expires_at),
            categories: self
                .categories
                .iter()
                .filter_map(|name| words.categories.intern(name))
                .collect(),
            author: author.unwrap_or(NO_WORD),
        }
    }
}
