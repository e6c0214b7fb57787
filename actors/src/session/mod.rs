//! Session actors: each owns what is known about one viewer, and the viewer's sockets.

mod actor;
mod counting;
mod events;
mod feed;
mod memory;
mod messages;
mod outcomes;
mod overloaded;
mod pages;
mod preview;
mod profile;
mod rank;
mod registry;
mod replay;
mod scene;
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
    Attach, Deliver, Describe, Detach, Drain, Forget, GetHistory, GetProfile, Ingest, ModelChanged, OneShot, PatchUser,
    PreviewFeed, RankItems, SocketId,
};
pub(crate) use registry::{Activity, Registry};
pub(crate) use replay::{ReplayedEvents, ReplayedParams, ReplayedSessions, ReplayedShown, deletions_of};
pub(crate) use store::{SessionRows, run_session_writer};
