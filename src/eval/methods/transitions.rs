//! Decayed transitions: what followed the viewer's last items.

use anyhow::Result;
use serde_json::Value;
use swipeline_models::baselines;
use swipeline_models::baselines::transitions::TransitionsConfig;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest, Validation};
use crate::eval::tune::{Tuned, tune_baseline};

/// The weight of an event that is no like: it was chosen to be watched, and says a little less.
const UNLIKED: f32 = 0.5;

/// The row `transitions`.
#[derive(Debug)]
pub(crate) struct Transitions {
    config: TransitionsConfig,
    like_value_min: f32,
    counts: baselines::transitions::Transitions,
}

impl Transitions {
    /// With these settings.
    pub(crate) fn new(config: TransitionsConfig) -> Self {
        Self {
            config,
            like_value_min: f32::MIN,
            counts: baselines::transitions::Transitions::new(config),
        }
    }
}

impl Default for Transitions {
    fn default() -> Self {
        Self::new(TransitionsConfig::default())
    }
}

impl NextItemMethod for Transitions {
    fn name(&self) -> &str {
        "transitions"
    }

    fn tune(&mut self, validation: &dyn Validation) -> Result<Option<Tuned>> {
        let steps: [fn(TransitionsConfig) -> Vec<TransitionsConfig>; 4] = [
            |config| {
                let depths = [(1, 1.0), (2, 0.3), (3, 0.5), (5, 0.7), (10, 0.7), (10, 0.8), (20, 0.9)];
                let tried = depths.map(|(context_items, context_decay)| TransitionsConfig {
                    context_items,
                    context_decay,
                    ..config
                });
                tried.to_vec()
            },
            |config| {
                [2, 5, 10, 20]
                    .map(|window| TransitionsConfig { window, ..config })
                    .to_vec()
            },
            |config| {
                [0.0, 0.25, 0.5, 1.0]
                    .map(|reverse| TransitionsConfig { reverse, ..config })
                    .to_vec()
            },
            |config| {
                let exponents = [
                    (0.5, 0.0),
                    (0.75, 0.0),
                    (1.0, 0.0),
                    (0.25, 0.25),
                    (0.5, 0.25),
                    (0.0, 0.5),
                ];
                let tried = exponents.map(|(damping_from, damping_to)| TransitionsConfig {
                    damping_from,
                    damping_to,
                    ..config
                });
                tried.to_vec()
            },
        ];
        let make = |config| -> Box<dyn NextItemMethod> { Box::new(Self::new(config)) };
        let named = |config: TransitionsConfig| {
            [
                ("context_items", Value::from(config.context_items)),
                ("context_decay", Value::from(config.context_decay)),
                ("window", Value::from(config.window)),
                ("reverse", Value::from(config.reverse)),
                ("damping_from", Value::from(config.damping_from)),
                ("damping_to", Value::from(config.damping_to)),
            ]
        };
        let (config, tuned) = tune_baseline("transitions", self.config, validation, &steps, &make, &named)?;
        self.config = config;
        Ok(Some(tuned))
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        *self = Self::new(self.config);
        self.like_value_min = history.like_value_min;
        history.events.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        let weight = if event.value >= self.like_value_min {
            1.0
        } else {
            UNLIKED
        };
        self.counts.learn(event.user, event.item, weight);
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        let context = request.context.iter().map(|event| event.item);
        self.counts.scores_into(context, scores);
    }
}
