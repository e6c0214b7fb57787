//! Params of the sliding windows of a viewer's signals.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::{HOUR_MS, SECOND_MS};

/// The most categories that are counted apart for one viewer.
const WINDOW_CATEGORIES_MAX: u32 = 64;

/// Counts of a viewer's signals in event time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WindowParams {
    /// Whether signals are counted in windows at all.
    pub enabled: bool,
    /// How far an event may lie behind the viewer's newest one and still be counted in its window, in milliseconds.
    pub lateness_ms: i64,
    /// So many categories are counted apart; of more, the one that was heard of least lately goes.
    pub categories_max: u32,
}

impl Default for WindowParams {
    fn default() -> Self {
        Self {
            enabled: true,
            lateness_ms: 30 * SECOND_MS,
            categories_max: 16,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &WindowParams, checks: &mut Checks) {
    checks.within("windows.lateness_ms", params.lateness_ms as f64, 0.0, HOUR_MS as f64);
    let categories = f64::from(params.categories_max);
    checks.within(
        "windows.categories_max",
        categories,
        0.0,
        f64::from(WINDOW_CATEGORIES_MAX),
    );
}
