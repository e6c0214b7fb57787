//! Most popular: by the likes of all events, or of a window of the last ones.

use anyhow::Result;
use swipeline_models::baselines::popularity::Popularity;

use crate::eval::log::Interaction;
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest};

/// How many events the window holds.
pub(crate) const WINDOW_EVENTS: usize = 16_000;

/// The row `popular` or `popular-window`.
pub(crate) struct Popular {
    name: &'static str,
    window_events: Option<usize>,
    like_value_min: f32,
    counts: Popularity,
}

impl Popular {
    /// Over all events.
    pub(crate) fn all_time() -> Self {
        Self::new("popular", None)
    }

    /// Over the last [`WINDOW_EVENTS`].
    pub(crate) fn in_window() -> Self {
        Self::new("popular-window", Some(WINDOW_EVENTS))
    }

    fn new(name: &'static str, window_events: Option<usize>) -> Self {
        Self {
            name,
            window_events,
            like_value_min: f32::MIN,
            counts: Popularity::new(window_events),
        }
    }
}

impl NextItemMethod for Popular {
    fn name(&self) -> &str {
        self.name
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        self.counts = Popularity::new(self.window_events);
        self.like_value_min = history.like_value_min;
        history.events.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        self.counts
            .learn((event.value >= self.like_value_min).then_some(event.item));
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let scores = answer.scores(request.candidates.item_count());
        self.counts.scores_into(scores);
    }
}
