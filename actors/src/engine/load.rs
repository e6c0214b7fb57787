//! What the engine does under load.

use super::*;

impl Engine {
    /// How much is done for a feed, and why.
    #[must_use]
    pub fn degradation(&self) -> DegradationReport {
        self.shared.overload.report(&self.shared)
    }

    /// Feeds and rankings are refused long before events are.
    pub(super) fn check_load(&self) -> Result<(), EngineError> {
        if self.shared.overload.level() != Level::Refused {
            return Ok(());
        }
        metrics::counter!("swipeline_shed_total", "what" => "call").increment(1);
        let retry_after_ms = self.shared.world.params.load().degradation.retry_after_ms;
        Err(EngineError::Overloaded { retry_after_ms })
    }
}
