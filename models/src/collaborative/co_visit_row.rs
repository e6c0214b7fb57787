//! One item's neighbours: which items were engaged with around it, fading with time.
//!
//! Owns the bound on neighbours and who is evicted. Must not know how pairs are weighed or scores are normalised.

use serde::{Deserialize, Serialize};

use crate::ids::Row;
use crate::popularity::halvings;
use crate::time::TimestampMs;

/// The most neighbours kept per item: 12 bytes each.
pub const CO_VISIT_NEIGHBOURS_MAX: usize = 128;

/// An item engaged with around another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoVisitNeighbour {
    /// The neighbour.
    pub row: Row,
    /// Its weight as of the row's landmark, with what it took over from the neighbour that it displaced.
    pub weight: f32,
    /// The part of the weight that it took over.
    pub inherited: f32,
}

/// The neighbours of one item and its own decayed number of engagements; also the snapshot form of both.
///
/// When the row is full, a new neighbour takes the place and the weight of the lightest (Space-Saving: A. Metwally, D.
/// Agrawal, A. El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005), so that a
/// rising neighbour cannot be thrown out again by the next stranger. Scores use only what a neighbour earned itself
/// since then (`weight - inherited`), the lower bound of its true weight.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CoVisitRow {
    /// The time that all weights refer to: that of the newest engagement.
    pub landmark: TimestampMs,
    /// Engagements with the item itself, each decayed to the landmark.
    pub engagements: f64,
    /// At most [`CO_VISIT_NEIGHBOURS_MAX`], each row once, in no particular order.
    pub neighbours: Vec<CoVisitNeighbour>,
}

impl CoVisitRow {
    /// Counts an engagement with the item itself.
    pub(super) fn add_engagement(&mut self, weight: f32, at: TimestampMs, half_life_ms: i64) {
        let faded = self.move_landmark(at, half_life_ms);
        self.engagements += f64::from(weight) * faded;
    }

    /// Adds to a neighbour's weight.
    pub(super) fn add_neighbour(&mut self, row: Row, weight: f32, at: TimestampMs, half_life_ms: i64) {
        let weight = weight * self.move_landmark(at, half_life_ms) as f32;
        if !weight.is_finite() || weight <= 0.0 {
            return;
        }
        if let Some(known) = self.neighbours.iter_mut().find(|known| known.row == row) {
            known.weight += weight;
            return;
        }
        if self.neighbours.len() < CO_VISIT_NEIGHBOURS_MAX {
            self.neighbours.push(CoVisitNeighbour {
                row,
                weight,
                inherited: 0.0,
            });
            return;
        }
        let lightest = self
            .neighbours
            .iter_mut()
            .min_by(|a, b| a.weight.total_cmp(&b.weight).then(a.row.cmp(&b.row)));
        if let Some(lightest) = lightest {
            let inherited = lightest.weight;
            *lightest = CoVisitNeighbour {
                row,
                weight: inherited + weight,
                inherited,
            };
        }
    }

    /// Whether a snapshot keeps the rules that the code relies on.
    pub(super) fn is_sound(&self) -> bool {
        let sane = |neighbour: &CoVisitNeighbour| {
            let CoVisitNeighbour { weight, inherited, .. } = *neighbour;
            weight.is_finite() && inherited.is_finite() && inherited >= 0.0 && weight >= inherited
        };
        self.neighbours.len() <= CO_VISIT_NEIGHBOURS_MAX
            && self.engagements.is_finite()
            && self.engagements >= 0.0
            && self.neighbours.iter().all(sane)
    }

    /// Moves the landmark to `at` when that is newer. Returns what a weight of 1 at time `at` counts at the landmark.
    fn move_landmark(&mut self, at: TimestampMs, half_life_ms: i64) -> f64 {
        if self.engagements == 0.0 && self.neighbours.is_empty() {
            self.landmark = at;
        }
        if at <= self.landmark {
            return halvings(self.landmark.since(at), half_life_ms);
        }
        let scale = halvings(at.since(self.landmark), half_life_ms);
        self.engagements *= scale;
        for neighbour in &mut self.neighbours {
            neighbour.weight *= scale as f32;
            neighbour.inherited *= scale as f32;
        }
        self.landmark = at;
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn old_weights_fade_against_new_ones() {
        let mut row = CoVisitRow::default();
        row.add_neighbour(1, 1.0, TimestampMs(0), DAY_MS);
        row.add_neighbour(2, 1.0, TimestampMs(2 * DAY_MS), DAY_MS);
        row.add_neighbour(3, 1.0, TimestampMs(DAY_MS), DAY_MS);
        let weights: Vec<_> = row
            .neighbours
            .iter()
            .map(|neighbour| (neighbour.row, neighbour.weight))
            .collect();
        assert_eq!(weights, [(1, 0.25), (2, 1.0), (3, 0.5)]);
    }

    #[test]
    fn a_rising_neighbour_stays_among_strangers() {
        let mut row = CoVisitRow::default();
        for stranger in 0..1_000 {
            row.add_neighbour(stranger, 1.0, TimestampMs(0), DAY_MS);
            if stranger % 4 == 0 {
                row.add_neighbour(5_000, 1.0, TimestampMs(0), DAY_MS);
            }
        }
        assert!(row.is_sound());
        let rising = row
            .neighbours
            .iter()
            .find(|neighbour| neighbour.row == 5_000)
            .expect("kept");
        assert!((rising.weight - rising.inherited - 250.0).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn what_it_says_is_a_lower_bound_and_exact_before_the_first_eviction(
            visits in prop::collection::vec((0..120_u32, 1..5_u8), 0..400),
        ) {
            let (mut row, mut truth) = (CoVisitRow::default(), HashMap::<Row, f32>::new());
            for (neighbour, weight) in visits {
                row.add_neighbour(neighbour, f32::from(weight), TimestampMs(7), DAY_MS);
                *truth.entry(neighbour).or_default() += f32::from(weight);
                prop_assert!(row.is_sound());
                for kept in &row.neighbours {
                    let earned = kept.weight - kept.inherited;
                    prop_assert!(earned <= truth[&kept.row] && truth[&kept.row] <= kept.weight);
                    prop_assert!(truth.len() > CO_VISIT_NEIGHBOURS_MAX || earned == truth[&kept.row]);
                }
            }
        }
    }
}
