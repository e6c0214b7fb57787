//! Item-kNN: cosine neighbours of everything the viewer has had, learned event by event.

use anyhow::Result;
use swipeline_models::baselines;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest};

/// The row `item-knn`.
#[derive(Debug, Default)]
pub(crate) struct ItemKnn {
    neighbours: baselines::item_knn::ItemKnn,
}

impl NextItemMethod for ItemKnn {
    fn name(&self) -> &str {
        "item-knn"
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        self.neighbours = baselines::item_knn::ItemKnn::new();
        history.events.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        self.neighbours.learn(event.user, event.item);
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        let context = request.context.iter().map(|event| event.item);
        self.neighbours.scores_into(context, scores);
    }
}
