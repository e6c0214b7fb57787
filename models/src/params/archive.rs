//! Params of the archive of events and slates.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// How long what has happened is kept, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveParams {
    /// Whether events and slates are archived. While it is off, events stay in the journal as long as that keeps them.
    pub enabled: bool,
    /// For so many of 100 viewers, what they are served is archived with its feature rows; 0: nobody.
    pub slates_percent: u32,
    /// How long an event or slate may wait before it reaches the warm tier, in milliseconds. Until then an event is safe
    /// in the journal; slates of that time are lost with the process.
    pub flush_ms: i64,
    /// One cold file holds what was accepted in an interval of so many milliseconds.
    pub file_ms: i64,
    /// So long after its end an interval stays warm before it becomes a file, in milliseconds.
    pub warm_ms: i64,
    /// The most bytes of the warm tier; above it the oldest intervals become files early.
    pub warm_bytes_max: u64,
    /// Files whose interval began longer ago are deleted, in days.
    pub retention_days: u32,
    /// The most bytes of all files; above it the oldest are deleted.
    pub cold_bytes_max: u64,
    /// A deleted user is gone from the archive after so many milliseconds at the latest; later is an error in the log.
    pub forget_ms_max: i64,
}

impl Default for ArchiveParams {
    fn default() -> Self {
        Self {
            enabled: true,
            slates_percent: 100,
            flush_ms: 5 * SECOND_MS,
            file_ms: HOUR_MS,
            warm_ms: 7 * DAY_MS,
            warm_bytes_max: 1 << 30,
            retention_days: 365,
            cold_bytes_max: 20 << 30,
            forget_ms_max: MINUTE_MS,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &ArchiveParams, checks: &mut Checks) {
    checks.within("archive.slates_percent", f64::from(params.slates_percent), 0.0, 100.0);
    checks.within("archive.flush_ms", params.flush_ms as f64, 10.0, HOUR_MS as f64);
    checks.within("archive.file_ms", params.file_ms as f64, 100.0, (7 * DAY_MS) as f64);
    checks.within("archive.warm_ms", params.warm_ms as f64, 0.0, (3_650 * DAY_MS) as f64);
    checks.within(
        "archive.retention_days",
        f64::from(params.retention_days),
        1.0,
        36_525.0,
    );
    checks.within(
        "archive.forget_ms_max",
        params.forget_ms_max as f64,
        100.0,
        (30 * DAY_MS) as f64,
    );
    let bytes_max = (1_u64 << 50) as f64;
    checks.within(
        "archive.warm_bytes_max",
        params.warm_bytes_max as f64,
        (1 << 20) as f64,
        bytes_max,
    );
    checks.within(
        "archive.cold_bytes_max",
        params.cold_bytes_max as f64,
        (1 << 20) as f64,
        bytes_max,
    );
}
