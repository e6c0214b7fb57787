//! Reading a params document: unknown keys, wrong types and impossible values, all reported at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    BoostRule, ExperimentParams, MixerParams, Params, PatternParams, PatternStep, VariantParams, experiments, scenes,
};
use crate::time::DAY_MS;
use crate::wire::FieldError;

/// Maps with keys of the user's choice; everything below them is checked by serde and by the sections.
const OPEN_MAPS: [&str; 4] = [
    "cold_start.editors_picks",
    "experiments[].forced",
    "experiments[].variants[].params",
    "scenes.",
];
/// The most errors that are told.
const ERRORS_MAX: usize = 200;
/// The free keys that a mixer has of its own.
const MIXER_WEIGHTS: &str = ".weights.";

/// Lists of objects, and maps with free keys, by their path without numbers, with an element that has every key: what is
/// unknown or wrong in an element is named by its path, and what an element leaves out has its default.
fn element_default(path: &str) -> Option<Value> {
    let element = match without_numbers(path).as_str() {
        "boosts" => serde_json::to_value(BoostRule::template()),
        "mixers" => serde_json::to_value(MixerParams::default()),
        "experiments" => serde_json::to_value(ExperimentParams::default()),
        "experiments[].variants" => serde_json::to_value(VariantParams::default()),
        "patterns" => serde_json::to_value(PatternParams::default()),
        "patterns[].steps" => serde_json::to_value(PatternStep::default()),
        _ => return None,
    };
    element.ok()
}

/// `patterns[2].steps` is one of `patterns[].steps`.
fn without_numbers(path: &str) -> String {
    let mut is_number = false;
    path.chars()
        .filter(|letter| {
            is_number = (is_number && *letter != ']') || *letter == '[';
            !is_number || *letter == '['
        })
        .collect()
}

