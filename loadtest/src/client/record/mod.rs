//! Measurements of a run, shared by all viewers.
//!
//! Owns histograms, counters, error kinds, the series over time and the learning curves. Must not know sockets or
//! reports.

mod learning;
mod series;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use learning::{LearningCurve, LearningPoint, SWIPES_PER_POINT, ShiftOutcome};
pub use series::{Interval, Series};

/// The longest latency that is told apart: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;
/// The most kinds of errors that are told apart.
const ERROR_KINDS_MAX: usize = 64;
/// The kind of errors beyond that.
const ERROR_KIND_OTHER: &str = "other";

macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

named_enum! {
    /// A latency.
    Metric {
        /// From the first byte of TCP to the end of the upgrade.
        Connect => "connect",
        /// From the end of the upgrade to `welcome`.
        Welcome => "welcome",
        /// From the end of the upgrade to the first feed.
        FirstFeed => "first_feed",
        /// From the planned instant of a swipe to the feed that it caused.
        EventToFeed => "event_to_feed",
        /// The same from the instant of the write: what a tester that waits for the server would have measured.
        EventToFeedUncorrected => "event_to_feed_uncorrected",
        /// From the planned instant of a message of events to its ack.
        EventToAck => "event_to_ack",
        /// The same from the instant of the write.
        EventToAckUncorrected => "event_to_ack_uncorrected",
        /// From a request for more to its feed.
        RequestToFeed => "request_to_feed",
        /// Between two feeds on one socket.
        PushGap => "push_gap",
        /// From the loss of a socket to the first feed on the next one.
        Resume => "resume",
        /// How late the tester itself was: from the planned instant (or from the end of what kept the viewer busy) to the
        /// write.
        TesterLag => "tester_lag",
    }
}

named_enum! {
    /// A count.
    Counter {
        /// Swipes of the plan.
        Planned => "planned",
        /// Swipes sent.
        Sent => "sent",
        /// Planned while the viewer was away between two sessions by its own will: neither sent nor dropped.
        Away => "away",
        /// Not sent: too many of the viewer's planned swipes were waiting already.
        DroppedBacklog => "dropped_backlog",
        /// Not sent: nothing to swipe on.
        DroppedNoItem => "dropped_no_item",
        /// Not sent: no socket.
        DroppedNoSocket => "dropped_no_socket",
        /// Not sent: waited for longer than the time-out.
        DroppedExpired => "dropped_expired",
        /// Not sent: the run was over.
        DroppedUnsent => "dropped_unsent",
        /// Single events sent.
        Events => "events",
        /// Feeds received.
        Feeds => "feeds",
        /// Swipes that were answered only together with a later one.
        Overtaken => "overtaken",
        /// Swipes whose feed was lost with its socket.
        Interrupted => "interrupted",
        /// Acks received.
        Acks => "acks",
        /// Events that the server had taken before.
        Duplicates => "duplicates",
        /// Events sent a second time on purpose.
        DuplicatesSent => "duplicates_sent",
        /// Items put on the screen.
        Shown => "shown",
        /// Items put on the screen of the same viewer twice.
        Repeats => "repeats",
        /// Items pushed that the server knew to have been shown.
        RepeatsPushed => "repeats_pushed",
        /// Items dropped because feed and `seen` had crossed.
        Crossed => "crossed",
        /// Likes.
        Likes => "likes",
        /// Skips.
        Skips => "skips",
        /// Sockets opened.
        Connects => "connects",
        /// Sockets opened to go on with a session.
        Reconnects => "reconnects",
        /// Sessions that the server says go on.
        Recovered => "recovered",
        /// Feeds that the server says are less than they could be.
        Degraded => "degraded",
        /// Bytes of messages sent.
        BytesOut => "bytes_out",
        /// Bytes of messages received.
        BytesIn => "bytes_in",
        /// Bytes of frames that held a feed.
        FeedBytes => "feed_bytes",
        /// Bytes of frames that held events.
        EventBytes => "event_bytes",
        /// Frames that held events.
        EventFrames => "event_frames",
    }
}

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
            }),
        }
    }

    /// Moves the beginning of the series: what comes before counts for its first point.
    pub fn restart_series(&self, start: Instant) {
        self.inner.lock().series.restart(start);
    }

    /// Adds a latency.
    pub fn latency(&self, metric: Metric, took: Duration, now: Instant) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock();
        inner.histograms[metric as usize].saturating_record(micros);
        if metric == Metric::EventToFeed {
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
        let latency = inner.histogram(Metric::EventToFeed);
        Glance {
            sent: inner.count(Counter::Sent),
            feeds: inner.count(Counter::Feeds),
            dropped: inner.dropped_count(),
            errors: inner.error_count(),
            repeats: inner.count(Counter::Repeats),
            shown: inner.count(Counter::Shown),
            likes: inner.count(Counter::Likes),
            p50_us: latency.value_at_quantile(0.5),
            p99_us: latency.value_at_quantile(0.99),
        }
    }
}

/// A few numbers for a live view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
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
