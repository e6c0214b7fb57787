//! Params of behaviour patterns: which behaviour earns a viewer which label, for how long, and what the label does.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use crate::event::Signal;
use crate::ids::validate_id;
use crate::time::{DAY_MS, MINUTE_MS};

/// The most patterns.
const PATTERNS_MAX: usize = 32;
/// The most events that a pattern may ask for.
const PATTERN_COUNT_MAX: u32 = 32;
/// The most steps of a sequence.
const PATTERN_STEPS_MAX: usize = 8;
/// The most category or author names of a pattern.
const NAMES_MAX: usize = 100;

/// How the events of a pattern belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternKind {
    /// So many events within the time, whatever else happens between them.
    #[default]
    Count,
    /// So many events in a row within the time: one of `broken_by` between them, or the same signal outside of the
    /// scope, breaks the row and ends the label.
    Run,
    /// The steps one after the other within the time, whatever else happens between them.
    Sequence,
}

/// What the events of a pattern have in common, or what a label's effect is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternScope {
    /// Nothing.
    #[default]
    None,
    /// The leading category of the items.
    Category,
    /// The author of the items.
    Author,
}

/// Which events a step of a sequence takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatternStep {
    /// One of these signals.
    pub signals: Vec<Signal>,
    /// At least this share of the item was watched; asked of views, skips and completions with a watch time.
    pub watch_ratio_min: f32,
    /// At most this share was.
    pub watch_ratio_max: f32,
}

impl Default for PatternStep {
    fn default() -> Self {
        Self {
            signals: Vec::new(),
            watch_ratio_min: 0.0,
            watch_ratio_max: 1.0,
        }
    }
}

/// What a label does to feeds while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatternEffect {
    /// Added to the share of slots that explore.
    pub exploration_add: f32,
    /// Taken from the score of the items of the label's categories or author.
    pub penalty: f32,
    /// Whose items `penalty` is taken from.
    pub target: PatternScope,
    /// Whether those items are not shown at all.
    pub hides: bool,
    /// Whether a feed must not lead with one of the label's categories.
    pub changes_lead: bool,
}

/// A behaviour and the label that it earns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatternParams {
    /// Names the pattern; a label lives from the effect of the pattern of its name.
    pub name: String,
    /// The label; `{category}` and `{author}` stand for those of the scope.
    pub label: String,
    /// How the events belong together.
    pub kind: PatternKind,
    /// Which signals count (count, run).
    pub signals: Vec<Signal>,
    /// Which signals break a row (run).
    pub broken_by: Vec<Signal>,
    /// What follows upon what (sequence).
    pub steps: Vec<PatternStep>,
    /// What the events have in common.
    pub same: PatternScope,
    /// Only items of one of these leading categories; of any when empty.
    pub categories: Vec<String>,
    /// Only items of one of these authors; of any when empty.
    pub authors: Vec<String>,
    /// At least this share of the item was watched; asked of views, skips and completions with a watch time.
    pub watch_ratio_min: f32,
    /// At most this share was.
    pub watch_ratio_max: f32,
    /// Whether several events on one item count once (count, run).
    pub distinct_items: bool,
    /// How many events it takes (count, run).
    pub count: u32,
    /// From the first to the last of them by their own time, in milliseconds.
    pub within_ms: i64,
    /// How long the label lives after the last of them, in milliseconds.
    pub lifetime_ms: i64,
    /// What the label does.
    pub effect: PatternEffect,
}

impl Default for PatternParams {
    fn default() -> Self {
        Self {
            name: String::new(),
            label: String::new(),
            kind: PatternKind::Count,
            signals: Vec::new(),
            broken_by: Vec::new(),
            steps: Vec::new(),
            same: PatternScope::None,
            categories: Vec::new(),
            authors: Vec::new(),
            watch_ratio_min: 0.0,
            watch_ratio_max: 1.0,
            distinct_items: false,
            count: 1,
            within_ms: MINUTE_MS,
            lifetime_ms: 30 * MINUTE_MS,
            effect: PatternEffect::default(),
        }
    }
}

/// The patterns that are shipped.
pub(super) fn patterns_default() -> Vec<PatternParams> {
    let positive = || Signal::ALL.into_iter().filter(|signal| signal.is_positive());
    vec![
        PatternParams {
            name: "lover".to_owned(),
            label: "{category}_lover".to_owned(),
            signals: vec![Signal::View, Signal::Like],
            same: PatternScope::Category,
            // A shorter view counts against the item by default, see `interest.view_neutral_ratio`.
            watch_ratio_min: 0.3,
            distinct_items: true,
            count: 3,
            ..PatternParams::default()
        },
        PatternParams {
            name: "active".to_owned(),
            label: "active".to_owned(),
            signals: vec![Signal::Comment],
            count: 2,
            within_ms: 5 * MINUTE_MS,
            ..PatternParams::default()
        },
        PatternParams {
            name: "bored".to_owned(),
            label: "bored".to_owned(),
            kind: PatternKind::Run,
            signals: vec![Signal::Skip],
            broken_by: positive().collect(),
            distinct_items: true,
            count: 5,
            within_ms: 10 * MINUTE_MS,
            lifetime_ms: 5 * MINUTE_MS,
            effect: PatternEffect {
                exploration_add: 0.2,
                penalty: 0.3,
                target: PatternScope::Category,
                hides: false,
                changes_lead: true,
            },
            ..PatternParams::default()
        },
        PatternParams {
            name: "fatigue".to_owned(),
            label: "fatigue:{author}".to_owned(),
            signals: positive().chain([Signal::View]).collect(),
            same: PatternScope::Author,
            watch_ratio_min: 0.7,
            distinct_items: true,
            count: 5,
            within_ms: 10 * MINUTE_MS,
            effect: PatternEffect {
                penalty: 1.0,
                target: PatternScope::Author,
                ..PatternEffect::default()
            },
            ..PatternParams::default()
        },
    ]
}

