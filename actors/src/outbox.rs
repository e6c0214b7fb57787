//! The bounded queue between a session actor and one socket's connection task.
//!
//! Owns: what a slow reader costs (a bounded number of feeds and small messages), and that an ack
//! leaves only when its events are durable. Must not know frames: the connection task encodes and writes.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use swipeline_models::wire::{FeedPushDto, ServerMessage};
use swipeline_storage::CommitState;
use tokio::sync::{Notify, watch};

/// The most small messages (acks, errors, pongs) that wait for one socket.
pub(crate) const CONTROL_MESSAGES_MAX: usize = 1_024;

/// The most feeds that wait for one socket before they collapse into the newest.
pub(crate) const FEEDS_WAITING_MAX: usize = 8;

/// A feed on its way to one or more sockets; encoded once per protocol, whoever comes first.
#[derive(Debug)]
pub struct PushedFeed {
    /// The feed.
    pub feed: FeedPushDto,
    /// When the event that it answers was received; `None` when no event caused it.
    pub event_received_at: Option<Instant>,
    /// The JSON frame, once somebody encoded it.
    pub json: OnceLock<Bytes>,
    /// The MessagePack frame, once somebody encoded it.
    pub msgpack: OnceLock<Bytes>,
}

/// Why the connection task has to close the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client does not read: its small messages have piled up.
    SlowReader,
    /// The user has too many sockets; the oldest is closed.
    TooManySockets,
    /// The user was deleted.
    UserDeleted,
    /// The engine is shutting down.
    Draining,
    /// The session's actor died; a reconnect starts it again.
    SessionLost,
    /// The journal has failed.
    JournalFailed,
}

/// What the connection task has to do next.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // lives on the connection's stack for one turn of its loop
pub enum Outgoing {
    /// Write this message.
    Message(ServerMessage),
    /// Write this feed.
    Feed(Arc<PushedFeed>),
    /// Close the socket.
    Close(CloseReason),
}

#[derive(Debug, Default)]
struct Queue {
    control: VecDeque<ServerMessage>,
    /// Acks in the order of their journal sequence.
    acks: VecDeque<(u64, ServerMessage)>,
    feeds: VecDeque<Arc<PushedFeed>>,
    close: Option<CloseReason>,
    collapsed: u64,
}

/// The queue. The session actor pushes, one connection task takes.
#[derive(Debug)]
pub struct SocketOutbox {
    queue: Mutex<Queue>,
    wake: Notify,
    committed: watch::Receiver<CommitState>,
}

impl SocketOutbox {
    /// An empty queue; `committed` tells how far the journal is durable.
    #[must_use]
    pub fn new(committed: watch::Receiver<CommitState>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            committed,
        })
    }

    /// Puts a feed. A client that keeps up gets every one; when [`FEEDS_WAITING_MAX`] wait, all of them collapse into
    /// this newest one. Returns how many were dropped for it.
    pub fn push_feed(&self, feed: Arc<PushedFeed>) -> usize {
        let mut queue = self.queue.lock();
        let mut dropped = 0;
        if queue.feeds.len() >= FEEDS_WAITING_MAX {
            dropped = queue.feeds.len();
            queue.feeds.clear();
            queue.collapsed += dropped as u64;
        }
        queue.feeds.push_back(feed);
        drop(queue);
        self.wake.notify_one();
        dropped
    }

    /// Puts a small message. A client that lets too many of them pile up is closed as a slow reader.
    pub fn push_message(&self, message: ServerMessage) {
        let mut queue = self.queue.lock();
        if queue.control.len() >= CONTROL_MESSAGES_MAX {
            queue.close.get_or_insert(CloseReason::SlowReader);
        } else {
            queue.control.push_back(message);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Puts an ack that leaves when the journal is durable up to `sequence`.
    pub fn push_ack(&self, sequence: u64, ack: ServerMessage) {
        let mut queue = self.queue.lock();
        if queue.acks.len() >= CONTROL_MESSAGES_MAX {
            queue.close.get_or_insert(CloseReason::SlowReader);
        } else {
            queue.acks.push_back((sequence, ack));
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Asks the connection task to close the socket. The first reason wins.
    pub fn close(&self, reason: CloseReason) {
        self.queue.lock().close.get_or_insert(reason);
        self.wake.notify_one();
    }

    /// How many feeds were replaced before they could be written.
    #[must_use]
    pub fn collapsed(&self) -> u64 {
        self.queue.lock().collapsed
    }

    /// Waits for the next thing to do. Cancel-safe: nothing is lost when the future is dropped.
    pub async fn next(&self) -> Outgoing {
        let mut committed = self.committed.clone();
        loop {
            let state = committed.borrow_and_update().clone();
            let acks_wait = match self.take(&state) {
                Ok(outgoing) => return outgoing,
                Err(acks_wait) => acks_wait,
            };
            if acks_wait {
                tokio::select! {
                    () = self.wake.notified() => {}
                    changed = committed.changed() => if changed.is_err() {
                        return Outgoing::Close(CloseReason::Draining);
                    },
                }
            } else {
                self.wake.notified().await;
            }
        }
    }

    /// The next thing to do, if there is one already.
    #[must_use]
    pub fn ready(&self) -> Option<Outgoing> {
        let state = self.committed.borrow().clone();
        self.take(&state).ok()
    }

    /// The next thing that may leave now, or whether acks wait for the journal.
    fn take(&self, state: &CommitState) -> Result<Outgoing, bool> {
        let mut queue = self.queue.lock();
        if let Some(message) = queue.control.pop_front() {
            return Ok(Outgoing::Message(message));
        }
        if let Some(feed) = queue.feeds.pop_front() {
            return Ok(Outgoing::Feed(feed));
        }
        if queue
            .acks
            .front()
            .is_some_and(|(sequence, _)| *sequence <= state.committed.0)
            && let Some((_, ack)) = queue.acks.pop_front()
        {
            return Ok(Outgoing::Message(ack));
        }
        if state.failure.is_some() && !queue.acks.is_empty() {
            return Ok(Outgoing::Close(CloseReason::JournalFailed));
        }
        if let Some(reason) = queue.close.clone() {
            return Ok(Outgoing::Close(reason));
        }
        Err(!queue.acks.is_empty())
    }
}
