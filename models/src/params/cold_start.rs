//! Params of new users and new items.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::ids::validate_id;
use crate::time::DAY_MS;

/// New users and new items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColdStartParams {
    /// The editor's picks by region; `*` is for all regions.
    pub editors_picks: BTreeMap<String, Vec<String>>,
    /// A feed is fully personal after so many signals, and blended before.
    pub personal_after_signals: u32,
    /// From the first signal on at least this share of a feed is personal.
    pub personal_share_min: f32,
    /// A viewer is new for at most so many feeds, each of `feed.n` items that were shown. 0: nobody is.
    pub first_slates: u32,
    /// The weight of the editor's picks among what a new viewer's feed begins with.
    pub picks_weight: f32,
    /// The weight of what is popular in the viewer's region.
    pub hot_weight: f32,
    /// The weight of the tags given at registration.
    pub tags_weight: f32,
    /// So many impressions a new item is guaranteed. 0: none.
    pub new_item_impressions: u32,
    /// Until when after it was made, in milliseconds.
    pub new_item_deadline_ms: i64,
    /// The most of a feed's slots that go to new items which are owed impressions.
    pub new_item_share: f32,
    /// A new item gets no more of them once its skip rate is above the usual one by so many standard deviations.
    pub new_item_stop_z: f32,
    /// An item is new for at most this long, in milliseconds.
    pub new_item_age_ms_max: i64,
}

impl Default for ColdStartParams {
    fn default() -> Self {
        Self {
            editors_picks: BTreeMap::new(),
            personal_after_signals: 10,
            personal_share_min: 0.6,
            first_slates: 10,
            picks_weight: 0.4,
            hot_weight: 0.3,
            tags_weight: 0.3,
            new_item_impressions: 50,
            new_item_deadline_ms: DAY_MS,
            new_item_share: 0.1,
            new_item_stop_z: 3.0,
            new_item_age_ms_max: 3 * DAY_MS,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &ColdStartParams, checks: &mut Checks) {
    checks.duration("cold_start.new_item_age_ms_max", params.new_item_age_ms_max);
    checks.duration("cold_start.new_item_deadline_ms", params.new_item_deadline_ms);
    checks.rule(
        params.new_item_deadline_ms <= params.new_item_age_ms_max,
        "cold_start.new_item_deadline_ms",
        "must not be later than new_item_age_ms_max: an item is not new any more then",
    );
    checks.share("cold_start.new_item_share", params.new_item_share);
    checks.share("cold_start.personal_share_min", params.personal_share_min);
    for (field, value, max) in [
        (
            "personal_after_signals",
            f64::from(params.personal_after_signals),
            10_000.0,
        ),
        ("first_slates", f64::from(params.first_slates), 10_000.0),
        ("picks_weight", f64::from(params.picks_weight), 100.0),
        ("hot_weight", f64::from(params.hot_weight), 100.0),
        ("tags_weight", f64::from(params.tags_weight), 100.0),
        ("new_item_impressions", f64::from(params.new_item_impressions), 1e6),
        ("new_item_stop_z", f64::from(params.new_item_stop_z), 100.0),
    ] {
        checks.within(format!("cold_start.{field}"), value, 0.0, max);
    }
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
