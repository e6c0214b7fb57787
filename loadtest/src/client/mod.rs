//! A client of the server, played by simulated viewers: over its WebSocket, or by single REST calls.
//!
//! Owns connecting, both subprotocols, the local queue, `seen`, events, resuming, and what is measured on the way. Used by
//! the load tester and by `swipeline demo`. Must not print.

mod caller;
mod codec;
mod connect;
mod endpoint;
mod fleet;
mod http;
mod ledger;
mod line;
mod listen;
mod mix;
mod queue;
pub mod record;
mod session;
mod shared;
mod slow;
mod speak;
mod yardstick;

pub use caller::Caller;
pub use codec::{CauseFrame, CodecError, FeedItemFrame, Proto, ServerFrame, decode, encode};
pub use connect::{BoxedTransport, ConnectFuture, Connector, OpenError, TcpConnector, Transport};
pub use endpoint::{Endpoint, EndpointError};
pub use fleet::{FleetConfig, FleetError, FleetStats, run_viewers};
pub use mix::CallMix;
pub use queue::{Card, FeedOutcome, LocalQueue, SeenMark};
pub use session::{Pace, ViewerTask};
pub use shared::{ClientConfig, Control, Hit, Shared, Traits};
pub use slow::run_slow_reader;
pub use yardstick::Yardstick;

pub(crate) use connect::open;
