//! The profile that `GET /v1/users/{id}` shows: what the outside said and what was learned.

use std::collections::BTreeMap;

use super::{Affinities, Interest, Label, SessionState, squash};
use crate::catalogue::{CatalogueSnapshot, Vocabularies, Vocabulary};
use crate::event::Signal;
use crate::time::TimestampMs;
use crate::wire::{InterestsDto, LabelDto, TagWeightDto, UserDto, UserProfileDto};

/// The most weights per horizon.
const WEIGHTS_MAX: usize = 50;

/// The profile of a viewer at that time.
#[must_use]
pub fn profile_of(
    state: &SessionState,
    catalogue: &CatalogueSnapshot,
    words: &Vocabularies,
    now: TimestampMs,
) -> UserProfileDto {
    let mut user = state.described.as_deref().map(UserDto::from).unwrap_or_default();
    user.id = state.user.as_str().to_owned();
    let follows: Vec<String> = state
        .follows
        .iter()
        .filter_map(|author| words.authors.name(*author))
        .map(|name| name.to_string())
        .collect();
    user.follows = (!follows.is_empty()).then_some(follows);
    let counts = Signal::ALL
        .into_iter()
        .map(|signal| (signal.name().to_owned(), state.counts[signal as usize]))
        .filter(|(_, count)| *count > 0)
        .collect::<BTreeMap<_, _>>();
    UserProfileDto {
        user,
        interests: InterestsDto {
            short: weights(&state.short, words),
            long: weights(&state.long, words),
        },
        labels: state.labels(now).map(|label| label.name.to_string()).collect(),
        label_times: state.labels(now).map(label_times).collect(),
        recent: recent_items(state, catalogue),
        counts,
        features: None,
    }
}

pub(super) fn label_times(label: &Label) -> LabelDto {
    LabelDto {
        label: label.name.to_string(),
        pattern: label.pattern.to_string(),
        since: label.since.0,
        expires_at: label.expires_at.0,
    }
}

/// The items acted on, the newest first, each once. Items that were deleted since are left out.
fn recent_items(state: &SessionState, catalogue: &CatalogueSnapshot) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for action in state.recent.iter().rev() {
        let Some(entry) = catalogue.entry(action.row) else {
            continue;
        };
        if items.iter().all(|known| known != entry.item.id.as_str()) {
            items.push(entry.item.id.as_str().to_owned());
        }
    }
    items
}

fn weights(interest: &Interest, words: &Vocabularies) -> Vec<TagWeightDto> {
    let mut weights = Vec::new();
    collect(&mut weights, "", &interest.tags, &words.tags);
    collect(&mut weights, "category:", &interest.categories, &words.categories);
    collect(&mut weights, "author:", &interest.authors, &words.authors);
    weights.sort_by(|a, b| {
        b.weight
            .abs()
            .total_cmp(&a.weight.abs())
            .then_with(|| a.tag.cmp(&b.tag))
    });
    weights.truncate(WEIGHTS_MAX);
    weights.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.tag.cmp(&b.tag)));
    weights
}

fn collect(out: &mut Vec<TagWeightDto>, prefix: &str, affinities: &Affinities, vocabulary: &Vocabulary) {
    for (word, weight) in affinities.iter() {
        if let Some(name) = vocabulary.name(word) {
            out.push(TagWeightDto {
                tag: format!("{prefix}{name}"),
                weight: squash(weight),
            });
        }
    }
}
