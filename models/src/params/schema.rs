//! Every key of the params document with its text, type, range, default and unit.
//!
//! Owns nothing of its own: texts are those of the fields, defaults those of the default document, ranges those that the
//! validation of the document asks for.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{BoostRule, ExperimentParams, MixerParams, Params, PatternParams, SceneParams};
use crate::params::VariantParams;

/// What stands for a name of the operator's choice.
const NAME: &str = "{name}";
/// The deepest nesting that is described.
const DEPTH_MAX: usize = 8;

/// One key of the params document.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ParamKey {
    /// Its path; `[]` stands for any element of a list, `{name}` for a name of the operator's choice.
    pub key: String,
    /// What it does.
    pub text: String,
    /// `number`, `integer`, `flag`, `text`, `list` or `object`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What holds when it is left out.
    pub default: Value,
    /// The least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// In what it is measured: `ms`, `us`, `s`, `days`, `bytes`, `percent`, or `share` (0 to 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// The words that it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// Every key, in the order of their paths.
#[must_use]
pub fn schema() -> Vec<ParamKey> {
    let mut parts = Vec::new();
    Params::schemas(&mut parts);
    let parts = parts.into_iter();
    let mut walk = Walk {
        parts: parts
            .filter_map(|(name, part)| Some((name, serde_json::to_value(part).ok()?)))
            .collect(),
        ranges: ranges(),
        keys: Vec::new(),
    };
    let root = serde_json::to_value(Params::schema()).unwrap_or_default();
    let defaults = serde_json::to_value(Params::default()).unwrap_or_default();
    walk.describe("", "", &root, &defaults, 0);
    walk.keys.sort_by(|a, b| a.key.cmp(&b.key));
    walk.keys
}

struct Walk {
    parts: BTreeMap<String, Value>,
    ranges: BTreeMap<String, (f64, f64)>,
    keys: Vec<ParamKey>,
}

impl Walk {
    fn describe(&mut self, path: &str, text: &str, node: &Value, default: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let part = self.resolved(node);
        let text = [node, &part]
            .iter()
            .find_map(|node| node["description"].as_str())
            .filter(|_| text.is_empty())
            .unwrap_or(text)
            .to_owned();
        if let Some(fields) = part["properties"].as_object() {
            for (name, field) in fields.clone() {
                let text = field["description"].as_str().unwrap_or_default().to_owned();
                self.describe(&join(path, &name), &text, &field, &default[&name], depth + 1);
            }
            return;
        }
        let of_list = part
            .get("items")
            .filter(|element| self.resolved(element)["properties"].is_object());
        let of_map = part.get("additionalProperties").filter(|element| element.is_object());
        self.key(path, &text, &part, default);
        if let Some(element) = of_list.cloned() {
            let path = format!("{path}[]");
            self.describe(&path, "", &element, &element_default(&path), depth + 1);
        }
        if let Some(element) = of_map.cloned() {
            let known: Vec<String> = default
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            for name in &known {
                self.describe(&join(path, name), "", &element, &default[name], depth + 1);
            }
            if known.is_empty() {
                let path = join(path, NAME);
                self.describe(&path, "", &element, &element_default(&path), depth + 1);
            }
        }
    }

    fn key(&mut self, path: &str, text: &str, part: &Value, default: &Value) {
        let range = self.ranges.get(path);
        let words = part["enum"].as_array().into_iter().flatten();
        let words: Vec<String> = words.filter_map(|word| word.as_str().map(str::to_owned)).collect();
        self.keys.push(ParamKey {
            key: path.to_owned(),
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            kind: kind_of(part, default),
            default: default.clone(),
            min: range.map(|(min, _)| *min),
            max: range.map(|(_, max)| *max),
            unit: unit_of(path),
            words,
        });
    }

    /// What a reference leads to, and what is behind "this or nothing".
    fn resolved(&self, node: &Value) -> Value {
        if let Some(name) = node["$ref"].as_str().and_then(|pointer| pointer.rsplit('/').next()) {
            return self.parts.get(name).map_or(Value::Null, |part| self.resolved(part));
        }
        for list in ["oneOf", "allOf", "anyOf"] {
            let Some(choices) = node[list].as_array() else { continue };
            let mut real = choices.iter().filter(|choice| choice["type"] != "null");
            if let (Some(only), None) = (real.next(), real.next()) {
                return self.resolved(only);
            }
        }
        node.clone()
    }
}

