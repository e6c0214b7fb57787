//! Params of how far back a request looks: two profiles, and which of them serves.
//!
//! Owns their shape, defaults and rules. Which of them serves while the choice is automatic is
//! [`crate::collaborative::ProfileChoice`]'s to say.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::time::DAY_MS;

/// Which profile serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileMode {
    /// The one that has placed higher what viewers liked next.
    #[default]
    Auto,
    /// Always the narrow one.
    Narrow,
    /// Always the wide one.
    Wide,
}

/// How a request weighs the viewer's own items and what speaks from them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryProfile {
    /// In item-item scores: the weight of one of the viewer's items over that of the one after it.
    pub item_decay: f32,
    /// The same in the similarity of sessions.
    pub session_decay: f32,
    /// The same in the linear model.
    pub linear_decay: f32,
    /// Item-item scores are divided by (engagements + 5) to this power.
    pub item_popularity_power: f32,
    /// The votes of sessions are divided by (sessions with the item + 5) to this power.
    pub vote_popularity_power: f32,
    /// A vote falls by this with each step between the shared item and the voted one.
    pub vote_step_decay: f32,
    /// A session whose last event is Δt old counts exp(-Δt / this), in milliseconds; 0: sessions of any age count the same.
    pub session_recency_ms: i64,
    /// The weight of item-item scores in the blend.
    pub item_weight: f32,
    /// The weight of the linear model in the blend; that of like sessions is 1.
    pub linear_weight: f32,
}

impl QueryProfile {
    /// Few items at once: what was touched last counts most.
    pub const NARROW: Self = Self {
        item_decay: 0.4,
        session_decay: 0.6,
        linear_decay: 0.9,
        item_popularity_power: 0.5,
        vote_popularity_power: 0.0,
        vote_step_decay: 0.9,
        session_recency_ms: 5 * DAY_MS,
        item_weight: 1.0,
        linear_weight: 0.0,
    };

    /// Long rows of items: the last dozens count together.
    pub const WIDE: Self = Self {
        item_decay: 0.85,
        session_decay: 0.85,
        linear_decay: 0.9,
        item_popularity_power: 0.6,
        vote_popularity_power: 0.6,
        vote_step_decay: 0.98,
        session_recency_ms: 0,
        item_weight: 0.5,
        linear_weight: 2.0,
    };

    /// What is left of the similarity of a session whose last event is so old, 0 to 1.
    #[must_use]
    pub fn recency(&self, age_ms: i64) -> f32 {
        if self.session_recency_ms <= 0 {
            return 1.0;
        }
        (-(age_ms.max(0) as f32) / self.session_recency_ms as f32).exp()
    }
}

/// Checks one profile.
pub(super) fn validate(name: &str, profile: &QueryProfile, checks: &mut Checks) {
    for (field, value, max) in [
        ("item_decay", profile.item_decay, 1.0),
        ("session_decay", profile.session_decay, 1.0),
        ("linear_decay", profile.linear_decay, 1.0),
        ("item_popularity_power", profile.item_popularity_power, 4.0),
        ("vote_popularity_power", profile.vote_popularity_power, 4.0),
        ("vote_step_decay", profile.vote_step_decay, 1.0),
        ("item_weight", profile.item_weight, 100.0),
        ("linear_weight", profile.linear_weight, 100.0),
    ] {
        checks.within(format!("collaborative.{name}.{field}"), f64::from(value), 0.0, max);
    }
    if profile.session_recency_ms != 0 {
        checks.duration(
            format!("collaborative.{name}.session_recency_ms"),
            profile.session_recency_ms,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, parse};
    use serde_json::json;

    #[test]
    fn a_part_of_a_profile_changes_that_part_only() {
        let document = json!({"collaborative": {"profile": "wide", "narrow": {"item_decay": 0.3}}});
        let collaborative = parse(document).expect("valid").collaborative;
        let expected = QueryProfile {
            item_decay: 0.3,
            ..QueryProfile::NARROW
        };
        assert_eq!(
            (collaborative.profile, collaborative.narrow),
            (ProfileMode::Wide, expected)
        );
        assert_eq!(collaborative.wide, Params::default().collaborative.wide);
    }

    #[test]
    fn bad_values_are_named_by_their_path() {
        let document = json!({"collaborative": {"wide": {"item_decay": 1.5, "session_recency_ms": -1, "depth": 3}}});
        let errors = parse(document).expect_err("three bad keys");
        for field in ["item_decay", "session_recency_ms", "depth"] {
            let path = format!("collaborative.wide.{field}");
            assert!(
                errors.iter().any(|error| error.field == path),
                "{path} is missing in {errors:?}"
            );
        }
    }

    #[test]
    fn old_sessions_count_less_unless_age_does_not_matter() {
        assert!((QueryProfile::NARROW.recency(5 * DAY_MS) - (-1.0_f32).exp()).abs() < 1e-6);
        assert_eq!(QueryProfile::WIDE.recency(5_000 * DAY_MS), 1.0);
    }
}
