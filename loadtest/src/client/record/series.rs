//! What happened when: one point per interval.
//!
//! Owns the points and their bound: when there are too many, two become one and the interval doubles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::transfer::pairs;
use super::{Counter, LearningPoint, empty_histogram};

/// The most points of a series.
const POINTS_MAX: usize = 600;

/// One point of the series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Swipes of the plan.
    pub planned: u64,
    /// Swipes sent.
    pub sent: u64,
    /// Swipes planned and not sent.
    pub dropped: u64,
    /// Feeds received.
    pub feeds: u64,
    /// What viewers thought of what they got.
    pub learning: LearningPoint,
    /// Event-to-feed latencies that ended here, as (microseconds, count), rising.
    latencies: Vec<(u64, u64)>,
}

impl Interval {
    /// A quantile of event-to-feed in this interval, in microseconds.
    #[must_use]
    pub fn latency_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.latencies.iter().map(|(_, count)| count).sum();
        let target = ((total as f64 * quantile).ceil() as u64).max(1);
        let mut sum = 0;
        self.latencies.iter().find_map(|(value, count)| {
            sum += count;
            (sum >= target).then_some(*value)
        })
    }

    fn absorb(&mut self, other: Interval) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.feeds += other.feeds;
        self.learning.absorb(&other.learning);
        for (value, count) in other.latencies {
            self.add_latency(value, count);
        }
    }

    fn add_latency(&mut self, value: u64, count: u64) {
        match self.latencies.binary_search_by_key(&value, |(known, _)| *known) {
            Ok(place) => self.latencies[place].1 += count,
            Err(place) => self.latencies.insert(place, (value, count)),
        }
    }
}

/// Points over time. Only the newest point holds a whole histogram; older ones hold what was recorded.
#[derive(Debug, Clone)]
pub struct Series {
    start: Instant,
    interval: Duration,
    points: Vec<Interval>,
    current: usize,
    histogram: Histogram<u64>,
}

impl Series {
    /// An empty series.
    pub(crate) fn new(start: Instant, interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(10));
        Self {
            start,
            interval,
            points: Vec::new(),
            current: 0,
            histogram: empty_histogram(),
        }
    }

    /// The width of a point.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The points, oldest first.
    #[must_use]
    pub fn points(&self) -> Vec<Interval> {
        let mut closed = self.clone();
        closed.close_current();
        closed.points
    }

    /// A quantile of the newest interval that has any latencies, in microseconds.
    pub(crate) fn recent_us(&self, quantile: f64) -> u64 {
        if !self.histogram.is_empty() {
            return self.histogram.value_at_quantile(quantile);
        }
        let newest = self.points.iter().rev().find_map(|point| point.latency_us(quantile));
        newest.unwrap_or(0)
    }

    /// Adds the points of a series that began at the same time.
    pub(crate) fn absorb(&mut self, interval: Duration, points: Vec<Interval>) {
        self.close_current();
        while self.interval < interval {
            self.halve();
        }
        for (place, point) in points.into_iter().enumerate() {
            let at = interval.as_nanos() * place as u128;
            let place = ((at / self.interval.as_nanos().max(1)) as usize).min(POINTS_MAX - 1);
            if place >= self.points.len() {
                self.points.resize(place + 1, Interval::default());
            }
            self.points[place].absorb(point);
        }
    }

    pub(crate) fn restart(&mut self, start: Instant) {
        self.start = start;
        self.points.clear();
        self.current = 0;
        self.histogram.reset();
    }

    pub(crate) fn latency(&mut self, micros: u64, now: Instant) {
        self.point(now);
        self.histogram.saturating_record(micros);
    }

    pub(crate) fn count(&mut self, counter: Counter, amount: u64, now: Instant) {
        let place = self.point(now);
        let point = &mut self.points[place];
        if counter == Counter::Planned {
            point.planned += amount;
        } else if counter == Counter::Sent {
            point.sent += amount;
        } else if counter == Counter::Feeds {
            point.feeds += amount;
        } else if counter.name().starts_with("dropped_") {
            point.dropped += amount;
        }
    }

    pub(crate) fn learning(&mut self, learning: &LearningPoint, now: Instant) {
        let place = self.point(now);
        self.points[place].learning.absorb(learning);
    }

    /// The place of the point for `now`; makes it, and room for it, when needed.
    fn point(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.start);
        loop {
            let place = (elapsed.as_nanos() / self.interval.as_nanos().max(1)) as usize;
            if place >= POINTS_MAX {
                self.halve();
                continue;
            }
            // Tasks may be a little out of step: what comes late counts for the newest point.
            let place = place.max(self.current);
            if place > self.current {
                self.close_current();
                self.current = place;
            }
            if place >= self.points.len() {
                self.points.resize(place + 1, Interval::default());
            }
            return place;
        }
    }

    fn close_current(&mut self) {
        if self.histogram.is_empty() {
            return;
        }
        if self.current >= self.points.len() {
            self.points.resize(self.current + 1, Interval::default());
        }
        let point = &mut self.points[self.current];
        for (value, count) in pairs(&self.histogram) {
            point.add_latency(value, count);
        }
        self.histogram.reset();
    }

    fn halve(&mut self) {
        self.close_current();
        self.interval *= 2;
        self.current /= 2;
        let points = std::mem::take(&mut self.points);
        for (place, point) in points.into_iter().enumerate() {
            if place % 2 == 0 {
                self.points.push(point);
            } else if let Some(last) = self.points.last_mut() {
                last.absorb(point);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_keep_their_place_and_their_quantiles() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut series = Series::new(start, Duration::from_secs(1));
        series.count(Counter::Sent, 1, at(100));
        (1..=100).for_each(|micros| series.latency(micros, at(2_500)));
        series.latency(7, at(3_100));
        let points = series.points();
        assert_eq!(points.len(), 4);
        assert_eq!((points[0].sent, points[1].latency_us(0.5)), (1, None));
        assert_eq!(
            (points[2].latency_us(0.5), points[2].latency_us(0.99)),
            (Some(50), Some(99))
        );
        assert_eq!(points[3].latency_us(1.0), Some(7));
    }

    #[test]
    fn a_long_series_is_halved_and_loses_nothing() {
        let start = Instant::now();
        let mut series = Series::new(start, Duration::from_secs(1));
        for second in 0..5_000_u64 {
            let now = start + Duration::from_secs(second);
            series.count(Counter::Sent, 1, now);
            series.latency(10, now);
        }
        let points = series.points();
        assert!(points.len() <= POINTS_MAX);
        assert_eq!(series.interval(), Duration::from_secs(16));
        assert_eq!(points.iter().map(|point| point.sent).sum::<u64>(), 5_000);
        let recorded: u64 = points
            .iter()
            .flat_map(|point| &point.latencies)
            .map(|(_, count)| count)
            .sum();
        assert_eq!(recorded, 5_000);
    }
}
