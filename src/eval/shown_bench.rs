//! Measures impression methods: replays the test days before each and sums up.
//!
//! Owns AUC, log loss and GAUC over cases, their intervals and slices. Must not know any method by name.
//!
//! GAUC is per viewer and day, weighed by impressions, over groups with both outcomes. The live one is printed and not
//! decided by: after a like a viewer's own running rate changes, which ranks that viewer's later impressions against the
//! truth. The frozen one has the viewer's state of midnight.

use std::collections::BTreeMap;

use anyhow::Result;

use super::bootstrap::{Sums, interval, quotient_intervals, quotients, resampled_counts};
use super::method::{ImpressionHistory, ImpressionMethod};
use super::metrics::{ascending_order, auc, log_loss};
use super::protocol::rank_shown::{self, ShownCase};
use super::setup::Effort;
use super::shown::{ImpressionLog, OUTCOME_COUNT, OUTCOME_NAMES};
use super::summary::{Measured, Row, Slice, mean_and_median, terciles};

/// A case and what slices go by.
struct Judged {
    case: ShownCase,
    is_cold: bool,
    item_events: u32,
}

/// Measures methods on one log.
pub(crate) struct ShownBench<'a> {
    log: &'a ImpressionLog,
    test_from: u32,
    cut: usize,
    effort: Effort,
    /// Whether each viewer has anything before the test part, in the log or in the history.
    is_warm: Vec<bool>,
}

impl<'a> ShownBench<'a> {
    /// Prepares a bench; the test part begins with the day `test_from` (`yyyymmdd`).
    pub(crate) fn new(log: &'a ImpressionLog, test_from: u32, effort: Effort) -> Self {
        let cut = rank_shown::cut(log, test_from);
        let mut is_warm = vec![false; log.catalogue.user_ids.len()];
        let before = log.impressions[..cut].iter().map(|(shown, _)| shown.user);
        let watched = log.watched_before.iter().map(|history| history.user);
        before.chain(watched).for_each(|user| is_warm[user as usize] = true);
        Self {
            log,
            test_from,
            cut,
            effort,
            is_warm,
        }
    }

    /// How many impressions come before the test part, and how many are in it.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.cut, self.log.impressions.len() - self.cut)
    }

    /// The first and the last day of the log, as `yyyymmdd`.
    pub(crate) fn days(&self) -> [u32; 2] {
        let days = || self.log.impressions.iter().map(|(shown, _)| shown.day);
        [days().min().unwrap_or(0), days().max().unwrap_or(0)]
    }

    /// What a method is fitted on.
    pub(crate) fn history(&self) -> ImpressionHistory<'a> {
        ImpressionHistory {
            catalogue: &self.log.catalogue,
            watched_before: &self.log.watched_before,
            events: &self.log.impressions[..self.cut],
            threads: self.effort.threads,
            seed: self.effort.seed,
        }
    }

    /// Tunes (if asked to), fits and measures one method; `progress` hears of every case.
    ///
    /// # Errors
    /// What fitting says.
    pub(crate) fn measure(
        &self,
        method: &mut dyn ImpressionMethod,
        tune: bool,
        mut progress: impl FnMut(),
    ) -> Result<(Row, usize)> {
        let tuned = if tune { method.tune(&self.history())? } else { None };
        if let Some(tuned) = &tuned {
            eprintln!("{}", tuned.describe(method.name()));
        }
        method.fit(&self.history())?;
        let test = &self.log.impressions[self.cut..];
        let mut item_events = vec![0_u32; self.log.catalogue.item_ids.len()];
        let before = self.log.impressions[..self.cut].iter();
        before.for_each(|(shown, _)| item_events[shown.item as usize] += 1);
        let (mut cases, mut costs_us) = (Vec::new(), Vec::new());
        rank_shown::replay(test, self.test_from, method, &mut |case| {
            let events = &mut item_events[case.shown.item as usize];
            cases.push(Judged {
                case: *case,
                is_cold: !self.is_warm[case.shown.user as usize],
                item_events: *events,
            });
            *events += 1;
            costs_us.push(case.cpu_us);
            progress();
            true
        });
        let (cpu_us_per_request, cpu_us_median) = mean_and_median(costs_us);
        let all: Vec<&Judged> = cases.iter().collect();
        let row = Row {
            method: method.name().to_owned(),
            measured: measure(&all, self.effort.seed),
            cpu_us_per_request,
            lists: None,
            slices: slices(&cases, self.effort.seed),
            cpu_us_median,
            tuned,
        };
        Ok((row, cases.len()))
    }
}

/// Whether a case is in a slice.
type Takes<'a> = &'a dyn Fn(&Judged) -> bool;

