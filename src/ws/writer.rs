//! The writing half of a socket: encodes, writes, and gives up on a client that does not take it in time.

use std::time::Duration;

use actix_web::rt::time::timeout;
use actix_ws::{CloseReason, Session};
use swipeline_actors::{EngineError, PushedFeed};
use swipeline_models::wire::{MessageId, ServerMessage};

use super::close::Ending;
use super::codec::{self, Protocol};

/// When a client is told to come again, at the earliest, in milliseconds.
pub(super) const RECONNECT_AFTER_MS: u64 = 500;

/// The writing half of a socket.
pub(super) struct Writer {
    session: Session,
    /// How messages are written.
    pub(super) protocol: Protocol,
    /// How long one write may take.
    pub(super) write_timeout: Duration,
}

impl Writer {
    pub(super) fn new(session: Session, protocol: Protocol, write_timeout: Duration) -> Self {
        Self {
            session,
            protocol,
            write_timeout,
        }
    }

    /// Writes a feed; encoded once per protocol, however many sockets get it.
    pub(super) async fn write_feed(&mut self, pushed: &PushedFeed) -> Result<(), Ending> {
        match self.protocol {
            Protocol::Json => {
                let text = codec::feed_json(pushed).to_owned();
                self.within_time(async |session| session.text(text).await).await?;
            }
            Protocol::MessagePack => {
                let bytes = codec::feed_msgpack(pushed).to_vec();
                self.within_time(async |session| session.binary(bytes).await).await?;
            }
        }
        metrics::counter!("swipeline_socket_messages_out_total", "type" => "feed").increment(1);
        if let Some(received_at) = pushed.event_received_at {
            metrics::histogram!("swipeline_event_to_feed_seconds").record(received_at.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Writes a message.
    pub(super) async fn write(&mut self, message: &ServerMessage) -> Result<(), Ending> {
        metrics::counter!("swipeline_socket_messages_out_total", "type" => answer_kind(message)).increment(1);
        match self.protocol {
            Protocol::Json => {
                let Some(text) = codec::to_json(message) else {
                    return Ok(());
                };
                self.within_time(async |session| session.text(text).await).await
            }
            Protocol::MessagePack => {
                let Some(bytes) = codec::to_msgpack(message) else {
                    return Ok(());
                };
                self.within_time(async |session| session.binary(bytes).await).await
            }
        }
    }

    /// Says why the engine could not do it.
    pub(super) async fn write_engine_error(
        &mut self,
        id: Option<MessageId>,
        error: &EngineError,
    ) -> Result<(), Ending> {
        let (code, retry_after_ms) = match error {
            EngineError::Overloaded { retry_after_ms } => ("rate_limited".to_owned(), Some(*retry_after_ms)),
            EngineError::JournalFailed(_) => ("journal_failed".to_owned(), Some(RECONNECT_AFTER_MS)),
            EngineError::Unavailable(_) | EngineError::DataDir(_) => {
                ("unavailable".to_owned(), Some(RECONNECT_AFTER_MS))
            }
            EngineError::Invalid(field) => (field.code.clone(), None),
            EngineError::InvalidMany(_) => ("invalid".to_owned(), None),
            EngineError::NotFound(_) => ("not_found".to_owned(), None),
            EngineError::Conflict(_) | EngineError::Outdated { .. } => ("conflict".to_owned(), None),
            EngineError::ModelRefused(_) => ("model_refused".to_owned(), None),
        };
        self.write_error(id, code, error.to_string(), retry_after_ms).await
    }

    /// Writes an `error`; one that says when to try again is retryable.
    pub(super) async fn write_error(
        &mut self,
        id: Option<MessageId>,
        code: String,
        message: String,
        retry_after_ms: Option<u64>,
    ) -> Result<(), Ending> {
        metrics::counter!("swipeline_socket_errors_total", "code" => code.clone()).increment(1);
        let retryable = retry_after_ms.is_some();
        self.write(&ServerMessage::Error {
            id,
            code: code.into(),
            message,
            retryable,
            retry_after_ms,
        })
        .await
    }

    /// Runs one write; a client that does not take it in time is too slow.
    async fn within_time<F>(&mut self, write: F) -> Result<(), Ending>
    where
        F: AsyncFnOnce(&mut Session) -> Result<(), actix_ws::Closed>,
    {
        match timeout(self.write_timeout, write(&mut self.session)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Gone),
            Err(_) => Err(Ending::SlowReader),
        }
    }

    /// Writes a WebSocket ping.
    pub(super) async fn ping(&mut self) -> Result<(), Ending> {
        self.within_time(async |session| session.ping(b"").await).await
    }

    /// Answers a WebSocket ping.
    pub(super) async fn pong(&mut self, payload: &[u8]) -> Result<(), Ending> {
        self.within_time(async |session| session.pong(payload).await).await
    }

    /// Writes the close frame; returns whether it was taken in time.
    pub(super) async fn close(self, frame: CloseReason, time_max: Duration) -> bool {
        matches!(timeout(time_max, self.session.close(Some(frame))).await, Ok(Ok(())))
    }
}

fn answer_kind(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Welcome { .. } => "welcome",
        ServerMessage::Feed(_) => "feed",
        ServerMessage::Ack { .. } => "ack",
        ServerMessage::Error { .. } => "error",
        ServerMessage::Params { .. } => "params",
        ServerMessage::Drain { .. } => "drain",
        ServerMessage::Ping { .. } => "ping",
        ServerMessage::Pong { .. } => "pong",
    }
}
