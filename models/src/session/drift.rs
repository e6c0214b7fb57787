//! The drift guard and the weights of the two horizons: how much the present may tilt an established taste.
//!
//! Owns what was held back of stray signals, and the learned weights of short- and long-term interest. The latter are a
//! logistic regression per viewer of the outcome (wanted or not) on the cosines of the item with both horizons, taken
//! before the outcome changes them: z = bias + 4 · (short · cos_short + long · cos_long), one step of gradient descent per
//! outcome, drawn back a little to the fixed weights. Nothing is held for a viewer without stray signals and with fixed
//! weights.

use serde::{Deserialize, Serialize};

use super::SessionState;
use crate::catalogue::{Entry, NO_WORD, Vocabularies};
use crate::ids::Word;
use crate::params::{InterestFusion, InterestParams};
use crate::pipeline::cosine;
use crate::time::TimestampMs;

/// The most categories with stray signals at one time; of more the oldest goes.
const STRAYS_MAX: usize = 8;
/// Cosines of a taste with items are far below 1: scaled so that a clear difference is a clear probability.
const COSINE_SCALE: f32 = 4.0;
/// How strongly each step draws the learned weights back to the fixed ones.
const DRAW_BACK: f32 = 0.002;
/// The least weight of a horizon: it must be able to come back.
const HORIZON_WEIGHT_MIN: f32 = 0.02;

/// What was held back of the stray signals in one category.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stray {
    category: Word,
    signals: u32,
    withheld: f32,
    at: TimestampMs,
}

/// Learned weights of the two horizons.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedFusion {
    /// Of the short-term interest.
    pub short: f32,
    /// Of the long-term interest.
    pub long: f32,
    bias: f32,
    /// How many outcomes it was learned from.
    pub outcomes: u32,
}

impl SessionState {
    /// What a signal may count for the interest; see [`crate::params::DriftParams`].
    pub(super) fn guarded(&mut self, weight: f32, entry: &Entry, at: TimestampMs, params: &InterestParams) -> f32 {
        let drift = &params.drift;
        let category = entry.leading_category();
        if weight <= 0.0 || !drift.enabled || category == NO_WORD || !self.is_foreign(category, params) {
            return weight;
        }
        let is_over = |stray: &Stray| at.since(stray.at).abs() > drift.within_ms;
        self.strays.retain(|stray| !is_over(stray));
        let place = self
            .strays
            .iter()
            .position(|stray| stray.category == category)
            .unwrap_or_else(|| {
                if self.strays.len() >= STRAYS_MAX {
                    self.strays.remove(0);
                }
                self.strays.push(Stray {
                    category,
                    signals: 0,
                    withheld: 0.0,
                    at,
                });
                self.strays.len() - 1
            });
        let stray = &mut self.strays[place];
        stray.at = stray.at.max(at);
        stray.signals = if weight > drift.weight_max {
            drift.signals
        } else {
            stray.signals.saturating_add(1)
        };
        if stray.signals >= drift.signals {
            return weight + std::mem::take(&mut stray.withheld);
        }
        stray.withheld += weight * (1.0 - drift.share);
        weight * drift.share
    }

    /// Whether a category means nothing to a viewer whose taste is established.
    fn is_foreign(&self, category: Word, params: &InterestParams) -> bool {
        if self.long.evidence < params.drift.evidence {
            return false;
        }
        let positive = self
            .long
            .categories
            .iter()
            .map(|(_, weight)| weight.max(0.0))
            .sum::<f32>();
        self.long.categories.raw(category) <= params.drift.foreign_share * positive
    }

    /// The weights of short- and long-term interest in the blended taste.
    #[must_use]
    pub fn horizon_weights(&self, params: &InterestParams) -> (f32, f32) {
        let (mut short, mut long) = (params.short_weight, params.long_weight);
        if params.fusion == InterestFusion::Learned
            && let Some(learned) = &self.fusion
        {
            let both = (short + long) / (learned.short + learned.long);
            (short, long) = (learned.short * both, learned.long * both);
        }
        let drift = &params.drift;
        if drift.enabled && self.long.evidence >= drift.evidence && drift.full_strength > 0.0 {
            short *= (self.short.strength() / drift.full_strength).min(1.0);
        }
        (short, long)
    }

    /// Learns from what the viewer did with an item, before the interest takes it.
    pub(crate) fn learn_fusion(&mut self, is_wanted: bool, vector: &[f32], params: &InterestParams) {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        let cos_short = if self.short.direction(&mut short) {
            cosine(&short, vector)
        } else {
            0.0
        };
        let cos_long = if self.long.direction(&mut long) {
            cosine(&long, vector)
        } else {
            0.0
        };
        let learned = self.fusion.get_or_insert_with(|| {
            Box::new(LearnedFusion {
                short: params.short_weight,
                long: params.long_weight,
                bias: 0.0,
                outcomes: 0,
            })
        });
        let logit = learned.bias + COSINE_SCALE * (learned.short * cos_short + learned.long * cos_long);
        let error = f32::from(u8::from(is_wanted)) - 1.0 / (1.0 + (-logit).exp());
        let step = params.fusion_rate * error;
        let moved = |weight: f32, cosine: f32, fixed: f32| {
            let weight = weight + step * COSINE_SCALE * cosine + DRAW_BACK * (fixed - weight);
            if weight.is_finite() {
                weight.clamp(HORIZON_WEIGHT_MIN, 10.0)
            } else {
                fixed
            }
        };
        learned.short = moved(learned.short, cos_short, params.short_weight);
        learned.long = moved(learned.long, cos_long, params.long_weight);
        learned.bias = (learned.bias + step).clamp(-10.0, 10.0);
        learned.outcomes = learned.outcomes.saturating_add(1);
    }
}

/// A stray signal as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StraySnapshot(String, u32, f32, i64);

impl StraySnapshot {
    /// The stored form; `None` when the category has no name.
    pub(super) fn of(stray: &Stray, words: &Vocabularies) -> Option<Self> {
        let name = words.categories.name(stray.category)?;
        Some(Self(name.to_string(), stray.signals, stray.withheld, stray.at.0))
    }

    /// What was stored.
    pub(super) fn restore(self, words: &Vocabularies) -> Option<Stray> {
        Some(Stray {
            category: words.categories.intern(&self.0)?,
            signals: self.1,
            withheld: self.2,
            at: TimestampMs(self.3),
        })
    }
}
