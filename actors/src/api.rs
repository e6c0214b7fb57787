//! What callers of the engine say and hear: requests, replies and errors.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swipeline_models::catalogue::ItemFilter;
use swipeline_models::degradation::{Level, Load, Reason};
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::item::Item;
use swipeline_models::params::{DegradationParams, Params};
use swipeline_models::wire::{FieldError, Rejection};

/// How to start an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where the data lives; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// Whether an acknowledged event also survives power loss.
    pub fsync: bool,
    /// How many arbiters (threads) sessions are spread over.
    pub arbiters: usize,
    /// A session without sockets and requests for so long is passivated, in milliseconds.
    pub session_idle_ms: i64,
    /// The most sessions that are active at a time.
    pub sessions_max: usize,
    /// The most bytes that active sessions hold together, about.
    pub sessions_bytes_max: usize,
    /// Viewers of whom nothing is known but what they were shown are forgotten after so long, in milliseconds; 0: never.
    pub session_ttl_ms: i64,
    /// The time between two checkpoints, in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Up to so many bytes the journal is kept although the snapshots include it.
    pub journal_keep_bytes: u64,
    /// For so many of 100 viewers, what they are served is logged with its feature rows; 0: nobody.
    pub served_log_percent: u8,
    /// The most bytes of that log.
    pub served_log_bytes_max: u64,
    /// With less free space on the disk of the data dir writes are refused; 0: never.
    pub free_bytes_min: u64,
    /// Whether to start although neither the snapshots nor the journal say how everything was.
    pub accept_loss: bool,
    /// The embedding dimension; fixed by the first embedding that arrives when `None`.
    pub embedding_dim: Option<usize>,
    /// Up to so many items the exact scan serves embedding recall, above it hnsw_rs does.
    pub exact_items_max: usize,
    /// A ranking model to load instead of the bundled one.
    pub model: Option<PathBuf>,
    /// How often the server pings a socket, in milliseconds; told to clients in `welcome`.
    pub ping_ms: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            data_dir: None,
            fsync: false,
            arbiters: std::thread::available_parallelism().map_or(2, usize::from),
            session_idle_ms: 120_000,
            sessions_max: 1_000_000,
            sessions_bytes_max: 4 << 30,
            session_ttl_ms: 30 * 86_400_000,
            checkpoint_interval_ms: 30_000,
            journal_keep_bytes: 512 * 1024 * 1024,
            served_log_percent: 0,
            served_log_bytes_max: 1024 * 1024 * 1024,
            free_bytes_min: 0,
            accept_loss: false,
            embedding_dim: None,
            exact_items_max: 2_000_000,
            model: None,
            ping_ms: 25_000,
        }
    }
}

/// When to try again what failed for a reason that passes, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why the engine could not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too much at once; the same call may succeed after `retry_after_ms`.
    #[error("overloaded, try again in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The journal cannot take records now (disk full, I/O error); nothing is acknowledged until it can.
    #[error("{0}")]
    JournalFailed(String),
    /// The engine is shutting down or the session's actor died twice in a row.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A field of the call breaks a rule (422).
    #[error("{}: {}", .0.field, .0.detail)]
    Invalid(FieldError),
    /// Several fields break rules (422), all reported at once.
    #[error("{} fields are not valid", .0.len())]
    InvalidMany(Vec<FieldError>),
    /// What the call names does not exist.
    #[error("{0} not found")]
    NotFound(String),
    /// The call contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// Somebody else changed the params since the version that the caller has seen.
    #[error("the params are version {current} by now, not {expected}")]
    Outdated {
        /// The version that the caller has seen.
        expected: u64,
        /// The version in force.
        current: u64,
    },
    /// The data dir cannot be used; the text names it and says why.
    #[error("{0}")]
    DataDir(String),
    /// A model was refused; the old one keeps serving.
    #[error("the model was refused: {0}")]
    ModelRefused(String),
}

impl EngineError {
    /// When the same call may succeed, in milliseconds; `None` when trying again does not help by itself.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            EngineError::Overloaded { retry_after_ms } => Some(*retry_after_ms),
            // A disk that is full or slow, a session that is being read: that passes.
            EngineError::JournalFailed(_) | EngineError::Unavailable(_) => Some(RETRY_AFTER_MS),
            EngineError::Invalid(_)
            | EngineError::InvalidMany(_)
            | EngineError::NotFound(_)
            | EngineError::Conflict(_)
            | EngineError::Outdated { .. }
            | EngineError::DataDir(_)
            | EngineError::ModelRefused(_) => None,
        }
    }
}

