//! What a method must be able to do to get a row in the table.
//!
//! Owns the traits and what passes through them. What a method is given never holds anything that a server could not
//! have known at that moment: a request has no target, an impression no outcome.

use anyhow::Result;
use swipeline_models::params::Params;

use super::item_set::ItemSet;
use super::log::{Catalogue, Interaction};
use super::shown::{FeedCatalogue, OUTCOME_COUNT, Outcome, Shown, WatchHistory};
use super::tune::{Gain, Tuned};

/// What a method is fitted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History<'a> {
    /// Names and content, which may be known at any time.
    pub(crate) catalogue: &'a Catalogue,
    /// The events before the test part, in the protocol's order (time order; in `sequence` files each user's own order).
    pub(crate) events: &'a [Interaction],
    /// How many threads may be used while fitting.
    pub(crate) threads: usize,
    /// The seed of all randomness.
    pub(crate) seed: u64,
    /// From this value on an event is a like (4 for ratings, 1 for clicks: all of them).
    pub(crate) like_value_min: f32,
}

/// One question: what will this viewer like next?
#[derive(Debug, Clone, Copy)]
pub(crate) struct NextItemRequest<'a> {
    /// Who asks: a viewer or a session.
    pub(crate) user: u32,
    /// The time of the question in milliseconds.
    pub(crate) now_ms: i64,
    /// The viewer's own earlier events, oldest first. In live protocols they have been learned as well, but for those of
    /// a session that still runs.
    pub(crate) context: &'a [Interaction],
    /// The items that may be answered: what the viewer has had is not among them.
    pub(crate) candidates: &'a ItemSet,
    /// How many places of a list are judged.
    pub(crate) places: usize,
}

/// A method's answer: a score for every item, or a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    scores: Vec<f32>,
    list: Vec<u32>,
    is_list: bool,
}

/// An answer as the harness reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnswerView<'a> {
    /// One score per item of the catalogue; those that are no candidates do not count.
    Scores(&'a [f32]),
    /// Items, best first. What is not in it was not found.
    List(&'a [u32]),
}

impl Answer {
    /// Answers by scores: one per item of the catalogue, all 0 to begin with.
    pub(crate) fn scores(&mut self, item_count: usize) -> &mut Vec<f32> {
        self.is_list = false;
        self.scores.clear();
        self.scores.resize(item_count, 0.0);
        &mut self.scores
    }

    /// Answers by a list, best first; empty to begin with.
    pub(crate) fn list(&mut self) -> &mut Vec<u32> {
        self.is_list = true;
        self.list.clear();
        &mut self.list
    }

    /// What was answered.
    pub(crate) fn view(&self) -> AnswerView<'_> {
        if self.is_list {
            AnswerView::List(&self.list)
        } else {
            AnswerView::Scores(&self.scores)
        }
    }
}

/// A trial on the end of the training part, for choosing hyper-parameters.
pub(crate) trait Validation: Sync {
    /// The first part of the history, on which a trial is fitted.
    fn history(&self) -> History<'_>;

    /// Fits `method` on [`Self::history`] with one thread, replays the rest of the training part by the protocol at hand
    /// and returns the NDCG@10 of each of the first `cases_max` cases.
    ///
    /// # Errors
    /// What fitting says.
    fn gains(&self, method: &mut dyn NextItemMethod, cases_max: usize) -> Result<Vec<Gain>>;

    /// The mean over the cases of a trial, fitted with all threads.
    ///
    /// # Errors
    /// What fitting says.
    fn score(&self, method: &mut dyn NextItemMethod) -> Result<f64>;
}

/// Answers "what next?" for viewers and sessions.
pub(crate) trait NextItemMethod {
    /// The name of its row.
    fn name(&self) -> &str;

    /// Takes the operator's params (`--params`); called first. Only the product has any.
    fn configure(&mut self, _params: &Params) {}

    /// Chooses hyper-parameters (`--tune`); called before [`Self::fit`]. By default there are none.
    ///
    /// # Errors
    /// What fitting a trial says.
    fn tune(&mut self, _validation: &dyn Validation) -> Result<Option<Tuned>> {
        Ok(None)
    }

    /// Begins anew with the history.
    ///
    /// # Errors
    /// The method cannot be built from it.
    fn fit(&mut self, history: &History<'_>) -> Result<()>;

    /// An event of the test part happened, after every request before it was answered. Events come in the protocol's
    /// order; those of one finished session come together.
    fn learn(&mut self, event: &Interaction);

    /// Answers a request.
    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer);
}

/// What an impression method is fitted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImpressionHistory<'a> {
    /// The videos and viewers.
    pub(crate) catalogue: &'a FeedCatalogue,
    /// What viewers watched before the log, oldest first; may be empty.
    pub(crate) watched_before: &'a [WatchHistory],
    /// The training days, ordered by (time, user, item).
    pub(crate) events: &'a [(Shown, Outcome)],
    /// How many threads may be used while fitting.
    pub(crate) threads: usize,
    /// The seed of all randomness.
    pub(crate) seed: u64,
}

/// Predicts the outcomes of an impression, in the order of [`super::shown::OUTCOME_NAMES`].
///
/// The harness keeps the rule of strictly smaller times: the outcomes of a millisecond are learned together, after all of
/// its predictions. For its training days a method has [`super::shown::moments`].
pub(crate) trait ImpressionMethod {
    /// The name of its row.
    fn name(&self) -> &str;

    /// Chooses hyper-parameters (`--tune`) on the last of the training days; called before [`Self::fit`]. By default there
    /// are none.
    ///
    /// # Errors
    /// What fitting a trial says.
    fn tune(&mut self, _history: &ImpressionHistory<'_>) -> Result<Option<Tuned>> {
        Ok(None)
    }

    /// Begins anew with the history.
    ///
    /// # Errors
    /// The method cannot be built from it.
    fn fit(&mut self, history: &ImpressionHistory<'_>) -> Result<()>;

    /// A new day begins: what is known of each viewer now is what [`Self::predict_frozen`] goes by until the next call.
    fn start_day(&mut self);

    /// Probabilities by everything learned so far.
    fn predict(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT];

    /// The same with the viewer's state as it was at [`Self::start_day`], everything else live. A method without state of
    /// viewers returns what [`Self::predict`] does.
    fn predict_frozen(&mut self, shown: &Shown) -> [f32; OUTCOME_COUNT];

    /// The impression's outcomes are known.
    fn learn(&mut self, shown: &Shown, outcome: &Outcome);
}
