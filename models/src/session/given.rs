//! Long-term tags that the outside has given to a viewer: a prior of the long-term interest.
//!
//! Owns how much of the prior is left as own signals come: `weight · prior_weight · K / (K + signals)`, the shrinkage of a
//! mean with K signals of prior belief. A tag that is also a category's name speaks for the category as well.

use smallvec::SmallVec;

use super::{SessionState, squash};
use crate::catalogue::{NO_WORD, Vocabularies};
use crate::ids::Word;
use crate::params::InterestParams;
use crate::user::User;

/// Long-term tags that the outside has given, the strongest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// The word as a tag, as a category (or no word), and the weight.
    words: Vec<(Word, Word, f32)>,
}

impl Given {
    /// What the outside says; `None` when it gives no tags.
    #[must_use]
    pub fn of(user: &User, words: &Vocabularies) -> Option<Self> {
        let number = |(tag, weight): (&String, &f32)| {
            let category = words.categories.get(tag).unwrap_or(NO_WORD);
            Some((words.tags.intern(tag)?, category, *weight))
        };
        let mut given: Vec<(Word, Word, f32)> = user.long_term_tags.iter().filter_map(number).collect();
        given.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        (!given.is_empty()).then_some(Self { words: given })
    }
}

impl SessionState {
    /// What is left of the prior for a viewer with so many signals of its own, 0 to 1.
    #[must_use]
    pub fn prior_share(&self, params: &InterestParams) -> f32 {
        let signals = params.prior_signals;
        if signals <= 0.0 {
            return 0.0;
        }
        signals / (signals + self.signals() as f32)
    }

    /// The tags of the prior with the raw weights that are left of them, the strongest first.
    pub fn prior_tags(&self, params: &InterestParams) -> impl Iterator<Item = (Word, f32)> + '_ {
        let factor = self.prior_share(params) * params.prior_weight;
        let words = self.given.iter().flat_map(|given| given.words.iter());
        words
            .map(move |(tag, _, weight)| (*tag, weight * factor))
            .filter(|(_, weight)| *weight != 0.0)
    }

    /// The same for categories.
    pub fn prior_categories(&self, params: &InterestParams) -> impl Iterator<Item = (Word, f32)> + '_ {
        let factor = self.prior_share(params) * params.prior_weight;
        let words = self.given.iter().flat_map(|given| given.words.iter());
        let of_category = words.filter(|(_, category, _)| *category != NO_WORD);
        of_category
            .map(move |(_, category, weight)| (*category, weight * factor))
            .filter(|(_, weight)| *weight != 0.0)
    }

    /// Long-term tags, learned and given together, squashed, by name.
    #[must_use]
    pub fn given_by_name(&self, params: &InterestParams, words: &Vocabularies) -> SmallVec<[(String, f32); 8]> {
        let named = |(tag, weight): (Word, f32)| Some((words.tags.name(tag)?.to_string(), squash(weight)));
        self.prior_tags(params).filter_map(named).collect()
    }
}
