//! Params of the drift guard: how much a stray signal may tilt an established taste.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::HOUR_MS;

/// A weak positive signal (a view, a completion) in a category that means nothing to a viewer with an established taste is
/// a stray one: it counts little until as many have come as are needed to believe them; then all of them count in full.
/// A like, a share or any other signal with a larger weight is believed at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftParams {
    /// Whether stray signals are held back.
    pub enabled: bool,
    /// So many weak signals in one category are believed.
    pub signals: u32,
    /// What a weak signal counts before, as a share of its weight.
    pub share: f32,
    /// A signal with at most this weight is weak.
    pub weight_max: f32,
    /// A taste is established with so much long-term evidence: a like is 1.
    pub evidence: f32,
    /// A category is foreign with at most this share of the long-term interest in all categories.
    pub foreign_share: f32,
    /// A stray signal is forgotten when no other follows within this time, in milliseconds.
    pub within_ms: i64,
    /// The short-term interest has its full weight beside an established taste when its sum is at least so long; below,
    /// its weight shrinks in proportion.
    pub full_strength: f32,
}

impl Default for DriftParams {
    fn default() -> Self {
        Self {
            enabled: true,
            signals: 3,
            share: 0.1,
            weight_max: 0.7,
            evidence: 8.0,
            foreign_share: 0.05,
            within_ms: HOUR_MS,
            full_strength: 2.0,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &DriftParams, checks: &mut Checks) {
    checks.within("interest.drift.signals", f64::from(params.signals), 1.0, 100.0);
    checks.share("interest.drift.share", params.share);
    checks.share("interest.drift.foreign_share", params.foreign_share);
    checks.weight("interest.drift.weight_max", params.weight_max, 0.0);
    checks.weight("interest.drift.evidence", params.evidence, 0.0);
    checks.weight("interest.drift.full_strength", params.full_strength, 0.0);
    checks.duration("interest.drift.within_ms", params.within_ms);
}
