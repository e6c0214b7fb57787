//! Measures next-item methods: replays a protocol before each, judges the answers, sums up.
//!
//! Owns what is kept of a case, the slices, and how lists are described. Must not know any method by name.

use std::collections::BTreeMap;

use anyhow::Result;

use super::bootstrap::{Sums, quotient_intervals, quotients};
use super::item_set::ItemSet;
use super::judge::{Judge, SHOWN};
use super::log::{Interaction, SplitLog};
use super::method::{Answer, History, NextItemMethod, NextItemRequest};
use super::metrics::{RANK_METRICS, of_rank};
use super::protocol::Case;
use super::setup::{Effort, NextItemSetup};
use super::summary::{ListQuality, Measured, Row, Slice, mean_and_median, terciles};

/// What is kept of a case.
#[derive(Debug, Clone, Copy)]
struct Judged {
    user: u32,
    gains: [f64; RANK_METRICS.len()],
    is_cold: bool,
    target_events: u32,
}

/// Measures methods on one split log.
pub(crate) struct NextItemBench<'a> {
    setup: NextItemSetup,
    log: &'a SplitLog,
    effort: Effort,
    judge: Judge,
    /// -log2 of each item's share of the history's events.
    surprise: Vec<f64>,
}

/// Sums over the lists of one method.
struct Lists {
    covered: ItemSet,
    items: u64,
    surprise: f64,
    pairs: u64,
    distance: f64,
    repeats: u64,
}

impl<'a> NextItemBench<'a> {
    /// Prepares a bench.
    pub(crate) fn new(setup: NextItemSetup, log: &'a SplitLog, effort: Effort) -> Self {
        Self {
            setup,
            log,
            effort,
            judge: Judge::new(log.catalogue.id_places()),
            surprise: surprise(log),
        }
    }

    /// Whether the test part has any question.
    ///
    /// # Errors
    /// What the protocol says.
    pub(crate) fn has_cases(&self) -> Result<bool> {
        let mut found = false;
        self.setup.replay(self.log, &mut Silent, &mut |_| {
            found = true;
            false
        })?;
        Ok(found)
    }

    /// Tunes (if asked to), fits and measures one method; `progress` hears of every case.
    ///
    /// # Errors
    /// What fitting says.
    pub(crate) fn measure(
        &self,
        method: &mut dyn NextItemMethod,
        tune: bool,
        mut progress: impl FnMut(),
    ) -> Result<(Row, usize)> {
        let tuned = if tune {
            method.tune(&self.setup.validation(self.log, self.effort))?
        } else {
            None
        };
        if let Some(tuned) = &tuned {
            eprintln!("{}", tuned.describe(method.name()));
        }
        method.fit(&self.setup.history(self.log, self.effort))?;
        let (mut cases, mut costs_us, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        let mut lists = Lists::new(self.log.catalogue.item_count());
        self.setup.replay(self.log, method, &mut |case| {
            let rank = self.judge.rank(case.answer, case.target, case.request.candidates);
            self.judge.shown(case.answer, case.request.candidates, &mut shown);
            lists.add(&shown, case, self);
            cases.push(Judged {
                user: case.request.user,
                gains: of_rank(rank),
                is_cold: case.is_cold,
                target_events: case.target_events,
            });
            costs_us.push(case.cpu_us);
            progress();
            true
        })?;
        let (cpu_us_per_request, cpu_us_median) = mean_and_median(costs_us);
        let row = Row {
            method: method.name().to_owned(),
            measured: measure(&cases, |_| true, self.effort.seed).1,
            cpu_us_per_request,
            lists: Some(lists.describe(self.log)),
            slices: slices(&cases, self.effort.seed),
            cpu_us_median,
            tuned,
        };
        Ok((row, cases.len()))
    }

    fn distance(&self, left: u32, right: u32) -> Option<f64> {
        let categories = |item: u32| Some(&self.log.catalogue.items.get(item as usize)?.categories);
        let (left, right) = (categories(left)?, categories(right)?);
        let common = left.iter().filter(|category| right.contains(category)).count();
        let all = left.len() + right.len() - common;
        (all > 0).then(|| 1.0 - common as f64 / all as f64)
    }
}

/// Answers nothing: for whoever only counts the questions.
struct Silent;

impl NextItemMethod for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn fit(&mut self, _history: &History<'_>) -> Result<()> {
        Ok(())
    }

