//! Choosing hyper-parameters of the product on the training part.
//!
//! Owns how much is tried, who scores a trial and what is said about it. Nothing of the test part comes here: a trial
//! is fitted on the first part of the training part and asked on the rest of it ([`super::setup`]).

mod baseline;
mod gains;
mod progress;
mod search;
mod space;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use swipeline_models::online::LiveParams;
use swipeline_models::params::{Params, parse};

pub(crate) use self::baseline::tune_baseline;
pub(crate) use self::gains::Gain;
use self::gains::{CASES_MIN, VIEWERS_MIN};
use self::progress::Progress;
use self::search::{Budget, Found, Search, Verdict};
pub(crate) use self::space::tidy;
use self::space::{Point, Space};
use super::method::{NextItemMethod, Validation};

/// What the product's row is tuned with. A trial of 100 000 events takes some seconds of one core.
const NEXT_ITEM_BUDGET: Budget = Budget {
    trials_max: 72,
    random_trials: 12,
    cases_short: 1_500,
    cases_whole: 6_000,
};

/// What the live model of outcomes is tuned with: a trial grows trees several times, on all threads.
const LIVE_BUDGET: Budget = Budget {
    trials_max: 24,
    random_trials: 4,
    cases_short: usize::MAX,
    cases_whole: usize::MAX,
};

/// A number that was tuned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Turned {
    /// Its name: a path of the params document, or a baseline's own.
    pub(crate) name: String,
    /// What it was.
    pub(crate) before: Value,
    /// What was chosen.
    pub(crate) after: Value,
}

/// What tuning came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Tuned {
    /// What decided.
    pub(crate) metric: &'static str,
    /// Its mean at the beginning, over the cases of a trial.
    pub(crate) before: f64,
    /// Its mean with what was chosen, over the same cases.
    pub(crate) after: f64,
    /// How many settings were tried, short trials included.
    pub(crate) trials: usize,
    /// How many cases of the training part a trial was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cases: Option<usize>,
    /// What was turned; empty when everything stays as it was.
    pub(crate) turned: Vec<Turned>,
    /// Why everything stays as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_because: Option<String>,
}

impl Tuned {
    /// Nothing could be tried.
    pub(crate) fn untouched(reason: &str) -> Self {
        Self {
            metric: "nothing",
            kept_because: Some(reason.to_owned()),
            ..Self::default()
        }
    }

    /// The same for people, one line and one more per number.
    pub(crate) fn describe(&self, name: &str) -> String {
        let cases = self
            .cases
            .map_or(String::new(), |cases| format!(" on {cases} questions"));
        let mut text = format!(
            "{name}: tuned in {} trials{cases}, {} {:.4} -> {:.4} on the training part",
            self.trials, self.metric, self.before, self.after
        );
        if let Some(reason) = &self.kept_because {
            text.push_str(&format!("; everything stays as it was: {reason}"));
        }
        for Turned { name, before, after } in &self.turned {
            text.push_str(&format!("\n  {name} = {before} -> {after}"));
        }
        text
    }
}

/// Chooses the params of the product for next-item questions, from `base` on; `make` makes the method with some params.
///
/// # Errors
/// What fitting a trial says.
pub(crate) fn tune_next_item(
    name: &'static str,
    base: &Params,
    validation: &dyn Validation,
    make: &(dyn Fn(Params) -> Box<dyn NextItemMethod> + Sync),
) -> Result<(Params, Tuned)> {
    tune_within(NEXT_ITEM_BUDGET, name, base, validation, make)
}

fn tune_within(
    budget: Budget,
    name: &'static str,
    base: &Params,
    validation: &dyn Validation,
    make: &(dyn Fn(Params) -> Box<dyn NextItemMethod> + Sync),
) -> Result<(Params, Tuned)> {
    let knobs = space::NEXT_ITEM.iter().chain(space::NARROW).chain(space::WIDE);
    let space = Space::new(serde_json::to_value(base)?, knobs.copied());
    let params_of = |point: &Point| parse(space.document(point)).unwrap_or_else(|_| base.clone());
    let history = validation.history();
    let progress = Progress::start(name, budget.trials_max);
    let score = |points: &[Point], cases: usize| -> Result<Vec<Vec<Gain>>> {
        in_parallel(points, history.threads, &progress, &|point| {
            validation.gains(make(params_of(point)).as_mut(), cases)
        })
    };
    let search = Search {
        space: &space,
        budget,
        score: &score,
        best: &|best| progress.best(best),
    };
    let found = search.run(space.origin(), history.seed)?;
    progress.finish();
    Ok((params_of(&found.point), told(&space, &found, "ndcg@10")))
}

