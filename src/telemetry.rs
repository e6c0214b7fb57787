//! Logs and metrics.
//!
//! Owns: where logs go, the metrics registry, the buckets of histograms and what each metric means.

use std::sync::OnceLock;

use metrics::Unit;
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
    let mut text = String::new();
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

fn describe() {
    metrics::describe_histogram!(
        "swipeline_event_to_feed_seconds",
        Unit::Seconds,
        "From the arrival of an event's frame to the moment its fresh feed was written to the socket"
    );
    metrics::describe_histogram!(
        "swipeline_http_request_seconds",
        Unit::Seconds,
        "Time of a REST call, by route"
    );
    metrics::describe_counter!("swipeline_http_requests_total", "REST calls, by route and status");
    metrics::describe_gauge!("swipeline_http_in_flight", "REST calls in work");
    metrics::describe_gauge!("swipeline_sockets", "Open WebSockets");
    metrics::describe_counter!("swipeline_sockets_opened_total", "WebSockets opened, by subprotocol");
    metrics::describe_counter!("swipeline_sockets_closed_total", "WebSockets closed, by close code");
    metrics::describe_counter!("swipeline_socket_messages_in_total", "Messages from clients, by type");
    metrics::describe_counter!("swipeline_socket_messages_out_total", "Messages to clients, by type");
    metrics::describe_counter!(
        "swipeline_socket_errors_total",
        "Error messages sent over sockets, by code"
    );
    metrics::describe_counter!(
        "swipeline_rate_limited_total",
        "Calls refused by a rate or a bound, by scope"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn the_dashboard_shows_documented_metrics_only_and_all_that_this_package_describes() {
        let documented = metric_names(include_str!("../docs/api.md"));
        let shown = metric_names(include_str!("../deploy/grafana.json"));
        let unknown: Vec<_> = shown.difference(&documented).collect();
        assert!(unknown.is_empty(), "{unknown:?} are not in docs/api.md");
        let source = include_str!("telemetry.rs");
        let described = source
            .split_once("fn describe()")
            .and_then(|(_, rest)| rest.split_once("#[cfg(test)]"));
        let described = metric_names(described.expect("the descriptions").0);
        let missing: Vec<_> = described.difference(&documented).collect();
        assert!(
            described.len() > 5 && missing.is_empty(),
            "{missing:?} are not in docs/api.md"
        );
    }
}
