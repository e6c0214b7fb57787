//! Frames: from bytes to checked messages and back, in JSON and in MessagePack.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swipeline_actors::PushedFeed;
use swipeline_models::wire::{
    ClientFrame, ClientMessage, FeedPushDto, FrameError, MessageId, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK,
    ServerMessage,
};

use crate::msgpack;
use crate::object::Object;

/// The most messages in one frame.
pub(super) const MESSAGES_PER_FRAME_MAX: usize = 256;

/// How messages are written on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Text frames.
    Json,
    /// Binary frames, named maps.
    MessagePack,
}

/// A client message with its id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incoming {
    /// The client's name for the message.
    pub(super) id: Option<MessageId>,
    /// The message.
    pub(super) message: ClientMessage,
}

/// A message that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadMessage {
    /// The client's name for the message, as far as it could be read.
    pub(super) id: Option<MessageId>,
    /// A short, stable code.
    pub(super) code: String,
    /// What is wrong, for people.
    pub(super) detail: String,
}

/// What the client names a message by, whatever else is wrong with it.
#[derive(Deserialize)]
struct OnlyId {
    id: Option<MessageId>,
}

/// A feed as a server message, without a copy.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FeedMessage<'a> {
    Feed(&'a FeedPushDto),
}

impl Protocol {
    /// The protocol of a subprotocol's name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            SUBPROTOCOL_JSON => Some(Protocol::Json),
            SUBPROTOCOL_MSGPACK => Some(Protocol::MessagePack),
            _ => None,
        }
    }

    /// The subprotocol's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Json => SUBPROTOCOL_JSON,
            Protocol::MessagePack => SUBPROTOCOL_MSGPACK,
        }
    }

    /// Reads a frame: one message or a list of messages. Each is checked on its own.
    pub(super) fn decode(self, frame: &[u8]) -> Vec<Result<Incoming, BadMessage>> {
        let parts = match self {
            Protocol::Json => json_parts(frame),
            Protocol::MessagePack => msgpack_parts(frame),
        };
        match parts {
            Ok(parts) => parts.into_iter().map(|part| self.decode_message(part)).collect(),
            Err(bad) => vec![Err(bad)],
        }
    }

    fn decode_message(self, part: &[u8]) -> Result<Incoming, BadMessage> {
        let frame = self
            .parse::<Object<ClientFrame>>(part)
            .map(|read| read.0)
            .map_err(|detail| {
                let id = self.parse::<Object<OnlyId>>(part).ok().and_then(|only| only.0.id);
                BadMessage {
                    id,
                    code: "malformed".to_owned(),
                    detail,
                }
            })?;
        let id = frame.id.clone();
        match frame.into_message() {
            Ok(message) => Ok(Incoming { id, message }),
            Err(error @ FrameError::UnknownType(_)) => Err(BadMessage {
                id,
                code: "unknown_type".to_owned(),
                detail: error.to_string(),
            }),
            Err(FrameError::Field(error)) => Err(BadMessage {
                id,
                code: error.code,
                detail: format!("{}: {}", error.field, error.detail),
            }),
        }
    }

    fn parse<T: for<'de> Deserialize<'de>>(self, part: &[u8]) -> Result<T, String> {
        match self {
            Protocol::Json => serde_json::from_slice(part).map_err(|error| error.to_string()),
            Protocol::MessagePack => msgpack::from_slice(part).map_err(|error| error.to_string()),
        }
    }
}

fn json_parts(frame: &[u8]) -> Result<Vec<&[u8]>, BadMessage> {
    if frame.trim_ascii_start().first() != Some(&b'[') {
        return Ok(vec![frame]);
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(frame).map_err(|error| malformed(&error.to_string()))?;
    if parts.len() > MESSAGES_PER_FRAME_MAX {
        return Err(too_many());
    }
    Ok(parts.into_iter().map(|part| part.get().as_bytes()).collect())
}

fn msgpack_parts(frame: &[u8]) -> Result<Vec<&[u8]>, BadMessage> {
    if !msgpack::is_array(frame) {
        return Ok(vec![frame]);
    }
    let parts = msgpack::array_elements(frame, MESSAGES_PER_FRAME_MAX);
    parts
        .map_err(|error| malformed(&error.to_string()))?
        .ok_or_else(too_many)
}

fn malformed(detail: &str) -> BadMessage {
    BadMessage {
        id: None,
        code: "malformed".to_owned(),
        detail: detail.to_owned(),
    }
}

fn too_many() -> BadMessage {
    let detail = format!("a frame may have at most {MESSAGES_PER_FRAME_MAX} messages");
    BadMessage {
        id: None,
        code: "too_many".to_owned(),
        detail,
    }
}

/// A message as a text frame.
pub(super) fn to_json(message: &ServerMessage) -> Option<String> {
    serde_json::to_string(message)
        .inspect_err(|error| tracing::error!(%error, "a message has no JSON form"))
        .ok()
}

/// A message as a binary frame.
pub(super) fn to_msgpack(message: &ServerMessage) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(message)
        .inspect_err(|error| tracing::error!(%error, "a message has no MessagePack form"))
        .ok()
}