/// Whether what a one-shot feed serves counts as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// It does.
    Counted,
    /// It does not: the client reports impressions itself. Every request is ranked anew.
    Explicit,
    /// It does not, and the same is answered again until something is reported.
    Look,
}

/// A one-shot feed request, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedRequest {
    /// For whom.
    pub user: UserId,
    /// How many items, 1 to 500.
    pub n: usize,
    /// Where in the app.
    pub scene: Option<String>,
    /// Where the viewer is; overrides the profile for this request.
    pub region: Option<String>,
    /// On what; overrides the profile for this request.
    pub device: Option<String>,
    /// By which kind of network.
    pub network: Option<String>,
    /// Items to leave out.
    pub exclude: Vec<ItemId>,
    /// What is wanted of items.
    pub filter: ItemFilter,
    /// Whether to explain every item.
    pub explain: bool,
    /// Whether what is served counts as shown.
    pub showing: Showing,
    /// The request id of an earlier feed of this user: what follows behind it is wanted.
    pub after: Option<String>,
    /// Serve as if the viewer were in these variants: `experiment:variant`, for several layers joined by commas.
    pub variant: Option<String>,
}

impl FeedRequest {
    /// Of a user, without any wish.
    #[must_use]
    pub fn plain(user: UserId, n: usize) -> Self {
        Self {
            user,
            n,
            scene: None,
            region: None,
            device: None,
            network: None,
            exclude: Vec::new(),
            filter: ItemFilter::default(),
            explain: false,
            showing: Showing::Counted,
            after: None,
            variant: None,
        }
    }
}

/// A request to score given items, checked.
#[derive(Debug, Clone)]
pub struct RankQuery {
    /// For whom.
    pub user: UserId,
    /// Which items.
    pub items: Vec<ItemId>,
    /// How many to return.
    pub n: Option<usize>,
    /// Where the viewer is.
    pub region: Option<String>,
    /// On what.
    pub device: Option<String>,
}

/// Which popular items are wanted.
#[derive(Debug, Clone)]
pub struct PopularQuery {
    /// How many, 1 to 500.
    pub n: usize,
    /// In a window of which length, in milliseconds; seven days at most.
    pub window_ms: i64,
    /// What is wanted of items.
    pub filter: ItemFilter,
    /// In which region.
    pub region: Option<String>,
}

/// In which order items are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemOrder {
    /// The newest first.
    Created,
    /// The most popular of all time first.
    Popular,
    /// What fits the text best first.
    Relevance,
}

/// Which items of the catalogue are wanted.
#[derive(Debug, Clone)]
pub struct BrowseQuery {
    /// Words that they have.
    pub text: Option<String>,
    /// What else is wanted of them.
    pub filter: ItemFilter,
    /// In which order.
    pub order: ItemOrder,
    /// How many, 1 to 500.
    pub n: usize,
    /// Behind which place of the list.
    pub after: Option<BrowsePlace>,
    /// Whether hidden items, and those that may not be shown now, are wanted too.
    pub hidden: bool,
}

/// A place in a list of items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrowsePlace {
    /// What the list is ordered by, the highest first.
    pub key: f64,
    /// Equals are in the order of their rows.
    pub row: u32,
}

/// A page of a list of items.
#[derive(Debug, Clone, Default)]
pub struct BrowsePage {
    /// The items.
    pub items: Vec<Arc<Item>>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<BrowsePlace>,
}

/// What became of a list of events. All of them are durable when this is returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestReply {
    /// How many were taken.
    pub accepted: usize,
    /// How many had been taken before.
    pub duplicates: usize,
    /// Those that were not taken (such as an unknown item), by their place in the list.
    pub rejected: Vec<Rejection>,
}

/// Whether the engine may serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True after recovery and warm-up, false while draining or after a journal failure.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What does not work as it should although it serves (the snapshot store is being replaced, the disk is nearly full);
    /// it ends by itself.
    pub degraded: Vec<String>,
}

