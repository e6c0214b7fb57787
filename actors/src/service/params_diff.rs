//! What one version of the params has changed of the one before: key by key, for the history.

use std::collections::BTreeSet;

use serde_json::Value;
use swipeline_models::params::Params;

use crate::api::ParamsChange;

/// The most changes that are listed of one version.
const CHANGES_MAX: usize = 200;

/// The keys whose values differ, by their paths, and how many more there are than are listed. A list counts as one value:
/// what has moved in it has changed.
pub(super) fn changes_between(before: &Params, after: &Params) -> (Vec<ParamsChange>, u32) {
    // By way of the text: there 0.1 is 0.1, and not the nearest number of twice the precision.
    let text = |params: &Params| serde_json::to_string(params).unwrap_or_default();
    let document = |params: &Params| serde_json::from_str::<Value>(&text(params)).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    compare("", Some(&document(before)), Some(&document(after)), &mut changes);
    let left_out = changes.len().saturating_sub(CHANGES_MAX);
    changes.truncate(CHANGES_MAX);
    (changes, u32::try_from(left_out).unwrap_or(u32::MAX))
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<ParamsChange>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(&path, before.get(key), after.get(key), changes);
            }
        }
        (before, after) => changes.push(ParamsChange {
            key: path.to_owned(),
            from: before.cloned(),
            to: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use swipeline_models::params::parse;

    #[test]
    fn a_change_is_named_by_its_key_with_what_was_and_what_is() {
        let before = parse(json!({"cold_start": {"editors_picks": {"de": ["a"]}}})).expect("valid");
        let after = parse(json!({
            "channels": {"hot": {"quota": 7, "enabled": false}},
            "cold_start": {"editors_picks": {"fr": ["b"]}},
        }));
        let (changes, left_out) = changes_between(&before, &after.expect("valid"));
        let change = |key: &str, from: Option<Value>, to: Option<Value>| ParamsChange {
            key: key.to_owned(),
            from,
            to,
        };
        let expected = [
            change("channels.hot.enabled", Some(json!(true)), Some(json!(false))),
            change("channels.hot.quota", Some(json!(60)), Some(json!(7))),
            change("cold_start.editors_picks.de", Some(json!(["a"])), None),
            change("cold_start.editors_picks.fr", None, Some(json!(["b"]))),
        ];
        assert_eq!((changes.as_slice(), left_out), (expected.as_slice(), 0));
        assert_eq!(changes_between(&before, &before), (vec![], 0));
    }
}
