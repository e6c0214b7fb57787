//! Why a socket ends, and what the client is told. 4000-4499 mean "reconnect", 4500-4999 "do not".

use swipeline_actors::CloseReason;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a connection task ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client is gone without a word, or its connection broke.
    Gone,
    /// The client sent a close frame.
    ClosedByClient,
    /// The client said `bye`.
    Bye,
    /// A frame breaks the WebSocket protocol.
    Protocol,
    /// A text frame is not UTF-8.
    NotUtf8,
    /// A frame is larger than allowed.
    TooBig,
    /// Two pings were not answered.
    Silent,
    /// The server is going away.
    Draining,
    /// The session died; a reconnect starts it again.
    SessionLost,
    /// The journal has failed.
    JournalFailed,
    /// The session could not be opened now.
    Refused,
    /// The client does not read.
    SlowReader,
    /// Too many bad messages in a row.
    TooManyErrors,
    /// No `hello` with a token came in time.
    NoHello,
    /// A token was refused.
    TokenRefused,
    /// The token has expired and was not renewed.
    TokenExpired,
    /// The user was deleted.
    UserDeleted,
    /// The user has opened too many sockets since; reconnecting would close another one.
    TooManySockets,
}

impl Ending {
    /// The close code, as it is sent and counted.
    pub(super) fn code(&self) -> u16 {
        match self {
            Ending::Gone => 1006,
            Ending::ClosedByClient | Ending::Bye => 1000,
            Ending::Protocol => 1002,
            Ending::NotUtf8 => 1007,
            Ending::TooBig => 1009,
            Ending::Silent => 4000,
            Ending::Draining => 4001,
            Ending::SessionLost => 4002,
            Ending::JournalFailed => 4003,
            Ending::Refused => 4004,
            Ending::SlowReader => 4008,
            Ending::TooManyErrors => 4500,
            Ending::NoHello => 4501,
            Ending::TokenRefused => 4502,
            Ending::TokenExpired => 4503,
            Ending::UserDeleted => 4504,
            Ending::TooManySockets => 4505,
        }
    }

    /// The close frame; none when there is nobody to tell.
    pub(super) fn frame(&self) -> Option<CloseFrame> {
        let text = match self {
            Ending::Gone => return None,
            Ending::ClosedByClient | Ending::Bye => "bye",
            Ending::Protocol => "protocol error",
            Ending::NotUtf8 => "text must be UTF-8",
            Ending::TooBig => "the frame is too big",
            Ending::Silent => "pings were not answered",
            Ending::Draining => "the server is going away, reconnect",
            Ending::SessionLost => "the session was lost, reconnect",
            Ending::JournalFailed => "events cannot be kept now, reconnect later",
            Ending::Refused => "the session could not be opened now, reconnect later",
            Ending::SlowReader => "too slow a reader, reconnect",
            Ending::TooManyErrors => "too many bad messages",
            Ending::NoHello => "no hello with a token in time",
            Ending::TokenRefused => "the token was refused",
            Ending::TokenExpired => "the token has expired",
            Ending::UserDeleted => "the user was deleted",
            Ending::TooManySockets => "the user has too many sockets",
        };
        Some(CloseFrame {
            code: CloseCode::from(self.code()),
            reason: text.into(),
        })
    }
}

impl From<CloseReason> for Ending {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::SlowReader => Ending::SlowReader,
            CloseReason::UserDeleted => Ending::UserDeleted,
            CloseReason::TooManySockets => Ending::TooManySockets,
            CloseReason::Draining => Ending::Draining,
            CloseReason::SessionLost => Ending::SessionLost,
            CloseReason::JournalFailed => Ending::JournalFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_to_reconnect() {
        for ending in [
            Ending::Silent,
            Ending::Draining,
            Ending::SessionLost,
            Ending::JournalFailed,
            Ending::Refused,
            Ending::SlowReader,
        ] {
            assert!((4000..4500).contains(&ending.code()), "{ending:?}");
        }
        for ending in [
            Ending::TooManyErrors,
            Ending::NoHello,
            Ending::TokenRefused,
            Ending::TokenExpired,
            Ending::UserDeleted,
            Ending::TooManySockets,
        ] {
            assert!((4500..5000).contains(&ending.code()), "{ending:?}");
        }
        assert_eq!(
            Ending::SlowReader.frame().map(|frame| u16::from(frame.code)),
            Some(4008)
        );
    }
}
