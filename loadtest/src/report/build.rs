//! From measurements to a report.
//!
//! Owns the arithmetic between the two. Must not know files or formats.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{
    BytesReport, FloorReport, LatencyReport, LearningReport, RatePoint, Report, SCHEMA, SeriesPoint, SeriesReport,
    Settings, SwipeReport, TasteChangeReport, TesterReport, Threshold,
};
use crate::client::record::{Counter, LearningPoint, Measurements, Metric, SWIPES_PER_POINT};
use crate::run::{RandomSource, RunOutcome};

/// Percentiles of a spectrum; equal steps of nines.
const SPECTRUM: [f64; 16] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 100.0,
];

/// Latencies with a spectrum.
const SPECTRA: [Metric; 5] = [
    Metric::EventToFeed,
    Metric::EventToFeedUncorrected,
    Metric::EventToAck,
    Metric::RestFeed,
    Metric::RestFeedUncorrected,
];

/// What a report is made of.
#[derive(Debug)]
pub struct BuildInput<'a> {
    /// What was asked for.
    pub settings: Settings,
    /// What came out.
    pub outcome: &'a RunOutcome,
    /// What the echo cost per swipe before and after the plan, in microseconds.
    pub floor_us: Option<(f64, f64)>,
    /// When the run began, in milliseconds since 1970-01-01 UTC.
    pub started_at: i64,
    /// Where the random yardstick came from.
    pub random_source: Option<RandomSource>,
    /// The share of a feed at which a change of taste shows.
    pub shift_share: f64,
    /// What shall hold.
    pub thresholds: &'a [Threshold],
}

/// Makes the report.
#[must_use]
pub fn build(input: BuildInput<'_>) -> Report {
    let measured = &input.outcome.measured;
    let seconds = input.outcome.took.as_secs_f64();
    let latencies = Metric::ALL
        .iter()
        .map(|metric| (metric.name().to_owned(), latency(measured.histogram(*metric))))
        .collect();
    let spectra = SPECTRA
        .into_iter()
        .filter(|metric| !measured.histogram(*metric).is_empty())
        .map(|metric| (metric.name().to_owned(), spectrum(measured.histogram(metric))))
        .collect();
    let counters = Counter::ALL
        .iter()
        .map(|counter| (counter.name().to_owned(), measured.count(*counter)))
        .collect();
    let cpu_s = input.outcome.tester_cpu.map(|cpu| cpu.as_secs_f64());
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: input.started_at,
        took_s: seconds,
        ready_sessions: input.outcome.ready,
        swipes: swipes(measured, seconds),
        latencies,
        spectra,
        counters,
        errors: measured.error_count(),
        errors_by_kind: measured.errors.clone(),
        closes: measured.closes.clone(),
        tester: TesterReport {
            cpu_s,
            cores: cpu_s.filter(|_| seconds > 0.0).map(|cpu| cpu / seconds),
            dispatch_lag_max_us: micros(input.outcome.dispatch.lag_max),
        },
        remarks: measured.remarks.clone(),
        bytes: bytes(measured, input.settings.sessions),
        floor: input
            .floor_us
            .map(|pair| floor(pair, input.outcome.server.cpu_us_per_swipe)),
        server: input.outcome.server.clone(),
        learning: learning(measured, input.random_source),
        taste_change: taste_change(measured, input.shift_share),
        series: series(measured, input.settings.duration_s),
        thresholds: Vec::new(),
        settings: input.settings,
    };
    report.thresholds = input
        .thresholds
        .iter()
        .map(|threshold| threshold.check(&report))
        .collect();
    report
}

fn swipes(measured: &Measurements, seconds: f64) -> SwipeReport {
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let dropped_by: BTreeMap<String, u64> = Counter::ALL
        .iter()
        .filter_map(|counter| {
            let reason = counter.name().strip_prefix("dropped_")?;
            let count = measured.count(*counter);
            (count > 0).then(|| (reason.to_owned(), count))
        })
        .collect();
    SwipeReport {
        planned: measured.count(Counter::Planned),
        sent: measured.count(Counter::Sent),
        away: measured.count(Counter::Away),
        dropped: measured.dropped_count(),
        dropped_by,
        sent_per_second: per_second(measured.count(Counter::Sent)),
        feeds_per_second: per_second(measured.count(Counter::Feeds)),
    }
}

