//! The greedy filling of slots under diversity penalties.

use std::cell::Cell;

use super::ExploreDraw;
use super::parts::{Part, next_owed, note_taken};
use super::shares::Shares;
use crate::catalogue::{CatalogueSnapshot, NO_WORD};
use crate::features::freshness;
use crate::ids::{Row, Word};
use crate::params::RerankParams;
use crate::recall::Channel;
use crate::session::BehaviourEffects;
use crate::time::TimestampMs;

/// A rule that moves a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Newer items gain.
    Freshness,
    /// An author who stands in the slots before loses.
    AuthorDiversity,
    /// A category that stands in the slots before loses.
    CategoryDiversity,
    /// An item like one in the slots before loses.
    Similarity,
    /// The slot explores.
    Exploration,
    /// A label of the viewer's behaviour takes from its category or author.
    Behaviour,
    /// Everything else had run out.
    Backfill,
}

impl Rule {
    /// The name in explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Freshness => "freshness",
            Rule::AuthorDiversity => "author_diversity",
            Rule::CategoryDiversity => "category_diversity",
            Rule::Similarity => "similarity",
            Rule::Exploration => "exploration",
            Rule::Behaviour => "behaviour",
            Rule::Backfill => "backfill",
        }
    }
}

/// What a rule did to a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Which rule.
    pub rule: Rule,
    /// What it added.
    pub delta: f32,
}

/// A filled slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// Which candidate.
    pub place: usize,
    /// Its score after all moves.
    pub score: f32,
    /// What was added for freshness, and taken for author, category, similarity and by labels.
    pub moves: [Move; 5],
    /// With which probability it was drawn, when it explores.
    pub propensity: Option<f32>,
    /// The part of the slate that had to have this slot, if one had.
    pub part: Option<Channel>,
    /// The group whose share of the slate it was needed for.
    pub share: Option<usize>,
}

/// What re-ranking reads.
pub struct RerankInput<'a> {
    /// The candidates' rows.
    pub rows: &'a [Row],
    /// Their fused scores.
    pub fused: &'a [f32],
    /// The catalogue.
    pub snapshot: &'a CatalogueSnapshot,
    /// The rules' numbers.
    pub params: &'a RerankParams,
    /// What the viewer's labels do.
    pub behaviour: &'a BehaviourEffects,
    /// When.
    pub now: TimestampMs,
}

/// Memory that a thread reuses.
#[derive(Debug, Default)]
pub struct RerankScratch {
    /// The groups with a share of the slate; whoever selects sets them before.
    pub shares: Shares,
    /// What is added whatever stands before: freshness, and what labels add.
    fixed: Vec<f32>,
    /// The part of labels in it; empty when no label moves scores.
    behaviour: Vec<f32>,
    authors: Vec<Word>,
    categories: Vec<Word>,
    taken: Vec<bool>,
    /// The most that each score can be: without what likeness to the last picks takes away.
    bounds: Vec<f32>,
    author_hits: Vec<u16>,
    category_hits: Vec<u16>,
    /// The last picks, a ring.
    recent: Vec<usize>,
    /// Cosine of every candidate with each of the last picks, a ring of columns; not a number until it is asked for.
    similarities: Vec<Vec<Cell<f32>>>,
}

/// Fills up to `n` slots. `draws` are the exploration slots, ascending; `parts` are owed some of the others.
pub fn select(
    input: &RerankInput<'_>,
    n: usize,
    draws: &[ExploreDraw],
    parts: &mut [Part],
    scratch: &mut RerankScratch,
) -> Vec<Pick> {
    scratch.load(input);
    scratch.shares.begin(n);
    for draw in draws {
        scratch.taken[draw.place] = true;
    }
    let mut picks: Vec<Pick> = Vec::with_capacity(n.min(input.rows.len()));
    let slots = n.min(input.rows.len());
    for slot in 0..slots {
        let explore = draws.iter().find(|draw| draw.slot == slot);
        let explore = explore.filter(|draw| scratch.shares.has_room_for(draw.place));
        let mut part = None;
        let chosen = match explore {
            Some(draw) => Some((draw.place, None)),
            None => {
                let explored_later = draws.iter().filter(|draw| (slot + 1..slots).contains(&draw.slot));
                let slots_left = slots - slot - explored_later.count();
                let owed = scratch.owed_part(input, parts, slots_left);
                part = owed.map(|(channel, _)| channel);
                owed.map(|(_, place)| (place, None))
                    .or_else(|| scratch.best(input, slot))
            }
        };
        let Some((place, share)) = chosen.or_else(|| late_draw(draws, &picks, &scratch.shares)) else {
            break;
        };
        let moves = scratch.moves(input, place);
        let score = input.fused[place] + moves.iter().map(|one| one.delta).sum::<f32>();
        let propensity = draws
            .iter()
            .find(|draw| draw.place == place)
            .map(|draw| draw.propensity);
        picks.push(Pick {
            place,
            score,
            moves,
            propensity,
            part,
            share,
        });
        note_taken(parts, place);
        scratch.take(input, &picks);
    }
    picks
}

