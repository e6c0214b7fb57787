//! VMIS-kNN over sessions; in a log of ratings, VS-kNN over viewers.

use anyhow::Result;
use swipeline_models::baselines;
use swipeline_models::baselines::session_knn::SessionKnnConfig;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest};

/// The row `vmis-knn`.
#[derive(Debug)]
pub(crate) struct SessionKnn {
    name: &'static str,
    config: SessionKnnConfig,
    like_value_min: f32,
    index: baselines::session_knn::SessionKnn,
}

impl SessionKnn {
    /// VMIS-kNN as it is published.
    pub(crate) fn vmis() -> Self {
        Self::new("vmis-knn", SessionKnnConfig::default())
    }

    pub(super) fn new(name: &'static str, config: SessionKnnConfig) -> Self {
        Self {
            name,
            config,
            like_value_min: f32::MIN,
            index: baselines::session_knn::SessionKnn::new(config),
        }
    }
}

impl NextItemMethod for SessionKnn {
    fn name(&self) -> &str {
        self.name
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        *self = Self::new(self.name, self.config);
        self.like_value_min = history.like_value_min;
        history.events.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        if event.value >= self.like_value_min {
            self.index.learn(event.user, event.item, event.at_ms);
        }
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        let likes = request
            .context
            .iter()
            .filter(|event| event.value >= self.like_value_min);
        let context = likes.map(|event| event.item);
        self.index.scores_into(request.user, context, scores);
    }
}
