//! One socket of a viewer: its state and how it ends.
//!
//! Owns the meaning of ends. Must not decide what follows from them (that is `session`).

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::record::Recorder;

/// The code of a socket that ended without a close frame (RFC 6455 §7.4.1).
pub(super) const CLOSE_ABNORMAL: u16 = 1006;

/// Why a socket is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everybody has to stop.
    Stopped,
    /// The viewer has had enough.
    Left,
    /// All sockets are to be dropped and opened again.
    Storm,
    /// The server closed it.
    Closed(u16),
    /// It broke.
    Broken(&'static str),
}

impl End {
    /// Counts a close, and an error where it is one.
    pub(super) fn note(&self, recorder: &Recorder) {
        match self {
            End::Stopped | End::Left | End::Storm => {}
            End::Closed(code) => {
                recorder.close(*code);
                // 1001 and 4000-4499 are how a server asks clients to come back.
                if !matches!(*code, 1001 | 4000..=4499) {
                    recorder.error(&format!("closed_{code}"));
                }
            }
            End::Broken(kind) => {
                recorder.close(CLOSE_ABNORMAL);
                recorder.error(kind);
            }
        }
    }
}

/// The state of one socket.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) upgraded_at: Instant,
    /// When the socket before it was lost.
    pub(super) lost_at: Option<Instant>,
    pub(super) welcomed: bool,
    pub(super) fed: bool,
    pub(super) last_feed_at: Option<Instant>,
    pub(super) last_seq: u64,
    /// The viewer wants to go as soon as everything is answered; the last moment for that.
    pub(super) leave_by: Option<Instant>,
    /// Not before this instant another request for more, because the last one brought nothing.
    pub(super) ask_after: Instant,
}

/// What names a session for `resume`.
#[derive(Debug, Clone)]
pub(super) struct SessionName {
    pub(super) session: String,
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

/// What the end of a stream means.
pub(super) fn end_of(message: Option<Result<Message, SocketError>>) -> Result<Message, End> {
    match message {
        Some(Ok(Message::Close(frame))) => Err(End::Closed(frame.map_or(1005, |frame| u16::from(frame.code)))),
        Some(Ok(message)) => Ok(message),
        // A killed server says nothing, which is no breach of the protocol.
        Some(Err(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
            Err(End::Broken("socket_lost"))
        }
        Some(Err(SocketError::Protocol(_))) => Err(End::Broken("protocol")),
        Some(Err(SocketError::Capacity(_))) => Err(End::Broken("frame_too_large")),
        Some(Err(_)) => Err(End::Broken("socket_lost")),
        None => Err(End::Broken("socket_ended")),
    }
}