/// Checks the section.
pub(super) fn validate(patterns: &[PatternParams], checks: &mut Checks) {
    checks.within("patterns", patterns.len() as f64, 0.0, PATTERNS_MAX as f64);
    for (number, pattern) in patterns.iter().enumerate() {
        let field = |name: &str| format!("patterns[{number}].{name}");
        validate_pattern(pattern, &field, checks);
        let is_first = patterns[..number].iter().all(|other| other.name != pattern.name);
        checks.rule(is_first, field("name"), "two patterns must not have one name");
    }
}

fn validate_pattern(pattern: &PatternParams, field: &dyn Fn(&str) -> String, checks: &mut Checks) {
    checks.rule(
        validate_id(&pattern.name).is_ok(),
        field("name"),
        "must be a name of 1 to 256 bytes",
    );
    checks.rule(
        validate_id(&pattern.label).is_ok(),
        field("label"),
        "must be a text of 1 to 256 bytes",
    );
    for (placeholder, scope) in [
        ("{category}", PatternScope::Category),
        ("{author}", PatternScope::Author),
    ] {
        checks.rule(
            !pattern.label.contains(placeholder) || pattern.same == scope,
            field("label"),
            "{category} and {author} stand for what `same` names",
        );
    }
    checks.duration(field("within_ms"), pattern.within_ms);
    checks.rule(pattern.within_ms <= DAY_MS, field("within_ms"), "must be a day at most");
    checks.duration(field("lifetime_ms"), pattern.lifetime_ms);
    let count = f64::from(pattern.count);
    checks.within(field("count"), count, 1.0, f64::from(PATTERN_COUNT_MAX));
    ratios(pattern.watch_ratio_min, pattern.watch_ratio_max, field, checks);
    for (name, names) in [("categories", &pattern.categories), ("authors", &pattern.authors)] {
        let are_names = names.len() <= NAMES_MAX && names.iter().all(|name| validate_id(name).is_ok());
        checks.rule(are_names, field(name), "must be at most 100 valid names");
    }
    match pattern.kind {
        PatternKind::Count | PatternKind::Run => checks.rule(
            !pattern.signals.is_empty() && pattern.steps.is_empty(),
            field("signals"),
            "a count or a run needs signals, and has no steps",
        ),
        PatternKind::Sequence => {
            checks.rule(
                (2..=PATTERN_STEPS_MAX).contains(&pattern.steps.len()) && pattern.signals.is_empty(),
                field("steps"),
                "a sequence needs 2 to 8 steps, and has no signals of its own",
            );
        }
    }
    for (number, step) in pattern.steps.iter().enumerate() {
        let field = |name: &str| field(&format!("steps[{number}].{name}"));
        checks.rule(!step.signals.is_empty(), field("signals"), "a step needs signals");
        ratios(step.watch_ratio_min, step.watch_ratio_max, &field, checks);
    }
    checks.share(field("effect.exploration_add"), pattern.effect.exploration_add);
    checks.weight(field("effect.penalty"), pattern.effect.penalty, -100.0);
}

fn ratios(min: f32, max: f32, field: &dyn Fn(&str) -> String, checks: &mut Checks) {
    checks.share(field("watch_ratio_min"), min);
    checks.share(field("watch_ratio_max"), max);
    checks.rule(
        min <= max,
        field("watch_ratio_min"),
        "must not be above watch_ratio_max",
    );
}

#[cfg(test)]
mod tests {
    use crate::params::parse;
    use serde_json::json;

    #[test]
    fn bad_keys_and_values_inside_the_list_are_named_by_their_path() {
        let fields: Vec<String> = parse(json!({"patterns": [
            {"name": "good", "label": "good", "signals": ["like"]},
            {"name": "bad", "label": "{author}_fan", "signals": ["like"], "cuont": 3, "effect": {"penlty": 1}},
            {"name": "bad", "label": "x", "kind": "sequence", "steps": [{"signals": []}, {"wtach": 1}], "count": "x"},
        ]}))
        .expect_err("bad")
        .into_iter()
        .map(|error| error.field)
        .collect();
        for expected in [
            "patterns[1].label",
            "patterns[1].cuont",
            "patterns[1].effect.penlty",
            "patterns[2].name",
            "patterns[2].count",
            "patterns[2].steps[0].signals",
            "patterns[2].steps[1].wtach",
        ] {
            assert!(
                fields.iter().any(|field| field == expected),
                "{expected} is missing in {fields:?}"
            );
        }
        assert!(
            fields.iter().all(|field| !field.starts_with("patterns[0]")),
            "{fields:?}"
        );
    }

    #[test]
    fn a_wrong_word_is_an_error_and_a_short_pattern_gets_its_defaults() {
        assert!(parse(json!({"patterns": [{"name": "a", "label": "a", "signals": ["lkie"]}]})).is_err());
        let params = parse(json!({"patterns": [{"name": "a", "label": "a", "signals": ["like"]}]})).expect("valid");
        assert_eq!((params.patterns.len(), params.patterns[0].count), (1, 1));
        assert!(parse(json!({"patterns": []})).expect("valid").patterns.is_empty());
    }
}
