//! The sockets of a session: all of them get every push.

use std::sync::Arc;

use swipeline_models::wire::{MessageId, ServerMessage};

use super::messages::SocketId;
use crate::outbox::{CloseReason, PushedFeed, SocketOutbox};

/// The most sockets of one user; the oldest is closed for a further one.
pub(crate) const SOCKETS_MAX: usize = 16;

/// The sockets of a session.
#[derive(Default)]
pub(super) struct Sockets {
    open: Vec<(SocketId, Arc<SocketOutbox>)>,
    last: u64,
}

impl Sockets {
    pub(super) fn add(&mut self, outbox: Arc<SocketOutbox>) -> SocketId {
        if self.open.len() >= SOCKETS_MAX {
            let (_, oldest) = self.open.remove(0);
            oldest.close(CloseReason::TooManySockets);
        }
        self.last += 1;
        let socket = SocketId(self.last);
        self.open.push((socket, outbox));
        socket
    }

    pub(super) fn remove(&mut self, socket: SocketId) {
        self.open.retain(|(known, _)| *known != socket);
    }

    pub(super) fn get(&self, socket: SocketId) -> Option<&Arc<SocketOutbox>> {
        self.open
            .iter()
            .find(|(known, _)| *known == socket)
            .map(|(_, outbox)| outbox)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Pushes a feed to all sockets.
    pub(super) fn push_feed(&self, feed: &Arc<PushedFeed>) {
        for (_, outbox) in &self.open {
            let dropped = outbox.push_feed(feed.clone());
            if dropped > 0 {
                metrics::counter!("swipeline_feeds_collapsed_total").increment(dropped as u64);
            }
        }
    }

    /// Sends a message to all sockets.
    pub(super) fn push_message(&self, message: &ServerMessage) {
        self.open
            .iter()
            .for_each(|(_, outbox)| outbox.push_message(message.clone()));
    }

    /// Tells one socket what was wrong with its message.
    pub(super) fn refuse(
        &self,
        socket: SocketId,
        id: Option<MessageId>,
        code: &'static str,
        message: String,
        retry_after_ms: Option<u64>,
    ) {
        if let Some(outbox) = self.get(socket) {
            outbox.push_message(ServerMessage::Error {
                id,
                code: code.into(),
                message,
                retryable: retry_after_ms.is_some(),
                retry_after_ms,
            });
        }
    }

    pub(super) fn close_all(&mut self, reason: &CloseReason) {
        self.open.drain(..).for_each(|(_, outbox)| outbox.close(reason.clone()));
    }
}
