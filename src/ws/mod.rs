//! The WebSocket `/v1/stream`.
//!
//! Owns: the handshake, frames and close codes. The connection's one task reads frames and writes what its outbox holds;
//! what a message means is the session's business. Must not keep state of a session or wait for a slow client anywhere
//! but in the connection's own task.

mod close;
mod codec;
mod connection;
mod handshake;
mod socket;

pub(crate) use handshake::*;

use crate::rest::Endpoint;

/// The path of the WebSocket.
pub(crate) const STREAM_PATH: &str = "/v1/stream";

/// The WebSocket as an endpoint.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get(STREAM_PATH, open_stream)]
}