    fn learn(&mut self, _event: &Interaction) {}

    fn rank(&mut self, _request: &NextItemRequest<'_>, answer: &mut Answer) {
        answer.list();
    }
}

impl Lists {
    fn new(item_count: usize) -> Self {
        Self {
            covered: ItemSet::empty(item_count),
            items: 0,
            surprise: 0.0,
            pairs: 0,
            distance: 0.0,
            repeats: 0,
        }
    }

    fn add(&mut self, shown: &[u32], case: &Case<'_>, bench: &NextItemBench<'_>) {
        for (place, item) in shown.iter().enumerate() {
            self.covered.insert(*item);
            self.items += 1;
            self.surprise += bench.surprise[*item as usize];
            let before = &shown[..place];
            let had = case.request.context.iter().any(|past| past.item == *item);
            self.repeats += u64::from(had || before.contains(item));
            for distance in before.iter().filter_map(|other| bench.distance(*other, *item)) {
                self.pairs += 1;
                self.distance += distance;
            }
        }
    }

    fn describe(&self, log: &SplitLog) -> ListQuality {
        ListQuality {
            coverage: self.covered.len() as f64 / log.catalogue.item_count().max(1) as f64,
            novelty: self.surprise / self.items.max(1) as f64,
            diversity: (self.pairs > 0).then(|| self.distance / self.pairs as f64),
            repeats: self.repeats,
        }
    }
}

fn surprise(log: &SplitLog) -> Vec<f64> {
    let mut events = vec![0_u32; log.catalogue.item_count()];
    log.history.iter().for_each(|event| events[event.item as usize] += 1);
    // One event is added to each, so that a new item is very surprising and not infinitely so.
    let total = (log.history.len() + events.len()) as f64;
    events
        .into_iter()
        .map(|events| (total / (f64::from(events) + 1.0)).log2())
        .collect()
}

fn measure(cases: &[Judged], takes: impl Fn(&Judged) -> bool, seed: u64) -> (usize, Measured) {
    let mut viewers: BTreeMap<u32, Sums> = BTreeMap::new();
    let mut count = 0;
    for case in cases.iter().filter(|case| takes(case)) {
        count += 1;
        let sums = viewers
            .entry(case.user)
            .or_insert_with(|| vec![(0.0, 0.0); RANK_METRICS.len()]);
        for (sum, gain) in sums.iter_mut().zip(case.gains) {
            sum.0 += gain;
            sum.1 += 1.0;
        }
    }
    let viewers: Vec<Sums> = viewers.into_values().collect();
    let values = quotients(viewers.iter(), RANK_METRICS.len());
    let intervals = quotient_intervals(&viewers, RANK_METRICS.len(), seed);
    let mut measured = Measured::default();
    for ((name, value), interval) in RANK_METRICS.into_iter().zip(values).zip(intervals) {
        measured.put(name, value, interval);
    }
    (count, measured)
}

/// Whether a case is in a slice.
type Takes<'a> = &'a dyn Fn(&Judged) -> bool;

fn slices(cases: &[Judged], seed: u64) -> Vec<Slice> {
    let [rare_max, middle_max] = terciles(cases.iter().map(|case| case.target_events).collect());
    let takes: [(&str, Takes<'_>); 5] = [
        ("cold", &|case| case.is_cold),
        ("warm", &|case| !case.is_cold),
        ("target rare", &|case| case.target_events <= rare_max),
        ("target middle", &|case| {
            (rare_max + 1..=middle_max).contains(&case.target_events)
        }),
        ("target popular", &|case| case.target_events > middle_max),
    ];
    let slices = takes.into_iter().map(|(name, takes)| {
        let (cases, measured) = measure(cases, takes, seed);
        Slice {
            slice: name.to_owned(),
            cases,
            measured,
        }
    });
    slices.filter(|slice| slice.cases > 0).collect()
}

/// A list is described by as many items as are judged as shown.
const _: () = assert!(SHOWN == 10, "the names in the report say @10");
