//! The report of a run: numbers, table, page, thresholds, comparison.
//!
//! Owns the shape of `report.json` (see `docs/loadtest.md`). Must not measure anything, must not print.

mod build;
mod compare;
mod html;
mod learning_table;
mod plot;
mod schema;
mod table;
mod threshold;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::{BuildInput, build};
pub use compare::{Comparison, ComparisonRow, compare};
pub use html::render_html;
pub use schema::{report_schema, schema_text};
pub use table::{render_comparison, render_table};
pub use threshold::{Threshold, ThresholdError, ThresholdResult};

use crate::client::{CallMix, Proto};
use crate::plan::Arrivals;
use crate::run::{RandomSource, Scenario, ServerUsage};

/// The name and version of the shape; the number grows when a field changes its meaning or goes away.
pub const SCHEMA: &str = "swipeline-loadtest/1";
/// The file with the numbers.
pub const REPORT_JSON: &str = "report.json";
/// The file for people.
pub const REPORT_HTML: &str = "report.html";

/// A tester that is late by less than this is not called late, in microseconds.
const LAG_US_MIN: u64 = 5_000;
/// The shape of the file with the numbers.
pub const REPORT_SCHEMA: &str = "report.schema.json";

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The tester's version.
    pub version: String,
    /// When the run began, in milliseconds since 1970-01-01 UTC.
    pub started_at: i64,
    /// What was asked for.
    pub settings: Settings,
    /// How long the plan took, in seconds.
    pub took_s: f64,
    /// How many viewers were ready when the plan began.
    pub ready_sessions: usize,
    /// What became of the planned swipes.
    pub swipes: SwipeReport,
    /// Latencies by name.
    pub latencies: BTreeMap<String, LatencyReport>,
    /// Percentile spectra by name: `[percentile, microseconds]`.
    pub spectra: BTreeMap<String, Vec<[f64; 2]>>,
    /// All counts by name.
    pub counters: BTreeMap<String, u64>,
    /// All errors.
    pub errors: u64,
    /// Errors by kind.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// Closes by code; 1006 for a socket that ended without a close frame.
    pub closes: BTreeMap<u16, u64>,
    /// What went wrong besides, in words.
    pub remarks: Vec<String>,
    /// Bytes of messages.
    pub bytes: BytesReport,
    /// What the tester itself cost.
    pub tester: TesterReport,
    /// What the server says it cost; empty without its metrics page.
    pub server: ServerUsage,
    /// The same frames on a bare echo, before and after the plan; nothing when it was not measured.
    pub floor: Option<FloorReport>,
    /// Does it learn?
    pub learning: LearningReport,
    /// Do sudden changes of taste show?
    pub taste_change: TasteChangeReport,
    /// What happened when.
    pub series: SeriesReport,
    /// Thresholds and whether they were met.
    pub thresholds: Vec<ThresholdResult>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The server's stream.
    pub url: String,
    /// The form of messages.
    pub proto: Proto,
    /// How many viewers.
    pub sessions: usize,
    /// Swipes per second of all viewers together.
    pub rate: f64,
    /// For how long, in seconds.
    pub duration_s: f64,
    /// How swipes follow each other.
    pub arrivals: Arrivals,
    /// What happened besides.
    pub scenario: Scenario,
    /// The seed of plan, tastes and reactions.
    pub seed: u64,
    /// How many swipes of one viewer may wait for their feeds.
    pub in_flight_max: usize,
    /// How many processes the viewers were spread over.
    pub processes: usize,
    /// The REST calls of the scenario without sockets.
    pub mix: Option<CallMix>,
    /// Over how many connections these went.
    pub connections: Option<usize>,
    /// The item that became a hit.
    pub hit_item: Option<String>,
}

/// Bytes of messages (of HTTP for REST calls), without the frames and packets around them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BytesReport {
    /// From the server, per viewer, over the whole run.
    pub in_per_session: Option<f64>,
    /// To the server, per viewer, over the whole run.
    pub out_per_session: Option<f64>,
    /// Of frames with a feed, per feed.
    pub per_feed: Option<f64>,
    /// Of frames with events, per frame.
    pub per_event_frame: Option<f64>,
}

/// What the same frames cost on a bare echo, on the same machine around the same run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FloorReport {
    /// The echo's processor time per swipe, in microseconds: the mean of before and after.
    pub cpu_us_per_swipe: f64,
    /// Before the plan.
    pub before_us: f64,
    /// After it.
    pub after_us: f64,
    /// The server's processor time per swipe in units of it.
    pub ratio: Option<f64>,
}

/// What became of the planned swipes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SwipeReport {
    /// Planned.
    pub planned: u64,
    /// Sent.
    pub sent: u64,
    /// Planned while their viewer was away by its own will.
    pub away: u64,
    /// Planned and not sent.
    pub dropped: u64,
    /// The same by reason.
    pub dropped_by: BTreeMap<String, u64>,
    /// Sent per second of the plan.
    pub sent_per_second: f64,
    /// Feeds received per second of the plan.
    pub feeds_per_second: f64,
}

