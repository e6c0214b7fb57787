//! Two reports side by side.
//!
//! Owns which numbers are compared and what counts as worse.

use super::Report;
use super::threshold::value_of;

/// Whether less of it is better.
const COMPARED: [(&str, bool); 21] = [
    ("event_to_feed.p50", true),
    ("event_to_feed.p99", true),
    ("event_to_feed.p999", true),
    ("event_to_feed.max", true),
    ("event_to_ack.p50", true),
    ("event_to_ack.p99", true),
    ("request_to_feed.p99", true),
    ("rest_feed.p50", true),
    ("rest_feed.p99", true),
    ("connect.p99", true),
    ("first_feed.p99", true),
    ("sent_per_second", false),
    ("drop_rate", true),
    ("errors", true),
    ("repeats", true),
    ("lift_over_random", false),
    ("taste_change.median_swipes", true),
    ("server.cpu_per_swipe", true),
    ("floor_ratio", true),
    ("server.rss_bytes", true),
    ("server.rss_bytes_per_session", true),
];

/// One number of both reports.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRow {
    /// Its name.
    pub metric: &'static str,
    /// In the first report, in microseconds for times.
    pub before: Option<f64>,
    /// In the second.
    pub after: Option<f64>,
    /// `after / before`, when both are there and the first is not zero.
    pub ratio: Option<f64>,
    /// Whether the second is worse by more than the tolerance.
    pub worse: bool,
}

/// Two reports side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The numbers.
    pub rows: Vec<ComparisonRow>,
    /// Settings that differ, so that apples are not compared with pears unseen.
    pub differing_settings: Vec<String>,
}

impl Comparison {
    /// Whether any number is worse by more than the tolerance.
    #[must_use]
    pub fn any_worse(&self) -> bool {
        self.rows.iter().any(|row| row.worse)
    }
}

/// Compares; `tolerance` 0.1 forgives ten per cent.
#[must_use]
pub fn compare(before: &Report, after: &Report, tolerance: f64) -> Comparison {
    let rows = COMPARED.iter().map(|(metric, less_is_better)| {
        let (old, new) = (value_of(before, metric), value_of(after, metric));
        let ratio = old.zip(new).filter(|(old, _)| *old != 0.0).map(|(old, new)| new / old);
        let worse = old.zip(new).is_some_and(|(old, new)| {
            if *less_is_better {
                new > old * (1.0 + tolerance)
            } else {
                new < old * (1.0 - tolerance)
            }
        });
        ComparisonRow {
            metric,
            before: old,
            after: new,
            ratio,
            worse,
        }
    });
    Comparison {
        rows: rows.collect(),
        differing_settings: differing_settings(before, after),
    }
}

fn differing_settings(before: &Report, after: &Report) -> Vec<String> {
    let (a, b) = (&before.settings, &after.settings);
    let text = |mix: Option<crate::client::CallMix>| mix.map_or_else(|| "none".to_owned(), |mix| mix.to_string());
    let pairs = [
        ("proto", a.proto.to_string(), b.proto.to_string()),
        ("sessions", a.sessions.to_string(), b.sessions.to_string()),
        ("rate", a.rate.to_string(), b.rate.to_string()),
        ("duration_s", a.duration_s.to_string(), b.duration_s.to_string()),
        ("arrivals", a.arrivals.to_string(), b.arrivals.to_string()),
        ("scenario", a.scenario.to_string(), b.scenario.to_string()),
        (
            "in_flight_max",
            a.in_flight_max.to_string(),
            b.in_flight_max.to_string(),
        ),
        ("processes", a.processes.to_string(), b.processes.to_string()),
        ("mix", text(a.mix), text(b.mix)),
        ("seed", a.seed.to_string(), b.seed.to_string()),
    ];
    pairs
        .into_iter()
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| format!("{name}: {a} and {b}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::sample;
    use super::*;

    fn row<'a>(comparison: &'a Comparison, metric: &str) -> &'a ComparisonRow {
        comparison
            .rows
            .iter()
            .find(|row| row.metric == metric)
            .expect("is compared")
    }

    #[test]
    fn slower_is_worse_beyond_the_tolerance_only() {
        let (fast, slow) = (sample(&[10; 50], &[]), sample(&[12; 50], &[]));
        let comparison = compare(&fast, &slow, 0.1);
        let latency = row(&comparison, "event_to_feed.p99");
        assert!(latency.worse && (latency.ratio.expect("both are there") - 1.2).abs() < 0.01);
        assert!(!row(&compare(&fast, &slow, 0.3), "event_to_feed.p99").worse);
        assert!(!row(&compare(&slow, &fast, 0.1), "event_to_feed.p99").worse);
        assert!(row(&comparison, "event_to_ack.p99").before.is_none());
        assert!(!compare(&fast, &fast, 0.0).any_worse());
    }

    #[test]
    fn other_settings_are_named() {
        let before = sample(&[1], &[]);
        let mut after = before.clone();
        after.settings.sessions = 9;
        assert_eq!(compare(&before, &after, 0.1).differing_settings, ["sessions: 3 and 9"]);
    }
}
