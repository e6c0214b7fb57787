//! Params of what counts as shown.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// What counts as shown, and for how long it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureParams {
    /// How many items a generation of the Bloom filter holds before it is rotated; the filter remembers one to two
    /// generations behind the exact last 1 000.
    pub generation_items: u32,
    /// The most unseen items that may be taken for seen, as a share.
    pub false_positive_share: f64,
}

impl Default for ExposureParams {
    fn default() -> Self {
        Self {
            generation_items: 20_000,
            false_positive_share: 0.001,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &ExposureParams, checks: &mut Checks) {
    let items = f64::from(params.generation_items);
    checks.within("exposure.generation_items", items, 1_000.0, 1_000_000.0);
    checks.within("exposure.false_positive_share", params.false_positive_share, 1e-6, 0.1);
}
