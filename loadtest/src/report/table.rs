//! A report as text for a terminal.
//!
//! Owns columns and colours. Must not print.

use std::fmt::Write as _;

use crate::run::Scenario;

use super::learning_table::{write_hit, write_learning};
use super::{Comparison, LatencyReport, Report, Threshold};

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";
/// Latencies in the order of the table.
const LATENCY_ROWS: [&str; 20] = [
    "connect",
    "welcome",
    "first_feed",
    "event_to_feed",
    "event_to_feed_uncorrected",
    "event_to_ack",
    "event_to_ack_uncorrected",
    "request_to_feed",
    "push_gap",
    "resume",
    "rest_feed",
    "rest_feed_uncorrected",
    "rest_events",
    "rest_rank",
    "rest_lists",
    "crowd_events",
    "hit_to_feed",
    "model_swap",
    "restart",
    "tester_lag",
];

/// Colours, or none.
struct Paint {
    on: bool,
}

impl Paint {
    fn with(&self, colour: &str, text: &str) -> String {
        if self.on {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    /// Red when it should be nothing and is not.
    fn zero(&self, count: u64) -> String {
        if count > 0 {
            self.with(RED, &count.to_string())
        } else {
            count.to_string()
        }
    }
}

/// A time in the unit that suits it.
pub(super) fn time(micros: f64) -> String {
    match micros {
        m if m < 1_000.0 => format!("{m:.0} µs"),
        m if m < 100_000.0 => format!("{:.2} ms", m / 1e3),
        m if m < 1_000_000.0 => format!("{:.0} ms", m / 1e3),
        m => format!("{:.2} s", m / 1e6),
    }
}

pub(super) fn optional(value: Option<f64>, write: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), write)
}

/// The table of a run.
#[must_use]
pub fn render_table(report: &Report, colours: bool) -> String {
    let paint = Paint { on: colours };
    let mut text = String::new();
    let settings = &report.settings;
    let _ = writeln!(
        text,
        "{} for {:.0} s: {} sessions, {} {}/s ({}), {}{}{}",
        settings.scenario,
        settings.duration_s,
        settings.sessions,
        settings.rate,
        if settings.mix.is_some() { "calls" } else { "swipes" },
        settings.arrivals,
        settings.proto,
        settings.mix.map_or_else(String::new, |mix| format!(", {mix}")),
        if settings.processes > 1 {
            format!(", {} processes", settings.processes)
        } else {
            String::new()
        }
    );
    if report.ready_sessions < settings.sessions && settings.mix.is_none() && settings.scenario != Scenario::SlowReaders
    {
        let _ = writeln!(
            text,
            "{}",
            paint.with(
                RED,
                &format!("only {} sessions were ready when the plan began", report.ready_sessions)
            )
        );
    }
    write_latencies(&mut text, report, &paint);
    write_swipes(&mut text, report, &paint);
    write_costs(&mut text, report, &paint);
    write_hit(&mut text, report);
    write_learning(&mut text, report);
    for remark in &report.remarks {
        let _ = writeln!(text, "{}", paint.with(RED, remark));
    }
    for result in &report.thresholds {
        let verdict = if result.met {
            paint.with(GREEN, "met    ")
        } else {
            paint.with(RED, "NOT MET")
        };
        let is_time = result
            .threshold
            .parse::<Threshold>()
            .is_ok_and(|threshold| threshold.is_time());
        let found = optional(
            result.found,
            |found| if is_time { time(found) } else { format!("{found:.3}") },
        );
        let _ = writeln!(text, "  {verdict} {}  (found {found})", result.threshold);
    }
    text
}

