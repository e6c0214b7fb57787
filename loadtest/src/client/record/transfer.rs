//! Measurements on their way from one process of the tester to another.
//!
//! Owns the form and the adding up. Must not know how they travel.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Interval, LearningCurve, Measurements, Recorder, ShiftOutcome};

/// Measurements that can be written down. Histograms are lists of (microseconds, count).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeasurementsDto {
    histograms: Vec<Vec<(u64, u64)>>,
    counters: Vec<u64>,
    errors: BTreeMap<String, u64>,
    closes: BTreeMap<u16, u64>,
    interval: Duration,
    points: Vec<Interval>,
    learning: LearningCurve,
    shifts: Vec<ShiftOutcome>,
    remarks: Vec<String>,
}

impl From<&Measurements> for MeasurementsDto {
    fn from(measured: &Measurements) -> Self {
        Self {
            histograms: measured.histograms.iter().map(pairs).collect(),
            counters: measured.counters.clone(),
            errors: measured.errors.clone(),
            closes: measured.closes.clone(),
            interval: measured.series.interval(),
            points: measured.series.points(),
            learning: measured.learning.clone(),
            shifts: measured.shifts.clone(),
            remarks: measured.remarks.clone(),
        }
    }
}

/// The recorded values of a histogram, rising.
pub(super) fn pairs(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let values = histogram.iter_recorded();
    values
        .map(|value| (value.value_iterated_to(), value.count_at_value()))
        .collect()
}

impl Recorder {
    /// Adds what another process has measured. The two began at the same time.
    pub fn absorb(&self, other: MeasurementsDto) {
        for (kind, amount) in &other.errors {
            self.errors(kind, *amount);
        }
        for remark in &other.remarks {
            self.remark(remark);
        }
        let mut inner = self.inner.lock();
        for (histogram, values) in inner.histograms.iter_mut().zip(other.histograms) {
            for (value, count) in values {
                histogram.saturating_record_n(value, count);
            }
        }
        for (counter, amount) in inner.counters.iter_mut().zip(other.counters) {
            *counter += amount;
        }
        for (code, amount) in other.closes {
            *inner.closes.entry(code).or_default() += amount;
        }
        inner.series.absorb(other.interval, other.points);
        inner.learning.absorb(&other.learning);
        inner.shifts.extend(other.shifts);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::{Counter, LearningPoint, Metric};
    use super::*;

    #[test]
    fn two_halves_are_the_whole() {
        let start = Instant::now();
        let whole = Recorder::new(start, Duration::from_secs(1));
        let halves = [(); 2].map(|()| Recorder::new(start, Duration::from_secs(1)));
        for n in 0..2_000_u64 {
            let now = start + Duration::from_millis(n * 7);
            for recorder in [&whole, &halves[(n % 2) as usize]] {
                recorder.latency(Metric::EventToFeed, Duration::from_micros(n * 13), now);
                recorder.add_at(Counter::Sent, 1, now);
                recorder.error(if n % 3 == 0 { "a" } else { "b" });
                recorder.close((1_000 + n % 2) as u16);
                let point = LearningPoint {
                    shown: 1,
                    expected: 0.5,
                    ..LearningPoint::default()
                };
                recorder.learning(point, (n % 40) as u32, now);
            }
        }
        let sum = Recorder::new(start, Duration::from_secs(1));
        for half in &halves {
            let text = serde_json::to_string(&MeasurementsDto::from(&half.snapshot())).expect("JSON");
            sum.absorb(serde_json::from_str(&text).expect("JSON"));
        }
        let (sum, whole) = (sum.snapshot(), whole.snapshot());
        assert_eq!(sum.histogram(Metric::EventToFeed), whole.histogram(Metric::EventToFeed));
        assert_eq!((&sum.errors, &sum.closes), (&whole.errors, &whole.closes));
        assert_eq!(sum.count(Counter::Sent), 2_000);
        assert_eq!(sum.series.points(), whole.series.points());
        assert_eq!(sum.learning, whole.learning);
    }
}
