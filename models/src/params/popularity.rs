//! Params of item popularity.

use serde::{Deserialize, Serialize};

use super::ViralParams;
use super::check::Checks;
use crate::time::DAY_MS;

/// Item popularity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PopularityParams {
    /// Half-life of decayed popularity, in milliseconds.
    pub half_life_ms: i64,
    /// So many impressions of prior belief stand behind every rate.
    pub prior_impressions: f32,
    /// The prior like rate.
    pub prior_like_rate: f32,
    /// The prior skip rate.
    pub prior_skip_rate: f32,
    /// The prior completion rate.
    pub prior_completion_rate: f32,
    /// The same signal of the same viewer on the same item counts again after so long, in milliseconds.
    pub viewer_repeat_ms: i64,
    /// The trending lists are made again at least so often, in milliseconds.
    pub refresh_ms: i64,
    /// They are made sooner, down to every second, as long as that takes no more than this share of one core. 0: never
    /// sooner.
    pub refresh_cpu_share: f32,
    /// The length of every trending list.
    pub list_items: u32,
    /// Viral detection.
    pub viral: ViralParams,
}

impl Default for PopularityParams {
    fn default() -> Self {
        Self {
            half_life_ms: 3 * DAY_MS,
            prior_impressions: 20.0,
            prior_like_rate: 0.05,
            prior_skip_rate: 0.35,
            prior_completion_rate: 0.35,
            viewer_repeat_ms: DAY_MS,
            refresh_ms: 15_000,
            refresh_cpu_share: 0.01,
            list_items: 500,
            viral: ViralParams::default(),
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &PopularityParams, checks: &mut Checks) {
    checks.duration("popularity.half_life_ms", params.half_life_ms);
    checks.duration("popularity.viewer_repeat_ms", params.viewer_repeat_ms);
    checks.duration("popularity.refresh_ms", params.refresh_ms);
    checks.share("popularity.refresh_cpu_share", params.refresh_cpu_share);
    checks.share("popularity.prior_like_rate", params.prior_like_rate);
    checks.share("popularity.prior_skip_rate", params.prior_skip_rate);
    checks.share("popularity.prior_completion_rate", params.prior_completion_rate);
    let impressions = f64::from(params.prior_impressions);
    checks.within("popularity.prior_impressions", impressions, 0.0, 1e6);
    super::viral::validate(&params.viral, checks);
    checks.within("popularity.list_items", f64::from(params.list_items), 10.0, 10_000.0);
}
