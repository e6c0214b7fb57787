//! The whole of an evaluation: read, measure method by method, put the report together.
//!
//! Owns the choice of methods by name and who hears of progress. Must not know the command line.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use swipeline_models::params::Params;

use super::leaks::{Found, check_impressions, check_next_item};
use super::log::SplitLog;
use super::method::NextItemMethod;
use super::methods::{ABLATIONS, IMPRESSION, IMPRESSION_ABLATIONS, NEXT_ITEM};
use super::next_item::NextItemBench;
use super::protocol::{leave_last, next_like};
use super::read;
use super::setup::{Effort, NextItemSetup};
use super::shown::ImpressionLog;
use super::shown_bench::ShownBench;
use super::summary::Report;

/// What is to be evaluated, and on which files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Task {
    /// MovieLens, replayed in time order.
    NextLike {
        /// The ratings.
        data: PathBuf,
        /// The share of events that is history.
        split: f64,
    },
    /// The product's own export, replayed in time order.
    Events {
        /// The events.
        data: PathBuf,
        /// The items, for what they are about.
        items: Option<PathBuf>,
        /// The share of events that is history.
        split: f64,
    },
    /// MovieLens, each user's last item.
    LeaveLast {
        /// The ratings.
        data: PathBuf,
    },
    /// Sequences, each user's target in a file of its own.
    Sequence {
        /// Training file.
        train: PathBuf,
        /// Test file.
        test: PathBuf,
    },
    /// Click sessions.
    Sessions {
        /// Training file.
        train: PathBuf,
        /// Test file.
        test: PathBuf,
        /// Finished test sessions are learned.
        online: bool,
        /// How many steps are asked at most.
        cases_max: usize,
    },
    /// Impressions.
    RankShown {
        /// Logs.
        data: Vec<PathBuf>,
        /// Videos.
        items: PathBuf,
        /// What viewers watched before the logs.
        history: Option<PathBuf>,
        /// What is known of viewers.
        viewers: Option<PathBuf>,
        /// The first day of the test part, as `yyyymmdd`.
        test_from: u32,
    },
}

/// How it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// The rows, by name; all of them when empty.
    pub(crate) methods: Vec<String>,
    /// Threads and seed.
    pub(crate) effort: Effort,
    /// The operator's params; the defaults when there are none.
    pub(crate) params: Option<Params>,
    /// Choose hyper-parameters on the training part first.
    pub(crate) tune: bool,
    /// Check every method for knowledge of the future before it is measured.
    pub(crate) check_leaks: bool,
}

impl Task {
    /// The names of the rows this task can have.
    pub(crate) fn method_names(&self) -> Vec<&'static str> {
        if matches!(self, Task::RankShown { .. }) {
            return IMPRESSION
                .iter()
                .chain(IMPRESSION_ABLATIONS)
                .map(|(name, _)| *name)
                .collect();
        }
        NEXT_ITEM.iter().chain(ABLATIONS).map(|(name, _)| *name).collect()
    }

    fn protocol(&self) -> &'static str {
        match self {
            Task::NextLike { .. } | Task::Events { .. } => "next-like",
            Task::LeaveLast { .. } | Task::Sequence { .. } => "leave-last",
            Task::Sessions { online: true, .. } => "sessions-online",
            Task::Sessions { online: false, .. } => "sessions",
            Task::RankShown { .. } => "rank-shown",
        }
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Task::NextLike { data, .. } | Task::LeaveLast { data } => vec![data],
            Task::Events { data, items, .. } => [Some(data), items.as_ref()]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path)
                .collect(),
            Task::Sequence { train, test } | Task::Sessions { train, test, .. } => vec![train, test],
            Task::RankShown {
                data,
                items,
                history,
                viewers,
                ..
            } => {
                let logs = data.iter().map(PathBuf::as_path);
                let others = [history.as_deref(), viewers.as_deref()];
                logs.chain([items.as_path()])
                    .chain(others.into_iter().flatten())
                    .collect()
            }
        }
    }
}

