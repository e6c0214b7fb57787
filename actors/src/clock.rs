//! The clocks. The only place of the engine that asks the system for the time.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use swipeline_models::time::TimestampMs;

/// The wall clock in milliseconds since 1970-01-01 UTC.
#[must_use]
pub(crate) fn now() -> TimestampMs {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds on a clock that never goes back: what deadlines and idle times are measured by.
#[must_use]
pub(crate) fn monotonic_ms() -> i64 {
    i64::try_from(monotonic_ns() / 1_000_000).unwrap_or(i64::MAX)
}

/// Nanoseconds on a clock that never goes back.
#[must_use]
pub(crate) fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}
