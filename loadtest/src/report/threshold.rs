//! `--threshold 'event_to_feed.p99<20ms'`: what has to hold at the end of a run.
//!
//! Owns the little language and its errors.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Report;
use crate::client::record::{Counter, Metric};

/// The fields of a latency.
const LATENCY_FIELDS: [&str; 7] = ["p50", "p90", "p99", "p999", "max", "mean", "count"];
/// Values that are neither latencies nor counts.
const OTHER_METRICS: [&str; 17] = [
    "errors",
    "dropped",
    "drop_rate",
    "sent_per_second",
    "like_rate",
    "lift_over_random",
    "lift_over_popular",
    "taste_change.median_swipes",
    "tester.cores",
    "tester.dispatch_lag_max",
    "server.cores",
    "server.cpu_per_swipe",
    "server.rss_bytes",
    "server.rss_bytes_per_session",
    "server.rss_growth_bytes_per_hour",
    "floor_ratio",
    "hit_share",
];

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// The operators, the longer ones first so that they are found first.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
        }
    }
}

/// A condition on one number of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    text: String,
    metric: String,
    operator: Operator,
    /// In microseconds for times.
    limit: f64,
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdResult {
    /// The condition as it was given.
    pub threshold: String,
    /// What was found, in microseconds for times; nothing when it was not measured.
    pub found: Option<f64>,
    /// Whether it holds; never when nothing was found.
    pub met: bool,
}

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No operator.
    #[error("{0:?} has no operator; write something like 'event_to_feed.p99<20ms' or 'repeats==0'")]
    NoOperator(String),
    /// No such number.
    #[error("{metric:?} is not a metric; there are {known}")]
    UnknownMetric {
        /// What was written.
        metric: String,
        /// What could be written.
        known: String,
    },
    /// A limit that is not a number.
    #[error("{0:?} is not a number with an optional unit")]
    NotANumber(String),
    /// A time without its unit.
    #[error("{0} is a time: give a unit (us, ms or s)")]
    NoUnit(String),
    /// A unit on something that is no time.
    #[error("{0} is not a time: leave the unit away")]
    UnitOnCount(String),
}

impl Threshold {
    /// Whether its number is a time, in microseconds.
    #[must_use]
    pub fn is_time(&self) -> bool {
        is_time(&self.metric)
    }

    /// Checks a report.
    #[must_use]
    pub fn check(&self, report: &Report) -> ThresholdResult {
        let found = value_of(report, &self.metric).filter(|value| value.is_finite());
        let met = found.is_some_and(|value| self.operator.holds(value, self.limit));
        ThresholdResult {
            threshold: self.text.clone(),
            found,
            met,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (place, length, operator) = OPERATORS
            .iter()
            .filter_map(|(sign, operator)| text.find(sign).map(|place| (place, sign.len(), *operator)))
            .min_by_key(|(place, length, _)| (*place, usize::MAX - length))
            .ok_or_else(|| ThresholdError::NoOperator(text.to_owned()))?;
        let metric = text[..place].trim().to_owned();
        if !is_known(&metric) {
            return Err(ThresholdError::UnknownMetric {
                metric,
                known: known_metrics(),
            });
        }
        let limit = parse_limit(&metric, text[place + length..].trim())?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            operator,
            limit,
        })
    }
}

/// Reads a limit; times come out in microseconds.
fn parse_limit(metric: &str, text: &str) -> Result<f64, ThresholdError> {
    let number_end = text
        .find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c)))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let not_a_number = || ThresholdError::NotANumber(text.to_owned());
    let number: f64 = number.parse().map_err(|_| not_a_number())?;
    let factor = match unit.trim() {
        "" => None,
        "us" | "µs" => Some(1.0),
        "ms" => Some(1e3),
        "s" => Some(1e6),
        _ => return Err(not_a_number()),
    };
    match (is_time(metric), factor) {
        (true, Some(factor)) => Ok(number * factor),
        (true, None) => Err(ThresholdError::NoUnit(metric.to_owned())),
        (false, None) => Ok(number),
        (false, Some(_)) => Err(ThresholdError::UnitOnCount(metric.to_owned())),
    }
}

