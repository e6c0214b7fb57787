//! EASE, trained once on the history; viewers are folded in by what they had.

use anyhow::{Context, Result};
use serde_json::Value;
use swipeline_models::baselines;
use swipeline_models::baselines::ease::{EaseConfig, train_ease};

use super::{recency_weights, rows_of};
use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest, Validation};
use crate::eval::tune::{Tuned, tune_baseline};

/// The row `ease` or `ease-recent`.
#[derive(Debug)]
pub(crate) struct Ease {
    name: &'static str,
    config: EaseConfig,
    /// Weight of an item over that of the one after it.
    recency: f32,
    like_value_min: f32,
    model: Option<baselines::ease::Ease>,
}

impl Ease {
    /// All items of a viewer count the same.
    pub(crate) fn plain() -> Self {
        Self::new("ease", EaseConfig::default(), 1.0)
    }

    /// The last items of a viewer count most.
    pub(crate) fn recent() -> Self {
        Self::new("ease-recent", EaseConfig::default(), super::RECENCY)
    }

    fn new(name: &'static str, config: EaseConfig, recency: f32) -> Self {
        Self {
            name,
            config,
            recency,
            like_value_min: f32::MIN,
            model: None,
        }
    }
}

impl NextItemMethod for Ease {
    fn name(&self) -> &str {
        self.name
    }

    fn tune(&mut self, validation: &dyn Validation) -> Result<Option<Tuned>> {
        let (name, recency) = (self.name, self.recency);
        let steps: [fn(EaseConfig) -> Vec<EaseConfig>; 1] = [|config| {
            let tried = [50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0];
            tried
                .map(|regularisation| EaseConfig {
                    regularisation,
                    ..config
                })
                .into()
        }];
        let make = |config| -> Box<dyn NextItemMethod> { Box::new(Self::new(name, config, recency)) };
        let named = |config: EaseConfig| [("regularisation", Value::from(config.regularisation))];
        let (config, tuned) = tune_baseline(name, self.config, validation, &steps, &make, &named)?;
        self.config = config;
        Ok(Some(tuned))
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        self.like_value_min = history.like_value_min;
        let config = EaseConfig {
            threads: history.threads,
            ..self.config
        };
        self.model = Some(train_ease(&rows_of(history), &config).context("EASE cannot be trained")?);
        Ok(())
    }

    fn learn(&mut self, _event: &Interaction) {}

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        if let Some(model) = &self.model {
            model.scores_into(
                recency_weights(request.context, self.like_value_min, self.recency),
                scores,
            );
        }
    }
}
