//! Swipeline's own prediction of outcomes: streaming features before the live model.
//!
//! Owns the states of one replay and the order of things: one live model, updated by every outcome from the row that was
//! served for it. The features and the learners live in `swipeline_models`; nothing is computed here. Trees that are due
//! are grown at once, where a server grows them beside its requests: a replay must give the same numbers twice.

use anyhow::Result;
use rustc_hash::FxHashMap;
use swipeline_models::online::{LiveModel, LiveParams, LiveScratch, Prediction, Sample};
use swipeline_models::streaming::{
    LABEL_COUNT, StreamingFeatures, ViewerFeatures, column_names, extract, identities, learn, warm,
};

use super::streaming_facts::{Facts, lanes};
use super::streaming_tune;
use crate::eval::method::{ImpressionHistory, ImpressionMethod};
use crate::eval::shown::{OUTCOME_COUNT, Outcome, Shown, WatchHistory, moments};
use crate::eval::tune::Tuned;

/// The most predictions of one millisecond whose rows are kept for learning; beyond it a row is made again.
const SERVED_MAX: usize = 1_024;

/// What an ablation leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    /// Nothing: the whole method.
    Nothing,
    /// The trees.
    Trees,
    /// The logistic member, and with it the ids.
    Logistic,
    /// What viewers watched before the log.
    History,
    /// What each viewer did with the tags and the author.
    Affinity,
    /// Everything the viewer did.
    Viewer,
}

impl Without {
    /// Whether a column of the row is hidden from the learners.
    fn hides(self, column: &str) -> bool {
        let of_any = |groups: &[&str]| groups.iter().any(|group| column.starts_with(group));
        match self {
            Without::Affinity => of_any(&["user_tag.", "user_author."]),
            Without::Viewer => of_any(&["user", "last_", "session.", "repeat.", "factor_"]),
            Without::Nothing | Without::Trees | Without::Logistic | Without::History => false,
        }
    }
}

/// One viewer, now and when the day began.
#[derive(Debug, Default)]
struct Viewer {
    now: ViewerFeatures,
    /// The number of the day, and the state at its begin; kept from the first outcome of the day on.
    at_midnight: Option<(u32, Box<ViewerFeatures>)>,
}

/// A prediction whose outcome is not known yet.
#[derive(Debug)]
struct Served {
    shown: Shown,
    row: Vec<f32>,
    ids: Vec<u64>,
    prediction: Prediction,
}

/// The row `swipeline` and its ablations.
#[derive(Debug)]
pub(crate) struct Streaming {
    name: &'static str,
    without: Without,
    params: LiveParams,
    facts: Facts,
    shared: StreamingFeatures,
    viewers: FxHashMap<u32, Viewer>,
    /// Stands in for viewers of whom nothing is known.
    nobody: ViewerFeatures,
    model: LiveModel,
    scratch: LiveScratch,
    columns: usize,
    hidden: Vec<usize>,
    served: Vec<Served>,
    /// Days begun so far.
    day: u32,
    threads: usize,
}

impl Streaming {
    /// A method that has seen nothing.
    pub(crate) fn new(name: &'static str, without: Without) -> Self {
        let params = LiveParams {
            trees: without != Without::Trees,
            logistic: without != Without::Logistic,
            ..LiveParams::default()
        };
        Self::with(name, without, params)
    }

    fn with(name: &'static str, without: Without, params: LiveParams) -> Self {
        let columns = column_names();
        let model = LiveModel::new(columns.len(), params);
        let hidden = (0..columns.len()).filter(|column| without.hides(&columns[*column]));
        Self {
            name,
            without,
            params,
            facts: Facts::default(),
            shared: StreamingFeatures::default(),
            viewers: FxHashMap::default(),
            nobody: ViewerFeatures::default(),
            scratch: model.scratch(),
            model,
            columns: columns.len(),
            hidden: hidden.collect(),
            served: Vec::new(),
            day: 0,
            threads: 1,
        }
    }

