//! A group of viewers who live at their own pace: what `swipeline demo` runs in the background.
//!
//! Owns starting and stopping them. Items come with the feeds, so no catalogue is needed. Must not print.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::codec::Proto;
use super::connect::TcpConnector;
use super::endpoint::{Endpoint, EndpointError};
use super::record::{Counter, Measurements, Metric, Recorder};
use super::session::{Pace, ViewerTask};
use super::shared::{ClientConfig, Control, Shared, Traits};
use super::yardstick::Yardstick;
use crate::behaviour::ViewerConfig;

/// All viewers of a group have connected after so long.
const CONNECT_SPREAD: Duration = Duration::from_secs(2);
/// How long viewers get to finish what is under way.
const STOP_WAIT_MAX: Duration = Duration::from_secs(3);

/// A group of viewers.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// `ws://host:port/v1/stream`.
    pub url: String,
    /// How many viewers.
    pub viewers: usize,
    /// The same seed gives the same tastes and reactions.
    pub seed: u64,
    /// How many times faster than real life they watch.
    pub speed: f64,
    /// User ids are this and a number.
    pub user_prefix: String,
    /// In which form they talk.
    pub proto: Proto,
}

/// What a group of viewers did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetStats {
    /// Swipes sent.
    pub swipes: u64,
    /// Likes.
    pub likes: u64,
    /// Items shown.
    pub shown: u64,
    /// Items shown to the same viewer twice.
    pub repeats: u64,
    /// Errors of all kinds.
    pub errors: u64,
    /// Likes per item shown.
    pub like_rate: f64,
    /// Median time from swipe to fresh feed, in microseconds.
    pub event_to_feed_p50_us: u64,
    /// Its 99th percentile.
    pub event_to_feed_p99_us: u64,
}

impl From<&Measurements> for FleetStats {
    fn from(measured: &Measurements) -> Self {
        let latency = measured.histogram(Metric::EventToFeed);
        Self {
            swipes: measured.count(Counter::Sent),
            likes: measured.count(Counter::Likes),
            shown: measured.count(Counter::Shown),
            repeats: measured.count(Counter::Repeats),
            errors: measured.error_count(),
            like_rate: measured.learning.total().like_rate().unwrap_or(0.0),
            event_to_feed_p50_us: latency.value_at_quantile(0.5),
            event_to_feed_p99_us: latency.value_at_quantile(0.99),
        }
    }
}

/// Why a group could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// Runs a group of viewers until `stop` turns true (or its sender is gone), and gives what they did. A server that
/// goes away is waited for; viewers come back.
///
/// # Errors
/// An address that cannot be read.
pub async fn run_viewers(config: FleetConfig, mut stop: watch::Receiver<bool>) -> Result<FleetStats, FleetError> {
    let endpoint = Endpoint::parse(&config.url)?;
    let recorder = Arc::new(Recorder::new(Instant::now(), Duration::from_secs(10)));
    let shared = Arc::new(Shared::new(
        ClientConfig::new(endpoint.clone(), config.proto),
        Arc::new(TcpConnector::new(endpoint)),
        Arc::clone(&recorder),
        Some(Arc::new(Yardstick::from_feeds(config.seed))),
    ));
    let (control, watcher) = watch::channel(Control::default());
    let mut tasks = JoinSet::new();
    let pause = CONNECT_SPREAD / u32::try_from(config.viewers.max(1)).unwrap_or(u32::MAX);
    for index in 0..config.viewers as u64 {
        let viewer = ViewerConfig {
            seed: config.seed,
            index,
            ..ViewerConfig::default()
        };
        let pace = Pace::Natural { speed: config.speed };
        let task = ViewerTask::new(
            Arc::clone(&shared),
            viewer,
            &config.user_prefix,
            Traits::default(),
            pace,
            watcher.clone(),
        );
        tasks.spawn(Box::pin(task.run()));
        tokio::select! {
            () = sleep(pause) => {}
            () = stopped(&mut stop) => break,
        }
    }
    stopped(&mut stop).await;
    control.send_replace(Control {
        stopping: true,
        storm: 0,
    });
    let all_done = async { while tasks.join_next().await.is_some() {} };
    // Whoever does not come to an end is dropped with the set.
    let _ = tokio::time::timeout(STOP_WAIT_MAX, all_done).await;
    Ok(FleetStats::from(&recorder.snapshot()))
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say stop: that is a stop.
    let _ = stop.wait_for(|stopping| *stopping).await;
}
