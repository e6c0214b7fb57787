//! Params of what is kept for a short time instead of being made again.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The longest time anything is kept, in milliseconds.
const KEPT_MS_MAX: f64 = 60_000.0;

/// What is kept for a short time instead of being made again. Whatever is kept is dropped at once by what changes it;
/// the times bound what nothing tells about, such as what other viewers do. 0 switches a cache off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheParams {
    /// How long the list of an item's similar items is kept, in milliseconds.
    pub similar_ms: i64,
    /// How long a popular list is kept, in milliseconds.
    pub popular_ms: i64,
    /// How long a profile is kept, in milliseconds.
    pub profile_ms: i64,
    /// For so long after a ranking, a one-shot feed without a signal in between is answered from what that ranking left,
    /// in milliseconds.
    pub feed_ms: i64,
    /// How many ranked candidates a session keeps for that, and for when the server is overloaded.
    pub queue_items_max: u32,
}

impl Default for CacheParams {
    fn default() -> Self {
        Self {
            similar_ms: 5_000,
            popular_ms: 2_000,
            profile_ms: 1_000,
            feed_ms: 2_000,
            queue_items_max: 60,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &CacheParams, checks: &mut Checks) {
    let times = [
        ("caches.similar_ms", params.similar_ms),
        ("caches.popular_ms", params.popular_ms),
        ("caches.profile_ms", params.profile_ms),
        ("caches.feed_ms", params.feed_ms),
    ];
    for (field, time_ms) in times {
        checks.within(field, time_ms as f64, 0.0, KEPT_MS_MAX);
    }
    checks.within("caches.queue_items_max", f64::from(params.queue_items_max), 0.0, 500.0);
}
