//! The next-item protocols as one choice: how they cut a log, replay it, and validate hyper-parameters.
//!
//! Owns what protocols have in common for the rest of the harness.

use anyhow::Result;

use super::judge::Judge;
use super::log::{Interaction, SplitLog};
use super::method::{History, NextItemMethod, Validation};
use super::metrics::of_rank;
use super::protocol::{Observe, leave_last, next_like, sessions};
use super::tune::Gain;

/// The share of the training part on which trials are fitted.
const VALIDATION_SPLIT: f64 = 0.8;
/// The most events of the training part that a trial uses: its time is bounded, whatever the log.
const VALIDATION_EVENTS_MAX: usize = 100_000;
/// The most questions of a trial of a baseline.
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

    /// What is a question of the protocol, for whoever has a log without any.
    pub(crate) fn question(&self) -> &'static str {
        match self {
            NextItemSetup::NextLike => {
                "a like (a rating of 4 or more) in the test part by a viewer with an earlier event"
            }
            NextItemSetup::LeaveLast => "a viewer with a target and with at least one event before it",
            NextItemSetup::Sessions { .. } => "a test session with a click on an item that it did not have before",
        }
    }

    /// A trial on the end of the training part, of which the last [`VALIDATION_EVENTS_MAX`] events are used. Live or not,
    /// it is asked like the protocol.
    pub(crate) fn validation(&self, log: &SplitLog, effort: Effort) -> Trial {
        let events = &log.history[log.history.len().saturating_sub(VALIDATION_EVENTS_MAX)..];
        let (history, stream) = match self {
            NextItemSetup::NextLike => {
                let cut = next_like::cut(events.len(), VALIDATION_SPLIT);
                let (history, stream) = events.split_at(cut);
                (history.to_vec(), stream.to_vec())
            }
            NextItemSetup::LeaveLast => leave_last::take_last(events.to_vec(), log.catalogue.user_count()),
            NextItemSetup::Sessions { .. } => last_sessions(events, log.catalogue.user_count()),
        };
        let setup = match self {
            NextItemSetup::Sessions { online, .. } => NextItemSetup::Sessions {
                online: *online,
                // What the test part is cut to says nothing about the trial.
                cases_max: usize::MAX,
            },
            NextItemSetup::NextLike | NextItemSetup::LeaveLast => *self,
        };
        Trial {
            setup,
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
fn last_sessions(clicks: &[Interaction], user_count: usize) -> (Vec<Interaction>, Vec<Interaction>) {
    let cut = next_like::cut(clicks.len(), VALIDATION_SPLIT);
    let Some(border_ms) = clicks.get(cut).map(|click| click.at_ms) else {
        return (clicks.to_vec(), Vec::new());
    };
    let mut ends = vec![(i64::MAX, i64::MIN); user_count];
    for click in clicks {
        let (first, last) = &mut ends[click.user as usize];
        *first = click.at_ms.min(*first);
        *last = click.at_ms.max(*last);
    }
    let of = |takes: &dyn Fn((i64, i64)) -> bool| -> Vec<Interaction> {
        let taken = clicks.iter().filter(|click| takes(ends[click.user as usize]));
        taken.copied().collect()
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

    fn gains(&self, method: &mut dyn NextItemMethod, cases_max: usize) -> Result<Vec<Gain>> {
        self.replay(method, 1, cases_max)
    }

    fn score(&self, method: &mut dyn NextItemMethod) -> Result<f64> {
        let gains = self.replay(method, self.effort.threads, VALIDATION_CASES_MAX)?;
        let sum = gains.iter().fold(0.0, |sum, one| sum + f64::from(one.gain));
        Ok(sum / gains.len().max(1) as f64)
    }
}

impl Trial {
    fn replay(&self, method: &mut dyn NextItemMethod, threads: usize, cases_max: usize) -> Result<Vec<Gain>> {
        method.fit(&History {
            threads,
            ..self.history()
        })?;
        let judge = Judge::new(self.log.catalogue.id_places());
        let mut gains = Vec::new();
        self.setup.replay(&self.log, method, &mut |case| {
            let rank = judge.rank(case.answer, case.target, case.request.candidates);
            gains.push(Gain {
                viewer: case.request.user,
                gain: of_rank(rank)[NDCG] as f32,
            });
            gains.len() < cases_max
        })?;
        Ok(gains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{event, log_of};

    const EFFORT: Effort = Effort { threads: 1, seed: 1 };

    /// 60 events of training, of 12 viewers who come one after the other, and a test part of other items.
    fn log() -> SplitLog {
        let history: Vec<Interaction> = (0..60_u32)
            .map(|n| event(n / 5, n % 7, i64::from(n) * 1_000, 5.0))
            .collect();
        let stream: Vec<Interaction> = (0..20_u32)
            .map(|n| event(n % 12, 10 + n % 3, 100_000 + i64::from(n), 5.0))
            .collect();
        SplitLog {
            catalogue: log_of(&[history.as_slice(), stream.as_slice()].concat()).catalogue,
            history,
            stream,
        }
    }

    #[test]
    fn a_trial_knows_nothing_of_the_test_part() {
        let log = log();
        let sessions = |online| NextItemSetup::Sessions { online, cases_max: 1 };
        for setup in [
            NextItemSetup::NextLike,
            NextItemSetup::LeaveLast,
            sessions(true),
            sessions(false),
        ] {
            let trial = setup.validation(&log, EFFORT);
            let events: Vec<&Interaction> = trial.log.history.iter().chain(&trial.log.stream).collect();
            assert!(events.iter().all(|event| log.history.contains(event)), "{setup:?}");
            assert!(
                !trial.log.stream.is_empty() && !trial.log.history.is_empty(),
                "{setup:?}"
            );
            let both = trial.log.stream.iter().any(|event| trial.log.history.contains(event));
            assert!(!both, "{setup:?}: a question whose answer was learned");
        }
    }

    #[test]
    fn a_trial_of_a_long_log_uses_its_end() {
        let mut log = log();
        let first = log.history[0];
        log.history
            .splice(0..0, std::iter::repeat_n(first, VALIDATION_EVENTS_MAX));
        let trial = NextItemSetup::NextLike.validation(&log, EFFORT);
        assert_eq!(trial.log.history.len() + trial.log.stream.len(), VALIDATION_EVENTS_MAX);
        assert_eq!(trial.log.stream.last(), log.history.last());
    }
}
