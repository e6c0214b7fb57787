//! The ranking model: loaded at start, exchanged while everything serves.

use std::collections::BTreeMap;

use super::*;
use swipeline_models::params::is_model_name;
use swipeline_models::rank::ModelInfo;

impl Engine {
    /// The model in force.
    #[must_use]
    pub fn model(&self) -> ModelDescription {
        describe(&self.shared)
    }

    /// Loads a model aside, checks and warms it up, and only then lets it serve; it is loaded again at the next start.
    /// Every open session gets a fresh feed (cause `model`).
    ///
    /// # Errors
    /// `ModelRefused` with the reason; the old model keeps serving.
    pub async fn swap_model(&self, bytes: Vec<u8>) -> Result<ModelDescription, EngineError> {
        let shared = self.shared.clone();
        let swapped = tokio::task::spawn_blocking(move || shared.models.swap(&shared, &bytes));
        swapped
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))??;
        self.announce_model();
        Ok(self.model())
    }

    /// Goes back to the model before.
    ///
    /// # Errors
    /// `Conflict` when there is none.
    pub async fn roll_back_model(&self) -> Result<ModelDescription, EngineError> {
        let shared = self.shared.clone();
        let rolled_back = tokio::task::spawn_blocking(move || shared.models.roll_back(&shared)).await;
        rolled_back.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        self.announce_model();
        Ok(self.model())
    }

    /// The models that are kept by name beside the serving one.
    #[must_use]
    pub fn kept_models(&self) -> BTreeMap<String, ModelDescription> {
        let kept = self.shared.world.ranker.kept();
        kept.into_iter()
            .map(|(name, info)| (name, description(info, false)))
            .collect()
    }

    /// Keeps a model by name, for params (and variants of experiments) that ask for it. Loaded, checked and warmed up aside;
    /// kept over restarts.
    ///
    /// # Errors
    /// `Invalid` for a name that is none, `ModelRefused` with the reason; what was kept stays.
    pub async fn keep_model(&self, name: &str, bytes: Vec<u8>) -> Result<ModelDescription, EngineError> {
        if !is_model_name(name) {
            let rule = "must be 1 to 64 letters, digits, `_`, `-` or `.`";
            return Err(EngineError::Invalid(FieldError::new("name", "invalid", rule)));
        }
        let (shared, name) = (self.shared.clone(), name.to_owned());
        let kept = tokio::task::spawn_blocking(move || {
            let info = shared.models.keep(&shared, &name, &bytes)?;
            tracing::info!(
                name,
                version = info.version,
                fingerprint = info.fingerprint,
                "a model is kept"
            );
            Ok(description(info, false))
        });
        kept.await
            .map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    /// Keeps a model no longer.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` while the params in force ask for it.
    pub async fn drop_model(&self, name: &str) -> Result<(), EngineError> {
        let named = service::models_of(&self.params().params);
        if let Some((field, _)) = named.iter().find(|(_, model)| model == name) {
            return Err(EngineError::Conflict(format!("{field} asks for it")));
        }
        let (shared, name) = (self.shared.clone(), name.to_owned());
        let dropped = tokio::task::spawn_blocking(move || {
            if shared.models.drop_kept(&shared, &name)? {
                Ok(())
            } else {
                Err(EngineError::NotFound(format!("model {name:?}")))
            }
        });
        dropped
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    fn announce_model(&self) {
        let model = self.model();
        tracing::info!(
            version = model.version,
            fingerprint = model.fingerprint,
            "another model serves"
        );
        for session in self.shared.sessions.all() {
            // A session with a full mailbox is about to make feeds with the new model anyway.
            let _ = session.try_send(ModelChanged);
        }
    }
}

fn describe(shared: &Shared) -> ModelDescription {
    description(
        shared.world.ranker.info(),
        shared.world.ranker.previous_info().is_some(),
    )
}

fn description(info: ModelInfo, can_roll_back: bool) -> ModelDescription {
    ModelDescription {
        kind: info.name,
        version: info.version,
        fingerprint: info.fingerprint,
        loaded_at: info.loaded_at.0,
        can_roll_back,
    }
}

/// Lets the model that was swapped in last serve, or the configured one, or the bundled one.
pub(super) fn install_configured(shared: &SharedRef) -> Result<(), EngineError> {
    if let Some(path) = &shared.config.model {
        let bytes =
            std::fs::read(path).map_err(|error| EngineError::ModelRefused(format!("{}: {error}", path.display())))?;
        let swapped = shared.world.ranker.try_swap(&bytes, clock::now());
        swapped.map_err(|error| EngineError::ModelRefused(format!("{}: {error}", path.display())))?;
    }
    shared.models.install(shared);
    Ok(())
}