/// Reads a document; keys that are left out have their defaults.
///
/// # Errors
/// Every unknown key, every value of a wrong type and every impossible value, each by its path.
pub fn parse(document: Value) -> Result<Params, Vec<FieldError>> {
    let defaults = serde_json::to_value(Params::default()).unwrap_or(Value::Null);
    let mut errors = Vec::new();
    compare("", &document, &defaults, &mut errors);
    // What cannot be read is named and taken out, until the rest can be read and its values be checked.
    let mut rest = document.clone();
    let params = loop {
        let mut readable = defaults.clone();
        overlay("", &mut readable, &rest);
        let error = match serde_json::from_value::<Params>(readable) {
            Ok(params) => break Some(params),
            Err(error) => error,
        };
        let path = culprit(&rest).filter(|path| take_out(&mut rest, path));
        let is_known = |path: &str| errors.iter().any(|error: &FieldError| error.field == path);
        match path {
            Some(path) if !is_known(&path) => errors.push(FieldError::new(path, "malformed", error.to_string())),
            Some(_) => {}
            None => {
                errors.push(FieldError::new("params", "malformed", error.to_string()));
                break None;
            }
        }
        if errors.len() >= ERRORS_MAX {
            break None;
        }
    };
    if let Some(params) = params {
        errors.extend(params.validate());
        if errors.is_empty() && !params.experiments.is_empty() {
            errors.extend(experiments::check_patches(&params));
        }
        if errors.is_empty() {
            errors.extend(scenes::check_scenes(&params));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut complete = serde_json::to_value(Params::default()).unwrap_or(Value::Null);
    merge_patch(&mut complete, &document);
    serde_json::from_value(complete).map_err(|error| vec![FieldError::new("params", "malformed", error.to_string())])
}

/// Applies a merge patch (RFC 7396): objects are merged, `null` removes, anything else replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

/// Lays what is readable of `document` over `target`, so that good values are checked even beside bad ones.
fn overlay(path: &str, target: &mut Value, document: &Value) {
    match (target, document) {
        (Value::Object(target), Value::Object(document)) => {
            for (key, value) in document {
                let child = join(path, key);
                match target.get_mut(key) {
                    Some(known) => overlay(&child, known, value),
                    None if is_open(&child) || element_default(path).is_some() => {
                        let template = element_default(path).unwrap_or(Value::Null);
                        target.insert(key.clone(), known_part(&template, value));
                    }
                    None => {}
                }
            }
        }
        (Value::Array(target), Value::Array(document)) if element_default(path).is_some() => {
            target.clear();
            for (number, element) in document.iter().enumerate() {
                let path = format!("{path}[{number}]");
                let mut readable = element_default(path_of_list(&path)).unwrap_or(Value::Null);
                if path_of_list(&path) == "boosts" {
                    // Of its effects a rule has one, and the template has all.
                    readable = known_part(&readable, element);
                } else {
                    overlay(&path, &mut readable, element);
                }
                target.push(readable);
            }
        }
        (target, document) if same_kind(target, document) => *target = document.clone(),
        _ => {}
    }
}

/// What of an element is known to a template and of its kind; all of it where the template is an open map.
fn known_part(template: &Value, element: &Value) -> Value {
    match (template, element) {
        (Value::Object(template), Value::Object(element)) if !template.is_empty() => {
            let known = element.iter().filter_map(|(key, value)| {
                let template = template.get(key).filter(|template| same_kind(template, value))?;
                Some((key.clone(), known_part(template, value)))
            });
            Value::Object(known.collect())
        }
        (_, element) => element.clone(),
    }
}

/// `patterns[2]` is an element of `patterns`.
fn path_of_list(path: &str) -> &str {
    path.rsplit_once('[').map_or(path, |(list, _)| list)
}

fn compare(path: &str, document: &Value, defaults: &Value, errors: &mut Vec<FieldError>) {
    match (document, defaults) {
        (Value::Object(document), Value::Object(defaults)) => {
            let element = element_default(path);
            for (key, value) in document {
                let child = join(path, key);
                match defaults.get(key).or(element.as_ref()) {
                    Some(default) => compare(&child, value, default, errors),
                    None if is_open(&child) => {}
                    None => errors.push(FieldError::new(child, "unknown_key", "is not a parameter")),
                }
            }
        }
        (Value::Array(document), Value::Array(_)) if element_default(path).is_some() => {
            let default = element_default(path).unwrap_or(Value::Null);
            for (number, element) in document.iter().enumerate() {
                compare(&format!("{path}[{number}]"), element, &default, errors);
            }
        }
        (document, defaults) if same_kind(document, defaults) => {}
        // What may be left out may be said to be left out.
        (Value::Null, _) if path.contains('[') => {}
        (document, defaults) => errors.push(FieldError::new(
            if path.is_empty() { "params" } else { path },
            "wrong_type",
            format!("must be {}, is {}", kind(defaults), kind(document)),
        )),
    }
}

/// The key that keeps a document of the right kinds from being read, such as a count below zero: the deepest one that
/// cannot be read although everything else is left out.
fn culprit(document: &Value) -> Option<String> {
    let is_readable = |document: &Value| {
        let mut readable = serde_json::to_value(Params::default()).unwrap_or(Value::Null);
        overlay("", &mut readable, document);
        serde_json::from_value::<Params>(readable).is_ok()
    };
    fn search(
        path: &str,
        value: &Value,
        is_readable: &dyn Fn(&Value) -> bool,
        wrap: &dyn Fn(Value) -> Value,
    ) -> Option<String> {
        if is_readable(&wrap(value.clone())) {
            return None;
        }
        let inside = match value {
            Value::Object(fields) => fields.iter().find_map(|(key, value)| {
                let alone = |value: Value| wrap(Value::Object(Map::from_iter([(key.clone(), value)])));
                search(&join(path, key), value, is_readable, &alone)
            }),
            Value::Array(elements) => elements.iter().enumerate().find_map(|(place, value)| {
                let alone = |value: Value| wrap(Value::Array(vec![value]));
                search(&format!("{path}[{place}]"), value, is_readable, &alone)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        Some(inside.unwrap_or_else(|| path.to_owned()))
    }
    search("", document, &is_readable, &|value| value).filter(|path| !path.is_empty())
}

/// Takes a key out of a document, and with an element of a list the whole list. Returns whether it was there.
fn take_out(document: &mut Value, path: &str) -> bool {
    let path = path
        .rsplit_once('[')
        .map_or(path, |(list, behind)| if behind.ends_with(']') { list } else { path });
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer: String = parent
        .split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| format!("/{}", part.trim_end_matches(']')))
        .collect();
    let parent = document.pointer_mut(&pointer).and_then(Value::as_object_mut);
    parent.is_some_and(|parent| parent.remove(key).is_some())
}

fn is_open(path: &str) -> bool {
    let is_mixer_weight = path.starts_with("mixers.") && path.contains(MIXER_WEIGHTS);
    let path = without_numbers(path);
    is_mixer_weight || OPEN_MAPS.iter().any(|open| path.starts_with(open))
}

fn same_kind(left: &Value, right: &Value) -> bool {
    match (left, right) {
        // A count must stay a whole number; a weight may be written as one.
        (Value::Number(left), Value::Number(right)) => {
            left.is_f64() || right.is_f64() || left.is_i64() || left.is_u64()
        }
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Collects the rules that values break.
#[derive(Default)]
pub(super) struct Checks {
    errors: Vec<FieldError>,
    /// What each value must lie between, by its path.
    ranges: BTreeMap<String, (f64, f64)>,
}

impl Checks {
    /// The value must be finite and lie in `min..=max`.
    pub(super) fn within(&mut self, field: impl Into<String>, value: f64, min: f64, max: f64) {
        let field = field.into();
        self.ranges.insert(field.clone(), (min, max));
        if !value.is_finite() || value < min || value > max {
            self.errors.push(FieldError::new(
                field,
                "out_of_range",
                format!("must be between {min} and {max}, is {value}"),
            ));
        }
    }

    /// A duration or half-life in milliseconds, at most a century.
    pub(super) fn duration(&mut self, field: impl Into<String>, value_ms: i64) {
        self.within(field, value_ms as f64, 1.0, (36_525 * DAY_MS) as f64);
    }

    /// A share or probability.
    pub(super) fn share(&mut self, field: impl Into<String>, value: f32) {
        self.within(field, f64::from(value), 0.0, 1.0);
    }

    /// A weight between `min` and 100.
    pub(super) fn weight(&mut self, field: impl Into<String>, value: f32, min: f64) {
        self.within(field, f64::from(value), min, 100.0);
    }

    /// Any other rule.
    pub(super) fn rule(&mut self, holds: bool, field: impl Into<String>, detail: &str) {
        if !holds {
            self.errors.push(FieldError::new(field, "impossible", detail));
        }
    }

    pub(super) fn into_ranges(self) -> BTreeMap<String, (f64, f64)> {
        self.ranges
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}
