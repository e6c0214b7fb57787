//! The params document: read, changed, gone back to.

use super::*;
use crate::session::PreviewFeed;

impl Engine {
    /// The `params` document in force.
    #[must_use]
    pub fn params(&self) -> Arc<ParamsDocument> {
        self.shared.params.current()
    }

    /// The versions that can be gone back to, the newest first (bounded).
    #[must_use]
    pub fn params_history(&self) -> Vec<Arc<ParamsDocument>> {
        self.shared.params.history()
    }

    /// Replaces the document; keys that are left out have their defaults.
    ///
    /// # Errors
    /// `InvalidMany` names every bad key; `Outdated` when another version than the expected one is in force.
    pub async fn put_params(
        &self,
        document: serde_json::Value,
        edit: ParamsEdit,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        self.change_params(move |shared| shared.params.put(shared, document, &edit))
            .await
    }

    /// Changes some keys (RFC 7396 merge patch).
    ///
    /// # Errors
    /// `InvalidMany` names every bad key; `Outdated` when another version than the expected one is in force.
    pub async fn patch_params(
        &self,
        patch: serde_json::Value,
        edit: ParamsEdit,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        self.change_params(move |shared| shared.params.patch(shared, &patch, &edit))
            .await
    }

    /// What the document would be, whole or as a merge patch over the one in force; changes nothing. With a feed's request
    /// also the feed as it would be, which nobody is shown.
    ///
    /// # Errors
    /// `InvalidMany` names every bad key; `Outdated` when another version than the expected one is in force; `Overloaded` or
    /// `Unavailable` for the feed.
    pub async fn preview_params(
        &self,
        document: serde_json::Value,
        is_patch: bool,
        edit: ParamsEdit,
        feed: Option<FeedRequest>,
    ) -> Result<(ParamsDocument, Option<FeedDto>), EngineError> {
        let shared = self.shared.clone();
        let read = tokio::task::spawn_blocking(move || shared.params.preview(&shared, document, is_patch, &edit));
        let preview = read
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))??;
        let Some(request) = feed else {
            return Ok((preview, None));
        };
        let ask = || PreviewFeed {
            request: request.clone(),
            params: preview.params.clone(),
        };
        let feed = self.shared.sessions.ask(&self.shared, &request.user, ask).await?;
        Ok((preview, Some(feed)))
    }

    /// Makes an earlier version the newest again.
    ///
    /// # Errors
    /// `NotFound` when the version is not kept, `Outdated` when another version than the expected one is in force.
    pub async fn roll_back_params(&self, version: u64, edit: ParamsEdit) -> Result<Arc<ParamsDocument>, EngineError> {
        self.change_params(move |shared| shared.params.roll_back(shared, version, &edit))
            .await
    }

    async fn change_params(
        &self,
        change: impl FnOnce(&Shared) -> Result<Arc<ParamsDocument>, EngineError> + Send + 'static,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        let shared = self.shared.clone();
        let changed = tokio::task::spawn_blocking(move || change(&shared)).await;
        self.shared.archive.wake();
        changed.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }
}
