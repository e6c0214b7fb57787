//! Interest over one horizon: a direction in the embedding space and weights per tag, category and author.
//!
//! Owns the formula. Positive and negative signals are summed apart and joined by directions as in Rocchio's relevance
//! feedback (Rocchio 1971): `taste = P/|P| - γ · N/|N|`, so that many skips cannot drown the few likes. Every sum decays
//! exponentially in event time; a late event is added with the decay of its own time. Only events move the reference
//! time: a viewer who comes back after a year still has the taste of the last visit.

use crate::catalogue::{Entry, NO_WORD};
use crate::session::Affinities;
use crate::time::{TimestampMs, decay};

/// γ: how strongly the direction of dislikes repels.
const NEGATIVE_DIRECTION_WEIGHT: f32 = 0.35;
/// The most words kept per kind.
pub(super) const TAGS_MAX: usize = 64;
/// See [`TAGS_MAX`].
pub(super) const CATEGORIES_MAX: usize = 32;
/// See [`TAGS_MAX`].
pub(super) const AUTHORS_MAX: usize = 32;

/// Interest over one horizon.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interest {
    /// Decayed sum of the embeddings of positive signals.
    pub positive: Vec<f32>,
    /// Decayed sum of the embeddings of negative signals.
    pub negative: Vec<f32>,
    /// The time that the sums refer to: that of the newest event.
    pub at: TimestampMs,
    /// Decayed sum of the absolute weights of all signals: how much is known.
    pub evidence: f32,
    /// Decayed weights per tag.
    pub tags: Affinities,
    /// Decayed weights per category.
    pub categories: Affinities,
    /// Decayed weights per author.
    pub authors: Affinities,
}

impl Interest {
    /// Takes a signal of that weight on an item. `step_decay` is what is left of everything known so far after one more
    /// signal (1 for no such decay). A late signal steps on what is known as much as it counts itself: what came after it
    /// was not followed by it.
    pub fn add(
        &mut self,
        entry: &Entry,
        vector: Option<&[f32]>,
        weight: f32,
        at: TimestampMs,
        half_life_ms: i64,
        step_decay: f32,
    ) {
        if weight == 0.0 || !weight.is_finite() {
            return;
        }
        let lateness = decay(self.at.since(at), half_life_ms as f64);
        self.advance(at, half_life_ms);
        let is_late = lateness < 1.0;
        self.scale(if is_late {
            1.0 - (1.0 - step_decay) * lateness
        } else {
            step_decay
        });
        let weight = weight * lateness;
        self.evidence += weight.abs();
        if let Some(vector) = vector {
            let sum = if weight > 0.0 {
                &mut self.positive
            } else {
                &mut self.negative
            };
            add_scaled(sum, vector, weight.abs());
        }
        let tag_weight = weight / (entry.tags.len().max(1) as f32).sqrt();
        entry
            .tags
            .iter()
            .for_each(|tag| self.tags.add(*tag, tag_weight, TAGS_MAX));
        for (place, category) in entry.categories.iter().enumerate() {
            let weight = if place == 0 { weight } else { weight / 2.0 };
            self.categories.add(*category, weight, CATEGORIES_MAX);
        }
        if entry.author != NO_WORD {
            self.authors.add(entry.author, weight, AUTHORS_MAX);
        }
    }

    /// The direction of this horizon's taste, a unit vector in `out`; false (and zeros) when nothing positive is known.
    pub fn direction(&self, out: &mut Vec<f32>) -> bool {
        out.clear();
        out.resize(self.positive.len(), 0.0);
        let positive_length = length(&self.positive);
        if positive_length <= f32::EPSILON {
            return false;
        }
        add_scaled(out, &self.positive, 1.0 / positive_length);
        let negative_length = length(&self.negative);
        if negative_length > f32::EPSILON && self.negative.len() == out.len() {
            // Few dislikes beside many likes repel less.
            let balance = (negative_length / positive_length).min(1.0);
            add_scaled(
                out,
                &self.negative,
                -NEGATIVE_DIRECTION_WEIGHT * balance / negative_length,
            );
        }
        normalise(out)
    }

    /// How long the sum of the positive signals is: that of one like is 1.
    #[must_use]
    pub fn strength(&self) -> f32 {
        length(&self.positive)
    }

    /// The direction of what the viewer does not want, a unit vector in `out`; false when there is none.
    pub fn negative_direction(&self, out: &mut Vec<f32>) -> bool {
        out.clear();
        out.extend_from_slice(&self.negative);
        normalise(out)
    }

    /// Drops what does not fit embeddings of `dimension` (the catalogue's dimension was fixed after it was learned).
    pub fn fit_dimension(&mut self, dimension: usize) {
        for sum in [&mut self.positive, &mut self.negative] {
            if sum.len() != dimension {
                sum.clear();
            }
        }
    }

