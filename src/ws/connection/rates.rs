//! The rates of everybody, of an address and of a key, as they hold for messages: a message counts like a call.

use std::net::IpAddr;

use swipeline_models::wire::{ClientMessage, MessageId};

use super::Connection;
use crate::limits::Exceeded;
use crate::ws::close::Ending;

/// Where a socket comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ws) struct Source {
    /// The address of the connection.
    pub(in crate::ws) ip: Option<IpAddr>,
    /// The place of the API key that it was opened with.
    pub(in crate::ws) key: Option<usize>,
}

impl Connection {
    /// Whether one more message keeps within the rates. What only says that the client lives or leaves is free.
    pub(super) fn check_rates(&self, message: &ClientMessage) -> Result<(), Exceeded> {
        if matches!(message, ClientMessage::Pong | ClientMessage::Bye) {
            return Ok(());
        }
        let limits = self.state.limits();
        limits.check_caller(self.source.ip)?;
        match self.source.key {
            Some(place) => limits.check_key(place),
            None => Ok(()),
        }
    }

    /// Tells the client when to send that again.
    pub(super) async fn too_fast(&mut self, id: Option<MessageId>, exceeded: &Exceeded) -> Result<(), Ending> {
        metrics::counter!("swipeline_rate_limited_total", "scope" => exceeded.scope).increment(1);
        let retry_after_ms = u64::try_from(exceeded.retry_after.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let message = format!("too many messages ({} rate)", exceeded.scope);
        self.socket
            .write_error(id, "rate_limited".to_owned(), message, Some(retry_after_ms))
            .await
    }
}
