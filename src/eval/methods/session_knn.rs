//! VMIS-kNN over sessions; in a log of ratings, VS-kNN over viewers.

use anyhow::Result;
use swipeline_models::baselines;
use swipeline_models::baselines::session_knn::SessionKnnConfig;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest};

/// The row `vmis-knn`.
#[derive(Debug)]
pub(crate) struct SessionKnn {
    config: SessionKnnConfig,
    index: baselines::session_knn::SessionKnn,
}

impl SessionKnn {
    /// With these settings.
    pub(crate) fn new(config: SessionKnnConfig) -> Self {
        Self {
            config,
            index: baselines::session_knn::SessionKnn::new(config),
        }
    }
}

impl Default for SessionKnn {
    fn default() -> Self {
        Self::new(SessionKnnConfig::default())
    }
}

impl NextItemMethod for SessionKnn {
    fn name(&self) -> &str {
        "vmis-knn"
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        *self = Self::new(self.config);
        history.events.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        self.index.learn(event.user, event.item, event.at_ms);
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        let context = request.context.iter().map(|event| event.item);
        self.index.scores_into(request.user, context, scores);
    }
}
