//! Params of the sizes of feeds and the limits of sessions.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::wire::FEED_N_MAX;

/// Sizes of feeds and limits of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeedParams {
    /// The length of a feed when nobody says otherwise.
    pub n: u32,
    /// A feed is appended by itself when fewer unseen items are left.
    pub low_water: u32,
    /// How many messages per second one session may send in the long run.
    pub messages_per_second: f32,
    /// How many messages one session may send at once.
    pub messages_burst: f32,
}

impl Default for FeedParams {
    fn default() -> Self {
        Self {
            n: 10,
            low_water: 3,
            messages_per_second: 200.0,
            messages_burst: 400.0,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &FeedParams, checks: &mut Checks) {
    checks.within("feed.n", f64::from(params.n), 1.0, FEED_N_MAX as f64);
    checks.within("feed.low_water", f64::from(params.low_water), 0.0, FEED_N_MAX as f64);
    checks.within(
        "feed.messages_per_second",
        f64::from(params.messages_per_second),
        0.1,
        1e6,
    );
    checks.within("feed.messages_burst", f64::from(params.messages_burst), 1.0, 1e6);
}
