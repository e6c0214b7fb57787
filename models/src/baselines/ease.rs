//! EASE: a linear item-to-item model in closed form.
//!
//! Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019: B = I - P / diag(P) with
//! P = (X'X + lambda I)^-1. Owns training and scoring; which items take part when the catalogue is too large for a dense
//! matrix is decided by how many events they have.

use ndarray::Array2;
use rustc_hash::FxHashMap;

use crate::collaborative::symmetric::{NotPositiveDefinite, invert};

/// The settings of [`Ease`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EaseConfig {
    /// The ridge on the diagonal (lambda).
    pub regularisation: f32,
    /// The most items that take part, the most popular ones; memory grows with its square, time with its cube.
    pub items_max: usize,
    /// How many threads train.
    pub threads: usize,
}

impl Default for EaseConfig {
    fn default() -> Self {
        Self {
            regularisation: 300.0,
            items_max: 5_000,
            threads: 1,
        }
    }
}

/// A trained model.
#[derive(Debug, Clone)]
pub struct Ease {
    /// One row per item that takes part.
    weights: Array2<f32>,
    item_of: Vec<u32>,
    place_of: FxHashMap<u32, u32>,
}

/// Trains on `(user, item, weight)`; rows of one user need not stand together, repeated rows count once, with the last
/// weight.
///
/// # Errors
/// The regularisation is too small for the data.
pub fn train_ease(rows: &[(u32, u32, f32)], config: &EaseConfig) -> Result<Ease, NotPositiveDefinite> {
    let item_of = most_popular(rows, config.items_max);
    let place_of: FxHashMap<u32, u32> = (0_u32..).zip(&item_of).map(|(place, item)| (*item, place)).collect();
    let users = by_user(rows, &place_of);
    let mut weights = gram(&users, item_of.len(), config.threads);
    weights.diag_mut().mapv_inplace(|entry| entry + config.regularisation);
    invert(&mut weights, config.threads)?;
    let diagonal = weights.diag().to_owned();
    for mut row in weights.rows_mut() {
        row.zip_mut_with(&diagonal, |entry, pivot| *entry = -*entry / pivot);
    }
    weights.diag_mut().fill(0.0);
    Ok(Ease {
        weights,
        item_of,
        place_of,
    })
}

impl Ease {
    /// Adds the scores of a user with these items and weights to `scores` (one entry per item of the catalogue).
    pub fn scores_into(&self, context: impl Iterator<Item = (u32, f32)>, scores: &mut [f32]) {
        for (item, weight) in context {
            let Some(place) = self.place_of.get(&item) else {
                continue;
            };
            let row = self.weights.row(*place as usize);
            for (other, entry) in self.item_of.iter().zip(row) {
                scores[*other as usize] += weight * entry;
            }
        }
    }

    /// How many items take part.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.item_of.len()
    }

    /// The weight with which having `from` speaks for `to`; 0 where one does not take part.
    #[must_use]
    pub fn weight(&self, from: u32, to: u32) -> f32 {
        match (self.place_of.get(&from), self.place_of.get(&to)) {
            (Some(from), Some(to)) => self.weights[[*from as usize, *to as usize]],
            _ => 0.0,
        }
    }
}

/// The items with most rows, ascending by number.
fn most_popular(rows: &[(u32, u32, f32)], items_max: usize) -> Vec<u32> {
    let mut counts: FxHashMap<u32, u32> = FxHashMap::default();
    rows.iter()
        .for_each(|(_, item, _)| *counts.entry(*item).or_default() += 1);
    let mut items: Vec<(u32, u32)> = counts.into_iter().collect();
    items.sort_unstable_by_key(|(item, count)| (std::cmp::Reverse(*count), *item));
    items.truncate(items_max);
    let mut items: Vec<u32> = items.into_iter().map(|(item, _)| item).collect();
    items.sort_unstable();
    items
}

/// Each user's (place, weight), places ascending and once.
fn by_user(rows: &[(u32, u32, f32)], place_of: &FxHashMap<u32, u32>) -> Vec<Vec<(u32, f32)>> {
    let mut users: Vec<Vec<(u32, f32)>> = Vec::new();
    for (user, item, weight) in rows {
        if let Some(place) = place_of.get(item) {
            if *user as usize >= users.len() {
                users.resize(*user as usize + 1, Vec::new());
            }
            users[*user as usize].push((*place, *weight));
        }
    }
    for items in &mut users {
        items.reverse();
        items.sort_by_key(|(place, _)| *place);
        items.dedup_by_key(|(place, _)| *place);
    }
    users
}

/// X'X; each thread owns a band of rows.
fn gram(users: &[Vec<(u32, f32)>], size: usize, threads: usize) -> Array2<f32> {
    let mut gram = Array2::<f32>::zeros((size, size));
    let rows_per_thread = size.div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (part, mut band) in gram.axis_chunks_iter_mut(ndarray::Axis(0), rows_per_thread).enumerate() {
            scope.spawn(move || {
                let first = (part * rows_per_thread) as u32;
                let rows = first..first + band.nrows() as u32;
                for items in users {
                    for (place, weight) in items.iter().filter(|(place, _)| rows.contains(place)) {
                        let mut row = band.row_mut((place - first) as usize);
                        items
                            .iter()
                            .for_each(|(other, other_weight)| row[*other as usize] += weight * other_weight);
                    }
                }
            });
        }
    });
    gram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_items_have_the_weight_of_the_closed_form() {
        // X'X = [[2, 1], [1, 1]], lambda 1: P = 1/5 [[2, -1], [-1, 3]], B01 = -P01/P11 = 1/3, B10 = 1/2.
        let config = EaseConfig {
            regularisation: 1.0,
            ..EaseConfig::default()
        };
        let model = train_ease(&[(0, 10, 1.0), (0, 20, 1.0), (1, 10, 1.0), (1, 10, 1.0)], &config).expect("a model");
        assert!((model.weight(10, 20) - 1.0 / 3.0).abs() < 1e-6);
        assert!((model.weight(20, 10) - 0.5).abs() < 1e-6);
        let mut scores = vec![0.0; 21];
        model.scores_into([(20, 2.0), (7, 1.0)].into_iter(), &mut scores);
        assert!((scores[10] - 1.0).abs() < 1e-6 && scores[20] == 0.0);
    }

    #[test]
    fn only_the_most_popular_items_take_part_and_threads_change_nothing() {
        let rows: Vec<(u32, u32, f32)> = (0..400_u32).map(|n| (n % 37, n * n % 91, 1.0)).collect();
        let config = EaseConfig {
            items_max: 20,
            ..EaseConfig::default()
        };
        let one = train_ease(&rows, &config).expect("a model");
        let three = train_ease(&rows, &EaseConfig { threads: 3, ..config }).expect("a model");
        assert_eq!(one.item_count(), 20);
        assert_eq!(one.weights, three.weights);
    }
}