/// Reads, measures, reports. Says on standard error how far it is.
///
/// # Errors
/// A file cannot be read, a method cannot be fitted, or `check_leaks` found something.
pub(crate) fn run(task: &Task, options: &Options) -> Result<Report> {
    let mut report = Report {
        protocol: task.protocol().to_owned(),
        data: task
            .files()
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(" "),
        seed: options.effort.seed,
        cases: 0,
        rows: Vec::new(),
    };
    match task {
        Task::NextLike { data, split } => {
            let log = next_like::split(read::movielens::read(data)?, *split);
            next_item(NextItemSetup::NextLike, &log, options, &mut report)?;
        }
        Task::Events { data, items, split } => {
            let log = next_like::split(read::events::read(data, items.as_deref())?, *split);
            next_item(NextItemSetup::NextLike, &log, options, &mut report)?;
        }
        Task::LeaveLast { data } => {
            let log = leave_last::split(read::movielens::read(data)?);
            next_item(NextItemSetup::LeaveLast, &log, options, &mut report)?;
        }
        Task::Sequence { train, test } => {
            let log = read::sequence::read(train, test)?;
            next_item(NextItemSetup::LeaveLast, &log, options, &mut report)?;
        }
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
            next_item(setup, &read::sessions::read(train, test)?, options, &mut report)?;
        }
        Task::RankShown {
            data,
            items,
            history,
            viewers,
            test_from,
        } => {
            let log = read::kuairand::read(data, items, history.as_deref(), viewers.as_deref())?;
            rank_shown(&log, *test_from, options, &mut report)?;
        }
    }
    Ok(report)
}

/// The rows that were asked for: `all` when none was named, `by_name` only when named.
fn wanted<T: Copy>(
    all: &[(&'static str, T)],
    by_name: &[(&'static str, T)],
    options: &Options,
) -> Vec<(&'static str, T)> {
    let is_named = |name: &str| options.methods.iter().any(|wanted| wanted == name);
    let chosen = all
        .iter()
        .filter(|(name, _)| options.methods.is_empty() || is_named(name))
        .chain(by_name.iter().filter(|(name, _)| is_named(name)));
    chosen.copied().collect()
}

fn next_item(setup: NextItemSetup, log: &SplitLog, options: &Options, report: &mut Report) -> Result<()> {
    let bench = NextItemBench::new(setup, log, options.effort);
    if !bench.has_cases()? {
        bail!("{}: nothing to ask; a question is {}", report.data, setup.question());
    }
    let make_configured = |make: fn() -> Box<dyn NextItemMethod>| {
        let mut method = make();
        if let Some(params) = &options.params {
            method.configure(params);
        }
        method
    };
    for (name, make) in wanted(NEXT_ITEM, ABLATIONS, options) {
        if options.check_leaks {
            let found = check_next_item(
                log,
                &setup,
                &|log, method, observe| setup.replay(log, method, observe),
                options.effort,
                &|_| make_configured(make),
            );
            say_found(name, found?)?;
        }
        let progress = Progress::start(name, log.stream.len());
        let (row, cases) = bench
            .measure(make_configured(make).as_mut(), options.tune, || progress.tick())
            .with_context(|| format!("method {name}"))?;
        progress.finish(cases);
        report.cases = cases;
        report.rows.push(row);
    }
    Ok(())
}

fn rank_shown(log: &ImpressionLog, test_from: u32, options: &Options, report: &mut Report) -> Result<()> {
    let bench = ShownBench::new(log, test_from, options.effort);
    let (train, test) = bench.sizes();
    if train == 0 || test == 0 {
        let [from, to] = bench.days().map(dashed);
        bail!(
            "--test-from {} leaves {train} impressions to train on and {test} to test on; the log is of {from} to {to}",
            dashed(test_from)
        );
    }
    for (name, make) in wanted(IMPRESSION, IMPRESSION_ABLATIONS, options) {
        if options.check_leaks {
            say_found(name, check_impressions(log, test_from, options.effort, &|_| make())?)?;
        }
        let progress = Progress::start(name, test);
        let (row, cases) = bench
            .measure(make().as_mut(), options.tune, || progress.tick())
            .with_context(|| format!("method {name}"))?;
        progress.finish(cases);
        report.cases = cases;
        report.rows.push(row);
    }
    Ok(())
}

/// A day `yyyymmdd` as people write it.
fn dashed(day: u32) -> String {
    format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100)
}

fn say_found(name: &str, found: Found) -> Result<()> {
    let Found { compared, leaked } = found;
    if leaked > 0 {
        bail!("{name} knows the future: {leaked} of {compared} answers changed with what came later");
    }
    eprintln!("{name}: no leak in {compared} answers");
    Ok(())
}

/// How far one method is: a bar on a terminal, one line at the end otherwise.
struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    fn start(name: &'static str, events: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:20} {bar:40} {pos} cases  {elapsed}");
            // A template that does not parse would be a fault of this file; the default style serves as well.
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(events as u64).with_style(style).with_message(name)
        });
        Self {
            name,
            bar,
            began: Instant::now(),
        }
    }

    fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    fn finish(self, cases: usize) {
        let took_s = self.began.elapsed().as_secs_f64();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {cases} cases in {took_s:.1} s", self.name);
    }
}
