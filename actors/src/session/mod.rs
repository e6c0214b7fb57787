//! Session actors: each owns what is known about one viewer, and the viewer's sockets.

mod actor;
mod counting;
mod events;
mod feed;
mod memory;
mod messages;
mod outcomes;
mod overloaded;
mod rank;
mod registry;
mod replay;
mod sent;
mod served;
mod situation;
mod slate_dto;
mod sockets;
mod store;
mod variant;
mod wish;

pub(crate) use actor::SessionActor;
pub use messages::EventSource;
pub(crate) use messages::{
    Attach, Deliver, Describe, Detach, Drain, Forget, GetProfile, Ingest, ModelChanged, OneShot, RankItems, SocketId,
};
pub(crate) use registry::{Activity, Registry};
pub(crate) use replay::{ReplayedEvents, ReplayedParams, ReplayedSessions, ReplayedShown, deletions_of};
pub(crate) use store::{SessionRows, run_session_writer};
