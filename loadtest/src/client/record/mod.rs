//! Measurements of a run, shared by all viewers.
//!
//! Owns histograms, counters, error kinds, the series over time and the learning curves. Must not know sockets or
//! reports.

mod learning;
mod names;
mod series;
mod transfer;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use learning::{LearningCurve, LearningPoint, SWIPES_PER_POINT, ShiftOutcome};
pub use names::{Counter, Metric};
pub use series::{Interval, Series};
pub use transfer::MeasurementsDto;

/// The longest latency that is told apart: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;
/// The most kinds of errors that are told apart.
const ERROR_KINDS_MAX: usize = 64;
/// The most remarks that are kept.
const REMARKS_MAX: usize = 20;
/// The kind of errors beyond that.
const ERROR_KIND_OTHER: &str = "other";

/// Everything that was measured.
#[derive(Debug, Clone)]
pub struct Measurements {
    histograms: Vec<Histogram<u64>>,
    counters: Vec<u64>,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Closes by code; 1006 for a socket that ended without a close frame.
    pub closes: BTreeMap<u16, u64>,
    /// What happened when.
    pub series: Series,
    /// Whether viewers like what they get more and more.
    pub learning: LearningCurve,
    /// Sudden changes of taste and when they showed.
    pub shifts: Vec<ShiftOutcome>,
    /// What went wrong outside the viewers, in words.
    pub remarks: Vec<String>,
}

impl Measurements {
    /// The histogram of a latency, in microseconds.
    #[must_use]
    pub fn histogram(&self, metric: Metric) -> &Histogram<u64> {
        &self.histograms[metric as usize]
    }

    /// A count.
    #[must_use]
    pub fn count(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// All errors.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Swipes that were planned and could not be sent.
    #[must_use]
    pub fn dropped_count(&self) -> u64 {
        [
            Counter::DroppedBacklog,
            Counter::DroppedNoItem,
            Counter::DroppedNoSocket,
            Counter::DroppedExpired,
            Counter::DroppedUnsent,
            Counter::DroppedTester,
        ]
        .into_iter()
        .map(|counter| self.count(counter))
        .sum()
    }
}

/// Collects measurements from many tasks.
#[derive(Debug)]
pub struct Recorder {
    inner: Mutex<Measurements>,
}

impl Recorder {
    /// Begins at `start`; the series has one point per `interval`.
    #[must_use]
    pub fn new(start: Instant, interval: Duration) -> Self {
        Self {
            inner: Mutex::new(Measurements {
                histograms: Metric::ALL.iter().map(|_| empty_histogram()).collect(),
                counters: vec![0; Counter::ALL.len()],
                errors: BTreeMap::new(),
                closes: BTreeMap::new(),
                series: Series::new(start, interval),
                learning: LearningCurve::default(),
                shifts: Vec::new(),
                remarks: Vec::new(),
            }),
        }
    }

    /// Lets the series begin anew: what came before (the first feeds) is in the totals only.
    pub fn restart_series(&self, start: Instant) {
        self.inner.lock().series.restart(start);
    }

    /// Adds a latency.
    pub fn latency(&self, metric: Metric, took: Duration, now: Instant) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock();
        inner.histograms[metric as usize].saturating_record(micros);
        if matches!(metric, Metric::EventToFeed | Metric::RestFeed) {
            inner.series.latency(micros, now);
        }
    }

    /// Adds to a count.
    pub fn add(&self, counter: Counter, amount: u64) {
        self.inner.lock().counters[counter as usize] += amount;
    }

    /// Adds to a count that has a place in the series.
    pub fn add_at(&self, counter: Counter, amount: u64, now: Instant) {
        let mut inner = self.inner.lock();
        inner.counters[counter as usize] += amount;
        inner.series.count(counter, amount, now);
    }

    /// Adds an error.
    pub fn error(&self, kind: &str) {
        self.errors(kind, 1);
    }

    /// Adds errors of one kind.
    pub fn errors(&self, kind: &str, amount: u64) {
        if amount == 0 {
            return;
        }
        let errors = &mut self.inner.lock().errors;
        let kind = if errors.len() < ERROR_KINDS_MAX || errors.contains_key(kind) {
            kind
        } else {
            ERROR_KIND_OTHER
        };
        *errors.entry(kind.to_owned()).or_default() += amount;
    }

    /// Adds a few words for people; only the first ones are kept.
    pub fn remark(&self, text: &str) {
        let remarks = &mut self.inner.lock().remarks;
        if remarks.len() < REMARKS_MAX {
            remarks.push(text.to_owned());
        }
    }

