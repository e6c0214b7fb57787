//! The ranking model: loaded at start, exchanged while everything serves.

use super::*;
use swipeline_storage::SnapshotOp;

const KEY: &[u8] = b"ranker";

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
        let swapped = tokio::task::spawn_blocking(move || {
            let info = shared.world.ranker.try_swap(&bytes, clock::now());
            info.map_err(|error| EngineError::ModelRefused(error.to_string()))?;
            keep(&shared, Some(bytes))
        });
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
        self.shared
            .world
            .ranker
            .rollback()
            .map_err(|error| EngineError::Conflict(error.to_string()))?;
        let shared = self.shared.clone();
        // The bytes of the earlier model are not kept: the next start begins with the configured one.
        let kept = tokio::task::spawn_blocking(move || keep(&shared, None)).await;
        kept.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        self.announce_model();
        Ok(self.model())
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
    let info = shared.world.ranker.info();
    ModelDescription {
        kind: info.name,
        version: info.version,
        fingerprint: info.fingerprint,
        loaded_at: info.loaded_at.0,
        can_roll_back: shared.world.ranker.previous_info().is_some(),
    }
}

fn keep(shared: &Shared, bytes: Option<Vec<u8>>) -> Result<(), EngineError> {
    let row = match bytes {
        Some(value) => SnapshotOp::Put {
            tree: Tree::Models,
            key: KEY.to_vec(),
            value,
        },
        None => SnapshotOp::Delete {
            tree: Tree::Models,
            key: KEY.to_vec(),
        },
    };
    let store = &shared.storage.snapshots;
    let written = store.apply(vec![row]).and_then(|()| store.flush());
    written.map_err(|error| EngineError::Unavailable(format!("the model serves but could not be stored: {error}")))
}

/// Lets the model that was swapped in last serve, or the configured one, or the bundled one.
pub(super) fn install_configured(shared: &SharedRef) -> Result<(), EngineError> {
    if let Some(path) = &shared.config.model {
        let bytes =
            std::fs::read(path).map_err(|error| EngineError::ModelRefused(format!("{}: {error}", path.display())))?;
        let swapped = shared.world.ranker.try_swap(&bytes, clock::now());
        swapped.map_err(|error| EngineError::ModelRefused(format!("{}: {error}", path.display())))?;
    }
    match shared.storage.snapshots.get(Tree::Models, KEY) {
        Ok(Some(bytes)) => {
            if let Err(error) = shared.world.ranker.try_swap(&bytes, clock::now()) {
                crate::shared::report_damage("model that was swapped in", &error);
            }
        }
        Ok(None) => {}
        Err(error) => crate::shared::report_damage("model that was swapped in", &error),
    }
    Ok(())
}
