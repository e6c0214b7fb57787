//! Experiments on the wire: the reply of `GET /v1/experiments/{name}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an experiment says so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExperimentDto {
    /// Its name.
    pub name: String,
    /// Its layer.
    pub layer: String,
    /// Whether viewers are assigned now.
    pub running: bool,
    /// The metric that decides.
    pub metric: String,
    /// The variant that the others are compared with.
    pub control: String,
    /// The probability of a false alarm that is accepted, for all comparisons together.
    pub alpha: f64,
    /// All viewers who did anything; without those who were forced.
    pub users: u64,
    /// Whether the variants have the viewers that their weights promise.
    pub sample_ratio: Option<SampleRatioDto>,
    /// `needs_more_viewers`, `sample_ratio_mismatch`, `undecided`, or `better: <variant>` / `worse: <variant>, ...`.
    pub verdict: String,
    /// The variants in the order of the params.
    pub variants: Vec<ExperimentVariantDto>,
}

/// How the viewers fit the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SampleRatioDto {
    /// Pearson's statistic.
    pub chi_square: f64,
    /// Its degrees of freedom.
    pub degrees_of_freedom: usize,
    /// Its p-value, valid for one look.
    pub p_value: f64,
    /// The p-value that stays valid over any number of looks.
    pub sequential_p_value: f64,
    /// Whether something loses viewers of a variant: nothing else is to be trusted then.
    pub alarm: bool,
}

/// One variant's viewers and what they did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExperimentVariantDto {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// How many viewers did anything.
    pub users: u64,
    /// Items that they were shown.
    pub impressions: u64,
    /// Their sessions: a session ends after 30 minutes without anything.
    pub sessions: u64,
    /// What they watched, in milliseconds.
    pub watch_time_ms: u64,
    /// `ctr`, `like_rate`, `skip_rate`, `completion_rate`, `share_rate`, `watch_time_per_session_s`.
    pub metrics: BTreeMap<String, EstimateDto>,
    /// The same metrics compared with the control's; empty for the control.
    pub compared: BTreeMap<String, ComparisonDto>,
}

/// A ratio over viewers with its interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EstimateDto {
    /// The ratio.
    pub value: f64,
    /// The lower end of the confidence interval, for one look.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A variant's metric against the control's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComparisonDto {
    /// The variant's ratio less the control's.
    pub difference: f64,
    /// The difference as a share of the control's ratio; `None` when that is 0.
    pub lift: Option<f64>,
    /// The lower end of the confidence interval of the difference, for one look.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The two-sided p-value of no difference, for one look.
    pub p_value: f64,
    /// What may be looked at at any time; `None` before every variant has `users_min` viewers.
    pub sequential: Option<SequentialDto>,
}

/// The always-valid test of a difference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SequentialDto {
    /// The p-value, valid at every look.
    pub p_value: f64,
    /// The lower end of the confidence sequence of the difference.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Whether the difference is established.
    pub significant: bool,
}