fn write_latencies(text: &mut String, report: &Report, paint: &Paint) {
    let _ = writeln!(
        text,
        "\n{:<27}{:>9}{:>11}{:>11}{:>11}{:>11}{:>11}",
        "latency", "count", "p50", "p90", "p99", "p99.9", "max"
    );
    for name in LATENCY_ROWS {
        let Some(latency) = report.latencies.get(name).filter(|latency| latency.count > 0) else {
            continue;
        };
        let line = latency_line(name, latency);
        let is_aside = name.ends_with("_uncorrected") || name == "tester_lag";
        let _ = writeln!(text, "{}", if is_aside { paint.with(DIM, &line) } else { line });
    }
}

fn latency_line(name: &str, latency: &LatencyReport) -> String {
    let mut line = format!("{name:<27}{:>9}", latency.count);
    for micros in [
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.max_us,
    ] {
        let _ = write!(line, "{:>11}", time(micros as f64));
    }
    line
}

fn write_swipes(text: &mut String, report: &Report, paint: &Paint) {
    let swipes = &report.swipes;
    let count = |name: &str| report.counters.get(name).copied().unwrap_or(0);
    let _ = writeln!(
        text,
        "\n{}planned {}, sent {} ({:.1}/s), dropped {}, away {}",
        if report.settings.mix.is_some() {
            "calls     "
        } else {
            "swipes    "
        },
        swipes.planned,
        swipes.sent,
        swipes.sent_per_second,
        paint.zero(swipes.dropped),
        swipes.away
    );
    if !swipes.dropped_by.is_empty() {
        let reasons: Vec<String> = swipes
            .dropped_by
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let _ = writeln!(
            text,
            "          {}",
            paint.with(RED, &format!("dropped: {}", reasons.join(", ")))
        );
    }
    let _ = writeln!(
        text,
        "feeds     {} ({:.1}/s), shown {}, repeats shown {}, repeats pushed {}, crossed {}",
        count("feeds"),
        swipes.feeds_per_second,
        count("shown"),
        paint.zero(count("repeats")),
        paint.zero(count("repeats_pushed")),
        count("crossed")
    );
    let closes: Vec<String> = report
        .closes
        .iter()
        .map(|(code, count)| format!("{code} × {count}"))
        .collect();
    let _ = writeln!(
        text,
        "sockets   opened {}, again {}, closed {}; per session {} out, {} in; per feed {}",
        count("connects"),
        count("reconnects"),
        if closes.is_empty() {
            "-".to_owned()
        } else {
            closes.join(", ")
        },
        optional(report.bytes.out_per_session, bytes),
        optional(report.bytes.in_per_session, bytes),
        optional(report.bytes.per_feed, bytes)
    );
    let kinds: Vec<String> = report
        .errors_by_kind
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let _ = writeln!(
        text,
        "errors    {} {}",
        paint.zero(report.errors),
        paint.with(RED, &kinds.join(", "))
    );
}

fn write_costs(text: &mut String, report: &Report, paint: &Paint) {
    let cores = |cores: Option<f64>| optional(cores, |cores| format!("{cores:.2} cores"));
    let lag = report.latencies.get("tester_lag").copied().unwrap_or_default();
    let tester = format!(
        "tester    {}, dispatcher at most {} late, lag p99 {}",
        cores(report.tester.cores),
        time(report.tester.dispatch_lag_max_us as f64),
        time(lag.p99_us as f64)
    );
    let _ = writeln!(text, "{tester}");
    if report.tester_is_saturated() {
        let _ = writeln!(
            text,
            "{}",
            paint.with(
                RED,
                "          the tester itself was late: these latencies are partly its own"
            )
        );
    }
    let server = &report.server;
    if server.cores.is_some() || server.rss_bytes.is_some() {
        let _ = writeln!(
            text,
            "server    {}, {} of CPU per swipe, {} resident ({} a session{})",
            cores(server.cores),
            optional(server.cpu_us_per_swipe, time),
            optional(server.rss_bytes, bytes),
            optional(server.rss_bytes_per_session, bytes),
            server
                .rss_growth_bytes_per_hour
                .map_or_else(String::new, |slope| format!(", {} an hour", signed_bytes(slope)))
        );
    } else {
        let _ = writeln!(
            text,
            "{}",
            paint.with(DIM, "server    CPU and memory unknown (no metrics page)")
        );
    }
    if let Some(floor) = report.floor {
        let _ = writeln!(
            text,
            "floor     {} of CPU per swipe on a bare echo (before {}, after {}); the server takes {} times that",
            time(floor.cpu_us_per_swipe),
            time(floor.before_us),
            time(floor.after_us),
            optional(floor.ratio, |ratio| format!("{ratio:.1}"))
        );
    }
}

