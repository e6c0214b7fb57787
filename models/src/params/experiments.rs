//! Params of layered A/B experiments.
//!
//! Owns the shape of an experiment and the rules that one document must keep. How viewers are assigned is in
//! `crate::experiment`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Params;
use super::check::{Checks, merge_patch, parse};
use crate::experiment::Metric;
use crate::ids::validate_id;
use crate::time::TIMESTAMP_MS_MAX;
use crate::wire::FieldError;

/// The most experiments of one document.
const EXPERIMENTS_MAX: usize = 32;
/// The most variants of all experiments together.
const VARIANTS_MAX: usize = 64;
/// The most layers.
const LAYERS_MAX: usize = 8;
/// The most forced viewers of one experiment.
const FORCED_MAX: usize = 1_000;
/// The longest name of an experiment, a layer or a variant.
const NAME_BYTES_MAX: usize = 64;
/// Shares that miss 1 by so little are rounding.
const ROUNDING: f64 = 1e-9;

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentParams {
    /// Its name, unique in the document.
    pub name: String,
    /// Experiments of one layer never share a viewer; those of different layers are independent of each other.
    pub layer: String,
    /// Goes into the hash that picks the variant; the name when empty. Another salt mixes the viewers anew.
    pub salt: String,
    /// From when on it runs, in milliseconds since 1970-01-01 UTC; 0: at once.
    pub from: i64,
    /// Until when it runs; 0: without an end. Its part of the layer stays its own.
    pub until: i64,
    /// Where in the layer's hash space (0 to 1) its part begins; behind the experiment before it when negative.
    pub start: f64,
    /// Its part of the layer's hash space, 0 to 1.
    pub traffic: f64,
    /// What is compared; the first one is the control.
    pub variants: Vec<VariantParams>,
    /// Viewers who get a variant by name whatever their hash says; they do not count in the statistics.
    pub forced: BTreeMap<String, String>,
    /// Whether a request may name a variant of this experiment.
    pub allow_forced_requests: bool,
    /// What the experiment is decided by: `like_rate`, `ctr`, `skip_rate`, `completion_rate`, `share_rate` or
    /// `watch_time_per_session_s`.
    pub metric: String,
    /// The probability of a false alarm that is accepted.
    pub alpha: f64,
    /// The relative change that the sequential test is tuned for. Any value is valid; a good guess decides sooner.
    pub effect_expected: f64,
    /// Nothing is decided before every variant has so many viewers.
    pub users_min: u32,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VariantParams {
    /// Its name, unique in the experiment.
    pub name: String,
    /// Its share of the experiment's viewers, in proportion to the others' weights.
    pub weight: f64,
    /// What is different for its viewers: a merge patch (RFC 7396) over the document.
    pub params: Value,
    /// The kept ranking model that ranks for its viewers; the serving one when empty.
    pub model: String,
}

impl Default for ExperimentParams {
    fn default() -> Self {
        Self {
            name: String::new(),
            layer: "main".to_owned(),
            salt: String::new(),
            from: 0,
            until: 0,
            start: -1.0,
            traffic: 1.0,
            variants: Vec::new(),
            forced: BTreeMap::new(),
            allow_forced_requests: false,
            metric: Metric::LikeRate.name().to_owned(),
            alpha: 0.05,
            effect_expected: 0.1,
            users_min: 100,
        }
    }
}

impl Default for VariantParams {
    fn default() -> Self {
        Self {
            name: String::new(),
            weight: 1.0,
            params: Value::Object(Map::new()),
            model: String::new(),
        }
    }
}

impl VariantParams {
    /// Everything that the variant changes, as one merge patch.
    #[must_use]
    pub fn patch(&self) -> Value {
        let mut patch = self.params.clone();
        if !self.model.is_empty() {
            merge_patch(&mut patch, &serde_json::json!({"rank": {"model": self.model}}));
        }
        patch
    }
}

/// The part of its layer's hash space that each experiment has, in the order of the document.
#[must_use]
pub fn layer_parts(experiments: &[ExperimentParams]) -> Vec<(f64, f64)> {
    let mut ends: BTreeMap<&str, f64> = BTreeMap::new();
    let part = |experiment| {
        let ExperimentParams {
            layer, start, traffic, ..
        }: &ExperimentParams = experiment;
        let end = ends.entry(layer.as_str()).or_insert(0.0);
        let begin = if *start >= 0.0 { *start } else { *end };
        *end = begin + traffic;
        (begin, *end)
    };
    experiments.iter().map(part).collect()
}

/// The document with some variants' patches over it, without experiments.
///
/// # Errors
/// Every bad key and value that is there with the patches.
pub fn with_patches(base: &Params, patches: &[Value]) -> Result<Params, Vec<FieldError>> {
    let plain = Params {
        experiments: Vec::new(),
        ..base.clone()
    };
    let mut document = serde_json::to_value(&plain)
        .map_err(|error| vec![FieldError::new("params", "malformed", error.to_string())])?;
    for patch in patches {
        merge_patch(&mut document, patch);
    }
    parse(document)
}

/// Checks the section.
pub(super) fn validate(experiments: &[ExperimentParams], checks: &mut Checks) {
    let field = "experiments";
    checks.rule(experiments.len() <= EXPERIMENTS_MAX, field, "at most 32 experiments");
    let variants: usize = experiments.iter().map(|experiment| experiment.variants.len()).sum();
    checks.rule(
        variants <= VARIANTS_MAX,
        field,
        "at most 64 variants in all experiments together",
    );
    let layers: BTreeSet<&str> = experiments.iter().map(|experiment| experiment.layer.as_str()).collect();
    checks.rule(layers.len() <= LAYERS_MAX, field, "at most 8 layers");
    let mut names = BTreeSet::new();
    for (number, experiment) in experiments.iter().enumerate() {
        let path = format!("experiments[{number}]");
        let is_new = names.insert(experiment.name.as_str());
        checks.rule(is_new, format!("{path}.name"), "another experiment has this name");
        validate_one(&path, experiment, checks);
    }
    validate_parts(experiments, checks);
    validate_targets(experiments, checks);
}

fn validate_one(path: &str, experiment: &ExperimentParams, checks: &mut Checks) {
    let named = "must be 1 to 64 letters, digits, `_`, `-` or `.`";
    checks.rule(is_name(&experiment.name), format!("{path}.name"), named);
    checks.rule(is_name(&experiment.layer), format!("{path}.layer"), named);
    checks.rule(
        experiment.salt.len() <= 256,
        format!("{path}.salt"),
        "must be at most 256 bytes",
    );
    checks.within(format!("{path}.traffic"), experiment.traffic, 0.0, 1.0);
    checks.within(format!("{path}.start"), experiment.start, -1.0, 1.0);
    checks.within(format!("{path}.alpha"), experiment.alpha, 1e-6, 0.5);
    checks.within(
        format!("{path}.effect_expected"),
        experiment.effect_expected,
        0.001,
        10.0,
    );
    checks.within(format!("{path}.users_min"), f64::from(experiment.users_min), 10.0, 1e9);
    for (field, at) in [("from", experiment.from), ("until", experiment.until)] {
        checks.within(format!("{path}.{field}"), at as f64, 0.0, TIMESTAMP_MS_MAX as f64);
    }
    checks.rule(
        experiment.until == 0 || experiment.until > experiment.from,
        format!("{path}.until"),
        "must be later than `from`",
    );
    checks.rule(
        Metric::from_name(&experiment.metric).is_some(),
        format!("{path}.metric"),
        "must be one of ctr, like_rate, skip_rate, completion_rate, share_rate, watch_time_per_session_s",
    );
    checks.rule(
        !experiment.variants.is_empty(),
        format!("{path}.variants"),
        "must have a variant",
    );
    let mut variants = BTreeSet::new();
    for (number, variant) in experiment.variants.iter().enumerate() {
        let path = format!("{path}.variants[{number}]");
        checks.rule(is_name(&variant.name), format!("{path}.name"), named);
        let is_new = variants.insert(variant.name.as_str());
        checks.rule(is_new, format!("{path}.name"), "another variant has this name");
        checks.within(format!("{path}.weight"), variant.weight, 0.0, 1e6);
        checks.rule(
            variant.params.is_object(),
            format!("{path}.params"),
            "must be an object",
        );
        checks.rule(
            variant.params.get("experiments").is_none(),
            format!("{path}.params.experiments"),
            "a variant cannot change the experiments",
        );
    }
    let weight: f64 = experiment.variants.iter().map(|variant| variant.weight).sum();
    checks.rule(weight > 0.0, format!("{path}.variants"), "a weight must be above 0");
    checks.rule(
        experiment.forced.len() <= FORCED_MAX,
        format!("{path}.forced"),
        "at most 1 000 viewers",
    );
    for (user, variant) in &experiment.forced {
        let path = format!("{path}.forced.{user}");
        checks.rule(validate_id(user).is_ok(), path.clone(), "is not a user id");
        checks.rule(
            variants.contains(variant.as_str()),
            path,
            "is not a variant of the experiment",
        );
    }
}

/// Letters that can stand in `experiment:variant,experiment:variant` and in a path.
fn is_name(name: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_letter)
}