/// One latency, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyReport {
    /// How many were measured.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What the tester itself cost. A tester near one core per thread measures itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TesterReport {
    /// Processor time during the plan, in seconds.
    pub cpu_s: Option<f64>,
    /// The same per second.
    pub cores: Option<f64>,
    /// The latest that the dispatcher was behind its plan, in microseconds.
    pub dispatch_lag_max_us: u64,
}

/// Does it learn? All rates are likes per item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LearningReport {
    /// As drawn.
    pub like_rate: Option<f64>,
    /// As expected by the viewers' hidden tastes: less noise, the same mean.
    pub expected: Option<f64>,
    /// What a random feed would have got from the same viewers at the same time.
    pub random: Option<f64>,
    /// What a popularity feed would have got.
    pub popular: Option<f64>,
    /// `expected / random`.
    pub lift_over_random: Option<f64>,
    /// `expected / popular`.
    pub lift_over_popular: Option<f64>,
    /// Where the random items came from.
    pub random_source: Option<RandomSource>,
    /// By how many items a viewer has reacted to in its life.
    pub by_swipe: Vec<RatePoint>,
}

/// Like rates at one point of a curve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatePoint {
    /// Where the point begins: swipes of a viewer's life, or seconds of the run.
    pub from: f64,
    /// Items shown.
    pub shown: u64,
    /// As expected.
    pub expected: Option<f64>,
    /// Random feed.
    pub random: Option<f64>,
    /// Popularity feed.
    pub popular: Option<f64>,
}

/// Do sudden changes of taste show?
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TasteChangeReport {
    /// The share of a pushed feed that the new favourite has to reach.
    pub share: f64,
    /// Viewers whose taste changed suddenly.
    pub changed: usize,
    /// Of these, how many saw the new favourite reach its share.
    pub shown: usize,
    /// Swipes until then, median of those.
    pub median_swipes: Option<f64>,
    /// Swipes after the change of those who never saw it, median.
    pub median_swipes_of_never: Option<f64>,
}

/// What happened when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesReport {
    /// The width of a point, in seconds.
    pub interval_s: f64,
    /// The points, oldest first.
    pub points: Vec<SeriesPoint>,
}

/// One point in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesPoint {
    /// Its beginning, in seconds from the beginning of the plan.
    pub at_s: f64,
    /// Swipes planned.
    pub planned: u64,
    /// Swipes sent.
    pub sent: u64,
    /// Swipes planned and not sent.
    pub dropped: u64,
    /// Feeds received.
    pub feeds: u64,
    /// Median event-to-feed, in microseconds.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
    /// Like rates of the items shown here.
    pub rates: RatePoint,
}

/// The share of feeds `before` or `since` a hit that held its item.
fn hit_share(report: &Report, when: &str) -> Option<f64> {
    let count = |name: String| report.counters.get(&name).copied().unwrap_or(0);
    let feeds = count(format!("feeds_{when}_hit"));
    (feeds > 0).then(|| count(format!("hit_in_feeds_{when}")) as f64 / feeds as f64)
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Its contents.
    #[error("{path} is not a report of this tester: {detail}")]
    Shape {
        /// Which.
        path: String,
        /// Why.
        detail: String,
    },
}

impl Report {
    /// Writes `report.json` and `report.html` into a folder, which is made when needed.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(REPORT_SCHEMA), schema_text())?;
        let json = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        std::fs::write(folder.join(REPORT_JSON), json)?;
        std::fs::write(folder.join(REPORT_HTML), render_html(self))
    }

    /// Reads a `report.json`, or the one in a folder.
    ///
    /// # Errors
    /// The file cannot be read, or is something else or of another version.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let file = if path.is_dir() {
            path.join(REPORT_JSON)
        } else {
            path.to_owned()
        };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|cause| ReportError::Io {
            path: name.clone(),
            cause,
        })?;
        let shape = |detail: String| ReportError::Shape {
            path: name.clone(),
            detail,
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| shape(error.to_string()))?;
        match value.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => serde_json::from_value(value).map_err(|error| shape(error.to_string())),
            Some(other) => Err(shape(format!("its schema is {other:?}, this tester reads {SCHEMA:?}"))),
            None => Err(shape("it has no `schema`".to_owned())),
        }
    }

    /// Whether the tester was so late that it measured itself.
    #[must_use]
    pub fn tester_is_saturated(&self) -> bool {
        let p99 = |name: &str| self.latencies.get(name).map_or(0, |latency| latency.p99_us);
        let measured = p99("event_to_feed").max(p99("rest_feed"));
        let missed = self.counters.get("dropped_tester").copied().unwrap_or(0);
        missed > 0 || (p99("tester_lag") > LAG_US_MIN && p99("tester_lag") * 2 > measured)
    }

    /// Whether all thresholds were met.
    #[must_use]
    pub fn thresholds_met(&self) -> bool {
        self.thresholds.iter().all(|result| result.met)
    }
}
