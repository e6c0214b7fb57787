//! Watching what the server costs while it is under load.
//!
//! Owns when to look and what the looks come to. The looks themselves are in `scrape`.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::scrape::{UsageSample, parse_usage};
use crate::process;

/// How long the metrics page may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most looks during a run.
const LOOKS_MAX: u32 = 600;
/// The shortest time between two looks.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
/// Growth is computed from so many looks at least.
const LOOKS_FOR_GROWTH: usize = 10;
const SECONDS_PER_HOUR: f64 = 3_600.0;

/// Where to look.
#[derive(Debug, Clone)]
pub struct ServerProbe {
    /// For the calls.
    pub http: reqwest::Client,
    /// The server's metrics page.
    pub metrics_url: String,
    /// The server's process on this machine, for `/proc`; looked at instead of the page.
    pub pid: Option<u32>,
}

/// What the server cost during a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerUsage {
    /// Processor time during the plan, in seconds.
    pub cpu_s: Option<f64>,
    /// The same per second of the plan; 1 is one processor fully busy.
    pub cores: Option<f64>,
    /// The same per swipe (or call) sent, in microseconds.
    pub cpu_us_per_swipe: Option<f64>,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: Option<f64>,
    /// Resident memory before the first socket, in bytes.
    pub rss_bytes_before: Option<f64>,
    /// Resident memory when all viewers had their first feed, in bytes.
    pub rss_bytes_ready: Option<f64>,
    /// What a viewer's socket, session and first feed added to it, in bytes.
    pub rss_bytes_per_session: Option<f64>,
    /// The slope of resident memory over the second half of the plan, in bytes per hour.
    pub rss_growth_bytes_per_hour: Option<f64>,
    /// Resident memory over time.
    pub looks: Vec<ServerLook>,
}

/// One look at the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerLook {
    /// Seconds from the beginning of the plan.
    pub at_s: f64,
    /// Resident memory, in bytes.
    pub rss_bytes: f64,
}

/// The looks of one run, at their times.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) before: Option<UsageSample>,
    pub(super) ready: Option<UsageSample>,
    pub(super) end: Option<UsageSample>,
    pub(super) during: Vec<ServerLook>,
}

impl ServerProbe {
    /// Looks once; `None` when nothing answers.
    pub async fn look(&self) -> Option<UsageSample> {
        if let Some(pid) = self.pid {
            let cpu_s = process::cpu_time(pid).map(|cpu| cpu.as_secs_f64());
            let rss_bytes = process::resident_bytes(pid).map(|bytes| bytes as f64);
            return (cpu_s.is_some() || rss_bytes.is_some()).then_some(UsageSample { cpu_s, rss_bytes });
        }
        let reply = self.http.get(&self.metrics_url).timeout(TIMEOUT).send().await.ok()?;
        let text = reply.error_for_status().ok()?.text().await.ok()?;
        Some(parse_usage(&text))
    }

    /// Looks again and again until it is dropped.
    pub(super) async fn keep_looking(self, start: Instant, duration: Duration, looks: Arc<Mutex<Looks>>) {
        let mut ticks = interval((duration / LOOKS_MAX).max(LOOK_EVERY_MIN));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(rss_bytes) = self.look().await.and_then(|sample| sample.rss_bytes) else {
                continue;
            };
            let at_s = Instant::now().saturating_duration_since(start).as_secs_f64();
            let mut looks = looks.lock();
            if looks.during.len() < 2 * LOOKS_MAX as usize {
                looks.during.push(ServerLook { at_s, rss_bytes });
            }
        }
    }
}

impl Looks {
    /// What it comes to, for a plan of so many seconds, so many viewers and so many swipes sent.
    pub(super) fn usage(self, seconds: f64, sessions: usize, swipes: u64) -> ServerUsage {
        let cpu = |sample: Option<UsageSample>| sample.and_then(|sample| sample.cpu_s);
        let rss = |sample: Option<UsageSample>| sample.and_then(|sample| sample.rss_bytes);
        // A restart in between begins at zero again: then it is not known.
        let cpu_s = cpu(self.ready)
            .zip(cpu(self.end))
            .map(|(before, after)| after - before)
            .filter(|cpu| *cpu >= 0.0);
        let grown = rss(self.before)
            .zip(rss(self.ready))
            .map(|(before, ready)| ready - before);
        ServerUsage {
            cpu_s,
            cores: cpu_s.filter(|_| seconds > 0.0).map(|cpu| cpu / seconds),
            cpu_us_per_swipe: cpu_s.filter(|_| swipes > 0).map(|cpu| cpu * 1e6 / swipes as f64),
            rss_bytes: rss(self.end),
            rss_bytes_before: rss(self.before),
            rss_bytes_ready: rss(self.ready),
            rss_bytes_per_session: grown.filter(|_| sessions > 0).map(|bytes| bytes / sessions as f64),
            rss_growth_bytes_per_hour: growth(&self.during),
            looks: self.during,
        }
    }
}

/// The slope of the second half by least squares, per hour.
fn growth(looks: &[ServerLook]) -> Option<f64> {
    let half = looks
        .get(looks.len() / 2..)
        .filter(|half| half.len() >= LOOKS_FOR_GROWTH)?;
    let count = half.len() as f64;
    let mean_at = half.iter().map(|look| look.at_s).sum::<f64>() / count;
    let mean_rss = half.iter().map(|look| look.rss_bytes).sum::<f64>() / count;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for look in half {
        covariance += (look.at_s - mean_at) * (look.rss_bytes - mean_rss);
        variance += (look.at_s - mean_at).powi(2);
    }
    (variance > 0.0).then(|| covariance / variance * SECONDS_PER_HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_s: f64, rss_bytes: f64) -> Option<UsageSample> {
        Some(UsageSample {
            cpu_s: Some(cpu_s),
            rss_bytes: Some(rss_bytes),
        })
    }

    #[test]
    fn cost_is_what_lies_between_the_looks() {
        let looks = Looks {
            before: sample(1.0, 1e6),
            ready: sample(5.0, 3e6),
            end: sample(6.0, 4e6),
            during: (0..40)
                .map(|second| ServerLook {
                    at_s: f64::from(second),
                    rss_bytes: 3e6 + 1e3 * f64::from(second),
                })
                .collect(),
        };
        let usage = looks.usage(2.0, 100, 1_000);
        assert_eq!((usage.cores, usage.cpu_us_per_swipe), (Some(0.5), Some(1_000.0)));
        assert_eq!(
            (usage.rss_bytes, usage.rss_bytes_per_session),
            (Some(4e6), Some(20_000.0))
        );
        assert!((usage.rss_growth_bytes_per_hour.expect("enough looks") - 3.6e6).abs() < 1.0);
    }

    #[test]
    fn a_restart_in_between_gives_no_cpu_time() {
        let looks = Looks {
            ready: sample(5.0, 3e6),
            end: sample(1.0, 3e6),
            ..Looks::default()
        };
        let usage = looks.usage(2.0, 1, 1);
        assert_eq!((usage.cpu_s, usage.rss_growth_bytes_per_hour), (None, None));
    }

    #[tokio::test]
    async fn a_process_of_this_machine_is_looked_at_without_a_page() {
        let probe = ServerProbe {
            http: reqwest::Client::new(),
            metrics_url: "http://127.0.0.1:1/metrics".to_owned(),
            pid: Some(std::process::id()),
        };
        assert!(probe.look().await.is_some_and(|look| look.rss_bytes.is_some()));
        assert_eq!(ServerProbe { pid: None, ..probe }.look().await, None);
    }
}
