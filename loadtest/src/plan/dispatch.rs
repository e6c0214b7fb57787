//! Handing each planned swipe to its viewer at its instant.
//!
//! Owns the clock work. In a real run it is a thread of its own with the operating system's fine timer; in tests it is a
//! task, so that a paused clock drives it. It never waits for a viewer: who cannot take a swipe drops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until};

use super::arrivals::{Plan, PlannedSwipe};
use crate::client::record::{Counter, Recorder};

/// A stop is noticed after so long at the latest.
const STOP_CHECK_EVERY: Duration = Duration::from_millis(50);

/// What was planned and handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DispatchTotals {
    /// Swipes of the plan.
    pub planned: u64,
    /// Of these not taken by their viewers.
    pub dropped: u64,
    /// The latest that the dispatcher was behind its plan.
    pub lag_max: Duration,
}

/// One hand-over.
struct Dispatcher<'a> {
    viewers: &'a [Sender<Instant>],
    recorder: &'a Recorder,
    totals: DispatchTotals,
}

impl Dispatcher<'_> {
    /// The clock is at the end of the run and the plan is not: what was due by then and was never handed over is the
    /// tester's fault, and dropped.
    fn give_up(&mut self, due: u64) {
        let missed = due.saturating_sub(self.totals.planned);
        self.totals.planned += missed;
        self.totals.dropped += missed;
        let now = Instant::now();
        self.recorder.add_at(Counter::Planned, missed, now);
        self.recorder.add_at(Counter::DroppedTester, missed, now);
    }

    fn hand_over(&mut self, swipe: PlannedSwipe, planned: Instant) {
        let now = Instant::now();
        self.totals.planned += 1;
        self.totals.lag_max = self.totals.lag_max.max(now.saturating_duration_since(planned));
        self.recorder.add_at(Counter::Planned, 1, planned);
        let Some(viewer) = self.viewers.get(swipe.session) else {
            return;
        };
        let dropped = match viewer.try_send(planned) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => Counter::DroppedBacklog,
            Err(TrySendError::Closed(_)) => Counter::DroppedNoSocket,
        };
        self.totals.dropped += 1;
        self.recorder.add_at(dropped, 1, planned);
    }
}

/// Works through the plan with the operating system's timer; blocks its thread. Ends early when `stop` turns true.
#[must_use]
pub fn dispatch_in_thread(
    plan: Plan,
    start: Instant,
    viewers: &[Sender<Instant>],
    recorder: &Recorder,
    stop: &Arc<AtomicBool>,
) -> DispatchTotals {
    let mut dispatcher = Dispatcher {
        viewers,
        recorder,
        totals: DispatchTotals::default(),
    };
    let whole = plan.clone();
    for swipe in plan {
        let planned = start + swipe.at;
        loop {
            if stop.load(Ordering::Acquire) {
                let passed = Instant::now().saturating_duration_since(start);
                // A dispatcher that keeps up has handed over what was due up to its last look at the clock.
                if planned + STOP_CHECK_EVERY < start + passed {
                    dispatcher.give_up(whole.count_until(passed));
                }
                return dispatcher.totals;
            }
            let wait = planned.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            std::thread::sleep(wait.min(STOP_CHECK_EVERY));
        }
        dispatcher.hand_over(swipe, planned);
    }
    dispatcher.totals
}

/// Works through the plan with the runtime's timer, which a test can pause.
pub async fn dispatch_in_tokio(
    plan: Plan,
    start: Instant,
    viewers: &[Sender<Instant>],
    recorder: &Recorder,
    stop: &Arc<AtomicBool>,
) -> DispatchTotals {
    let mut dispatcher = Dispatcher {
        viewers,
        recorder,
        totals: DispatchTotals::default(),
    };
    for swipe in plan {
        let planned = start + swipe.at;
        sleep_until(planned).await;
        if stop.load(Ordering::Acquire) {
            break;
        }
        dispatcher.hand_over(swipe, planned);
    }
    dispatcher.totals
}

#[cfg(test)]
mod tests {
    use super::super::{Arrivals, RateProfile};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_viewer_cannot_take_is_dropped_and_counted_by_reason() {
        let start = Instant::now();
        let recorder = Recorder::new(start, Duration::from_secs(1));
        let (full, _kept) = tokio::sync::mpsc::channel(3);
        let (gone, receiver) = tokio::sync::mpsc::channel(100);
        drop(receiver);
        let plan = Plan::new(Arrivals::Uniform, RateProfile::steady(10.0, 2.1), 2, 1);
        let stop = Arc::new(AtomicBool::new(false));
        let totals = dispatch_in_tokio(plan, start, &[full, gone], &recorder, &stop).await;
        assert_eq!((totals.planned, totals.dropped), (20, 17));
        let measured = recorder.snapshot();
        assert_eq!(measured.count(Counter::DroppedBacklog), 7);
        assert_eq!(measured.count(Counter::DroppedNoSocket), 10);
        assert_eq!(measured.dropped_count(), 17);
        assert!(totals.lag_max <= Duration::from_millis(1));
    }

    #[test]
    fn the_thread_keeps_the_plan_and_stops_when_told() {
        let start = Instant::now();
        let recorder = Recorder::new(start, Duration::from_secs(1));
        let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Plan::new(Arrivals::Uniform, RateProfile::steady(1_000.0, 0.05), 1, 1);
        let totals = dispatch_in_thread(plan.clone(), start, std::slice::from_ref(&sender), &recorder, &stop);
        assert_eq!(totals.planned, 49);
        assert!(
            receiver
                .try_recv()
                .is_ok_and(|planned| planned == start + Duration::from_millis(1))
        );
        stop.store(true, Ordering::Release);
        assert_eq!(
            dispatch_in_thread(plan, Instant::now(), &[sender], &recorder, &stop).planned,
            0
        );
    }
}
