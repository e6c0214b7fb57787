//! Choosing the few settings of a baseline: one after the other, each from the best so far.
//!
//! Owns the walk. A yardstick is read generously: whatever scores higher is taken, by however little.

use anyhow::Result;
use serde_json::Value;

use super::progress::Progress;
use super::{Tuned, Turned, tidy};
use crate::eval::method::{NextItemMethod, Validation};

/// What is tried of each setting, given the best so far.
pub(crate) type Steps<'a, C> = &'a [fn(C) -> Vec<C>];

/// Chooses the settings of a baseline from `base` on; `make` makes it with some, `named` says what they are called.
///
/// # Errors
/// What fitting a trial says.
pub(crate) fn tune_baseline<C: Copy, const N: usize>(
    name: &'static str,
    base: C,
    validation: &dyn Validation,
    steps: Steps<'_, C>,
    make: &dyn Fn(C) -> Box<dyn NextItemMethod>,
    named: &dyn Fn(C) -> [(&'static str, Value); N],
) -> Result<(C, Tuned)> {
    let trials_max = 1 + steps.iter().map(|step| step(base).len()).sum::<usize>();
    let progress = Progress::start(name, trials_max);
    let before = validation.score(make(base).as_mut())?;
    let (mut best, mut reached, mut trials) = (base, before, 1);
    progress.tick(1);
    for step in steps {
        let from = named(best);
        for config in step(best) {
            if named(config) == from {
                // The step the search stands on; that was a trial already.
                continue;
            }
            let score = validation.score(make(config).as_mut())?;
            trials += 1;
            progress.tick(1);
            if score > reached {
                (best, reached) = (config, score);
            }
        }
        progress.best(reached);
    }
    progress.finish();
    let turned: Vec<Turned> = turned(named(base), named(best));
    let tuned = Tuned {
        metric: "ndcg@10",
        before,
        after: reached,
        trials,
        cases: None,
        kept_because: turned.is_empty().then(|| "nothing was better".to_owned()),
        turned,
    };
    Ok((best, tuned))
}

fn turned<const N: usize>(before: [(&'static str, Value); N], after: [(&'static str, Value); N]) -> Vec<Turned> {
    let both = before.into_iter().zip(after);
    let turned = both.filter(|((_, before), (_, after))| before != after);
    turned
        .map(|((name, before), (_, after))| Turned {
            name: name.to_owned(),
            before: tidy(&before),
            after: tidy(&after),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::item_set::ItemSet;
    use crate::eval::log::{Catalogue, Interaction};
    use crate::eval::method::{Answer, AnswerView, History, NextItemRequest};
    use crate::eval::tune::Gain;

    /// Scores as its two settings say.
    struct Sum(Pair);

    type Pair = [i64; 2];

    impl NextItemMethod for Sum {
        fn name(&self) -> &str {
            "sum"
        }
        fn fit(&mut self, _: &History<'_>) -> Result<()> {
            Ok(())
        }
        fn learn(&mut self, _: &Interaction) {}
        fn rank(&mut self, _: &NextItemRequest<'_>, answer: &mut Answer) {
            answer.scores(1)[0] = -((self.0[0] - 2).abs() + (self.0[1] - 3).abs()) as f32;
        }
    }

    struct Asking(Catalogue, ItemSet);

    impl Validation for Asking {
        fn history(&self) -> History<'_> {
            History {
                catalogue: &self.0,
                events: &[],
                threads: 1,
                seed: 1,
                like_value_min: 1.0,
            }
        }
        fn gains(&self, _: &mut dyn NextItemMethod, _: usize) -> Result<Vec<Gain>> {
            Ok(Vec::new())
        }
        fn score(&self, method: &mut dyn NextItemMethod) -> Result<f64> {
            let mut answer = Answer::default();
            let request = NextItemRequest {
                user: 0,
                now_ms: 0,
                context: &[],
                candidates: &self.1,
                places: 1,
            };
            method.rank(&request, &mut answer);
            match answer.view() {
                AnswerView::Scores(scores) => Ok(scores[0].into()),
                AnswerView::List(_) => Ok(0.0),
            }
        }
    }

    #[test]
    fn each_setting_is_chosen_from_the_best_so_far_and_none_is_tried_twice() {
        let validation = Asking(Catalogue::default(), ItemSet::full(1));
        let steps: [fn(Pair) -> Vec<Pair>; 2] = [
            |[_, second]| (0..4).map(|first| [first, second]).collect(),
            |[first, _]| (0..4).map(|second| [first, second]).collect(),
        ];
        let tune = |base| {
            let make = |config| -> Box<dyn NextItemMethod> { Box::new(Sum(config)) };
            let named = |[first, second]: Pair| [("first", first.into()), ("second", second.into())];
            tune_baseline("sum", base, &validation, &steps, &make, &named).expect("a choice")
        };
        let (best, tuned) = tune([0, 3]);
        assert_eq!((best, tuned.trials, tuned.turned.len()), ([2, 3], 7, 1));
        let words = tuned.describe("sum");
        assert!(words.contains("first = 0 -> 2"), "{words}");
        let (best, tuned) = tune([2, 3]);
        assert_eq!((best, tuned.turned.len()), ([2, 3], 0));
        assert!(tuned.describe("sum").contains("nothing was better"));
    }
}