    /// Adds a close.
    pub fn close(&self, code: u16) {
        *self.inner.lock().closes.entry(code).or_default() += 1;
    }

    /// Adds to the learning curves.
    pub fn learning(&self, point: LearningPoint, viewer_swipes: u32, now: Instant) {
        let mut inner = self.inner.lock();
        inner.series.learning(&point, now);
        inner.learning.add(&point, viewer_swipes);
    }

    /// Adds what became of a viewer's sudden change.
    pub fn shift(&self, outcome: ShiftOutcome) {
        self.inner.lock().shifts.push(outcome);
    }

    /// A copy of everything so far.
    #[must_use]
    pub fn snapshot(&self) -> Measurements {
        self.inner.lock().clone()
    }

    /// A few numbers for a live view, without the cost of a copy.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let inner = self.inner.lock();
        let of_sockets = inner.histogram(Metric::EventToFeed);
        let latency = if of_sockets.is_empty() {
            inner.histogram(Metric::RestFeed)
        } else {
            of_sockets
        };
        Glance {
            planned: inner.count(Counter::Planned),
            sent: inner.count(Counter::Sent),
            feeds: inner.count(Counter::Feeds),
            dropped: inner.dropped_count(),
            errors: inner.error_count(),
            repeats: inner.count(Counter::Repeats),
            shown: inner.count(Counter::Shown),
            likes: inner.count(Counter::Likes),
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
            recent_p99_us: inner.series.recent_us(0.99),
        }
    }
}

/// A few numbers for a live view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// Swipes of the plan so far.
    pub planned: u64,
    /// Swipes sent.
    pub sent: u64,
    /// Feeds received.
    pub feeds: u64,
    /// Swipes planned and not sent.
    pub dropped: u64,
    /// Errors.
    pub errors: u64,
    /// Repeats shown.
    pub repeats: u64,
    /// Items shown.
    pub shown: u64,
    /// Likes.
    pub likes: u64,
    /// Median event-to-feed so far, in microseconds.
    pub p50_us: u64,
    /// 99th percentile of event-to-feed so far, in microseconds.
    pub p99_us: u64,
    /// The same in the newest interval of the series.
    pub recent_p99_us: u64,
}

impl Glance {
    /// Several processes in one: counts are added; of latencies the worst is taken, for they cannot be added.
    #[must_use]
    pub fn together(self, other: Glance) -> Glance {
        Glance {
            planned: self.planned + other.planned,
            sent: self.sent + other.sent,
            feeds: self.feeds + other.feeds,
            dropped: self.dropped + other.dropped,
            errors: self.errors + other.errors,
            repeats: self.repeats + other.repeats,
            shown: self.shown + other.shown,
            likes: self.likes + other.likes,
            p50_us: self.p50_us.max(other.p50_us),
            p99_us: self.p99_us.max(other.p99_us),
            recent_p99_us: self.recent_p99_us.max(other.recent_p99_us),
        }
    }
}

/// A histogram from 1 µs to ten minutes.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS).expect("the bounds are constant and valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_counts_and_errors_add_up() {
        let start = Instant::now();
        let recorder = Recorder::new(start, Duration::from_secs(1));
        recorder.latency(
            Metric::EventToFeed,
            Duration::from_millis(5),
            start + Duration::from_millis(1_500),
        );
        recorder.latency(Metric::EventToFeed, Duration::from_secs(3_600), start);
        recorder.add_at(Counter::Sent, 2, start);
        recorder.add(Counter::DroppedNoItem, 3);
        recorder.add(Counter::DroppedExpired, 1);
        recorder.errors("timeout", 2);
        let measured = recorder.snapshot();
        assert_eq!(measured.histogram(Metric::EventToFeed).len(), 2);
        assert!(
            measured.histogram(Metric::EventToFeed).max() >= LATENCY_US_MAX,
            "an overlong latency is kept at the end"
        );
        assert_eq!(
            (
                measured.count(Counter::Sent),
                measured.dropped_count(),
                measured.error_count()
            ),
            (2, 4, 2)
        );
        assert_eq!(recorder.glance().dropped, 4);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let recorder = Recorder::new(Instant::now(), Duration::from_secs(1));
        (0..200).for_each(|kind| recorder.error(&format!("kind {kind}")));
        let measured = recorder.snapshot();
        assert_eq!(measured.errors.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(measured.error_count(), 200);
    }
}