/// `event_to_feed.p99` → the latency and its field.
fn split_latency(metric: &str) -> Option<(&str, &str)> {
    let (name, field) = metric.split_once('.')?;
    // 99.9 is written with and without its point.
    let field = if field == "p99.9" { "p999" } else { field };
    let known = Metric::ALL.iter().any(|metric| metric.name() == name) && LATENCY_FIELDS.contains(&field);
    known.then_some((name, field))
}

fn is_time(metric: &str) -> bool {
    split_latency(metric).is_some_and(|(_, field)| field != "count")
        || matches!(metric, "tester.dispatch_lag_max" | "server.cpu_per_swipe")
}

fn is_known(metric: &str) -> bool {
    split_latency(metric).is_some()
        || OTHER_METRICS.contains(&metric)
        || Counter::ALL.iter().any(|counter| counter.name() == metric)
}

fn known_metrics() -> String {
    let latencies: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let counters: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
    format!(
        "{} (each with .{}), {}, {}",
        latencies.join(", "),
        LATENCY_FIELDS.join(" ."),
        OTHER_METRICS.join(", "),
        counters.join(", ")
    )
}

/// The number that a metric names.
pub(super) fn value_of(report: &Report, metric: &str) -> Option<f64> {
    if let Some((name, field)) = split_latency(metric) {
        let latency = report.latencies.get(name)?;
        if field == "count" {
            return Some(latency.count as f64);
        }
        let value = match field {
            "p50" => latency.p50_us as f64,
            "p90" => latency.p90_us as f64,
            "p99" => latency.p99_us as f64,
            "p999" => latency.p999_us as f64,
            "max" => latency.max_us as f64,
            _ => latency.mean_us,
        };
        return (latency.count > 0).then_some(value);
    }
    match metric {
        "errors" => Some(report.errors as f64),
        "dropped" => Some(report.swipes.dropped as f64),
        "drop_rate" => Some(report.swipes.dropped as f64 / (report.swipes.planned.max(1)) as f64),
        "sent_per_second" => Some(report.swipes.sent_per_second),
        "like_rate" => report.learning.expected,
        "lift_over_random" => report.learning.lift_over_random,
        "lift_over_popular" => report.learning.lift_over_popular,
        "taste_change.median_swipes" => report.taste_change.median_swipes,
        "tester.cores" => report.tester.cores,
        "tester.dispatch_lag_max" => Some(report.tester.dispatch_lag_max_us as f64),
        "server.cores" => report.server.cores,
        "server.cpu_per_swipe" => report.server.cpu_us_per_swipe,
        "server.rss_bytes" => report.server.rss_bytes,
        "server.rss_bytes_per_session" => report.server.rss_bytes_per_session,
        "server.rss_growth_bytes_per_hour" => report.server.rss_growth_bytes_per_hour,
        "floor_ratio" => report.floor.and_then(|floor| floor.ratio),
        "hit_share" => super::hit_share(report, "since"),
        counter => report.counters.get(counter).map(|count| *count as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::sample;
    use super::*;
    use proptest::prelude::*;

    fn met(text: &str) -> bool {
        let report = sample(&[5; 100], &[]);
        text.parse::<Threshold>()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .check(&report)
            .met
    }

    #[test]
    fn conditions_are_read_and_checked() {
        assert!(met("event_to_feed.p99<20ms"));
        assert!(!met("event_to_feed.p99 < 4999us"));
        assert!(met("event_to_feed.p99.9 <= 0.0051s"));
        assert!(met("repeats==0"));
        assert!(met("errors != 0"));
        assert!(!met("dropped<2"));
        assert!(met("dropped>=2"));
        assert!(met("lift_over_random>2.9"));
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert!(!met("event_to_ack.p99<1000s"));
        assert!(!met("lift_over_popular>0"));
    }

    #[test]
    fn errors_say_what_to_write_instead() {
        let error = |text: &str| text.parse::<Threshold>().expect_err(text).to_string();
        assert!(error("event_to_feed.p99").contains("no operator"));
        assert!(error("event_to_fed.p99<1ms").contains("event_to_feed"));
        assert!(error("event_to_feed.p98<1ms").contains(".p50"));
        assert!(error("event_to_feed.p99<20").contains("give a unit"));
        assert!(error("repeats<1ms").contains("leave the unit"));
        assert!(error("repeats<many").contains("not a number"));
        assert!(error("event_to_feed.p99<1h").contains("not a number"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Threshold>();
        }
    }
}