/// Experiments of a layer have parts that do not overlap and fit into the layer.
fn validate_parts(experiments: &[ExperimentParams], checks: &mut Checks) {
    let parts = layer_parts(experiments);
    for (number, (experiment, (begin, end))) in experiments.iter().zip(&parts).enumerate() {
        let path = format!("experiments[{number}].traffic");
        checks.rule(
            *end <= 1.0 + ROUNDING,
            path.clone(),
            "the experiments of this layer need more than the whole of it",
        );
        let overlaps = experiments[..number].iter().zip(&parts).any(|(other, (from, to))| {
            other.layer == experiment.layer && *from < end - ROUNDING && *begin < to - ROUNDING
        });
        checks.rule(!overlaps, path, "overlaps with another experiment of its layer");
    }
}

/// What two layers both change would depend on their order: each parameter belongs to one layer.
fn validate_targets(experiments: &[ExperimentParams], checks: &mut Checks) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (number, experiment) in experiments.iter().enumerate() {
        for (place, variant) in experiment.variants.iter().enumerate() {
            let mut leaves = Vec::new();
            collect_leaves("", &variant.patch(), &mut leaves);
            for leaf in leaves {
                let is_taken = |(other, layer): (&String, &&str)| *layer != experiment.layer && meet(other, &leaf);
                let is_free = !owners.iter().any(is_taken);
                let path = format!("experiments[{number}].variants[{place}].params.{leaf}");
                checks.rule(is_free, path, "another layer changes this too");
                owners.entry(leaf).or_insert(&experiment.layer);
            }
        }
    }
}

