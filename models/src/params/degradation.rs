//! Params of the degradation ladder: at which load the server does less for a feed, and when it does more again.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::degradation::Level;

/// What [`DegradationParams::forced_level`] says when nothing is forced.
const NOT_FORCED: &str = "none";

/// At which load the server does less for a feed, and when it does more again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DegradationParams {
    /// Whether the load is looked at; otherwise every feed is made in full.
    pub enabled: bool,
    /// A level that holds whatever the load is (`full`, `smaller_set`, `linear_ranker`, `private_queue`, `region_hot`,
    /// `refused`), for tests and emergencies; `none`: the load decides.
    pub forced_level: String,
    /// How late the threads of sessions run, in milliseconds; the latest of them counts.
    pub lag_ms: StepThresholds,
    /// How many messages wait for the sessions of one thread; the longest queue counts.
    pub queue: StepThresholds,
    /// How many calls for feeds, rankings, profiles and events are in work, waiting for the disk included.
    pub in_flight: StepThresholds,
    /// A step down needs a load that asks for it for so long, and two of them are so far apart, in milliseconds.
    pub worse_after_ms: i64,
    /// A step up needs so long a time without a change and with a load below the recovery thresholds, in milliseconds.
    pub dwell_ms: i64,
    /// The load counts as recovered from a step when it is below this share of the step's threshold.
    pub recover_share: f32,
    /// With the smaller set, channels may name and the model ranks this share of the candidates.
    pub candidate_share: f32,
    /// When a refused caller shall come again, in milliseconds.
    pub retry_after_ms: u64,
}

/// From which value on each step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepThresholds {
    /// Fewer candidates.
    pub smaller_set: u32,
    /// The linear scorer in the place of the model.
    pub linear_ranker: u32,
    /// What is left of the viewer's own last candidates.
    pub private_queue: u32,
    /// What is popular in the viewer's region.
    pub region_hot: u32,
    /// No feed at all.
    pub refused: u32,
}

impl DegradationParams {
    /// The level that is forced, if one is.
    #[must_use]
    pub fn forced(&self) -> Option<Level> {
        Level::named(&self.forced_level)
    }
}

impl StepThresholds {
    const fn doubling_from(first: u32) -> Self {
        Self {
            smaller_set: first,
            linear_ranker: 2 * first,
            private_queue: 4 * first,
            region_hot: 8 * first,
            refused: 16 * first,
        }
    }

    /// The threshold of a level; `None` for the one without.
    #[must_use]
    pub const fn of(&self, level: Level) -> Option<u32> {
        match level {
            Level::Full => None,
            Level::SmallerSet => Some(self.smaller_set),
            Level::LinearRanker => Some(self.linear_ranker),
            Level::PrivateQueue => Some(self.private_queue),
            Level::RegionHot => Some(self.region_hot),
            Level::Refused => Some(self.refused),
        }
    }
}

impl Default for StepThresholds {
    fn default() -> Self {
        Self::doubling_from(100)
    }
}

impl Default for DegradationParams {
    fn default() -> Self {
        Self {
            enabled: true,
            forced_level: NOT_FORCED.to_owned(),
            lag_ms: StepThresholds::doubling_from(100),
            queue: StepThresholds::doubling_from(500),
            in_flight: StepThresholds {
                smaller_set: 300,
                linear_ranker: 400,
                private_queue: 500,
                region_hot: 600,
                refused: 700,
            },
            worse_after_ms: 100,
            dwell_ms: 2_000,
            recover_share: 0.7,
            candidate_share: 0.25,
            retry_after_ms: 1_000,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &DegradationParams, checks: &mut Checks) {
    let levels = Level::ALL.map(Level::name).join(", ");
    let is_level = params.forced_level == NOT_FORCED || params.forced().is_some();
    let detail = format!("must be {NOT_FORCED} or one of {levels}");
    checks.rule(is_level, "degradation.forced_level", &detail);
    let measures = [
        ("lag_ms", &params.lag_ms),
        ("queue", &params.queue),
        ("in_flight", &params.in_flight),
    ];
    for (name, thresholds) in measures {
        let mut before = 1;
        for level in Level::ALL {
            let Some(threshold) = thresholds.of(level) else {
                continue;
            };
            let field = format!("degradation.{name}.{}", level.name());
            checks.rule(
                threshold >= before,
                field,
                "must be at least 1 and not below the threshold of the step before",
            );
            before = threshold.max(1);
        }
    }
    checks.duration("degradation.worse_after_ms", params.worse_after_ms);
    checks.duration("degradation.dwell_ms", params.dwell_ms);
    checks.within("degradation.recover_share", f64::from(params.recover_share), 0.05, 1.0);
    checks.within(
        "degradation.candidate_share",
        f64::from(params.candidate_share),
        0.05,
        1.0,
    );
    checks.within(
        "degradation.retry_after_ms",
        params.retry_after_ms as f64,
        1.0,
        3_600_000.0,
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::params::parse;

    #[test]
    fn impossible_thresholds_and_levels_are_named() {
        let document = json!({"degradation": {
            "forced_level": "upside_down", "lag_ms": {"region_hot": 10}, "queue": {"smaller_set": 0},
            "in_flight": {"refused": "many"}, "candidate_share": 0.0,
        }});
        let fields: Vec<String> = parse(document)
            .expect_err("impossible")
            .into_iter()
            .map(|error| error.field)
            .collect();
        for expected in [
            "degradation.forced_level",
            "degradation.lag_ms.region_hot",
            "degradation.queue.smaller_set",
            "degradation.in_flight.refused",
            "degradation.candidate_share",
        ] {
            assert!(fields.iter().any(|field| field == expected), "{expected}: {fields:?}");
        }
        assert!(parse(json!({"degradation": {"forced_level": "private_queue"}})).is_ok());
    }
}
