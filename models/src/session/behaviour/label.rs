//! A label: what behaviour has earned, for a time.

use smallvec::SmallVec;

use super::matcher::Match;
use crate::catalogue::{NO_WORD, Vocabularies};
use crate::ids::Word;
use crate::params::{PatternParams, PatternScope};
use crate::time::TimestampMs;

/// The most labels of a viewer; of more the one that ends first goes.
pub(super) const LABELS_MAX: usize = 32;
/// The most categories that a label remembers.
pub(super) const LABEL_CATEGORIES_MAX: usize = 5;

/// What behaviour has earned, for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// What it is called.
    pub name: Box<str>,
    /// The pattern that gave it.
    pub pattern: Box<str>,
    /// The time of the event that earned it, in event time.
    pub since: TimestampMs,
    /// From then on it does not count.
    pub expires_at: TimestampMs,
    /// The leading categories of the items it was earned with, the most frequent first.
    pub categories: SmallVec<[Word; 2]>,
    /// The author of the items it was earned with when the pattern is about one author, else [`NO_WORD`].
    pub author: Word,
}

impl Label {
    /// The label of a match. `None` when a word of it has no name.
    pub(super) fn earned(pattern: &PatternParams, found: &Match, words: &Vocabularies) -> Option<Self> {
        let scope_name = match pattern.same {
            PatternScope::None => None,
            PatternScope::Category => Some(words.categories.name(*found.categories.first()?)?),
            PatternScope::Author => Some(words.authors.name(found.author)?),
        };
        let name = match (pattern.same, scope_name) {
            (PatternScope::Category, Some(category)) => pattern.label.replace("{category}", &category),
            (PatternScope::Author, Some(author)) => pattern.label.replace("{author}", &author),
            (PatternScope::None | PatternScope::Category | PatternScope::Author, _) => pattern.label.clone(),
        };
        let author = if pattern.same == PatternScope::Author {
            found.author
        } else {
            NO_WORD
        };
        Some(Self {
            name: name.into(),
            pattern: pattern.name.as_str().into(),
            since: found.at,
            expires_at: found.at.plus_ms(pattern.lifetime_ms),
            categories: found.categories.clone(),
            author,
        })
    }
}