/// Whether one path is the other or leads to it.
fn meet(one: &str, other: &str) -> bool {
    let leads = |short: &str, long: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
    one == other || leads(one, other) || leads(other, one)
}

fn collect_leaves(path: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                collect_leaves(&path, value, leaves);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            if !path.is_empty() {
                leaves.push(path.to_owned());
            }
        }
    }
}

/// Checks every variant's patch over the document, and the patches of two layers together.
pub(super) fn check_patches(params: &Params) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut patches: Vec<(String, &str, Value)> = Vec::new();
    for (number, experiment) in params.experiments.iter().enumerate() {
        for (place, variant) in experiment.variants.iter().enumerate() {
            let path = format!("experiments[{number}].variants[{place}].params");
            let patch = variant.patch();
            for error in with_patches(params, std::slice::from_ref(&patch))
                .err()
                .unwrap_or_default()
            {
                errors.push(FieldError::new(
                    format!("{path}.{}", error.field),
                    error.code,
                    error.detail,
                ));
            }
            patches.push((path, experiment.layer.as_str(), patch));
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    for (number, (path, layer, patch)) in patches.iter().enumerate() {
        let is_empty = |patch: &Value| patch.as_object().is_some_and(Map::is_empty);
        let others = patches[..number]
            .iter()
            .filter(|(_, other, other_patch)| other != layer && !is_empty(patch) && !is_empty(other_patch));
        for (other_path, _, other_patch) in others {
            for error in with_patches(params, &[other_patch.clone(), patch.clone()])
                .err()
                .unwrap_or_default()
            {
                let detail = format!("together with {other_path}: {}", error.detail);
                errors.push(FieldError::new(format!("{path}.{}", error.field), error.code, detail));
            }
        }
    }
    errors
}
