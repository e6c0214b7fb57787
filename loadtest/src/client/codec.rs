//! Messages to bytes and back, in JSON and in MessagePack.
//!
//! Owns the lean form in which the tester reads server messages: one flat struct with only the fields that it needs,
//! because the tester shares its processors with the server. Must not know sockets.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swipeline_models::wire::{
    ClientFrame, FeedMode, ItemDto, MessageId, Rejection, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK,
};
use tokio_tungstenite::tungstenite::Message;

/// The deepest nesting that is read.
const DEPTH_MAX: usize = 16;
/// The most messages in one frame.
const MESSAGES_PER_FRAME_MAX: usize = 1_024;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// Text frames of JSON.
    #[default]
    Json,
    /// Binary frames of MessagePack with named maps.
    Msgpack,
}

impl Proto {
    /// The WebSocket subprotocol.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Proto::Json => SUBPROTOCOL_JSON,
            Proto::Msgpack => SUBPROTOCOL_MSGPACK,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Proto::Json => "json",
            Proto::Msgpack => "msgpack",
        })
    }
}

impl FromStr for Proto {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Proto::Json),
            "msgpack" => Ok(Proto::Msgpack),
            other => Err(format!("{other:?} is not `json` or `msgpack`")),
        }
    }
}

/// A server message, flat: which fields count depends on `kind`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServerFrame {
    /// `welcome`, `feed`, `ack`, `error`, `params`, `drain`, `ping` or `pong`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `feed`, `ack`, `error`, `pong`: the message that is answered.
    pub id: Option<MessageId>,
    /// `welcome`: names the session.
    pub session: Option<String>,
    /// `welcome`: the server's start.
    pub epoch: Option<u64>,
    /// `welcome`: whether the session goes on.
    pub recovered: Option<bool>,
    /// `welcome`, `feed`.
    pub seq: Option<u64>,
    /// `feed`.
    pub request_id: Option<String>,
    /// `feed`.
    pub mode: Option<FeedMode>,
    /// `feed`: what it answers.
    pub cause: Option<CauseFrame>,
    /// `feed`.
    pub items: Option<Vec<FeedItemFrame>>,
    /// `feed`: why it is less than it could be.
    pub degraded: Option<String>,
    /// `ack`.
    pub accepted: Option<u64>,
    /// `ack`.
    pub duplicates: Option<u64>,
    /// `ack`.
    pub rejected: Option<Vec<Rejection>>,
    /// `error`.
    pub code: Option<String>,
    /// `error`.
    pub message: Option<String>,
    /// `drain`.
    pub reconnect_after_ms: Option<u64>,
}

/// What a feed answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CauseFrame {
    /// `hello`, `request`, `model` or an event's type.
    pub kind: String,
    /// The event's id.
    pub event_id: Option<String>,
}

/// One item of a feed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FeedItemFrame {
    /// Which.
    pub item_id: String,
    /// Its place in the feed.
    pub position: u32,
    /// What it is.
    pub item: Option<ItemDto>,
}

/// Why a frame could not be read or a message not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not what the subprotocol promises.
    #[error("not {proto}: {detail}")]
    Malformed {
        /// What was promised.
        proto: Proto,
        /// What is wrong.
        detail: String,
    },
    /// A text frame on a binary socket or the reverse.
    #[error("a frame of the wrong kind for {0}")]
    WrongKind(Proto),
    /// Too many messages in one frame.
    #[error("more than {MESSAGES_PER_FRAME_MAX} messages in one frame")]
    TooMany,
}

/// Puts messages into one frame: a single one as an object, several as an array.
///
/// # Errors
/// A message that cannot be written (a number that is not finite).
pub fn encode(proto: Proto, frames: &[ClientFrame]) -> Result<Message, CodecError> {
    let malformed = |detail: String| CodecError::Malformed { proto, detail };
    match (proto, frames) {
        (Proto::Json, [single]) => serde_json::to_string(single)
            .map(Message::text)
            .map_err(|e| malformed(e.to_string())),
        (Proto::Json, several) => serde_json::to_string(several)
            .map(Message::text)
            .map_err(|e| malformed(e.to_string())),
        (Proto::Msgpack, [single]) => rmp_serde::to_vec_named(single)
            .map(Message::binary)
            .map_err(|e| malformed(e.to_string())),
        (Proto::Msgpack, several) => rmp_serde::to_vec_named(several)
            .map(Message::binary)
            .map_err(|e| malformed(e.to_string())),
    }
}

