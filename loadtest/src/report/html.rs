//! A report as one page: no script, no font, nothing from elsewhere.
//!
//! Owns the page. Must not compute anything that is not in the report.

use std::fmt::Write as _;

use super::plot::{Line, Plot, escape};
use super::table::{render_table, time};
use super::{RatePoint, Report};

const STYLE: &str = "\
:root{color-scheme:light dark;--a:#2563eb;--b:#dc2626;--c:#059669;--d:#9ca3af}\
body{font:15px/1.5 system-ui,sans-serif;max-width:780px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}pre{overflow-x:auto;font-size:12px;line-height:1.4;padding:.8rem;border:1px solid #8884;border-radius:6px}\
figure{margin:1.6rem 0}figcaption{font-weight:600;margin-bottom:.3rem}svg{width:100%;height:auto}\
svg text{font:11px system-ui,sans-serif;fill:currentColor}svg text.key.a{fill:var(--a)}svg text.key.b{fill:var(--b)}\
svg text.key.c{fill:var(--c)}svg text.key.d{fill:var(--d)}svg path{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\
path.a{stroke:var(--a)}path.b{stroke:var(--b)}path.c{stroke:var(--c)}path.d{stroke:var(--d)}.grid{stroke:#8883}\
.met{color:var(--c)}.missed{color:var(--b);font-weight:600}";

/// A point of the learning curve with less than one in so many of the first point's items is left out.
const FEW_VIEWERS: u64 = 10;

/// The page.
#[must_use]
pub fn render_html(report: &Report) -> String {
    let settings = &report.settings;
    let title = format!(
        "{}: {} sessions, {} {}/s",
        settings.scenario,
        settings.sessions,
        settings.rate,
        if settings.mix.is_some() { "calls" } else { "swipes" }
    );
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>swipeline-loadtest · {0}</title><style>{STYLE}</style></head><body><h1>{0}</h1>",
        escape(&title)
    );
    let latency = report.latencies.get(main_latency(report)).copied().unwrap_or_default();
    let _ = write!(
        page,
        "<p>{}: median {}, 99 % within {}, at most {}. {} sent, {} dropped, {} errors, \
         {} repeats shown.</p>",
        what_is_measured(report),
        time(latency.p50_us as f64),
        time(latency.p99_us as f64),
        time(latency.max_us as f64),
        report.swipes.sent,
        report.swipes.dropped,
        report.errors,
        report.counters.get("repeats").copied().unwrap_or(0)
    );
    for result in &report.thresholds {
        let (class, verdict) = if result.met {
            ("met", "met")
        } else {
            ("missed", "not met")
        };
        let _ = write!(
            page,
            "<p class=\"{class}\">{}: {verdict}</p>",
            escape(&result.threshold)
        );
    }
    let mut plots = vec![
        rate_plot(report),
        latency_plot(report),
        spectrum_plot(report),
        learning_plot(report),
        time_plot(report),
    ];
    if !report.server.looks.is_empty() {
        plots.push(memory_plot(report));
    }
    for plot in plots {
        page.push_str(&plot.render());
    }
    let _ = writeln!(
        page,
        "<h2>Numbers</h2><pre>{}</pre></body></html>",
        escape(&render_table(report, false))
    );
    page
}

fn rate_plot(report: &Report) -> Plot<'static> {
    let interval_s = report.series.interval_s.max(1e-9);
    let line = |name, class, pick: fn(&super::SeriesPoint) -> u64| Line {
        name,
        class,
        points: report
            .series
            .points
            .iter()
            .map(|p| (p.at_s, Some(pick(p) as f64 / interval_s)))
            .collect(),
    };
    Plot {
        title: "Rate",
        x_label: "seconds",
        y_label: "per second",
        log_y: false,
        x_ticks: vec![],
        lines: vec![
            line("planned", "d", |p| p.planned),
            line("sent", "a", |p| p.sent),
            line("feeds", "c", |p| p.feeds),
            line("dropped", "b", |p| p.dropped),
        ],
    }
}

fn latency_plot(report: &Report) -> Plot<'static> {
    let line = |name, class, pick: fn(&super::SeriesPoint) -> Option<u64>| Line {
        name,
        class,
        points: report
            .series
            .points
            .iter()
            .map(|p| (p.at_s, pick(p).map(|us| us as f64 / 1e3)))
            .collect(),
    };
    Plot {
        title: "Swipe to fresh feed over time, from the planned instant",
        x_label: "seconds",
        y_label: "milliseconds (log)",
        log_y: true,
        x_ticks: vec![],
        lines: vec![
            line("max", "d", |p| p.max_us),
            line("p99", "b", |p| p.p99_us),
            line("p50", "a", |p| p.p50_us),
        ],
    }
}

