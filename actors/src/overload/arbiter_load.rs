//! How busy one arbiter is: how late it runs what is due, and how many messages wait for its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::Histogram;

use crate::clock;
use crate::shared::SharedRef;

/// How often an arbiter is asked to do something at a given moment.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// How busy one arbiter is.
#[derive(Default)]
pub(crate) struct ArbiterLoad {
    waiting: AtomicUsize,
    waiting_peak: AtomicUsize,
    /// When the probe is due next, on the monotonic clock; 0 before the first time.
    due_ns: AtomicU64,
    late_peak_ns: AtomicU64,
}

impl ArbiterLoad {
    /// A message is on its way to a session.
    pub(crate) fn enter(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        // Most messages find the peak where it is and write nothing.
        if waiting > self.waiting_peak.load(Ordering::Relaxed) {
            self.waiting_peak.fetch_max(waiting, Ordering::Relaxed);
        }
    }

    /// Messages on their way now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// It was handled, or will not be.
    pub(crate) fn leave(&self) {
        self.leave_all(1);
    }

    /// So many were handled, or will not be.
    pub(crate) fn leave_all(&self, messages: usize) {
        self.waiting.fetch_sub(messages, Ordering::Relaxed);
    }

    /// The longest lag in nanoseconds and the most messages since the last time. A probe that is overdue counts as late
    /// already: a thread that is stuck cannot say so itself.
    pub(super) fn take_peaks(&self, now_ns: u64) -> (u64, usize) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let queue = self.waiting_peak.swap(waiting, Ordering::Relaxed).max(waiting);
        let late = self.late_peak_ns.swap(0, Ordering::Relaxed);
        let overdue = match self.due_ns.load(Ordering::Relaxed) {
            0 => 0,
            due => now_ns.saturating_sub(due),
        };
        (late.max(overdue), queue)
    }

    fn is_due_at(&self, due_ns: u64) {
        self.due_ns.store(due_ns, Ordering::Relaxed);
    }

    fn ran(&self, late_ns: u64) {
        self.late_peak_ns.fetch_max(late_ns, Ordering::Relaxed);
    }
}

/// Runs on an arbiter and measures by how much later than it should.
pub(super) async fn probe(load: Arc<ArbiterLoad>, shared: SharedRef, lag: Histogram) {
    let interval_ns = u64::try_from(PROBE_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
    while !shared.is_draining() {
        let due_ns = clock::monotonic_ns() + interval_ns;
        load.is_due_at(due_ns);
        tokio::time::sleep(PROBE_INTERVAL).await;
        let late_ns = clock::monotonic_ns().saturating_sub(due_ns);
        load.ran(late_ns);
        lag.record(late_ns as f64 / 1e9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_since_the_last_look() {
        let load = ArbiterLoad::default();
        assert_eq!(load.take_peaks(10), (0, 0));
        (0..3).for_each(|_| load.enter());
        (0..2).for_each(|_| load.leave());
        load.ran(700);
        assert_eq!(load.take_peaks(20), (700, 3));
        assert_eq!(load.take_peaks(30), (0, 1));
        load.leave();
        assert_eq!(load.take_peaks(40), (0, 1));
        assert_eq!(load.take_peaks(50), (0, 0));
    }

    #[test]
    fn a_thread_that_is_stuck_is_late_before_it_can_say_so() {
        let load = ArbiterLoad::default();
        load.is_due_at(1_000);
        assert_eq!(load.take_peaks(900), (0, 0));
        assert_eq!(load.take_peaks(5_000), (4_000, 0));
        load.ran(4_200);
        load.is_due_at(9_000);
        assert_eq!(load.take_peaks(6_000), (4_200, 0));
    }
}
