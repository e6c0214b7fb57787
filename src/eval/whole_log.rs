//! Training on a whole log: the artefacts that a server loads have no test part.
//!
//! Owns which part of a task is trained on, and choosing on the end of it. Must not measure: that is `run`'s.

use anyhow::{Result, bail};
use swipeline_models::baselines::ials::IalsConfig;
use swipeline_models::params::Params;

use super::log::SplitLog;
use super::method::NextItemMethod;
use super::methods::ials::Ials;
use super::methods::swipeline::Swipeline;
use super::protocol::next_like;
use super::read;
use super::run::Task;
use super::setup::{Effort, NextItemSetup};
use super::tune::Tuned;

/// A log that is all training part, and how its end is asked.
pub(crate) struct WholeLog {
    /// The log.
    pub(crate) log: SplitLog,
    setup: NextItemSetup,
    effort: Effort,
}

impl WholeLog {
    /// Reads the log of a task; of two files the first, which is the training part already.
    ///
    /// # Errors
    /// A file cannot be read, or the task is about impressions.
    pub(crate) fn read(task: &Task, effort: Effort) -> Result<Self> {
        let in_time_order = |log| next_like::split(log, 1.0);
        let (setup, log) = match task {
            Task::NextLike { data, .. } => (NextItemSetup::NextLike, in_time_order(read::movielens::read(data)?)),
            Task::Events { data, items, .. } => {
                let log = read::events::read(data, items.as_deref())?;
                (NextItemSetup::NextLike, in_time_order(log))
            }
            Task::LeaveLast { data } => (NextItemSetup::LeaveLast, in_time_order(read::movielens::read(data)?)),
            Task::Sequence { train, test } => (NextItemSetup::LeaveLast, read::sequence::read(train, test)?),
            Task::Sessions {
                train,
                test,
                online,
                cases_max,
            } => {
                let setup = NextItemSetup::Sessions {
                    online: *online,
                    cases_max: *cases_max,
                };
                (setup, read::sessions::read(train, test)?)
            }
            Task::RankShown { .. } => bail!("this is trained on what viewers liked or clicked, not on impressions"),
        };
        Ok(Self { log, setup, effort })
    }

    /// From this value on an event is a like.
    pub(crate) fn like_value_min(&self) -> f32 {
        self.setup.history(&self.log, self.effort).like_value_min
    }

    /// Chooses the product's params, from `base` on.
    ///
    /// # Errors
    /// A trial cannot be fitted.
    pub(crate) fn tune_params(&self, base: &Params) -> Result<(Params, Tuned)> {
        let mut product = Swipeline::product();
        product.configure(base);
        let tuned = product.tune(&self.setup.validation(&self.log, self.effort))?;
        Ok((product.into_params(), tuned.unwrap_or_default()))
    }

    /// Chooses dimension and regularisation of item factors, from `base` on.
    ///
    /// # Errors
    /// A trial cannot be fitted.
    pub(crate) fn tune_factors(&self, base: IalsConfig) -> Result<(IalsConfig, Tuned)> {
        let mut factors = Ials::with(base);
        let tuned = factors.tune(&self.setup.validation(&self.log, self.effort))?;
        Ok((factors.config(), tuned.unwrap_or_default()))
    }
}
