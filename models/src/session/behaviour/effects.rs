//! What the living labels of a viewer do to a feed, read once per request.

use smallvec::SmallVec;

use super::Behaviour;
use crate::catalogue::{Entry, NO_WORD};
use crate::ids::Word;
use crate::params::{PatternParams, PatternScope};
use crate::time::TimestampMs;

/// What the living labels of a viewer do to a feed. Empty, and free of cost, for a viewer without labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BehaviourEffects {
    /// Added to the share of slots that explore.
    pub exploration_add: f32,
    /// What is taken from the score of an item of a leading category.
    categories: SmallVec<[(Word, f32); 4]>,
    /// What is taken from the score of an item of an author.
    authors: SmallVec<[(Word, f32); 4]>,
    /// Categories whose items are not shown.
    hidden_categories: SmallVec<[Word; 4]>,
    /// Authors whose items are not shown.
    hidden_authors: SmallVec<[Word; 4]>,
    /// No feed leads with one of these categories, as long as there is another; the most unwanted first.
    pub unwanted_leads: SmallVec<[Word; 4]>,
}

impl BehaviourEffects {
    /// Reads the labels that live at that time by the patterns in force.
    #[must_use]
    pub fn of(behaviour: Option<&Behaviour>, patterns: &[PatternParams], now: TimestampMs) -> Self {
        let mut effects = Self::default();
        let Some(behaviour) = behaviour else {
            return effects;
        };
        for label in behaviour.labels(now) {
            let Some(pattern) = patterns.iter().find(|pattern| *pattern.name == *label.pattern) else {
                continue;
            };
            let effect = &pattern.effect;
            effects.exploration_add += effect.exploration_add;
            match effect.target {
                _ if effect.penalty == 0.0 => {}
                PatternScope::Category => {
                    let categories = label.categories.iter().map(|category| (*category, effect.penalty));
                    effects.categories.extend(categories);
                }
                PatternScope::Author if label.author != NO_WORD => effects.authors.push((label.author, effect.penalty)),
                PatternScope::Author | PatternScope::None => {}
            }
            match effect.target {
                _ if !effect.hides => {}
                PatternScope::Category => effects.hidden_categories.extend_from_slice(&label.categories),
                PatternScope::Author if label.author != NO_WORD => effects.hidden_authors.push(label.author),
                PatternScope::Author | PatternScope::None => {}
            }
            if effect.changes_lead {
                effects.unwanted_leads.extend_from_slice(&label.categories);
            }
        }
        effects
    }

    /// Whether scores are moved.
    #[must_use]
    pub fn moves_scores(&self) -> bool {
        !self.categories.is_empty() || !self.authors.is_empty()
    }

    /// Whether items are hidden.
    #[must_use]
    pub fn hides_items(&self) -> bool {
        !self.hidden_categories.is_empty() || !self.hidden_authors.is_empty()
    }

    /// Whether an item is not shown.
    #[must_use]
    pub fn hides(&self, entry: &Entry) -> bool {
        self.hidden_categories.contains(&entry.leading_category()) || self.hidden_authors.contains(&entry.author)
    }

    /// What is added to the score of an item; at most 0 unless a pattern's penalty is negative.
    #[must_use]
    pub fn delta(&self, entry: &Entry) -> f32 {
        let of = |words: &[(Word, f32)], word: Word| {
            let own = words.iter().filter(|(known, _)| *known == word);
            own.map(|(_, penalty)| penalty).sum::<f32>()
        };
        -of(&self.categories, entry.leading_category()) - of(&self.authors, entry.author)
    }
}
