//! iALS, trained once on the history; viewers are folded in by what they had.

use anyhow::Result;
use serde_json::Value;
use swipeline_models::baselines::ials::{FoldIn, IalsConfig, ItemFactors, train_ials};

use super::{recency_weights, rows_of};
use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest, Validation};
use crate::eval::tune::{Tuned, tune_baseline};

/// The row `ials` or `ials-recent`.
#[derive(Debug)]
pub(crate) struct Ials {
    name: &'static str,
    config: IalsConfig,
    /// Weight of an item over that of the one after it.
    recency: f32,
    like_value_min: f32,
    model: Option<ItemFactors>,
    fold_in: FoldIn,
}

impl Ials {
    /// All items of a viewer count the same.
    pub(crate) fn plain() -> Self {
        Self::new("ials", IalsConfig::default(), 1.0)
    }

    /// The last items of a viewer count most.
    pub(crate) fn recent() -> Self {
        Self::new("ials-recent", IalsConfig::default(), super::RECENCY)
    }

    /// With these settings, the last items of a viewer counting most.
    pub(crate) fn with(config: IalsConfig) -> Self {
        Self::new("ials-recent", config, super::RECENCY)
    }

    /// The settings.
    pub(crate) fn config(&self) -> IalsConfig {
        self.config
    }

    fn new(name: &'static str, config: IalsConfig, recency: f32) -> Self {
        Self {
            name,
            config,
            recency,
            like_value_min: f32::MIN,
            model: None,
            fold_in: FoldIn::default(),
        }
    }
}

impl NextItemMethod for Ials {
    fn name(&self) -> &str {
        self.name
    }

    fn tune(&mut self, validation: &dyn Validation) -> Result<Option<Tuned>> {
        let (name, recency) = (self.name, self.recency);
        let steps: [fn(IalsConfig) -> Vec<IalsConfig>; 3] = [
            |config| {
                [0.03, 0.1, 0.3]
                    .map(|unobserved| IalsConfig { unobserved, ..config })
                    .into()
            },
            |config| {
                let tried = [0.003, 0.01, 0.03].map(|regularisation| IalsConfig {
                    regularisation,
                    ..config
                });
                tried.into()
            },
            |config| [32, 64, 128].map(|dims| IalsConfig { dims, ..config }).into(),
        ];
        let make = |config| -> Box<dyn NextItemMethod> { Box::new(Self::new(name, config, recency)) };
        let named = |config: IalsConfig| {
            [
                ("dims", Value::from(config.dims)),
                ("regularisation", Value::from(config.regularisation)),
                ("unobserved", Value::from(config.unobserved)),
            ]
        };
        let (config, tuned) = tune_baseline(name, self.config, validation, &steps, &make, &named)?;
        self.config = config;
        Ok(Some(tuned))
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        self.like_value_min = history.like_value_min;
        let config = IalsConfig {
            threads: history.threads,
            seed: history.seed,
            ..self.config
        };
        self.model = Some(train_ials(&rows_of(history), history.catalogue.item_count(), &config));
        Ok(())
    }

    fn learn(&mut self, _event: &Interaction) {}

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        if let Some(model) = &self.model {
            let context = recency_weights(request.context, self.like_value_min, self.recency);
            let user = model.fold_in(context, &mut self.fold_in);
            model.scores_into(user, scores);
        }
    }
}