/// What the validation asks of each number, by path.
fn ranges() -> BTreeMap<String, (f64, f64)> {
    let mut sample = Params {
        boosts: vec![BoostRule::template()],
        patterns: vec![PatternParams::default()],
        experiments: vec![ExperimentParams {
            variants: vec![VariantParams::default()],
            ..ExperimentParams::default()
        }],
        ..Params::default()
    };
    sample.mixers.insert(NAME.to_owned(), MixerParams::default());
    let ranges = sample.checks().into_ranges().into_iter();
    ranges.map(|(path, range)| (path.replace("[0]", "[]"), range)).collect()
}

/// What an element of a list or map has when it leaves a key out.
fn element_default(path: &str) -> Value {
    let element = match path {
        "boosts[]" => serde_json::to_value(BoostRule::default()),
        "patterns[]" => serde_json::to_value(PatternParams::default()),
        "experiments[]" => serde_json::to_value(ExperimentParams::default()),
        "experiments[].variants[]" => serde_json::to_value(VariantParams::default()),
        "scenes.{name}" => serde_json::to_value(SceneParams::default()),
        "mixers.{name}" => serde_json::to_value(MixerParams::default()),
        _ => Ok(Value::Null),
    };
    element.unwrap_or_default()
}

fn kind_of(part: &Value, default: &Value) -> &'static str {
    let named = if let Value::Array(kinds) = &part["type"] {
        let kind = kinds.iter().find(|kind| **kind != json!("null"));
        kind.cloned().unwrap_or_default()
    } else {
        part["type"].clone()
    };
    match (named.as_str(), default) {
        (Some("boolean"), _) | (None, Value::Bool(_)) => "flag",
        (Some("integer"), _) => "integer",
        (Some("number"), _) | (None, Value::Number(_)) => "number",
        (Some("string"), _) | (None, Value::String(_)) => "text",
        (Some("array"), _) | (None, Value::Array(_)) => "list",
        _ => "object",
    }
}

fn unit_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let mut parts: Vec<&str> = name.split('_').collect();
    if matches!(parts.last(), Some(&"max" | &"min")) {
        parts.pop();
    }
    match *parts.last()? {
        "ms" => Some("ms"),
        "us" => Some("us"),
        "s" | "seconds" | "second" => Some("s"),
        "days" => Some("days"),
        "bytes" => Some("bytes"),
        "percent" => Some("percent"),
        "share" | "ratio" | "rate" => Some("share"),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(path: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields
                    .iter()
                    .for_each(|(name, value)| leaves(&join(path, name), value, out));
            }
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                out.push(path.to_owned());
            }
        }
    }

    #[test]
    fn every_key_of_the_default_document_is_described() {
        let keys = schema();
        let mut expected = Vec::new();
        leaves(
            "",
            &serde_json::to_value(Params::default()).expect("JSON"),
            &mut expected,
        );
        for path in &expected {
            let key = keys
                .iter()
                .find(|key| key.key == *path)
                .unwrap_or_else(|| panic!("{path} is not described"));
            assert!(
                !key.text.is_empty() || path.starts_with("interest.signals"),
                "{path} has no text"
            );
        }
        let find = |path: &str| keys.iter().find(|key| key.key == path).expect("a key").clone();
        let share = find("rerank.exploration_share");
        assert_eq!(
            (share.kind, share.min, share.max, share.unit),
            ("number", Some(0.0), Some(1.0), Some("share"))
        );
        let half_life = find("interest.short_half_life_ms");
        assert_eq!(
            (half_life.kind, half_life.unit, half_life.min),
            ("integer", Some("ms"), Some(1.0))
        );
        assert_eq!(find("channels.hot.quota").max, Some(1_000.0));
        assert_eq!(find("mixers.{name}.rule").words.len(), 4);
        assert_eq!(find("boosts[].factor").kind, "number");
        assert_eq!(find("experiments[].variants[].weight").default, json!(1.0));
    }
}
