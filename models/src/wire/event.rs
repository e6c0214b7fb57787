//! An event on the wire, and the reply to a list of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FieldError, Rejection, check_attributes, check_count, check_id, check_optional_id, check_time};
use crate::event::{ContextValue, Event, Signal};
use crate::ids::{EventId, ItemId, UserId};
use crate::time::{DAY_MS, TimestampMs};

/// How far in the future a client's clock may be before its time is replaced by the server's.
pub const FUTURE_SKEW_MS_MAX: i64 = 60_000;
/// The longest watch time that is believed: one day.
pub(crate) const WATCH_MS_MAX: u32 = DAY_MS as u32;

/// What a viewer did, as a client sends it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"event_id": "e1", "user_id": "ann", "item_id": "v1", "type": "like"}))]
pub struct EventDto {
    /// The client's name for the event; the same name twice counts once, so that a retry is harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Who; left out on a WebSocket, where the session says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// With which item.
    pub item_id: String,
    /// `impression`, `view`, `like`, `unlike`, `skip`, `share`, `comment`, `favorite`, `follow`, `complete`,
    /// `dislike` or `report`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, in milliseconds since 1970-01-01 UTC; the time of arrival when left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::millis"
    )]
    pub at: Option<i64>,
    /// For how long the item was watched, in milliseconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::millis"
    )]
    pub watch_ms: Option<i64>,
    /// The item's position in its feed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::whole"
    )]
    pub position: Option<i64>,
    /// The feed that the item came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Anything else, kept with the event.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::values"
    )]
    pub context: Option<BTreeMap<String, ContextValue>>,
}

impl EventDto {
    /// The event, checked. `user` is the session's user on a WebSocket and `None` for REST, where the event names it.
    ///
    /// # Errors
    /// Names the first field that breaks a rule.
    pub fn into_event(self, user: Option<&UserId>, now: TimestampMs) -> Result<Event, FieldError> {
        let user = match (user, self.user_id.as_deref()) {
            (Some(user), None) => user.clone(),
            (Some(user), Some(named)) if user.as_str() == named => user.clone(),
            (Some(_), Some(_)) => {
                return Err(FieldError::new(
                    "user_id",
                    "wrong_user",
                    "is not the user of this session",
                ));
            }
            (None, Some(named)) => {
                check_id("user_id", named)?;
                UserId::new(named).map_err(|error| FieldError::new("user_id", "id", error.to_string()))?
            }
            (None, None) => return Err(FieldError::new("user_id", "missing", "is required")),
        };
        check_id("item_id", &self.item_id)?;
        check_optional_id("event_id", self.event_id.as_deref())?;
        check_optional_id("request_id", self.request_id.as_deref())?;
        let signal = Signal::from_name(&self.kind)
            .ok_or_else(|| FieldError::new("type", "unknown_type", format!("unknown event type {:?}", self.kind)))?;
        let at = match self.at {
            Some(at) => check_time("at", at)?.min(now.plus_ms(FUTURE_SKEW_MS_MAX)),
            None => now,
        };
        let context = self.context.unwrap_or_default();
        check_attributes("context", &context)?;
        let item = ItemId::new(&self.item_id).map_err(|error| FieldError::new("item_id", "id", error.to_string()))?;
        Ok(Event {
            event_id: self.event_id.as_deref().and_then(|id| EventId::new(id).ok()),
            user,
            item,
            signal,
            at,
            watch_ms: self
                .watch_ms
                .map(|watch| check_count("watch_ms", watch, WATCH_MS_MAX))
                .transpose()?,
            position: self
                .position
                .map(|position| check_count("position", position, u32::MAX))
                .transpose()?,
            request_id: self.request_id,
            context,
        })
    }
}

impl From<&Event> for EventDto {
    fn from(event: &Event) -> Self {
        Self {
            event_id: event.event_id.as_ref().map(|id| id.as_str().to_owned()),
            user_id: Some(event.user.as_str().to_owned()),
            item_id: event.item.as_str().to_owned(),
            kind: event.signal.name().to_owned(),
            at: Some(event.at.0),
            watch_ms: event.watch_ms.map(i64::from),
            position: event.position.map(i64::from),
            request_id: event.request_id.clone(),
            context: (!event.context.is_empty()).then(|| event.context.clone()),
        }
    }
}

/// The reply to a list of events; sent only when the accepted ones are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventsReply {
    /// How many were taken.
    pub accepted: usize,
    /// How many had been taken before.
    pub duplicates: usize,
    /// Those that were not taken, and why.
    pub rejected: Vec<Rejection>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

    fn like(item: &str) -> EventDto {
        EventDto {
            item_id: item.to_owned(),
            kind: "like".to_owned(),
            user_id: Some("u".to_owned()),
            ..EventDto::default()
        }
    }

    fn code(dto: EventDto) -> String {
        dto.into_event(None, NOW)
            .map(|_| "ok".to_owned())
            .unwrap_or_else(|error| error.code)
    }

    #[test]
    fn each_broken_rule_has_its_code() {
        assert_eq!(code(like("v1")), "ok");
        assert_eq!(code(like("")), "id_empty");
        assert_eq!(code(like(&"x".repeat(300))), "id_too_long");
        assert_eq!(
            code(EventDto {
                user_id: None,
                ..like("v1")
            }),
            "missing"
        );
        assert_eq!(
            code(EventDto {
                kind: "love".to_owned(),
                ..like("v1")
            }),
            "unknown_type"
        );
        assert_eq!(
            code(EventDto {
                at: Some(-1),
                ..like("v1")
            }),
            "time_out_of_range"
        );
        assert_eq!(
            code(EventDto {
                watch_ms: Some(-5),
                ..like("v1")
            }),
            "out_of_range"
        );
        assert_eq!(
            code(EventDto {
                event_id: Some("a\u{0}".to_owned()),
                ..like("v1")
            }),
            "id_control_character"
        );
    }

    #[test]
    fn a_session_takes_only_its_own_users_events() {
        let user = UserId::new("u").expect("id");
        assert!(like("v1").into_event(Some(&user), NOW).is_ok());
        let other = UserId::new("w").expect("id");
        assert_eq!(
            like("v1").into_event(Some(&other), NOW).expect_err("other user").code,
            "wrong_user"
        );
    }

    #[test]
    fn a_time_in_the_future_is_cut_to_the_skew() {
        let event = EventDto {
            at: Some(NOW.0 + 10 * DAY_MS),
            ..like("v1")
        }
        .into_event(None, NOW)
        .expect("valid");
        assert_eq!(event.at, NOW.plus_ms(FUTURE_SKEW_MS_MAX));
    }
}
