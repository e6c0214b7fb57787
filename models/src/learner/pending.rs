//! Served items of one viewer that wait for their outcome.
//!
//! Owns what counts as the outcome of a serving, and when it is known. Each serving becomes one sample at most:
//! - An item is *touched* by an event that names it (an impression aside), *seen* by an impression or what stands for one.
//! - When the viewer touches another item, everything touched before is over, and what was seen and stood before that
//!   item was passed by: it became nothing.
//! - An item that was sent but, for all that is known, never seen is no sample. Neither is one that is still on the screen
//!   when the viewer goes: not to have acted on it says nothing.
//! - A newer serving of an untouched item takes the place of the older one.
//!
//! The labels are those of `train ranker`. Whether chance drew an item makes no difference: what is learned is what comes
//! of an item given everything that is known of it, which does not depend on how often such items are shown; weighing by
//! 1 / propensity would only add noise.
//!
//! Bounded by [`PENDING_ITEMS_MAX`]; a session that rests lets go of all of it. Must not learn.

use std::collections::VecDeque;

use super::sample::{Labels, Sample, ServedRow};
use crate::event::Signal;

/// The most items of a viewer that wait; of more the oldest are over.
pub const PENDING_ITEMS_MAX: usize = 64;

#[derive(Debug, Clone)]
struct Waiting {
    row: ServedRow,
    seen: bool,
    /// What the viewer did, once it did anything.
    touched: Option<CameOfIt>,
}

#[derive(Debug, Clone, Copy, Default)]
struct CameOfIt {
    liked: bool,
    shared: bool,
    skipped: bool,
    completed: bool,
    watch_ms: Option<u32>,
}

/// The served items of one viewer that wait for their outcome.
#[derive(Debug, Clone, Default)]
pub struct PendingOutcomes {
    items: VecDeque<Waiting>,
}

impl PendingOutcomes {
    /// Takes up a slate. `seen` when being served counts as being shown. What had to make room is over.
    pub fn serve(&mut self, rows: Vec<ServedRow>, seen: bool, out: &mut Vec<Sample>) {
        let fresh = |waiting: &Waiting| rows.iter().all(|row| row.hash != waiting.row.hash);
        self.items.retain(|waiting| waiting.touched.is_some() || fresh(waiting));
        for row in rows.into_iter().take(PENDING_ITEMS_MAX) {
            while self.items.len() >= PENDING_ITEMS_MAX {
                out.extend(self.items.pop_front().and_then(Waiting::over));
            }
            self.items.push_back(Waiting {
                row,
                seen,
                touched: None,
            });
        }
    }

    /// Lets an item count as seen.
    pub fn see(&mut self, hash: u64) {
        if let Some(waiting) = self.find(hash) {
            waiting.seen = true;
        }
    }

    /// Takes an event. Returns whether it touched an item that waits.
    pub fn note(&mut self, hash: u64, signal: Signal, watch_ms: Option<u32>) -> bool {
        let Some(waiting) = self.find(hash) else { return false };
        waiting.seen = true;
        if signal == Signal::Impression {
            return false;
        }
        waiting.touched.get_or_insert_default().note(signal, watch_ms);
        true
    }

    /// The viewer is at this item: what came before it is over.
    pub fn move_to(&mut self, hash: u64, out: &mut Vec<Sample>) {
        let Some(here) = self.items.iter().rposition(|waiting| waiting.row.hash == hash) else {
            return;
        };
        let mut place = 0;
        self.items.retain(|waiting| {
            let is_over = place != here && (waiting.touched.is_some() || waiting.seen && place < here);
            if is_over {
                out.push(waiting.sample());
            }
            place += 1;
            !is_over
        });
    }

    /// The viewer is gone or rests: what was touched is over, nothing else is known. Gives the memory back.
    pub fn finish(&mut self, out: &mut Vec<Sample>) {
        let touched = self.items.iter().filter(|waiting| waiting.touched.is_some());
        out.extend(touched.map(Waiting::sample));
        *self = Self::default();
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The newest serving of an item.
    fn find(&mut self, hash: u64) -> Option<&mut Waiting> {
        self.items.iter_mut().rev().find(|waiting| waiting.row.hash == hash)
    }
}

impl Waiting {
    /// What has to make room.
    fn over(self) -> Option<Sample> {
        (self.seen || self.touched.is_some()).then(|| self.sample())
    }

    fn sample(&self) -> Sample {
        let came_of_it = self.touched.unwrap_or_default();
        Sample {
            row: self.row.clone(),
            labels: came_of_it.labels(self.row.duration_ms),
        }
    }
}

impl CameOfIt {
    fn note(&mut self, signal: Signal, watch_ms: Option<u32>) {
        self.watch_ms = self.watch_ms.max(watch_ms);
        match signal {
            Signal::Like => self.liked = true,
            Signal::Unlike => self.liked = false,
            Signal::Share => self.shared = true,
            Signal::Skip | Signal::Dislike | Signal::Report => self.skipped = true,
            Signal::Complete => self.completed = true,
            Signal::Impression | Signal::View | Signal::Comment | Signal::Favorite | Signal::Follow => {}
        }
    }

