//! The wire types of version 1: what REST bodies and WebSocket frames look like, in JSON and in MessagePack.
//!
//! Owns names and shapes, and the checked way from them to the domain types. Must not be used as domain types inside,
//! and must not know frames or status codes.

mod browse;
mod client;
mod event;
mod experiment;
mod feed;
mod feed_ask;
mod item;
mod lenient;
mod server;
mod stats;
mod user;
mod user_features;
mod user_lists;

pub use browse::{CategoriesReply, ItemCountsDto, ItemStatsReply, ItemsPageDto, NameCountDto, TagsReply};
pub use client::{
    ClientFrame, ClientMessage, EventEntry, FeedAsk, FrameError, Hello, MessageId, Resume, check_event_count,
    check_user_id,
};
pub use event::{EventDto, EventsReply, FUTURE_SKEW_MS_MAX};
pub use experiment::{ComparisonDto, EstimateDto, ExperimentDto, ExperimentVariantDto, SampleRatioDto, SequentialDto};
pub use feed::{
    CauseDto, ChannelExplainDto, CorrectionDto, CorrectionTermDto, FeedContextDto, FeedDto, FeedItemDto, FeedMode,
    FeedPushDto, ItemExplainDto, MoveDto, Name, RankReply, RankRequest, RankedItemDto, ScoredItemDto, ScoredItemsReply,
};
pub use feed_ask::{FeedRequestDto, NamesDto};
pub use item::{ExplorationDto, ItemDetailDto, ItemDto, ItemsReply};
pub use server::{ServerMessage, SessionParamsDto};
pub use stats::{EffectDto, StatsGroupDto, StatsPointDto, StatsReply};
pub use user::{InterestsDto, LabelDto, TagWeightDto, UserDto, UserProfileDto};
pub use user_features::{CrossFeaturesDto, UserFeaturesDto, WindowDto};
pub use user_lists::{HistoryEventDto, HistoryPageDto, UsersPageDto};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::ContextValue;
use crate::ids::validate_id;
use crate::item::{ATTRIBUTES_MAX, TEXT_BYTES_MAX};
use crate::time::{TIMESTAMP_MS_MAX, TimestampMs};

/// The subprotocol of JSON text frames.
pub const SUBPROTOCOL_JSON: &str = "swipeline.v1.json";
/// The subprotocol of MessagePack binary frames.
pub const SUBPROTOCOL_MSGPACK: &str = "swipeline.v1.msgpack";
/// The most bytes of a client's WebSocket frame.
pub const CLIENT_FRAME_BYTES_MAX: usize = 64 * 1024;
/// The most events in one REST call.
pub const EVENTS_PER_CALL_MAX: usize = 10_000;
/// The default length of a feed.
pub const FEED_N_DEFAULT: usize = 10;
/// The longest feed.
pub const FEED_N_MAX: usize = 500;

/// A rule that a value breaks: which field, a short code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field's path, such as `categories[2]`.
    pub field: String,
    /// A short, stable code such as `id_too_long`.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl FieldError {
    /// A new field error.
    pub fn new(field: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            code: code.into(),
            detail: detail.into(),
        }
    }
}

/// One element of a list that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rejection {
    /// Its place in the list, from 0.
    pub index: usize,
    /// A short, stable code.
    pub code: String,
    /// What is wrong, naming the field.
    pub detail: String,
}

impl Rejection {
    /// The rejection of element `index` for `error`.
    #[must_use]
    pub fn from_field(index: usize, error: &FieldError) -> Self {
        Self {
            index,
            code: error.code.clone(),
            detail: format!("{}: {}", error.field, error.detail),
        }
    }
}

/// Checks an id field.
pub(crate) fn check_id(field: &str, text: &str) -> Result<(), FieldError> {
    validate_id(text).map_err(|error| {
        let code = match error {
            crate::ids::IdError::Empty => "id_empty",
            crate::ids::IdError::TooLong(_) => "id_too_long",
            crate::ids::IdError::ControlCharacter => "id_control_character",
        };
        FieldError::new(field, code, error.to_string())
    })
}

/// Checks a list of names (categories, tags, regions, authors) for its length and its elements.
pub(crate) fn check_names(field: &str, names: &[String], count_max: usize) -> Result<(), FieldError> {
    if names.len() > count_max {
        return Err(FieldError::new(
            field,
            "too_many",
            format!("must have at most {count_max} elements, has {}", names.len()),
        ));
    }
    for (index, name) in names.iter().enumerate() {
        check_id(&format!("{field}[{index}]"), name)?;
    }
    Ok(())
}

/// Checks a time.
pub(crate) fn check_time(field: &str, at: i64) -> Result<TimestampMs, FieldError> {
    if !(0..=TIMESTAMP_MS_MAX).contains(&at) {
        return Err(FieldError::new(
            field,
            "time_out_of_range",
            format!("must be milliseconds since 1970 between 0 and {TIMESTAMP_MS_MAX}, is {at}"),
        ));
    }
    Ok(TimestampMs(at))
}

/// Checks a free text.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), FieldError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FieldError::new(
            field,
            "text_too_long",
            format!("must be at most {TEXT_BYTES_MAX} bytes, has {}", text.len()),
        ));
    }
    Ok(())
}

/// Checks attributes or an event's context.
pub(crate) fn check_attributes(field: &str, attributes: &BTreeMap<String, ContextValue>) -> Result<(), FieldError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(FieldError::new(
            field,
            "too_many",
            format!("must have at most {ATTRIBUTES_MAX} entries"),
        ));
    }
    for (key, value) in attributes {
        let path = format!("{field}.{key}");
        check_id(&path, key)?;
        match value {
            ContextValue::Text(text) => check_text(&path, text)?,
            ContextValue::Number(number) if !number.is_finite() => {
                return Err(FieldError::new(path, "not_finite", "must be a finite number"));
            }
            ContextValue::Number(_) | ContextValue::Flag(_) => {}
        }
    }
    Ok(())
}

/// Checks an integer that must fit 0..=`max`.
pub(crate) fn check_count(field: &str, value: i64, max: u32) -> Result<u32, FieldError> {
    u32::try_from(value).ok().filter(|count| *count <= max).ok_or_else(|| {
        FieldError::new(
            field,
            "out_of_range",
            format!("must be an integer between 0 and {max}, is {value}"),
        )
    })
}

/// Checks a region, a device, a scene: absent, or an id.
pub(crate) fn check_optional_id(field: &str, text: Option<&str>) -> Result<(), FieldError> {
    text.map_or(Ok(()), |text| check_id(field, text))
}
