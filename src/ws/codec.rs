//! Frames: from bytes to checked messages and back, in JSON and in MessagePack.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swipeline_actors::PushedFeed;
use swipeline_models::wire::{
    ClientFrame, ClientMessage, EventDto, EventEntry, FeedPushDto, FieldError, FrameError, MessageId, SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK, ServerMessage, check_event_count,
};

use crate::msgpack;
use crate::object::Object;
use crate::unreadable;

/// The field with a message's events.
const EVENTS: &str = "events";
/// So many events of a message are looked at one by one; a message that may have so many is refused anyway.
const EVENTS_LOOKED_AT_MAX: usize = 4_096;
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
        let read = self.parse::<ClientFrame>(part).map(checked);
        match read.or_else(|()| self.event_by_event(part).ok_or(())) {
            Ok(result) => result,
            Err(()) => Err(self.unreadable(part)),
        }
    }

    /// A message with a list of events that cannot be read as a whole: one bad event does not take the others along.
    /// `None` when the list is not to blame.
    fn event_by_event(self, part: &[u8]) -> Option<Result<Incoming, BadMessage>> {
        let (rest, events) = match self {
            Protocol::Json => json_without_events(part)?,
            Protocol::MessagePack => msgpack_without_events(part)?,
        };
        let frame = self.parse::<ClientFrame>(&rest).ok()?;
        if frame.kind != "event" || frame.event.is_some() {
            return None;
        }
        let id = frame.id;
        if let Err(error) = check_event_count(events.len()) {
            return Some(Err(bad_field(id, error)));
        }
        let events = events.into_iter().map(|event| self.event(event)).collect();
        let message = ClientMessage::Events(events);
        Some(Ok(Incoming { id, message }))
    }

    fn event(self, bytes: &[u8]) -> EventEntry {
        self.parse::<EventDto>(bytes).map_err(|()| match self {
            Protocol::Json => unreadable::json::<EventDto>(bytes, "event"),
            Protocol::MessagePack => unreadable::msgpack::<EventDto>(bytes, "event"),
        })
    }

    fn unreadable(self, part: &[u8]) -> BadMessage {
        let error = match self {
            Protocol::Json => unreadable::json::<ClientFrame>(part, "message"),
            Protocol::MessagePack => unreadable::msgpack::<ClientFrame>(part, "message"),
        };
        bad_field(self.parse::<OnlyId>(part).ok().and_then(|only| only.id), error)
    }

    /// An object; why there is none is found out only when somebody has to be told.
    fn parse<T: DeserializeOwned>(self, part: &[u8]) -> Result<T, ()> {
        match self {
            Protocol::Json => serde_json::from_slice::<Object<T>>(part).map_err(|_| ()),
            Protocol::MessagePack => msgpack::from_slice::<Object<T>>(part).map_err(|_| ()),
        }
        .map(|read| read.0)
    }
}

fn checked(frame: ClientFrame) -> Result<Incoming, BadMessage> {
    let id = frame.id.clone();
    match frame.into_message() {
        Ok(message) => Ok(Incoming { id, message }),
        Err(error @ FrameError::UnknownType(_)) => Err(BadMessage {
            id,
            code: "unknown_type".to_owned(),
            detail: error.to_string(),
        }),
        Err(FrameError::Field(error)) => Err(bad_field(id, error)),
    }
}

fn bad_field(id: Option<MessageId>, error: FieldError) -> BadMessage {
    BadMessage {
        id,
        code: error.code,
        detail: format!("{}: {}", error.field, error.detail),
    }
}

/// What stands beside the events of a message, and the bytes of each event.
type Taken<'a> = (Vec<u8>, Vec<&'a [u8]>);

fn json_without_events(part: &[u8]) -> Option<Taken<'_>> {
    let mut entries: BTreeMap<String, &RawValue> = serde_json::from_slice(part).ok()?;
    let events: Vec<&RawValue> = serde_json::from_str(entries.remove(EVENTS)?.get()).ok()?;
    let events = events.into_iter().map(|event| event.get().as_bytes()).collect();
    Some((serde_json::to_vec(&entries).ok()?, events))
}

fn msgpack_without_events(part: &[u8]) -> Option<Taken<'_>> {
    let mut entries = msgpack::map_entries(part)?;
    let place = entries.iter().position(|(key, _)| key == EVENTS)?;
    let (_, events) = entries.remove(place);
    let events = msgpack::array_elements(events, EVENTS_LOOKED_AT_MAX).ok()??;
    // A map of up to 65 535 entries: the marker, the count, and the entries as they came.
    let mut rest = vec![0xde];
    rest.extend(u16::try_from(entries.len()).ok()?.to_be_bytes());
    for (key, value) in entries {
        rest.extend(rmp_serde::to_vec(&key).ok()?);
        rest.extend(value);
    }
    Some((rest, events))
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
    fn one_bad_event_does_not_take_the_others_along() {
        let frame = json!({"type": "event", "id": 1, "events": [
            {"type": "like", "item_id": "v1"}, {"type": "view", "item_id": "v2", "watch_ms": "long"}, 7,
            {"type": "like", "item_id": "v3"}]});
        let packed = rmp_serde::to_vec_named(&frame).expect("MessagePack");
        let frame = frame.to_string();
        for (protocol, bytes) in [
            (Protocol::Json, frame.as_bytes()),
            (Protocol::MessagePack, packed.as_slice()),
        ] {
            let incoming = protocol.decode(bytes).remove(0).expect("readable");
            assert_eq!(incoming.id, Some(MessageId::Number(1)));
            let ClientMessage::Events(events) = incoming.message else {
                panic!("not events")
            };
            let fields: Vec<&str> = events
                .iter()
                .map(|event| {
                    event
                        .as_ref()
                        .map_or_else(|error| error.field.as_str(), |event| &event.item_id)
                })
                .collect();
            assert_eq!(fields, ["v1", "watch_ms", "event", "v3"], "{protocol:?}");
        }
        let many = json!({"type": "event", "id": "m", "events": vec![7; 300]});
        assert_eq!(codes(Protocol::Json, many.to_string().as_bytes()), ["too_many"]);
        for other in [
            json!({"type": "event", "events": 5}),
            json!({"type": "feed", "events": [5]}),
            json!({"type": "event", "event": "like", "events": [5]}),
            json!({"type": "event", "id": [], "events": [5]}),
        ] {
            assert_eq!(
                codes(Protocol::Json, other.to_string().as_bytes()),
                ["malformed"],
                "{other}"
            );
            let packed = rmp_serde::to_vec_named(&other).expect("MessagePack");
            assert_eq!(codes(Protocol::MessagePack, &packed), ["malformed"], "{other}");
        }
    }

    #[test]
    fn an_unreadable_message_names_its_field() {
        let bad = Protocol::Json
            .decode(br#"{"type":"feed","n":"x"}"#)
            .remove(0)
            .expect_err("bad");
        assert!(bad.detail.starts_with("n: "), "{}", bad.detail);
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
