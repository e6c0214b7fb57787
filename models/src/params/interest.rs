//! Params of how signals become interest.

use serde::{Deserialize, Serialize};

use super::DriftParams;
use super::check::Checks;
use crate::event::Signal;
use crate::time::{DAY_MS, HOUR_MS};

/// How much one signal says about the viewer's interest; negative means: less of this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // each field is the signal of its name
pub struct SignalWeights {
    pub impression: f32,
    /// For a view of the whole item; a shorter view counts by its watch ratio, see `InterestParams::view_neutral_ratio`.
    pub view: f32,
    pub like: f32,
    pub unlike: f32,
    pub skip: f32,
    pub share: f32,
    pub comment: f32,
    pub favorite: f32,
    pub follow: f32,
    pub complete: f32,
    pub dislike: f32,
    pub report: f32,
}

impl Default for SignalWeights {
    fn default() -> Self {
        Self {
            impression: 0.0,
            view: 0.5,
            like: 1.0,
            unlike: -1.0,
            skip: -0.4,
            share: 1.2,
            comment: 0.8,
            favorite: 1.2,
            follow: 1.0,
            complete: 0.7,
            dislike: -1.5,
            report: -2.0,
        }
    }
}

impl SignalWeights {
    /// The weight of a signal.
    #[must_use]
    pub fn of(&self, signal: Signal) -> f32 {
        match signal {
            Signal::Impression => self.impression,
            Signal::View => self.view,
            Signal::Like => self.like,
            Signal::Unlike => self.unlike,
            Signal::Skip => self.skip,
            Signal::Share => self.share,
            Signal::Comment => self.comment,
            Signal::Favorite => self.favorite,
            Signal::Follow => self.follow,
            Signal::Complete => self.complete,
            Signal::Dislike => self.dislike,
            Signal::Report => self.report,
        }
    }
}

/// Where the weights of short- and long-term interest come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InterestFusion {
    /// `short_weight` and `long_weight`.
    #[default]
    Fixed,
    /// Learned for each viewer from what was wanted, beginning with those.
    Learned,
}

/// How signals become interest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InterestParams {
    /// Half-life of the short-term interest, in milliseconds.
    pub short_half_life_ms: i64,
    /// Half-life of the long-term interest, in milliseconds.
    pub long_half_life_ms: i64,
    /// What is left of the short-term interest after each further signal: what was liked last counts most, at any pace.
    pub short_step_decay: f32,
    /// Share of the short-term interest in the blended taste.
    pub short_weight: f32,
    /// Share of the long-term interest in the blended taste.
    pub long_weight: f32,
    /// Where the two weights come from.
    pub fusion: InterestFusion,
    /// The step of the learned weights.
    pub fusion_rate: f32,
    /// How much a stray signal may tilt an established taste.
    pub drift: DriftParams,
    /// A view of less than this share of the item counts against it, of more counts for it.
    pub view_neutral_ratio: f32,
    /// What a long-term tag from outside weighs, beside 1 for a like.
    pub prior_weight: f32,
    /// With so many signals of the viewer's own, half of what the outside said is left.
    pub prior_signals: f32,
    /// What each signal says.
    pub signals: SignalWeights,
}

impl Default for InterestParams {
    fn default() -> Self {
        Self {
            short_half_life_ms: HOUR_MS,
            long_half_life_ms: 30 * DAY_MS,
            short_step_decay: 0.92,
            short_weight: 0.6,
            long_weight: 0.4,
            fusion: InterestFusion::Fixed,
            fusion_rate: 0.05,
            drift: DriftParams::default(),
            view_neutral_ratio: 0.3,
            prior_weight: 2.0,
            prior_signals: 20.0,
            signals: SignalWeights::default(),
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &InterestParams, checks: &mut Checks) {
    checks.duration("interest.short_half_life_ms", params.short_half_life_ms);
    checks.duration("interest.long_half_life_ms", params.long_half_life_ms);
    checks.share("interest.short_step_decay", params.short_step_decay);
    checks.share("interest.short_weight", params.short_weight);
    checks.share("interest.long_weight", params.long_weight);
    checks.share("interest.view_neutral_ratio", params.view_neutral_ratio);
    checks.share("interest.fusion_rate", params.fusion_rate);
    super::drift::validate(&params.drift, checks);
    checks.weight("interest.prior_weight", params.prior_weight, 0.0);
    checks.within("interest.prior_signals", f64::from(params.prior_signals), 0.0, 10_000.0);
    checks.rule(
        params.short_weight + params.long_weight > 0.0,
        "interest.short_weight",
        "short_weight and long_weight must not both be 0",
    );
    for signal in Signal::ALL {
        let weight = f64::from(params.signals.of(signal));
        checks.within(format!("interest.signals.{}", signal.name()), weight, -10.0, 10.0);
    }
}
