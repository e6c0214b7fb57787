//! Logs and metrics.
//!
//! Owns: where logs go, the metrics registry, the buckets of histograms and what each metric means.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use swipeline_loadtest::process;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// Buckets of all durations, in seconds: 50 µs to 10 s.
const SECONDS_BUCKETS: [f64; 21] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_75, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.02,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sends logs to standard error. Only the first call of a process counts.
pub fn init_logs(settings: &LogSettings) {
    let directives = if settings.level.contains('=') {
        settings.level.clone()
    } else {
        // The HTTP library's words about its own start are not an operator's business.
        format!("{},actix_server=warn", settings.level)
    };
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let installed = match settings.format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("logs were set up before");
    }
}

/// The metrics registry of this process; installed by the first call.
pub(crate) fn metrics() -> PrometheusHandle {
    METRICS.get_or_init(install).clone()
}

/// What this process has cost, as lines of the metrics page; empty where the system does not tell. Read when somebody
/// asks instead of kept: a counter that has to be pushed would always be late.
pub(crate) fn process_metrics() -> String {
    let mut text = format!(
        "# HELP swipeline_build_info Which build this is; always 1\n# TYPE swipeline_build_info gauge\n\
         swipeline_build_info{{version=\"{}\",target=\"{}-{}\",profile=\"{}\"}} 1\n\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        if cfg!(debug_assertions) { "debug" } else { "release" },
    );
    if let Some(cpu) = process::own_cpu_time() {
        text.push_str(&format!(
            "# HELP swipeline_process_cpu_seconds_total Processor time of this process, user and system\n\
             # TYPE swipeline_process_cpu_seconds_total counter\nswipeline_process_cpu_seconds_total {:.2}\n\n",
            cpu.as_secs_f64()
        ));
    }
    if let Some(bytes) = process::resident_bytes(std::process::id()) {
        text.push_str(&format!(
            "# HELP swipeline_process_resident_memory_bytes Resident memory of this process\n\
             # TYPE swipeline_process_resident_memory_bytes gauge\nswipeline_process_resident_memory_bytes {bytes}\n"
        ));
    }
    text
}

fn install() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = builder
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics registry is installed; /metrics will be empty");
    }
    describe();
    handle
}

/// The page that says what every metric means.
const PAGE: &str = include_str!("../docs/api.md");

/// Gives every metric of the page the words that stand there. The registry keeps words by name, whatever kind it is.
fn describe() {
    for (name, labels, words) in described() {
        metrics::describe_gauge!(name.clone(), words);
        if labels.is_empty() && name.ends_with("_total") {
            // There from the start: a rate over a counter that appears with its first event misses that event.
            metrics::counter!(name).increment(0);
        }
    }
}

/// The metrics of the page with their labels and what they are.
fn described() -> Vec<(String, String, String)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `swipeline_"));
    let mut described = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, labels, words] = cells[..] else { continue };
        for name in names.split(',').map(|name| name.trim().trim_matches('`')) {
            described.push((name.to_owned(), labels.replace('`', ""), words.replace('`', "")));
        }
    }
    described
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_of_the_page_has_its_words() {
        let described = super::described();
        assert!(described.len() > 60, "{}", described.len());
        for (name, _, words) in described {
            assert!(
                name.starts_with("swipeline_") && !name.contains(' ') && words.len() > 3,
                "{name}: {words}"
            );
        }
    }

    fn metric_names(text: &str) -> BTreeSet<String> {
        let is_part = |symbol: char| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == '_';
        let words = text
            .split(|symbol| !is_part(symbol))
            .filter(|word| word.starts_with("swipeline_"));
        words
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
            .collect()
    }

    #[test]
    fn the_dashboard_shows_documented_metrics_only() {
        let documented = metric_names(include_str!("../docs/api.md"));
        let shown = metric_names(include_str!("../deploy/grafana.json"));
        let unknown: Vec<_> = shown.difference(&documented).collect();
        assert!(unknown.is_empty(), "{unknown:?} are not in docs/api.md");
    }
}