/// When nothing else is left, the exploration items whose slots were not reached.
fn late_draw(draws: &[ExploreDraw], picks: &[Pick], shares: &Shares) -> Option<(usize, Option<usize>)> {
    let is_left = |place: &usize| picks.iter().all(|pick| pick.place != *place) && shares.has_room_for(*place);
    let place = draws.iter().map(|draw| draw.place).find(is_left)?;
    Some((place, None))
}

impl RerankScratch {
    fn load(&mut self, input: &RerankInput<'_>) {
        let count = input.rows.len();
        self.fixed.clear();
        self.behaviour.clear();
        self.authors.clear();
        self.categories.clear();
        for row in input.rows {
            let entry = input.snapshot.entry(*row);
            let age_ms = entry.map_or(i64::MAX, |entry| input.now.since(entry.created_at));
            self.fixed
                .push(input.params.freshness_weight * freshness(age_ms, input.params.freshness_tau_ms));
            self.authors.push(entry.map_or(NO_WORD, |entry| entry.author));
            self.categories
                .push(entry.map_or(NO_WORD, |entry| entry.leading_category()));
        }
        if input.behaviour.moves_scores() {
            self.load_behaviour(input);
        }
        for hits in [&mut self.author_hits, &mut self.category_hits] {
            hits.clear();
            hits.resize(count, 0);
        }
        self.taken.clear();
        self.taken.resize(count, false);
        self.bounds.clear();
        for place in 0..count {
            self.bounds.push(self.bound(input, place));
        }
        self.recent.clear();
        self.similarities
            .resize_with(input.params.similarity_window as usize, Vec::new);
    }

    fn load_behaviour(&mut self, input: &RerankInput<'_>) {
        for (row, fixed) in input.rows.iter().zip(&mut self.fixed) {
            let delta = input
                .snapshot
                .entry(*row)
                .map_or(0.0, |entry| input.behaviour.delta(entry));
            self.behaviour.push(delta);
            *fixed += delta;
        }
    }

    /// The best candidate for a slot, and the group whose share it is needed for.
    fn best(&self, input: &RerankInput<'_>, slot: usize) -> Option<(usize, Option<usize>)> {
        if self.shares.is_empty() {
            return Some((self.best_at(input, slot, |_| true)?, None));
        }
        self.shares.wishes(slot).into_iter().find_map(|wanted| {
            let place = self.best_at(input, slot, |place| wanted.admits(self.shares.groups_of(place)))?;
            let needed_for = self.shares.groups_of(place) & wanted.any_of;
            Some((place, (needed_for != 0).then(|| needed_for.trailing_zeros() as usize)))
        })
    }

    /// The part that must have the next slot, with its candidate; a share that is full comes first.
    fn owed_part(&self, input: &RerankInput<'_>, parts: &mut [Part], slots_left: usize) -> Option<(Channel, usize)> {
        if parts.is_empty() {
            return None;
        }
        let untaken_best = |places: &[usize]| self.best_of(input, places.iter().copied());
        next_owed(parts, slots_left, &self.taken, untaken_best).filter(|(_, place)| self.shares.has_room_for(*place))
    }

    /// The best admitted candidate for a slot. In the first one not of a category that the labels keep from it, or at
    /// least not of the most unwanted one, as long as there is another.
    fn best_at(&self, input: &RerankInput<'_>, slot: usize, admits: impl Fn(usize) -> bool) -> Option<usize> {
        let unwanted = input.behaviour.unwanted_leads.as_slice();
        let admitted = || (0..input.rows.len()).filter(|place| admits(*place));
        if slot > 0 || unwanted.is_empty() {
            return self.best_of(input, admitted());
        }
        let without = |count: usize| {
            let kept_out = &unwanted[..count];
            self.best_of(
                input,
                admitted().filter(|place| !kept_out.contains(&self.categories[*place])),
            )
        };
        let best = without(unwanted.len()).or_else(|| without(1));
        best.or_else(|| self.best_of(input, admitted()))
    }

    /// The best of these candidates that is not taken; of equal scores the first. What is not a number sinks.
    ///
    /// Likeness to the last picks only takes away, and costs the most: it is asked only of candidates that would be the
    /// best without it (lazy evaluation, M. Minoux, "Accelerated greedy algorithms", 1978).
    fn best_of(&self, input: &RerankInput<'_>, places: impl Iterator<Item = usize> + Clone) -> Option<usize> {
        let untaken = places.filter(|place| !self.taken[*place]);
        let bounds = untaken.map(|place| (place, self.bounds[place]));
        let first = bounds.clone().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let mut best = first.map(|(place, bound)| (place, self.score(input, place, bound)))?;
        for (place, bound) in bounds {
            if bound < best.1 {
                continue;
            }
            let score = self.score(input, place, bound);
            if score > best.1 || (score == best.1 && place < best.0) {
                best = (place, score);
            }
        }
        Some(best.0)
    }

