//! A socket after its handshake: reads messages, encodes and writes answers, and gives up on a client that does not
//! take them in time. What is written waits in the socket's buffer until [`Socket::flush`], so that an ack and a feed
//! leave in one packet.

use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use swipeline_actors::{EngineError, PushedFeed};
use swipeline_models::wire::{CLIENT_FRAME_BYTES_MAX, MessageId, ServerMessage};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::close::Ending;
use super::codec::{self, Protocol};

/// When a client is told to come again, at the earliest, in milliseconds.
pub(super) const RECONNECT_AFTER_MS: u64 = 500;
/// The most bytes of a message that are read at all. A message between [`CLIENT_FRAME_BYTES_MAX`] and this bound is read
/// to its end, so that the close frame reaches the client; the rest of a larger one is thrown away.
const MESSAGE_READ_BYTES_MAX: usize = 4 * CLIENT_FRAME_BYTES_MAX;
/// What a socket that only swipes holds for reading, in bytes; larger frames get more for as long as they last.
const READ_BUFFER_BYTES: usize = 1_024;
/// So many bytes of answers are gathered before they are written without being asked for, in bytes.
const WRITE_BUFFER_BYTES: usize = 16 * 1_024;
/// What is thrown away at a time when a client goes on sending after its end, in bytes.
const DISCARD_BYTES: usize = 4_096;

/// A socket after its handshake.
pub(super) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// How messages are written.
    pub(super) protocol: Protocol,
    /// How long one write may take.
    pub(super) write_timeout: Duration,
    /// When the events were received whose feeds wait to be flushed.
    answered: Vec<Instant>,
}

impl Socket {
    /// A connection that has just left HTTP; `early` is what its client sent right behind the handshake.
    pub(super) async fn new(io: TcpStream, early: Vec<u8>, protocol: Protocol, write_timeout: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_READ_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_READ_BYTES_MAX));
        Self {
            stream: WebSocketStream::from_partially_read(io, early, Role::Server, Some(config)).await,
            protocol,
            write_timeout,
            answered: Vec::new(),
        }
    }

    /// The next message; `None` when the connection has ended. Pings are answered by themselves. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Option<Result<Message, Error>> {
        self.stream.next().await
    }

    /// Writes a feed; encoded once per protocol, however many sockets get it.
    pub(super) async fn write_feed(&mut self, pushed: &PushedFeed) -> Result<(), Ending> {
        let (kind, bytes) = match self.protocol {
            Protocol::Json => (Data::Text, codec::feed_json(pushed)),
            Protocol::MessagePack => (Data::Binary, codec::feed_msgpack(pushed)),
        };
        metrics::counter!("swipeline_socket_messages_out_total", "type" => "feed").increment(1);
        self.answered.extend(pushed.event_received_at);
        self.put(data_frame(kind, bytes)).await
    }

    /// Writes a message.
    pub(super) async fn write(&mut self, message: &ServerMessage) -> Result<(), Ending> {
        metrics::counter!("swipeline_socket_messages_out_total", "type" => answer_kind(message)).increment(1);
        let (kind, bytes) = match self.protocol {
            Protocol::Json => (Data::Text, codec::to_json(message).map(Bytes::from)),
            Protocol::MessagePack => (Data::Binary, codec::to_msgpack(message).map(Bytes::from)),
        };
        match bytes {
            Some(bytes) => self.put(data_frame(kind, bytes)).await,
            None => Ok(()),
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

    /// Writes a WebSocket ping.
    pub(super) async fn ping(&mut self) -> Result<(), Ending> {
        self.put(Message::Ping(Bytes::new())).await
    }

    /// Hands everything written to the system. A client that does not take it in time is too slow.
    pub(super) async fn flush(&mut self) -> Result<(), Ending> {
        let flushed = timeout(self.write_timeout, self.stream.flush()).await;
        ended(flushed)?;
        for received_at in self.answered.drain(..) {
            metrics::histogram!("swipeline_event_to_feed_seconds").record(received_at.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn put(&mut self, message: Message) -> Result<(), Ending> {
        ended(timeout(self.write_timeout, self.stream.feed(message)).await)
    }

    /// Writes the close frame, which may take `time_max`, and reads on until the client has closed too or `answer_max`
    /// has passed: a connection that is torn down with bytes unread loses the close frame on its way.
    pub(super) async fn close(mut self, frame: CloseFrame, time_max: Duration, answer_max: Duration) {
        // A client that closed first is answered by its own code, and the library says that as an error.
        if timeout(time_max, self.stream.close(Some(frame))).await.is_err() {
            return;
        }
        let _ = timeout(answer_max, async {
            while let Some(Ok(_)) = self.stream.next().await {}
        })
        .await;
    }

    /// As [`close`](Self::close), for a client that is in the middle of something that cannot be read.
    pub(super) async fn close_unread(mut self, frame: CloseFrame, time_max: Duration, answer_max: Duration) {
        if timeout(time_max, self.stream.close(Some(frame))).await.is_err() {
            return;
        }
        let mut discarded = vec![0; DISCARD_BYTES];
        let io = self.stream.get_mut();
        let _ = timeout(answer_max, async {
            while io.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
        })
        .await;
    }
}

/// What the end of a write means for the socket.
fn ended(written: Result<Result<(), Error>, tokio::time::error::Elapsed>) -> Result<(), Ending> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Gone),
        Err(_) => Err(Ending::SlowReader),
    }
}

/// A whole message of bytes that are known to be well-formed.
fn data_frame(kind: Data, bytes: Bytes) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(kind), true))
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
