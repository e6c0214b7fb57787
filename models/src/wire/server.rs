//! What the server sends over the WebSocket.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{FeedPushDto, MessageId, Rejection};

/// A server message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The session is open.
    Welcome {
        /// Names the session, for `resume`.
        session: String,
        /// Whose session.
        user_id: String,
        /// Grows with every start of the server; a `resume` of an older epoch starts anew.
        epoch: u64,
        /// The highest feed of the session so far.
        seq: u64,
        /// Whether the session goes on where the client left off.
        recovered: bool,
        /// How often the server pings, in milliseconds.
        ping_ms: u64,
        /// The server's clock, in milliseconds since 1970-01-01 UTC.
        server_time: i64,
        /// The session's settings: `n`, `low_water`, `params_version`.
        params: SessionParamsDto,
    },
    /// A fresh feed.
    Feed(FeedPushDto),
    /// The events of one message are durable.
    Ack {
        /// The message's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// How many were taken.
        accepted: usize,
        /// How many had been taken before.
        duplicates: usize,
        /// Those that were not taken, and why.
        rejected: Vec<Rejection>,
        /// Always true: an ack is sent only then.
        durable: bool,
    },
    /// Something was wrong with a message.
    Error {
        /// The message's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// A short, stable code.
        #[schema(value_type = String)]
        code: Cow<'static, str>,
        /// What is wrong, for people.
        message: String,
        /// Whether the same message may succeed later.
        retryable: bool,
        /// When to try again, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The session's settings have changed.
    Params {
        /// The settings.
        params: SessionParamsDto,
    },
    /// The server is going away; reconnect soon.
    Drain {
        /// When to reconnect, in milliseconds.
        reconnect_after_ms: u64,
    },
    /// Are you there?
    Ping {
        /// The server's clock, in milliseconds since 1970-01-01 UTC.
        server_time: i64,
    },
    /// I am here.
    Pong {
        /// The id of the `ping`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// The server's clock, in milliseconds since 1970-01-01 UTC.
        server_time: i64,
    },
}

/// The settings of one session that a client may want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionParamsDto {
    /// How many items a pushed feed has.
    pub n: usize,
    /// A feed is appended by itself when fewer unseen items are left.
    pub low_water: usize,
    /// The version of the `params` document in force.
    pub params_version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_the_same_from_json_and_from_named_messagepack() {
        let message = ServerMessage::Ack {
            id: Some(MessageId::Text("a".to_owned())),
            accepted: 1,
            duplicates: 0,
            rejected: vec![],
            durable: true,
        };
        let json = serde_json::to_string(&message).expect("JSON");
        assert_eq!(
            json,
            r#"{"type":"ack","id":"a","accepted":1,"duplicates":0,"rejected":[],"durable":true}"#
        );
        let packed = rmp_serde::to_vec_named(&message).expect("MessagePack");
        assert_eq!(rmp_serde::from_slice::<ServerMessage>(&packed).expect("reads"), message);
    }
}
