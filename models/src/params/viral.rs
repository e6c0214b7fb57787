//! Params of viral detection: when an item's rate stands out from its own baseline.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::MINUTE_MS;

/// Viral detection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ViralParams {
    /// Whether it is looked for at all.
    pub enabled: bool,
    /// So many approvals (likes, shares, comments, favourites, completions) in the last minute are the least.
    pub events_min: u32,
    /// How far the last minute must stand out, in standard deviations of a Poisson count.
    pub z_min: f32,
    /// No item's baseline is taken to be below this, in approvals per minute.
    pub baseline_per_minute_min: f32,
    /// An item counts as viral for so long after it last stood out, in milliseconds.
    pub hold_ms: i64,
    /// The score of a viral item in the lists of five minutes and of an hour is multiplied by this.
    pub boost: f32,
    /// Viral items are put into the lists at once, but not more often than this, in milliseconds.
    pub refresh_ms_min: i64,
}

impl Default for ViralParams {
    fn default() -> Self {
        Self {
            enabled: true,
            events_min: 10,
            z_min: 4.0,
            baseline_per_minute_min: 1.0,
            hold_ms: 10 * MINUTE_MS,
            boost: 2.0,
            refresh_ms_min: 250,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &ViralParams, checks: &mut Checks) {
    checks.within("popularity.viral.events_min", f64::from(params.events_min), 1.0, 1e6);
    checks.within("popularity.viral.z_min", f64::from(params.z_min), 0.1, 1_000.0);
    let baseline = f64::from(params.baseline_per_minute_min);
    checks.within("popularity.viral.baseline_per_minute_min", baseline, 0.0, 1e6);
    checks.duration("popularity.viral.hold_ms", params.hold_ms);
    checks.within("popularity.viral.boost", f64::from(params.boost), 1.0, 1_000.0);
    checks.within(
        "popularity.viral.refresh_ms_min",
        params.refresh_ms_min as f64,
        10.0,
        MINUTE_MS as f64,
    );
}
