//! Scenes: which params and which filter hold where in the app.

use std::sync::Arc;

use swipeline_models::catalogue::{FilterTest, ItemFilter};
use swipeline_models::experiment::ViewerVariant;
use swipeline_models::params::Params;
use swipeline_models::wire::FieldError;

use super::actor::SessionActor;
use super::variant::ServedVariant;
use crate::api::EngineError;

impl SessionActor {
    /// Refuses a scene that the params do not know, if they know any: it would be ignored without a word.
    pub(super) fn check_scene(&self, params: &Params, scene: Option<&str>) -> Result<(), EngineError> {
        let Some(scene) = scene else { return Ok(()) };
        if params.scenes.is_empty() || params.scenes.contains_key(scene) {
            return Ok(());
        }
        let known: Vec<&str> = params.scenes.keys().map(String::as_str).collect();
        let detail = format!("there is no scene {scene:?}; there are {}", known.join(", "));
        Err(EngineError::Invalid(FieldError::new("scene", "unknown_scene", detail)))
    }

    /// What holds for the viewer in a scene.
    pub(super) fn variant_in(&self, variant: ServedVariant, scene: Option<&str>) -> ServedVariant {
        let Some(scene) = scene.filter(|scene| variant.viewer.params.scenes.contains_key(*scene)) else {
            return variant;
        };
        let params = self.shared.params.in_scene(&variant.viewer.params, scene);
        if Arc::ptr_eq(&params, &variant.viewer.params) {
            return variant;
        }
        let viewer = ViewerVariant {
            params,
            ..ViewerVariant::clone(&variant.viewer)
        };
        ServedVariant {
            viewer: Arc::new(viewer),
            ..variant
        }
    }

    /// The test of what a request and its scene want of items.
    pub(super) fn test_of(&self, params: &Params, scene: Option<&str>, filter: &ItemFilter) -> Option<FilterTest> {
        let of_scene = scene
            .and_then(|scene| params.scenes.get(scene))
            .map(|scene| &scene.filter);
        let filters: Vec<&ItemFilter> = of_scene.into_iter().chain([filter]).collect();
        FilterTest::of(&filters, self.shared.world.catalogue.words())
    }
}
