//! A linear item-to-item model of all sessions at once, fitted beside the requests.
//!
//! EASE (H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019): B = I - P / diag(P) with
//! P = (G + λI)^-1. Where EASE counts in G how often two items meet in a history, here a meeting d items apart counts
//! exp(-d / 100) and the product of their weights, and fades with the age of its session: in a history of hundreds of
//! items the near ones belong together more than the far ones. The ridge grows with an item's frequency, which is what
//! dropping a share of the input while fitting comes to (H. Steck, "Autoencoders that don't overfit towards the
//! identity", NeurIPS 2020). Owns the fit, the scores and when a fit is due. Must not fit on a thread that answers
//! requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use ndarray::Array2;
use rustc_hash::FxHashMap;

use super::co_visits::{RecentItem, RecentScratch, query_weights};
use super::session_knn::SessionKnn;
use super::session_slot::{SESSION_ITEMS_MAX, SessionRecord};
use super::symmetric::{NotPositiveDefinite, invert};
use crate::ids::Row;
use crate::params::{CollaborativeParams, QueryProfile};
use crate::popularity::{ScoredRow, halvings, keep_best_or_all};

/// The most neighbours kept of an item: 8 bytes each.
const LINEAR_NEIGHBOURS_MAX: usize = 200;
/// A meeting so many items apart counts 1/e.
const MEETING_RANGE_ITEMS: f32 = 100.0;
/// A fit is due after so many positive events,
const REFIT_EVENTS_MIN: u64 = 1_000;
/// or after this share of all of them, whichever is more.
const REFIT_SHARE: u64 = 50;
/// Sessions are read from the index so many at a time.
const SESSIONS_PER_READ: usize = 4_096;

/// A fitted model; never changes.
#[derive(Debug, Default, PartialEq)]
pub struct LinearModel {
    place_of: FxHashMap<Row, u32>,
    /// Where an item's neighbours begin; one more than there are items.
    starts: Vec<u32>,
    neighbours: Vec<ScoredRow>,
}

impl LinearModel {
    /// Fits the model to sessions, on the `linear_items_max` items that most of them hold. The result does not depend on
    /// the number of threads.
    ///
    /// # Errors
    /// The regularisation is too small for the data.
    pub fn fit(
        sessions: &[SessionRecord],
        params: &CollaborativeParams,
        threads: usize,
    ) -> Result<Self, NotPositiveDefinite> {
        let items = most_frequent(sessions, params.linear_items_max as usize);
        let place_of: FxHashMap<Row, u32> = (0_u32..).zip(&items).map(|(place, row)| (*row, place)).collect();
        let mut matrix = meetings(sessions, &place_of, params);
        let (ridge, share) = (params.linear_regularisation, params.linear_frequency_ridge);
        matrix.diag_mut().mapv_inplace(|entry| entry * (1.0 + share) + ridge);
        invert(&mut matrix, threads)?;
        let pivots = matrix.diag().to_owned();
        let (mut starts, mut neighbours) = (vec![0], Vec::new());
        let mut row_weights: Vec<ScoredRow> = Vec::new();
        for (place, weights) in matrix.rows().into_iter().enumerate() {
            row_weights.clear();
            let others = weights.iter().zip(&pivots).zip(&items).enumerate();
            row_weights.extend(
                others
                    .filter(|(other, _)| *other != place)
                    .map(|(_, ((entry, pivot), row))| {
                        let score = -entry / pivot;
                        ScoredRow { row: *row, score }
                    }),
            );
            if row_weights.len() > LINEAR_NEIGHBOURS_MAX {
                let strongest =
                    |a: &ScoredRow, b: &ScoredRow| b.score.abs().total_cmp(&a.score.abs()).then(a.row.cmp(&b.row));
                row_weights.select_nth_unstable_by(LINEAR_NEIGHBOURS_MAX, strongest);
                row_weights.truncate(LINEAR_NEIGHBOURS_MAX);
            }
            row_weights.sort_unstable_by_key(|one| one.row);
            neighbours.extend_from_slice(&row_weights);
            starts.push(neighbours.len() as u32);
        }
        Ok(Self {
            place_of,
            starts,
            neighbours,
        })
    }