/// One version of the `params` document.
#[derive(Debug, Clone, Serialize)]
pub struct ParamsDocument {
    /// Grows by one with every change, starts at 1.
    pub version: u64,
    /// When it came into force, in milliseconds since 1970-01-01 UTC.
    pub changed_at: i64,
    /// Who changed it.
    pub changed_by: String,
    /// The version that it is a return to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
    /// What is other than in the version before, in the order of the keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ParamsChange>,
    /// How many more changes there are than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_left_out: u32,
    /// The document.
    pub params: Arc<Params>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A change of the params that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamsEdit {
    /// Who asks.
    pub by: String,
    /// The version that was seen before; the change is refused when another one is in force by now.
    pub expected: Option<u64>,
}

impl ParamsEdit {
    /// A change by somebody, whatever version is in force.
    #[must_use]
    pub fn by(who: &str) -> Self {
        Self {
            by: who.to_owned(),
            expected: None,
        }
    }
}

/// One key that a version of the params changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamsChange {
    /// Its path, such as `channels.hot.quota`.
    pub key: String,
    /// What it was before; nothing when the key is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<serde_json::Value>,
    /// What it is now; nothing when the key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<serde_json::Value>,
}

/// The ranking model in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDescription {
    /// `onnx` or `linear`.
    pub kind: String,
    /// The model's own version.
    pub version: String,
    /// The hash of its bytes.
    pub fingerprint: String,
    /// Since when it serves, in milliseconds since 1970-01-01 UTC.
    pub loaded_at: i64,
    /// Whether there is a previous model to go back to.
    pub can_roll_back: bool,
}

/// A recall channel or a mixer: its settings in force, and what its breaker has seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// `channel` or `mixer`.
    pub kind: &'static str,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// How many candidates it may name per recall.
    pub quota: u32,
    /// Its weight in the pre-ranking.
    pub weight: f32,
    /// At least this share of every feed.
    pub min_share: f32,
    /// At most this share of every feed.
    pub max_share: f32,
    /// How long a session waits before it asks again, in milliseconds.
    pub min_interval_ms: i64,
    /// The time budget of a call, in microseconds.
    pub time_budget_us: u32,
    /// What a mixer combines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// How a mixer combines it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<swipeline_models::params::MixRule>,
    /// `closed`, `half_open` or `open`.
    pub breaker: &'static str,
    /// Whether an operator holds the breaker where it is.
    pub held: bool,
    /// How often the breaker has opened since the start.
    pub opened: u64,
    /// Calls since the start.
    pub calls: u64,
    /// How many of them took longer than the budget.
    pub late: u64,
    /// How many of them broke down.
    pub failed: u64,
    /// How many calls were not made because the channel was cut off.
    pub refused: u64,
    /// The median time of the calls of the last minutes, in microseconds.
    pub p50_us: Option<f64>,
    /// The 99th percentile of that time, in microseconds.
    pub p99_us: Option<f64>,
}

/// How busy one arbiter was at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ArbiterReport {
    /// By how many milliseconds it ran late.
    pub lag_ms: f64,
    /// How many messages waited for its sessions.
    pub queue: u32,
}

/// A change of the level of degradation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransitionReport {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// From.
    pub from: Level,
    /// To.
    pub to: Level,
    /// Why.
    pub reason: Reason,
}

/// How much is done for a feed, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DegradationReport {
    /// The level that holds.
    pub level: Level,
    /// Its number, 0 (everything) to 5 (feeds are refused).
    pub number: u8,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    pub since: i64,
    /// Why the level was taken; `None` while it never changed.
    pub reason: Option<Reason>,
    /// What was measured at the last look.
    pub load: Load,
    /// The same by arbiter.
    pub arbiters: Vec<ArbiterReport>,
    /// The last changes, the newest first.
    pub transitions: Vec<TransitionReport>,
    /// The thresholds and times in force.
    pub params: DegradationParams,
}

/// What a checkpoint wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Every record up to this journal sequence is contained.
    pub sequence: u64,
    /// How many snapshot rows were written.
    pub rows: u64,
    /// How many bytes of the journal were dropped behind it.
    pub journal_bytes_freed: u64,
    /// In how many milliseconds.
    pub took_ms: u64,
}
