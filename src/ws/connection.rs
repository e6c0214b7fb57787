//! One task per socket: reads frames, hands messages to the session, writes what the outbox holds.
//!
//! A slow client blocks only this task; meanwhile its outbox keeps the newest feed only. A write that takes too long,
//! or an outbox that overflows, ends the connection.

mod identity;
mod rates;

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::time::{interval_at, sleep_until};
use actix_web::web;
use swipeline_actors::{Engine, EngineError, Outgoing, SocketHandle, SocketOutbox};
use swipeline_models::ids::UserId;
use swipeline_models::wire::{CLIENT_FRAME_BYTES_MAX, ClientMessage, Hello, MessageId, ServerMessage};
use tokio::time::{Instant as TimerInstant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::close::Ending;
use super::codec::{Incoming, Protocol};
use super::handshake::Caller;
use super::socket::{RECONNECT_AFTER_MS, Socket};
use crate::server::{AppState, now};
use identity::expiry;
pub(super) use rates::Source;

/// So many pings may stay unanswered.
const PINGS_UNANSWERED_MAX: u32 = 2;
/// How long the client may take to answer a close frame.
const CLOSE_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// One socket.
pub(super) struct Connection {
    state: web::Data<AppState>,
    engine: Engine,
    socket: Socket,
    outbox: Arc<SocketOutbox>,
    source: Source,
    /// Whose socket; `None` until a `hello` has said so.
    user: Option<UserId>,
    /// The way into the session; `None` until it is open.
    handle: Option<SocketHandle>,
    /// When the connection ends by itself: no `hello`, or an expired token.
    deadline: Option<(TimerInstant, Ending)>,
    errors_in_a_row: u32,
    pings_unanswered: u32,
    drain_was_told: bool,
}

impl Connection {
    /// A socket that has just been upgraded.
    pub(super) fn new(state: web::Data<AppState>, engine: Engine, socket: Socket, source: Source) -> Self {
        Self {
            socket,
            outbox: engine.outbox(),
            source,
            state,
            engine,
            user: None,
            handle: None,
            deadline: None,
            errors_in_a_row: 0,
            pings_unanswered: 0,
            drain_was_told: false,
        }
    }

    /// Serves the socket until it ends.
    pub(super) async fn run(mut self, caller: Caller) {
        let state = self.state.clone();
        let _counted = state.enter_socket();
        let ending = match self.serve(caller).await {
            Ok(()) => Ending::Gone,
            Err(ending) => ending,
        };
        // The session must not push to a socket that is being closed.
        self.handle = None;
        metrics::counter!("swipeline_sockets_closed_total", "code" => ending.code().to_string()).increment(1);
        tracing::debug!(?ending, user = self.user.as_ref().map(UserId::as_str), "socket closed");
        let Some(frame) = ending.frame() else { return };
        // A slow reader has a full buffer before it: the close frame has to wait until it reads again, if it does.
        let room_timeout = if ending == Ending::SlowReader {
            self.socket.write_timeout
        } else {
            CLOSE_HANDSHAKE_TIMEOUT
        };
        let socket = self.socket;
        if matches!(ending, Ending::TooBig | Ending::Protocol | Ending::NotUtf8) {
            return Box::pin(socket.close_unread(frame, room_timeout, CLOSE_HANDSHAKE_TIMEOUT)).await;
        }
        Box::pin(socket.close(frame, room_timeout, CLOSE_HANDSHAKE_TIMEOUT)).await;
    }

    async fn serve(&mut self, caller: Caller) -> Result<(), Ending> {
        match caller {
            Caller::Known(user, expires_at_s) => {
                self.deadline = expires_at_s.map(expiry);
                Box::pin(self.open_session(user, None, Hello::default())).await?;
            }
            Caller::Unknown => {
                let hello_timeout = Duration::from_millis(self.state.settings().ws.hello_timeout_ms);
                self.deadline = Some((TimerInstant::now() + hello_timeout, Ending::NoHello));
            }
        }
        let ping_interval = Duration::from_millis(self.state.settings().ws.ping_ms);
        let mut pings = interval_at(TimerInstant::now() + ping_interval, ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outbox = Arc::clone(&self.outbox);
        loop {
            let deadline = self.deadline.as_ref().map(|(at, _)| *at);
            tokio::select! {
                // What waits to be written goes first: reading on before that would let answers pile up.
                biased;
                () = reached(deadline) => return Err(Box::pin(self.overdue()).await),
                _ = pings.tick() => self.ping().await?,
                outgoing = outbox.next() => Box::pin(self.write_outgoing(outgoing)).await?,
                message = self.socket.receive() => match message {
                    // Boxed, like what is written: a socket that waits should not hold the memory of one that works.
                    Some(Ok(message)) => Box::pin(self.read_message(message)).await?,
                    Some(Err(error)) => return Err(ending_of(&error)),
                    None => return Ok(()),
                },
            }
            while let Some(outgoing) = outbox.ready() {
                Box::pin(self.write_outgoing(outgoing)).await?;
            }
            self.socket.flush().await?;
        }
    }

    /// Opens the session; `welcome` and the first feed come through the outbox.
    async fn open_session(&mut self, user: UserId, id: Option<MessageId>, hello: Hello) -> Result<(), Ending> {
        let opened = self.engine.connect(&user, hello, Arc::clone(&self.outbox)).await;
        self.user = Some(user);
        match opened {
            Ok(handle) => {
                self.handle = Some(handle);
                Ok(())
            }
            Err(error) => {
                self.socket.write_engine_error(id, &error).await?;
                Err(match error {
                    EngineError::JournalFailed(_) => Ending::JournalFailed,
                    EngineError::Overloaded { .. }
                    | EngineError::Unavailable(_)
                    | EngineError::Invalid(_)
                    | EngineError::InvalidMany(_)
                    | EngineError::NotFound(_)
                    | EngineError::Conflict(_)
                    | EngineError::Outdated { .. }
                    | EngineError::DataDir(_)
                    | EngineError::ModelRefused(_) => Ending::Refused,
                })
            }
        }
    }

    async fn read_message(&mut self, message: Message) -> Result<(), Ending> {
        let received_at = Instant::now();
        self.pings_unanswered = 0;
        let (protocol, bytes) = match message {
            Message::Text(text) => (Protocol::Json, text.into()),
            Message::Binary(bytes) => (Protocol::MessagePack, bytes),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
            Message::Close(_) => return Err(Ending::ClosedByClient),
        };
        if bytes.len() > CLIENT_FRAME_BYTES_MAX {
            return Err(Ending::TooBig);
        }
        if protocol != self.socket.protocol {
            let detail = format!(
                "{} takes {} frames",
                self.socket.protocol.name(),
                frame_kind(self.socket.protocol)
            );
            return self.refuse(None, "wrong_frame_type", detail).await;
        }
        for result in protocol.decode(&bytes) {
            match result {
                Ok(incoming) => {
                    self.errors_in_a_row = 0;
                    self.take(incoming, received_at).await?;
                }
                Err(bad) => self.refuse(bad.id, bad.code, bad.detail).await?,
            }
        }
        Ok(())
    }

    async fn take(&mut self, incoming: Incoming, received_at: Instant) -> Result<(), Ending> {
        let Incoming { id, message } = incoming;
        metrics::counter!("swipeline_socket_messages_in_total", "type" => message_kind(&message)).increment(1);
        if let Err(exceeded) = self.check_rates(&message) {
            return self.too_fast(id, &exceeded).await;
        }
        match message {
            ClientMessage::Ping => {
                self.socket
                    .write(&ServerMessage::Pong {
                        id,
                        server_time: now().0,
                    })
                    .await
            }
            ClientMessage::Pong => Ok(()),
            ClientMessage::Bye => Err(Ending::Bye),
            ClientMessage::Auth { token } => self.renew(id, &token).await,
            ClientMessage::Hello(hello) => self.hello(id, hello, received_at).await,
            other @ (ClientMessage::Events(_) | ClientMessage::Feed(_) | ClientMessage::Seen { .. }) => {
                self.hand_over(id, other, received_at).await
            }
        }
    }

    async fn hand_over(
        &mut self,
        id: Option<MessageId>,
        message: ClientMessage,
        received_at: Instant,
    ) -> Result<(), Ending> {
        let Some(handle) = &self.handle else {
            return self
                .refuse(id, "hello_expected", "say hello with a token first".to_owned())
                .await;
        };
        match handle.send(id.clone(), message, received_at) {
            Ok(()) => Ok(()),
            Err(error) => self.socket.write_engine_error(id, &error).await,
        }
    }

    /// A bad message: said so, counted, and too many in a row end the connection.
    async fn refuse(&mut self, id: Option<MessageId>, code: impl Into<String>, message: String) -> Result<(), Ending> {
        self.errors_in_a_row += 1;
        self.socket.write_error(id, code.into(), message, None).await?;
        if self.errors_in_a_row >= self.state.settings().ws.errors_max {
            return Err(Ending::TooManyErrors);
        }
        Ok(())
    }

    /// The deadline has passed: says what was missed.
    async fn overdue(&mut self) -> Ending {
        let Some((_, ending)) = self.deadline.take() else {
            return Ending::Gone;
        };
        let (code, message) = if matches!(ending, Ending::NoHello) {
            ("hello_timeout", "no hello with a token came in time")
        } else {
            ("token_expired", "the token has expired; reconnect with a fresh one")
        };
        match self
            .socket
            .write_error(None, code.to_owned(), message.to_owned(), None)
            .await
        {
            Ok(()) => ending,
            Err(gone) => gone,
        }
    }

    async fn ping(&mut self) -> Result<(), Ending> {
        if self.pings_unanswered >= PINGS_UNANSWERED_MAX {
            return Err(Ending::Silent);
        }
        self.pings_unanswered += 1;
        self.socket.ping().await
    }

    async fn write_outgoing(&mut self, outgoing: Outgoing) -> Result<(), Ending> {
        match outgoing {
            Outgoing::Message(message) => {
                self.drain_was_told |= matches!(message, ServerMessage::Drain { .. });
                self.socket.write(&message).await
            }
            Outgoing::Feed(pushed) => self.socket.write_feed(&pushed).await,
            Outgoing::Close(reason) => {
                let ending = Ending::from(reason);
                if ending == Ending::Draining && !self.drain_was_told {
                    self.socket
                        .write(&ServerMessage::Drain {
                            reconnect_after_ms: RECONNECT_AFTER_MS,
                        })
                        .await?;
                }
                Err(ending)
            }
        }
    }
}

async fn reached(deadline: Option<TimerInstant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is the client's breach of the protocol"
)]
fn ending_of(error: &Error) -> Ending {
    match error {
        Error::Capacity(_) => Ending::TooBig,
        Error::Utf8(_) => Ending::NotUtf8,
        Error::Io(_)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ending::Gone,
        _ => Ending::Protocol,
    }
}

fn frame_kind(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json => "text",
        Protocol::MessagePack => "binary",
    }
}

fn message_kind(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::Hello(_) => "hello",
        ClientMessage::Events(_) => "event",
        ClientMessage::Feed(_) => "feed",
        ClientMessage::Seen { .. } => "seen",
        ClientMessage::Auth { .. } => "auth",
        ClientMessage::Ping => "ping",
        ClientMessage::Pong => "pong",
        ClientMessage::Bye => "bye",
    }
}
