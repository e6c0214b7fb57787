//! Decayed item-to-item transitions: what follows what, learned event by event.
//!
//! Owns the counts. An event adds 1/gap to the way from each of the sequence's last items to it, and a share of that to
//! the way back; a request adds up the ways from its last items, damped by how common an item is. The same item twice
//! in a row counts once.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The settings of [`Transitions`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransitionsConfig {
    /// How many earlier items of the sequence an event is tied to.
    pub window: usize,
    /// The weight of the way back, from the later item to the earlier one.
    pub reverse: f32,
    /// How many of the last items a request goes by.
    pub context_items: usize,
    /// The weight of an item of the request over that of the one after it.
    pub context_decay: f32,
    /// The exponent of the damping by the item that a way begins at, `(its events + 5)^-x`.
    pub damping_from: f32,
    /// The exponent of the damping by the item that a way leads to.
    pub damping_to: f32,
}

impl Default for TransitionsConfig {
    fn default() -> Self {
        Self {
            window: 5,
            reverse: 0.5,
            context_items: 2,
            context_decay: 0.3,
            damping_from: 0.5,
            damping_to: 0.0,
        }
    }
}

/// Added to the events of an item before damping, so that a rare one does not win by its rarity.
const DAMPING_EVENTS: f32 = 5.0;

/// What follows what.
#[derive(Debug, Clone)]
pub struct Transitions {
    config: TransitionsConfig,
    ways: Vec<FxHashMap<u32, f32>>,
    events_of: Vec<u32>,
    /// Per item: as the beginning and as the end of a way.
    damping_of: Vec<[f32; 2]>,
    last_of: FxHashMap<u32, Vec<u32>>,
}

impl Transitions {
    /// Nothing learned yet.
    #[must_use]
    pub fn new(config: TransitionsConfig) -> Self {
        Self {
            config,
            ways: Vec::new(),
            events_of: Vec::new(),
            damping_of: Vec::new(),
            last_of: FxHashMap::default(),
        }
    }

    /// The next event of `sequence` (a user or a session) was about `item`; `weight` is how much it says.
    pub fn learn(&mut self, sequence: u32, item: u32, weight: f32) {
        if self.last_of.get(&sequence).and_then(|last| last.last()) == Some(&item) {
            return;
        }
        let place = item as usize;
        if place >= self.ways.len() {
            self.ways.resize(place + 1, FxHashMap::default());
            self.events_of.resize(place + 1, 0);
            self.damping_of.resize(place + 1, [0.0; 2]);
        }
        self.events_of[place] += 1;
        let events = self.events_of[place] as f32 + DAMPING_EVENTS;
        self.damping_of[place] =
            [self.config.damping_from, self.config.damping_to].map(|exponent| events.powf(-exponent));
        let last = self.last_of.entry(sequence).or_default();
        for (gap, earlier) in (1_u8..).zip(last.iter().rev()) {
            if *earlier == item {
                continue;
            }
            let weight = weight / f32::from(gap);
            *self.ways[*earlier as usize].entry(item).or_default() += weight;
            if self.config.reverse > 0.0 {
                *self.ways[place].entry(*earlier).or_default() += weight * self.config.reverse;
            }
        }
        if last.len() >= self.config.window.min(usize::from(u8::MAX)) {
            last.remove(0);
        }
        last.push(item);
    }

    /// Adds the scores of what follows `context` (oldest first) to `scores` (one entry per item).
    pub fn scores_into(&self, context: impl DoubleEndedIterator<Item = u32>, scores: &mut [f32]) {
        let mut weight = 1.0;
        for item in last_distinct(context, self.config.context_items) {
            if let Some(ways) = self.ways.get(item as usize) {
                let from = weight * self.damping_of[item as usize][0];
                for (target, count) in ways {
                    scores[*target as usize] += from * count * self.damping_of[*target as usize][1];
                }
            }
            weight *= self.config.context_decay;
        }
    }
}

/// The last `count` different items of a context, the last one first.
pub(super) fn last_distinct(context: impl DoubleEndedIterator<Item = u32>, count: usize) -> SmallVec<[u32; 32]> {
    let mut items = SmallVec::new();
    for item in context.rev() {
        if items.len() >= count {
            break;
        }
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_weighted_by_gap_direction_context_and_commonness() {
        let mut transitions = Transitions::new(TransitionsConfig::default());
        for item in [0, 1, 2] {
            transitions.learn(7, item, 1.0);
        }
        transitions.learn(8, 2, 1.0);
        let mut scores = vec![0.0; 3];
        // From 1: to 2 with 1, back to 0 with 0.5; from 0 at 0.3: to 1 with 1, to 2 with 1/2.
        transitions.scores_into([0, 1, 1].into_iter(), &mut scores);
        // Items 0 and 1 had one event each, which damps the ways that begin there.
        let damping = 6.0_f32.powf(-0.5);
        let expected = [0.5, 0.3, 1.0 + 0.3 * 0.5].map(|score| score * damping);
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    #[test]
    fn an_item_does_not_follow_itself_and_the_window_ends() {
        let mut transitions = Transitions::new(TransitionsConfig {
            window: 1,
            reverse: 0.0,
            ..TransitionsConfig::default()
        });
        for item in [0, 0, 1, 2] {
            transitions.learn(1, item, 1.0);
        }
        let mut scores = vec![0.0; 3];
        transitions.scores_into([0].into_iter(), &mut scores);
        assert_eq!((scores[0], scores[2]), (0.0, 0.0));
        assert!(scores[1] > 0.0);
    }
}
