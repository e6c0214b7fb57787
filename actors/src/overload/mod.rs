//! How much the engine has to do, and how much it therefore does for a feed.
//!
//! Owns the measuring (lag and queue of every arbiter, calls in work), the level that holds, and its history. The state
//! machine itself is `swipeline_models::degradation`; what a level does to a feed is the session's business. A request
//! reads one atomic number.

mod arbiter_load;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use actix::ArbiterHandle;
use parking_lot::Mutex;
use swipeline_models::degradation::{Ladder, Level, Load, Reason, Transition};
use swipeline_models::time::TimestampMs;

pub(crate) use arbiter_load::ArbiterLoad;

use crate::api::{ArbiterReport, DegradationReport, TransitionReport};
use crate::clock;
use crate::shared::{Shared, SharedRef};

/// How often the load is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How many changes of the level are remembered.
const TRANSITIONS_MAX: usize = 64;
/// How many sessions that were refused a feed are told at a time that there are feeds again.
const OWED_AT_A_TIME: usize = 64;
const NS_PER_MS: u64 = 1_000_000;

/// The load and the level.
pub(crate) struct Overload {
    level: AtomicU8,
    arbiters: Vec<Arc<ArbiterLoad>>,
    calls: AtomicUsize,
    calls_peak: AtomicUsize,
    /// Whether there may be sessions that were refused a feed and are still owed it.
    is_owed: AtomicBool,
    watched: Mutex<Watched>,
}

/// What the last looks saw.
#[derive(Default)]
struct Watched {
    ladder: Ladder,
    load: Load,
    arbiters: Vec<ArbiterReport>,
    transitions: VecDeque<TransitionReport>,
    since: TimestampMs,
}

/// Counts a call as long as it is in work.
pub(crate) struct CallGuard<'a> {
    overload: &'a Overload,
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.overload.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    /// Watches so many arbiters.
    pub(crate) fn of(arbiters: usize) -> Self {
        Self {
            level: AtomicU8::new(Level::Full.number()),
            arbiters: (0..arbiters).map(|_| Arc::default()).collect(),
            calls: AtomicUsize::new(0),
            calls_peak: AtomicUsize::new(0),
            is_owed: AtomicBool::new(false),
            watched: Mutex::new(Watched {
                since: clock::now(),
                ..Watched::default()
            }),
        }
    }

    /// The level that holds.
    pub(crate) fn level(&self) -> Level {
        Level::numbered(self.level.load(Ordering::Relaxed))
    }

    /// The load of an arbiter.
    pub(crate) fn arbiter(&self, number: usize) -> Arc<ArbiterLoad> {
        self.arbiters[number].clone()
    }

    /// Counts a call until the guard is dropped.
    pub(crate) fn enter_call(&self) -> CallGuard<'_> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.calls_peak.fetch_max(calls, Ordering::Relaxed);
        CallGuard { overload: self }
    }

    /// A session was refused a feed.
    pub(crate) fn owe(&self) {
        self.is_owed.store(true, Ordering::Release);
    }

    /// What an operator sees.
    pub(crate) fn report(&self, shared: &Shared) -> DegradationReport {
        let params = shared.world.params.load().degradation.clone();
        let watched = self.watched.lock();
        let level = self.level();
        DegradationReport {
            level,
            number: level.number(),
            since: watched.since.0,
            reason: watched.transitions.back().map(|last| last.reason),
            load: watched.load,
            arbiters: watched.arbiters.clone(),
            transitions: watched.transitions.iter().rev().cloned().collect(),
            params,
        }
    }

    /// Looks at the load once and lets the level follow.
    fn look(&self, shared: &Shared) {
        let now_ns = clock::monotonic_ns();
        let measured: Vec<(u64, usize)> = self.arbiters.iter().map(|arbiter| arbiter.take_peaks(now_ns)).collect();
        let calls = self
            .calls_peak
            .swap(self.calls.load(Ordering::Relaxed), Ordering::Relaxed);
        let load = Load {
            lag_ms: measured.iter().map(|(lag_ns, _)| *lag_ns).max().unwrap_or(0) as f64 / NS_PER_MS as f64,
            queue: count(measured.iter().map(|(_, queue)| *queue).max().unwrap_or(0)),
            in_flight: count(calls),
        };
        let params = shared.world.params.load();
        let mut watched = self.watched.lock();
        watched.load = load;
        watched.arbiters.clear();
        let report = |(lag_ns, queue): &(u64, usize)| ArbiterReport {
            lag_ms: *lag_ns as f64 / NS_PER_MS as f64,
            queue: count(*queue),
        };
        watched.arbiters.extend(measured.iter().map(report));
        // A clock that never goes back: the wall clock may jump.
        let now = TimestampMs(i64::try_from(now_ns / NS_PER_MS).unwrap_or(i64::MAX));
        if let Some(transition) = watched.ladder.step(&load, &params.degradation, now) {
            self.level.store(transition.to.number(), Ordering::Relaxed);
            watched.note(&transition);
        }
        drop(watched);
        self.publish(&load, &measured);
    }

    fn publish(&self, load: &Load, measured: &[(u64, usize)]) {
        metrics::gauge!("swipeline_degradation_level").set(f64::from(self.level().number()));
        metrics::gauge!("swipeline_calls_in_flight_peak").set(f64::from(load.in_flight));
        for (number, (_, queue)) in measured.iter().enumerate() {
            metrics::gauge!("swipeline_arbiter_queue_peak", "arbiter" => number.to_string()).set(*queue as f64);
        }
    }

    /// Lets sessions that were refused a feed make one, a few at a time: all of them at once would be the next overload.
    fn make_up(&self, shared: &Shared) {
        // Taken back before looking: whoever is refused from here on says so again.
        if self.level() == Level::Refused || !self.is_owed.swap(false, Ordering::AcqRel) {
            return;
        }
        if shared.sessions.make_up(OWED_AT_A_TIME) >= OWED_AT_A_TIME {
            self.owe();
        }
    }
}

impl Watched {
    fn note(&mut self, transition: &Transition) {
        let Transition { from, to, reason } = *transition;
        let at = clock::now();
        self.since = at;
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        self.transitions.push_back(TransitionReport {
            at: at.0,
            from,
            to,
            reason,
        });
        metrics::counter!("swipeline_degradation_transitions_total", "from" => from.name(), "to" => to.name())
            .increment(1);
        if let Reason::Load { measure, value, .. } = reason {
            tracing::warn!(
                from = from.name(),
                to = to.name(),
                ?measure,
                value,
                "less is done for a feed"
            );
        } else {
            tracing::info!(
                from = from.name(),
                to = to.name(),
                ?reason,
                "another level of degradation"
            );
        }
    }
}

/// Starts the probe of every arbiter.
pub(crate) fn probe_arbiters(shared: &SharedRef, arbiters: &[ArbiterHandle]) {
    for (number, arbiter) in arbiters.iter().enumerate() {
        let load = shared.overload.arbiter(number);
        let lag = metrics::histogram!("swipeline_arbiter_lag_seconds", "arbiter" => number.to_string());
        let probed = arbiter.spawn(arbiter_load::probe(load, shared.clone(), lag));
        if !probed {
            tracing::error!(number, "an arbiter is not watched: it has stopped");
        }
    }
}

/// Looks at the load until the engine drains.
pub(crate) async fn run_ladder(shared: SharedRef) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !shared.is_draining() {
        looks.tick().await;
        shared.overload.look(&shared);
        shared.overload.make_up(&shared);
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
