//! Params of the operator's boost and bury rules.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::ids::validate_id;

/// The most rules in force at a time.
pub const BOOSTS_MAX: usize = 64;
/// The most characters of a rule's name.
const NAME_CHARS_MAX: usize = 64;
/// Larger effects than this are mistakes.
const EFFECT_MAX: f64 = 100.0;

/// A rule that raises or lowers what it aims at, for a while. It has one effect: `factor`, `add` or `share`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoostRule {
    /// Names the rule in explanations: `boost:<name>`.
    pub name: String,
    /// Whether it holds; a rule can be kept for later.
    pub enabled: bool,
    /// From when it holds, in milliseconds since 1970-01-01 UTC; from now on when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Until when it holds (not included); for good when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What it aims at; of several conditions all must hold.
    pub target: BoostTarget,
    /// The fused score is multiplied: 1.2 is +20 %, 0.5 buries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f32>,
    /// Is added to the fused score; negative buries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<f32>,
    /// So much more of every feed than without the rule, -1 to 1: 0.2 is two more of ten items, -1 is none at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f32>,
}

impl Default for BoostRule {
    fn default() -> Self {
        Self {
            name: String::new(),
            enabled: true,
            from: None,
            until: None,
            target: BoostTarget::default(),
            factor: None,
            add: None,
            share: None,
        }
    }
}

impl BoostRule {
    /// A rule with every key, to compare the keys and kinds of a document with.
    pub(super) fn template() -> Self {
        let text = || Some(String::new());
        Self {
            from: Some(0),
            until: Some(0),
            target: BoostTarget {
                category: text(),
                tag: text(),
                author: text(),
                item: text(),
                region: text(),
                label: text(),
                device: text(),
                network: text(),
            },
            factor: Some(1.0),
            add: Some(0.0),
            share: Some(0.0),
            ..Self::default()
        }
    }
}

/// What a rule aims at: items, and for which viewers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoostTarget {
    /// Items of this category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Items with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Items by this author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// This item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// For viewers in this region; alone it aims at the items that are limited to the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// For viewers with this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// For viewers on this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// For viewers on this kind of network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

impl BoostTarget {
    /// The conditions by their keys.
    fn conditions(&self) -> [(&'static str, Option<&String>); 8] {
        [
            ("category", self.category.as_ref()),
            ("tag", self.tag.as_ref()),
            ("author", self.author.as_ref()),
            ("item", self.item.as_ref()),
            ("region", self.region.as_ref()),
            ("label", self.label.as_ref()),
            ("device", self.device.as_ref()),
            ("network", self.network.as_ref()),
        ]
    }
}

/// Checks the section.
pub(super) fn validate(boosts: &[BoostRule], checks: &mut Checks) {
    let detail = format!("must have at most {BOOSTS_MAX} rules, has {}", boosts.len());
    checks.rule(boosts.len() <= BOOSTS_MAX, "boosts", &detail);
    for (place, boost) in boosts.iter().enumerate() {
        let path = format!("boosts[{place}]");
        validate_one(&path, boost, checks);
        let is_twice = boosts[..place].iter().any(|other| other.name == boost.name);
        checks.rule(!is_twice, format!("{path}.name"), "is the name of another rule too");
    }
}

fn validate_one(path: &str, boost: &BoostRule, checks: &mut Checks) {
    checks.rule(
        validate_id(&boost.name).is_ok() && boost.name.chars().count() <= NAME_CHARS_MAX,
        format!("{path}.name"),
        "must be a short text",
    );
    if let (Some(from), Some(until)) = (boost.from, boost.until) {
        checks.rule(from < until, format!("{path}.until"), "must be later than `from`");
    }
    for (field, at) in [("from", boost.from), ("until", boost.until)] {
        checks.rule(
            at.is_none_or(|at| at >= 0),
            format!("{path}.{field}"),
            "must not be negative",
        );
    }
    for (key, value) in boost.target.conditions() {
        checks.rule(
            value.is_none_or(|value| validate_id(value).is_ok()),
            format!("{path}.target.{key}"),
            "must be a valid id",
        );
    }
    // The first five say something about items; a viewer's label or device alone would raise everything alike.
    let aims_at_items = boost
        .target
        .conditions()
        .iter()
        .take(5)
        .any(|(_, value)| value.is_some());
    checks.rule(
        aims_at_items,
        format!("{path}.target"),
        "must name a category, tag, author, item or region",
    );
    let effects = [boost.factor, boost.add, boost.share];
    checks.rule(
        effects.iter().flatten().count() == 1,
        path.to_owned(),
        "must have one of `factor`, `add` and `share`",
    );
    for (field, value, min, max) in [
        ("factor", boost.factor, 0.0, EFFECT_MAX),
        ("add", boost.add, -EFFECT_MAX, EFFECT_MAX),
        ("share", boost.share, -1.0, 1.0),
    ] {
        if let Some(value) = value {
            checks.within(format!("{path}.{field}"), f64::from(value), min, max);
        }
    }
}