    /// What [`bounds`](Self::bounds) holds of a place.
    fn bound(&self, input: &RerankInput<'_>, place: usize) -> f32 {
        let params = input.params;
        let bound = input.fused[place] + self.fixed[place]
            - params.author_penalty * f32::from(self.author_hits[place])
            - params.category_penalty * f32::from(self.category_hits[place]);
        if bound.is_nan() { f32::NEG_INFINITY } else { bound }
    }

    /// A candidate's score, from its bound.
    fn score(&self, input: &RerankInput<'_>, place: usize, bound: f32) -> f32 {
        bound - input.params.similarity_penalty * self.similarity(input, place)
    }

    fn moves(&self, input: &RerankInput<'_>, place: usize) -> [Move; 5] {
        let params = input.params;
        let behaviour = self.behaviour.get(place).copied().unwrap_or(0.0);
        [
            Move {
                rule: Rule::Freshness,
                delta: self.fixed[place] - behaviour,
            },
            Move {
                rule: Rule::AuthorDiversity,
                delta: -params.author_penalty * f32::from(self.author_hits[place]),
            },
            Move {
                rule: Rule::CategoryDiversity,
                delta: -params.category_penalty * f32::from(self.category_hits[place]),
            },
            Move {
                rule: Rule::Similarity,
                delta: -params.similarity_penalty * self.similarity(input, place),
            },
            Move {
                rule: Rule::Behaviour,
                delta: behaviour,
            },
        ]
    }

    /// The largest cosine with one of the last picks; 0 when there is none.
    fn similarity(&self, input: &RerankInput<'_>, place: usize) -> f32 {
        let columns = self.recent.iter().zip(&self.similarities);
        columns.fold(0.0, |most, (pick, column)| {
            let known = &column[place];
            if known.get().is_nan() {
                known.set(cosine(input, *pick, place));
            }
            known.get().max(most)
        })
    }

    /// Lets the last pick count against the others, and the pick that leaves each window no longer.
    fn take(&mut self, input: &RerankInput<'_>, picks: &[Pick]) {
        let Some(last) = picks.last() else { return };
        self.taken[last.place] = true;
        self.shares.fill(last.place);
        let params = input.params;
        let leaving = |window: u32| {
            picks
                .len()
                .checked_sub(1 + window as usize)
                .map(|slot| picks[slot].place)
        };
        let (author_leaves, category_leaves) = (leaving(params.author_window), leaving(params.category_window));
        slide(&mut self.author_hits, &self.authors, last.place, author_leaves);
        slide(&mut self.category_hits, &self.categories, last.place, category_leaves);
        let moved = |words: &[Word], place: usize, leaves: Option<usize>| {
            words[place] == words[last.place] || leaves.is_some_and(|leaves| words[place] == words[leaves])
        };
        for place in 0..self.bounds.len() {
            if moved(&self.authors, place, author_leaves) || moved(&self.categories, place, category_leaves) {
                self.bounds[place] = self.bound(input, place);
            }
        }
        let window = params.similarity_window as usize;
        if window == 0 || params.similarity_penalty == 0.0 {
            return;
        }
        let column = (picks.len() - 1) % window;
        if self.recent.len() <= column {
            self.recent.push(last.place);
        }
        self.recent[column] = last.place;
        let cosines = &mut self.similarities[column];
        cosines.clear();
        cosines.resize(input.rows.len(), Cell::new(f32::NAN));
    }
}

/// The cosine of two candidates; 0 when one has no vector.
fn cosine(input: &RerankInput<'_>, a: usize, b: usize) -> f32 {
    let vector = |place: usize| input.snapshot.vector(input.rows[place]);
    match (vector(a), vector(b)) {
        (Some(a), Some(b)) => crate::index::dot_f32(a, b),
        _ => 0.0,
    }
}

/// Counts the word of the entering pick for all candidates that share it, and takes back that of the leaving one.
fn slide(hits: &mut [u16], words: &[Word], entering: usize, leaving: Option<usize>) {
    let (enters, leaves) = (words[entering], leaving.map_or(NO_WORD, |place| words[place]));
    if enters == leaves {
        return;
    }
    for (hit, word) in hits.iter_mut().zip(words) {
        if *word != NO_WORD && *word == enters {
            *hit += 1;
        }
        if *word != NO_WORD && *word == leaves {
            *hit = hit.saturating_sub(1);
        }
    }
}
