//! What an operator sees of the learner.
//!
//! Owns the report and the names of weights. Crosses are hashes, so only those of names that the catalogue knows can be
//! named; crosses of single viewers never are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::guard::{Level, OBJECTIVE_LEVELS};
use super::inputs::{INPUT_COUNT, input_name};
use super::lanes::Lanes;
use super::model::Learner;
use super::slots::{SlotKind, hour_category_key, slot};
use crate::catalogue::CatalogueSnapshot;
use crate::rank::Objective;

/// The most weights that are named.
const WEIGHTS_MAX: usize = 40;
/// The most items whose weights, authors and categories are looked at.
const ITEMS_MAX: u32 = 200_000;

/// What an operator sees of the learner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LearnerReport {
    /// Whether outcomes are learned from.
    pub enabled: bool,
    /// Whether corrections reach the scores, where the guard lets them.
    pub correct: bool,
    /// The model that is corrected, by its fingerprint.
    pub model: String,
    /// Served items whose outcome was learned.
    pub samples: u64,
    /// Outcomes that were dropped because too many waited.
    pub dropped: u64,
    /// Crosses that have learned anything, of 262 144.
    pub crosses: usize,
    /// The state of each objective.
    pub objectives: BTreeMap<String, ObjectiveReport>,
    /// The largest weights that have a name.
    pub weights: Vec<LearnerWeight>,
}

/// The state of one objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectiveReport {
    /// By what it is served: `model`, `calibrated` or `corrected`.
    pub scored_by: Level,
    /// Outcomes watched since the model began to serve.
    pub outcomes: u64,
    /// Progressive log loss over about the last window, by what would have been served.
    pub log_loss: BTreeMap<String, f32>,
    /// log-odds' = (1 + scale) · log-odds + bias.
    pub scale: f32,
    /// See `scale`.
    pub bias: f32,
}

/// A weight with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LearnerWeight {
    /// `feature:...`, `channel:...`, `item:...`, `author:...`, `category:...`, `hour_x_category:...`.
    pub name: String,
    /// What it adds to the log-odds of each objective.
    pub weights: BTreeMap<String, f32>,
}

impl Learner {
    /// The report. Looks at the whole catalogue (bounded): milliseconds, not for a thread that serves.
    #[must_use]
    pub fn report(&self, catalogue: &CatalogueSnapshot, dropped: u64) -> LearnerReport {
        LearnerReport {
            enabled: self.params.enabled,
            correct: self.params.correct,
            model: self.model.clone(),
            samples: self.samples,
            dropped,
            crosses: self.ftrl.crosses(),
            objectives: Objective::ALL
                .into_iter()
                .map(|objective| (objective.name().to_owned(), self.objective_report(objective)))
                .collect(),
            weights: self.named_weights(catalogue),
        }
    }

    fn objective_report(&self, objective: Objective) -> ObjectiveReport {
        let guard = &self.guards[objective.index()];
        let (scale, bias) = self.calibration.line(objective.index());
        let losses: [f32; OBJECTIVE_LEVELS] = guard.losses();
        ObjectiveReport {
            scored_by: guard.level(),
            outcomes: guard.outcomes(),
            log_loss: Level::ALL
                .into_iter()
                .map(|level| (level.name().to_owned(), losses[level as usize]))
                .collect(),
            scale,
            bias,
        }
    }

    fn named_weights(&self, catalogue: &CatalogueSnapshot) -> Vec<LearnerWeight> {
        let mut named: BTreeMap<String, Lanes> = BTreeMap::new();
        for input in 0..INPUT_COUNT {
            named.insert(input_name(input), self.ftrl.input_weights[input]);
        }
        let mut take = |name: String, kind: SlotKind, key: u64| {
            let weights = *self.ftrl.pages.read(slot(kind, key));
            if weights.iter().any(|weight| *weight != 0.0) {
                named.entry(name).or_insert(weights);
            }
        };
        for entry in (0..catalogue.rows_end().min(ITEMS_MAX)).filter_map(|row| catalogue.entry(row)) {
            take(format!("item:{}", entry.item.id.as_str()), SlotKind::Item, entry.hash);
            if let Some(author) = &entry.item.author {
                take(
                    format!("author:{}", author.as_str()),
                    SlotKind::Author,
                    entry.author_key,
                );
            }
            let Some(category) = entry.item.categories.first() else {
                continue;
            };
            take(format!("category:{category}"), SlotKind::Category, entry.category_key);
            for hour in 0..24 {
                let key = hour_category_key(hour, entry.category_key);
                if self.ftrl.pages.read(slot(SlotKind::HourCategory, key))[0] != 0.0 {
                    take(
                        format!("hour_x_category:{hour}:{category}"),
                        SlotKind::HourCategory,
                        key,
                    );
                }
            }
        }
        let size = |lanes: &Lanes| lanes.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
        let mut largest: Vec<(String, Lanes)> = named.into_iter().filter(|(_, lanes)| size(lanes) > 0.0).collect();
        largest.sort_by(|one, other| {
            size(&other.1)
                .total_cmp(&size(&one.1))
                .then_with(|| one.0.cmp(&other.0))
        });
        largest.truncate(WEIGHTS_MAX);
        largest
            .into_iter()
            .map(|(name, lanes)| LearnerWeight {
                name,
                weights: by_objective(&lanes),
            })
            .collect()
    }
}

fn by_objective(lanes: &Lanes) -> BTreeMap<String, f32> {
    Objective::ALL
        .into_iter()
        .map(|objective| (objective.name().to_owned(), lanes[objective.index()]))
        .collect()
}
