//! What a client sends over the WebSocket.
//!
//! A frame is read into one flat struct (no buffering, no second pass) and then checked into a [`ClientMessage`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::lenient::Whole;
use super::{EventDto, FEED_N_MAX, FieldError, check_id, check_optional_id};
use crate::event::ContextValue;

/// The most ids in `exclude`.
pub(crate) const EXCLUDE_MAX: usize = 1_000;
/// The most events in one message.
pub(crate) const EVENTS_PER_MESSAGE_MAX: usize = 256;

/// A client's name for a message: a text or a number, echoed as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum MessageId {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "an id is a text or a whole number")]
        enum Written {
            Number(Whole),
            Text(String),
        }

        Ok(match Written::deserialize(deserializer)? {
            Written::Number(Whole(number)) => MessageId::Number(number),
            Written::Text(text) => MessageId::Text(text),
        })
    }
}

/// Where a client left off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Resume {
    /// The session of the last `welcome`.
    pub session: String,
    /// The epoch of the last `welcome`.
    #[serde(deserialize_with = "super::lenient::unsigned")]
    pub epoch: u64,
    /// The highest feed that was received.
    #[serde(deserialize_with = "super::lenient::unsigned")]
    pub seq: u64,
}

/// Any client message, flat: which fields count depends on `type`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ClientFrame {
    /// `hello`, `event`, `feed`, `seen`, `auth`, `ping`, `pong` or `bye`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The client's name for this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// `hello`, `auth`: a JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `hello`, `feed`: how many items a feed shall have.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::whole")]
    pub n: Option<i64>,
    /// `hello`: append a feed by itself when fewer unseen items are left.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::whole")]
    pub low_water: Option<i64>,
    /// `hello`: where in the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene: Option<String>,
    /// `hello`: where the viewer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `hello`: on what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `hello`: by which kind of network, such as `wifi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `hello`: be served as in these variants, `experiment:variant` (where the params allow it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `hello`: where the client left off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// `event`: several events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<EventDto>>,
    /// `event`: the type of one event given inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::millis")]
    pub at: Option<i64>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::millis")]
    pub watch_ms: Option<i64>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::whole")]
    pub position: Option<i64>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// `event`, inline.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::values")]
    pub context: Option<BTreeMap<String, ContextValue>>,
    /// `feed`: items to leave out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::texts")]
    pub exclude: Option<Vec<String>>,
    /// `seen`: the highest feed that was shown.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::whole")]
    pub seq: Option<i64>,
    /// `seen`: the epoch of the `welcome` under which that feed came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// `seen`: up to which position, inclusive; all of it when left out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::lenient::whole")]
    pub upto: Option<i64>,
}

/// What a client wants at the start of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hello {
    /// A JWT.
    pub token: Option<String>,
    /// How many items a feed shall have.
    pub n: Option<usize>,
    /// Append by itself when fewer unseen items are left.
    pub low_water: Option<usize>,
    /// Where in the app.
    pub scene: Option<String>,
    /// Where the viewer is.
    pub region: Option<String>,
    /// On what.
    pub device: Option<String>,
    /// By which kind of network, such as `wifi`.
    pub network: Option<String>,
    /// Be served as in these variants.
    pub variant: Option<String>,
    /// Where the client left off.
    pub resume: Option<Resume>,
}

/// A request for more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedAsk {
    /// How many.
    pub n: Option<usize>,
    /// Items to leave out.
    pub exclude: Vec<String>,
}

/// One event of a message, or why it could not be read.
pub type EventEntry = Result<EventDto, FieldError>;

/// A checked client message.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// Wishes for the session.
    Hello(Hello),
    /// Events; each is read and checked on its own, so that one bad event does not take the others with it.
    Events(Vec<EventEntry>),
    /// More, please.
    Feed(FeedAsk),
    /// What was shown.
    Seen {
        /// The highest feed that was shown.
        seq: u64,
        /// The epoch of the `welcome` under which it came; numbers are unique without it.
        epoch: Option<u64>,
        /// Up to which position, inclusive; all of it when absent.
        upto: Option<u32>,
    },
    /// A fresh token.
    Auth {
        /// The JWT.
        token: String,
    },
    /// Are you there?
    Ping,
    /// I am here.
    Pong,
    /// Goodbye.
    Bye,
}

/// Why a frame is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// `type` names nothing known.
    #[error("unknown message type {0:?}")]
    UnknownType(String),
    /// A field breaks a rule.
    #[error("{}: {}", .0.field, .0.detail)]
    Field(FieldError),
}

impl From<FieldError> for FrameError {
    fn from(error: FieldError) -> Self {
        FrameError::Field(error)
    }
}