    /// Views before the log, the oldest of everybody first.
    fn warm_up(&mut self, histories: &[WatchHistory]) {
        let longest = histories.iter().map(|history| history.watched.len()).max().unwrap_or(0);
        for back in (0..longest).rev() {
            for history in histories.iter().filter(|history| history.watched.len() > back) {
                let item = history.watched[history.watched.len() - 1 - back];
                let viewer = &mut self.viewers.entry(history.user).or_default().now;
                warm(
                    &mut self.shared,
                    viewer,
                    &self.facts.viewed(history.user, item),
                    history.long_watched.contains(&item),
                    history.liked.contains(&item),
                );
            }
        }
    }

    /// The row of an impression by one state of its viewer, and what the model makes of it.
    fn serve(&mut self, shown: &Shown, frozen: bool) -> Served {
        let impression = self.facts.impression(shown);
        let viewer = self
            .viewers
            .get(&shown.user)
            .map_or(&self.nobody, |viewer| match &viewer.at_midnight {
                Some((day, at_midnight)) if frozen && *day == self.day => at_midnight,
                Some(_) | None => &viewer.now,
            });
        let (mut row, mut ids) = (vec![f32::NAN; self.columns], Vec::new());
        extract(&self.shared, viewer, &impression, &mut row);
        self.hidden.iter().for_each(|column| row[*column] = f32::NAN);
        identities(&impression, &mut ids);
        let sample = Sample { row: &row, ids: &ids };
        let prediction = self.model.predict(&sample, &mut self.scratch);
        Served {
            shown: *shown,
            row,
            ids,
            prediction,
        }
    }
}

impl ImpressionMethod for Streaming {
    fn name(&self) -> &str {
        self.name
    }

    fn tune(&mut self, history: &ImpressionHistory<'_>) -> Result<Option<Tuned>> {
        let (name, without) = (self.name, self.without);
        let make = move |params| -> Box<dyn ImpressionMethod> { Box::new(Self::with(name, without, params)) };
        let (params, tuned) = streaming_tune::tune(name, self.params, history, &make)?;
        self.params = params;
        Ok(Some(tuned))
    }

    fn fit(&mut self, history: &ImpressionHistory<'_>) -> Result<()> {
        let params = LiveParams {
            seed: history.seed,
            ..self.params
        };
        *self = Self::with(self.name, self.without, params);
        self.facts = Facts::of(history.catalogue);
        self.threads = history.threads;
        if self.without != Without::History {
            self.warm_up(history.watched_before);
        }
        for moment in moments(history.events) {
            moment.iter().for_each(|(shown, _)| {
                self.predict(shown);
            });
            moment.iter().for_each(|(shown, outcome)| self.learn(shown, outcome));
        }
        Ok(())
    }

    fn start_day(&mut self) {
        self.day += 1;
    }

    fn predict(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        if self
            .served
            .first()
            .is_some_and(|served| served.shown.at_ms != shown.at_ms)
        {
            self.served.clear();
        }
        let served = self.serve(shown, false);
        let probabilities = served.prediction.probabilities;
        if self.served.len() < SERVED_MAX {
            self.served.push(served);
        }
        probabilities
    }

    fn predict_frozen(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT] {
        self.serve(shown, true).prediction.probabilities
    }

    fn learn(&mut self, shown: &Shown, outcome: &Outcome) {
        let served = match self.served.iter().position(|served| served.shown == *shown) {
            Some(place) => self.served.swap_remove(place),
            None => self.serve(shown, false),
        };
        let sample = Sample {
            row: &served.row,
            ids: &served.ids,
        };
        let labels = outcome.labels.map(|label| f32::from(u8::from(label)));
        self.model
            .learn(&sample, &served.prediction, &labels, &mut self.scratch);
        let viewer = self.viewers.entry(shown.user).or_default();
        if self.day > 0 && viewer.at_midnight.as_ref().is_none_or(|(day, _)| *day != self.day) {
            viewer.at_midnight = Some((self.day, Box::new(viewer.now.clone())));
        }
        let impression = self.facts.impression(shown);
        learn(&mut self.shared, &mut viewer.now, &impression, &lanes(shown, outcome));
        if let Some(job) = self.model.forest_job() {
            self.model.install(job.run_on(self.threads));
        }
    }
}

const _: () = assert!(LABEL_COUNT == OUTCOME_COUNT);

#[cfg(test)]
#[path = "streaming_tests.rs"]
mod tests;
