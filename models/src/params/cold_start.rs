//! Params of new users and new items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::ids::validate_id;
use crate::time::DAY_MS;

/// New users and new items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColdStartParams {
    /// The editor's picks by region; `*` is for all regions.
    pub editors_picks: BTreeMap<String, Vec<String>>,
    /// A feed is fully personal after so many signals, and blended before.
    pub personal_after_signals: u32,
    /// An item is new until it has had so many impressions.
    pub new_item_impressions: u32,
    /// An item is new for at most this long, in milliseconds.
    pub new_item_age_ms_max: i64,
}

impl Default for ColdStartParams {
    fn default() -> Self {
        Self {
            editors_picks: BTreeMap::new(),
            personal_after_signals: 10,
            new_item_impressions: 50,
            new_item_age_ms_max: 3 * DAY_MS,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &ColdStartParams, checks: &mut Checks) {
    checks.duration("cold_start.new_item_age_ms_max", params.new_item_age_ms_max);
    let signals = f64::from(params.personal_after_signals);
    checks.within("cold_start.personal_after_signals", signals, 0.0, 10_000.0);
    let impressions = f64::from(params.new_item_impressions);
    checks.within("cold_start.new_item_impressions", impressions, 0.0, 1e6);
    for (region, items) in &params.editors_picks {
        let field = format!("cold_start.editors_picks.{region}");
        checks.rule(
            validate_id(region).is_ok(),
            field.clone(),
            "the region must be a valid id or `*`",
        );
        checks.rule(items.len() <= 500, field.clone(), "must have at most 500 items");
        checks.rule(
            items.iter().all(|item| validate_id(item).is_ok()),
            field,
            "every item must be a valid id",
        );
    }
}
