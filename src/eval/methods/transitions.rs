//! Decayed transitions: what followed the viewer's last items.

use anyhow::Result;
use serde_json::Value;
use swipeline_models::baselines;
use swipeline_models::baselines::transitions::TransitionsConfig;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest, Validation};
use crate::eval::tune::Tuned;

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
        let score = |config: &TransitionsConfig| validation.score(&mut Self::new(*config));
        let before = score(&self.config)?;
        let (mut best, mut trials) = ((before, self.config), 1);
        // One setting after the other, each from the best so far.
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
        for step in steps {
            for config in step(best.1) {
                trials += 1;
                let reached = score(&config)?;
                if reached > best.0 {
                    best = (reached, config);
                }
            }
        }
        self.config = best.1;
        let chosen = [
            ("context_items", Value::from(self.config.context_items)),
            ("context_decay", Value::from(self.config.context_decay)),
            ("window", Value::from(self.config.window)),
            ("reverse", Value::from(self.config.reverse)),
            ("damping_from", Value::from(self.config.damping_from)),
            ("damping_to", Value::from(self.config.damping_to)),
        ];
        Ok(Some(Tuned::of_baseline(before, best.0, trials, chosen)))
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
