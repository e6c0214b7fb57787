//! Public data sets by their names: each knows its own columns and says what its rows mean.
//!
//! Owns what they share: an event, what stars say, tables of known dialects. Must not know the generic formats.

mod amazon;
mod lastfm;
mod retailrocket;
mod yoochoose;

use std::path::Path;

use swipeline_models::event::Signal;
use swipeline_models::time::{TIMESTAMP_MS_MAX, TimestampMs};
use swipeline_models::wire::EventDto;

use super::lines::Lines;
use super::reading::Reading;
use super::time::TimeRules;
use super::{Entity, Format, OpenError, Problem, Record, RecordReader, Rows, not_this_format};

/// The lowest number of stars that is a like.
pub(super) const LIKE_STARS_MIN: f64 = 4.0;
/// The lowest number of stars that is not a dislike.
pub(super) const VIEW_STARS_MIN: f64 = 3.0;

/// Opens a file of one of the data sets here.
///
/// # Errors
/// The data set has no such entity, or the file is something else.
pub(super) fn open(
    lines: Lines,
    entity: Entity,
    format: Format,
    reading: &Reading,
    path: &Path,
) -> Result<RecordReader, OpenError> {
    Ok(match (format, entity) {
        (Format::Retailrocket, Entity::Events) => Box::new(Rows::new(retailrocket::Events::open(lines, path)?)),
        (Format::Retailrocket, Entity::Items) => Box::new(Rows::new(retailrocket::Properties::open(lines, path)?)),
        (Format::Yoochoose, Entity::Events) => Box::new(Rows::new(yoochoose::Clicks::open(lines, path)?)),
        (Format::Lastfm, _) => lastfm::open(lines, entity, path)?,
        (Format::Amazon, Entity::Items) => Box::new(Rows::new(amazon::Products::new(lines, reading.now))),
        (Format::Amazon, Entity::Events) => amazon::reviews(lines, path)?,
        _ => {
            let detail =
                format!("this data set has no {entity}; `import events --create-items` makes items from events");
            return Err(not_this_format(path, detail));
        }
    })
}

/// What a rating of 0 to 5 stars says.
pub(super) fn signal_of_stars(stars: f64) -> Signal {
    if stars >= LIKE_STARS_MIN {
        Signal::Like
    } else if stars >= VIEW_STARS_MIN {
        Signal::View
    } else {
        Signal::Dislike
    }
}

/// An event of a data set. `set` begins its id, so that the same row is the same event in every import.
fn event(set: &str, user: &str, item: &str, signal: Signal, at_ms: i64) -> Result<Record, Problem> {
    let event = EventDto {
        event_id: Some(format!("{set}:{user}:{item}:{at_ms}:{}", signal.name())),
        user_id: Some(user.to_owned()),
        item_id: item.to_owned(),
        kind: signal.name().to_owned(),
        at: Some(at_ms),
        ..EventDto::default()
    };
    // Times are the file's own; the far end of "now" keeps them as they are.
    Ok(Record::Event(event.into_event(None, TimestampMs(TIMESTAMP_MS_MAX))?))
}

/// A time in a column of that name.
fn time(column: &str, text: &str) -> Result<i64, Problem> {
    TimeRules::default()
        .of_text(text)
        .map(|moment| moment.ms)
        .map_err(|detail| Problem::new("not_a_time", format!("column `{column}`: {detail}")))
}

/// Numbers of stars in a column of that name.
fn stars(column: &str, text: &str) -> Result<f64, Problem> {
    let parsed = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    parsed.ok_or_else(|| Problem::new("not_a_number", format!("column `{column}`: {text:?} is not a number")))
}

#[cfg(test)]
mod tests;