/// A feed as a text frame; written once, however many sockets get it.
pub(super) fn feed_json(pushed: &PushedFeed) -> Bytes {
    let encode = || {
        serde_json::to_vec(&FeedMessage::Feed(&pushed.feed))
            .inspect_err(|error| tracing::error!(%error, "a feed has no JSON form"))
            .unwrap_or_default()
            .into()
    };
    pushed.json.get_or_init(encode).clone()
}

/// A feed as a binary frame; written once, however many sockets get it.
pub(super) fn feed_msgpack(pushed: &PushedFeed) -> Bytes {
    let encode = || {
        rmp_serde::to_vec_named(&FeedMessage::Feed(&pushed.feed))
            .inspect_err(|error| tracing::error!(%error, "a feed has no MessagePack form"))
            .unwrap_or_default()
            .into()
    };
    pushed.msgpack.get_or_init(encode).clone()
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use swipeline_models::wire::{CauseDto, FeedMode};

    fn codes(protocol: Protocol, frame: &[u8]) -> Vec<String> {
        let code = |result: Result<Incoming, BadMessage>| result.map_or_else(|bad| bad.code, |_| "ok".to_owned());
        protocol.decode(frame).into_iter().map(code).collect()
    }

    #[test]
    fn a_frame_is_one_message_or_a_list_in_which_each_stands_alone() {
        let frame = json!([{"type": "ping", "id": 1}, {"type": "feed", "n": 0}, {"type": "nonsense"},
                           {"type": "feed", "n": "x", "id": "f"}, {"type": "bye"}]);
        let expected = ["ok", "out_of_range", "unknown_type", "malformed", "ok"];
        assert_eq!(codes(Protocol::Json, frame.to_string().as_bytes()), expected);
        let packed = rmp_serde::to_vec_named(&frame).expect("MessagePack");
        assert_eq!(codes(Protocol::MessagePack, &packed), expected);
        let bad = Protocol::Json.decode(frame.to_string().as_bytes())[3]
            .clone()
            .expect_err("bad");
        assert_eq!(bad.id, Some(MessageId::Text("f".to_owned())));
        assert_eq!(codes(Protocol::Json, b" {\"type\":\"ping\"} "), ["ok"]);
    }

    #[test]
    fn bombs_are_one_error() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(codes(Protocol::Json, deep.as_bytes()), ["malformed"]);
        let deep = format!(
            "{{\"type\":\"event\",\"context\":{}1{}}}",
            "{\"a\":".repeat(9_000),
            "}".repeat(9_000)
        );
        assert_eq!(codes(Protocol::Json, deep.as_bytes()), ["malformed"]);
        assert_eq!(codes(Protocol::MessagePack, &[0x91; 60_000]), ["malformed"]);
        assert_eq!(
            codes(Protocol::MessagePack, &[0xdd, 0xff, 0xff, 0xff, 0xff]),
            ["malformed"]
        );
        assert_eq!(
            codes(Protocol::MessagePack, &[0xdf, 0xff, 0xff, 0xff, 0xff]),
            ["malformed"]
        );
        let many = json!(vec![json!({"type": "ping"}); MESSAGES_PER_FRAME_MAX + 1]);
        assert_eq!(codes(Protocol::Json, many.to_string().as_bytes()), ["too_many"]);
        assert_eq!(
            codes(Protocol::MessagePack, &rmp_serde::to_vec(&many).expect("packed")),
            ["too_many"]
        );
        assert_eq!(codes(Protocol::Json, b""), ["malformed"]);
        assert_eq!(codes(Protocol::Json, b"[]"), Vec::<String>::new());
    }

    #[test]
    fn a_feed_reads_the_same_in_both_protocols() {
        let cause = CauseDto {
            kind: "like".into(),
            item_id: Some("v1".to_owned()),
            event_id: None,
        };
        let feed = FeedPushDto {
            seq: 3,
            id: None,
            request_id: "r".to_owned(),
            mode: FeedMode::ReplaceTail,
            cause,
            items: vec![],
            variant: None,
            degraded: None,
            took_us: 5,
        };
        let pushed = PushedFeed {
            feed,
            event_received_at: None,
            json: OnceLock::new(),
            msgpack: OnceLock::new(),
        };
        let expected = ServerMessage::Feed(pushed.feed.clone());
        assert_eq!(
            serde_json::from_slice::<ServerMessage>(&feed_json(&pushed)).expect("JSON"),
            expected
        );
        assert_eq!(
            rmp_serde::from_slice::<ServerMessage>(&feed_msgpack(&pushed)).expect("MessagePack"),
            expected
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Protocol::Json.decode(&bytes);
            Protocol::MessagePack.decode(&bytes);
        }
    }
}
