//! Whether an event completes a pattern, over the events around it.

use smallvec::SmallVec;

use super::STEPS_MAX;
use super::label::LABEL_CATEGORIES_MAX;
use super::step::Step;
use crate::catalogue::{NO_WORD, Vocabularies, Vocabulary};
use crate::event::Signal;
use crate::ids::Word;
use crate::params::{PatternKind, PatternParams, PatternScope};
use crate::time::TimestampMs;

/// A pattern that was completed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Match {
    /// The time of its last event.
    pub(super) at: TimestampMs,
    /// The leading categories of its events, the most frequent first.
    pub(super) categories: SmallVec<[Word; 2]>,
    /// The author of its first event.
    pub(super) author: Word,
}

/// Places among the steps.
type Places = SmallVec<[usize; STEPS_MAX]>;

/// The match that the step at `place` has a part in, if there is one.
pub(super) fn match_at(steps: &[Step], place: usize, pattern: &PatternParams, words: &Vocabularies) -> Option<Match> {
    let step = &steps[place];
    if pattern.kind == PatternKind::Sequence {
        return sequence(steps, place, pattern, words);
    }
    let (signals, broken_by) = (mask(&pattern.signals), mask(&pattern.broken_by));
    if !has(signals, step) || !is_in_scope(step, step, pattern) {
        return None;
    }
    let takes = |other: &Step| {
        has(signals, other)
            && is_in_scope(other, step, pattern)
            && other.has_ratio(pattern.watch_ratio_min, pattern.watch_ratio_max)
            && is_named(other, pattern, words)
    };
    if !takes(step) {
        return None;
    }
    let is_near = |other: &Step| other.at.since(step.at).abs() <= pattern.within_ms;
    // A step outside of the scope breaks a row with its signal; a view that was too short does not.
    let breaks = |other: &Step| {
        pattern.kind == PatternKind::Run
            && (has(broken_by, other) || (has(signals, other) && !is_in_scope(other, step, pattern)))
    };
    let gather = |others: &mut dyn Iterator<Item = usize>, places: &mut Places| {
        for other in others.take_while(|other| is_near(&steps[*other]) && !breaks(&steps[*other])) {
            if takes(&steps[other]) {
                places.push(other);
            }
        }
    };
    let mut places: Places = SmallVec::new();
    gather(&mut (0..place).rev(), &mut places);
    places.reverse();
    places.push(place);
    gather(&mut (place + 1..steps.len()), &mut places);
    if places.len() < pattern.count as usize {
        return None;
    }
    dense(steps, &places, place, pattern)
}

/// The last stretch within the time that holds the step at `place` and enough steps.
fn dense(steps: &[Step], places: &Places, place: usize, pattern: &PatternParams) -> Option<Match> {
    let own = places.iter().position(|one| *one == place)?;
    for last in (own..places.len()).rev() {
        let end = steps[places[last]].at;
        let is_within = |one: &usize| end.since(steps[*one].at) <= pattern.within_ms;
        let Some(first) = places.iter().position(is_within).filter(|first| *first <= own) else {
            continue;
        };
        let stretch = &places[first..=last];
        if count(steps, stretch, pattern.distinct_items) >= pattern.count as usize {
            return Some(found(steps, stretch));
        }
    }
    None
}

fn count(steps: &[Step], stretch: &[usize], distinct_items: bool) -> usize {
    if !distinct_items {
        return stretch.len();
    }
    let is_first = |place: usize| {
        let row = steps[stretch[place]].row;
        stretch[..place].iter().all(|one| steps[*one].row != row)
    };
    (0..stretch.len()).filter(|place| is_first(*place)).count()
}

/// From each possible end backwards by the latest step that fits: if any sequence ends there within the time, that one
/// does.
fn sequence(steps: &[Step], place: usize, pattern: &PatternParams, words: &Vocabularies) -> Option<Match> {
    let step = &steps[place];
    let fits = |other: &Step, wanted: usize| {
        let condition = &pattern.steps[wanted];
        condition.signals.contains(&other.signal)
            && other.has_ratio(condition.watch_ratio_min, condition.watch_ratio_max)
            && is_in_scope(other, step, pattern)
            && is_named(other, pattern, words)
    };
    if !(0..pattern.steps.len()).any(|wanted| fits(step, wanted)) {
        return None;
    }
    for last in (place..steps.len()).rev() {
        let end = steps[last].at;
        if end.since(step.at) > pattern.within_ms {
            continue;
        }
        let mut taken: Places = SmallVec::new();
        let mut wanted = pattern.steps.len();
        for earlier in (0..=last).rev() {
            let other = &steps[earlier];
            if wanted == 0 || end.since(other.at) > pattern.within_ms {
                break;
            }
            if fits(other, wanted - 1) {
                taken.push(earlier);
                wanted -= 1;
            } else if earlier == last {
                break;
            }
        }
        if wanted == 0 && taken.contains(&place) {
            taken.reverse();
            return Some(found(steps, &taken));
        }
    }
    None
}

fn found(steps: &[Step], stretch: &[usize]) -> Match {
    let mut counts: SmallVec<[(Word, usize); STEPS_MAX]> = SmallVec::new();
    // The latest first: of equally frequent ones they stay before the others.
    for place in stretch.iter().rev() {
        let category = steps[*place].category;
        match counts.iter_mut().find(|(known, _)| *known == category) {
            Some((_, count)) => *count += 1,
            None if category != NO_WORD => counts.push((category, 1)),
            None => {}
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (first, last) = (stretch.first(), stretch.last());
    Match {
        at: last.map_or(TimestampMs::default(), |last| steps[*last].at),
        categories: counts
            .iter()
            .take(LABEL_CATEGORIES_MAX)
            .map(|(word, _)| *word)
            .collect(),
        author: first.map_or(NO_WORD, |first| steps[*first].author),
    }
}

/// Signals as bits.
fn mask(signals: &[Signal]) -> u32 {
    signals.iter().fold(0, |bits, signal| bits | 1 << *signal as u32)
}

fn has(mask: u32, step: &Step) -> bool {
    mask >> step.signal as u32 & 1 == 1
}

/// Whether a step shares with another what the pattern asks for.
fn is_in_scope(step: &Step, other: &Step, pattern: &PatternParams) -> bool {
    match pattern.same {
        PatternScope::None => true,
        PatternScope::Category => step.category != NO_WORD && step.category == other.category,
        PatternScope::Author => step.author != NO_WORD && step.author == other.author,
    }
}

fn is_named(step: &Step, pattern: &PatternParams, words: &Vocabularies) -> bool {
    let is_one = |names: &[String], vocabulary: &Vocabulary, word: Word| {
        names.is_empty() || (word != NO_WORD && names.iter().any(|name| vocabulary.get(name) == Some(word)))
    };
    is_one(&pattern.categories, &words.categories, step.category)
        && is_one(&pattern.authors, &words.authors, step.author)
}