impl ClientFrame {
    /// The message, checked.
    ///
    /// # Errors
    /// An unknown `type`, or the first field that breaks a rule.
    pub fn into_message(self) -> Result<ClientMessage, FrameError> {
        match self.kind.as_str() {
            "hello" => Ok(ClientMessage::Hello(self.into_hello()?)),
            "event" => Ok(ClientMessage::Events(self.into_events()?)),
            "feed" => {
                let exclude = self.exclude.unwrap_or_default();
                super::check_names("exclude", &exclude, EXCLUDE_MAX)?;
                Ok(ClientMessage::Feed(FeedAsk {
                    n: check_n(self.n)?,
                    exclude,
                }))
            }
            "seen" => {
                let seq = self
                    .seq
                    .ok_or_else(|| FieldError::new("seq", "missing", "is required"))?;
                let seq =
                    u64::try_from(seq).map_err(|_| FieldError::new("seq", "out_of_range", "must not be negative"))?;
                let upto = self
                    .upto
                    .map(|upto| super::check_count("upto", upto, u32::MAX))
                    .transpose()?;
                let epoch = self.epoch.map(|epoch| {
                    u64::try_from(epoch).map_err(|_| FieldError::new("epoch", "out_of_range", "must not be negative"))
                });
                let epoch = epoch.transpose()?;
                Ok(ClientMessage::Seen { seq, epoch, upto })
            }
            "auth" => {
                let token = self
                    .token
                    .ok_or_else(|| FieldError::new("token", "missing", "is required"))?;
                Ok(ClientMessage::Auth { token })
            }
            "ping" => Ok(ClientMessage::Ping),
            "pong" => Ok(ClientMessage::Pong),
            "bye" => Ok(ClientMessage::Bye),
            "" => Err(FieldError::new("type", "missing", "is required").into()),
            other => Err(FrameError::UnknownType(other.chars().take(64).collect())),
        }
    }

    fn into_hello(self) -> Result<Hello, FieldError> {
        check_optional_id("scene", self.scene.as_deref())?;
        check_optional_id("region", self.region.as_deref())?;
        check_optional_id("device", self.device.as_deref())?;
        check_optional_id("network", self.network.as_deref())?;
        check_optional_id("variant", self.variant.as_deref())?;
        let low_water = self
            .low_water
            .map(|low| super::check_count("low_water", low, u32::try_from(FEED_N_MAX).unwrap_or(u32::MAX)))
            .transpose()?
            .map(|low| low as usize);
        Ok(Hello {
            token: self.token,
            n: check_n(self.n)?,
            low_water,
            scene: self.scene,
            region: self.region,
            device: self.device,
            network: self.network,
            variant: self.variant,
            resume: self.resume,
        })
    }

    fn into_events(self) -> Result<Vec<EventEntry>, FieldError> {
        match (self.events, self.event) {
            (Some(_), Some(_)) => Err(FieldError::new(
                "events",
                "ambiguous",
                "give either `events` or an inline `event`",
            )),
            (Some(events), None) => {
                check_event_count(events.len())?;
                Ok(events.into_iter().map(Ok).collect())
            }
            (None, Some(kind)) => {
                let item_id = self
                    .item_id
                    .ok_or_else(|| FieldError::new("item_id", "missing", "is required"))?;
                Ok(vec![Ok(EventDto {
                    event_id: self.event_id,
                    user_id: self.user_id,
                    item_id,
                    kind,
                    at: self.at,
                    watch_ms: self.watch_ms,
                    position: self.position,
                    request_id: self.request_id,
                    context: self.context,
                })])
            }
            (None, None) => Err(FieldError::new("event", "missing", "give `event` or `events`")),
        }
    }
}

/// Checks how many events a message has.
///
/// # Errors
/// When there are more than a message may have.
pub fn check_event_count(count: usize) -> Result<(), FieldError> {
    if count <= EVENTS_PER_MESSAGE_MAX {
        return Ok(());
    }
    let detail = format!("must have at most {EVENTS_PER_MESSAGE_MAX} elements, has {count}");
    Err(FieldError::new("events", "too_many", detail))
}

/// Checks a feed length: 1 to [`FEED_N_MAX`].
fn check_n(n: Option<i64>) -> Result<Option<usize>, FieldError> {
    let Some(n) = n else { return Ok(None) };
    usize::try_from(n)
        .ok()
        .filter(|n| (1..=FEED_N_MAX).contains(n))
        .map(Some)
        .ok_or_else(|| {
            FieldError::new(
                "n",
                "out_of_range",
                format!("must be an integer between 1 and {FEED_N_MAX}, is {n}"),
            )
        })
}

/// Checks a client-supplied user id (query string, token subject).
///
/// # Errors
/// Says which rule of ids is broken.
pub fn check_user_id(text: &str) -> Result<(), FieldError> {
    check_id("user_id", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ClientMessage, FrameError> {
        serde_json::from_str::<ClientFrame>(json)
            .expect("a frame")
            .into_message()
    }

    #[test]
    fn an_event_may_stand_inline_or_in_a_list() {
        let inline = read(r#"{"type":"event","event":"like","item_id":"v7","event_id":"e1"}"#).expect("valid");
        let list =
            read(r#"{"type":"event","events":[{"type":"like","item_id":"v7","event_id":"e1"}]}"#).expect("valid");
        assert_eq!(inline, list);
    }

    #[test]
    fn errors_name_the_field() {
        let field = |json: &str| match read(json) {
            Err(FrameError::Field(error)) => error.field,
            other => format!("{other:?}"),
        };
        assert_eq!(field(r#"{"type":"event","event":"like"}"#), "item_id");
        assert_eq!(field(r#"{"type":"seen"}"#), "seq");
        assert_eq!(field(r#"{"type":"seen","seq":-1}"#), "seq");
        assert_eq!(field(r#"{"type":"feed","n":0}"#), "n");
        assert_eq!(field(r#"{"type":"feed","n":501}"#), "n");
        assert_eq!(field(r#"{"n":5}"#), "type");
        assert!(matches!(read(r#"{"type":"what"}"#), Err(FrameError::UnknownType(_))));
    }
}