    /// In the order of the objectives: like, complete, share, skip, watch.
    fn labels(self, duration_ms: u32) -> Labels {
        let watched = self
            .watch_ms
            .filter(|_| duration_ms > 0)
            .map(|watch_ms| (watch_ms as f32 / duration_ms as f32).min(1.0));
        let completed = self.completed || watched == Some(1.0);
        let flag = |happened: bool| Some(f32::from(u8::from(happened)));
        [
            flag(self.liked),
            flag(completed),
            flag(self.shared),
            flag(self.skipped),
            if completed { Some(1.0) } else { watched },
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::row;
    use super::*;

    const NOTHING: Labels = [Some(0.0), Some(0.0), Some(0.0), Some(0.0), None];

    fn served(hashes: std::ops::Range<u64>, seen: bool) -> PendingOutcomes {
        let mut pending = PendingOutcomes::default();
        pending.serve(hashes.map(row).collect(), seen, &mut Vec::new());
        pending
    }

    fn told(samples: &[Sample]) -> Vec<(u64, Labels)> {
        samples.iter().map(|sample| (sample.row.hash, sample.labels)).collect()
    }

    #[test]
    fn an_outcome_is_known_when_the_viewer_moves_on() {
        let (mut pending, mut out) = (served(0..5, false), Vec::new());
        assert!(pending.note(0, Signal::View, Some(5_000)));
        assert!(pending.note(0, Signal::Like, None));
        pending.move_to(0, &mut out);
        assert!(out.is_empty());
        pending.see(1);
        pending.note(2, Signal::Skip, None);
        pending.move_to(2, &mut out);
        let liked = [Some(1.0), Some(0.0), Some(0.0), Some(0.0), Some(0.25)];
        assert_eq!(told(&out), [(0, liked), (1, NOTHING)]);
        assert_eq!(pending.len(), 3);
    }

    #[test]
    fn what_was_never_seen_and_what_is_still_on_the_screen_is_no_sample() {
        let (mut pending, mut out) = (served(0..4, false), Vec::new());
        pending.see(0);
        pending.note(1, Signal::Complete, None);
        pending.see(2);
        pending.finish(&mut out);
        assert_eq!(
            told(&out),
            [(1, [Some(0.0), Some(1.0), Some(0.0), Some(0.0), Some(1.0)])]
        );
        assert!(pending.is_empty() && pending.items.capacity() == 0);
    }

    #[test]
    fn an_unknown_item_an_impression_and_a_like_taken_back_say_nothing_more() {
        let (mut pending, mut out) = (served(0..3, false), Vec::new());
        assert!(!pending.note(99, Signal::Like, None) && !pending.note(0, Signal::Impression, None));
        pending.move_to(99, &mut out);
        pending.note(1, Signal::Like, None);
        pending.note(1, Signal::Unlike, None);
        pending.note(2, Signal::Share, None);
        pending.move_to(2, &mut out);
        assert_eq!(told(&out), [(0, NOTHING), (1, NOTHING)]);
    }

    #[test]
    fn a_newer_serving_takes_the_place_of_the_older_unless_that_was_touched() {
        let (mut pending, mut out) = (served(0..3, true), Vec::new());
        pending.note(0, Signal::Like, None);
        pending.serve(vec![row(0), row(1)], false, &mut out);
        assert_eq!(
            pending.items.iter().map(|waiting| waiting.row.hash).collect::<Vec<_>>(),
            [0, 2, 0, 1]
        );
        pending.finish(&mut out);
        assert_eq!(out.len(), 1);
    }

    proptest! {
        /// Whatever a viewer does: bounded, and never more samples than servings.
        #[test]
        fn each_serving_is_one_sample_at_most(steps in prop::collection::vec((0_u8..4, 0_u64..40, 0_u8..12), 0..300)) {
            let (mut pending, mut out, mut servings) = (PendingOutcomes::default(), Vec::new(), 0);
            for (kind, hash, signal) in steps {
                match kind {
                    0 => {
                        servings += 6;
                        pending.serve((hash..hash + 6).map(row).collect(), signal % 2 == 0, &mut out);
                    }
                    1 => pending.see(hash),
                    2 => {
                        let signal = Signal::from_number(signal).expect("a signal");
                        if pending.note(hash, signal, Some(3_000)) {
                            pending.move_to(hash, &mut out);
                        }
                    }
                    _ => pending.finish(&mut out),
                }
                prop_assert!(pending.len() <= PENDING_ITEMS_MAX);
                prop_assert!(out.len() + pending.len() <= servings);
            }
            for sample in &out {
                prop_assert!(sample.labels.iter().flatten().all(|label| (0.0..=1.0).contains(label)));
            }
        }
    }
}
