//! The online learner as an operator sees it.

use super::*;
use swipeline_models::learner::LearnerReport;

impl Engine {
    /// The state of the online learner: what serves each objective, its log losses, its largest weights.
    ///
    /// # Errors
    /// `Unavailable` when the report could not be made.
    pub async fn learner(&self) -> Result<LearnerReport, EngineError> {
        let shared = self.shared.clone();
        let report = tokio::task::spawn_blocking(move || shared.learner.report(&shared)).await;
        report.map_err(|error| EngineError::Unavailable(error.to_string()))
    }
}