    /// Decays everything to `at`; nothing happens when it lies before the reference time.
    fn advance(&mut self, at: TimestampMs, half_life_ms: i64) {
        if at > self.at {
            let elapsed = at.since(self.at);
            self.at = at;
            self.scale(decay(elapsed, half_life_ms as f64));
        }
    }

    fn scale(&mut self, factor: f32) {
        if factor == 1.0 {
            return;
        }
        self.positive.iter_mut().for_each(|component| *component *= factor);
        self.negative.iter_mut().for_each(|component| *component *= factor);
        self.evidence *= factor;
        self.tags.scale(factor);
        self.categories.scale(factor);
        self.authors.scale(factor);
    }
}

/// The taste now: short- and long-term directions blended by their weights; a unit vector in `out`. False when neither
/// horizon has a direction.
pub fn blended_direction(
    short: &[f32],
    has_short: bool,
    long: &[f32],
    has_long: bool,
    (short_weight, long_weight): (f32, f32),
    out: &mut Vec<f32>,
) -> bool {
    out.clear();
    out.resize(short.len().max(long.len()), 0.0);
    if has_short && short.len() == out.len() {
        add_scaled(out, short, short_weight);
    }
    if has_long && long.len() == out.len() {
        add_scaled(out, long, long_weight);
    }
    normalise(out)
}

fn add_scaled(sum: &mut Vec<f32>, vector: &[f32], weight: f32) {
    if sum.len() != vector.len() {
        sum.clear();
        sum.resize(vector.len(), 0.0);
    }
    sum.iter_mut()
        .zip(vector)
        .for_each(|(sum, component)| *sum += weight * component);
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|component| component * component).sum::<f32>().sqrt()
}

/// Makes a unit vector; false (and untouched) when there is no direction.
fn normalise(vector: &mut [f32]) -> bool {
    let length = length(vector);
    if !length.is_finite() || length <= 1e-12 {
        return false;
    }
    vector.iter_mut().for_each(|component| *component /= length);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Change};
    use crate::time::HOUR_MS;
    use crate::wire::ItemDto;
    use std::sync::Arc;

    fn entry() -> Arc<Entry> {
        let catalogue = Catalogue::new(None, Default::default()).expect("catalogue");
        let item = ItemDto {
            id: "v".to_owned(),
            tags: Some(vec!["cat".to_owned()]),
            categories: Some(vec!["pets".to_owned()]),
            ..ItemDto::default()
        }
        .into_item(TimestampMs(0))
        .expect("valid");
        catalogue.apply_unrecorded(vec![Change::Upsert {
            item: Arc::new(item),
            row: None,
        }]);
        catalogue.load().entry(0).expect("entry").clone()
    }

    fn close(a: &Interest, b: &Interest) -> bool {
        let near = |x: f32, y: f32| (x - y).abs() < 1e-4;
        a.positive.iter().zip(&b.positive).all(|(x, y)| near(*x, *y)) && near(a.tags.raw(0), b.tags.raw(0))
    }

    #[test]
    fn the_order_of_arrival_does_not_matter_without_step_decay() {
        let entry = entry();
        let events = [
            (0, [1.0, 0.0], 1.0),
            (HOUR_MS, [0.0, 1.0], 0.5),
            (3 * HOUR_MS, [0.5, 0.5], 2.0),
        ];
        let learn = |order: [usize; 3]| {
            let mut interest = Interest::default();
            for place in order {
                let (at, vector, weight) = events[place];
                interest.add(&entry, Some(&vector), weight, TimestampMs(at), HOUR_MS, 1.0);
            }
            interest
        };
        assert!(close(&learn([0, 1, 2]), &learn([2, 0, 1])));
    }

    #[test]
    fn many_skips_do_not_drown_a_like() {
        let entry = entry();
        let mut interest = Interest::default();
        interest.add(&entry, Some(&[1.0, 0.0]), 1.0, TimestampMs(0), HOUR_MS, 1.0);
        for _ in 0..50 {
            interest.add(&entry, Some(&[0.0, 1.0]), -0.4, TimestampMs(0), HOUR_MS, 1.0);
        }
        let mut direction = Vec::new();
        assert!(interest.direction(&mut direction));
        assert!(direction[0] > 0.9 && direction[1] < 0.0, "{direction:?}");
    }

    #[test]
    fn skips_alone_give_no_direction_to_search_in() {
        let mut interest = Interest::default();
        interest.add(&entry(), Some(&[0.0, 1.0]), -1.0, TimestampMs(0), HOUR_MS, 1.0);
        let mut direction = Vec::new();
        assert!(!interest.direction(&mut direction));
        assert!(interest.negative_direction(&mut direction) && direction == [0.0, 1.0]);
    }
}