    /// Sums what the viewer's last items (newest last) say and puts the best `limit` into `out`, best first, or all in any order. The items
    /// themselves are left out.
    pub fn score_from_recent(
        &self,
        recent: &[RecentItem],
        profile: &QueryProfile,
        params: &CollaborativeParams,
        limit: Option<usize>,
        scratch: &mut RecentScratch,
        out: &mut Vec<ScoredRow>,
    ) {
        out.clear();
        scratch.sums.clear();
        for (item, weight) in query_weights(recent, profile.linear_decay, params) {
            for neighbour in self.neighbours(item.row) {
                scratch
                    .sums
                    .add(neighbour.row, neighbour.score * weight * item.weight, 0);
            }
        }
        scratch.take_others(recent, out);
        out.retain(|scored| scored.score > 0.0);
        keep_best_or_all(out, limit);
    }

    /// How many items take part.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.place_of.len()
    }

    /// What having an item says about others, in the order of their rows.
    #[must_use]
    pub fn neighbours(&self, row: Row) -> &[ScoredRow] {
        let Some(place) = self.place_of.get(&row) else {
            return &[];
        };
        let place = *place as usize;
        &self.neighbours[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}

/// The items that most sessions hold, ascending.
fn most_frequent(sessions: &[SessionRecord], items_max: usize) -> Vec<Row> {
    let mut counts: FxHashMap<Row, u32> = FxHashMap::default();
    for row in sessions.iter().flat_map(|session| &session.items) {
        *counts.entry(*row).or_default() += 1;
    }
    let mut items: Vec<(Row, u32)> = counts.into_iter().collect();
    items.sort_unstable_by_key(|(row, count)| (std::cmp::Reverse(*count), *row));
    items.truncate(items_max);
    let mut items: Vec<Row> = items.into_iter().map(|(row, _)| row).collect();
    items.sort_unstable();
    items
}

/// How often each two items meet, near meetings more than far ones.
fn meetings(sessions: &[SessionRecord], place_of: &FxHashMap<Row, u32>, params: &CollaborativeParams) -> Array2<f32> {
    let newest = sessions.iter().map(|session| session.last_at).max().unwrap_or_default();
    let fades: Vec<f32> = (0..SESSION_ITEMS_MAX)
        .map(|steps| (-(steps as f32) / MEETING_RANGE_ITEMS).exp())
        .collect();
    let mut matrix = Array2::zeros((place_of.len(), place_of.len()));
    let mut places: Vec<(usize, usize, f32)> = Vec::new();
    for session in sessions {
        places.clear();
        let age_ms = newest.since(session.last_at);
        let recent = halvings(age_ms, params.linear_half_life_ms) as f32;
        let known = session.weighted().take(SESSION_ITEMS_MAX).enumerate();
        places.extend(known.filter_map(|(step, (row, weight))| Some((step, *place_of.get(&row)? as usize, weight))));
        for (number, (step, place, weight)) in places.iter().enumerate() {
            matrix[[*place, *place]] += recent * weight * weight;
            for (later_step, later, later_weight) in &places[number + 1..] {
                let fade = recent * weight * later_weight * fades[later_step - step];
                matrix[[*place, *later]] += fade;
                matrix[[*later, *place]] += fade;
            }
        }
    }
    matrix
}

/// The model in force and how much has happened since its fit, shared by all threads.
#[derive(Debug, Default)]
pub struct LinearSlot {
    model: ArcSwapOption<LinearModel>,
    events: AtomicU64,
    events_at_fit: AtomicU64,
}

impl LinearSlot {
    /// The model in force, if one has been fitted.
    #[must_use]
    pub fn model(&self) -> Option<Arc<LinearModel>> {
        self.model.load_full()
    }

    /// Number of items that the model in force covers.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.model.load().as_ref().map_or(0, |model| model.item_count())
    }

    /// Counts positive events that have come into the index of sessions.
    pub fn count_events(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// How many positive events have come into the index of sessions.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Whether enough has happened for a new fit.
    #[must_use]
    pub fn is_due(&self, params: &CollaborativeParams) -> bool {
        let events = self.events.load(Ordering::Relaxed);
        let since = events.saturating_sub(self.events_at_fit.load(Ordering::Relaxed));
        params.linear_items_max > 0 && since >= REFIT_EVENTS_MIN.max(events / REFIT_SHARE)
    }

    /// Fits a new model to the sessions of the index and puts it in force; takes seconds. Returns how many items it
    /// covers.
    ///
    /// # Errors
    /// The regularisation is too small for the data; the model before stays in force.
    pub fn refit(
        &self,
        sessions: &SessionKnn,
        params: &CollaborativeParams,
        threads: usize,
    ) -> Result<usize, NotPositiveDefinite> {
        self.events_at_fit
            .store(self.events.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut records = Vec::new();
        for start in (0..sessions.capacity()).step_by(SESSIONS_PER_READ) {
            let part = sessions.export(start..start + SESSIONS_PER_READ);
            records.extend(part.into_iter().filter(|session| session.items.len() > 1));
        }
        let model = LinearModel::fit(&records, params, threads)?;
        let items = model.item_count();
        self.model.store(Some(Arc::new(model)));
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::super::session_slot::SessionKey;
    use super::*;
    use crate::time::TimestampMs;

    fn session(key: u64, items: &[Row]) -> SessionRecord {
        SessionRecord {
            key: SessionKey(key),
            last_at: TimestampMs(0),
            items: items.to_vec(),
            weights: Vec::new(),
        }
    }

    fn params(regularisation: f32) -> CollaborativeParams {
        CollaborativeParams {
            linear_regularisation: regularisation,
            linear_frequency_ridge: 0.0,
            ..CollaborativeParams::default()
        }
    }

    #[test]
    fn two_items_have_the_weights_of_the_closed_form() {
        // G = [[2, e], [e, 1]] with e = exp(-1/100), λ 1: B₀₁ = e / (2 + 1), B₁₀ = e / (1 + 1).
        let model = LinearModel::fit(&[session(0, &[10, 20]), session(1, &[10])], &params(1.0), 1).expect("a model");
        let e = (-0.01_f32).exp();
        let [to_second] = model.neighbours(10) else {
            panic!("one neighbour")
        };
        let [to_first] = model.neighbours(20) else {
            panic!("one neighbour")
        };
        assert!((to_second.row, to_first.row) == (20, 10));
        assert!((to_second.score - e / 3.0).abs() < 1e-5, "{to_second:?}");
        assert!((to_first.score - e / 2.0).abs() < 1e-5, "{to_first:?}");
        assert!(model.neighbours(30).is_empty());
    }

    #[test]
    fn old_sessions_count_less_and_frequent_items_have_a_ridge_of_their_own() {
        let half_life_ms = CollaborativeParams::default().linear_half_life_ms;
        let mut newer = session(1, &[10]);
        newer.last_at = TimestampMs(half_life_ms);
        let own_ridge = CollaborativeParams {
            linear_frequency_ridge: 0.5,
            ..params(1.0)
        };
        let model = LinearModel::fit(&[session(0, &[10, 20]), newer], &own_ridge, 1).expect("a model");
        // G = [[1.5, e/2], [e/2, 0.5]] with the older session at half, λ 1, half of the diagonal on top.
        let e = (-0.01_f32).exp();
        let [to_second] = model.neighbours(10) else {
            panic!("one neighbour")
        };
        assert!(
            (to_second.score - 0.5 * e / (1.5 * 1.5 + 1.0)).abs() < 1e-5,
            "{to_second:?}"
        );
    }

    #[test]
    fn only_the_most_frequent_take_part_and_threads_change_nothing() {
        let sessions: Vec<SessionRecord> = (0..200_u32)
            .map(|number| {
                session(
                    u64::from(number),
                    &[number % 7, 7 + number % 11, 18 + number * number % 60],
                )
            })
            .collect();
        let few = CollaborativeParams {
            linear_items_max: 15,
            ..params(5.0)
        };
        let model = LinearModel::fit(&sessions, &few, 1).expect("a model");
        assert_eq!(model.item_count(), 15);
        assert_eq!(model, LinearModel::fit(&sessions, &few, 3).expect("a model"));
    }

    #[test]
    fn a_fit_is_due_after_enough_events_and_serves_from_then_on() {
        let (slot, index, params) = (LinearSlot::default(), SessionKnn::new(100), params(1.0));
        let mut key = None;
        for row in [1, 2, 3] {
            key = Some(index.extend(key, row, TimestampMs(1_000), 1.0, &params));
        }
        assert!(!slot.is_due(&params) && slot.model().is_none());
        slot.count_events(REFIT_EVENTS_MIN);
        assert!(slot.is_due(&params));
        assert_eq!(slot.refit(&index, &params, 1), Ok(3));
        assert!(!slot.is_due(&params));
        let recent = [RecentItem {
            row: 1,
            at: TimestampMs(0),
            weight: 1.0,
        }];
        let (mut scratch, mut out) = (RecentScratch::default(), Vec::new());
        let model = slot.model().expect("fitted");
        model.score_from_recent(&recent, &params.wide, &params, Some(10), &mut scratch, &mut out);
        assert_eq!(out.iter().map(|one| one.row).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn nothing_to_fit_is_an_empty_model() {
        let model = LinearModel::fit(&[], &params(1.0), 2).expect("a model");
        assert_eq!(model.item_count(), 0);
        assert!(model.neighbours(1).is_empty());
    }
}