/// Reads the messages of one frame; control frames have none.
///
/// # Errors
/// A frame of the wrong kind, or not what the subprotocol promises.
pub fn decode(proto: Proto, message: &Message) -> Result<Vec<ServerFrame>, CodecError> {
    match (proto, message) {
        (Proto::Json, Message::Text(text)) => decode_json(text.as_str()),
        (Proto::Msgpack, Message::Binary(bytes)) => decode_msgpack(bytes),
        (_, Message::Text(_) | Message::Binary(_)) => Err(CodecError::WrongKind(proto)),
        (_, Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => Ok(Vec::new()),
    }
}

fn decode_json(text: &str) -> Result<Vec<ServerFrame>, CodecError> {
    let malformed = |error: serde_json::Error| CodecError::Malformed {
        proto: Proto::Json,
        detail: error.to_string(),
    };
    if text.trim_start().starts_with('[') {
        return bounded(serde_json::from_str(text).map_err(malformed)?);
    }
    Ok(vec![serde_json::from_str(text).map_err(malformed)?])
}

fn decode_msgpack(bytes: &Bytes) -> Result<Vec<ServerFrame>, CodecError> {
    let malformed = |error: rmp_serde::decode::Error| CodecError::Malformed {
        proto: Proto::Msgpack,
        detail: error.to_string(),
    };
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes.as_ref());
    reader.set_max_depth(DEPTH_MAX);
    // Arrays begin with 0x90-0x9f, 0xdc or 0xdd; everything else has to be one message.
    if matches!(bytes.first(), Some(0x90..=0x9f | 0xdc | 0xdd)) {
        return bounded(Vec::deserialize(&mut reader).map_err(malformed)?);
    }
    Ok(vec![ServerFrame::deserialize(&mut reader).map_err(malformed)?])
}