fn what_is_measured(report: &Report) -> &'static str {
    if report.settings.mix.is_some() {
        "From REST call to feed"
    } else {
        "From swipe to fresh feed"
    }
}

/// The latency that a run is about.
fn main_latency(report: &Report) -> &'static str {
    if report.settings.mix.is_some() {
        "rest_feed"
    } else {
        "event_to_feed"
    }
}

/// The x axis counts nines: 90 % is 1, 99 % is 2, ...
fn spectrum_plot(report: &Report) -> Plot<'static> {
    let nines = |percentile: f64| (-(1.0 - percentile / 100.0).log10()).min(5.3);
    let line = |name: &'static str, class, key: &str| Line {
        name,
        class,
        points: report
            .spectra
            .get(key)
            .into_iter()
            .flatten()
            .filter(|[percentile, _]| *percentile > 0.0)
            .map(|[percentile, us]| (nines(*percentile), Some(us / 1e3)))
            .collect(),
    };
    let ticks = [
        (50.0, "50 %"),
        (90.0, "90 %"),
        (99.0, "99 %"),
        (99.9, "99.9 %"),
        (99.99, "99.99 %"),
        (99.999, "99.999 %"),
    ];
    Plot {
        title: "Percentile spectrum of swipe to fresh feed",
        x_label: "percentile",
        y_label: "milliseconds (log)",
        log_y: true,
        x_ticks: ticks
            .iter()
            .map(|(percentile, text)| (nines(*percentile), (*text).to_owned()))
            .collect(),
        lines: vec![
            line("from the plan", "a", main_latency(report)),
            line(
                "from the write (uncorrected)",
                "d",
                &format!("{}_uncorrected", main_latency(report)),
            ),
        ],
    }
}

fn rate_lines(points: &[RatePoint]) -> Vec<Line<'static>> {
    let line = |name, class, pick: fn(&RatePoint) -> Option<f64>| Line {
        name,
        class,
        points: points
            .iter()
            .map(|p| (p.from, pick(p).map(|rate| 100.0 * rate)))
            .collect(),
    };
    vec![
        line("this server", "a", |p| p.expected),
        line("popular feed", "c", |p| p.popular),
        line("random feed", "d", |p| p.random),
    ]
}

/// The points up to where too few viewers have come for a rate to mean anything.
fn well_filled(points: &[RatePoint]) -> &[RatePoint] {
    let enough = points.first().map_or(0, |first| first.shown / FEW_VIEWERS);
    let end = points.iter().position(|point| point.shown < enough);
    &points[..end.unwrap_or(points.len())]
}

fn learning_plot(report: &Report) -> Plot<'static> {
    Plot {
        title: "Does it learn? Like rate by the swipes of a viewer's life",
        x_label: "swipes",
        y_label: "% liked (expected)",
        log_y: false,
        x_ticks: vec![],
        lines: rate_lines(well_filled(&report.learning.by_swipe)),
    }
}

fn time_plot(report: &Report) -> Plot<'static> {
    let points: Vec<RatePoint> = report.series.points.iter().map(|point| point.rates).collect();
    Plot {
        title: "Like rate over the run",
        x_label: "seconds",
        y_label: "% liked (expected)",
        log_y: false,
        x_ticks: vec![],
        lines: rate_lines(&points),
    }
}

fn memory_plot(report: &Report) -> Plot<'static> {
    let looks = &report.server.looks;
    Plot {
        title: "Memory of the server",
        x_label: "seconds",
        y_label: "MB resident",
        log_y: false,
        x_ticks: vec![],
        lines: vec![Line {
            name: "resident",
            class: "a",
            points: looks
                .iter()
                .map(|look| (look.at_s, Some(look.rss_bytes / 1e6)))
                .collect(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::sample;
    use super::*;

    #[test]
    fn the_page_stands_alone_and_has_its_plots() {
        let page = render_html(&sample(
            &[5, 6, 7, 200],
            &["event_to_feed.p50<6.5ms".parse().expect("a condition")],
        ));
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(page.contains("class=\"met\""));
        for outside in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
