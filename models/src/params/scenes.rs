//! Params of scenes: what an app calls "home", "following", "shop".
//!
//! Owns what a scene may change, and the document that holds in it. Must not know who asks for one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::check::{Checks, merge_patch};
use super::{BoostRule, Params};
use crate::catalogue::ItemFilter;
use crate::ids::validate_id;
use crate::wire::FieldError;

/// The most scenes of one document.
const SCENES_MAX: usize = 32;

/// What counts as shown in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SceneExposure {
    /// What was shown anywhere.
    #[default]
    Shared,
}

/// One scene.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SceneParams {
    /// What is different of the recall channels, by name: a quota (0 switches the channel off), or a merge patch over its
    /// settings. Channels that are not named are as ever.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, Value>,
    /// Which items it shows.
    #[serde(skip_serializing_if = "ItemFilter::is_empty")]
    #[schema(value_type = Object)]
    pub filter: ItemFilter,
    /// Boost rules that hold in it, beside those of the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<BoostRule>,
    /// What counts as shown in it.
    pub exposure: SceneExposure,
}

impl Params {
    /// The document that holds in a scene; `None` when there is no such scene, or when it changes nothing but the filter.
    ///
    /// # Errors
    /// What of the scene's channels cannot be read.
    pub fn in_scene(&self, name: &str) -> Result<Option<Params>, serde_json::Error> {
        let Some(scene) = self.scenes.get(name) else {
            return Ok(None);
        };
        if scene.channels.is_empty() && scene.rules.is_empty() {
            return Ok(None);
        }
        let patch = |(name, settings): (&String, &Value)| {
            let settings = if let Value::Number(quota) = settings {
                json!({"quota": quota, "enabled": quota.as_f64() != Some(0.0)})
            } else {
                settings.clone()
            };
            (name.clone(), settings)
        };
        let patch: Map<String, Value> = scene.channels.iter().map(patch).collect();
        let mut channels = serde_json::to_value(&self.channels)?;
        merge_patch(&mut channels, &Value::Object(patch));
        let mut params = Params {
            channels: serde_json::from_value(channels)?,
            compiled: Default::default(),
            ..self.clone()
        };
        params.boosts.extend(scene.rules.iter().cloned());
        Ok(Some(params))
    }
}

/// Checks the names; what scenes change is checked by [`check_scenes`] once the rest of the document is sound.
pub(super) fn validate(scenes: &BTreeMap<String, SceneParams>, checks: &mut Checks) {
    let count = scenes.len() as f64;
    checks.within("scenes", count, 0.0, SCENES_MAX as f64);
    for name in scenes.keys() {
        checks.rule(
            validate_id(name).is_ok(),
            format!("scenes.{name}"),
            "a scene needs a short name without control characters",
        );
    }
}

/// What is wrong with the documents that hold in scenes. The document itself must be sound.
pub(super) fn check_scenes(params: &Params) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in params.scenes.keys() {
        match params.in_scene(name) {
            Ok(None) => {}
            Ok(Some(inside)) => errors.extend(inside.validate().into_iter().map(|error| FieldError {
                field: format!("scenes.{name}.{}", error.field.replace("boosts", "rules")),
                ..error
            })),
            Err(error) => {
                let field = format!("scenes.{name}.channels");
                errors.push(FieldError::new(field, "malformed", error.to_string()));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_scene_changes_channels_and_rules_and_nothing_else() {
        let document = json!({"scenes": {
            "following": {"channels": {"followed": 200, "hot": 0, "tags": {"weight": 2.0}}, "filter": {"following": true}},
            "shop": {"rules": [{"name": "sale", "target": {"tag": "sale"}, "factor": 2.0}]},
            "quiet": {"filter": {"category": "calm"}},
        }});
        let params = parse(document).expect("sound");
        let inside = params
            .in_scene("following")
            .expect("readable")
            .expect("another document");
        assert_eq!(
            (inside.channel("followed").quota, inside.channel("hot").enabled),
            (200, false)
        );
        assert_eq!(
            (inside.channel("tags").weight, inside.channel("tags").quota),
            (2.0, params.channel("tags").quota)
        );
        assert_eq!(
            params
                .in_scene("shop")
                .expect("readable")
                .expect("another document")
                .boosts
                .len(),
            1
        );
        assert_eq!(params.in_scene("quiet").expect("readable"), None);
        assert_eq!(params.in_scene("none").expect("readable"), None);
        let again = parse(serde_json::to_value(&params).expect("JSON")).expect("sound");
        assert_eq!(again, params);
    }

    #[test]
    fn what_is_wrong_in_a_scene_is_named() {
        for (scene, field) in [
            (json!({"channels": {"hto": 5}}), "scenes.a.channels.hto"),
            (json!({"channels": {"hot": {"quota": "many"}}}), "scenes.a.channels"),
            (
                json!({"rules": [{"name": "x", "target": {"tag": "t"}}]}),
                "scenes.a.rules[0]",
            ),
            (json!({"chanels": {}}), "scenes.a.chanels"),
            (json!({"exposure": "mine"}), "scenes.a.exposure"),
            (json!({"filter": {"categroy": "x"}}), "scenes.a.filter.categroy"),
        ] {
            let errors = parse(json!({"scenes": {"a": scene}})).expect_err("refused");
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert!(fields.contains(&field), "{field} is missing in {fields:?}");
        }
    }
}