fn bounded(frames: Vec<ServerFrame>) -> Result<Vec<ServerFrame>, CodecError> {
    if frames.len() > MESSAGES_PER_FRAME_MAX {
        Err(CodecError::TooMany)
    } else {
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use proptest::prelude::*;
    use swipeline_models::wire::{CauseDto, FeedItemDto, FeedPushDto, ServerMessage, SessionParamsDto};

    fn feed(seq: u64, ids: &[String], event_id: Option<String>) -> ServerMessage {
        let items = ids.iter().enumerate().map(|(place, id)| FeedItemDto {
            item_id: id.clone(),
            score: 0.5,
            position: place as u32,
            channels: vec!["hot".into()],
            reason: "because".into(),
            explore: false,
            propensity: None,
            item: Some(Arc::new(ItemDto {
                id: id.clone(),
                ..ItemDto::default()
            })),
            media_url: None,
            explain: None,
        });
        ServerMessage::Feed(FeedPushDto {
            seq,
            id: Some(MessageId::Number(7)),
            request_id: "r".to_owned(),
            mode: FeedMode::ReplaceTail,
            cause: CauseDto {
                kind: "like".into(),
                item_id: None,
                event_id,
            },
            items: items.collect(),
            variant: None,
            degraded: None,
            took_us: 5,
        })
    }

    fn frame(proto: Proto, messages: &[ServerMessage]) -> Message {
        match (proto, messages) {
            (Proto::Json, [one]) => Message::text(serde_json::to_string(one).expect("JSON")),
            (Proto::Json, many) => Message::text(serde_json::to_string(many).expect("JSON")),
            (Proto::Msgpack, [one]) => Message::binary(rmp_serde::to_vec_named(one).expect("MessagePack")),
            (Proto::Msgpack, many) => Message::binary(rmp_serde::to_vec_named(many).expect("MessagePack")),
        }
    }

    #[test]
    fn every_server_message_is_read_in_both_forms() {
        let params = SessionParamsDto {
            n: 10,
            low_water: 3,
            params_version: 1,
        };
        let welcome = ServerMessage::Welcome {
            session: "s".to_owned(),
            user_id: "u".to_owned(),
            epoch: 3,
            seq: 4,
            recovered: true,
            ping_ms: 5,
            server_time: 6,
            params: params.clone(),
        };
        let rejected = vec![Rejection {
            index: 0,
            code: "unknown_item".to_owned(),
            detail: "d".to_owned(),
        }];
        let ack = ServerMessage::Ack {
            id: None,
            accepted: 1,
            duplicates: 2,
            rejected,
            durable: true,
        };
        let error = ServerMessage::Error {
            id: None,
            code: "busy".into(),
            message: "m".to_owned(),
            retryable: true,
            retry_after_ms: Some(1),
        };
        let others = [
            ServerMessage::Params { params },
            ServerMessage::Drain { reconnect_after_ms: 9 },
            ServerMessage::Ping { server_time: 1 },
            ServerMessage::Pong {
                id: None,
                server_time: 1,
            },
        ];
        for proto in [Proto::Json, Proto::Msgpack] {
            let one = |message: &ServerMessage| {
                decode(proto, &frame(proto, std::slice::from_ref(message)))
                    .expect("reads")
                    .remove(0)
            };
            let read = one(&welcome);
            assert_eq!(
                (read.kind.as_str(), read.epoch, read.recovered, read.seq),
                ("welcome", Some(3), Some(true), Some(4))
            );
            let read = one(&ack);
            assert_eq!((read.accepted, read.duplicates), (Some(1), Some(2)));
            assert_eq!(read.rejected.expect("is there")[0].code, "unknown_item");
            assert_eq!(one(&error).code.as_deref(), Some("busy"));
            let kinds: Vec<String> = decode(proto, &frame(proto, &others))
                .expect("reads")
                .into_iter()
                .map(|f| f.kind)
                .collect();
            assert_eq!(kinds, ["params", "drain", "ping", "pong"]);
        }
    }

    #[test]
    fn damage_is_an_error_and_not_a_panic() {
        assert!(matches!(
            decode(Proto::Json, &Message::text("{")),
            Err(CodecError::Malformed { .. })
        ));
        assert!(matches!(
            decode(Proto::Json, &Message::binary(vec![1])),
            Err(CodecError::WrongKind(_))
        ));
        let bomb = vec![0x91; 100_000];
        assert!(matches!(
            decode(Proto::Msgpack, &Message::binary(bomb)),
            Err(CodecError::Malformed { .. })
        ));
    }

    proptest! {
        #[test]
        fn feeds_are_read_as_they_were_written(
            seq: u64,
            ids in proptest::collection::vec("[a-zé]{1,9}", 0..20),
            event_id in proptest::option::of("[0-9a-f]{8}"),
            packed: bool,
        ) {
            let proto = if packed { Proto::Msgpack } else { Proto::Json };
            let read = decode(proto, &frame(proto, &[feed(seq, &ids, event_id.clone())])).expect("reads").remove(0);
            prop_assert_eq!(read.seq, Some(seq));
            prop_assert_eq!(read.mode, Some(FeedMode::ReplaceTail));
            prop_assert_eq!(read.id, Some(MessageId::Number(7)));
            prop_assert_eq!(read.cause.expect("is there").event_id, event_id);
            let items = read.items.expect("are there");
            prop_assert_eq!(items.iter().map(|item| item.item_id.clone()).collect::<Vec<_>>(), ids);
            prop_assert!(items.iter().all(|item| item.item.as_ref().is_some_and(|dto| dto.id == item.item_id)));
        }

        #[test]
        fn what_the_client_writes_the_server_reads(item_id in "[a-z]{1,9}", packed: bool) {
            let proto = if packed { Proto::Msgpack } else { Proto::Json };
            let frames = [
                ClientFrame { kind: "seen".to_owned(), seq: Some(3), upto: Some(1), ..ClientFrame::default() },
                ClientFrame {
                    kind: "event".to_owned(),
                    event: Some("like".to_owned()),
                    item_id: Some(item_id),
                    ..ClientFrame::default()
                },
            ];
            let read: Vec<ClientFrame> = match encode(proto, &frames).expect("writes") {
                Message::Text(text) => serde_json::from_str(text.as_str()).expect("JSON"),
                Message::Binary(bytes) => rmp_serde::from_slice(&bytes).expect("MessagePack"),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => panic!("no data frame"),
            };
            prop_assert!(read.iter().all(|frame| frame.clone().into_message().is_ok()));
            prop_assert_eq!(read, frames);
        }
    }
}