fn bytes(measured: &Measurements, sessions: usize) -> BytesReport {
    let per = |bytes: Counter, count: u64| (count > 0).then(|| measured.count(bytes) as f64 / count as f64);
    BytesReport {
        in_per_session: per(Counter::BytesIn, sessions as u64),
        out_per_session: per(Counter::BytesOut, sessions as u64),
        per_feed: per(Counter::FeedBytes, measured.count(Counter::Feeds)),
        per_event_frame: per(Counter::EventBytes, measured.count(Counter::EventFrames)),
    }
}

fn floor((before_us, after_us): (f64, f64), server_us: Option<f64>) -> FloorReport {
    let mean = f64::midpoint(before_us, after_us);
    FloorReport {
        cpu_us_per_swipe: mean,
        before_us,
        after_us,
        ratio: server_us.filter(|_| mean > 0.0).map(|server| server / mean),
    }
}

fn latency(histogram: &Histogram<u64>) -> LatencyReport {
    let at = |quantile| histogram.value_at_quantile(quantile).min(histogram.max());
    if histogram.is_empty() {
        return LatencyReport::default();
    }
    LatencyReport {
        count: histogram.len(),
        mean_us: histogram.mean(),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: histogram.max(),
    }
}

fn spectrum(histogram: &Histogram<u64>) -> Vec<[f64; 2]> {
    if histogram.is_empty() {
        return Vec::new();
    }
    SPECTRUM
        .iter()
        .map(|percentile| [*percentile, histogram.value_at_percentile(*percentile) as f64])
        .collect()
}

fn learning(measured: &Measurements, random_source: Option<RandomSource>) -> LearningReport {
    let total = measured.learning.total();
    let ratio = |yardstick: Option<f64>| Some(total.expected_rate()? / yardstick.filter(|rate| *rate > 0.0)?);
    let by_swipe = measured.learning.points().iter().enumerate();
    LearningReport {
        like_rate: total.like_rate(),
        expected: total.expected_rate(),
        random: total.random_rate(),
        popular: total.popular_rate(),
        lift_over_random: ratio(total.random_rate()),
        lift_over_popular: ratio(total.popular_rate()),
        random_source,
        by_swipe: by_swipe
            .map(|(place, point)| rate_point(place as f64 * f64::from(SWIPES_PER_POINT), point))
            .filter(|point| point.shown > 0)
            .collect(),
    }
}

fn rate_point(from: f64, point: &LearningPoint) -> RatePoint {
    RatePoint {
        from,
        shown: point.shown,
        expected: point.expected_rate(),
        random: point.random_rate(),
        popular: point.popular_rate(),
    }
}

fn taste_change(measured: &Measurements, share: f64) -> TasteChangeReport {
    let mut shown: Vec<u32> = measured
        .shifts
        .iter()
        .filter_map(|outcome| outcome.shown_after_swipes)
        .collect();
    let mut never: Vec<u32> = measured
        .shifts
        .iter()
        .filter(|outcome| outcome.shown_after_swipes.is_none())
        .map(|outcome| outcome.swipes_after)
        .collect();
    TasteChangeReport {
        share,
        changed: measured.shifts.len(),
        shown: shown.len(),
        median_swipes: median(&mut shown),
        median_swipes_of_never: median(&mut never),
    }
}

fn median(values: &mut [u32]) -> Option<f64> {
    values.sort_unstable();
    let upper = values.get(values.len() / 2).copied()?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(f64::from(lower), f64::from(upper)))
}

