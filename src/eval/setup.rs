//! The next-item protocols as one choice: how they cut a log, replay it, and validate hyper-parameters.
//!
//! Owns what protocols have in common for the rest of the harness.

use anyhow::Result;

use super::judge::Judge;
use super::log::{Interaction, SplitLog};
use super::method::{History, NextItemMethod, Validation};
use super::metrics::of_rank;
use super::protocol::{Observe, leave_last, next_like, sessions};

/// The share of the training part on which trials are fitted.
const VALIDATION_SPLIT: f64 = 0.8;
/// The most questions of a trial.
const VALIDATION_CASES_MAX: usize = 4_000;
/// The place of NDCG@10 in what [`of_rank`] gives.
const NDCG: usize = 3;

/// A protocol and its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NextItemSetup {
    /// Replay of a log in time order.
    NextLike,
    /// Each user's last item.
    LeaveLast,
    /// The next new item of a session.
    Sessions {
        /// Finished test sessions are learned.
        online: bool,
        /// How many steps are asked at most.
        cases_max: usize,
    },
}

/// How much may be spent, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Threads for fitting.
    pub(crate) threads: usize,
    /// The seed of all randomness.
    pub(crate) seed: u64,
}

impl NextItemSetup {
    /// What a method is fitted on.
    pub(crate) fn history<'a>(&self, log: &'a SplitLog, effort: Effort) -> History<'a> {
        History {
            catalogue: &log.catalogue,
            events: &log.history,
            threads: effort.threads,
            seed: effort.seed,
            like_value_min: match self {
                NextItemSetup::NextLike => next_like::LIKE_VALUE_MIN,
                // Whatever comes next is asked for, liked or not.
                NextItemSetup::LeaveLast | NextItemSetup::Sessions { .. } => f32::MIN,
            },
        }
    }

    /// Replays the test part before a fitted method.
    ///
    /// # Errors
    /// What the protocol says.
    pub(crate) fn replay(
        &self,
        log: &SplitLog,
        method: &mut dyn NextItemMethod,
        observe: &mut Observe<'_>,
    ) -> Result<()> {
        match self {
            NextItemSetup::NextLike => next_like::replay(log, method, observe),
            NextItemSetup::LeaveLast => leave_last::replay(log, method, observe),
            NextItemSetup::Sessions { online, cases_max } => {
                sessions::replay(log, *online, *cases_max, method, observe)
            }
        }
    }

    /// A trial on the end of the training part.
    pub(crate) fn validation(&self, log: &SplitLog, effort: Effort) -> Trial {
        let (history, stream) = match self {
            NextItemSetup::NextLike => {
                let cut = next_like::cut(log.history.len(), VALIDATION_SPLIT);
                let (history, stream) = log.history.split_at(cut);
                (history.to_vec(), stream.to_vec())
            }
            NextItemSetup::LeaveLast => leave_last::take_last(log.history.clone(), log.catalogue.user_count()),
            NextItemSetup::Sessions { .. } => last_sessions(log),
        };
        Trial {
            setup: *self,
            log: SplitLog {
                catalogue: log.catalogue.clone(),
                history,
                stream,
            },
            effort,
        }
    }
}

/// Sessions that begin in the last part of the training time, apart from those that ended before it. A session over the
/// border is left out: its end would be known too early.
fn last_sessions(log: &SplitLog) -> (Vec<Interaction>, Vec<Interaction>) {
    let cut = next_like::cut(log.history.len(), VALIDATION_SPLIT);
    let Some(border_ms) = log.history.get(cut).map(|click| click.at_ms) else {
        return (log.history.clone(), Vec::new());
    };
    let mut ends = vec![(i64::MAX, i64::MIN); log.catalogue.user_count()];
    for click in &log.history {
        let (first, last) = &mut ends[click.user as usize];
        *first = click.at_ms.min(*first);
        *last = click.at_ms.max(*last);
    }
    let of = |takes: &dyn Fn((i64, i64)) -> bool| -> Vec<Interaction> {
        let clicks = log.history.iter().filter(|click| takes(ends[click.user as usize]));
        clicks.copied().collect()
    };
    (of(&|(_, last)| last < border_ms), of(&|(first, _)| first >= border_ms))
}

/// A trial: the training part, cut once more.
#[derive(Debug)]
pub(crate) struct Trial {
    setup: NextItemSetup,
    log: SplitLog,
    effort: Effort,
}

impl Validation for Trial {
    fn history(&self) -> History<'_> {
        self.setup.history(&self.log, self.effort)
    }

    fn score(&self, method: &mut dyn NextItemMethod) -> Result<f64> {
        method.fit(&self.history())?;
        let judge = Judge::new(self.log.catalogue.id_places());
        let (mut sum, mut cases) = (0.0, 0);
        self.setup.replay(&self.log, method, &mut |case| {
            let rank = judge.rank(case.answer, case.target, case.request.candidates);
            sum += of_rank(rank)[NDCG];
            cases += 1;
            cases < VALIDATION_CASES_MAX
        })?;
        Ok(sum / cases.max(1) as f64)
    }
}
