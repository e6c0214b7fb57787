//! The actors of Swipeline and the one handle to them, [`Engine`].
//!
//! Owns: who owns which state, in which order an event changes it, passivation and recovery.
//! Must not know frames, status codes or the storage backend.

mod api;
mod apply_gate;
mod archive;
mod caches;
mod clock;
mod effects;
mod engine;
mod items;
mod outbox;
mod overload;
mod pipeline_metrics;
mod records;
mod recovery;
mod served;
mod service;
mod session;
mod shared;

pub use api::{
    ArbiterReport, BrowsePage, BrowsePlace, BrowseQuery, ChannelStatus, Checkpoint, DegradationReport, EngineConfig,
    EngineError, FeedRequest, IngestReply, ItemOrder, ModelDescription, ParamsChange, ParamsDocument, ParamsEdit,
    PopularQuery, RankQuery, Readiness, Showing, TransitionReport,
};
pub use archive::{ArchiveStatus, TierStatus, TimeRange, archive_table};
pub use engine::{BackupInfo, Engine, NameKind, SocketHandle, Tail, TailedEvent};
pub use outbox::{CloseReason, Outgoing, PushedFeed, SocketOutbox};
pub use served::{HistoryError, Outcome, ServedHistory, ServedItemRecord, ServedSlateRecord};
pub use session::EventSource;
