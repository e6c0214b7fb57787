//! MovieLens in all its forms.
//!
//! Owns the recognition of the form by the file's first line and the mapping that all forms share: a rating of 4 or more
//! is a `like`, below 3 a `dislike`, in between a `view`; genres are categories and tags; the year is the time of making.
//! Must not guess: a file of another entity is refused by name.

mod classic;
mod recbole;

use std::collections::BTreeMap;
use std::path::Path;

use swipeline_models::event::{ContextValue, Signal};
use swipeline_models::time::{TIMESTAMP_MS_MAX, TimestampMs};
use swipeline_models::wire::{EventDto, ItemDto};

use super::fields::without_zero_fraction;
use super::lines::Lines;
use super::named::signal_of_stars;
use super::{
    Entity, OpenError, Problem, Record, RecordReader, Rows, head_fault, not_this_format, parse_time, parse_year,
};

/// Above are milliseconds: as seconds it would be the year 5138.
const SECONDS_MAX: f64 = 1e11;
/// What MovieLens writes for a film without genres.
const NO_GENRES: &str = "(no genres listed)";

/// Opens a MovieLens file of any form.
///
/// # Errors
/// The first line belongs to no known form, or to one that holds another entity.
pub(super) fn open(mut lines: Lines, entity: Entity, path: &Path) -> Result<RecordReader, OpenError> {
    match lines.advance_past_blank() {
        None => return Err(not_this_format(path, "the file is empty")),
        Some(Err(fault)) => return Err(head_fault(path, fault)),
        Some(Ok(_)) => {}
    }
    let head = lines.text_or_latin1().into_owned();
    if head.contains(":token") {
        return Ok(Box::new(Rows::new(recbole::Recbole::open(lines, &head, entity, path)?)));
    }
    lines.give_back();
    let mut names = head.split(',').map(|name| name.trim().trim_matches('"'));
    if names.any(|name| name == "movieId" || name == "userId") {
        return Ok(Box::new(Rows::new(classic::Columns::open(lines, entity, path)?)));
    }
    Ok(Box::new(Rows::new(classic::Classic::open(lines, &head, entity, path)?)))
}

/// The file holds something else than what was asked for.
fn other_entity(path: &Path, is: Entity, asked: Entity) -> OpenError {
    not_this_format(
        path,
        format!("this MovieLens file holds {is}, not {asked}: use `import {is}`"),
    )
}

/// A rating as an event; without stars it is a click. `at` is the time as MovieLens writes it, in seconds, or as those do
/// who saved it again.
fn rating(user: &str, item: &str, stars: Option<&str>, at: &str) -> Result<Record, Problem> {
    let number = |name: &str, text: &str| {
        let parsed = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        parsed.ok_or_else(|| Problem::new("not_a_number", format!("{name}: {text:?} is not a number")))
    };
    let stars = stars.map(|stars| number("rating", stars)).transpose()?;
    let seconds = match number("timestamp", at) {
        Ok(millis) if millis >= SECONDS_MAX => millis / 1_000.0,
        Ok(seconds) => seconds,
        Err(problem) => parse_time(at).map_err(|_| problem)? as f64 / 1_000.0,
    };
    let (user, item) = (without_zero_fraction(user.trim()), without_zero_fraction(item.trim()));
    let event = EventDto {
        // Whole seconds: the same rating has the same name in all forms, with or without a fraction in its file.
        event_id: Some(format!("ml:{user}:{item}:{}", seconds as i64)),
        user_id: Some(user.to_owned()),
        item_id: item.to_owned(),
        kind: stars.map_or(Signal::View, signal_of_stars).name().to_owned(),
        at: Some((seconds * 1_000.0) as i64),
        ..EventDto::default()
    };
    Ok(Record::Event(event.into_event(None, TimestampMs(TIMESTAMP_MS_MAX))?))
}

/// A film as an item.
fn film<'a>(
    id: &str,
    title: &str,
    year: Option<&str>,
    genres: impl Iterator<Item = &'a str>,
) -> Result<Record, Problem> {
    let genres: Vec<String> = genres
        .map(str::trim)
        .filter(|genre| !genre.is_empty() && *genre != NO_GENRES)
        .map(str::to_owned)
        .collect();
    let year_number = year.and_then(|year| year.parse::<u16>().ok());
    let attributes =
        year_number.map(|year| BTreeMap::from([("release_year".to_owned(), ContextValue::Number(f64::from(year)))]));
    let item = ItemDto {
        id: id.to_owned(),
        title: (!title.is_empty()).then(|| title.to_owned()),
        categories: Some(genres.clone()),
        tags: Some(genres),
        // A film of no known year is old rather than new: it must not win by freshness.
        created_at: Some(year.and_then(parse_year).unwrap_or(0)),
        attributes,
        ..ItemDto::default()
    };
    Ok(Record::Item(item.into_item(TimestampMs(0))?))
}

/// `Toy Story (1995)` as title and year.
fn split_year(title: &str) -> (&str, Option<&str>) {
    let title = title.trim();
    let Some((name, rest)) = title.rsplit_once('(') else {
        return (title, None);
    };
    match rest.strip_suffix(')') {
        Some(year) if year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) => (name.trim(), Some(year)),
        _ => (title, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_taken_off_the_title() {
        assert_eq!(split_year("Toy Story (1995)"), ("Toy Story", Some("1995")));
        assert_eq!(split_year("Babel (Iki) (2006) "), ("Babel (Iki)", Some("2006")));
        assert_eq!(split_year("Brazil (Director's Cut)"), ("Brazil (Director's Cut)", None));
        assert_eq!(split_year(""), ("", None));
    }
}
