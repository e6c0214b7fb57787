//! Last.fm 1K: `userid-timestamp-artid-artname-traid-traname.tsv` (user, time, artist id, artist, track id, track) and
//! `userid-profile.tsv` (id, gender, age, country, registered), separated by tabs, without quotes.
//!
//! Owns the mapping: a track is an item, its artist the author, a play a view. A track without an id is named by artist
//! and title.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use swipeline_models::event::{ContextValue, Signal};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{ItemDto, UserDto};

use super::super::fields::value_of;
use super::super::lines::Lines;
use super::super::{Entity, Fault, OpenError, Parse, Problem, Record, RecordReader, Rows, head_fault, not_this_format};
use super::{event, time};

/// The columns of the plays.
const PLAY_COLUMNS: usize = 6;
/// The columns of the profiles.
const PROFILE_COLUMNS: usize = 5;
/// The longest id that is made of an artist and a title.
const ID_BYTES_MAX: usize = 200;

/// Opens a file of plays (for events and items) or of profiles (for users).
pub(super) fn open(mut lines: Lines, entity: Entity, path: &Path) -> Result<RecordReader, OpenError> {
    match lines.advance_past_blank() {
        None => return Err(not_this_format(path, "the file is empty")),
        Some(outcome) => outcome.map_err(|fault| head_fault(path, fault))?,
    };
    let count = lines.text_or_latin1().split('\t').count();
    let wanted = if entity == Entity::Users {
        PROFILE_COLUMNS
    } else {
        PLAY_COLUMNS
    };
    if count != wanted {
        let detail = format!(
            "Last.fm's {entity} come from a file of {wanted} columns with tabs between them; this one has {count}"
        );
        return Err(not_this_format(path, detail));
    }
    lines.give_back();
    Ok(Box::new(Rows::new(Tsv {
        lines,
        entity,
        tracks_known: HashSet::new(),
    })))
}

struct Tsv {
    lines: Lines,
    entity: Entity,
    /// Tracks that have been an item already; one entry per track of the file.
    tracks_known: HashSet<String>,
}

impl Tsv {
    fn record(&mut self) -> Result<Option<Record>, Problem> {
        let text = self.lines.text_or_latin1().into_owned();
        let cells: Vec<&str> = text.split('\t').map(str::trim).collect();
        let wanted = if self.entity == Entity::Users {
            PROFILE_COLUMNS
        } else {
            PLAY_COLUMNS
        };
        if cells.len() != wanted {
            let detail = format!("has {} columns instead of {wanted}", cells.len());
            return Err(Problem::new("column_count", detail));
        }
        match self.entity {
            Entity::Users => profile(&cells),
            Entity::Events => {
                let track = track_id(cells[4], cells[3], cells[5]);
                event("lf", cells[0], &track, Signal::View, time("timestamp", cells[1])?).map(Some)
            }
            Entity::Items => {
                let track = track_id(cells[4], cells[3], cells[5]);
                if !self.tracks_known.insert(track.clone()) {
                    return Ok(None);
                }
                let artist = if cells[2].is_empty() { cells[3] } else { cells[2] };
                let at_ms = time("timestamp", cells[1])?;
                let dto = ItemDto {
                    id: track,
                    title: Some(cells[5].to_owned()),
                    author_id: (!artist.is_empty()).then(|| cut(artist)),
                    tags: Some(vec![cut(cells[3])]).filter(|_| !cells[3].is_empty()),
                    created_at: Some(at_ms),
                    ..ItemDto::default()
                };
                Ok(Some(Record::Item(dto.into_item(TimestampMs(at_ms))?)))
            }
        }
    }
}

impl Parse for Tsv {
    fn parse_next(&mut self, rows: &mut Vec<Record>) -> Option<Result<u64, Fault>> {
        Some(self.lines.advance_past_blank()?.and_then(|line| {
            rows.extend(self.record().map_err(|problem| problem.at(line))?);
            Ok(line)
        }))
    }
}

fn track_id(id: &str, artist: &str, title: &str) -> String {
    if id.is_empty() {
        cut(&format!("{artist} - {title}"))
    } else {
        id.to_owned()
    }
}

/// The text, not longer than an id may be.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(ID_BYTES_MAX)].to_owned()
}

fn profile(cells: &[&str]) -> Result<Option<Record>, Problem> {
    if cells[0].starts_with('#') {
        return Ok(None);
    }
    let known = ["gender", "age", "country"]
        .iter()
        .zip(&cells[1..4])
        .filter(|(_, cell)| !cell.is_empty());
    let mut attributes: BTreeMap<String, ContextValue> =
        known.map(|(name, cell)| ((*name).to_owned(), value_of(cell))).collect();
    if !cells[4].is_empty() {
        attributes.insert("registered".to_owned(), ContextValue::Text(cells[4].to_owned()));
    }
    let dto = UserDto {
        id: cells[0].to_owned(),
        attributes: Some(attributes),
        ..UserDto::default()
    };
    Ok(Some(Record::User(dto.into_user()?)))
}
