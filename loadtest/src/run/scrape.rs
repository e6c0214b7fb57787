//! What the server says it costs: CPU time and memory from its metrics page.
//!
//! Owns reading the two numbers out of the Prometheus text. Must not know what they are used for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The names of the metrics end with these; a prefix such as `swipeline_` may stand before them.
const CPU_SUFFIX: &str = "process_cpu_seconds_total";
const RSS_SUFFIX: &str = "process_resident_memory_bytes";
/// How long the page may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One look at the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsageSample {
    /// Processor time so far, in seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<f64>,
}

/// What the server cost during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerUsage {
    /// Processor time during the run, in seconds.
    pub cpu_s: Option<f64>,
    /// The same per second of the run; 1 is one processor fully busy.
    pub cores: Option<f64>,
    /// The same per swipe sent, in microseconds.
    pub cpu_us_per_swipe: Option<f64>,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: Option<f64>,
}

impl UsageSample {
    /// Asks the server; `None` when it does not answer.
    pub async fn take(http: &reqwest::Client, metrics_url: &str) -> Option<(UsageSample, Instant)> {
        let reply = http.get(metrics_url).timeout(TIMEOUT).send().await.ok()?;
        let text = reply.error_for_status().ok()?.text().await.ok()?;
        Some((parse_usage(&text), Instant::now()))
    }
}

impl ServerUsage {
    /// What lies between two looks.
    #[must_use]
    pub fn between(before: (UsageSample, Instant), after: (UsageSample, Instant), swipes: u64) -> Self {
        let seconds = after.1.saturating_duration_since(before.1).as_secs_f64();
        let cpu_s = match (before.0.cpu_s, after.0.cpu_s) {
            (Some(before), Some(after)) if after >= before => Some(after - before),
            _ => None,
        };
        Self {
            cpu_s,
            cores: cpu_s.filter(|_| seconds > 0.0).map(|cpu| cpu / seconds),
            cpu_us_per_swipe: cpu_s.filter(|_| swipes > 0).map(|cpu| cpu * 1e6 / swipes as f64),
            rss_bytes: after.0.rss_bytes,
        }
    }
}

/// Reads CPU time and memory out of a page in the Prometheus text format.
#[must_use]
pub fn parse_usage(text: &str) -> UsageSample {
    let value_of = |suffix: &str| {
        text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.split('{').next().unwrap_or(name).trim_end();
            if !name.ends_with(suffix) {
                return None;
            }
            value.trim().parse::<f64>().ok().filter(|value| value.is_finite())
        })
    };
    UsageSample {
        cpu_s: value_of(CPU_SUFFIX),
        rss_bytes: value_of(RSS_SUFFIX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_found_under_any_prefix() {
        let page = "# TYPE swipeline_process_cpu_seconds_total counter\n\
                    swipeline_process_cpu_seconds_total 12.5\n\
                    process_resident_memory_bytes{host=\"a b\"} 1.5e8\nother 3\n";
        assert_eq!(
            parse_usage(page),
            UsageSample {
                cpu_s: Some(12.5),
                rss_bytes: Some(1.5e8)
            }
        );
        assert_eq!(
            parse_usage("process_cpu_seconds_total NaN"),
            UsageSample {
                cpu_s: None,
                rss_bytes: None
            }
        );
    }

    #[test]
    fn a_restart_in_between_gives_no_cpu_time() {
        let now = Instant::now();
        let sample = |cpu| {
            (
                UsageSample {
                    cpu_s: Some(cpu),
                    rss_bytes: None,
                },
                now,
            )
        };
        assert_eq!(ServerUsage::between(sample(5.0), sample(1.0), 10).cpu_s, None);
        let later = (sample(6.0).0, now + Duration::from_secs(2));
        let usage = ServerUsage::between(sample(5.0), later, 1_000);
        assert_eq!((usage.cores, usage.cpu_us_per_swipe), (Some(0.5), Some(1_000.0)));
    }
}