/// The points of the plan's time; what trickles in afterwards is in the totals only.
fn series(measured: &Measurements, duration_s: f64) -> SeriesReport {
    let interval_s = measured.series.interval().as_secs_f64();
    let points = measured.series.points();
    let points = points.iter().enumerate().map(|(place, point)| {
        let at_s = place as f64 * interval_s;
        SeriesPoint {
            at_s,
            planned: point.planned,
            sent: point.sent,
            dropped: point.dropped,
            feeds: point.feeds,
            p50_us: point.latency_us(0.5),
            p99_us: point.latency_us(0.99),
            max_us: point.latency_us(1.0),
            rates: rate_point(at_s, &point.learning),
        }
    });
    SeriesReport {
        interval_s,
        points: points.take_while(|point| point.at_s < duration_s).collect(),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::client::Proto;
    use crate::client::record::{Recorder, ShiftOutcome};
    use crate::plan::{Arrivals, DispatchTotals};
    use crate::run::{Scenario, ServerUsage};

    /// A report of a small made-up run, for the tests of this folder.
    pub(crate) fn sample(latencies_ms: &[u64], thresholds: &[Threshold]) -> Report {
        let start = Instant::now();
        let recorder = Arc::new(Recorder::new(start, Duration::from_secs(1)));
        for (place, latency_ms) in latencies_ms.iter().enumerate() {
            let now = start + Duration::from_millis(100 * place as u64);
            recorder.latency(Metric::EventToFeed, Duration::from_millis(*latency_ms), now);
            recorder.add_at(Counter::Planned, 1, now);
            recorder.add_at(Counter::Sent, 1, now);
            let point = LearningPoint {
                shown: 1,
                expected: 0.3,
                random: 0.1,
                random_draws: 1,
                ..LearningPoint::default()
            };
            recorder.learning(point, place as u32, now);
        }
        recorder.add_at(Counter::DroppedNoItem, 2, start);
        recorder.error("timeout_ack");
        for (shown, after) in [(Some(4), 4), (Some(7), 7), (None, 12)] {
            recorder.shift(ShiftOutcome {
                shown_after_swipes: shown,
                swipes_after: after,
            });
        }
        let outcome = RunOutcome {
            measured: recorder.snapshot(),
            dispatch: DispatchTotals::default(),
            ready: 3,
            took: Duration::from_secs(10),
            tester_cpu: Some(Duration::from_secs(2)),
            server: ServerUsage {
                cpu_us_per_swipe: Some(300.0),
                ..ServerUsage::default()
            },
        };
        build(BuildInput {
            settings: Settings {
                url: "ws://127.0.0.1:1/v1/stream".to_owned(),
                proto: Proto::Json,
                sessions: 3,
                rate: 10.0,
                duration_s: 10.0,
                arrivals: Arrivals::Poisson,
                scenario: Scenario::Steady,
                seed: 1,
                in_flight_max: 1,
                processes: 1,
                mix: None,
                connections: None,
                hit_item: None,
            },
            outcome: &outcome,
            floor_us: Some((90.0, 110.0)),
            started_at: 1_790_000_000_000,
            random_source: Some(RandomSource::Latest),
            shift_share: 0.25,
            thresholds,
        })
    }

    #[test]
    fn numbers_come_out_as_they_went_in() {
        let latencies: Vec<u64> = (1..=100).collect();
        let report = sample(&latencies, &[]);
        let latency = report.latencies["event_to_feed"];
        assert_eq!(latency.count, 100);
        assert!((49_900..=50_100).contains(&latency.p50_us), "{}", latency.p50_us);
        assert!((99_900..=100_100).contains(&latency.max_us));
        assert_eq!(
            (report.swipes.planned, report.swipes.dropped, report.errors),
            (100, 2, 1)
        );
        assert_eq!(report.swipes.dropped_by, BTreeMap::from([("no_item".to_owned(), 2)]));
        assert!((report.learning.lift_over_random.expect("both are there") - 3.0).abs() < 1e-9);
        assert_eq!(
            (report.taste_change.changed, report.taste_change.median_swipes),
            (3, Some(5.5))
        );
        assert_eq!(report.series.points.iter().map(|point| point.sent).sum::<u64>(), 100);
        assert_eq!(report.tester.cores, Some(0.2));
        assert_eq!(report.floor.and_then(|floor| floor.ratio), Some(3.0));
    }

    #[test]
    fn a_report_survives_its_file_and_refuses_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = sample(&[1, 2, 3], &[]);
        report.write(folder.path()).expect("written");
        let read = Report::read(folder.path()).expect("read");
        // Means and rates may lose their last digit on the way.
        assert_eq!(
            (&read.settings, &read.counters, &read.closes),
            (&report.settings, &report.counters, &report.closes)
        );
        assert_eq!(
            read.latencies["event_to_feed"].p99_us,
            report.latencies["event_to_feed"].p99_us
        );
        assert_eq!(read.series.points.len(), report.series.points.len());
        let other = folder.path().join("other.json");
        std::fs::write(&other, r#"{"schema":"swipeline-loadtest/0"}"#).expect("written");
        assert!(
            Report::read(&other)
                .expect_err("another version")
                .to_string()
                .contains("swipeline-loadtest/0")
        );
        assert!(Report::read(&folder.path().join("none.json")).is_err());
    }
}
