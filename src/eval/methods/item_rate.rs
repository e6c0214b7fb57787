//! Item rate: how often each outcome came of showing the video in this part of the app, smoothed.

use anyhow::Result;

use super::rates::Rates;
use crate::eval::method::{ImpressionHistory, ImpressionMethod};
use crate::eval::shown::{OUTCOME_COUNT, Outcome, Shown};

/// The row `item-rate`.
#[derive(Debug, Default)]
pub(crate) struct ItemRate {
    items: Rates,
}

impl ImpressionMethod for ItemRate {
    fn name(&self) -> &str {
        "item-rate"
    }

    fn fit(&mut self, history: &ImpressionHistory<'_>) -> Result<()> {
        self.items = Rates::default();
        history
            .events
            .iter()
            .for_each(|(shown, outcome)| self.learn(shown, outcome));
        Ok(())
    }

    fn start_day(&mut self) {}

    fn predict(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        self.items.of(shown.item, shown.tab)
    }

    fn predict_frozen(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        self.predict(shown)
    }

    fn learn(&mut self, shown: &Shown, outcome: &Outcome) {
        self.items.learn(shown.item, shown.tab, &outcome.labels);
    }
}