fn signed_bytes(count: f64) -> String {
    format!("{}{}", if count < 0.0 { "-" } else { "+" }, bytes(count.abs()))
}

fn bytes(count: f64) -> String {
    match count {
        c if c < 1e4 => format!("{c:.0} B"),
        c if c < 1e7 => format!("{:.0} KB", c / 1e3),
        c if c < 1e10 => format!("{:.0} MB", c / 1e6),
        c => format!("{:.1} GB", c / 1e9),
    }
}

/// Two reports as text.
#[must_use]
pub fn render_comparison(comparison: &Comparison, colours: bool) -> String {
    let paint = Paint { on: colours };
    let mut text = String::new();
    for setting in &comparison.differing_settings {
        let _ = writeln!(text, "{}", paint.with(RED, &format!("not the same run: {setting}")));
    }
    let _ = writeln!(text, "{:<32}{:>14}{:>14}{:>9}", "metric", "before", "after", "ratio");
    for row in &comparison.rows {
        if row.before.is_none() && row.after.is_none() {
            continue;
        }
        let is_time = row.metric.contains(".p") || row.metric.contains(".max") || row.metric.contains("cpu_per");
        let value = |value: Option<f64>| {
            optional(value, |value| {
                if is_time {
                    time(value)
                } else if row.metric.ends_with("bytes") {
                    bytes(value)
                } else {
                    format!("{value:.3}")
                }
            })
        };
        let ratio = optional(row.ratio, |ratio| format!("{ratio:.2}"));
        let line = format!(
            "{:<32}{:>14}{:>14}{ratio:>9}",
            row.metric,
            value(row.before),
            value(row.after)
        );
        let _ = writeln!(
            text,
            "{}",
            if row.worse {
                paint.with(RED, &format!("{line}  worse"))
            } else {
                line
            }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::sample;
    use super::super::compare;
    use super::*;

    #[test]
    fn dropped_swipes_and_errors_are_red() {
        let report = sample(&[5; 100], &["event_to_feed.p99<1ms".parse().expect("a condition")]);
        let text = render_table(&report, true);
        assert!(text.contains(&format!("dropped {RED}2{RESET}")), "{text}");
        assert!(text.contains(&format!("errors    {RED}1{RESET}")), "{text}");
        assert!(text.contains("NOT MET") && text.contains("(found 5.00 ms)"), "{text}");
        let plain = render_table(&report, false);
        assert!(!plain.contains('\x1b'));
        assert!(plain.contains("event_to_feed") && plain.contains("5.00 ms"), "{plain}");
        assert!(
            !plain.contains("connect  "),
            "what was not measured has no row: {plain}"
        );
    }

    #[test]
    fn a_comparison_shows_what_is_worse() {
        let text = render_comparison(&compare(&sample(&[10; 50], &[]), &sample(&[30; 50], &[]), 0.1), false);
        let line = text
            .lines()
            .find(|line| line.starts_with("event_to_feed.p99 "))
            .expect("has its row");
        assert!(line.ends_with("worse") && line.contains("3.00"), "{line}");
    }

    #[test]
    fn times_have_fitting_units() {
        assert_eq!(
            [time(999.0), time(1_500.0), time(250_000.0), time(2.5e6)],
            ["999 µs", "1.50 ms", "250 ms", "2.50 s"]
        );
    }
}