/// Chooses the params of the live model of outcomes; `gains` says of some params what each of so many cases of the
/// training part gains.
///
/// # Errors
/// What fitting a trial says.
pub(crate) fn tune_live(
    name: &'static str,
    base: LiveParams,
    seed: u64,
    gains: &dyn Fn(LiveParams, usize) -> Result<Vec<Gain>>,
) -> Result<(LiveParams, Tuned)> {
    let space = Space::new(serde_json::to_value(base)?, space::LIVE.iter().copied());
    let params_of = |point: &Point| serde_json::from_value(space.document(point)).unwrap_or(base);
    let progress = Progress::start(name, LIVE_BUDGET.trials_max);
    let score_one = |point: &Point, cases: usize| {
        let gains = gains(params_of(point), cases);
        progress.tick(1);
        gains
    };
    let score = |points: &[Point], cases: usize| points.iter().map(|point| score_one(point, cases)).collect();
    let search = Search {
        space: &space,
        budget: LIVE_BUDGET,
        score: &score,
        best: &|best| progress.best(best),
    };
    let found = search.run(space.origin(), seed)?;
    progress.finish();
    Ok((
        params_of(&found.point),
        told(&space, &found, "negative relative log loss"),
    ))
}

fn told(space: &Space, found: &Found, metric: &'static str) -> Tuned {
    let turned = space
        .changes(&found.point)
        .into_iter()
        .map(|(path, before, after)| Turned {
            name: path.to_owned(),
            before,
            after,
        });
    Tuned {
        metric,
        before: found.before,
        after: found.after,
        trials: found.trials,
        cases: Some(found.cases),
        turned: turned.collect(),
        kept_because: kept_because(found),
    }
}

fn kept_because(found: &Found) -> Option<String> {
    let Found { cases, viewers, .. } = found;
    match found.verdict {
        Verdict::Confirmed => None,
        Verdict::NothingBetter => Some("nothing was better".to_owned()),
        Verdict::NotConfirmed => {
            Some("what was better for two thirds of the viewers was not for the others".to_owned())
        }
        Verdict::TooFew => Some(format!(
            "the end of the training part has too few questions ({cases} of {viewers} viewers; {CASES_MIN} of \
             {VIEWERS_MIN} are needed)"
        )),
    }
}

/// Scores points on several threads; the answers are in the order of the points.
fn in_parallel(
    points: &[Point],
    threads: usize,
    progress: &Progress,
    score: &(dyn Fn(&Point) -> Result<Vec<Gain>> + Sync),
) -> Result<Vec<Vec<Gain>>> {
    let mut answers = Vec::with_capacity(points.len());
    for batch in points.chunks(threads.max(1)) {
        let scored: Vec<Result<Vec<Gain>>> = std::thread::scope(|scope| {
            let running: Vec<_> = batch.iter().map(|point| scope.spawn(move || score(point))).collect();
            let joined = running.into_iter().map(|one| one.join());
            joined
                .map(|answer| answer.unwrap_or_else(|_| Err(anyhow::anyhow!("a trial panicked"))))
                .collect()
        });
        progress.tick(batch.len());
        for one in scored {
            answers.push(one?);
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::log::Interaction;
    use crate::eval::method::{Answer, History, NextItemRequest};

    /// Gains the more the nearer the window of pairs is to ten items.
    struct Windowed(Params);

    impl NextItemMethod for Windowed {
        fn name(&self) -> &str {
            "windowed"
        }
        fn fit(&mut self, _: &History<'_>) -> Result<()> {
            Ok(())
        }
        fn learn(&mut self, _: &Interaction) {}
        fn rank(&mut self, _: &NextItemRequest<'_>, answer: &mut Answer) {
            let score = 1.0 / (1.0 + (self.0.collaborative.pair_window as f32 - 10.0).abs());
            answer.scores(1)[0] = score;
        }
    }

    struct Asking(crate::eval::log::Catalogue, crate::eval::item_set::ItemSet);

    impl Validation for Asking {
        fn history(&self) -> History<'_> {
            History {
                catalogue: &self.0,
                events: &[],
                threads: 2,
                seed: 1,
                like_value_min: 1.0,
            }
        }
        fn gains(&self, method: &mut dyn NextItemMethod, cases_max: usize) -> Result<Vec<Gain>> {
            let mut answer = Answer::default();
            let request = NextItemRequest {
                user: 0,
                now_ms: 0,
                context: &[],
                candidates: &self.1,
                places: 1,
            };
            method.rank(&request, &mut answer);
            let score = match answer.view() {
                crate::eval::method::AnswerView::Scores(scores) => scores[0],
                crate::eval::method::AnswerView::List(_) => 0.0,
            };
            let viewers = 0..cases_max.min(CASES_MIN) as u32;
            Ok(viewers.map(|viewer| Gain { viewer, gain: score }).collect())
        }
        fn score(&self, method: &mut dyn NextItemMethod) -> Result<f64> {
            Ok(self.gains(method, 1)?[0].gain.into())
        }
    }

    #[test]
    fn the_product_gets_the_document_that_gains_most_and_says_what_was_turned() {
        let validation = Asking(Default::default(), crate::eval::item_set::ItemSet::full(1));
        let budget = Budget {
            trials_max: 200,
            random_trials: 4,
            ..NEXT_ITEM_BUDGET
        };
        let make = |params: Params| -> Box<dyn NextItemMethod> { Box::new(Windowed(params)) };
        let (params, tuned) =
            tune_within(budget, "windowed", &Params::default(), &validation, &make).expect("a search");
        assert_eq!(params.collaborative.pair_window, 10);
        assert!((tuned.after - 1.0).abs() < 1e-6 && tuned.before < 0.1);
        let words = tuned.describe("windowed");
        assert!(words.contains("collaborative.pair_window = 30 -> 10"), "{words}");
    }
}
