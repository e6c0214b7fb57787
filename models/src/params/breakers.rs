//! Params of the channels' circuit breakers.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// When a channel is cut off, and when it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerParams {
    /// Whether channels are cut off at all.
    pub enabled: bool,
    /// Calls and failures of so long count together, in milliseconds.
    pub window_ms: i64,
    /// Fewer calls than this within the window say nothing.
    pub min_calls: u32,
    /// The channel is cut off when more than this share of the calls were late or failed.
    pub error_share_max: f32,
    /// It is left alone for so long, in milliseconds.
    pub open_ms: i64,
    /// Then so many calls try it; it is back when all succeed, and cut off again by the first that does not.
    pub half_open_calls: u32,
}

impl Default for BreakerParams {
    fn default() -> Self {
        Self {
            enabled: true,
            window_ms: 10_000,
            min_calls: 20,
            error_share_max: 0.05,
            open_ms: 5_000,
            half_open_calls: 3,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &BreakerParams, checks: &mut Checks) {
    checks.duration("breakers.window_ms", params.window_ms);
    checks.duration("breakers.open_ms", params.open_ms);
    checks.share("breakers.error_share_max", params.error_share_max);
    checks.within("breakers.min_calls", f64::from(params.min_calls), 1.0, 1e6);
    checks.within("breakers.half_open_calls", f64::from(params.half_open_calls), 1.0, 1e3);
}