fn slices(cases: &[Judged], seed: u64) -> Vec<Slice> {
    let [rare_max, middle_max] = terciles(cases.iter().map(|judged| judged.item_events).collect());
    let takes: [(&str, Takes<'_>); 5] = [
        ("cold", &|judged| judged.is_cold),
        ("warm", &|judged| !judged.is_cold),
        ("item rare", &|judged| judged.item_events <= rare_max),
        ("item middle", &|judged| {
            (rare_max + 1..=middle_max).contains(&judged.item_events)
        }),
        ("item popular", &|judged| judged.item_events > middle_max),
    ];
    let slices = takes.into_iter().map(|(name, takes)| {
        let taken: Vec<&Judged> = cases.iter().filter(|judged| takes(judged)).collect();
        Slice {
            slice: name.to_owned(),
            cases: taken.len(),
            measured: measure(&taken, seed),
        }
    });
    slices.filter(|slice| slice.cases > 0).collect()
}

fn measure(cases: &[&Judged], seed: u64) -> Measured {
    let mut measured = Measured::default();
    let viewers = viewer_numbers(cases);
    let viewer_count = viewers.iter().max().map_or(0, |last| *last as usize + 1);
    let counts: Vec<Vec<u32>> = resampled_counts(viewer_count, seed).collect();
    let mut sums: Vec<Sums> = vec![vec![(0.0, 0.0); 3 * OUTCOME_COUNT]; viewer_count];
    for outcome in 0..OUTCOME_COUNT {
        let (value, interval) = auc_of(cases, &viewers, outcome, &counts);
        measured.put(format!("auc.{}", OUTCOME_NAMES[outcome]), value, interval);
        for (judged, viewer) in cases.iter().zip(&viewers) {
            let loss = log_loss(judged.case.predicted[outcome], judged.case.labels[outcome]);
            let sum = &mut sums[*viewer as usize][outcome];
            sum.0 += loss;
            sum.1 += 1.0;
        }
        add_group_auc(cases, &viewers, outcome, &mut sums);
    }
    let values = quotients(sums.iter(), 3 * OUTCOME_COUNT);
    let intervals = quotient_intervals(&sums, 3 * OUTCOME_COUNT, seed);
    for (place, (value, interval)) in values.into_iter().zip(intervals).enumerate() {
        let family = ["logloss", "gauc", "gauc_frozen"][place / OUTCOME_COUNT];
        let name = format!("{family}.{}", OUTCOME_NAMES[place % OUTCOME_COUNT]);
        measured.put(name, value, interval);
    }
    measured
}

/// The viewers of cases, numbered densely.
fn viewer_numbers(cases: &[&Judged]) -> Vec<u32> {
    let mut numbers = BTreeMap::new();
    let users = cases.iter().map(|judged| judged.case.shown.user);
    let numbered = users.map(|user| {
        let next = numbers.len() as u32;
        *numbers.entry(user).or_insert(next)
    });
    numbered.collect()
}

fn auc_of(cases: &[&Judged], viewers: &[u32], outcome: usize, counts: &[Vec<u32>]) -> (f64, [f64; 2]) {
    let scores: Vec<f32> = cases.iter().map(|judged| judged.case.predicted[outcome]).collect();
    let ascending: Vec<(f32, bool, u32)> = ascending_order(&scores)
        .into_iter()
        .map(|place| {
            let place = place as usize;
            (scores[place], cases[place].case.labels[outcome], viewers[place])
        })
        .collect();
    let weighted = |weight: &dyn Fn(u32) -> f64| {
        let cases = ascending.iter();
        auc(cases.map(|(score, label, viewer)| (*score, *label, weight(*viewer)))).unwrap_or(f64::NAN)
    };
    let resampled = counts
        .iter()
        .map(|counts| weighted(&|viewer| f64::from(counts[viewer as usize])));
    (weighted(&|_| 1.0), interval(resampled.collect()))
}

/// Adds each viewer's AUC per day, live and frozen, weighed by the day's impressions.
fn add_group_auc(cases: &[&Judged], viewers: &[u32], outcome: usize, sums: &mut [Sums]) {
    let mut groups: BTreeMap<(u32, u32), Vec<&ShownCase>> = BTreeMap::new();
    for (judged, viewer) in cases.iter().zip(viewers) {
        groups
            .entry((*viewer, judged.case.shown.day))
            .or_default()
            .push(&judged.case);
    }
    for ((viewer, _), group) in groups {
        for (family, frozen) in [(1, false), (2, true)] {
            let predicted = |case: &ShownCase| if frozen { case.predicted_frozen } else { case.predicted };
            let scores: Vec<f32> = group.iter().map(|case| predicted(case)[outcome]).collect();
            let ascending = ascending_order(&scores).into_iter().map(|place| {
                let place = place as usize;
                (scores[place], group[place].labels[outcome], 1.0)
            });
            if let Some(area) = auc(ascending) {
                let sum = &mut sums[viewer as usize][family * OUTCOME_COUNT + outcome];
                sum.0 += area * group.len() as f64;
                sum.1 += group.len() as f64;
            }
        }
    }
}
