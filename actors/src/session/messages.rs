//! What a session actor can be told.

use std::sync::Arc;
use std::time::Instant;

use actix::Message;
use swipeline_models::event::Event;
use swipeline_models::ids::ItemId;
use swipeline_models::params::Params;
use swipeline_models::user::User;
use swipeline_models::wire::{
    ClientMessage, FeedDto, Hello, HistoryEventDto, MessageId, RankReply, Rejection, UserDto, UserProfileDto,
};

use crate::api::{EngineError, FeedRequest, RankQuery};
use crate::outbox::SocketOutbox;

/// Names a socket within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SocketId(pub(crate) u64);

/// A socket joins the session: `welcome` and a feed go into its outbox.
#[derive(Message)]
#[rtype(result = "Result<SocketId, EngineError>")]
pub(crate) struct Attach {
    pub(crate) hello: Hello,
    pub(crate) outbox: Arc<SocketOutbox>,
}

/// A socket is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Detach {
    pub(crate) socket: SocketId,
}

/// A message came in on a socket.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver {
    pub(crate) socket: SocketId,
    pub(crate) id: Option<MessageId>,
    pub(crate) message: ClientMessage,
    pub(crate) received_at: Instant,
}

/// Where events come from, and so what they count in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventSource {
    /// They happen now: everything counts.
    #[default]
    Live,
    /// They are an old log: tastes, neighbours, exposure and popularity (by the events' own times) count; statistics of
    /// what feeds achieve, experiments and the learner's samples, which go by arrival, do not.
    History,
}

/// Events that came in otherwise, each with its place in the caller's list.
#[derive(Message)]
#[rtype(result = "Result<Ingested, EngineError>")]
pub(crate) struct Ingest {
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) source: EventSource,
}

/// What became of events.
#[derive(Debug, Default)]
pub(crate) struct Ingested {
    pub(crate) accepted: usize,
    pub(crate) duplicates: usize,
    pub(crate) rejected: Vec<Rejection>,
    /// The journal must be durable up to here before anybody may be told.
    pub(crate) sequence: u64,
}

/// A one-shot feed. The reply carries the journal number to wait for.
#[derive(Message)]
#[rtype(result = "Result<(FeedDto, u64), EngineError>")]
pub(crate) struct OneShot {
    pub(crate) request: FeedRequest,
}

/// A feed as it would be under other params: nothing of it is remembered.
#[derive(Message)]
#[rtype(result = "FeedDto")]
pub(crate) struct PreviewFeed {
    pub(crate) request: FeedRequest,
    pub(crate) params: Arc<Params>,
}

/// Scores for given items.
#[derive(Message)]
#[rtype(result = "Result<RankReply, EngineError>")]
pub(crate) struct RankItems {
    pub(crate) query: RankQuery,
}

/// The learned profile; `None` when nothing is known.
#[derive(Message)]
#[rtype(result = "Option<Arc<UserProfileDto>>")]
pub(crate) struct GetProfile {
    /// Whether the features are wanted.
    pub(crate) features: bool,
    /// Together with which item.
    pub(crate) item: Option<ItemId>,
}

/// What the outside says about the user. The reply is the journal number to wait for.
#[derive(Message)]
#[rtype(result = "Result<u64, EngineError>")]
pub(crate) struct Describe {
    pub(crate) user: User,
}

/// Changes what the outside says about the user in part (RFC 7396). The reply is what is kept now, with the journal number to
/// wait for; `None` when nothing is known of the user.
#[derive(Message)]
#[rtype(result = "Result<Option<(UserDto, u64)>, EngineError>")]
pub(crate) struct PatchUser {
    pub(crate) patch: Arc<serde_json::Value>,
}

/// What the user did, the newest first; `None` when nothing is known of the user.
#[derive(Message)]
#[rtype(result = "Option<Vec<HistoryEventDto>>")]
pub(crate) struct GetHistory;

/// Forget everything and stop. Returns whether anything was known.
#[derive(Message)]
#[rtype(result = "bool")]
pub(crate) struct Forget;

/// Put the state on its way into the snapshots if it has changed since the last time. Returns whether all of it is.
#[derive(Message)]
#[rtype(result = "bool")]
pub(crate) struct Snapshot;

/// Stop if nothing has happened for long; the state is written down before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Passivate {
    /// What "long" means, in milliseconds.
    pub(crate) idle_ms: i64,
}

/// Let go of the candidates of a viewer of whom no signal is known.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Shrink;

/// Let go of what a viewer who does nothing will not need again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Rest {
    /// How old a pool may be and still serve, in milliseconds.
    pub(crate) pool_age_ms: i64,
}

/// Another ranking model serves: every socket gets a fresh feed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ModelChanged;

/// There is time again for the feed that the session was refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct MakeUp;

/// The engine is going down: tell the sockets.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;
